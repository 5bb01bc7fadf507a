"""Pairs in, scores out: every dimension of a batch, by the comparators that know it.

Scores never depend on which other pairs happen to be in the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from comparators.answerbatch import AnswerBatch
from comparators.answers import compare_answers
from comparators.answerwords import english_answers
from comparators.claims import compare_claims
from comparators.cost import Spending, compare_cost
from comparators.expected import compare_expected
from comparators.grounding import compare_grounding
from comparators.guardrails import Decision, DecisionPair, compare_guardrails
from comparators.latency import Times, compare_latency
from comparators.semantic import Meanings, compare_meanings
from comparators.spec import Column, Floats, Status, Statuses, overridden
from comparators.stance import Records, StancePair, compare_stances, stance_of
from comparators.steps import compare_steps
from comparators.toolcalls import compare_calls
from replay.comparison import Score, Side
from replay.sides import DecisionEvent, Pair
from replay.trace import Usage

_SCORED_WORD = Status.SCORED.name.lower()
#: Scores without a value, by status: they are all alike.
_UNSCORED: Mapping[int, Score] = {int(status): Score(status=status.name.lower()) for status in Status}


class Read(NamedTuple):
    """Answers as comparators read them, and what each does."""

    answers: AnswerBatch
    stances: list[StancePair]


def read_answers(pairs: Sequence[Pair]) -> Read:
    texts = [pair.production_answer for pair in pairs], [pair.replay_answer for pair in pairs]
    words = english_answers()
    batch = AnswerBatch(*texts, words, given=_given_answers(pairs, _given(pairs)))
    production, replay = [pair.production for pair in pairs], [pair.replay for pair in pairs]
    sides = (
        [stance_of(text, told, _records(side), words) for text, told, side in zip(normal, said, acted, strict=True)]
        for normal, said, acted in zip(batch.normal, batch.telling, (production, replay), strict=True)
    )
    return Read(batch, list(zip(*sides, strict=True)))


def _records(side: Side) -> Records:
    done = ("succeeded", "assumed")
    return Records(
        handed_over=side.hands_over,
        blocked=side.decisions.get("block", 0) > 0,
        acted=any(call.effect in ("write", "handoff") and call.outcome in done for call in side.calls),
    )


def measure(
    pairs: Sequence[Pair], meanings: Meanings | None = None, read: Read | None = None
) -> list[dict[str, Score]]:
    """Scores of each pair: every dimension by name, with its status. `answer.semantic` only with `meanings`."""
    scored = [(column.name, _scores(column)) for column in _columns(pairs, meanings, read or read_answers(pairs))]
    return [{name: scores[row] for name, scores in scored} for row in range(len(pairs))]


# -- columns ----------------------------------------------------------------------------------------------------


def _columns(pairs: Sequence[Pair], meanings: Meanings | None, read: Read) -> tuple[Column, ...]:
    given, batch = _given(pairs), read.answers
    production, replayed = [pair.production for pair in pairs], [pair.replay for pair in pairs]
    answers = compare_answers(batch)
    return (
        *answers,
        compare_grounding(batch, [pair.grounds for pair in pairs]),
        *compare_stances([ours for ours, _ in read.stances], [theirs for _, theirs in read.stances], given=batch.given),
        *(() if meanings is None else (compare_meanings(batch.production, batch.replay, answers[0], meanings),)),
        *(overridden(scores, given) for scores in compare_calls([pair.calls for pair in pairs])),
        *compare_claims([pair.claims for pair in pairs], given=_given_answers(pairs, given)),
        *compare_guardrails([decisions_of(pair) for pair in pairs], given=given),
        *compare_expected(
            [side.expected for side in production],
            [side.expected for side in replayed],
            given=_given_outcomes(pairs, given),
        ),
        *compare_latency(_times(production), _times(replayed), given=given),
        compare_steps([pair.steps for pair in pairs], given=given),
        *compare_cost(_spending(production), _spending(replayed), given=given),
    )


def _given(pairs: Sequence[Pair]) -> Statuses:
    return np.array([Status.CENSORED if pair.censored else Status.SCORED for pair in pairs], dtype=np.uint8)


def _given_answers(pairs: Sequence[Pair], given: Statuses) -> Statuses:
    silent = np.array([pair.did_not_answer for pair in pairs], dtype=bool)
    return np.where(silent & (given == Status.SCORED), np.uint8(Status.DID_NOT_ANSWER), given)


def _given_outcomes(pairs: Sequence[Pair], given: Statuses) -> Statuses:
    """Without an expectation there is nothing that a stopped replay could have missed."""
    status = np.array([pair.exam.status for pair in pairs], dtype=np.uint8)
    return np.where(status == Status.SCORED, given, status)


def _times(sides: Sequence[Side]) -> Times:
    return Times(
        total=_known([side.latency_ns for side in sides]),
        model=_known([side.model_latency_ns for side in sides]),
        ttft=_known([side.ttft_ns for side in sides]),
    )


def _spending(sides: Sequence[Side]) -> Spending:
    usages = [side.usage or Usage() for side in sides]
    return Spending(
        usd=_known([None if side.cost_usd is None else float(side.cost_usd) for side in sides]),
        read=_known([usage.input_tokens for usage in usages]),
        written=_known([usage.output_tokens for usage in usages]),
        cached=_known([usage.cache_read for usage in usages]),
    )


def _known(values: Sequence[float | None]) -> Floats:
    """NaN stands for null inside the comparators, and only there."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def decisions_of(pair: Pair) -> DecisionPair:
    return DecisionPair(
        tuple(_decision(event) for event in pair.production_decisions),
        tuple(_decision(event) for event in pair.replay_decisions),
        recorded=pair.guarded,
    )


def _decision(event: DecisionEvent) -> Decision:
    return Decision(event.subject, event.decision, event.rule, event.words)


def _scores(column: Column) -> list[Score]:
    rows = zip(column.status.tolist(), column.value.tolist(), strict=True)
    return [Score(status=_SCORED_WORD, value=value) if not status else _UNSCORED[status] for status, value in rows]
