"""How a candidate that is as good as production is expected to differ from the baseline's replay, best source first:

1. the baseline lane against itself: its repeats, or events in production and in its replay;
2. an earlier candidate and the lane, in either order, so that neither is better;
3. `TYPICAL`, on the careful side of what two runs of one release differ by in public recordings.

To what was seen, one difference of each extreme is added, so that few pairs never look like no noise. What stubs had to
guess in an earlier run they will have to guess again: the worst that it may have been is a part of the expectation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log
from statistics import NormalDist
from typing import NamedTuple, TypeAlias

import numpy as np

from comparators.differences import BINS, STEPS, counted, mean
from comparators.spec import Floats, Ints
from replay.gate.burden import STAFF_MINUTES
from replay.gate.config import Gate, Kind, Metric
from replay.gate.earlier import Earlier
from replay.gate.questions import DIFFERENCES, Terms
from replay.gate.signals import signal_of

#: Fewer pairs than these say too little about noise.
_ENOUGH = 20

#: Differences of an equal candidate, value: share. What is left is 0. Events that can be read of production itself
#: differ less between two runs than the distance from production does.
TYPICAL: Mapping[str, Mapping[float, float]] = {
    "event": {1.0: 0.05, -1.0: 0.05},
    "distance": {1.0: 0.15, -1.0: 0.15},
    "share": {0.3: 0.5, -0.3: 0.5},
    "exceedance": {1.0: 0.05, -1.0: 0.05},
    "never": {},
}
#: How often an event of `TYPICAL` is in both lanes.
_BOTH = 0.05
#: Standard deviation of the log of a time or a price between two runs of one request, per run.
_LOG_NOISE = 0.4
#: A typical price as a share of the cap.
_OF_CAP = 0.25

#: What one conversation comes to in both lanes, and how often it does.
_Joint: TypeAlias = Mapping[tuple[float, float], float]


class Assumed(NamedTuple):
    """`shares`: float64[BINS], of the worst case of an equal candidate; `settled`: the same if no stub had to
    guess. `pairs`: how many say so, 0 = nobody.

    `unknown`: the share of an earlier run's pairs in which the metric could not be measured. `hits`: how often the
    bundle in production had what must never happen, where the earlier candidate had not.
    """

    shares: Floats
    settled: Floats
    source: str
    pairs: int = 0
    unknown: float = 0.0
    hits: int = 0


def assumed(gate: Gate, row: int, seen: Earlier | None = None) -> Assumed:
    """The expectation of one metric; `seen` is what an earlier run came to."""
    metric = gate.metrics[row]
    if seen is None:
        return typical(metric, gate.minutes)
    found = _seen(gate, row, seen)
    unknown = int(seen.there.unknown[row]) / max(seen.there.candidate.pairs(row), 1)
    return found._replace(unknown=unknown, hits=int(seen.back.hits[row]))


def calm() -> Assumed:
    """A candidate that never differs."""
    return _known(_shares({}), "no difference at all")


def typical(metric: Metric, minutes: Mapping[str, float]) -> Assumed:
    """The table's word on it; `minutes`: the prices of events."""
    if metric.measured == STAFF_MINUTES:
        return _known(_shares(_staffed(metric, minutes)), "typical events, by their prices")
    guess = f", about {_OF_CAP:g} of the cap" if metric.kind == "paired_mean_capped" else ""
    return _known(_shares(_TYPICAL_OF[metric.kind](metric)), f"typical of such metrics{guess}")


def _known(shares: Floats, source: str) -> Assumed:
    return Assumed(shares, shares, source)


# -- what was seen ----------------------------------------------------------------------------------------------------


def _seen(gate: Gate, row: int, seen: Earlier) -> Assumed:
    """The noise of what is known for sure, and on top of it the worst of what was guessed."""
    known = _noise(gate, row, seen)
    share = _guessed(row, seen)
    shares = known.shares * (1.0 - share)
    shares[-1] += share
    return known._replace(shares=shares)


def _noise(gate: Gate, row: int, seen: Earlier) -> Assumed:
    metric, repeats = gate.metrics[row], seen.known.placebo.counts[row]
    there, back = (evidence.candidate.counts[row] for evidence in (seen.known, seen.back))
    pairs = int(there[0].sum())
    if metric.kind != "zero_tolerance" and repeats[0].sum() >= _ENOUGH:
        return _itself(metric, repeats)
    if pairs < _ENOUGH or seen.known.uncalibrated[row]:
        return typical(metric, gate.minutes)
    source = "an earlier candidate and the lane, in either order"
    if metric.kind == "zero_tolerance":  # what that candidate did is its own, and what production does is an obstacle
        return _known(_shares({}), f"{source}, {pairs:,} pairs")._replace(pairs=pairs)
    return _observed((there[1] + back[1]) / 2.0, source)


def _itself(metric: Metric, ends: Ints) -> Assumed:
    """With the arms in either order where the order does not matter."""
    best, worst = ends
    return _observed((worst + best[::-1]) / 2.0 if metric.margin else worst * 1.0, "the baseline lane against itself")


def _observed(counts: Floats, source: str) -> Assumed:
    pairs = int(counts.sum())
    extended = counts.copy()
    extended[[0, -1]] += 1.0
    return _known(extended / extended.sum(), f"{source}, {pairs:,} pairs")._replace(pairs=pairs)


def _guessed(row: int, seen: Earlier) -> float:
    """How often the worst there is explains how much worse the pairs with guesses made the mean of all."""
    there, known = (mean(evidence.candidate.counts[row, 1]) for evidence in (seen.there, seen.known))
    if there is None or known is None or known >= 1.0:
        return seen.guessed
    return max(there - known, 0.0) / (1.0 - known)


# -- what is typical --------------------------------------------------------------------------------------------------


def _event(metric: Metric) -> Mapping[float, float]:
    signal = signal_of(metric.measured)
    assert signal is not None  # noqa: S101 - the gate's model has checked it
    if signal.nature == "share":
        return TYPICAL["share"]
    return TYPICAL["distance" if signal.of_production is None else "event"]


def _capped(metric: Metric) -> Mapping[float, float]:
    """Prices of c e^noise in either lane: at the quarters of the noise."""
    noise, cap = NormalDist(0.0, _LOG_NOISE), metric.cap or 1.0
    prices = [cap * min(_OF_CAP * np.exp(noise.inv_cdf(share)), 1.0) for share in (0.125, 0.375, 0.625, 0.875)]
    return _differences(metric, {(ours, theirs): 1.0 / len(prices) ** 2 for ours in prices for theirs in prices})


def _staffed(metric: Metric, minutes: Mapping[str, float]) -> Mapping[float, float]:
    """Events that happen, each by itself, in one lane, in both or in none, and cost their price."""
    joint: _Joint = {(0.0, 0.0): 1.0}
    one = TYPICAL["event"][1.0]
    for price in minutes.values():
        each = {(price, price): _BOTH, (price, 0.0): one, (0.0, price): one, (0.0, 0.0): 1.0 - _BOTH - 2 * one}
        joint = _sums(joint, each)
    return _differences(metric, joint)


def _sums(joint: _Joint, more: _Joint) -> _Joint:
    found: dict[tuple[float, float], float] = {}
    for (ours, theirs), share in joint.items():
        for (one, other), often in more.items():
            place = (ours + one, theirs + other)
            found[place] = found.get(place, 0.0) + share * often
    return found


def _differences(metric: Metric, joint: _Joint) -> Mapping[float, float]:
    """By the gate's own arithmetic."""
    ours, theirs = np.array(list(joint)).T[:, :, np.newaxis]
    values = DIFFERENCES[metric.kind](Terms.of([metric]), ours, theirs)[:, 0].tolist()
    found: dict[float, float] = {}
    for value, share in zip(values, joint.values(), strict=True):
        found[value] = found.get(value, 0.0) + share
    return found


def _sign(metric: Metric) -> Mapping[float, float]:
    """Larger by more than the margin: two log-normal times of one request, so the difference has twice the variance."""
    larger = 1.0 - NormalDist(0.0, _LOG_NOISE * 2**0.5).cdf(log(1.0 + (metric.rel_margin or 0.0)))
    return {1.0: larger, -1.0: 1.0 - larger}


_TYPICAL_OF: Mapping[Kind, Callable[[Metric], Mapping[float, float]]] = {
    "paired_binary": _event,
    "paired_bounded": _event,
    "paired_exceedance": lambda _: TYPICAL["exceedance"],
    "paired_mean_capped": _capped,
    "paired_sign": _sign,
    "zero_tolerance": lambda _: TYPICAL["never"],
}


def _shares(differences: Mapping[float, float]) -> Floats:
    """Shared between steps as the gate shares the worst case."""
    shares = np.zeros(BINS)
    for value, share in differences.items():
        shares += share * counted(np.array([value]), "up")
    shares[STEPS] += 1.0 - shares.sum()
    return shares
