"""What the metrics of a gate ask, as arrays: differences of all metrics of a kind are worked out at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from comparators.spec import Bools, Floats, Ints
from replay.gate.config import Gate, Kind, Metric
from replay.gate.signals import Signal
from replay.gate.turns import Bounds

#: The kind of what must never happen.
NEVER: Kind = "zero_tolerance"


class Terms(NamedTuple):
    """What some metrics of one kind say, float64[metrics]; 0 where a kind has no use for it."""

    threshold: Floats
    cap: Floats
    dearer: Floats

    @classmethod
    def of(cls, metrics: Sequence[Metric]) -> Terms:
        return cls(
            np.array([metric.threshold or 0.0 for metric in metrics]),
            np.array([metric.cap or 0.0 for metric in metrics]),
            np.array([1.0 + (metric.rel_margin or 0.0) for metric in metrics]),
        )


#: How much worse the candidate is than the baseline, float64[arms, metrics], from -1 to 1: rises with the first, falls
#: with the second.
Difference: TypeAlias = Callable[[Terms, Floats, Floats], Floats]


def _plain(_: Terms, candidate: Floats, baseline: Floats) -> Floats:
    return candidate - baseline


def _exceeds(terms: Terms, candidate: Floats, baseline: Floats) -> Floats:
    return (candidate > terms.threshold).astype(np.float64) - (baseline > terms.threshold)


def _capped(terms: Terms, candidate: Floats, baseline: Floats) -> Floats:
    """Mean at most (1 + rel_margin) times the baseline's, as a mean that is at most 0."""
    ours, theirs = np.minimum(candidate, terms.cap), np.minimum(baseline, terms.cap)
    found: Floats = (ours - terms.dearer * theirs) / (terms.dearer * terms.cap)
    return found


def _larger(terms: Terms, candidate: Floats, baseline: Floats) -> Floats:
    """A sign: 1 when it is larger by more than the margin. Its mean is above 0 when most are."""
    return np.where(candidate > terms.dearer * baseline, 1.0, -1.0)


def _net(_: Terms, candidate: Floats, baseline: Floats) -> Floats:
    """An event that the baseline's own replay does not have."""
    return np.maximum(0.0, candidate - baseline)


DIFFERENCES: Mapping[Kind, Difference] = {
    "paired_binary": _plain,
    "paired_bounded": _plain,
    "paired_exceedance": _exceeds,
    "paired_mean_capped": _capped,
    "paired_sign": _larger,
    NEVER: _net,
}


class Yardstick(NamedTuple):
    """What a candidate is held against, as bounds of signals; and what it is where an event must never happen."""

    usual: Bounds
    never: Bounds


class _Group(NamedTuple):
    """The metrics of one kind: their places among all, and those of their signals."""

    kind: Kind
    difference: Difference
    metrics: Ints
    signals: Ints
    terms: Terms


class Questions:
    """The metrics of a gate. Each bool[metrics] says of which metrics something holds.

    `conditional`: asks only where production's value is known. `never`: an event that must never happen. `timed`:
    measured by a clock. `own`: production has a value of its own. `repeated`: production's value is one that its
    replay should have, too, wherever it was measured.
    """

    def __init__(self, gate: Gate, signals: Sequence[Signal]) -> None:
        names = list(gate.signals)
        #: The signal of each metric, int64[metrics].
        self.places: Ints = np.array([names.index(metric.measured) for metric in gate.metrics], np.int64)
        asked = [signals[place] for place in self.places]
        self.conditional = _flags(signal.conditional for signal in asked)
        self.never = _flags(metric.kind == NEVER for metric in gate.metrics)
        self.timed = _flags(signal.is_timed for signal in asked)
        self.own = _flags(signal.of_production is not None for signal in asked)
        self.repeated = self.own & _flags(signal.nature != "quantity" for signal in asked)
        self._groups = [self._group(kind, gate.metrics) for kind in dict.fromkeys(it.kind for it in gate.metrics)]

    def between(self, ours: Bounds, theirs: Yardstick) -> Bounds:
        """Both ends of each difference, from the bounds of signals, float64[arms, metrics]."""
        shape = (len(ours.low), len(self.places))
        found = Bounds(np.zeros(shape), np.zeros(shape))
        for group in self._groups:
            against = theirs.never if group.kind == NEVER else theirs.usual
            (best, worst), (least, most) = (side.of(group.signals) for side in (ours, against))
            found.low[:, group.metrics] = group.difference(group.terms, best, most)
            found.high[:, group.metrics] = group.difference(group.terms, worst, least)
        return found

    def _group(self, kind: Kind, metrics: Sequence[Metric]) -> _Group:
        places = np.flatnonzero([metric.kind == kind for metric in metrics])
        terms = Terms.of([metric for metric in metrics if metric.kind == kind])
        return _Group(kind, DIFFERENCES[kind], places, self.places[places], terms)


def _flags(found: Iterable[bool]) -> Bools:
    return np.array(list(found), np.bool_)
