"""What an assistant had before it when it answered: the texts in which a number of its answer may stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from comparators.grounding import Grounds
from replay.execution import Plan, Taken
from replay.recorded import RecordedStep
from replay.trace import InsertedMessage, Retrieval, Trace


def replayed_grounds(plan: Plan, steps: Sequence[RecordedStep], taken: Sequence[Taken], *, forced: bool) -> Grounds:
    """Of a replay: its prompt, the request, and what its calls were answered; a forced one saw production's answers."""

    def texts() -> Iterator[str]:
        yield plan.system_prompt or ""
        yield plan.now or ""
        yield from _given(plan.trace)
        yield from _results(steps) if forced else (answer.result or "" for each in taken for answer in each.answers)

    return texts


def recorded_grounds(trace: Trace, steps: Sequence[RecordedStep]) -> Grounds:
    """Of a recording: its prompt, the request, and what its calls were answered."""

    def texts() -> Iterator[str]:
        yield trace.system_prompt or ""
        yield from _given(trace)
        yield from _results(steps)

    return texts


def _given(trace: Trace) -> Iterator[str]:
    inserted = (step.message for step in trace.steps if isinstance(step, InsertedMessage))
    yield from (message.text or "" for messages in (trace.request.messages, inserted) for message in messages)
    retrieved = (step.documents for step in trace.steps if isinstance(step, Retrieval))
    yield from (document.content or "" for documents in (trace.request.context, *retrieved) for document in documents)


def _results(steps: Iterable[RecordedStep]) -> Iterator[str]:
    yield from (call.result or "" for step in steps for call in step.calls)
