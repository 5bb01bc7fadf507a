"""Stubs: what a replay is told when it calls a tool. Nothing is ever executed, and every answer has a grade.

The answer comes from this trace record alone. A recorded read is keyed by its canonical arguments *and its
epoch*: the multiset of writes on the same entity that had happened before it. A cassette keyed by position
would leak: it would show the effect of a write that this replay never made. So a read is answered

    exact      same arguments, same epoch; repeats in their recorded order, the last one for ever
    constant   the contract says that the result does not depend on what is asked
    entity     same entity and epoch, other arguments, where the contract allows the projection
    overlay    the newest recorded state whose writes this replay has made, plus the declared effects of the rest
    example    the contract's example
    halt       nothing true can be said: a free replay stops here

and a write or a hand-off is never run: an equal recorded one lends its result, else the contract's template
does, and its success is then an assumption. Calls of one batch are answered against the state before it and
the writes beside them, so their order does not matter.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from comparators.calls import Effect, Outcome
from replay.contract import Entity, ReadCall, ToolContract, Tooling
from replay.errors import RecordError
from replay.exact_json import Json, dumps, loads
from replay.policy import Decision, Facts, Policy
from replay.recorded import RecordedCall, history_batches, recorded_steps
from replay.trace import Guardrail, Trace

#: Ids that stubs make up are uuid5 in this namespace, so that two runs make up the same ones.
STUB_NAMESPACE = uuid.UUID("6f1d4f0e-6a0b-5e0c-9a55-2f8f5d0e7b11")


class Grade(StrEnum):
    EXACT = "exact"
    CONSTANT = "constant"
    WRITE_RECORDED = "write_recorded"
    WRITE_STUBBED = "write_stubbed"
    PENDING = "pending_approval"
    BLOCKED = "blocked"
    ESCALATED = "escalated"
    UNKNOWN_TOOL = "unknown_tool"
    CONTRACT_VIOLATION = "contract_violation"
    ENTITY = "entity"
    OVERLAY = "overlay"
    EXAMPLE = "example"
    HALT = "halt"


#: As good as the real answer: what a gate may use. Refusals are decided here, not guessed.
FAITHFUL = frozenset(
    {
        Grade.EXACT,
        Grade.CONSTANT,
        Grade.WRITE_RECORDED,
        Grade.WRITE_STUBBED,
        Grade.PENDING,
        Grade.BLOCKED,
        Grade.ESCALATED,
        Grade.UNKNOWN_TOOL,
        Grade.CONTRACT_VIOLATION,
    }
)
#: From such an answer on, a free replay is no evidence about production.
CENSORING = frozenset({Grade.EXAMPLE, Grade.HALT})

#: Writes by digest, with how often; the part of the world a read may depend on.
Epoch: TypeAlias = frozenset[tuple[bytes, int]]


class Asked(NamedTuple):
    """A call as a model asked for it."""

    tool: str
    arguments: str


@dataclass(frozen=True, slots=True)
class StubAnswer:
    """How one call was answered. `result` null = halt."""

    asked: Asked
    read: ReadCall
    effect: Effect
    grade: Grade
    outcome: Outcome
    result: str | None
    decision: Decision | None = None
    entities: frozenset[Entity] | None = None
    duration_ns: int | None = None


class _Write(NamedTuple):
    digest: bytes
    entities: frozenset[Entity] | None
    tool: str


class _Moment(NamedTuple):
    """When a read happened: the writes before its batch and those beside it."""

    before: Epoch
    beside: Epoch

    @property
    def writes(self) -> Counter[bytes]:
        return Counter(dict(self.before)) + Counter(dict(self.beside))


class _View(NamedTuple):
    """A read of the replay: when, of what, beside which writes, and how often it was asked at that moment."""

    moment: _Moment
    entities: frozenset[Entity] | None
    beside: tuple[_Write, ...]
    occurrence: int


class _Seen(NamedTuple):
    """A recorded read."""

    moment: _Moment
    entities: frozenset[Entity] | None
    call: RecordedCall


@dataclass(slots=True)
class _Recording:
    """Everything of a trace that an answer may come from."""

    reads: dict[bytes, list[_Seen]] = field(default_factory=dict)
    reads_by_tool: dict[str, list[_Seen]] = field(default_factory=dict)
    writes: dict[bytes, list[RecordedCall]] = field(default_factory=dict)
    handoffs: dict[str, list[RecordedCall]] = field(default_factory=dict)
    approvals: set[bytes] = field(default_factory=set)


class StubWorld:
    """The world one replay sees. One per replay; `answer` looks, `commit` and `observe` move time on."""

    def __init__(self, trace: Trace, tooling: Tooling, policy: Policy, *, session: str, now: str | None = None) -> None:
        self._tooling = tooling
        self._policy = policy
        self._session = session
        self._now = now
        self._attributes = trace.request.attributes
        self._writes: list[_Write] = []
        self._used: Counter[bytes] = Counter()
        self._asked_moments: Counter[tuple[bytes, _Moment]] = Counter()
        self._calls: list[dict[str, Json]] = []
        self._recording = _Recording()
        self._record(trace)

    # -- answering ------------------------------------------------------------------------------------------

    def answer(self, batch: Sequence[Asked]) -> tuple[StubAnswer, ...]:
        """Answer the calls of one model reply. Changes nothing; the order of the calls does not matter."""
        used: Counter[bytes] = Counter()
        actions = {index: self._act(asked, used) for index, asked in enumerate(batch) if self._is_action(asked)}
        beside = [self._write_of(answer) for answer in actions.values() if _took_effect(answer)]
        seen: Counter[tuple[bytes, _Moment]] = Counter()
        return tuple(
            actions[index] if index in actions else self._look(asked, beside, seen)
            for index, asked in enumerate(batch)
        )

    def commit(self, answers: Iterable[StubAnswer]) -> None:
        """Let the answered batch have happened."""
        answers = tuple(answers)
        beside = [self._write_of(answer) for answer in answers if _took_effect(answer)]
        for answer in answers:
            if answer.effect is Effect.READ:
                moment = self._moment(answer.entities, beside)
                self._asked_moments[answer.read.call.digest, moment] += 1
            else:
                self._used[answer.read.call.digest] += 1
            self._calls.append(_call_fact(answer.asked.tool, answer.read, answer.outcome))
        self._writes.extend(beside)

    def observe(self, batch: Sequence[RecordedCall]) -> None:
        """Let a recorded batch have happened: a forced replay goes on along production's path."""
        beside = []
        for call in batch:
            read = self._tooling.read_production(call.tool, call.arguments)
            effect = self._tooling.effect(call.tool)
            outcome = self._outcome(call)
            if effect is Effect.READ:
                continue
            self._used[read.call.digest] += 1
            if effect is Effect.WRITE and outcome is not Outcome.FAILED:
                beside.append(_Write(read.call.digest, self._tooling.entities(call.tool, read), call.tool))
        for call in batch:
            read = self._tooling.read_production(call.tool, call.arguments)
            if self._tooling.effect(call.tool) is Effect.READ:
                moment = self._moment(self._tooling.entities(call.tool, read), beside)
                self._asked_moments[read.call.digest, moment] += 1
            self._calls.append(_call_fact(call.tool, read, self._outcome(call)))
        self._writes.extend(beside)

    def _outcome(self, call: RecordedCall) -> Outcome:
        return outcome_of(call, self._tooling.stubbing(call.tool))

    # -- actions --------------------------------------------------------------------------------------------

    def _is_action(self, asked: Asked) -> bool:
        return self._tooling.effect(asked.tool) is not Effect.READ

    def _act(self, asked: Asked, used: Counter[bytes]) -> StubAnswer:
        read = self._tooling.read_replay(asked.tool, asked.arguments)
        digest = read.call.digest
        occurrence = self._used[digest] + used[digest]
        used[digest] += 1
        recorded = self._recorded_action(asked.tool, digest, occurrence)
        refused = self._refusal(asked, read, recorded=recorded is not None)
        if refused is not None:
            return refused
        if recorded is not None and recorded.result is not None:
            return self._answered(asked, read, Grade.WRITE_RECORDED, recorded.result, recorded)
        result = self._fill(self._template(asked.tool), read, f"{digest.hex()}/{occurrence}")
        return self._answered(asked, read, Grade.WRITE_STUBBED, _text(result))

    def _recorded_action(self, tool: str, digest: bytes, occurrence: int) -> RecordedCall | None:
        equal = self._recording.writes.get(digest, [])
        if occurrence < len(equal):
            return equal[occurrence]
        if self._tooling.effect(tool) is Effect.HANDOFF and self._recording.handoffs.get(tool):
            return self._recording.handoffs[tool][0]  # a hand-off's words differ each time; its result does not
        return None

    def _template(self, tool: str) -> Json:
        template = self._tooling.stubbing(tool).stub_result
        return {"status": "ok"} if template is None else template

    def _refusal(self, asked: Asked, read: ReadCall, *, recorded: bool) -> StubAnswer | None:
        """Contract, then policy, then approval; null = the call may go on."""
        if not self._tooling.offers(asked.tool):
            return self._refused(asked, read, Grade.UNKNOWN_TOOL, f"Error: there is no tool named {asked.tool!r}.")
        if read.violation is not None and not recorded:
            text = f"Error: invalid arguments for {asked.tool}: {read.violation}"
            return self._refused(asked, read, Grade.CONTRACT_VIOLATION, text)
        decision = self._decide(asked, read)
        if decision.decision in _REFUSALS:
            return self._refused(asked, read, _REFUSALS[decision.decision], decision.message, decision)
        if self._must_wait(asked, read, decision, recorded=recorded):
            pending = self._tooling.stubbing(asked.tool).pending_result
            text = _text(pending) if pending is not None else "Pending: this action waits for approval."
            return self._refused(asked, read, Grade.PENDING, text, _needs_approval(decision))
        return None

    def _must_wait(self, asked: Asked, read: ReadCall, decision: Decision, *, recorded: bool) -> bool:
        """An approval of another action never transfers. A recording made under the same demand shows its end."""
        if read.call.digest in self._recording.approvals:
            return False
        if decision.decision == "needs_approval":
            return True
        demanded_before = self._tooling.demanded_approval(asked.tool)
        return self._tooling.needs_approval(asked.tool) and not (recorded and demanded_before)

    def _decide(self, asked: Asked, read: ReadCall) -> Decision:
        return self._policy.decide(
            Facts(
                tool=asked.tool,
                effect=self._tooling.effect(asked.tool).name.lower(),
                args=read.arguments or {},
                calls=tuple(self._calls),
                attributes=self._attributes,
                now=self._now,
            )
        )

    # -- reads ----------------------------------------------------------------------------------------------

    def _look(self, asked: Asked, beside: list[_Write], seen: Counter[tuple[bytes, _Moment]]) -> StubAnswer:
        read = self._tooling.read_replay(asked.tool, asked.arguments)
        entities = self._tooling.entities(asked.tool, read)
        moment = self._moment(entities, beside)
        known = self._recording.reads.get(read.call.digest, [])
        refused = self._refusal(asked, read, recorded=any(item.moment == moment for item in known))
        if refused is not None:
            return refused
        key = (read.call.digest, moment)
        occurrence = self._asked_moments[key] + seen[key]
        seen[key] += 1
        view = _View(moment, entities, tuple(beside), occurrence)
        grade, call, result = self._climb(asked, known, view)
        return self._answered(asked, read, grade, result, call)

    def _climb(
        self, asked: Asked, known: list[_Seen], view: _View
    ) -> tuple[Grade, RecordedCall | None, str | None]:
        """The rungs of the ladder, the truest first."""
        contract = self._tooling.stubbing(asked.tool)
        exact = [item.call for item in known if item.moment == view.moment]
        if exact:
            call = exact[min(view.occurrence, len(exact) - 1)]
            return Grade.EXACT, call, call.result
        if contract.constant:
            return Grade.CONSTANT, None, _text(contract.stub_result)
        same = self._same_entity(asked.tool, view) if contract.projection == "safe" else None
        if same is not None:
            return Grade.ENTITY, same, same.result
        overlay = self._overlay(known, view)
        if overlay is not None:
            return Grade.OVERLAY, *overlay
        if contract.example is not None:
            return Grade.EXAMPLE, None, _text(contract.example)
        return Grade.HALT, None, None

    def _same_entity(self, tool: str, view: _View) -> RecordedCall | None:
        """The newest recorded read of the same entity in the same epoch, whatever else it asked."""
        if view.entities is None:
            return None
        reads = self._recording.reads_by_tool.get(tool, [])
        fitting = [item.call for item in reads if item.entities == view.entities and item.moment == view.moment]
        return fitting[-1] if fitting else None

    def _overlay(self, known: list[_Seen], view: _View) -> tuple[RecordedCall, str] | None:
        """The newest recorded state this replay has reached, with the declared effects of the writes since."""
        for item in reversed(known):
            if not item.moment.writes <= view.moment.writes or item.call.result is None:
                continue
            since = view.moment.writes - item.moment.writes
            writes = [write for write in (*self._writes, *view.beside) if write.digest in since]
            patched = self._patched(item.call.result, writes, view.entities)
            if patched is not None:
                return item.call, patched
        return None

    def _patched(self, result: str, writes: list[_Write], entities: frozenset[Entity] | None) -> str | None:
        """`result` with the effects of `writes`; null when one of them declares none on what was read."""
        if not writes:
            return result
        state = _json_object(result)
        for write in writes:
            shared = {entity.kind for entity in (entities or frozenset()) & (write.entities or frozenset())}
            changes = [effect.set for effect in self._tooling.stubbing(write.tool).effects if effect.entity in shared]
            if state is None or not changes:
                return None
            for change in changes:
                state = {**state, **change}
        return _text(state)

    # -- epochs ---------------------------------------------------------------------------------------------

    def _moment(self, entities: frozenset[Entity] | None, beside: Iterable[_Write]) -> _Moment:
        return _Moment(_epoch(self._writes, entities), _epoch(beside, entities))

    def _write_of(self, answer: StubAnswer) -> _Write:
        return _Write(answer.read.call.digest, answer.entities, answer.asked.tool)

    # -- recording ------------------------------------------------------------------------------------------

    def _record(self, trace: Trace) -> None:
        for batch in history_batches(trace):
            self._record_batch(batch, happened=True)
        at_request = len(self._writes)
        for recorded in recorded_steps(trace):
            self._record_batch(recorded.calls, happened=False)
        del self._writes[at_request:]  # the replay starts where the request came in
        for step in trace.steps:
            if isinstance(step, Guardrail) and step.approved and step.tool is not None:
                read = self._tooling.read_production(step.tool, step.arguments or "")
                self._recording.approvals.add(read.call.digest)

    def _record_batch(self, batch: Sequence[RecordedCall], *, happened: bool) -> None:
        """Index a batch. Writes of earlier turns have happened: their results are not there to be had again."""
        read = [self._tooling.read_production(call.tool, call.arguments) for call in batch]
        beside = []
        for call, item in zip(batch, read, strict=True):
            effect = self._tooling.effect(call.tool)
            if effect is Effect.READ:
                continue
            if not happened and call.result is not None:
                self._recording.writes.setdefault(item.call.digest, []).append(call)
                if effect is Effect.HANDOFF:
                    self._recording.handoffs.setdefault(call.tool, []).append(call)
            if effect is Effect.WRITE and self._outcome(call) is not Outcome.FAILED:
                beside.append(_Write(item.call.digest, self._tooling.entities(call.tool, item), call.tool))
        for call, item in zip(batch, read, strict=True):
            if self._tooling.effect(call.tool) is Effect.READ and call.result is not None:
                self._record_read(call, item, beside, happened=happened)
        self._writes.extend(beside)

    def _record_read(self, call: RecordedCall, read: ReadCall, beside: list[_Write], *, happened: bool) -> None:
        entities = self._tooling.entities(call.tool, read)
        seen = _Seen(self._moment(entities, beside), entities, call)
        if happened:  # an earlier turn has had this answer: the next one in order is this turn's
            self._asked_moments[read.call.digest, seen.moment] += 1
        self._recording.reads.setdefault(read.call.digest, []).append(seen)
        self._recording.reads_by_tool.setdefault(call.tool, []).append(seen)

    # -- answers --------------------------------------------------------------------------------------------

    def _answered(
        self, asked: Asked, read: ReadCall, grade: Grade, result: str | None, call: RecordedCall | None = None
    ) -> StubAnswer:
        """An answer, from a recorded `call` if there is one: without it, how the call ended is an assumption."""
        return StubAnswer(
            asked,
            read,
            self._tooling.effect(asked.tool),
            grade,
            Outcome.ASSUMED if call is None else self._outcome(call),
            result,
            entities=self._tooling.entities(asked.tool, read),
            duration_ns=None if call is None else call.duration_ns,
        )

    def _refused(
        self, asked: Asked, read: ReadCall, grade: Grade, text: str, decision: Decision | None = None
    ) -> StubAnswer:
        effect = self._tooling.effect(asked.tool)
        return StubAnswer(asked, read, effect, grade, Outcome.REFUSED, text, decision=decision)

    def _fill(self, template: Json, read: ReadCall, ordinal: str) -> Json:
        """Fill a template structurally. Argument values are put in as they are; nothing is evaluated."""
        if isinstance(template, list):
            return [self._fill(item, read, ordinal) for item in template]
        if not isinstance(template, dict):
            return template
        if set(template) == {"$arg"}:
            return _argument(read.arguments or {}, str(template["$arg"]))
        if set(template) == {"$uuid"}:
            return str(uuid.uuid5(STUB_NAMESPACE, f"{self._session}/{ordinal}/{template['$uuid']}"))
        if set(template) == {"$now"}:
            return self._now
        return {key: self._fill(value, read, ordinal) for key, value in template.items()}


_REFUSALS: Mapping[str, Grade] = {"block": Grade.BLOCKED, "escalate": Grade.ESCALATED}


def outcome_of(call: RecordedCall, contract: ToolContract) -> Outcome:
    """How a recorded call ended; where the source does not say, the contract's failure prefixes do."""
    if call.is_error is not None:
        return Outcome.FAILED if call.is_error else Outcome.SUCCEEDED
    if contract.failure_prefixes and call.result is not None:
        failed = call.result.startswith(tuple(contract.failure_prefixes))
        return Outcome.FAILED if failed else Outcome.SUCCEEDED
    return Outcome.ASSUMED


def ends_turn(contract: ToolContract, answer: StubAnswer) -> bool:
    """Whether nothing is asked of the model after this call."""
    return contract.ends_turn and answer.outcome in (Outcome.SUCCEEDED, Outcome.ASSUMED)


def _took_effect(answer: StubAnswer) -> bool:
    return answer.effect is Effect.WRITE and answer.outcome in (Outcome.SUCCEEDED, Outcome.ASSUMED)


def _epoch(writes: Iterable[_Write], entities: frozenset[Entity] | None) -> Epoch:
    """The writes that may have changed what a read of `entities` returns; undeclared means any."""
    counts = Counter(
        write.digest
        for write in writes
        if entities is None or write.entities is None or not entities.isdisjoint(write.entities)
    )
    return frozenset(counts.items())


def _needs_approval(decision: Decision) -> Decision:
    if decision.decision == "needs_approval":
        return decision
    return Decision("needs_approval", None, "the tool's contract requires approval")


def _call_fact(tool: str, read: ReadCall, outcome: Outcome) -> dict[str, Json]:
    return {"tool": tool, "args": read.arguments or {}, "outcome": outcome.name.lower()}


def _argument(arguments: dict[str, Json], path: str) -> Json:
    value: Json = arguments
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _json_object(text: str) -> dict[str, Json] | None:
    try:
        value = loads(text)
    except RecordError:
        return None
    return value if isinstance(value, dict) else None


def _text(value: Json) -> str:
    return value if isinstance(value, str) else dumps(value).decode()
