"""From finished replays to comparisons: pairs are measured, rules make findings of scores, and both make a record.

Scores never depend on which other pairs happened to finish at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from msgspec import structs

from comparators.calls import Effect
from comparators.guardrails import transitions
from comparators.semantic import Meanings
from comparators.spec import COMPARATOR_SET
from comparators.stance import StancePair
from comparators.steps import Slowest, slowest_steps
from replay.comparison import Comparison, Coverage, Score, Side, SlowestStep, Source, replace
from replay.contract import Tooling
from replay.execution import Attempt, Plan
from replay.expected import recorded_misses
from replay.findings import claiming_answer, flags_of
from replay.grade import FAITHFUL
from replay.measures import decisions_of, measure, read_answers
from replay.planning import Planner
from replay.record_size import fit
from replay.sides import Pair, production_side, recorded_pair, replay_side, replayed_pair, with_outcome
from replay.trace import Trace


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
            request=trace.request.asked,
            production=judged.pair.production if judged else self._unpaired(plan),
            replay=replay_side(attempt) if attempt is not None else Side(),
        )
        comparison = comparison if judged is None else judged.on(comparison)
        return fit(comparison, content=self.content, max_bytes=self.max_record_bytes)

    def _unpaired(self, plan: Plan) -> Side:
        """Production's side where no replay came to an end: how it fared is known all the same."""
        side = production_side(plan.trace, plan.tooling, self.planner.baseline.prices)
        return with_outcome(side, recorded_misses(plan.trace, plan.tooling))


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
            decisions={" > ".join(key): count for key, count in sorted(transitions(decisions_of(self.pair)).items())},
            production=structs.replace(self.pair.production, stance=self.stances[0]),
            replay=structs.replace(
                self.pair.replay, stance=self.stances[1], earlier=claiming_answer(self.pair, flags)
            ),
        )

    def _slowest_step(self) -> SlowestStep | None:
        if self.slowest is None or self.scores["latency.step"].value is None:
            return None
        production, replay, before, after = self.slowest
        return SlowestStep(production=production, replay=replay, production_ns=int(before), replay_ns=int(after))


def _judged(pairs: Sequence[Pair], meanings: Meanings | None) -> list[_Judged]:
    slowest, read = slowest_steps([pair.steps for pair in pairs]), read_answers(pairs)
    scores = measure(pairs, meanings, read)
    return [_Judged(*parts) for parts in zip(pairs, scores, read.stances, slowest, strict=True)]


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


def _can_be_scored(item: Finished) -> bool:
    return isinstance(item.result, Attempt) and item.result.disposition in ("compared", "censored")


def _prefixes(attempt: Attempt | None) -> dict[str, int]:
    """How many model replies were played on the recorded prefix, and how many off it."""
    found = [taken.reply.prefix for taken in attempt.taken if taken.reply.prefix] if attempt is not None else []
    return {name: found.count(name) for name in sorted(set(found))}
