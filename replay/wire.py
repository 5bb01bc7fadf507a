"""Bytes to records and back: the one place that knows schema names and versions.

`schema` is "<name>/<major>". Fields may be added within a major, with defaults; a meaning never changes. A newer
major is refused in words. An older one is lifted, step by step, through `UPCASTERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeVar

import msgspec

from replay.comparison import Comparison, DeadLetter, Watermark
from replay.errors import RecordError, UnsupportedVersionError
from replay.exact_json import Json, dumps, loads
from replay.trace import Record, Trace
from replay.verdict import Verdict

RecordT = TypeVar("RecordT", bound=Record)
Upcaster: TypeAlias = Callable[[dict[str, Json]], dict[str, Json]]

#: Name and current major of each wire record.
SCHEMAS: Mapping[type[Record], tuple[str, int]] = {
    Trace: ("trace", 1),
    Comparison: ("comparison", 1),
    Watermark: ("watermark", 1),
    DeadLetter: ("dead-letter", 1),
    Verdict: ("verdict", 1),
}

#: (name, major) to the function that lifts a record of that major to the next one. Majors start at 1.
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}


def schema_name(kind: type[Record]) -> str:
    name, major = SCHEMAS[kind]
    return f"{name}/{major}"


def encode(record: Record) -> bytes:
    """Write a record as one line of JSON, its `schema` first. Raises `RecordError` if it has no JSON form."""
    fields = msgspec.to_builtins(record, builtin_types=())
    return dumps({"schema": schema_name(type(record)), **fields})


def decode(kind: type[RecordT], data: bytes | str) -> RecordT:
    """Read one record. Raises `RecordError` naming the field, `UnsupportedVersionError` for a newer major."""
    return from_json(kind, loads(data))


def from_json(
    kind: type[RecordT],
    value: Json,
    *,
    schemas: Mapping[type[Record], tuple[str, int]] = SCHEMAS,
    upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
) -> RecordT:
    """Make a record of a JSON value that was already read."""
    name, major = schemas[kind]
    if not isinstance(value, dict):
        raise RecordError(f"a {name} record is a JSON object; this is {_kind_of(value)}", field="$")
    found = _major(value, name)
    if found > major:
        raise UnsupportedVersionError(
            f"{name}/{found} is newer than this program, which reads up to {name}/{major}; upgrade shadow-replay",
            field="$.schema",
        )
    for version in range(found, major):
        value = upcasters[(name, version)](value)
    return _convert(kind, value)


def schema_of(value: Json) -> str | None:
    """The `schema` a JSON value claims, or null."""
    found = value.get("schema") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


def decode_trace(data: bytes | str) -> Trace:
    return decode(Trace, data)


def trace_from(value: Json) -> Trace:
    return from_json(Trace, value)


def encode_trace(trace: Trace) -> bytes:
    return encode(trace)


def _major(value: dict[str, Json], name: str) -> int:
    schema = value.get("schema")
    if not isinstance(schema, str):
        raise RecordError(f'no "schema": expected "{name}/1"', field="$.schema")
    found, _, major = schema.partition("/")
    if found != name or not (major.isascii() and major.isdigit() and 0 < len(major) < 5 and int(major) > 0):
        raise RecordError(f'"schema" is "{schema[:80]}", expected "{name}/1"', field="$.schema")
    return int(major)


def _convert(kind: type[RecordT], value: Json) -> RecordT:
    try:
        record = msgspec.convert(value, kind)
        dumps(value)  # what cannot be written back would fail far from its cause
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        raise RecordError(message, field=path.rstrip("`") or "$") from None
    except RecursionError:
        raise RecordError("nested too deeply", field="$") from None
    return record


def _kind_of(value: Json) -> str:
    names = {list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
