"""Streams in a directory: a topic is a file of lines, `<topic>.jsonl`, with one partition whose offsets are lines.

What a `run` has written can so be served by the feed, and read like a topic. Keys and headers are not kept; a
record's timestamp is that of the file, when the line was read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self

import anyio

from consumers.line_file import append, open_whole, whole_lines, write_whole
from consumers.stream import (
    CommitRefusedError,
    Committed,
    Listener,
    Outgoing,
    Partition,
    Received,
    RecordRefusedError,
    StreamError,
)
from replay.errors import RecordError
from replay.exact_json import dumps, loads

#: How often a file is looked at while nothing is appended.
_LOOK_EVERY_SECONDS = 0.1


@dataclass(slots=True)
class FileSource:
    """Reads a topic of a directory from the group's committed line on, and goes on as the file grows."""

    directory: Path
    topic: str
    group: str = "group"
    _position: int = 0
    #: Byte at which line `_position` begins.
    _byte: int = 0
    _assigned: bool = False

    @property
    def partition(self) -> Partition:
        return Partition(self.topic, 0)

    async def start(self, listener: Listener) -> None:
        if not self._path.is_file():
            raise StreamError(f"there is no topic {self.topic} in {self.directory}: no file {self._path.name}")
        self._assigned = True
        kept = self._kept()
        self.seek(self.partition, kept.offset if kept is not None else 0)
        await listener.assigned([self.partition])

    async def poll(
        self, *, max_records: int, seconds: float, partitions: Collection[Partition] | None = None
    ) -> Sequence[Received]:
        if partitions is not None and self.partition not in partitions:
            await anyio.sleep(seconds)
            return ()
        found: list[Received] = []
        with anyio.move_on_after(seconds):
            while not (found := self._take(max_records)):  # noqa: ASYNC110 - a file rings no bell
                await anyio.sleep(_LOOK_EVERY_SECONDS)
        return found or self._take(max_records)

    def _take(self, max_records: int) -> list[Received]:
        written = self._path.stat().st_mtime_ns // 1_000_000
        found: list[Received] = []
        for line, behind in whole_lines(self._path, self._byte):
            found.append(Received(self.partition, self._position, line, timestamp_ms=written))
            self._position, self._byte = self._position + 1, behind
            if len(found) == max_records:
                break
        return found

    async def keep_alive(self) -> None:
        """Nobody is waiting for a sign of life."""

    async def position(self, partition: Partition) -> int:
        return self._position if partition == self.partition else 0

    def seek(self, partition: Partition, offset: int) -> None:
        if self._assigned and partition == self.partition:
            self._position, self._byte = 0, 0
            for _, behind in whole_lines(self._path):
                if self._position == offset:
                    return
                self._position, self._byte = self._position + 1, behind

    async def commit(self, offsets: Mapping[Partition, Committed]) -> None:
        if set(offsets) - {self.partition} or not self._assigned:
            raise CommitRefusedError(f"not assigned: {', '.join(map(str, sorted(offsets)))}")
        for committed in offsets.values():
            write_whole(self._kept_path, dumps(committed._asdict()))

    async def committed(self, partitions: Collection[Partition]) -> Mapping[Partition, Committed]:
        kept = self._kept()
        return {self.partition: kept} if kept is not None and self.partition in partitions else {}

    async def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        return {partition: sum(1 for _ in whole_lines(self._path)) for partition in partitions}

    async def aclose(self) -> None:
        self._assigned = False

    @property
    def _path(self) -> Path:
        return self.directory / f"{self.topic}.jsonl"

    @property
    def _kept_path(self) -> Path:
        return self.directory / f"{self.topic}.{self.group}.offset.json"

    def _kept(self) -> Committed | None:
        try:
            return Committed(**loads(self._kept_path.read_bytes()))
        except FileNotFoundError:
            return None
        except (RecordError, TypeError) as error:
            raise StreamError(f"{self._kept_path}: not an offset: {error}; delete it to begin again") from None


@dataclass(slots=True)
class FileSink:
    """Appends to topics of a directory. A topic that is not there is made."""

    directory: Path
    _files: dict[str, BinaryIO] = field(default_factory=dict)

    async def start(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        return self

    async def send(self, records: Sequence[Outgoing]) -> None:
        broken = [record for record in records if b"\n" in record.value]
        if broken:
            raise RecordRefusedError(f"a record of {broken[0].topic} holds a newline: a line cannot")
        for record in records:
            if record.topic not in self._files:
                self._files[record.topic] = open_whole(self.directory / f"{record.topic}.jsonl")
            append(self._files[record.topic], [record.value])

    async def aclose(self) -> None:
        while self._files:
            self._files.popitem()[1].close()
