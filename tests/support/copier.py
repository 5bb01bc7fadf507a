"""Kafka's copier test, for our service: processes are bounced at random while a checker reads what is committed.

After `transactions_test.py` of Apache Kafka's system tests: a concurrent read_committed consumer, clients or brokers
ended cleanly or hard, the output equal to the input, nothing twice. Ours also looks at watermarks, at committed
offsets, and at the log of the model: what was published is never asked for again.
"""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from kafka_service import Member, Stand, committed_by
from local_kafka import LocalKafka

#: A committed offset may be seen before what was committed with it can be read: markers are written one by one, and
#: a partition without a leader is not read at all.
VISIBLE_WITHIN_SECONDS = 60
_JOINED_WITHIN_SECONDS = 20


@dataclass
class Findings:
    """What the checker has seen, and what must not be."""

    #: Offsets of the source whose comparison was read, by partition.
    seen: dict[int, set[int]] = field(default_factory=dict)
    #: Comparison id to the timestamp of its record, ms.
    published: dict[str, int] = field(default_factory=dict)
    repeated: Counter[str] = field(default_factory=Counter)
    marks: dict[int, int] = field(default_factory=dict)
    wrong_marks: list[str] = field(default_factory=list)
    committed: dict[int, int] = field(default_factory=dict)
    wrong_offsets: list[str] = field(default_factory=list)
    looks: int = 0

    def read(self, value: bytes, timestamp: int) -> None:
        item = json.loads(value)
        if item["schema"] == "watermark/1":
            self._mark(item["partition"], item["offset"])
            return
        identity = item["comparison_id"]
        if identity in self.published:
            self.repeated[identity] += 1
        self.published[identity] = timestamp
        self.seen.setdefault(item["source"]["partition"], set()).add(item["source"]["offset"])

    def covers(self, partition: int, offset: int) -> bool:
        """Whether everything below the offset was seen. Sources hold no gaps here."""
        return self.seen.get(partition, set()) >= set(range(offset))

    def _mark(self, partition: int, offset: int) -> None:
        if offset < self.marks.get(partition, 0):
            self.wrong_marks.append(f"{partition}: back from {self.marks[partition]} to {offset}")
        elif not self.covers(partition, offset):
            self.wrong_marks.append(f"{partition}: {offset} is not true")
        self.marks[partition] = offset

    def look(self, committed: dict[int, int]) -> None:
        for partition, offset in committed.items():
            if offset < self.committed.get(partition, 0):
                self.wrong_offsets.append(f"{partition}: back from {self.committed[partition]} to {offset}")
            self.committed[partition] = offset
        self.looks += 1


class Checker:
    """Reads the comparison topic and the group's offsets in a thread of its own, for as long as the block lasts."""

    def __init__(self, stand: Stand, group: str) -> None:
        self.findings = Findings()
        self._stand, self._group = stand, group
        self._partitions = [TopicPartition(stand.comparisons, number) for number in stand.ends(stand.comparisons)]
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: anyio.run(self._run))
        self._failed: BaseException | None = None

    def __enter__(self) -> Findings:
        self._thread.start()
        return self.findings

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=120)
        assert not self._thread.is_alive()
        if self._failed is not None:
            raise self._failed

    async def _run(self) -> None:
        try:
            async with AsyncExitStack() as stack, anyio.create_task_group() as group:
                group.start_soon(self._offsets)
                consumer = AIOKafkaConsumer(
                    bootstrap_servers=self._stand.bootstrap,
                    isolation_level="read_committed",
                    auto_offset_reset="earliest",
                )
                await consumer.start()
                stack.push_async_callback(consumer.stop)
                await self._comparisons(consumer)
                group.cancel_scope.cancel()
        except BaseException as error:
            self._failed = error

    async def _comparisons(self, consumer: AIOKafkaConsumer) -> None:
        consumer.assign(self._partitions)
        quiet_since = time.monotonic()
        while not self._over.is_set() or time.monotonic() - quiet_since < 2:
            batches = await consumer.getmany(timeout_ms=200)
            for records in batches.values():
                quiet_since = time.monotonic()
                for record in records:
                    self.findings.read(record.value, record.timestamp)

    async def _offsets(self) -> None:
        waiting: list[tuple[float, int, int]] = []
        while True:
            await anyio.sleep(0.5)
            try:
                committed = await committed_by(self._stand.bootstrap, self._group, self._stand.traces)
            except (KafkaError, OSError):
                continue  # its coordinator is being bounced
            self.findings.look(committed)
            waiting += [(time.monotonic(), *item) for item in committed.items()]
            waiting = [item for item in waiting if not self.findings.covers(*item[1:])]
            late = [item for item in waiting if time.monotonic() - item[0] > VISIBLE_WITHIN_SECONDS]
            self.findings.wrong_offsets += [f"{p}: {offset} was committed without its results" for _, p, offset in late]


class Bouncer:
    """Ends one process after the other, at random, until it is told to stop. `kind`: SIGKILL or SIGTERM."""

    def __init__(self, kind: signal.Signals, seed: int) -> None:
        self.kind, self.bounces = kind, 0
        self._chance = random.Random(seed)

    def workers(self, start: Callable[[int], Member], members: list[Member], done: Callable[[], bool]) -> None:
        while not done():
            number = self._chance.randrange(len(members))
            # A killed member keeps its partitions until its session ends: without this, nobody would ever work. And
            # one that is still starting has nothing to put in order: SIGTERM just ends it.
            self._until(lambda one=members[number]: one.events("assigned"), _JOINED_WITHIN_SECONDS, done)
            if not members[number].events("assigned"):
                continue
            self._pause(1.0, 4.0, done)
            if self.kind is signal.SIGTERM:
                members[number].terminate()
            else:
                members[number].kill()
            members[number] = start(number)
            self.bounces += 1

    def brokers(self, kafka: LocalKafka, nodes: int, done: Callable[[], bool]) -> None:
        while not done():
            node = self._chance.randrange(nodes) + 1
            if self.kind is signal.SIGTERM:
                kafka.terminate(node)
            else:
                kafka.kill(node)
            self._pause(1.0, 3.0, lambda: False)
            kafka.restart(node)
            self.bounces += 1
            self._pause(2.0, 4.0, done)

    def _pause(self, least: float, most: float, done: Callable[[], bool]) -> None:
        self._until(lambda: False, self._chance.uniform(least, most), done)

    def _until(self, holds: Callable[[], object], seconds: float, done: Callable[[], bool]) -> None:
        until = time.monotonic() + seconds
        while not holds() and time.monotonic() < until and not done():
            time.sleep(0.1)


def asked_after_publishing(log: Path, published: dict[str, int]) -> list[str]:
    """Comparisons that the model was asked for after their record was written."""
    calls = (json.loads(line) for line in log.read_bytes().splitlines())
    return [
        call["comparison_id"]
        for call in calls
        if call["comparison_id"] in published and call["at"] // 1_000_000 > published[call["comparison_id"]]
    ]


def stopped(members: list[Member]) -> ExitStack:
    """Whatever happens, no process outlives the block."""
    stack = ExitStack()
    stack.callback(lambda: [member.kill() for member in members])
    return stack
