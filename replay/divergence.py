"""From finished replays to comparisons: pairs become columns, comparators score them, rules make flags of scores.

This is the only module that knows both the records and the comparators. Scores never depend on which other
pairs happened to finish at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from msgspec import structs

from comparators.answerbatch import AnswerBatch
from comparators.answers import compare_answers, explain_sentences
from comparators.answerwords import english_answers
from comparators.calls import Effect
from comparators.claims import compare_claims, explain_claims
from comparators.cost import Spending, compare_cost
from comparators.expected import compare_expected
from comparators.explain import explain_calls
from comparators.grounding import compare_grounding, explain_grounding
from comparators.guardrails import Decision, DecisionPair, compare_guardrails, explain_guardrails, transitions
from comparators.latency import Times, compare_latency
from comparators.semantic import Meanings, compare_meanings
from comparators.spec import COMPARATOR_SET, Column, Evidence, Floats, Status, Statuses, overridden
from comparators.stance import Records, StancePair, compare_stances, explain_stances, stance_of
from comparators.steps import Slowest, compare_steps, slowest_steps
from comparators.toolcalls import compare_calls
from replay.comparison import Comparison, Coverage, EvidenceLine, Flag, Score, Side, SlowestStep, Source, replace
from replay.contract import Tooling
from replay.execution import Attempt, Plan
from replay.expected import recorded_outcome
from replay.grade import FAITHFUL
from replay.planning import Planner
from replay.record_size import fit
from replay.severity import ANSWER_MISSING, ATTEMPTED_WRITE, Rule, fired
from replay.sides import DecisionEvent, Pair, production_side, recorded_pair, replay_side, replayed_pair
from replay.trace import Trace, Usage

#: Evidence lines kept per flag; the rest is in the calls of both sides.
_MAX_EVIDENCE = 8
_SCORED_WORD = Status.SCORED.name.lower()
#: Scores without a value, by status: they are all alike.
_UNSCORED: Mapping[int, Score] = {int(status): Score(status=status.name.lower()) for status in Status}


class Unscored(NamedTuple):
    """A unit that never became an attempt."""

    disposition: Literal["not_replayable", "internal_error"]
    reason: str


class Job(NamedTuple):
    """One unit to replay, and what its record needs beside it."""

    plan: Plan
    source: Source
    probability: float = 1.0
    lane_probability: float = 0.0
    admitted_as: Literal["baseline", "any_bundle"] = "baseline"


class Finished(NamedTuple):
    """A unit that came to an end: an attempt, or the reason why there is none."""

    job: Job
    result: Attempt | Unscored


@dataclass(frozen=True)
class Comparer:
    """Scores finished units. `content` "digest" keeps texts and arguments off the record."""

    planner: Planner
    content: str = "full"
    max_record_bytes: int = 256 << 10
    isolation: str = "cooperative"
    meanings: Meanings | None = None

    def compare(self, batch: Sequence[Finished], *, run_id: str, now: int | None) -> list[Comparison]:
        """One comparison per finished unit, in the order given."""
        scored = [item for item in batch if _can_be_scored(item)]
        judged = _judged([self._pair(item) for item in scored], self.meanings)
        by_item = dict(zip((id(item) for item in scored), judged, strict=True))
        return [self._comparison(item, by_item.get(id(item)), run_id=run_id, now=now) for item in batch]

    def _pair(self, item: Finished) -> Pair:
        assert isinstance(item.result, Attempt)  # noqa: S101 - `_can_be_scored` has asked
        baseline = self.planner.baseline
        return replayed_pair(
            item.job.plan, item.result, baseline_prices=baseline.prices, guarded=not baseline.policy.rules
        )

    def _comparison(self, item: Finished, judged: _Judged | None, *, run_id: str, now: int | None) -> Comparison:
        job, result = item
        plan, trace = job.plan, job.plan.trace
        attempt = result if isinstance(result, Attempt) else None
        comparison = Comparison(
            comparison_id=plan.unit.comparison_id,
            run_id=run_id,
            trace_id=trace.trace_id,
            revision=trace.revision,
            conversation_id=trace.conversation_id,
            turn=trace.turn,
            source=job.source,
            baseline=plan.unit.baseline,
            candidate=plan.unit.candidate,
            mode=plan.unit.mode,
            lane=plan.unit.lane,
            sample=plan.unit.sample,
            sampling_probability=job.probability,
            lane_probability=job.lane_probability,
            admitted_as=job.admitted_as,
            disposition=result.disposition,
            reason=result.reason,
            comparator_set=COMPARATOR_SET,
            coverage=coverage_of(attempt),
            not_exercised=self.planner.not_exercised,
            isolation=self.isolation,
            cohort=trace.request.attributes,
            production_started_at=trace.started_at,
            replayed_at=now,
            model_requested=self.planner.replayed(plan.unit.lane).route.model,
            served_model=attempt.taken[-1].reply.served_model if attempt and attempt.taken else None,
            prefix=_prefixes(attempt),
            attempts=attempt.attempts if attempt else 0,
            production=judged.pair.production if judged else self._unpaired(plan),
            replay=replay_side(attempt) if attempt is not None else Side(),
        )
        comparison = comparison if judged is None else judged.on(comparison)
        return fit(comparison, content=self.content, max_bytes=self.max_record_bytes)

    def _unpaired(self, plan: Plan) -> Side:
        """Production's side where no replay came to an end: how it fared is known all the same."""
        side = production_side(plan.trace, plan.tooling, self.planner.baseline.prices)
        return structs.replace(side, expected=recorded_outcome(plan.trace, plan.tooling))


def compare_recordings(
    recordings: Sequence[tuple[Trace, Trace]],
    *,
    tooling: Tooling,
    blanks: Sequence[Comparison],
    meanings: Meanings | None = None,
) -> list[Comparison]:
    """Score two recordings of the same tasks; `blanks` say who was compared with whom, one per pair."""
    pairs = [recorded_pair(production, candidate, tooling) for production, candidate in recordings]
    return [
        fit(judged.on(replace(blank, comparator_set=COMPARATOR_SET)), content="full", max_bytes=256 << 10)
        for blank, judged in zip(blanks, _judged(pairs, meanings), strict=True)
    ]


class _Judged(NamedTuple):
    """A pair, its scores, and the step in which most time was lost."""

    pair: Pair
    scores: dict[str, Score]
    stances: StancePair
    slowest: Slowest | None

    def on(self, comparison: Comparison) -> Comparison:
        """The comparison with what was found."""
        flags = flags_of(self.pair, self.scores, self.stances)
        return replace(
            comparison,
            scores=self.scores,
            flags=flags,
            severity=max((flag.severity for flag in flags), default=0),
            first_divergence=self.pair.first_divergence,
            slowest_step=self._slowest_step(),
            decisions={" > ".join(key): count for key, count in sorted(transitions(_decisions(self.pair)).items())},
            production=structs.replace(self.pair.production, stance=self.stances[0]),
            replay=structs.replace(self.pair.replay, stance=self.stances[1]),
        )

    def _slowest_step(self) -> SlowestStep | None:
        if self.slowest is None or self.scores["latency.step"].value is None:
            return None
        production, replay, before, after = self.slowest
        return SlowestStep(production=production, replay=replay, production_ns=int(before), replay_ns=int(after))


def _judged(pairs: Sequence[Pair], meanings: Meanings | None) -> list[_Judged]:
    slowest, read = slowest_steps([pair.steps for pair in pairs]), _read(pairs)
    scores = measure(pairs, meanings, read)
    return [_Judged(*parts) for parts in zip(pairs, scores, read.stances, slowest, strict=True)]


class _Read(NamedTuple):
    """Answers as comparators read them, and what each does."""

    answers: AnswerBatch
    stances: list[StancePair]


def _read(pairs: Sequence[Pair]) -> _Read:
    texts = [pair.production_answer for pair in pairs], [pair.replay_answer for pair in pairs]
    words = english_answers()
    batch = AnswerBatch(*texts, words, given=_given_answers(pairs, _given(pairs)))
    production, replay = [pair.production for pair in pairs], [pair.replay for pair in pairs]
    sides = (
        [stance_of(text, told, _records(side), words) for text, told, side in zip(normal, said, acted, strict=True)]
        for normal, said, acted in zip(batch.normal, batch.telling, (production, replay), strict=True)
    )
    return _Read(batch, list(zip(*sides, strict=True)))


def _records(side: Side) -> Records:
    done = ("succeeded", "assumed")
    return Records(
        handed_over=side.hands_over,
        blocked=side.decisions.get("block", 0) > 0,
        acted=any(call.effect in ("write", "handoff") and call.outcome in done for call in side.calls),
    )


def measure(
    pairs: Sequence[Pair], meanings: Meanings | None = None, read: _Read | None = None
) -> list[dict[str, Score]]:
    """Scores of each pair: every dimension by name, with its status. `answer.semantic` only with `meanings`."""
    scored = [(column.name, _scores(column)) for column in _columns(pairs, meanings, read or _read(pairs))]
    return [{name: scores[row] for name, scores in scored} for row in range(len(pairs))]


def flags_of(pair: Pair, scores: Mapping[str, Score], stances: StancePair = ((), ())) -> tuple[Flag, ...]:
    """The rules that fired and what shows it. Evidence is built for these pairs only."""
    rules = fired(scores)
    lines = _evidence(pair, rules, stances)
    flags = [_flag(rule, lines) for rule in rules]
    if pair.censored:
        lines = _evidence(pair, (ATTEMPTED_WRITE,), stances)
        attempted = _flag(ATTEMPTED_WRITE, lines)
        flags += [attempted] if attempted.evidence else []
    elif pair.production_answer is not None and pair.replay_answer is None and not pair.did_not_answer:
        flags.append(Flag(rule=ANSWER_MISSING.name, severity=ANSWER_MISSING.severity))
    return tuple(flags)


def coverage_of(attempt: Attempt | None) -> Coverage:
    if attempt is None:
        return Coverage()
    calls = sum(attempt.grades.values())
    faithful = sum(count for grade, count in attempt.grades.items() if grade in _FAITHFUL)
    by = attempt.censored_by
    return Coverage(
        calls=calls,
        exact=faithful / calls if calls else None,
        grades=dict(attempt.grades),
        intended_actions=sum(answer.effect is Effect.WRITE for taken in attempt.taken for answer in taken.answers),
        halted_by=f"{by.asked.tool}({by.asked.arguments[:500]})" if by is not None else None,
    )


_FAITHFUL = frozenset(str(grade) for grade in FAITHFUL)


# -- columns ----------------------------------------------------------------------------------------------------


def _columns(pairs: Sequence[Pair], meanings: Meanings | None, read: _Read) -> tuple[Column, ...]:
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
        *compare_guardrails([_decisions(pair) for pair in pairs], given=given),
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


def _decisions(pair: Pair) -> DecisionPair:
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


def _can_be_scored(item: Finished) -> bool:
    return isinstance(item.result, Attempt) and item.result.disposition in ("compared", "censored")


def _prefixes(attempt: Attempt | None) -> dict[str, int]:
    """How many model replies were played on the recorded prefix, and how many off it."""
    found = [taken.reply.prefix for taken in attempt.taken if taken.reply.prefix] if attempt is not None else []
    return {name: found.count(name) for name in sorted(set(found))}


# -- evidence ---------------------------------------------------------------------------------------------------


def _evidence(pair: Pair, rules: Sequence[Rule], stances: StancePair) -> tuple[Evidence, ...]:
    """Only of what is to be shown: most of it costs more than the scores."""
    wanted = {kind for rule in rules for kind in rule.kinds}
    texts = pair.production_answer, pair.replay_answer
    found: list[Evidence] = []
    if wanted & _STANCE:
        found += explain_stances(*stances, texts)
    if wanted & _SENTENCES:
        found += explain_sentences(*texts, english_answers())
    if wanted & _GROUNDING:
        found += explain_grounding(*texts, pair.grounds)
    if wanted - _STANCE - _SENTENCES - _GROUNDING:
        found += explain_calls(pair.calls)
        found += explain_claims(pair.claims)
        found += explain_guardrails(_decisions(pair))
        found += pair.exam.lines()
    return tuple(found)


_STANCE, _SENTENCES = frozenset({"stance"}), frozenset({"number_substituted", "polarity_flip"})
_GROUNDING = frozenset({"ungrounded"})


def _flag(rule: Rule, lines: Sequence[Evidence]) -> Flag:
    shown = [line for line in lines if line.kind in rule.kinds][:_MAX_EVIDENCE]
    evidence = tuple(EvidenceLine(kind=line.kind, removed=line.removed, added=line.added) for line in shown)
    return Flag(rule=rule.name, severity=rule.severity, evidence=evidence)
