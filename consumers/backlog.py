"""What was read and has not ended: bounded in records and in bytes, which is where back-pressure comes from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from consumers.offsets import Lease
from consumers.stream import Received
from replay.comparison import Comparison, DeadLetter

#: One poll takes no more, however much room there is: the loop stays responsive.
MOST_PER_POLL = 500
#: Before any size is known, a poll takes as if so many records filled the room. Later, the largest of the last ones
#: counts, forgotten by this factor per record.
_FIRST_POLL = 8
_FORGET = 0.97


@dataclass(slots=True, eq=False)
class Reading:
    """A record that was read, and what became of it. `left`: units of it that have not ended; `since`: monotonic
    seconds. It has ended when none is left; it is finished when what came of it is written.
    """

    record: Received
    lease: Lease
    since: float
    left: int = 1
    #: "admitted", why it was refused, or "dead_letter" with its stage. A window tells of it.
    outcome: str = ""
    comparisons: list[Comparison] = field(default_factory=list)
    letter: DeadLetter | None = None

    @property
    def offset(self) -> int:
        return self.record.offset

    @property
    def was_finished(self) -> bool:
        """By an earlier start, which a window reads once more to count it."""
        kept = self.lease.kept
        return kept is not None and (self.offset < kept.offset or self.offset in self.lease.done_before)


@dataclass(slots=True)
class Backlog:
    """At most `max_records`, and about `max_bytes` of records as they were read: a poll may bring one too many."""

    max_records: int
    max_bytes: int
    bytes: int = 0
    _open: dict[Reading, None] = field(default_factory=dict)
    _largest: float = field(init=False)

    def __post_init__(self) -> None:
        self._largest = self.max_bytes / _FIRST_POLL

    def __len__(self) -> int:
        return len(self._open)

    @property
    def room(self) -> int:
        """How many records may be polled; 0 when it is full."""
        if len(self._open) >= self.max_records or self.bytes >= self.max_bytes:
            return 0
        by_size = int((self.max_bytes - self.bytes) / self._largest)
        return max(1, min(self.max_records - len(self._open), by_size, MOST_PER_POLL))

    @property
    def oldest_since(self) -> float | None:
        """When the oldest record in it was read."""
        return next(iter(self._open)).since if self._open else None

    def enter(self, record: Received, lease: Lease, *, now: float) -> Reading:
        reading = Reading(record, lease, now)
        self._open[reading] = None
        self.bytes += record.size
        self._largest = max(record.size, _FORGET * self._largest)
        return reading

    def end(self, reading: Reading) -> None:
        """It needs its room no longer, nor its bytes. Without effect for one that was dropped."""
        if reading in self._open:
            self._leave(reading)
            reading.record = replace(reading.record, value=b"")

    def drop_lost(self) -> None:
        """Forget what belongs to somebody else by now."""
        for reading in [reading for reading in self._open if reading.lease.lost]:
            self._leave(reading)

    def _leave(self, reading: Reading) -> None:
        del self._open[reading]
        self.bytes -= reading.record.size
