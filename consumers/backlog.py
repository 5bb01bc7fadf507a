"""What was read and is not finished: bounded in records and in bytes, which is where back-pressure comes from."""

from __future__ import annotations

from dataclasses import dataclass, field

from consumers.offsets import Lease
from consumers.stream import Received

#: One poll takes no more, however much room there is: the loop stays responsive.
MOST_PER_POLL = 500
#: Before any size is known, a poll takes as if so many records filled the room. Later, the largest of the last ones
#: counts, forgotten by this factor per record.
_FIRST_POLL = 8
_FORGET = 0.97


@dataclass(slots=True, eq=False)
class Reading:
    """A record that was read and is not finished. `left`: units of it that are not; `since`: monotonic seconds."""

    record: Received
    lease: Lease
    since: float
    left: int = 1
    outcomes: dict[str, str] = field(default_factory=dict)


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

    def finish(self, reading: Reading) -> None:
        """Its offset counts as finished. Without effect for one that was dropped."""
        if reading in self._open:
            reading.lease.tracker.finish(reading.record.offset)
            self._leave(reading)

    def drop_lost(self) -> None:
        """Forget what belongs to somebody else by now."""
        for reading in [reading for reading in self._open if reading.lease.lost]:
            self._leave(reading)

    def _leave(self, reading: Reading) -> None:
        del self._open[reading]
        self.bytes -= reading.record.size
