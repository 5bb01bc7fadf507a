"""The service as processes against a real broker, and plain looks at its topics that know nothing of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from processes import COMMAND, LIMIT_SECONDS


@dataclass(frozen=True)
class Stand:
    """A broker, four topics of a test's own, and the settings its processes get."""

    bootstrap: str
    traces: str
    comparisons: str
    dead_letters: str
    verdicts: str
    more: tuple[tuple[str, object], ...] = ()

    def having(self, **settings: object) -> Stand:
        return Stand(*self._names, (*self.more, *settings.items()))

    @property
    def _names(self) -> tuple[str, ...]:
        return (self.bootstrap, self.traces, self.comparisons, self.dead_letters, self.verdicts)

    @property
    def environment(self) -> dict[str, str]:
        names = ("bootstrap", "traces", "comparisons", "dead_letters", "verdicts")
        settings = {f"kafka_{name}": value for name, value in zip(names, self._names, strict=True)}
        settings |= {"log": "json", "kafka_session_seconds": 6, **dict(self.more)}
        given = {key: value for key, value in os.environ.items() if not key.startswith("SHADOW_REPLAY_")}
        return given | {f"SHADOW_REPLAY_{name.upper()}": str(value) for name, value in settings.items()}

    def run(self, *arguments: object, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        """A command to its end, with its exit code checked."""
        command = [*COMMAND, *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT_SECONDS, env=self.environment
        )
        assert check is None or done.returncode == check, f"exit {done.returncode}\n{done.stdout}\n{done.stderr[-4000:]}"
        return done

    def create(self, **options: object) -> None:
        flags = [str(part) for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
        self.run("topics", "create", *flags)

    @contextmanager
    def member(self, log: Path, *arguments: object) -> Iterator[Member]:
        """A worker in a process of its own, killed at the end if it is still there."""
        member = self.start(log, *arguments)
        try:
            yield member
        finally:
            member.kill()

    def start(self, log: Path, *arguments: object, command: str = "worker") -> Member:
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [*COMMAND, command, *map(str, arguments)],
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=self.environment,
            )
        return Member(process, log)

    def lag(self, *arguments: object) -> dict[str, Any]:
        return json.loads(self.run("lag", "--json", *arguments).stdout)

    # -- topics, as plain as can be -------------------------------------------------------------------------------

    def records(self, topic: str) -> list[Any]:
        """Everything on a topic now, by partition and offset."""
        return anyio.run(_everything, self.bootstrap, topic)

    def of_schema(self, topic: str, schema: str) -> list[dict[str, Any]]:
        values = [json.loads(record.value) for record in self.records(topic)]
        return [value for value in values if value["schema"] == schema]

    @property
    def compared(self) -> list[dict[str, Any]]:
        return self.of_schema(self.comparisons, "comparison/1")

    def committed(self, group: str) -> dict[int, int]:
        """The group's offsets by partition of the traces topic."""
        return anyio.run(committed_by, self.bootstrap, group, self.traces)

    def ends(self, topic: str) -> dict[int, int]:
        return anyio.run(_ends, self.bootstrap, topic)


@dataclass
class Member:
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def gone(self) -> bool:
        return self.process.poll() is not None

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=20)

    def terminate(self, within: float = 40) -> float:
        """SIGTERM; how long it took to exit with 0."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=within) == 0, self.log.read_text()[-3000:]
        return time.monotonic() - began

    @property
    def peak_kb(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == name]


def eventually(holds: Callable[[], bool], seconds: float, *, every: float = 0.2, alive: Member | None = None) -> None:
    """Wait for a state of the world, no longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert alive is None or alive.process.poll() is None, alive.log.read_text()[-3000:]
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(every)


def judged(comparisons: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What was found, by id: everything but times, places and names of runs."""
    kept = ("trace_id", "mode", "disposition", "flags", "severity", "coverage", "first_divergence")
    return {
        item["comparison_id"]: {
            **{key: item[key] for key in kept},
            "scores": {name: score for name, score in item["scores"].items() if not name.startswith("latency.")},
        }
        for item in comparisons
    }


def repeated(comparisons: list[dict[str, Any]]) -> int:
    return sum(Counter(item["comparison_id"] for item in comparisons).values()) - len(judged(comparisons))


async def _everything(bootstrap: str, topic: str) -> list[Any]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, fetch_max_bytes=64 << 20, max_partition_fetch_bytes=16 << 20,
        isolation_level="read_committed",
    )  # fmt: skip
    await consumer.start()
    try:
        ends = await _end_offsets(consumer, topic)
        consumer.assign(list(ends))
        await consumer.seek_to_beginning(*ends)
        found: list[Any] = []
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
        return [record for record in found if record.offset < ends[TopicPartition(topic, record.partition)]]
    finally:
        await consumer.stop()


async def _ends(bootstrap: str, topic: str) -> dict[int, int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        return {tp.partition: end for tp, end in (await _end_offsets(consumer, topic)).items()}
    finally:
        await consumer.stop()


async def _end_offsets(consumer: AIOKafkaConsumer, topic: str) -> dict[TopicPartition, int]:
    await consumer._client.force_metadata_update()
    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        await consumer._client.add_topic(topic)
        numbers = consumer.partitions_for_topic(topic)
    return await consumer.end_offsets([TopicPartition(topic, number) for number in sorted(numbers)])


async def committed_by(bootstrap: str, group: str, topic: str) -> dict[int, int]:
    """A group's offsets by partition of a topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(group)
        return {tp.partition: kept.offset for tp, kept in found.items() if tp.topic == topic and kept.offset >= 0}
    finally:
        await admin.close()
