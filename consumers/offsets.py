"""What of a partition is finished: records end in any order, their offsets are committed in order.

`Tracker` is the bookkeeping, pure; it knows only offsets that were begun, so gaps (transaction markers, compaction)
need no care. A `Lease` is one assignment of one partition: what was begun under it is dropped when it is lost, and
goes on when the partition is kept through a rebalance.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import anyio

from consumers.stream import Committed, Partition


class Tracker:
    """Begun and finished offsets. Every operation takes constant time, amortised, but for `done_beyond`.

    `done`: offsets that an earlier owner has finished, beyond where it had finished everything.
    """

    def __init__(self, done: Iterable[int] = ()) -> None:
        self._begun: deque[int] = deque()
        self._unfinished: set[int] = set()
        self._done_ahead: set[int] = set(done)
        self._position: int | None = None

    @property
    def watermark(self) -> int | None:
        """The first offset that is not finished: everything below is. Null before anything was read."""
        return self._begun[0] if self._begun else self._position

    @property
    def position(self) -> int | None:
        """Behind the last offset that was begun, or passed over."""
        return self._position

    @property
    def open(self) -> int:
        """Records begun and not finished."""
        return len(self._unfinished)

    @property
    def span(self) -> int:
        """How many offsets the last one begun is ahead of the first unfinished one."""
        return 0 if self._position is None or not self._begun else self._position - self._begun[0]

    @property
    def done_beyond(self) -> list[int]:
        """Offsets beyond the watermark that are finished, in order. Takes time in proportion to the span."""
        finished = [offset for offset in self._begun if offset not in self._unfinished]
        return finished + sorted(self._done_ahead)

    def begin(self, offset: int) -> bool:
        """False when there is nothing to do: it was begun before (a reader went back), or finished by another owner."""
        if self._position is not None and offset < self._position:
            return False
        self._begun.append(offset)
        self._position = offset + 1
        if offset in self._done_ahead:
            self._done_ahead.remove(offset)
            self._advance()
            return False
        self._unfinished.add(offset)
        return True

    def finish(self, offset: int) -> None:
        """Raises `ValueError` for an offset that was not begun or is finished: that would be our own mistake."""
        if offset not in self._unfinished:
            raise ValueError(f"offset {offset} is not open")
        self._unfinished.remove(offset)
        self._advance()

    def pass_to(self, position: int) -> None:
        """The reader has gone on to there: offsets that were not begun hold nothing for it."""
        if self._position is None or position > self._position:
            self._position = position
            self._done_ahead = {offset for offset in self._done_ahead if offset >= position}

    def _advance(self) -> None:
        while self._begun and self._begun[0] not in self._unfinished:
            self._begun.popleft()


#: Traces a lease remembers, to tell a copy: a producer that sends twice does so within seconds.
REMEMBERED = 100_000


@dataclass(slots=True, eq=False)
class Lease:
    """One partition, for one assignment. `kept` is what this group has committed of it, as far as known."""

    partition: Partition
    epoch: int
    kept: Committed | None = None
    #: Offsets beyond that one which were finished when the lease began.
    done_before: frozenset[int] = frozenset()
    tracker: Tracker = field(default_factory=Tracker)
    lost: bool = False
    _seen: dict[tuple[str, int], None] = field(default_factory=dict)
    _scopes: set[anyio.CancelScope] = field(default_factory=set)

    @property
    def committed(self) -> int | None:
        """The first offset that is not finished, as the group knows it."""
        return None if self.kept is None else self.kept.offset

    @property
    def to_commit(self) -> int | None:
        """A watermark beyond what was committed, or null: offsets never go back."""
        mark = self.tracker.watermark
        return mark if mark is not None and (self.committed is None or mark > self.committed) else None

    def repeats(self, trace_id: str, revision: int) -> bool:
        """Whether this trace was read under this lease before, among the last `REMEMBERED`."""
        identity = (trace_id, revision)
        if identity in self._seen:
            return True
        self._seen[identity] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return False

    def hold(self, scope: anyio.CancelScope) -> None:
        """Work that is worth nothing once the partition is somebody else's; it may be that already."""
        self._scopes.add(scope)
        if self.lost:
            scope.cancel()

    def release(self, scope: anyio.CancelScope) -> None:
        self._scopes.discard(scope)

    def lose(self) -> None:
        self.lost = True
        for scope in self._scopes:
            scope.cancel()


@dataclass(slots=True)
class Leases:
    """The partitions this reader owns. `epoch` counts assignments."""

    epoch: int = 0
    #: Assigned, and not usable: nobody could be asked for their offsets, or another writer has claimed them.
    unclaimed: set[Partition] = field(default_factory=set)
    _held: dict[Partition, Lease] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Lease]:
        return iter(self._held.values())

    def __len__(self) -> int:
        return len(self._held)

    def of(self, partition: Partition) -> Lease | None:
        return self._held.get(partition)

    def renew(self, kept: Collection[Lease], new: Collection[Lease], unclaimed: Collection[Partition] = ()) -> None:
        """A new assignment: `kept` go on as they are, `new` begin, everything else is lost."""
        self.epoch += 1
        for lease in self._held.values():
            if lease not in kept:
                lease.lose()
        self._held = {lease.partition: lease for lease in (*kept, *new)}
        self.unclaimed = set(unclaimed)

    def drop(self, lease: Lease) -> None:
        """Somebody else has claimed it, though the group says it is ours: its work is worth nothing."""
        lease.lose()
        if self._held.get(lease.partition) is lease:
            del self._held[lease.partition]
            self.unclaimed.add(lease.partition)

    def add(self, lease: Lease) -> None:
        """One more, within this assignment."""
        self._held[lease.partition] = lease
        self.unclaimed.discard(lease.partition)
