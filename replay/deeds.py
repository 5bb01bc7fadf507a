"""What had happened before an answer: the deeds it may claim, of both sides of a comparison.

The whole conversation counts, tool calls in the request's history included: what was done two turns ago may be
reported now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from comparators.calls import Effect, Outcome
from comparators.claims import ClaimSide, Deed
from replay.contract import Tooling
from replay.execution import Taken
from replay.recorded import RecordedCall, RecordedStep, history_batches
from replay.recorded_world import outcome_of
from replay.trace import Retrieval, Trace


def recorded_claims(trace: Trace, steps: Sequence[RecordedStep], answer: str | None, tooling: Tooling) -> ClaimSide:
    """An answer that follows what was recorded: production's, or that of a forced replay at its place."""
    deeds, reads = _recorded(trace, (call for step in steps for call in step.calls), tooling)
    return _side(trace, answer, deeds, reads)


def replayed_claims(trace: Trace, taken: Sequence[Taken], answer: str | None, tooling: Tooling) -> ClaimSide:
    """The answer of a free replay: it follows the history, and what its stubs told it."""
    deeds, reads = _recorded(trace, (), tooling)
    for given in (given for step in taken for given in step.answers):
        if given.effect is Effect.READ:
            reads.append(given.result or "")
        else:
            deeds.append(_deed(given.asked.tool, given.effect, given.outcome, given.result))
    return _side(trace, answer, deeds, reads)


def _recorded(trace: Trace, then: Iterable[RecordedCall], tooling: Tooling) -> tuple[list[Deed], list[str]]:
    """Deeds and results of reads: those of the history, then those of this turn."""
    deeds, reads = [], list(_retrieved(trace))
    for call in (*(call for batch in history_batches(trace) for call in batch), *then):
        effect = tooling.effect(call.tool)
        if effect is Effect.READ:
            reads.append(call.result or "")
        else:
            deeds.append(_deed(call.tool, effect, outcome_of(call, tooling.stubbing(call.tool)), call.result))
    return deeds, reads


def _retrieved(trace: Trace) -> Iterator[str]:
    retrieved = (step.documents for step in trace.steps if isinstance(step, Retrieval))
    yield from (document.content or "" for documents in (trace.request.context, *retrieved) for document in documents)


def _deed(tool: str, effect: Effect, outcome: Outcome, result: str | None) -> Deed:
    failed = outcome in (Outcome.FAILED, Outcome.REFUSED)
    return Deed(tool, effect, outcome, complaint=(result or "") if failed else "")


def _side(trace: Trace, answer: str | None, deeds: Sequence[Deed], reads: Sequence[str]) -> ClaimSide:
    user = (message.text or "" for message in trace.request.messages if message.role == "user")
    return ClaimSide(answer, tuple(deeds), tuple(reads), tuple(user))
