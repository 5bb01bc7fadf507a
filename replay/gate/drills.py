"""Drills: canned regressions, and canned accidents, that a gate must be able to stand.

Each drill stages conversations whose truth is known and lets the real gate judge them, looking again and again. A
gate fails a drill when it reaches a verdict that no sound gate may reach there: because a margin tolerates what was
staged, because a limit on missing values is too wide, or because the plan is too short to promote anybody. What the
gate has no voting metric for is not covered, and never counts as passed.

Chance is seeded: the same gate gives the same results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Literal, NamedTuple, TypeAlias

from replay.comparison import Comparison
from replay.gate.config import Gate, Metric
from replay.gate.docket import Docket
from replay.gate.equals import Conversation, equals, measured, scales_of
from replay.gate.finishing import Finished, as_they_finish
from replay.gate.staged import TOPIC, Act, staged
from replay.verdict import Decision, Verdict

#: More conversations than these are never staged.
MOST_PAIRS = 20_000
_SEED = 20_190_301
_LOOK_EVERY = 1.25
_FIRST_LOOK = 10

Result: TypeAlias = Literal["passed", "failed", "not covered"]
#: What a drill does to one conversation between equals.
Change: TypeAlias = Callable[[Gate, Random, Conversation], Conversation]
#: How comparisons reach the gate: them, and the offset below which everything is there.
Delivery: TypeAlias = Callable[[Iterable[tuple[Comparison, ...]]], Iterator[Finished]]


class Drill(NamedTuple):
    """`sound`: the verdicts that may stand at the end; one beyond them, at any look, is a failure."""

    name: str
    words: str
    sound: frozenset[Decision]
    covers: Callable[[Metric], bool]
    change: Change = lambda _gate, _chance, conversation: conversation
    deliver: Delivery | None = None


class Report(NamedTuple):
    """What came of a drill. `pairs`: conversations that had voted when it was over."""

    drill: Drill
    result: Result
    decision: Decision | None
    pairs: int
    words: str


def run_drills(gate: Gate) -> Iterator[Report]:
    """All drills, one after the other."""
    for drill in DRILLS:
        yield run_drill(drill, gate)


def run_drill(drill: Drill, gate: Gate) -> Report:
    """One drill: it ends with the first verdict that is not a hold, or with the plan."""
    covering = [metric.id for metric in gate.metrics if metric.votes and drill.covers(metric)]
    if not covering:
        return Report(drill, "not covered", None, 0, "no metric that votes measures it")
    verdict = _judged(drill, gate)
    words = _why(drill, gate, verdict, covering) or _twice(drill, gate, verdict)
    return Report(drill, "failed" if words else "passed", verdict.decision, verdict.conversations, words)


# -- judging ----------------------------------------------------------------------------------------------------------


def _judged(drill: Drill, gate: Gate, deliver: Delivery | None = None) -> Verdict:
    docket, look = Docket(gate), float(_FIRST_LOOK)
    for finished in (deliver or drill.deliver or _in_order)(_comparisons(drill, gate)):
        for comparison in finished.comparisons:
            docket.enter(comparison)
        if finished.below >= look:
            look = finished.below * _LOOK_EVERY
            verdict = _looked(docket, finished.below)
            if verdict.decision != "hold":
                return verdict
    return _looked(docket, None)


def _looked(docket: Docket, below: int | None) -> Verdict:
    """The verdict on everything below an offset, or on everything."""
    docket.finish() if below is None else docket.advance(TOPIC, 0, below)
    verdict = docket.verdict(now=None)
    assert verdict is not None  # noqa: S101 - a drill stages at least one conversation
    return verdict


def _why(drill: Drill, gate: Gate, verdict: Verdict, covering: list[str]) -> str:
    """What is wrong with the verdict; empty when nothing is."""
    if verdict.decision in drill.sound:
        return ""
    if verdict.decision == "promote":
        margins = ", ".join(f"{it.id} {_margin(it)}" for it in gate.metrics if it.id in covering)
        return f"this gate lets it through: it tolerates as much ({margins})"
    if verdict.decision == "roll_back":
        return "this gate rolls back a candidate that does no harm"
    needed = "; ".join(reason.words for reason in verdict.reasons)
    return f"this gate promotes nobody within its plan ({needed}): see gate plan"


def _twice(drill: Drill, gate: Gate, verdict: Verdict) -> str:
    """Whether another way of delivering the same comparisons, up to there, gave another verdict."""
    if drill.deliver is None:
        return ""
    plain = _judged(drill, gate, _in_order)
    return "" if plain.decision == verdict.decision else f"delivered once and in order it is {plain.decision}"


def _margin(metric: Metric) -> str:
    return f"x{1 + metric.rel_margin:g}" if metric.rel_margin is not None else f"{metric.tolerated:g}"


# -- staging ----------------------------------------------------------------------------------------------------------


def _comparisons(drill: Drill, gate: Gate) -> Iterator[tuple[Comparison, ...]]:
    """Both lanes of as many conversations as the plan has."""
    chance, scales = Random(_SEED), scales_of(gate)  # noqa: S311 - drills must repeat themselves
    for number in range(min(gate.max_pairs, MOST_PAIRS)):
        it = drill.change(gate, chance, equals(gate, scales, chance))
        yield (
            staged(
                number, "candidate", it.candidate, production=it.baseline, mode=gate.mode, disposition=it.failed[0]
            ),
            staged(number, "baseline", it.baseline, mode=gate.mode, disposition=it.failed[1]),
        )


# -- regressions ------------------------------------------------------------------------------------------------------

_HANDS_OVER = frozenset(
    {
        "escalation", "staff_minutes", "tool_mismatch", "flag:handoff_extra", "score:tools.handoff",
        "score:tools.handoff.extra",
    }
)  # fmt: skip
_SWAPS = frozenset(
    {
        "tool_mismatch", "severe", "flag:write_extra", "flag:write_missing", "score:tools.write",
        "score:tools.write.extra", "score:tools.write.missing",
    }
)  # fmt: skip
_TIMES = frozenset({"latency_ms", "first_token_ms"})
_OUTAGE = 0.3


def _happens(names: frozenset[str], share: float) -> Change:
    """What else went wrong in the conversation stays as it was."""

    def change(_: Gate, chance: Random, it: Conversation) -> Conversation:
        if chance.random() >= share:
            return it
        return it._replace(candidate={name: 1.0 if name in names else value for name, value in it.candidate.items()})

    return change


def _slow_tail(_: Gate, chance: Random, it: Conversation) -> Conversation:
    if chance.random() >= 0.05:
        return it
    slow = {name: 3.0 * (value or 0.0) if name in _TIMES else value for name, value in it.candidate.items()}
    return it._replace(candidate=slow)


def _judge_outage(_: Gate, chance: Random, it: Conversation) -> Conversation:
    if chance.random() >= _OUTAGE:
        return it
    return Conversation(_without(it.candidate), _without(it.baseline))


def _without(act: Act) -> Act:
    return {name: None if _can_be_unknown(name) else value for name, value in act.items()}


def _can_be_unknown(name: str) -> bool:
    """Events that are read off a side are always known, and so are flags."""
    signal = measured(name)
    return signal.nature != "event" or name == "tool_mismatch" or name.startswith("score:")


def _fails(both: bool) -> Change:
    def change(_: Gate, chance: Random, it: Conversation) -> Conversation:
        if chance.random() >= _OUTAGE:
            return it
        return it._replace(failed=("infra_error", "infra_error" if both else "compared"))

    return change


# -- deliveries -------------------------------------------------------------------------------------------------------


def _in_order(conversations: Iterable[tuple[Comparison, ...]]) -> Iterator[Finished]:
    for number, comparisons in enumerate(conversations):
        yield Finished(comparisons, number + 1)


def _three_times(conversations: Iterable[tuple[Comparison, ...]]) -> Iterator[Finished]:
    """At once, together with the next one, and behind the watermark."""
    before: tuple[Comparison, ...] = ()
    for number, comparisons in enumerate(conversations):
        yield Finished((*before, *comparisons, *comparisons), number + 1)
        yield Finished(comparisons, number + 1)
        before = comparisons


def _worst_first(conversations: Iterable[tuple[Comparison, ...]]) -> Iterator[Finished]:
    """500 in flight; what went wrong in the candidate's lane ends in a second, the rest in eight."""
    return as_they_finish(conversations, seconds=lambda it: 1.0 if _went_wrong(it) else 8.0)


def _went_wrong(comparisons: tuple[Comparison, ...]) -> bool:
    ours, theirs = comparisons
    return bool(len(ours.replay.calls) > len(theirs.replay.calls) or len(ours.flags) > len(theirs.flags))


def _any_metric(_: Metric) -> bool:
    return True


_HARMLESS: frozenset[Decision] = frozenset({"promote"})
_HARMFUL: frozenset[Decision] = frozenset({"hold", "roll_back"})
_UNKNOWN: frozenset[Decision] = frozenset({"hold"})

DRILLS: tuple[Drill, ...] = (
    Drill("equal", "a candidate that is as good as the baseline", _HARMLESS, _any_metric),
    Drill(
        "escalation", "3 % more conversations are handed over", _HARMFUL,
        lambda metric: metric.measured in _HANDS_OVER, _happens(_HANDS_OVER, 0.03),
    ),
    Drill(
        "tool swap", "another write is made in 10 % of conversations", _HARMFUL,
        lambda metric: metric.measured in _SWAPS, _happens(_SWAPS, 0.10),
    ),
    Drill(
        "slow tail", "5 % of requests take three times as long", _HARMFUL,
        lambda metric: metric.measured in _TIMES and metric.kind != "paired_sign", _slow_tail,
    ),
    Drill(
        "metric outage", f"what is measured is unknown in {_OUTAGE:.0%} of conversations", _UNKNOWN,
        lambda metric: _can_be_unknown(metric.measured), _judge_outage,
    ),
    Drill(
        "candidate fails", f"its replay is missing in {_OUTAGE:.0%} of conversations", _HARMFUL, _any_metric,
        _fails(both=False),
    ),
    Drill(
        "provider outage", f"both lanes fail in {_OUTAGE:.0%} of conversations", _UNKNOWN, _any_metric,
        _fails(both=True),
    ),
    Drill("duplicates", "equals, and every record comes three times", _HARMLESS, _any_metric, deliver=_three_times),
    Drill("worst first", "equals, and what went wrong ends first", _HARMLESS, _any_metric, deliver=_worst_first),
)  # fmt: skip
