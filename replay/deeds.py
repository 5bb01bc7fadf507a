"""What had happened before an answer: the deeds it may claim, of both sides of a comparison.

The whole conversation counts, tool calls in the request's history included: what was done two turns ago may be
reported now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from comparators.calls import Effect, Outcome
from comparators.claimsupport import ClaimSide, Deed, Told
from replay.contract import Tooling
from replay.errors import RecordError
from replay.exact_json import loads
from replay.execution import Taken
from replay.recorded import RecordedCall, RecordedStep, history_batches
from replay.recorded_world import outcome_of
from replay.trace import Retrieval, Trace

#: Characters of a call's arguments, and of its result, that are kept to know what it did.
_LONGEST_TOLD = 2_000


class Call(Protocol):
    """A call as it was made."""

    @property
    def tool(self) -> str: ...

    @property
    def arguments(self) -> str: ...


def recorded_claims(trace: Trace, steps: Sequence[RecordedStep], answer: str | None, tooling: Tooling) -> ClaimSide:
    """Production's answer, after what was recorded."""
    events = _Events(tooling)
    events.add_before(trace)
    for step in steps:
        events.add(step.calls)
    return events.side(trace).answering(answer)


def replayed_claims(trace: Trace, taken: Sequence[Taken], answer: str | None, tooling: Tooling) -> ClaimSide:
    """The answer of a free replay: it follows the history, and what its stubs told it."""
    events = _Events(tooling)
    events.add_before(trace)
    for given in (given for step in taken for given in step.answers):
        events.add_one(given.asked, given.effect, given.outcome, given.result)
    return events.side(trace).answering(answer)


def conversation_claims(trace: Trace, steps: Sequence[RecordedStep], tooling: Tooling) -> ClaimSide:
    """Every answer of a recorded conversation, each after what was done before it."""
    events = _Events(tooling)
    events.add_before(trace)
    for step in steps:
        if step.answered:
            events.tell(step.call.output.text)
        events.add(step.calls)
    return events.side(trace)


@dataclass(slots=True)
class _Events:
    """What happened, in order: deeds, results of reads, and answers between them."""

    tooling: Tooling
    deeds: list[Deed] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    answers: list[Told] = field(default_factory=list)

    def add_before(self, trace: Trace) -> None:
        self.reads += _retrieved(trace)
        for batch in history_batches(trace):
            self.add(batch)

    def add(self, calls: Iterable[RecordedCall]) -> None:
        for call in calls:
            outcome = outcome_of(call, self.tooling.stubbing(call.tool))
            self.add_one(call, self.tooling.effect(call.tool), outcome, call.result)

    def add_one(self, call: Call, effect: Effect, outcome: Outcome, result: str | None) -> None:
        if effect is Effect.READ:
            self.reads.append(result or "")
        elif outcome in (Outcome.FAILED, Outcome.REFUSED):
            self.deeds.append(Deed(call.tool, effect, outcome, complaint=result or ""))
        else:
            told = (result or "")[:_LONGEST_TOLD]
            self.deeds.append(Deed(call.tool, effect, outcome, orders=_values(call.arguments), result=told))

    def tell(self, answer: str | None) -> None:
        if answer is not None:
            self.answers.append(Told(answer, len(self.deeds)))

    def side(self, trace: Trace) -> ClaimSide:
        user = (message.text or "" for message in trace.request.messages if message.role == "user")
        return ClaimSide(tuple(self.answers), tuple(self.deeds), tuple(self.reads), tuple(user))


def _values(arguments: str) -> tuple[str, ...]:
    """The texts that a call gave, without the names of its parameters; none of arguments beyond all measure."""
    try:
        waiting = [loads(arguments)] if len(arguments) <= _LONGEST_TOLD else []
    except RecordError:
        return ()
    found: list[str] = []
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return tuple(found)


def _retrieved(trace: Trace) -> Iterator[str]:
    retrieved = (step.documents for step in trace.steps if isinstance(step, Retrieval))
    yield from (document.content or "" for documents in (trace.request.context, *retrieved) for document in documents)
