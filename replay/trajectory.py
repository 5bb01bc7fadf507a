"""Reads `agent-trajectory/1`: a recorded conversation of an agent, as research corpora publish it.

One trace per user request that a model answered. What came before it is history: a candidate gets the same
history production had, and is judged on this turn alone. Rules a caller cannot guess:

* A request that only the harness answered (`scripted`) has no model call to compare: it counts as unanswered.
* A `single_request` record is one trace; user messages that a defence put in later are steps of it. A
  `solo_ticket` record has no user: its ticket is the request.
* A tool call without a result is a step with a null result, named in `capture.missing`. It makes the capture
  partial only if a later step saw the gap: production's last calls stay without results when a conversation is
  handed over, and everything before them can still be replayed.
* The source's clocks are local and nameless, so no time is kept, only durations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple, TypeAlias

import msgspec

from replay.errors import RecordError, UnsupportedVersionError
from replay.exact_json import Json, dumps
from replay.trace import (
    BundleRef,
    Capture,
    Count,
    FunctionCall,
    InsertedMessage,
    Message,
    ModelCall,
    NonEmpty,
    Record,
    Request,
    Step,
    ToolCall,
    Trace,
    Usage,
)

FORMAT = "agent-trajectory/1"

#: Bounded, so that no value overflows when it becomes nanoseconds or a decimal string.
_Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_Dollars: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)]

_PROMPT_ROLES = ("system", "developer")

#: Each turn holds the history before it, so memory grows with turns x messages; no real record comes near this.
MAX_HISTORY = 2_000_000


class Conversation(NamedTuple):
    """The traces of one record, and how many of its user messages no model answered."""

    traces: tuple[Trace, ...]
    unanswered: int


def read_trajectory(value: Json) -> Conversation:
    """Take one record apart. Raises `RecordError` naming the field, `UnsupportedVersionError` for a newer major."""
    record = _checked(value)
    prompt, entries = _without_prompt(_entries(record))
    turns = tuple(_TURNS[record.mode](record, entries))
    traces = tuple(_trace(record, prompt, turn) for turn in turns if turn.answered)
    return Conversation(traces, unanswered=len(turns) - len(traces))


class _Meta(Record, frozen=True, kw_only=True):
    since_prev_s: _Seconds | None = None
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    cost_usd: _Dollars | None = None
    finish_reason: str | None = None
    tool_error: bool | None = None
    scripted: bool = False


class _Bundle(Record, frozen=True, kw_only=True):
    id: str | None = None
    model: str | None = None
    params: dict[str, Json] | None = None
    defense: str | None = None
    system_prompt_sha256: str | None = None
    toolset_id: str | None = None


class _Ticket(Record, frozen=True, kw_only=True):
    text: str | None = None
    sha256: str | None = None


class _Totals(Record, frozen=True, kw_only=True):
    cost_usd: _Dollars | None = None


class _Trajectory(Record, frozen=True, kw_only=True):
    schema: str
    id: NonEmpty
    mode: Literal["conversation", "single_request", "solo_ticket"]
    messages: tuple[Message, ...]
    message_meta: tuple[_Meta, ...] | None = None
    bundle: _Bundle = _Bundle()
    request: _Ticket = _Ticket()
    usage: _Totals | None = None
    source: str | None = None
    source_ref: Json = None
    domain: str | None = None
    task_id: str | None = None
    trial: int | None = None
    pair_key: str | None = None
    toolset_id: str | None = None
    outcome: dict[str, Json] | None = None
    expected: Json = None


@dataclass(frozen=True, slots=True)
class _Entry:
    """A message with what is known about it; `field` is where it stands in the record."""

    message: Message
    meta: _Meta
    field: str

    @property
    def is_model_call(self) -> bool:
        return self.message.role == "assistant" and not self.meta.scripted


@dataclass(frozen=True, slots=True)
class _Turn:
    ordinal: int
    request: tuple[Message, ...]
    body: Sequence[_Entry]

    @property
    def answered(self) -> bool:
        return any(entry.is_model_call for entry in self.body)


def _checked(value: Json) -> _Trajectory:
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema != FORMAT:
        raise _wrong_schema(schema)
    try:
        dumps(value)  # what cannot be written back would fail far from its cause
        record = msgspec.convert(value, _Trajectory)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at ")
        raise RecordError(message, field=path.replace("`", "") or "$") from None
    except RecursionError:
        raise RecordError("nested too deeply", field="$") from None
    if record.message_meta is not None and len(record.message_meta) != len(record.messages):
        found = f"{len(record.message_meta)} entries for {len(record.messages)} messages"
        raise RecordError(f"{found}; expected one each", field="$.message_meta")
    return record


def _wrong_schema(schema: Json) -> RecordError:
    name, _, major = str(schema).partition("/")
    if name == "agent-trajectory" and major.isascii() and major.isdigit() and int(major[:4]) > 1:
        text = f"{str(schema)[:80]} is newer than this program, which reads up to {FORMAT}; upgrade shadow-replay"
        return UnsupportedVersionError(text, field="$.schema")
    return RecordError(f'"schema" is {str(schema)[:80]!r}, expected "{FORMAT}"', field="$.schema")


def _entries(record: _Trajectory) -> tuple[_Entry, ...]:
    metas = record.message_meta or (_Meta(),) * len(record.messages)
    known = record.message_meta is not None
    return tuple(
        _Entry(_with_error(message, meta, known=known), meta, f"$.messages[{index}]")
        for index, (message, meta) in enumerate(zip(record.messages, metas, strict=True))
    )


def _with_error(message: Message, meta: _Meta, *, known: bool) -> Message:
    """Say how a tool call ended. A source that describes its messages marks the failed ones only."""
    if message.role != "tool" or not known:
        return message
    return msgspec.structs.replace(message, is_error=bool(meta.tool_error))


def _without_prompt(entries: tuple[_Entry, ...]) -> tuple[str | None, tuple[_Entry, ...]]:
    """Part the system prompt, which is the bundle's, from what was said."""
    count = next((i for i, entry in enumerate(entries) if entry.message.role not in _PROMPT_ROLES), len(entries))
    prompt = [entry.message.text or "" for entry in entries[:count]]
    return ("\n\n".join(prompt) if prompt else None), entries[count:]


def _conversation(_: _Trajectory, entries: Sequence[_Entry]) -> Iterator[_Turn]:
    starts = _user_positions(entries)
    if len(starts) * len(entries) > MAX_HISTORY:
        found = f"{len(starts)} user messages in {len(entries)}"
        raise RecordError(f"too long for one record: {found}; split it", field="$.messages")
    for ordinal, (start, end) in enumerate(pairwise([*starts, len(entries)])):
        yield _Turn(ordinal, _messages(entries[: start + 1]), entries[start + 1 : end])


def _single_request(_: _Trajectory, entries: Sequence[_Entry]) -> Iterator[_Turn]:
    start = _user_positions(entries)[0]
    yield _Turn(0, _messages(entries[: start + 1]), entries[start + 1 :])


def _solo_ticket(record: _Trajectory, entries: Sequence[_Entry]) -> Iterator[_Turn]:
    if record.request.text is None:
        raise RecordError("a solo ticket has its text here; found none", field="$.request.text")
    yield _Turn(0, (Message(role="user", content=record.request.text),), entries)


_TURNS: Mapping[str, Callable[[_Trajectory, Sequence[_Entry]], Iterator[_Turn]]] = {
    "conversation": _conversation,
    "single_request": _single_request,
    "solo_ticket": _solo_ticket,
}


def _user_positions(entries: Sequence[_Entry]) -> list[int]:
    found = [index for index, entry in enumerate(entries) if entry.message.role == "user"]
    if not found:
        raise RecordError("no user message, so there is no request to replay", field="$.messages")
    return found


def _messages(entries: Iterable[_Entry]) -> tuple[Message, ...]:
    return tuple(entry.message for entry in entries)


def _trace(record: _Trajectory, prompt: str | None, turn: _Turn) -> Trace:
    steps, missing = _steps(record, turn.body)
    calls = [step for step in steps if isinstance(step, ModelCall)]
    return Trace(
        trace_id=sha256(f"{record.id}/{turn.ordinal}".encode()).hexdigest()[:32],
        conversation_id=record.id,
        turn=turn.ordinal,
        bundle=_bundle_ref(record),
        request=Request(messages=turn.request, attributes=_attributes(record)),
        system_prompt=prompt,
        tools_ref=record.toolset_id or record.bundle.toolset_id,
        steps=tuple(steps),
        final_answer=_final_answer(turn.body),
        latency_ns=_total(step.duration_ns for step in steps),
        usage=_usage_of(calls),
        cost_usd=_cost_of(calls),
        capture=_capture(turn.request, steps, missing),
        labels=record.outcome or {},
        expected=record.expected,
        provenance={"format": FORMAT, "record": record.id, "turn": turn.ordinal, "source_ref": record.source_ref},
    )


def _bundle_ref(record: _Trajectory) -> BundleRef:
    toolset = record.toolset_id or record.bundle.toolset_id
    known = [part for part in (record.bundle.system_prompt_sha256, toolset) if part]
    return BundleRef(id=record.bundle.id, source="record", fingerprint="+".join(known) or None)


def _attributes(record: _Trajectory) -> dict[str, Json]:
    found: dict[str, Json] = {
        "domain": record.domain,
        "task_id": record.task_id,
        "trial": record.trial,
        "pair_key": record.pair_key,
        "mode": record.mode,
        "source": record.source,
        "defense": record.bundle.defense,
        "request_sha256": record.request.sha256,
    }
    return {name: value for name, value in found.items() if value is not None}


def _steps(record: _Trajectory, body: Sequence[_Entry]) -> tuple[list[Step], list[int]]:
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


def _end_of_results(body: Sequence[_Entry], start: int) -> int:
    others = (i for i in range(start, len(body)) if body[i].message.role != "tool" or body[i].meta.scripted)
    return next(others, len(body))


def _inserted(entry: _Entry) -> InsertedMessage:
    if entry.message.role == "tool" and not entry.meta.scripted:
        raise RecordError("a tool result that answers no call of the model", field=entry.field)
    return InsertedMessage(message=entry.message, duration_ns=_nanoseconds(entry.meta))


def _model_call(record: _Trajectory, entry: _Entry) -> ModelCall:
    return ModelCall(
        output=entry.message,
        model_requested=record.bundle.model,
        params=record.bundle.params or {},
        finish_reason=entry.meta.finish_reason,
        usage=_usage(entry.meta),
        cost_usd=_cost(record, entry.meta),
        duration_ns=_nanoseconds(entry.meta),
    )


def _paired(calls: Sequence[FunctionCall], results: Sequence[_Entry]) -> list[_Entry | None]:
    """One result or null for each call of a message: by id where ids can tell them apart, else by order."""
    ids = [call.id for call in calls]
    usable = all(ids) and len(set(ids)) == len(ids)
    slots: list[_Entry | None] = [None] * len(ids)
    rest: list[_Entry] = []
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


def _tool_call(call: FunctionCall, result: _Entry | None) -> ToolCall:
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


def _final_answer(body: Sequence[_Entry]) -> str | None:
    """Take what the last assistant message says; one that asks for tools is no answer yet."""
    last = next(entry.message for entry in reversed(body) if entry.message.role in ("assistant", "tool"))
    return last.text if last.role == "assistant" and not last.calls else None


def _capture(request: Sequence[Message], steps: Sequence[Step], missing: Sequence[int]) -> Capture:
    last_call = max(index for index, step in enumerate(steps) if isinstance(step, ModelCall))
    history = _unanswered_calls(request)
    seen_later = bool(history) or any(index < last_call for index in missing)
    return Capture(
        content="partial" if seen_later else "full",
        missing=(*history, *(f"steps.{index}.result" for index in missing)),
    )


def _unanswered_calls(request: Sequence[Message]) -> tuple[str, ...]:
    """Messages of the history whose calls have too few results: a provider refuses such a request."""
    found = []
    for index, message in enumerate(request):
        following = request[index + 1 : index + 1 + len(message.calls)]
        if any(answer.role != "tool" for answer in following) or len(following) < len(message.calls):
            found.append(f"request.messages.{index}.tool_calls")
    return tuple(found)


def _nanoseconds(meta: _Meta) -> int | None:
    return None if meta.since_prev_s is None else round(meta.since_prev_s * 1e9)


def _usage(meta: _Meta) -> Usage | None:
    if meta.prompt_tokens is None and meta.completion_tokens is None:
        return None
    return Usage(input_tokens=meta.prompt_tokens, output_tokens=meta.completion_tokens)


def _cost(record: _Trajectory, meta: _Meta) -> str | None:
    """Harnesses write 0 for a model whose price they do not know, and then have no total: that 0 is unknown."""
    total_known = record.usage is not None and record.usage.cost_usd is not None
    if meta.cost_usd is None or (meta.cost_usd == 0 and not total_known):
        return None
    return format(Decimal(repr(meta.cost_usd)), "f")


def _usage_of(calls: Sequence[ModelCall]) -> Usage | None:
    known = [call.usage for call in calls if call.usage is not None]
    if len(known) < len(calls):
        return None
    return Usage(
        input_tokens=_total(usage.input_tokens for usage in known),
        output_tokens=_total(usage.output_tokens for usage in known),
    )


def _cost_of(calls: Sequence[ModelCall]) -> str | None:
    known = [Decimal(call.cost_usd) for call in calls if call.cost_usd is not None]
    return format(sum(known, Decimal(0)), "f") if len(known) == len(calls) else None


def _total(amounts: Iterable[int | None]) -> int | None:
    """Add up; null when one amount is unknown."""
    known = list(amounts)
    return None if None in known else sum(amount for amount in known if amount is not None)
