"""Streams in memory: the same contract as Kafka's, in one process. For tests, and to measure without a broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self
from zlib import crc32

import anyio
import anyio.lowlevel

from consumers.stream import (
    CommitRefusedError,
    Committed,
    FencedError,
    Listener,
    Outgoing,
    Partition,
    Received,
    StreamError,
)


@dataclass(slots=True)
class MemoryTopics:
    """Topics with a fixed number of partitions, and the committed offsets of groups."""

    partitions: Mapping[str, int]
    clock: Callable[[], int] = time.time_ns
    _logs: dict[Partition, list[Received]] = field(default_factory=dict)
    _committed: dict[tuple[str, Partition], Committed] = field(default_factory=dict)
    _claims: dict[tuple[str, Partition], object] = field(default_factory=dict)
    _arrived: anyio.Event = field(default_factory=anyio.Event)

    def append(self, record: Outgoing) -> Received:
        """Raises `StreamError` for a topic that does not exist."""
        partition = self._partition(record)
        log = self.log(partition)
        written = self.clock() // 1_000_000 if record.timestamp_ms is None else record.timestamp_ms
        received = Received(partition, len(log), record.value, record.key, written, record.headers)
        log.append(received)
        self._arrived.set()
        return received

    def log(self, partition: Partition) -> list[Received]:
        return self._logs.setdefault(partition, [])

    def all_of(self, topic: str) -> Iterable[Partition]:
        return [Partition(topic, index) for index in range(self.partitions[topic])]

    def committed(self, group: str, partition: Partition) -> Committed | None:
        return self._committed.get((group, partition))

    def commit(self, group: str, offsets: Mapping[Partition, Committed]) -> None:
        self._committed |= {(group, partition): offset for partition, offset in offsets.items()}

    def claim(self, group: str, partition: Partition) -> object:
        """A new token; every earlier one of this group and partition is worth nothing from now on."""
        token = object()
        self._claims[group, partition] = token
        return token

    def holds(self, group: str, partition: Partition, token: object) -> bool:
        return self._claims.get((group, partition)) is token

    async def wait(self, seconds: float) -> None:
        """Until something arrives, or the time is over."""
        self._arrived = anyio.Event()
        with anyio.move_on_after(seconds):
            await self._arrived.wait()

    def _partition(self, record: Outgoing) -> Partition:
        count = self.partitions.get(record.topic)
        if count is None:
            raise StreamError(f"there is no topic {record.topic}; create it first")
        chosen = record.partition if record.partition is not None else crc32(record.key or b"")
        return Partition(record.topic, chosen % count)


@dataclass(slots=True)
class MemorySource:
    """A reader of one topic in a group. It owns all partitions until `assign` gives it others."""

    topics: MemoryTopics
    topic: str
    group: str = "group"
    _listener: Listener | None = None
    _positions: dict[Partition, int] = field(default_factory=dict)

    async def start(self, listener: Listener) -> None:
        self._listener = listener
        if self.topic not in self.topics.partitions:
            raise StreamError(f"there is no topic {self.topic}; create it first")
        await self.assign(self.topics.all_of(self.topic))

    async def assign(self, partitions: Iterable[Partition]) -> None:
        """A rebalance: everything is revoked, then `partitions` are assigned, from their committed offsets."""
        listener, chosen = self._listener, list(partitions)
        assert listener is not None, "start() comes first"  # noqa: S101 - a caller's mistake, in tests only
        if self._positions:
            await listener.revoked(list(self._positions))
        self._positions = {partition: self._first(partition) for partition in chosen}
        await listener.assigned(chosen)

    def _first(self, partition: Partition) -> int:
        committed = self.topics.committed(self.group, partition)
        return committed.offset if committed is not None else 0

    async def poll(
        self, *, max_records: int, seconds: float, partitions: Collection[Partition] | None = None
    ) -> Sequence[Received]:
        found = self._take(max_records, partitions)
        if not found and seconds > 0:
            await self.topics.wait(seconds)
            found = self._take(max_records, partitions)
        await anyio.lowlevel.checkpoint()
        return found

    def _take(self, max_records: int, partitions: Collection[Partition] | None) -> list[Received]:
        found: list[Received] = []
        for partition, position in self._positions.items():
            if partitions is None or partition in partitions:
                records = self.topics.log(partition)[position : position + max_records - len(found)]
                self._positions[partition] += len(records)
                found += records
        return found

    async def keep_alive(self) -> None:
        return

    async def position(self, partition: Partition) -> int:
        return self._positions[partition]

    def seek(self, partition: Partition, offset: int) -> None:
        if partition in self._positions:
            self._positions[partition] = offset

    async def commit(self, offsets: Mapping[Partition, Committed]) -> None:
        foreign = set(offsets) - set(self._positions)
        if foreign:
            raise CommitRefusedError(f"not assigned: {', '.join(map(str, sorted(foreign)))}")
        self.topics.commit(self.group, offsets)

    async def committed(self, partitions: Collection[Partition]) -> Mapping[Partition, Committed]:
        found = {partition: self.topics.committed(self.group, partition) for partition in partitions}
        return {partition: kept for partition, kept in found.items() if kept is not None}

    async def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        return {partition: len(self.topics.log(partition)) for partition in partitions}

    async def aclose(self) -> None:
        self._positions = {}


@dataclass(slots=True)
class MemorySink:
    topics: MemoryTopics

    async def start(self) -> Self:
        return self

    async def send(self, records: Sequence[Outgoing]) -> None:
        for record in records:
            self.topics.append(record)
        await anyio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        return


@dataclass(slots=True)
class MemoryLedger:
    """Results and marks together, in one process. Each claim of a partition locks the ones before it out."""

    topics: MemoryTopics
    group: str = "group"
    _claims: dict[Partition, object] = field(default_factory=dict)

    async def claim(self, partition: Partition) -> Committed | None:
        await anyio.lowlevel.checkpoint()
        self._claims[partition] = self.topics.claim(self.group, partition)
        return self.topics.committed(self.group, partition)

    async def retain(self, partitions: Collection[Partition]) -> None:
        for partition in set(self._claims) - set(partitions):
            del self._claims[partition]

    async def append(self, partition: Partition, records: Sequence[Outgoing], mark: Committed) -> None:
        await anyio.lowlevel.checkpoint()
        claim = self._claims.pop(partition, None)
        if claim is None:
            raise StreamError(f"{partition} is not claimed")
        if not self.topics.holds(self.group, partition, claim):
            raise FencedError(f"{partition} was claimed by another writer")
        for record in records:
            self.topics.append(record)
        self.topics.commit(self.group, {partition: mark})
        self._claims[partition] = claim

    async def aclose(self) -> None:
        self._claims.clear()
