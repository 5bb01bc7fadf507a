"""The decision: a pure function of what the evidence says of each metric.

It is three-way on purpose: promotion needs proof that every blocking metric is within its margin, a rollback needs
proof that one is beyond, and whatever lies between is held, with a reason from a closed list and what it would take
to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil, inf, log
from typing import NamedTuple

from replay.comparison import DISPOSITIONS
from replay.gate.ballot import TIMED_OUT
from replay.gate.config import Gate
from replay.gate.signals import signal_of
from replay.verdict import REASONS, Decision, MetricEvidence, Reason, ReasonCode, odds_of, stands_out


class Facts(NamedTuple):
    """What the decision is made of. Pairs of figures are the candidate's best and worst case.

    `pairs`: conversations that have both lanes; all of them when there is no lane. `laned`: none of them then.
    `still_open`: conversations that have no vote yet. `missing`: classes of the failures that say nothing about the
    candidate. `complete`: the run is over.
    `log_e_rollback`: of the weighted mean of the harm e-values of all metrics that vote; `rollback_metric` weighs most.
    """

    gate: Gate
    metrics: Sequence[MetricEvidence]
    placebo: Sequence[MetricEvidence]
    log_e_rollback: tuple[float, float]
    log_e_placebo: float
    rollback_metric: str | None
    conversations: int
    pairs: int
    laned: int
    still_open: int
    failed_alike: int
    excused: int
    missing: Mapping[str, int]
    guessed: int
    complete: bool
    not_exercised: Sequence[str]
    seconds: float


def decide(facts: Facts) -> tuple[Decision, tuple[Reason, ...]]:
    """The decision and why. The first table that has a row counts: harm, then a broken measure, then what is open."""
    harm = tuple(_harm(facts))
    if harm:
        return "roll_back", harm
    broken = tuple(reason for check in _BROKEN for reason in check(facts))
    if broken:
        return "hold", broken
    voting = [metric for metric in facts.metrics if metric.votes]
    if all(metric.standing == "within_margin" for metric in voting):
        return "promote", ()
    return _inconclusive(facts, voting)


# -- harm -------------------------------------------------------------------------------------------------------------


def _harm(facts: Facts) -> Iterator[Reason]:
    # What today's release does as well when it is asked again is judged by its rate.
    for metric in (it for it in facts.metrics if it.votes and it.has_happened):
        yield _reason("never_event", f"{metric.hits:,} times {metric.signal}", metric.id)
    if facts.log_e_rollback[0] >= -log(facts.gate.alpha.rollback) and not _placebo_fired(facts):
        yield _reason("proved_worse", f"odds of {odds_of(facts.log_e_rollback[0])} against chance", *_worse(facts))


def _worse(facts: Facts) -> list[str]:
    """The metrics that are proved to be worse; where it is open which one of several is, all of these."""
    voting = [metric for metric in facts.metrics if metric.votes]
    proved = [metric.id for metric in voting if metric.standing == "beyond_margin"]
    return proved or [metric.id for metric in voting if stands_out(metric, facts.gate.alpha.rollback)]


# -- the measure itself is broken ---------------------------------------------------------------------------------


def _placebo_fired(facts: Facts) -> bool:
    return facts.log_e_placebo >= -log(facts.gate.alpha.rollback)


def _placebo(facts: Facts) -> Iterator[Reason]:
    if not _placebo_fired(facts):
        return
    worst = max(facts.placebo, key=_from_itself)
    is_worse = worst.log_e_harm[0] >= _from_itself(worst)
    found = f"{worst.signal} is {'more' if is_worse else 'less'} than it was, by odds of {odds_of(facts.log_e_placebo)}"
    advice = "see what changed between the two runs of it: the provider, a stub, a clock; then replay again"
    yield _reason("placebo_fired", found, worst.id, advice=advice)


def _from_itself(metric: MetricEvidence) -> float:
    """Either way is a fault of the measure. That a relative margin seems to be kept says nothing."""
    return max(metric.log_e_harm[0], metric.log_e_safe[0] if metric.margin else -inf)


def _not_exercised(facts: Facts) -> Iterator[Reason]:
    if facts.not_exercised:
        found = f"{', '.join(facts.not_exercised)} changed, and the replay does not execute it"
        yield _reason("not_exercised", found, advice="try that change in another way, and ship it by itself")


def _uncalibrated(facts: Facts) -> Iterator[Reason]:
    found = [metric for metric in facts.metrics if metric.votes and metric.standing == "uncalibrated"]
    if found:
        yield _without_a_lane(found)


def _without_a_lane(metrics: Sequence[MetricEvidence]) -> Reason:
    most = max(metrics, key=lambda metric: metric.uncalibrated)
    counted = f"{most.uncalibrated:,} of {most.uncalibrated + most.pairs:,} conversations had none to be judged beside"
    advice = "replay a share of the traces with the baseline too: --lane-share 0.2"
    return _reason("uncalibrated", counted, *(metric.id for metric in metrics), advice=advice)


def _missing(facts: Facts) -> Iterator[Reason]:
    limit = facts.gate.missing.max_failed_alike_rate
    cases = (
        (facts.failed_alike, facts.pairs, "pairs, in both lanes alike"),
        (facts.excused, facts.conversations, "conversations, without a lane"),
    )
    for count, total, what in cases:
        if count > limit * total:
            found = f"{count:,} of {total:,} {what}{_classes(facts)}; the gate allows {100 * limit:g}%"
            yield _reason("missing_replays", found, advice=_mend(facts))


def _classes(facts: Facts) -> str:
    ranked = sorted(facts.missing.items(), key=lambda it: (-it[1], it[0]))
    return f" ({', '.join(f'{failure} {count:,}' for failure, count in ranked)})" if ranked else ""


def _mend(facts: Facts) -> str:
    """What the most frequent class is, and what helps against it."""
    most = max(sorted(facts.missing), key=lambda failure: facts.missing[failure], default="")
    words = f"{most}: {_CLASSES[most]}; " if most in _CLASSES else ""
    return f"{words}{_REMEDIES.get(most, 'see the reasons in the summary')}, and replay again"


#: Words by class of failure, and what helps against it.
_CLASSES: Mapping[str, str] = {
    **{str(disposition): words for disposition, words in DISPOSITIONS.items()},
    TIMED_OUT: "longer than replay_timeout",
    "absent": "no record of the replay came",
}
_REMEDIES: Mapping[str, str] = {
    "infra_error": "see to the provider and its limits",
    "over_budget": "raise unit_steps, unit_tokens, unit_seconds or unit_usd",
    "no_recording": "give the recorded model those turns",
    "not_replayable": "record traces in full",
    "internal_error": "see the reasons in the summary",
    TIMED_OUT: "raise replay_timeout, or take a faster route",
    "absent": "see the dead letters",
}


def _stubs(facts: Facts) -> Iterator[Reason]:
    limit = facts.gate.missing.max_unmatched_stub_rate
    if limit is not None and facts.guessed > limit * facts.conversations:
        yield _guessed(facts, f"; the gate allows {100 * limit:g}%")


def _guessed(facts: Facts, more: str = "") -> Reason:
    found = f"stubs guessed in {facts.guessed:,} of {facts.conversations:,} conversations{more}"
    advice = "record more answers of the tools whose calls have another grade than exact in these comparisons"
    return _reason("stub_gap", found, advice=advice)


def _blind(facts: Facts) -> Iterator[Reason]:
    limit = facts.gate.missing.max_unknown_rate
    for metric in facts.metrics:
        if metric.votes and metric.pairs and metric.unknown > limit * metric.pairs:
            often = f"{metric.unknown:,} of {metric.pairs:,}"
            found = f"{metric.signal} is unknown in {often}; the gate allows {100 * limit:g}%"
            advice = "record it, or take the metric out of the gate; more conversations do not help"
            yield _reason("blind_metric", found, metric.id, advice=advice)
        elif metric.votes and metric.standing == "within_margin" and _saw_nothing(metric):
            left = f"at {metric.headroom:.1%} of its worst left, no candidate could have been told from it"
            advice = "see whether what it asks can be met at all, or take it out of the gate"
            yield _reason("blind_metric", f"production is as bad as can be: {left}", metric.id, advice=advice)


def _saw_nothing(metric: MetricEvidence) -> bool:
    """Whether nothing differed where nothing could have, that so many pairs would tell from nothing.

    The margin has no say in it: who tolerates much has said so, and who is better has been seen to be.
    """
    if metric.headroom is None or metric.certifiable is None or metric.mean is None:
        return False
    return not any(metric.mean) and metric.headroom <= metric.certifiable


_BROKEN: tuple[Callable[[Facts], Iterator[Reason]], ...] = (
    _placebo, _not_exercised, _uncalibrated, _missing, _stubs, _blind,
)  # fmt: skip


# -- nothing is proved --------------------------------------------------------------------------------------------


def _inconclusive(facts: Facts, voting: Sequence[MetricEvidence]) -> tuple[Decision, tuple[Reason, ...]]:
    gate, reasons = facts.gate, tuple(_open(facts, voting))
    if _is_over(facts) and gate.on_inconclusive == "rollback":
        return "roll_back", (_reason("inconclusive", "on_inconclusive: rollback"), *reasons)
    return "hold", reasons


_NOTHING_COUNTED = "no trace of this baseline was replayed in the gate's mode (see what was admitted, and why not)"


def _open(facts: Facts, voting: Sequence[MetricEvidence]) -> Iterator[Reason]:
    if not facts.conversations:
        yield _reason("no_evidence", _waiting(facts))
        return
    threshold = -log(facts.gate.alpha.promote)
    if _depends_on_guesses(facts, voting):
        yield _guessed(facts)
    unproved = [metric for metric in voting if metric.standing != "within_margin"]
    never = [metric for metric in unproved if _was_never_asked(metric)]
    yield from map(_nobody_asks(facts), never)
    short = [metric for metric in unproved if metric.log_e_safe[0] < threshold and metric not in never]
    if short:
        yield from _underpowered(facts, short)
        alone = [metric for metric in short if metric.uncalibrated]
        if alone:
            yield _without_a_lane(alone)
    elif not facts.guessed and not never:
        found = "the verdict depends on values that are unknown, however few"
        yield _reason("blind_metric", found, *(metric.id for metric in unproved), advice="record them")
    if _is_over(facts):
        yield _reason("stale_stream", _over(facts), advice="start anew with a larger plan, or give the candidate up")


def _waiting(facts: Facts) -> str:
    if facts.still_open:
        over = f"{facts.gate.idle} (idle) without another turn, or {facts.gate.max_age} (max_age) after their first one"
        return f"{facts.still_open:,} are open; they vote after {over}, by the clock of the traces"
    return _NOTHING_COUNTED if facts.complete else ""


def _was_never_asked(metric: MetricEvidence) -> bool:
    signal = signal_of(metric.signal)
    return signal is not None and signal.conditional and not metric.pairs


def _nobody_asks(facts: Facts) -> Callable[[MetricEvidence], Reason]:
    def reason(metric: MetricEvidence) -> Reason:
        signal = signal_of(metric.signal)
        asks = "it" if signal is None else signal.asks
        found = f"no trace names {asks}, in {facts.conversations:,} conversations; more of them do not help"
        advice = f"name {asks} in traces, or take the metric out of the gate"
        return _reason("blind_metric", found, metric.id, advice=advice)

    return reason


def _underpowered(facts: Facts, short: Sequence[MetricEvidence]) -> Iterator[Reason]:
    """Metrics that need the lane are one case before anybody was drawn for it, those that vote are another."""
    undrawn = [metric.id for metric in short if not facts.laned and not metric.pairs]
    if undrawn:
        found = f"none of {facts.conversations:,} conversations was drawn for the baseline lane yet"
        yield _reason("underpowered", found, *undrawn, advice="replay more of them, or a larger --lane-share")
    rest = [metric for metric in short if metric.id not in undrawn]
    if rest:
        yield _reason("underpowered", _still_needed(facts, rest), *(metric.id for metric in rest))


def _over(facts: Facts) -> str:
    """Whether it was pairs or time."""
    gate, told = facts.gate, list[str]()
    if facts.pairs >= gate.max_pairs:
        told.append(f"{facts.pairs:,} pairs have voted, of {gate.max_pairs:,} (max_pairs)")
    if facts.seconds > gate.wait_seconds:
        told.append(f"the traces span {facts.seconds / 3600:,.1f} hours, the plan {gate.max_wait} (max_wait)")
    return "; ".join(told)


def _depends_on_guesses(facts: Facts, voting: Sequence[MetricEvidence]) -> bool:
    """Whether the best case and the worst case lead to different verdicts."""
    promote, rollback = -log(facts.gate.alpha.promote), -log(facts.gate.alpha.rollback)
    best = all(metric.log_e_safe[0] >= promote for metric in voting)
    return facts.guessed > 0 and (best or facts.log_e_rollback[1] >= rollback)


def _is_over(facts: Facts) -> bool:
    return facts.pairs >= facts.gate.max_pairs or facts.seconds > facts.gate.wait_seconds


def _still_needed(facts: Facts, short: Sequence[MetricEvidence]) -> str:
    """In pairs, and in conversations where only some of these are pairs."""
    known = [(it.more_pairs, it.pairs) for it in short if it.more_pairs is not None]
    if len(known) < len(short):
        return "how many cannot be said yet"
    pairs = max(more for more, _ in known)
    conversations = max(ceil(more * facts.conversations / voted) for more, voted in known)
    if conversations <= pairs:
        return f"about {pairs:,} more"
    return f"about {pairs:,} more pairs, which is {conversations:,} conversations of which as large a share has a say"


def _reason(code: ReasonCode, found: str, *metrics: str, advice: str = "") -> Reason:
    words = f"{REASONS[code]}{': ' if found else ''}{found}{f'. Next: {advice}' if advice else ''}"
    return Reason(code=code, words=words, metrics=metrics)
