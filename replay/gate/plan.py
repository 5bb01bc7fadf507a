"""The plan of a gate, before anything is replayed: what it will be able to prove, in how many pairs.

A candidate that is as good as production must be promoted within `max_pairs` with a chance of `POWER`, or the gate is
not worth its money. A metric that votes and cannot keep that promise is blind: no run could satisfy it.

What is assumed of an equal candidate, best source first:

1. the baseline lane against itself: its repeats, or events in production and in its replay;
2. the candidate of an earlier run against the lane, as if half of what changed had changed for the better;
3. `TYPICAL`, on the careful side of what two runs of one release differ by in public recordings.

To what was seen, one difference of each extreme is added, so that few pairs never look like no noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from comparators.differences import STEPS
from comparators.power import certifiable_after, detectable_after, pairs_to_certify
from comparators.spec import Floats, Ints
from replay.gate.config import Gate, Kind, Metric
from replay.gate.evidence import Evidence
from replay.gate.signals import signal_of
from replay.verdict import Reason

#: The chance with which an equal candidate is promoted within the plan, all metrics together.
POWER = 0.8
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
#: Standard deviation of the log of a time or a price between two runs of one request, per run.
_LOG_NOISE = 0.4
#: A typical price as a share of the cap.
_OF_CAP = 0.25


class Assumed(NamedTuple):
    """`shares`: float64[2 STEPS + 1], of the worst case of an equal candidate; `pairs`: how many say so, 0 = nobody.

    `unknown`: the share of an earlier run's pairs in which the metric could not be measured.
    """

    shares: Floats
    source: str
    pairs: int = 0
    unknown: float = 0.0


class MetricPlan(NamedTuple):
    """Figures of one metric at `max_pairs`; null = never.

    `certifiable`: the smallest margin that an equal candidate will be certified for, null if the margin is relative;
    `detectable`: the smallest mean difference that will be rolled back, relative margins apart; `expected_pairs` are
    enough in half of all runs, `likely_pairs` in as many as the promise asks for.
    """

    metric: Metric
    assumed: Assumed
    certifiable: float | None
    detectable: float | None
    expected_pairs: int | None
    likely_pairs: int | None


class Plan(NamedTuple):
    gate: Gate
    metrics: tuple[MetricPlan, ...]

    @property
    def pairs(self) -> int | None:
        """What all metrics that vote need; null when one can never be certified."""
        needed = [it.likely_pairs for it in self.metrics if it.metric.votes]
        known = [pairs for pairs in needed if pairs is not None]
        return max(known) if len(known) == len(needed) else None

    @property
    def blind(self) -> tuple[Reason, ...]:
        """The metrics that vote and that no run within the plan could satisfy."""
        return tuple(_blind(it, self.gate) for it in self.metrics if it.metric.votes and _is_blind(it, self.gate))


def plan_of(gate: Gate, seen: Evidence | None = None) -> Plan:
    """Plan a gate; `seen` is what the comparisons of an earlier run came to."""
    voting = [metric for metric in gate.metrics if metric.votes]
    weights = sum(metric.weight for metric in voting)
    power = 1.0 - (1.0 - POWER) / len(voting)
    given = [assumed(gate, row, seen)._replace(unknown=_unknown(row, seen)) for row in range(len(gate.metrics))]
    return Plan(gate, tuple(_planned(gate, *it, power, weights) for it in zip(gate.metrics, given, strict=True)))


def hopeless(gate: Gate) -> tuple[Reason, ...]:
    """The metrics that vote and that could not be certified within the plan if the candidate never differed at all."""
    calm = Assumed(_shares({}), "no difference at all")
    asked = [metric for metric in gate.metrics if metric.votes and metric.tolerated]
    each = (_planned(gate, metric, calm, 0.5, metric.weight) for metric in asked)
    return tuple(_blind(planned, gate) for planned in each if _is_blind(planned, gate))


def assumed(gate: Gate, row: int, seen: Evidence | None) -> Assumed:
    """How an equal candidate is expected to differ from the baseline's replay."""
    metric = gate.metrics[row]
    if seen is None or metric.kind == "zero_tolerance":
        return typical(metric)
    repeats, tried = seen.placebo.counts[row], seen.candidate.counts[row]
    if repeats[0].sum() >= _ENOUGH:
        return _observed(metric, repeats, "the baseline lane against itself")
    if metric.margin and tried[0].sum() >= _ENOUGH and not seen.uncalibrated[row]:
        return _observed(metric, tried, "an earlier candidate against the lane")
    return typical(metric)


def typical(metric: Metric) -> Assumed:
    """The table's word on it."""
    return Assumed(_shares(_TYPICAL_OF[metric.kind](metric)), "typical of such metrics")


def _unknown(row: int, seen: Evidence | None) -> float:
    return 0.0 if seen is None else int(seen.unknown[row]) / max(seen.candidate.pairs(row), 1)


# -- assumptions ------------------------------------------------------------------------------------------------------


def _event(metric: Metric) -> Mapping[float, float]:
    signal = signal_of(metric.measured)
    assert signal is not None  # noqa: S101 - the gate's model has checked it
    if signal.nature == "share":
        return TYPICAL["share"]
    return TYPICAL["distance" if signal.of_production is None else "event"]


def _capped(metric: Metric) -> Mapping[float, float]:
    """Prices of c e^noise against (1 + margin) c e^noise, in units of the cap: at the quarters of the noise."""
    dearer = 1.0 + (metric.rel_margin or 0.0)
    noise = NormalDist(0.0, _LOG_NOISE)
    prices = [min(_OF_CAP * np.exp(noise.inv_cdf(share)), 1.0) for share in (0.125, 0.375, 0.625, 0.875)]
    found: dict[float, float] = {}
    for ours in prices:
        for theirs in prices:
            step = round((ours - dearer * theirs) / dearer * STEPS) / STEPS
            found[step] = found.get(step, 0.0) + 1.0 / len(prices) ** 2
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
    shares = np.zeros(2 * STEPS + 1)
    for value, share in differences.items():
        shares[round(value * STEPS) + STEPS] += share
    shares[STEPS] += 1.0 - shares.sum()
    return shares


def _observed(metric: Metric, ends: Ints, source: str) -> Assumed:
    """Worst case of an equal candidate: with the arms in either order where the order does not matter."""
    best, worst = ends
    counts = (worst + best[::-1]) / 2.0 if metric.margin else worst.astype(np.float64)
    counts[[0, -1]] += 1.0
    pairs = int(best.sum())
    return Assumed(counts / counts.sum(), f"{source}, {pairs:,} pairs", pairs)


# -- figures ----------------------------------------------------------------------------------------------------------


def _planned(gate: Gate, metric: Metric, given: Assumed, power: float, weights: float) -> MetricPlan:
    shares, alpha, margin = given.shares, gate.alpha, metric.tolerated
    weight = metric.weight / weights if metric.votes else 1.0
    return MetricPlan(
        metric,
        given,
        certifiable=certifiable_after(shares, gate.max_pairs, alpha.promote, power) if margin else None,
        detectable=detectable_after(shares, margin, gate.max_pairs, alpha.rollback * weight, power),
        expected_pairs=pairs_to_certify(shares, margin, alpha.promote, 0.5),
        likely_pairs=pairs_to_certify(shares, margin, alpha.promote, power),
    )


def _is_blind(planned: MetricPlan, gate: Gate) -> bool:
    if planned.assumed.unknown > gate.missing.max_unknown_rate:
        return True
    return planned.likely_pairs is None or planned.likely_pairs > gate.max_pairs


def _blind(planned: MetricPlan, gate: Gate) -> Reason:
    metric, unknown = planned.metric, planned.assumed.unknown
    if unknown > gate.missing.max_unknown_rate:
        limit = f"the gate allows {gate.missing.max_unknown_rate:.0%}"
        words = f"{metric.measured} was unknown in {unknown:.0%} of the earlier run's pairs; {limit}"
        return Reason(code="blind_metric", words=words, metrics=(metric.id,))
    needed = "no number of pairs would do" if planned.likely_pairs is None else f"{planned.likely_pairs:,} are needed"
    if metric.rel_margin is not None:
        advice = f"its rel_margin of {metric.rel_margin:g} can not be certified"
    elif planned.certifiable is None:
        advice = "no margin below 1 can be certified"
    else:
        advice = f"its margin of {metric.tolerated:g} can not be certified, {planned.certifiable:g} could be"
    words = f"with {gate.max_pairs:,} pairs {advice}; {needed}"
    return Reason(code="blind_metric", words=words, metrics=(metric.id,))
