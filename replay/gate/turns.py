"""Turns of conversations as rows: what each side showed of each signal, at both ends of what is not known for sure.

A row is one turn in one sample: the candidate's replay, its twin in the baseline lane, and what production itself had
done. The rows of one sample stand together and make an arm, the arms of one conversation its vote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple, TypeAlias

import numpy as np

from comparators.spec import Bools, Floats, Ints
from replay.gate.ballot import BLAMELESS, Ballot, worst_of
from replay.gate.signals import Signal

#: The ballots of one conversation, in source order, each comparison once.
Ballots: TypeAlias = Sequence[Ballot]
Values: TypeAlias = tuple[float | None, ...]

#: The class of failure of a replay of which no record came.
ABSENT = "absent"


class Turn(NamedTuple):
    """`ours` and `theirs` are null where no record came. `served`: what production had done, by signal."""

    ours: Ballot | None
    theirs: Ballot | None
    served: Values
    laned: bool

    @property
    def alike(self) -> bool:
        """Both replays failed in the same way: that says nothing of the candidate."""
        failure = failure_of(self.ours)
        return self.laned and failure is not None and failure == failure_of(self.theirs)

    @property
    def excused(self) -> bool:
        """The candidate's replay failed through no doing of its own, and no twin tells what it met."""
        return not self.laned and failure_of(self.ours) in BLAMELESS


def failure_of(ballot: Ballot | None) -> str | None:
    """The class of failure of a replay; null of one that was scored."""
    return ABSENT if ballot is None else ballot.failed


def turns_of(ballots: Ballots) -> list[list[Turn]]:
    """The turns of a conversation, sample by sample.

    Each lane has every sample and every turn that anybody has: what is not there has failed. A conversation without
    any ballot of the baseline's was not drawn for the lane. Of two revisions of a turn the first counts.
    """
    laned = any(ballot.lane == "baseline" for ballot in ballots)
    found = {(ballot.lane, ballot.sample, ballot.trace_id): ballot for ballot in reversed(ballots)}
    served = {ballot.trace_id: ballot.production for ballot in reversed(ballots)}
    requests = dict.fromkeys(ballot.trace_id for ballot in ballots)
    return [
        [
            Turn(found.get(("candidate", sample, it)), found.get(("baseline", sample, it)), served[it], laned)
            for it in requests
        ]
        for sample in sorted({ballot.sample for ballot in ballots})
    ]


class Bounds(NamedTuple):
    """What signals are at least, and at most, float64[rows or arms, signals]: the same where they are known."""

    low: Floats
    high: Floats

    def of(self, signals: Ints) -> Bounds:
        return Bounds(self.low[:, signals], self.high[:, signals])

    def of_arms(self, arms: Ints) -> Bounds:
        return Bounds(self.low[arms], self.high[arms])


class Sides(NamedTuple):
    """Bounds of the candidate, of the lane and of production."""

    ours: Bounds
    theirs: Bounds
    served: Bounds


class Shown(NamedTuple):
    """Events that a lane showed for sure and that neither the other lane nor production did: bool[rows, signals]."""

    ours: Bools
    theirs: Bools


class _State(IntEnum):
    SCORED = 0
    OPEN = 1  # it may have been anything
    WORST = 2
    MOOT = 3  # it counts for neither side


class Rows:
    """The turns of all arms, one behind the other. `arms`: the first row of each, int64[arms]."""

    def __init__(self, arms: Sequence[Sequence[Turn]], signals: Sequence[Signal]) -> None:
        self.turns = [turn for arm in arms for turn in arm]
        self.arms: Ints = np.cumsum([0, *map(len, arms)], dtype=np.int64)[:-1]
        self._worst: Floats = np.array([worst_of(signal) for signal in signals])
        self._adds_up: Bools = np.array([signal.adds_up for signal in signals], np.bool_)
        self._conditional: Bools = np.array([signal.conditional for signal in signals], np.bool_)
        self._ours = self._values(None if turn.ours is None else turn.ours.values for turn in self.turns)
        self._theirs = self._values(None if turn.theirs is None else turn.theirs.values for turn in self.turns)
        #: What production had done, NaN where it is not known, float64[rows, signals].
        self.served = self._values(turn.served for turn in self.turns)

    def flag(self, holds: Callable[[Turn], bool]) -> Bools:
        """Of which turns something holds, bool[rows]."""
        return np.fromiter(map(holds, self.turns), np.bool_, len(self.turns))

    def any_of_arm(self, rows: Bools) -> Bools:
        """Which arms hold such a row; of bool[rows, ...] bool[arms, ...]."""
        found: Bools = np.logical_or.reduceat(rows, self.arms, axis=0)
        return found

    def by_arm(self) -> Sides:
        """Of each arm the worst of its turns, or their sum where a signal adds up.

        A signal that is conditional asks nothing of a turn of which production's value is not known: an outcome is
        expected of the turn that ends a conversation.
        """
        asked = ~self._conditional | ~np.isnan(self.served)
        served = np.zeros(len(self.turns), np.int64)
        return Sides(
            self._gathered(self._ours, self._states(_state_of_ours), asked),
            self._gathered(self._theirs, self._states(_state_of_theirs), asked),
            self._gathered(self.served, served, asked),
        )

    def at_worst(self) -> Bounds:
        """A candidate that is at its worst in every arm."""
        worst = np.broadcast_to(self._worst, (len(self.arms), len(self._worst)))
        return Bounds(worst, worst)

    def shown(self) -> Shown:
        """Of events that must never happen. What a stub may have brought about was not shown for sure."""
        ours, theirs = (np.nan_to_num(values) > 0 for values in (self._ours, self._theirs))
        ours_sure = self.flag(lambda turn: turn.ours is not None and turn.ours.sure)[:, np.newaxis]
        theirs_sure = self.flag(lambda turn: turn.theirs is not None and turn.theirs.sure)[:, np.newaxis]
        elsewhere = np.nan_to_num(self.served) > 0
        return Shown(ours & ours_sure & ~theirs & ~elsewhere, theirs & theirs_sure & ~ours & ~elsewhere)

    def _values(self, given: Iterable[Values | None]) -> Floats:
        unknown = (None,) * len(self._worst)
        return np.array([unknown if it is None else it for it in given], np.float64).reshape(-1, len(self._worst))

    def _states(self, state_of: Callable[[Turn], _State]) -> Ints:
        return np.fromiter(map(state_of, self.turns), np.int64, len(self.turns))

    def _gathered(self, values: Floats, states: Ints, asked: Bools) -> Bounds:
        state = np.where(asked, states[:, np.newaxis], _State.MOOT)
        known = (state == _State.SCORED) & ~np.isnan(values)
        low = np.where(known, values, np.where(state == _State.WORST, self._worst, 0.0))
        high = np.where(known, values, np.where(state == _State.MOOT, 0.0, self._worst))
        return Bounds(self._of_arms(low), self._of_arms(high))

    def _of_arms(self, rows: Floats) -> Floats:
        worst, total = (gather.reduceat(rows, self.arms, axis=0) for gather in (np.maximum, np.add))
        found: Floats = np.where(self._adds_up, total, worst)
        return found


def _state_of_ours(turn: Turn) -> _State:
    """A replay that is missing scores worst, unless it is excused: then it may have been anything."""
    if turn.alike:
        return _State.MOOT
    if failure_of(turn.ours) is not None:
        return _State.OPEN if turn.excused else _State.WORST
    return _State.OPEN if turn.ours is not None and turn.ours.guessed else _State.SCORED


def _state_of_theirs(turn: Turn) -> _State:
    """Of a replay of the baseline that is missing nothing is known, which must not be to the candidate's advantage."""
    if turn.alike:
        return _State.MOOT
    return _State.SCORED if turn.theirs is not None and not (turn.theirs.failed or turn.theirs.guessed) else _State.OPEN
