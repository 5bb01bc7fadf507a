"""A conversation's vote: how much worse the candidate was than the bundle in production, metric by metric.

The worst of its turns speaks for a conversation, on either side, and the sum of what adds up: money, tokens, minutes.
Where something is not known for sure, the vote has two ends, and the gate looks at both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from comparators.spec import Bools, Floats, Ints
from replay.gate.ballot import MOST_SEVERE, Ballot
from replay.gate.config import Gate
from replay.gate.questions import Questions, Yardstick
from replay.gate.signals import Signal, signal_of
from replay.gate.turns import ABSENT, Ballots, Bounds, Rows, Sides, Turn, failure_of, turns_of


class Ends(NamedTuple):
    """Both ends of the difference of each metric, float64[metrics]. Where not `valid`, there is nothing to say."""

    low: Floats
    high: Floats
    valid: Bools


class Exemplar(NamedTuple):
    """A comparison that shows what a vote is about. The worst stands first: `rank` is 0 for the highest severity."""

    rank: int
    comparison_id: str


class Vote(NamedTuple):
    """`difference`: how much worse the candidate is; `placebo`: how much worse the baseline is than itself.

    `unknown` marks metrics that no sample has measured, stubs and failures apart, so that the difference may be
    anything. `uncalibrated` marks metrics that could be judged only against a baseline lane, and there is none.
    `hits` marks events that must never happen and were seen to, `lane_hits` those that the lane showed instead: a
    replay that is missing scores worst, and has shown none. `excused`: the candidate's replay failed through no doing
    of its own, and had no twin that would tell what it met.
    `failure`: the class of the candidate's first failure. `headroom`: the difference that a candidate would have had
    that was at its worst, float64[metrics], where valid.
    """

    key: str
    offset: int
    at: int | None
    difference: Ends
    placebo: Ends
    unknown: Bools
    uncalibrated: Bools
    hits: Bools
    lane_hits: Bools
    laned: bool
    failed: bool
    failed_alike: bool
    excused: bool
    guessed: bool
    cohort: tuple[tuple[str, str], ...]
    exemplar: Exemplar
    turns: int
    headroom: Floats
    failure: str | None = None


@dataclass(frozen=True)
class Ballotbox:
    """Counts the ballots of whole conversations, for one gate."""

    gate: Gate

    @cached_property
    def signals(self) -> tuple[Signal, ...]:
        found = [signal_of(name, self.gate.minutes) for name in self.gate.signals]
        return tuple(signal for signal in found if signal is not None)

    @cached_property
    def _questions(self) -> Questions:
        return Questions(self.gate, self.signals)

    def count(self, ballots: Ballots) -> Vote:
        """The vote of one conversation from all its ballots."""
        return self.count_all([ballots])[0]

    def count_all(self, conversations: Sequence[Ballots]) -> list[Vote]:
        """The votes of conversations from all their ballots; of those with one id, as a trace that was sent twice has
        them, the first counts. At least one of each is the candidate's.
        """
        if not conversations:
            return []
        return _Count(self._questions, self.signals, [_once(ballots) for ballots in conversations]).votes()


def _once(every: Ballots) -> Ballots:
    found: dict[str, Ballot] = {}
    for ballot in every:
        found.setdefault(ballot.comparison_id, ballot)
    return list(found.values())


class _Count:
    """Conversations as arrays. What is said of them is of shape [votes, metrics]."""

    def __init__(self, questions: Questions, signals: Sequence[Signal], conversations: Sequence[Ballots]) -> None:
        self._questions, self._conversations = questions, conversations
        samples = [turns_of(ballots) for ballots in conversations]
        self._rows = Rows([arm for arms in samples for arm in arms], signals)
        #: How many arms each vote has, and the first of them.
        self._samples: Ints = np.array([len(arms) for arms in samples], np.int64)
        self._first: Ints = np.cumsum(self._samples) - self._samples
        self._laned = np.array([arms[0][0].laned for arms in samples], np.bool_)
        drawing = [any(ballot.lane_probability > 0 for ballot in ballots) for ballots in conversations]
        self._drawing = np.array(drawing, np.bool_)[:, np.newaxis]
        served = ~np.isnan(self._rows.served[:, questions.places])
        #: Of which production's value is known in some turn, and of which a metric asks anything.
        self._served = self._any_of_vote(served)
        self._asked = ~questions.conditional | self._served

    def votes(self) -> list[Vote]:
        sides = self._rows.by_arm()
        yardstick = self._yardstick(sides)
        difference, open_yet = self._difference(sides.ours, yardstick)
        headroom, _ = self._difference(self._rows.at_worst(), yardstick)
        guessed, excused = self._any(_is_guessed), self._any(_is_excused)
        marks = (
            difference.valid & open_yet & ~(guessed | excused)[:, np.newaxis],
            self._asked & ~difference.valid & ~self._drawing,
            *self._hits(),
        )
        told = (self._laned, self._any(_has_failed), self._any(_is_alike), excused, guessed)
        each = zip(
            self._conversations,
            zip(_one_by_one(difference), _one_by_one(self._placebo(sides)), headroom.high, strict=True),
            zip(*marks, strict=True),
            zip(*(flag.tolist() for flag in told), strict=True),
            strict=True,
        )
        return [_vote(*of_one) for of_one in each]

    # -- against what -----------------------------------------------------------------------------------------------

    def _yardstick(self, sides: Sides) -> Yardstick:
        """The lane; without one production, and for what must never happen its absence."""
        laned = np.repeat(self._laned, self._samples)
        none = Bounds(*(np.zeros_like(end) for end in sides.served))
        return Yardstick(_either(laned, sides.theirs, sides.served), _either(laned, sides.theirs, none))

    def _difference(self, ours: Bounds, yardstick: Yardstick) -> tuple[Ends, Bools]:
        """The mean over all samples; and where none of them has measured it.

        A conversation that was not drawn for the lane has no say where the lane is the measure.
        """
        found = self._questions.between(ours, yardstick)
        counts = self._rows.any_of_arm(~self._rows.flag(_is_alike))[:, np.newaxis]
        low, high = (np.where(counts, end, 0.0) for end in found)
        valid = self._asked & (self._laned[:, np.newaxis] | self._can_do_without())
        open_yet: Bools = np.logical_and.reduceat(high > low, self._first, axis=0)
        return Ends(self._mean(low), self._mean(high), valid), open_yet

    def _can_do_without(self) -> Bools:
        """Of which votes a metric can be judged beside no lane."""
        asks = self._questions
        return asks.never | (asks.own & (~asks.timed | self._served) & ~self._drawing)

    def _placebo(self, sides: Sides) -> Ends:
        """The lane against itself: its first two samples, or else events in production and in its replay.

        Quantities are left out there: production's were measured elsewhere, at another time.
        """
        twice = self._samples > 1
        one, other = self._first, self._first + twice
        twin = _either(twice, sides.theirs.of_arms(other), sides.served.of_arms(one))
        found = self._questions.between(sides.theirs.of_arms(one), Yardstick(twin, twin))
        failed = self._rows.any_of_arm(self._rows.flag(_has_failed_there))
        usable = self._laned & ~failed[one] & ~failed[other]
        comparable = np.where(twice[:, np.newaxis], ~self._questions.never, self._questions.repeated)
        valid = self._asked & usable[:, np.newaxis] & comparable
        low, high = (np.where(valid, end, 0.0) for end in found)
        return Ends(low, high, valid)

    def _hits(self) -> tuple[Bools, Bools]:
        asks, shown = self._questions, self._rows.shown()
        ours, theirs = (self._any_of_vote(rows[:, asks.places]) & asks.never for rows in shown)
        return ours, theirs & self._laned[:, np.newaxis]

    # -- arms and votes ----------------------------------------------------------------------------------------------

    def _mean(self, arms: Floats) -> Floats:
        found: Floats = np.add.reduceat(arms, self._first, axis=0) / self._samples[:, np.newaxis]
        return found

    def _any_of_vote(self, rows: Bools) -> Bools:
        found: Bools = np.logical_or.reduceat(self._rows.any_of_arm(rows), self._first, axis=0)
        return found

    def _any(self, holds: Callable[[Turn], bool]) -> Bools:
        return self._any_of_vote(self._rows.flag(holds))


def _one_by_one(votes: Ends) -> Iterator[Ends]:
    return map(Ends._make, zip(*votes, strict=True))


def _either(first: Bools, one: Bounds, other: Bounds) -> Bounds:
    chosen = first[:, np.newaxis]
    return Bounds(np.where(chosen, one.low, other.low), np.where(chosen, one.high, other.high))


def _is_guessed(turn: Turn) -> bool:
    return any(ballot is not None and ballot.guessed for ballot in (turn.ours, turn.theirs))


def _is_excused(turn: Turn) -> bool:
    return turn.excused


def _is_alike(turn: Turn) -> bool:
    return turn.alike


def _has_failed(turn: Turn) -> bool:
    return failure_of(turn.ours) is not None


def _has_failed_there(turn: Turn) -> bool:
    return failure_of(turn.theirs) is not None


def _vote(
    ballots: Ballots,
    ends: tuple[Ends, Ends, Floats],
    marks: tuple[Bools, Bools, Bools, Bools],
    told: tuple[bool, bool, bool, bool, bool],
) -> Vote:
    last, worst = ballots[-1], max(ballots, key=lambda it: (it.lane == "candidate", it.severity))
    difference, placebo, headroom = ends
    unknown, uncalibrated, hits, lane_hits = marks
    laned, failed, failed_alike, excused, guessed = told
    return Vote(
        key=last.key,
        offset=last.offset,
        at=max((ballot.at for ballot in ballots if ballot.at is not None), default=None),
        difference=difference,
        placebo=placebo,
        unknown=unknown,
        uncalibrated=uncalibrated,
        hits=hits,
        lane_hits=lane_hits,
        laned=laned,
        failed=failed,
        failed_alike=failed_alike,
        excused=excused,
        guessed=guessed,
        cohort=tuple(sorted({each for ballot in ballots for each in ballot.cohort})),
        exemplar=Exemplar(MOST_SEVERE - worst.severity, worst.comparison_id),
        turns=len({ballot.trace_id for ballot in ballots}),
        headroom=headroom,
        failure=next((it.failed for it in ballots if it.failed and it.lane == "candidate"), ABSENT) if failed else None,
    )
