"""The decision: a pure function of what the evidence says of each metric.

It is three-way on purpose: promotion needs proof that every blocking metric is within its margin, a rollback needs
proof that one is beyond, and whatever lies between is held, with a reason from a closed list and what it would take
to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import log
from typing import NamedTuple

from replay.gate.config import Gate
from replay.verdict import REASONS, Decision, MetricEvidence, Reason, odds_of, stands_out


class Facts(NamedTuple):
    """What the decision is made of. Pairs of figures are the candidate's best and worst case.

    `pairs`: conversations that have both lanes; all of them when there is no lane. `complete`: the run is over.
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
    failed_alike: int
    excused: int
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
    hits = [metric for metric in facts.metrics if metric.votes and metric.kind == "zero_tolerance" and metric.hits]
    for metric in hits:
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
    if _placebo_fired(facts):
        worst = max(facts.placebo, key=lambda metric: metric.log_e_harm[0])
        yield _reason("placebo_fired", f"odds of {odds_of(facts.log_e_placebo)} against chance", worst.id)


def _not_exercised(facts: Facts) -> Iterator[Reason]:
    if facts.not_exercised:
        yield _reason("not_exercised", f"{', '.join(facts.not_exercised)} changed, and the replay does not execute it")


def _uncalibrated(facts: Facts) -> Iterator[Reason]:
    found = [metric for metric in facts.metrics if metric.votes and metric.standing == "uncalibrated"]
    if found:
        yield _without_a_lane(found)


def _without_a_lane(metrics: Sequence[MetricEvidence]) -> Reason:
    most = max(metrics, key=lambda metric: metric.uncalibrated)
    counted = f"{most.uncalibrated:,} of {most.uncalibrated + most.pairs:,} conversations had none to be judged beside"
    advice = "replay a share of the traces with the baseline too: --lane-share 0.2"
    return _reason("uncalibrated", f"{counted}; {advice}", *(metric.id for metric in metrics))


def _missing(facts: Facts) -> Iterator[Reason]:
    limit = facts.gate.missing.max_failed_alike_rate
    if facts.failed_alike > limit * facts.pairs:
        words = f"{facts.failed_alike:,} of {facts.pairs:,} pairs, in both lanes alike; the gate allows {limit:.0%}"
        yield _reason("missing_replays", words)
    if facts.excused > limit * facts.conversations:
        words = f"{facts.excused:,} of {facts.conversations:,} conversations, beside no lane; the gate allows {limit:.0%}"
        yield _reason("missing_replays", words)


def _blind(facts: Facts) -> Iterator[Reason]:
    limit = facts.gate.missing.max_unknown_rate
    for metric in facts.metrics:
        if metric.votes and metric.pairs and metric.unknown > limit * metric.pairs:
            words = f"{metric.signal} is unknown in {metric.unknown:,} of {metric.pairs:,}; the gate allows {limit:.0%}"
            yield _reason("blind_metric", words, metric.id)


_BROKEN: tuple[Callable[[Facts], Iterator[Reason]], ...] = (_placebo, _not_exercised, _uncalibrated, _missing, _blind)


# -- nothing is proved --------------------------------------------------------------------------------------------


def _inconclusive(facts: Facts, voting: Sequence[MetricEvidence]) -> tuple[Decision, tuple[Reason, ...]]:
    gate, reasons = facts.gate, tuple(_open(facts, voting))
    if _is_over(facts) and gate.on_inconclusive == "rollback":
        return "roll_back", (_reason("inconclusive", "on_inconclusive: rollback"), *reasons)
    return "hold", reasons


_NOTHING_COUNTED = "no trace of this baseline was replayed in the gate's mode (see what was admitted, and why not)"


def _open(facts: Facts, voting: Sequence[MetricEvidence]) -> Iterator[Reason]:
    if not facts.conversations:
        yield _reason("no_evidence", _NOTHING_COUNTED if facts.complete else "")
        return
    threshold = -log(facts.gate.alpha.promote)
    if _depends_on_guesses(facts, voting):
        yield _reason("stub_gap", f"stubs guessed in {facts.guessed:,} of {facts.conversations:,} conversations")
    unproved = [metric for metric in voting if metric.standing != "within_margin"]
    short = [metric for metric in unproved if metric.log_e_safe[0] < threshold]
    if short:
        yield _reason("underpowered", _still_needed(short), *(metric.id for metric in short))
        alone = [metric for metric in short if metric.uncalibrated]
        if alone:
            yield _without_a_lane(alone)
    elif not facts.guessed:
        words = "the verdict depends on values that are unknown, however few"
        yield _reason("blind_metric", words, *(metric.id for metric in unproved))
    if _is_over(facts):
        plan = f"{facts.gate.max_pairs:,} pairs within {facts.gate.max_wait}"
        yield _reason("stale_stream", f"it was {plan}")


def _depends_on_guesses(facts: Facts, voting: Sequence[MetricEvidence]) -> bool:
    """Whether the best case and the worst case lead to different verdicts."""
    promote, rollback = -log(facts.gate.alpha.promote), -log(facts.gate.alpha.rollback)
    best = all(metric.log_e_safe[0] >= promote for metric in voting)
    return facts.guessed > 0 and (best or facts.log_e_rollback[1] >= rollback)


def _is_over(facts: Facts) -> bool:
    return facts.pairs >= facts.gate.max_pairs or facts.seconds > facts.gate.wait_seconds


def _still_needed(short: Sequence[MetricEvidence]) -> str:
    known = [metric.more_pairs for metric in short if metric.more_pairs is not None]
    if len(known) < len(short):
        return "how many cannot be said yet"
    return f"about {max(known):,} more"


def _reason(code: str, words: str, *metrics: str) -> Reason:
    return Reason(code=code, words=f"{REASONS[code]}{': ' if words else ''}{words}", metrics=metrics)
