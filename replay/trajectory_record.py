"""The record of `agent-trajectory/1`: what it may hold, and its messages with what is known about each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import msgspec

from replay.errors import RecordError, UnsupportedVersionError
from replay.exact_json import Json, dumps
from replay.trace import Count, Message, NonEmpty, Record

FORMAT = "agent-trajectory/1"

#: Bounded, so that no value overflows when it becomes nanoseconds or a decimal string.
_Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_Dollars: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class MessageMeta(Record, frozen=True, kw_only=True):
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


class TrajectoryRecord(Record, frozen=True, kw_only=True):
    schema: str
    id: NonEmpty
    mode: Literal["conversation", "single_request", "solo_ticket"]
    messages: tuple[Message, ...]
    message_meta: tuple[MessageMeta, ...] | None = None
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
class Entry:
    """A message with what is known about it; `field` is where it stands in the record."""

    message: Message
    meta: MessageMeta
    field: str

    @property
    def is_model_call(self) -> bool:
        return self.message.role == "assistant" and not self.meta.scripted


def record_from(value: Json) -> TrajectoryRecord:
    """Check one record. Raises `RecordError` naming the field, `UnsupportedVersionError` for a newer major."""
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema != FORMAT:
        raise _wrong_schema(schema)
    try:
        dumps(value)  # what cannot be written back would fail far from its cause
        record = msgspec.convert(value, TrajectoryRecord)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at ")
        raise RecordError(message, field=path.replace("`", "") or "$") from None
    except RecursionError:
        raise RecordError("nested too deeply", field="$") from None
    if record.message_meta is not None and len(record.message_meta) != len(record.messages):
        found = f"{len(record.message_meta)} entries for {len(record.messages)} messages"
        raise RecordError(f"{found}; expected one each", field="$.message_meta")
    return record


def entries_of(record: TrajectoryRecord) -> tuple[Entry, ...]:
    """Give each message of a record its description."""
    metas = record.message_meta or (MessageMeta(),) * len(record.messages)
    known = record.message_meta is not None
    return tuple(
        Entry(_with_error(message, meta, known=known), meta, f"$.messages[{index}]")
        for index, (message, meta) in enumerate(zip(record.messages, metas, strict=True))
    )


def _wrong_schema(schema: Json) -> RecordError:
    name, _, major = str(schema).partition("/")
    if name == "agent-trajectory" and major.isascii() and major.isdigit() and int(major[:4]) > 1:
        text = f"{str(schema)[:80]} is newer than this program, which reads up to {FORMAT}; upgrade shadow-replay"
        return UnsupportedVersionError(text, field="$.schema")
    return RecordError(f'"schema" is {str(schema)[:80]!r}, expected "{FORMAT}"', field="$.schema")


def _with_error(message: Message, meta: MessageMeta, *, known: bool) -> Message:
    """Say how a tool call ended. A source that describes its messages marks the failed ones only."""
    if message.role != "tool" or not known:
        return message
    return msgspec.structs.replace(message, is_error=bool(meta.tool_error))
