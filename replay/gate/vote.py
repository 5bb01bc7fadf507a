"""A conversation's vote: how much worse the candidate was than the bundle in production, metric by metric.

The worst of its turns speaks for a conversation, on either side. Where something is not known for sure, the vote has
two ends, and the gate looks at both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from math import fsum
from typing import NamedTuple, TypeAlias

import numpy as np

from comparators.spec import Bools, Floats
from replay.comparison import Lane
from replay.gate.ballot import BLAMELESS, Ballot, Bounds, bounds_of, known_or_not, worst_of
from replay.gate.config import Gate, Kind, Metric
from replay.gate.signals import Signal, signal_of

#: How much worse `candidate` is than `baseline`, from -1 to 1: rises with the first, falls with the second.
Difference: TypeAlias = Callable[[Metric, float, float], float]


def _plain(_: Metric, candidate: float, baseline: float) -> float:
    return candidate - baseline


def _exceeds(metric: Metric, candidate: float, baseline: float) -> float:
    threshold = metric.threshold or 0.0
    return float(candidate > threshold) - float(baseline > threshold)


def _capped(metric: Metric, candidate: float, baseline: float) -> float:
    """Mean at most (1 + rel_margin) times the baseline's, as a mean that is at most 0."""
    cap, dearer = metric.cap or 1.0, 1.0 + (metric.rel_margin or 0.0)
    return (min(candidate, cap) - dearer * min(baseline, cap)) / (dearer * cap)


def _larger(metric: Metric, candidate: float, baseline: float) -> float:
    """A sign: 1 when it is larger by more than the margin. Its mean is above 0 when most are."""
    return 1.0 if candidate > (1.0 + (metric.rel_margin or 0.0)) * baseline else -1.0


def _net(_: Metric, candidate: float, baseline: float) -> float:
    """An event that the baseline's own replay does not have."""
    return max(0.0, candidate - baseline)


DIFFERENCES: Mapping[Kind, Difference] = {
    "paired_binary": _plain,
    "paired_bounded": _plain,
    "paired_exceedance": _exceeds,
    "paired_mean_capped": _capped,
    "paired_sign": _larger,
    "zero_tolerance": _net,
}


class Ends(NamedTuple):
    """Both ends of the difference of each metric, float64[metrics]. Where not `valid`, there is nothing to say."""

    low: Floats
    high: Floats
    valid: Bools


class Vote(NamedTuple):
    """`difference`: how much worse the candidate is; `placebo`: how much worse the baseline is than itself.

    `unknown` marks metrics that could not be measured, stubs and failures apart, so that a difference may be anything.
    `excused`: the candidate's replay failed through no doing of its own, and had no twin that would tell what it met.
    `uncalibrated` marks metrics that could be judged only against a baseline lane, and there is none. `hits` marks
    events that must never happen and were seen to: a replay that is missing scores worst, and has shown none.
    `failure`: the class of the candidate's first failure.
    """

    key: str
    offset: int
    at: int | None
    difference: Ends
    placebo: Ends
    unknown: Bools
    uncalibrated: Bools
    hits: Bools
    laned: bool
    failed: bool
    failed_alike: bool
    excused: bool
    guessed: bool
    cohort: tuple[tuple[str, str], ...]
    exemplar: str
    turns: int
    failure: str | None = None


#: The class of failure of a replay of which no record came.
_ABSENT = "absent"


class _Arm(NamedTuple):
    """One lane and sample of a conversation: bounds per signal, and the first class of failure among its turns."""

    bounds: tuple[Bounds, ...]
    failed: str | None
    guessed: bool


#: Of a turn that a signal does not ask.
_NOTHING = Bounds(0.0, 0.0)


@dataclass(frozen=True)
class Ballotbox:
    """Counts the ballots of whole conversations, for one gate."""

    gate: Gate

    @cached_property
    def signals(self) -> tuple[Signal, ...]:
        found = [signal_of(name, self.gate.minutes) for name in self.gate.signals]
        return tuple(signal for signal in found if signal is not None)

    @cached_property
    def _places(self) -> tuple[int, ...]:
        """Where the signal of each metric stands."""
        names = list(self.gate.signals)
        return tuple(names.index(metric.measured) for metric in self.gate.metrics)

    @cached_property
    def _worst(self) -> tuple[float, ...]:
        return tuple(worst_of(signal) for signal in self.signals)

    def count(self, every: Sequence[Ballot]) -> Vote:
        """The vote of a conversation from all its ballots; of those with one id, as a trace that was sent twice has
        them, the first. At least one is the candidate's.
        """
        ballots = list({ballot.comparison_id: ballot for ballot in reversed(every)}.values())[::-1]
        twinned = any(ballot.lane == "baseline" for ballot in ballots)
        ours = self._arms(ballots, "candidate", twinned=twinned)
        theirs = self._arms(ballots, "baseline", twinned=twinned)
        alike = [arm.failed is not None and _failed(theirs, sample) == arm.failed for sample, arm in ours.items()]
        found = [self._difference(row, ballots, ours, theirs) for row in range(len(self.gate.metrics))]
        guessed = any(arm.guessed for arm in (*ours.values(), *theirs.values()))
        excused = not twinned and any(arm.failed in BLAMELESS for arm in ours.values())
        difference = _ends(found)
        laned = any(ballot.lane_probability > 0 for ballot in ballots)
        last, worst = ballots[-1], max(ballots, key=lambda it: (it.lane == "candidate", it.severity))
        return Vote(
            key=last.key,
            offset=last.offset,
            at=max((ballot.at for ballot in ballots if ballot.at is not None), default=None),
            difference=difference,
            placebo=_ends([self._placebo(row, ballots, theirs) for row in range(len(self.gate.metrics))]),
            unknown=difference.valid & (difference.high > difference.low) & (not guessed and not excused),
            uncalibrated=np.array(
                [it is None and not laned and not self._is_moot(row, ballots) for row, it in enumerate(found)], np.bool_
            ),
            hits=np.array([self._is_hit(row, ours, theirs) for row in range(len(found))], np.bool_),
            laned=bool(theirs),
            failed=any(arm.failed is not None for arm in ours.values()),
            failed_alike=any(alike),
            excused=excused,
            guessed=guessed,
            cohort=tuple(sorted({each for ballot in ballots for each in ballot.cohort})),
            exemplar=worst.comparison_id,
            turns=len({ballot.trace_id for ballot in ballots}),
            failure=next((arm.failed for arm in ours.values() if arm.failed is not None), None),
        )

    def _arms(self, ballots: Sequence[Ballot], lane: Lane, *, twinned: bool) -> dict[int, _Arm]:
        """By sample. Each lane has every sample and turn that anybody has; what is not there has failed.

        A baseline lane without any was not drawn.
        """
        mine = [ballot for ballot in ballots if ballot.lane == lane]
        samples = {ballot.sample for ballot in ballots} if mine or lane == "candidate" else set()
        turns = len({ballot.trace_id for ballot in ballots})
        return {
            sample: self._arm([it for it in mine if it.sample == sample], turns, twinned=twinned)
            for sample in sorted(samples)
        }

    def _arm(self, turns: Sequence[Ballot], expected: int, *, twinned: bool) -> _Arm:
        if len({turn.trace_id for turn in turns}) < expected:
            return _Arm(tuple(Bounds(worst, worst) for worst in self._worst), _ABSENT, guessed=False)
        each = [
            [
                bounds_of(value, turn, worst, twinned=twinned) if asked else _NOTHING
                for value, worst, asked in zip(turn.values, self._worst, self._asked(turn), strict=True)
            ]
            for turn in turns
        ]
        return _Arm(
            tuple(reduce(Bounds.worst_of, signal) for signal in zip(*each, strict=True)),
            next((turn.failed for turn in turns if turn.failed is not None), None),
            any(turn.guessed for turn in turns),
        )

    def _difference(
        self, row: int, ballots: Sequence[Ballot], ours: Mapping[int, _Arm], theirs: Mapping[int, _Arm]
    ) -> Bounds | None:
        metric, place = self.gate.metrics[row], self._places[row]
        against = None if self._is_moot(row, ballots) else self._against(metric, place, ballots, theirs)
        if against is None:
            return None
        return _mean([_between(metric, arm, against.get(sample), place) for sample, arm in ours.items()])

    def _asked(self, turn: Ballot) -> list[bool]:
        """By signal, whether this turn is asked: an outcome is expected of the turn that ends a conversation."""
        known = (value is not None for value in turn.production)
        return [not signal.conditional or it for signal, it in zip(self.signals, known, strict=True)]

    def _is_moot(self, row: int, ballots: Sequence[Ballot]) -> bool:
        """Whether a metric asks what this conversation has no answer to, on whatever side."""
        place = self._places[row]
        return self.signals[place].conditional and all(ballot.production[place] is None for ballot in ballots)

    def _is_hit(self, row: int, ours: Mapping[int, _Arm], theirs: Mapping[int, _Arm]) -> bool:
        """Whether any of the samples has an event that must never happen, and its twin has not."""
        metric, place = self.gate.metrics[row], self._places[row]
        if metric.kind != "zero_tolerance":
            return False
        seen = [(arm, theirs.get(sample)) for sample, arm in ours.items() if arm.failed is None]
        return any(_between(metric, arm, twin, place).low > 0 for arm, twin in seen)

    def _against(
        self, metric: Metric, place: int, ballots: Sequence[Ballot], theirs: Mapping[int, _Arm]
    ) -> Mapping[int, _Arm] | None:
        """What the candidate is held against: the lane, production itself, or nothing; null if it needs a lane.

        A conversation that was not drawn for the lane has no say where the lane is the measure.
        """
        if theirs:
            return theirs
        if metric.kind == "zero_tolerance":
            return {}
        signal = self.signals[place]
        timed_elsewhere = signal.is_timed and all(ballot.production[place] is None for ballot in ballots)
        if any(ballot.lane_probability > 0 for ballot in ballots) or signal.of_production is None or timed_elsewhere:
            return None
        return self._production(ballots)

    def _placebo(self, row: int, ballots: Sequence[Ballot], theirs: Mapping[int, _Arm]) -> Bounds | None:
        """The lane against itself: its first two samples, or else events in production and in its replay.

        Quantities are left out there: production's were measured elsewhere, at another time.
        """
        metric, place = self.gate.metrics[row], self._places[row]
        arms = [theirs[sample] for sample in sorted(theirs)[:2]]
        if any(arm.failed is not None for arm in arms):
            return None
        if len(arms) == 2:
            return None if metric.kind == "zero_tolerance" else _between(metric, arms[0], arms[1], place)
        signal = self.signals[place]
        if not arms or signal.of_production is None or signal.nature == "quantity":
            return None
        return _between(metric, arms[0], self._production(ballots)[ballots[0].sample], place)

    def _production(self, ballots: Sequence[Ballot]) -> Mapping[int, _Arm]:
        """Production itself, in the place of the lane: the same for every sample."""
        turns = {ballot.trace_id: ballot for ballot in ballots}.values()
        each = [
            [
                known_or_not(value, worst) if asked else _NOTHING
                for value, worst, asked in zip(turn.production, self._worst, self._asked(turn), strict=True)
            ]
            for turn in turns
        ]
        arm = _Arm(tuple(reduce(Bounds.worst_of, signal) for signal in zip(*each, strict=True)), None, guessed=False)
        return {ballot.sample: arm for ballot in ballots}


def _failed(arms: Mapping[int, _Arm], sample: int) -> str | None:
    arm = arms.get(sample)
    return None if arm is None else arm.failed


def _ends(found: Sequence[Bounds | None]) -> Ends:
    low, high = (np.array([0.0 if it is None else it[end] for it in found]) for end in (0, 1))
    return Ends(low, high, np.array([it is not None for it in found], np.bool_))


def _mean(each: Sequence[Bounds]) -> Bounds:
    return Bounds(*(fsum(ends) / len(each) for ends in zip(*each, strict=True)))


def _between(metric: Metric, ours: _Arm, theirs: _Arm | None, place: int) -> Bounds:
    """Both ends of the difference. Two replays that failed in the same way say nothing of the candidate: 0."""
    difference, candidate = DIFFERENCES[metric.kind], ours.bounds[place]
    if theirs is None:
        return Bounds(difference(metric, candidate.low, 0.0), difference(metric, candidate.high, 0.0))
    if ours.failed is not None and ours.failed == theirs.failed:
        return Bounds(0.0, 0.0)
    baseline = theirs.bounds[place]
    if theirs.failed is not None:  # nothing is known of it, which must not be to the candidate's advantage
        baseline = Bounds(0.0, baseline.high)
    return Bounds(difference(metric, candidate.low, baseline.high), difference(metric, candidate.high, baseline.low))
