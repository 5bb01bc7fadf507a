"""Both sides of a comparison, read from a trace and from what a replay came to.

Production's calls are read through the baseline's contracts, replayed ones through the replayed bundle's.
Everything a comparator looks at is made here, so that no comparator knows a trace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256

from msgspec import structs

from comparators.calls import CallEvent, CallPair, Effect
from comparators.claims import ClaimPair
from comparators.grounding import Grounds
from comparators.steps import Step, StepPair
from replay.comparison import CallRecord, Divergence, Side
from replay.contract import Entity, ReadCall, Tooling
from replay.deeds import conversation_claims, recorded_claims, replayed_claims
from replay.execution import Attempt, Plan, Taken, add_usage
from replay.expected import NOT_EXAMINED, Examined, Missed, recorded_exam, replayed_exam
from replay.grounds import recorded_grounds, replayed_grounds
from replay.policy import Decision, DecisionName
from replay.prices import Prices, total_cost
from replay.recorded import RecordedCall, RecordedStep, recorded_steps
from replay.recorded_world import outcome_of
from replay.stubs import StubAnswer
from replay.trace import Guardrail, Trace, Usage


@dataclass(frozen=True, slots=True)
class DecisionEvent:
    """What a guardrail said about one call. `subject` names the call, so that both sides can be paired."""

    subject: str
    decision: DecisionName
    rule: str | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of either side, as far as it matters for where both part. `answer` null = it called tools.

    `ns` is the time inside the model; null = not recorded.
    """

    calls: tuple[tuple[str, bytes], ...]
    answer: str | None
    stopped: bool = False
    ns: int | None = None

    @property
    def timed(self) -> Step:
        tools, calls = sorted(tool for tool, _ in self.calls), sorted(call for _, call in self.calls)
        return Step(tuple(tools), tuple(calls), self.ns)


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides of one trace, ready to be compared.

    `did_not_answer`: production answered at this step and the replay called a tool. `censored`: the replay was
    stopped, so nothing can be said about how it would have ended. `guarded`: production's decisions are known.
    """

    production: Side
    replay: Side
    calls: CallPair
    claims: ClaimPair
    production_answer: str | None
    replay_answer: str | None
    production_decisions: tuple[DecisionEvent, ...]
    replay_decisions: tuple[DecisionEvent, ...]
    first_divergence: Divergence | None
    steps: StepPair
    did_not_answer: bool = False
    censored: bool = False
    guarded: bool = True
    exam: Examined = NOT_EXAMINED
    grounds: Grounds = tuple


def replayed_pair(plan: Plan, attempt: Attempt, *, baseline_prices: Prices | None, guarded: bool) -> Pair:
    """Production against what a replay came to."""
    steps = recorded_steps(plan.trace)
    forced = attempt.mode == "forced"
    answer, did_not_answer = _forced_answer(steps, attempt) if forced else (attempt.answer, False)
    recorded = production_answer(plan.trace, steps)
    claims = recorded_claims(plan.trace, steps, recorded, plan.tooling)
    exam = replayed_exam(plan.trace, attempt.taken, answer, plan.tooling, forced=forced)
    stopped = attempt.disposition == "censored"
    ours = _recorded_views(plan.trace, steps, plan.tooling)
    theirs = [_taken_view(taken) for taken in attempt.taken]
    return Pair(
        production=with_outcome(production_side(plan.trace, plan.tooling, baseline_prices), exam.production_missed),
        replay=with_outcome(replay_side(attempt), None if stopped else exam.replay_missed),
        calls=CallPair(
            tuple(_production_events(steps, plan.tooling, by_step=forced)),
            tuple(_replay_events(attempt.taken, plan.tooling, by_step=forced)),
        ),
        claims=ClaimPair(
            claims,
            # A forced answer follows production's path, whatever the replay would have called on its own.
            claims.answering(answer) if forced else replayed_claims(plan.trace, attempt.taken, answer, plan.tooling),
            plan.tooling.lexicon,
        ),
        production_answer=recorded,
        replay_answer=answer,
        production_decisions=tuple(_production_decisions(plan.trace, steps, plan.tooling)),
        replay_decisions=tuple(_replay_decisions(attempt.taken)),
        first_divergence=first_divergence(ours, theirs),
        steps=_timed(ours, theirs, by_number=forced),
        did_not_answer=did_not_answer,
        censored=stopped,
        guarded=guarded or any(isinstance(step, Guardrail) for step in plan.trace.steps),
        exam=exam,
        grounds=replayed_grounds(plan, steps, attempt.taken, forced=forced),
    )


def recorded_pair(production: Trace, candidate: Trace, tooling: Tooling) -> Pair:
    """Two recordings of the same task. Nothing was replayed: both sides are read through the same contracts."""
    ours, theirs = recorded_steps(production), recorded_steps(candidate)
    exam = recorded_exam(production, candidate, tooling)
    views = _recorded_views(production, ours, tooling), _recorded_views(candidate, theirs, tooling)
    return Pair(
        production=with_outcome(production_side(production, tooling, None), exam.production_missed),
        replay=with_outcome(production_side(candidate, tooling, None), exam.replay_missed),
        calls=CallPair(
            tuple(_production_events(ours, tooling, by_step=False)),
            tuple(_production_events(theirs, tooling, by_step=False)),
        ),
        claims=ClaimPair(
            conversation_claims(production, ours, tooling),
            conversation_claims(candidate, theirs, tooling),
            tooling.lexicon,
        ),
        production_answer=production_answer(production, ours),
        replay_answer=production_answer(candidate, theirs),
        production_decisions=tuple(_production_decisions(production, ours, tooling)),
        replay_decisions=tuple(_production_decisions(candidate, theirs, tooling)),
        first_divergence=first_divergence(*views),
        steps=_timed(*views, by_number=False),
        guarded=any(isinstance(step, Guardrail) for step in (*production.steps, *candidate.steps)),
        exam=exam,
        grounds=recorded_grounds(candidate, theirs),
    )


def production_answer(trace: Trace, steps: Sequence[RecordedStep]) -> str | None:
    """What production told the user; null when its last step called a tool."""
    return trace.final_answer if steps and steps[-1].answered else None


def production_side(trace: Trace, tooling: Tooling, prices: Prices | None) -> Side:
    steps = recorded_steps(trace)
    usage = trace.usage or add_usage([step.call.usage for step in steps])
    return Side(
        answer=trace.final_answer,
        answer_sha256=_text_digest(trace.final_answer),
        calls=tuple(
            _production_record(call, number, tooling) for number, step in enumerate(steps) for call in step.calls
        ),
        decisions=_counted(step.decision for step in trace.steps if isinstance(step, Guardrail)),
        model_calls=len(steps),
        usage=usage,
        cost_usd=_production_cost(trace, usage, prices),
        latency_ns=trace.latency_ns,
        model_latency_ns=_known_sum([_duration(step) for step in steps]),
        ttft_ns=trace.ttft_ns if trace.ttft_ns is not None else next((step.call.ttft_ns for step in steps), None),
    )


def replay_side(attempt: Attempt) -> Side:
    return Side(
        answer=attempt.answer,
        answer_sha256=_text_digest(attempt.answer),
        calls=tuple(_replay_record(answer, taken.step) for taken in attempt.taken for answer in taken.answers),
        decisions=_counted(event.decision for event in _replay_decisions(attempt.taken)),
        model_calls=attempt.model_calls,
        usage=attempt.usage,
        cost_usd=_money(attempt.cost),
        latency_ns=_replay_latency(attempt),
        model_latency_ns=attempt.latency_ns,
        ttft_ns=attempt.taken[0].reply.ttft_ns if attempt.taken else None,
    )


def with_outcome(side: Side, missed: Missed | None) -> Side:
    """A side held to what was expected; null = it cannot be told."""
    return side if missed is None else structs.replace(side, expected=not missed, missed_by=missed)


def first_divergence(production: Sequence[StepView], replay: Sequence[StepView]) -> Divergence | None:
    """The first step that parts, and how: another tool, other arguments, a guardrail's word, another answer."""
    for number, (ours, theirs) in enumerate(zip(production, replay, strict=False)):
        kind = _parting(ours, theirs)
        if kind is not None:
            return Divergence(step=number, kind=kind)
    if len(production) == len(replay):
        return None
    return Divergence(step=min(len(production), len(replay)), kind="tool")


def _parting(ours: StepView, theirs: StepView) -> str | None:
    if Counter(tool for tool, _ in ours.calls) != Counter(tool for tool, _ in theirs.calls):
        return "tool"
    if Counter(ours.calls) != Counter(theirs.calls):
        return "arguments"
    if ours.stopped != theirs.stopped:
        return "guardrail"
    return "answer" if _words(ours.answer) != _words(theirs.answer) else None


def _recorded_views(trace: Trace, steps: Sequence[RecordedStep], tooling: Tooling) -> list[StepView]:
    stopped = {step.tool for step in trace.steps if isinstance(step, Guardrail) and step.decision in _STOPS}
    return [
        StepView(
            calls=tuple(
                (call.tool, tooling.read_production(call.tool, call.arguments).call.digest) for call in step.calls
            ),
            answer=step.call.output.text if step.answered else None,
            stopped=any(call.tool in stopped for call in step.calls),
            ns=_duration(step),
        )
        for step in steps
    ]


def _taken_view(taken: Taken) -> StepView:
    return StepView(
        calls=tuple((answer.asked.tool, answer.read.call.digest) for answer in taken.answers),
        answer=taken.answer,
        stopped=any(answer.decision is not None and answer.decision.decision in _STOPS for answer in taken.answers),
        ns=taken.reply.latency_ns,
    )


def _timed(production: Sequence[StepView], replay: Sequence[StepView], *, by_number: bool) -> StepPair:
    return StepPair([view.timed for view in production], [view.timed for view in replay], by_number)


#: Decisions that keep a call from running.
_STOPS = frozenset({"block", "escalate", "needs_approval"})


def _words(text: str | None) -> list[str] | None:
    return None if text is None else text.split()


def _forced_answer(steps: Sequence[RecordedStep], attempt: Attempt) -> tuple[str | None, bool]:
    """The replay's answer at the step where production answered, and whether it called a tool there instead."""
    if not steps or not steps[-1].answered or not attempt.taken:
        return None, False
    last = attempt.taken[-1]
    return last.answer, bool(last.answers)


# -- calls ------------------------------------------------------------------------------------------------------


def _production_events(steps: Sequence[RecordedStep], tooling: Tooling, *, by_step: bool) -> Iterable[CallEvent]:
    for number, step in enumerate(steps):
        for call in step.calls:
            read = tooling.read_production(call.tool, call.arguments)
            yield CallEvent(
                call=read.call,
                effect=tooling.effect(call.tool),
                outcome=outcome_of(call, tooling.stubbing(call.tool)),
                step=number,
                group=number if by_step else 0,
                weight=tooling.weight(call.tool),
                valid=read.violation is None and tooling.offered_in_production(call.tool),
                resource=_resource(tooling.entities(call.tool, read)),
            )


def _replay_events(taken: Sequence[Taken], tooling: Tooling, *, by_step: bool) -> Iterable[CallEvent]:
    for step in taken:
        for answer in step.answers:
            yield CallEvent(
                call=answer.read.call,
                effect=answer.effect,
                outcome=answer.outcome,
                step=step.step,
                group=step.step if by_step else 0,
                weight=tooling.weight(answer.asked.tool),
                valid=answer.read.violation is None and tooling.offers(answer.asked.tool),
                resource=_resource(tooling.entities(answer.asked.tool, answer.read)),
            )


def _resource(entities: frozenset[Entity] | None) -> str:
    return "" if entities is None else ",".join(sorted(f"{entity.kind}={entity.value}" for entity in entities))


def _production_record(call: RecordedCall, step: int, tooling: Tooling) -> CallRecord:
    return CallRecord(
        tool=call.tool,
        arguments=call.arguments,
        effect=_effect_name(tooling.effect(call.tool)),
        outcome=outcome_of(call, tooling.stubbing(call.tool)).name.lower(),
        step=step,
        violation=tooling.read_production(call.tool, call.arguments).violation,
        result=call.result,
    )


def _replay_record(answer: StubAnswer, step: int) -> CallRecord:
    return CallRecord(
        tool=answer.asked.tool,
        arguments=answer.asked.arguments,
        effect=_effect_name(answer.effect),
        outcome=answer.outcome.name.lower(),
        step=step,
        grade=str(answer.grade),
        violation=answer.read.violation,
        result=answer.result,
        decision=answer.decision.decision if answer.decision else None,
        rule=answer.decision.rule if answer.decision else None,
    )


def _effect_name(effect: Effect) -> str:
    return effect.name.lower()


# -- guardrails -------------------------------------------------------------------------------------------------


def _production_decisions(trace: Trace, steps: Sequence[RecordedStep], tooling: Tooling) -> Iterable[DecisionEvent]:
    """Recorded decisions, and "allow" for every call that ran without one."""
    decided: Counter[str] = Counter()
    for step in trace.steps:
        if isinstance(step, Guardrail) and step.tool is not None:
            subject = _subject(step.tool, tooling.read_production(step.tool, step.arguments or ""))
            decided[subject] += 1
            words = _call_words(step.tool, step.arguments or "")
            yield DecisionEvent(subject, step.decision, step.rule, words)
    for recorded in steps:
        for call in recorded.calls:
            subject = _subject(call.tool, tooling.read_production(call.tool, call.arguments))
            if decided[subject]:
                decided[subject] -= 1
            else:
                yield DecisionEvent(subject, "allow", words=_call_words(call.tool, call.arguments))


def _replay_decisions(taken: Sequence[Taken]) -> Iterable[DecisionEvent]:
    for step in taken:
        for answer in step.answers:
            subject = _subject(answer.asked.tool, answer.read)
            said = answer.decision or Decision("allow")
            yield DecisionEvent(subject, said.decision, said.rule, _call_words(*answer.asked))


def _counted(decisions: Iterable[DecisionName]) -> dict[str, int]:
    found = Counter(str(decision) for decision in decisions if decision != "allow")
    return dict(sorted(found.items()))


def _call_words(tool: str, arguments: str) -> str:
    return f"{tool}({arguments[:160]})"


def _subject(tool: str, read: ReadCall) -> str:
    return f"{tool}:{read.call.digest.hex()}"


# -- times and money --------------------------------------------------------------------------------------------


def _duration(step: RecordedStep) -> int | None:
    call = step.call
    if call.duration_ns is not None:
        return call.duration_ns
    known = call.started_at is not None and call.ended_at is not None
    return (call.ended_at or 0) - (call.started_at or 0) if known else None


def _replay_latency(attempt: Attempt) -> int | None:
    """Model time plus the recorded time of every call that was answered from the recording; else unknown."""
    tools = [answer.duration_ns for taken in attempt.taken for answer in taken.answers]
    return _known_sum([attempt.latency_ns, *tools])


def _production_cost(trace: Trace, usage: Usage | None, prices: Prices | None) -> str | None:
    """By the baseline's price table, so that both sides are priced alike; else as recorded."""
    priced = total_cost(prices, [usage])
    return _money(priced) if priced is not None else trace.cost_usd


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _known_sum(parts: Sequence[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None


def _text_digest(text: str | None) -> str | None:
    return None if text is None else sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
