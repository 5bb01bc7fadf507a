"""The plan of a gate, before anything is replayed: what it will be able to prove, in how many pairs.

A candidate that is as good as production must be promoted within `max_pairs` with a chance of `POWER`, or the gate is
not worth its money. A metric that votes and cannot keep that promise is blind: no run could satisfy it.

What is assumed of an equal candidate stands in `replay.gate.assumptions`.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, floor, log10
from typing import NamedTuple

from comparators.power import certifiable_after, detectable_after, pairs_to_certify
from replay.gate.assumptions import Assumed, assumed, calm
from replay.gate.config import Gate, Metric
from replay.gate.earlier import Earlier
from replay.verdict import Reason

#: The chance with which an equal candidate is promoted within the plan, all metrics together.
POWER = 0.8
#: A cap that is so many times beyond what is usual: differences are small beside it, and each proves little.
_FAR = 4.0
#: A margin from which on one tolerates that a candidate is bad.
_LAX = 0.5


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
    """`power`: the chance with which each metric must be certified, so that all of them are with `POWER`.

    `partitions`: of how many the next conversation is still under way when the verdict is due; 0 = none.
    """

    gate: Gate
    metrics: tuple[MetricPlan, ...]
    power: float
    seen: Earlier | None = None
    partitions: int = 0

    @property
    def pairs(self) -> int | None:
        """What all metrics that vote need; null when one can never be certified."""
        needed = [it.likely_pairs for it in self.metrics if it.metric.votes]
        known = [pairs for pairs in needed if pairs is not None]
        return max(known) if len(known) == len(needed) else None

    @property
    def blind(self) -> tuple[Reason, ...]:
        """What keeps an equal candidate from being promoted, whatever it does."""
        return tuple(_obstacles(self))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the gate may not have been meant to do."""
        return tuple(note for planned in self.metrics for note in _notes(planned.metric, self.seen))


def plan_of(gate: Gate, seen: Earlier | None = None, partitions: int = 0) -> Plan:
    """Plan a gate; `seen` is what the comparisons of an earlier run came to, `partitions` as in `Plan`."""
    voting = [metric for metric in gate.metrics if metric.votes]
    weights = sum(metric.weight for metric in voting)
    power = 1.0 - (1.0 - POWER) / len(voting)
    each = [(metric, assumed(gate, row, seen)) for row, metric in enumerate(gate.metrics)]
    planned = tuple(_planned(gate, *it, power, weights, unseen=partitions) for it in each)
    return Plan(gate, planned, power, seen, partitions)


def hopeless(gate: Gate) -> tuple[Reason, ...]:
    """The metrics that vote and that could not be certified within the plan if the candidate never differed at all."""
    asked = [metric for metric in gate.metrics if metric.votes and metric.tolerated]
    each = tuple(_planned(gate, metric, calm(), 0.5, metric.weight) for metric in asked)
    return tuple(_obstacles(Plan(gate, each, 0.5)))


# -- figures ----------------------------------------------------------------------------------------------------------


def _planned(
    gate: Gate, metric: Metric, given: Assumed, power: float, weights: float, *, unseen: int = 0
) -> MetricPlan:
    shares, alpha, margin = given.shares, gate.alpha, metric.tolerated
    weight = metric.weight / weights if metric.votes else 1.0
    absolute = metric.rel_margin is None
    smallest = certifiable_after(shares, gate.max_pairs, alpha.promote, power, unseen=unseen)
    certifiable = smallest if absolute else None
    if not metric.has_margin:
        return MetricPlan(metric, given, certifiable, None, None, None)
    return MetricPlan(
        metric,
        given,
        certifiable=certifiable,
        detectable=detectable_after(shares, margin, gate.max_pairs, alpha.rollback * weight, power, unseen=unseen),
        expected_pairs=pairs_to_certify(shares, margin, alpha.promote, 0.5, unseen=unseen),
        likely_pairs=pairs_to_certify(shares, margin, alpha.promote, power, unseen=unseen),
    )


# -- what is wrong with it --------------------------------------------------------------------------------------------


def _obstacles(plan: Plan) -> Iterator[Reason]:
    gate, seen = plan.gate, plan.seen
    limit = gate.missing.max_unmatched_stub_rate
    if seen is not None and limit is not None and seen.guessed > limit:
        yield Reason(code="stub_gap", words=f"{_guessed(seen)}; the gate allows {100 * limit:g}%. {_RECORD}")
    for planned in plan.metrics:
        if planned.metric.votes:
            yield from _obstacle(plan, planned)


def _obstacle(plan: Plan, planned: MetricPlan) -> Iterator[Reason]:
    """The first thing that is in the way of a metric."""
    gate, metric, given, seen = plan.gate, planned.metric, planned.assumed, plan.seen
    limit = gate.missing.max_unknown_rate
    if given.unknown > limit:
        words = f"{metric.measured} was unknown in {given.unknown:.0%} of the earlier run's pairs"
        yield _blind(metric, f"{words}; the gate allows {100 * limit:g}%. Next: record it")
    elif metric.kind == "zero_tolerance" and given.hits:
        words = f"production's own bundle did it {given.hits:,} times in the earlier run when the candidate did not"
        yield _blind(metric, f"{words}: an equal one is rolled back by the first. Next: mend it, or allow a margin")
    elif _suffices(planned.likely_pairs, gate):
        return
    elif seen is not None and seen.guessed and _suffices(_settled_pairs(plan, planned), gate):
        pairs = f"{_settled_pairs(plan, planned):,} pairs would do without guesses"
        words = f"{_guessed(seen)}, and a candidate must bear the worst of it; {pairs}. {_RECORD}"
        yield Reason(code="stub_gap", words=words, metrics=(metric.id,))
    else:
        yield _blind(metric, f"with {gate.max_pairs:,} pairs {_too_much(planned)}; {_needed(planned)}")


_RECORD = "Next: record more answers of the tools whose calls have another grade than exact in its comparisons"


def _guessed(seen: Earlier) -> str:
    return f"stubs guessed in {seen.guessed:.1%} of the earlier run's conversations"


def _settled_pairs(plan: Plan, planned: MetricPlan) -> int | None:
    """What would be needed if nothing had to be guessed."""
    shares, margin = planned.assumed.settled, planned.metric.tolerated
    return pairs_to_certify(shares, margin, plan.gate.alpha.promote, plan.power, unseen=plan.partitions)


def _suffices(pairs: int | None, gate: Gate) -> bool:
    return pairs is not None and pairs <= gate.max_pairs


def _blind(metric: Metric, words: str) -> Reason:
    return Reason(code="blind_metric", words=words, metrics=(metric.id,))


def _too_much(planned: MetricPlan) -> str:
    metric = planned.metric
    if metric.rel_margin is not None:
        return f"its rel_margin of {metric.rel_margin:g} can not be certified"
    if planned.certifiable is None:
        return "no margin below 1 can be certified"
    return f"its margin of {metric.tolerated:g} can not be certified, {planned.certifiable:g} could be"


def _needed(planned: MetricPlan) -> str:
    return "no number of pairs would do" if planned.likely_pairs is None else f"{planned.likely_pairs:,} are needed"


def _notes(metric: Metric, seen: Earlier | None) -> Iterator[str]:
    if metric.votes and (metric.margin or 0.0) >= _LAX:
        bad = f"{100 * metric.tolerated:g} of 100 conversations"
        yield f"{metric.id}: a margin of {metric.margin:g} lets {bad} get worse, and proves next to nothing"
    usual = None if seen is None else seen.usual.get(metric.measured)
    if metric.cap is not None and usual is not None and metric.cap > _FAR * usual > 0:
        beyond = f"{metric.cap / usual:,.0f} times what 99 of 100 replays stay below ({usual:.3g})"
        yield f"{metric.id}: its cap, {metric.cap:g}, is {beyond}, and costs pairs; {_round_up(usual):g} would do"


def _round_up(amount: float) -> float:
    """To two digits."""
    step = 10.0 ** (floor(log10(amount)) - 1)
    return ceil(amount / step) * step
