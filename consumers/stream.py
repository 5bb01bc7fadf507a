"""Streams of records, as the processes see them: topics with partitions, offsets, positions and commits.

Three implementations keep one contract (`tests/consumers/test_streams.py`): Kafka, files and memory. A `Source` is
read by one task. Positions belong to the reader, committed offsets to its group; nothing here commits by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self, runtime_checkable

from replay.errors import ReplayError


class StreamError(ReplayError):
    """A stream cannot be used any further as it is. Whose fault: the broker's, or of how it was reached."""


class CommitRefusedError(StreamError):
    """An offset was not committed, for the reader does not own the partition any more. Somebody else does."""


#: What to look for when a member is put out again and again.
RIVAL = "is another worker running with the same worker_member? Each needs a name of its own"


class FencedError(StreamError):
    """Another writer has claimed the partition since: what this one wants to write comes too late."""


class RecordRefusedError(StreamError):
    """A record can never be written as it is: it is too large for its topic."""


class Partition(NamedTuple):
    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"


@dataclass(frozen=True, slots=True)
class Received:
    """One record as it was read. `timestamp_ms` is the record's own, ms since the epoch, UTC."""

    partition: Partition
    offset: int
    value: bytes
    key: bytes | None = None
    timestamp_ms: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def size(self) -> int:
        """Bytes of value, key and headers."""
        return len(self.value) + len(self.key or b"") + sum(len(name) + len(held) for name, held in self.headers)


class Committed(NamedTuple):
    """What a group keeps of a partition: its first unfinished offset, and a note of at most 4,096 bytes."""

    offset: int
    note: str = ""


class Outgoing(NamedTuple):
    """One record to be written. With `partition` p it goes to partition p mod n, else where its key says.

    Without a timestamp, it gets the time at which it is written.
    """

    topic: str
    value: bytes
    key: bytes | None = None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int | None = None


class Listener(Protocol):
    """Told of changes of ownership, from within `Source.poll` or beside it, never both at a time."""

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """These, and no others, are ours from now on. Positions may be changed by `seek` here."""

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """These are about to be given away. The last moment to commit; must come back within the drain budget."""


class Source(Protocol):
    """Reads the partitions it is assigned, in offset order within each."""

    async def start(self, listener: Listener) -> None:
        """Connect. `listener.assigned` is called once or more from then on. Raises `StreamError`."""

    async def poll(
        self, *, max_records: int, seconds: float, partitions: Collection[Partition] | None = None
    ) -> Sequence[Received]:
        """At most `max_records`, waiting up to `seconds` (longer during a rebalance) for the first; [] for none.

        `partitions` restricts what is read; those left out keep their positions. Raises `StreamError` when this
        reader is of no more use.
        """

    async def keep_alive(self) -> None:
        """To be called when nothing is polled for long: says to the group that the reader lives. Moves nothing."""

    async def position(self, partition: Partition) -> int:
        """The next offset that `poll` returns; behind the last record it may pass over offsets without one."""

    def seek(self, partition: Partition, offset: int) -> None:
        """Go on reading there. Without effect for a partition that is not assigned."""

    async def commit(self, offsets: Mapping[Partition, Committed]) -> None:
        """Keep this for the group. Raises `CommitRefusedError`, or `StreamError` when its fate is not known."""

    async def committed(self, partitions: Collection[Partition]) -> Mapping[Partition, Committed]:
        """What was committed last, by any member of the group; partitions without a commit are left out."""

    async def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """The offset behind the last record of each partition that a reader may see."""

    async def aclose(self) -> None:
        """Leave. The listener is not called, nothing is committed."""


class Sink(Protocol):
    """Writes records."""

    async def start(self) -> Self:
        """Connect. Raises `StreamError`."""

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Return when every record is acknowledged. Order within a partition is kept.

        Raises `StreamError` when one was refused; then any part of the others may have been written, and
        sending again writes them twice.
        """

    async def aclose(self) -> None:
        """Disconnect; what was not acknowledged is lost."""


@runtime_checkable
class Ledger(Protocol):
    """Writes results of a partition and keeps how far it is done, both or neither, for one writer at a time."""

    async def claim(self, partition: Partition) -> Committed | None:
        """Lock every earlier writer of the partition out, and say what is kept of it; null for nothing.

        What an earlier writer had begun is by then either kept or undone. Raises `StreamError`.
        """

    async def retain(self, partitions: Collection[Partition]) -> None:
        """Let go of all others; they are somebody else's, and nothing that is done here may disturb that one."""

    async def append(self, partition: Partition, records: Sequence[Outgoing], mark: Committed) -> None:
        """Write all records and keep the mark, or do nothing of it.

        Raises `FencedError` when somebody else has claimed the partition, `RecordRefusedError` for a record that
        can never be written, `StreamError` when the outcome is not known: only a new claim tells. After any of
        them the partition must be claimed anew.
        """

    async def aclose(self) -> None:
        """Let go of every partition; nothing that was begun stays open."""
