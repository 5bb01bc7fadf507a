"""What a trace recorded, in the order it happened: batches of calls with their results, and the chat so far.

Calls of one model answer are a batch: the application may have run them in any order, so nothing here depends
on the order inside one. Recorded call ids pair a call with the result right after it and are good for nothing
else; on the wire every call gets a minted id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from replay.exact_json import Json
from replay.trace import FunctionCall, InsertedMessage, Message, ModelCall, ToolCall, Trace

#: Stands where a recording lost a result: chat protocols refuse a call without an answer.
NO_RESULT = "(no result was recorded)"


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call and how it ended. `result` null = not recorded; `is_error` null = the source does not say."""

    tool: str
    arguments: str
    result: str | None
    is_error: bool | None
    duration_ns: int | None = None


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """One model call of production: what it answered and how its calls ended."""

    call: ModelCall
    calls: tuple[RecordedCall, ...]

    @property
    def answered(self) -> bool:
        return not self.calls and not self.call.output.calls


def history_batches(trace: Trace) -> Iterator[tuple[RecordedCall, ...]]:
    """Batches of the turns before this request, oldest first."""
    messages = trace.request.messages
    for index, message in enumerate(messages):
        if message.role == "assistant" and message.calls:
            results = _results_after(messages, index)
            yield tuple(_paired(message.calls, results))


def recorded_steps(trace: Trace) -> tuple[RecordedStep, ...]:
    """Production's model calls, each with the tool calls that followed it."""
    steps: list[tuple[ModelCall, list[ToolCall]]] = []
    for step in trace.steps:
        if isinstance(step, ModelCall):
            steps.append((step, []))
        elif isinstance(step, ToolCall) and steps:
            steps[-1][1].append(step)
    return tuple(RecordedStep(call, tuple(_executed(call, calls))) for call, calls in steps)


def transcript(trace: Trace) -> list[tuple[dict[str, Json], ...]]:
    """The chat production's model saw before each of its calls: item k is the prefix of step k, without a system
    prompt. The last item is the whole chat."""
    chat = list(history(trace))
    prefixes: list[tuple[dict[str, Json], ...]] = []
    number = 0
    steps = iter(recorded_steps(trace))
    for step in trace.steps:
        if isinstance(step, ModelCall):
            prefixes.append(tuple(chat))
            chat.extend(_exchange(step.output, next(steps).calls, number))
            number += 1
        elif isinstance(step, InsertedMessage):
            chat.append(_plain(step.message))
    prefixes.append(tuple(chat))
    return prefixes


def history(trace: Trace) -> Iterator[dict[str, Json]]:
    """The request's messages for the wire, with minted call ids. Results nobody asked for are left out."""
    messages = trace.request.messages
    for index, message in enumerate(messages):
        if message.role == "assistant" and message.calls:
            calls = tuple(_paired(message.calls, _results_after(messages, index)))
            yield from _exchange(message, calls, f"h{index}")
        elif message.role not in ("tool", "system", "developer"):
            yield _plain(message)


def assistant_message(content: Json, calls: Sequence[tuple[str, str]], step: int | str) -> dict[str, Json]:
    """An assistant message for the wire; `calls` are (tool, arguments)."""
    message: dict[str, Json] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [
            {"id": call_id(step, index), "type": "function", "function": {"name": tool, "arguments": arguments}}
            for index, (tool, arguments) in enumerate(calls)
        ]
    return message


def tool_message(result: str, step: int | str, index: int) -> dict[str, Json]:
    return {"role": "tool", "tool_call_id": call_id(step, index), "content": result}


def call_id(step: int | str, index: int) -> str:
    return f"call_{step}_{index}"


def _exchange(output: Message, calls: Sequence[RecordedCall], step: int | str) -> Iterator[dict[str, Json]]:
    yield assistant_message(output.content, [(call.tool, call.arguments) for call in calls], step)
    for index, call in enumerate(calls):
        yield tool_message(NO_RESULT if call.result is None else call.result, step, index)


def _plain(message: Message) -> dict[str, Json]:
    return {"role": message.role, "content": message.content}


def _results_after(messages: Sequence[Message], index: int) -> list[Message]:
    results = []
    for message in messages[index + 1 :]:
        if message.role != "tool":
            break
        results.append(message)
    return results


def _paired(calls: Sequence[FunctionCall], results: Sequence[Message]) -> Iterator[RecordedCall]:
    """Pair by id where the ids of this one message are whole and distinct, else by order."""
    ids = [call.id for call in calls]
    answers = {result.tool_call_id: result for result in results}
    by_id = all(ids) and len(set(ids)) == len(ids) and len(answers) == len(results) and set(answers) <= set(ids)
    for index, call in enumerate(calls):
        in_order = results[index] if index < len(results) else None
        result = answers.get(call.id) if by_id else in_order
        text = None if result is None else (result.text or "")
        yield RecordedCall(call.function.name, call.function.arguments, text, result.is_error if result else None)


def _executed(model_call: ModelCall, executed: Sequence[ToolCall]) -> Iterator[RecordedCall]:
    """The executed calls, and behind them the calls that were asked for and never ran."""
    for call in executed:
        yield RecordedCall(
            call.name,
            call.arguments_text,
            None if call.result is None else call.result_text,
            call.is_error,
            call.duration_ns,
        )
    for asked in _never_run(model_call.output.calls, executed):
        yield RecordedCall(asked.function.name, asked.function.arguments, None, None)


def _never_run(asked: Sequence[FunctionCall], executed: Iterable[ToolCall]) -> Iterator[FunctionCall]:
    ran = [call.name for call in executed]
    for call in asked:
        if call.function.name in ran:
            ran.remove(call.function.name)
        else:
            yield call
