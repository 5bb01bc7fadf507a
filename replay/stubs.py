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

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from comparators.calls import Effect, Outcome
from replay.contract import Entity, ReadCall, ToolContract, Tooling
from replay.epoch import Moment, Write, moment_of
from replay.errors import RecordError
from replay.exact_json import Json, dumps, loads
from replay.grade import Grade
from replay.policy import Decision, Facts, Policy
from replay.recorded import RecordedCall
from replay.recorded_world import RecordedWorld, SeenRead, effective_writes, outcome_of
from replay.template import Filling
from replay.trace import Trace


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


class _View(NamedTuple):
    """A read of the replay: when, of what, beside which writes, and how often it was asked at that moment."""

    moment: Moment
    entities: frozenset[Entity] | None
    beside: tuple[Write, ...]
    occurrence: int


class StubWorld:
    """The world one replay sees. One per replay; `answer` looks, `commit` and `observe` move time on."""

    def __init__(self, trace: Trace, tooling: Tooling, policy: Policy, *, session: str, now: str | None = None) -> None:
        self._tooling = tooling
        self._policy = policy
        self._session = session
        self._now = now
        self._attributes = trace.request.attributes
        self._recording = RecordedWorld.of(trace, tooling)
        self._writes = list(self._recording.happened)
        self._used: Counter[bytes] = Counter()
        self._asked_moments = Counter(self._recording.asked_before)
        self._calls: list[dict[str, Json]] = []

    # -- answering ------------------------------------------------------------------------------------------

    def answer(self, batch: Sequence[Asked]) -> tuple[StubAnswer, ...]:
        """Answer the calls of one model reply. Changes nothing; the order of the calls does not matter."""
        used: Counter[bytes] = Counter()
        actions = {index: self._act(asked, used) for index, asked in enumerate(batch) if self._is_action(asked)}
        beside = [self._write_of(answer) for answer in actions.values() if _took_effect(answer)]
        seen: Counter[tuple[bytes, Moment]] = Counter()
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
        beside = effective_writes(batch, self._tooling)
        for call in batch:
            read = self._tooling.read_production(call.tool, call.arguments)
            if self._tooling.effect(call.tool) is Effect.READ:
                moment = self._moment(self._tooling.entities(call.tool, read), beside)
                self._asked_moments[read.call.digest, moment] += 1
            else:
                self._used[read.call.digest] += 1
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
        filling = Filling(read.arguments or {}, f"{self._session}/{digest.hex()}/{occurrence}", self._now)
        return self._answered(asked, read, Grade.WRITE_STUBBED, _text(filling.fill(self._template(asked.tool))))

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

    def _look(self, asked: Asked, beside: list[Write], seen: Counter[tuple[bytes, Moment]]) -> StubAnswer:
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
        self, asked: Asked, known: list[SeenRead], view: _View
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

    def _overlay(self, known: list[SeenRead], view: _View) -> tuple[RecordedCall, str] | None:
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

    def _patched(self, result: str, writes: list[Write], entities: frozenset[Entity] | None) -> str | None:
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

    def _moment(self, entities: frozenset[Entity] | None, beside: Iterable[Write]) -> Moment:
        return moment_of(self._writes, beside, entities)

    def _write_of(self, answer: StubAnswer) -> Write:
        return Write(answer.read.call.digest, answer.entities, answer.asked.tool)

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


_REFUSALS: Mapping[str, Grade] = {"block": Grade.BLOCKED, "escalate": Grade.ESCALATED}


def ends_turn(contract: ToolContract, answer: StubAnswer) -> bool:
    """Whether nothing is asked of the model after this call."""
    return contract.ends_turn and answer.outcome in (Outcome.SUCCEEDED, Outcome.ASSUMED)


def _took_effect(answer: StubAnswer) -> bool:
    return answer.effect is Effect.WRITE and answer.outcome in (Outcome.SUCCEEDED, Outcome.ASSUMED)


def _needs_approval(decision: Decision) -> Decision:
    if decision.decision == "needs_approval":
        return decision
    return Decision("needs_approval", None, "the tool's contract requires approval")


def _call_fact(tool: str, read: ReadCall, outcome: Outcome) -> dict[str, Json]:
    return {"tool": tool, "args": read.arguments or {}, "outcome": outcome.name.lower()}


def _json_object(text: str) -> dict[str, Json] | None:
    try:
        value = loads(text)
    except RecordError:
        return None
    return value if isinstance(value, dict) else None


def _text(value: Json) -> str:
    return value if isinstance(value, str) else dumps(value).decode()
