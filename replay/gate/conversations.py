"""Conversations of one partition, put together from ballots in source order and closed in event time.

A conversation is closed when its partition's clock has gone on by `idle` since its last turn, or by `max_age` since
its first. Which turns count is thereby decided by the records alone, never by when somebody read them. Turns that come
later are counted, and change no vote; of a turn that comes again while its conversation is open the first counts.

The clock is the latest time at which production served a request of the partition. A step of more than `idle`, and the
first one, waits for the next request to confirm it, and is as long as both say: a time that is wrong moves nothing.
Two in a row from the future close what is open, one from the past among the first two what these have opened; and
clocks that differ by less than `idle` are taken at their word.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import takewhile
from typing import NamedTuple

from replay.gate.ballot import Ballot

_SECOND_NS = 1_000_000_000


class Place(NamedTuple):
    """Where a ballot is kept in its partition."""

    offset: int
    comparison_id: str


@dataclass(frozen=True, slots=True)
class Closing:
    """When a conversation is over, in seconds of event time; and how many may be open before the oldest must go."""

    idle: float
    max_age: float
    max_open: int = 50_000


@dataclass(slots=True)
class Changes:
    """What happened since somebody last wrote it down; enough to go on from after a restart.

    `entered`: ballots that wait. `taken`: those whose turn has come, with the partition's clock at it. `closed`:
    digests of conversations that are over. `dropped`: ballots that are not needed any more.
    """

    entered: list[Ballot] = field(default_factory=list)
    taken: dict[Place, int] = field(default_factory=dict)
    closed: list[bytes] = field(default_factory=list)
    dropped: list[Place] = field(default_factory=list)


@dataclass(slots=True)
class _Open:
    """`first` and `last`: what the partition's clock was at the first and the last turn. `ids`: of its ballots."""

    ballots: list[Ballot]
    first: int
    last: int
    ids: set[str] = field(default_factory=set)

    def add(self, turn: Sequence[Ballot], clock: int) -> None:
        self.ballots += turn
        self.ids.update(ballot.comparison_id for ballot in turn)
        self.last = clock

    def since(self, offset: int) -> list[Ballot]:
        """The ballots from there on; a few at the end."""
        return list(takewhile(lambda ballot: ballot.offset >= offset, reversed(self.ballots)))


class Step(NamedTuple):
    """A time that nobody has confirmed, and the source offset from which on it would be the time of a turn."""

    at: int
    offset: int


@dataclass(slots=True)
class Conversations:
    """`late`: turns of conversations that were closed before; `duplicates`: ballots that an open one has already.
    `clock`: nanoseconds since the epoch, 0 until it goes. Every turn costs the same, however many are open.
    """

    closing: Closing
    late: int = 0
    duplicates: int = 0
    clock: int = 0
    doubted: Step | None = None
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
            self._tell(first.at, first.offset)
        yield from self._over()
        self._take(turn)
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

    def _tell(self, at: int, offset: int) -> None:
        doubted, self.doubted = self.doubted, None
        if doubted is not None and self._is_far(at):
            self._step(Step(min(doubted.at, at), doubted.offset))
        if self._is_far(at):
            self.doubted = Step(at, offset if self.clock else 0)
        else:
            self.clock = max(self.clock, at)

    def _is_far(self, at: int) -> bool:
        return not self.clock or at - self.clock > int(self.closing.idle * _SECOND_NS)

    def _step(self, to: Step) -> None:
        """The turns since then were taken by the old clock: they came at this one."""
        self.clock = to.at
        for held in takewhile(lambda held: held.ballots[-1].offset >= to.offset, reversed(self._open.values())):
            held.last = to.at
            if held.ballots[0].offset >= to.offset:
                held.first = to.at
            self._take(held.since(to.offset))

    def _take(self, turn: Iterable[Ballot]) -> None:
        if self.changes is not None:
            self.changes.taken.update((_place(ballot), self.clock) for ballot in turn)

    def _join(self, key: str, turn: Sequence[Ballot]) -> None:
        if key not in self._open:
            self._open[key] = _Open([], self.clock, self.clock)
            self._begun.append(key)
        held = self._open[key]
        again = [ballot for ballot in turn if ballot.comparison_id in held.ids]
        self.duplicates += len(again)
        self._drop(again)
        if len(again) < len(turn):
            held.add([ballot for ballot in turn if ballot.comparison_id not in held.ids], self.clock)
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
            self.changes.dropped += map(_place, ballots)

    def restore(self, closed: Iterable[bytes], taken: Iterable[tuple[int, Ballot]]) -> None:
        """Go on where somebody stopped: `taken` are the ballots of open conversations, each with the clock it met."""
        self._closed.update(closed)
        for clock, ballot in sorted(taken, key=lambda it: (it[1].offset, it[0])):
            held = self._open.setdefault(ballot.key, _Open([], clock, clock))
            held.add([ballot], clock)
            self._open.move_to_end(ballot.key)
        self._begun.extend(sorted(self._open, key=lambda key: self._open[key].ballots[0].offset))


def _place(ballot: Ballot) -> Place:
    return Place(ballot.offset, ballot.comparison_id)


def _digest(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=12).digest()
