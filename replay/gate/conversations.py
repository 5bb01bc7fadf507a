"""Conversations of one partition, put together from ballots in source order and closed in event time.

A conversation is closed when its partition's clock, the latest time at which production served a request of it, has
gone on by `idle` since its last turn, or by `max_age` since its first. Which turns count is thereby decided by the
records alone, never by when somebody read them. Turns that come later are counted, and change no vote.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from replay.gate.ballot import Ballot

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Closing:
    """When a conversation is over, in seconds of event time; and how many may be open before the oldest must go."""

    idle: float
    max_age: float
    max_open: int = 50_000


@dataclass(slots=True)
class Changes:
    """What happened since somebody last wrote it down; enough to go on from after a restart.

    `entered`: ballots that wait. `taken`: the partition's clock at each source offset whose turn has come. `closed`:
    digests of conversations that are over. `dropped`: source offsets whose ballots are not needed any more.
    """

    entered: list[Ballot] = field(default_factory=list)
    taken: dict[int, int] = field(default_factory=dict)
    closed: list[bytes] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Open:
    """`first` and `last`: what the partition's clock was at the first and the last turn."""

    ballots: list[Ballot]
    first: int
    last: int


@dataclass(slots=True)
class Conversations:
    """`late`: turns of conversations that were closed before. Every turn costs the same, however many are open."""

    closing: Closing
    late: int = 0
    clock: int = 0
    changes: Changes | None = None
    #: By the last turn, and by the first: who is idle, and who is too old, stands in front.
    _open: OrderedDict[str, _Open] = field(default_factory=OrderedDict)
    _begun: deque[str] = field(default_factory=deque)
    #: Digests of what was closed: one vote each, however long the run.
    _closed: set[bytes] = field(default_factory=set)

    @property
    def open(self) -> int:
        return len(self._open)

    def enter(self, turn: Sequence[Ballot]) -> Iterator[list[Ballot]]:
        """Take all ballots of one trace, and give those of every conversation that is over by then."""
        first = turn[0]
        if first.at is not None:
            self.clock = max(self.clock, first.at)
        yield from self._over()
        if self.changes is not None:
            self.changes.taken[first.offset] = self.clock
        if _digest(first.key) in self._closed:
            self.late += 1
            self._drop(turn)
        elif first.conversation is None:
            yield self._close(first.key, list(turn))
        else:
            self._join(first.key, turn)

    def close_all(self) -> Iterator[list[Ballot]]:
        """The source is at its end."""
        self._begun.clear()
        while self._open:
            key, held = self._open.popitem(last=False)
            yield self._close(key, held.ballots)

    def _join(self, key: str, turn: Sequence[Ballot]) -> None:
        if key not in self._open:
            self._open[key] = _Open([], self.clock, self.clock)
            self._begun.append(key)
        held = self._open[key]
        held.ballots += turn
        held.last = self.clock
        self._open.move_to_end(key)

    def _over(self) -> Iterator[list[Ballot]]:
        idle, age = (int(seconds * _SECOND_NS) for seconds in (self.closing.idle, self.closing.max_age))
        while self._open and self.clock - next(iter(self._open.values())).last > idle:
            key, held = self._open.popitem(last=False)
            yield self._close(key, held.ballots)
        while self._begun and self._is_done(self._begun[0], age):
            found = self._open.pop(self._begun.popleft(), None)
            if found is not None:
                yield self._close(found.ballots[0].key, found.ballots)

    def _is_done(self, key: str, age: int) -> bool:
        """Closed before, older than may be, or the oldest of too many."""
        held = self._open.get(key)
        return held is None or self.clock - held.first > age or len(self._open) > self.closing.max_open

    def _close(self, key: str, ballots: list[Ballot]) -> list[Ballot]:
        self._closed.add(_digest(key))
        if self.changes is not None:
            self.changes.closed.append(_digest(key))
        self._drop(ballots)
        return ballots

    def _drop(self, ballots: Iterable[Ballot]) -> None:
        if self.changes is not None:
            self.changes.dropped += {ballot.offset for ballot in ballots}

    def restore(self, closed: Iterable[bytes], taken: Iterable[tuple[int, Ballot]]) -> None:
        """Go on where somebody stopped: `taken` are the ballots of open conversations, each with the clock it met."""
        self._closed.update(closed)
        for clock, ballot in sorted(taken, key=lambda it: (it[1].offset, it[0])):
            held = self._open.setdefault(ballot.key, _Open([], clock, clock))
            held.ballots.append(ballot)
            held.last = clock
            self._open.move_to_end(ballot.key)
        self._begun.extend(sorted(self._open, key=lambda key: self._open[key].ballots[0].offset))


def _digest(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=12).digest()
