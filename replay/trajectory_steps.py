"""The steps of a turn of `agent-trajectory/1`: calls of the model and of tools, and messages put in between.

A tool call takes its result by id where ids can tell the calls apart, else by order. One without a result is a step
with a null result.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from replay.errors import RecordError
from replay.exact_json import Json
from replay.trace import FunctionCall, InsertedMessage, Message, ModelCall, Step, ToolCall, Usage
from replay.trajectory_record import Entry, MessageMeta, TrajectoryRecord


def steps_of(record: TrajectoryRecord, body: Sequence[Entry]) -> tuple[list[Step], list[int]]:
    """List the steps of a turn, and which of them are tool calls without a result."""
    steps: list[Step] = []
    missing: list[int] = []
    position = 0
    while position < len(body):
        entry = body[position]
        position += 1
        if not entry.is_model_call:
            steps.append(_inserted(entry))
            continue
        end = _end_of_results(body, position)
        steps.append(_model_call(record, entry))
        for call, result in zip(entry.message.calls, _paired(entry.message.calls, body[position:end]), strict=True):
            if result is None:
                missing.append(len(steps))
            steps.append(_tool_call(call, result))
        position = end
    return steps, missing


def _end_of_results(body: Sequence[Entry], start: int) -> int:
    others = (i for i in range(start, len(body)) if body[i].message.role != "tool" or body[i].meta.scripted)
    return next(others, len(body))


def _inserted(entry: Entry) -> InsertedMessage:
    if entry.message.role == "tool" and not entry.meta.scripted:
        raise RecordError("a tool result that answers no call of the model", field=entry.field)
    return InsertedMessage(message=entry.message, duration_ns=_nanoseconds(entry.meta))


def _model_call(record: TrajectoryRecord, entry: Entry) -> ModelCall:
    return ModelCall(
        output=entry.message,
        model_requested=record.bundle.model,
        params=record.bundle.params or {},
        finish_reason=entry.meta.finish_reason,
        usage=_usage(entry.meta),
        cost_usd=_cost(record, entry.meta),
        duration_ns=_nanoseconds(entry.meta),
    )


def _paired(calls: Sequence[FunctionCall], results: Sequence[Entry]) -> list[Entry | None]:
    """One result or null for each call of a message: by id where ids can tell them apart, else by order."""
    ids = [call.id for call in calls]
    usable = all(ids) and len(set(ids)) == len(ids)
    slots: list[Entry | None] = [None] * len(ids)
    rest: list[Entry] = []
    for entry in results:
        slot = ids.index(entry.message.tool_call_id) if usable and entry.message.tool_call_id in ids else None
        if slot is None or slots[slot] is not None:
            rest.append(entry)
        else:
            slots[slot] = entry
    for entry in rest:
        if None not in slots:
            raise RecordError("a tool result that answers no call of the model", field=entry.field)
        slots[slots.index(None)] = entry
    return slots


def _tool_call(call: FunctionCall, result: Entry | None) -> ToolCall:
    return ToolCall(
        name=call.function.name,
        arguments=call.function.arguments,
        call_id=call.id,
        result=None if result is None else _result(result.message),
        is_error=None if result is None else result.message.is_error,
        duration_ns=None if result is None else _nanoseconds(result.meta),
    )


def _result(message: Message) -> Json:
    """Text as the model read it; parts stay parts when one of them is no text."""
    parts = message.content if isinstance(message.content, list) else []
    only_text = all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts)
    return (message.text or "") if only_text else parts


def _nanoseconds(meta: MessageMeta) -> int | None:
    return None if meta.since_prev_s is None else round(meta.since_prev_s * 1e9)


def _usage(meta: MessageMeta) -> Usage | None:
    if meta.prompt_tokens is None and meta.completion_tokens is None:
        return None
    return Usage(input_tokens=meta.prompt_tokens, output_tokens=meta.completion_tokens)


def _cost(record: TrajectoryRecord, meta: MessageMeta) -> str | None:
    """Harnesses write 0 for a model whose price they do not know, and then have no total: that 0 is unknown."""
    total_known = record.usage is not None and record.usage.cost_usd is not None
    if meta.cost_usd is None or (meta.cost_usd == 0 and not total_known):
        return None
    return format(Decimal(repr(meta.cost_usd)), "f")
