"""JSON in which an integer of any length stays that integer.

orjson is fast and strict (no NaN, no lone surrogates, bounded depth) but reads an integer beyond 64 bits as a
float, and account numbers are such integers. So orjson is the gate every text passes, and a text that holds a
run of 19 or more digits is read once more by the standard library, which keeps them.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from replay.errors import RecordError

#: Any value JSON can express. `Any`, because msgspec and mypy both refuse the recursive alias inside records.
Json = Any

#: 64-bit integers have at most 19 digits; 19-digit ones may overflow. Looking for the run in a text whose digits
#: were all made the same is five times as fast as a regular expression, and this stands on every path.
_DIGITS_ALIKE = bytes(ord("0") if chr(code).isdigit() and code < 128 else ord(" ") for code in range(256))
_MAYBE_LONG_INTEGER = b"0" * 19

#: CPython refuses to parse or print longer ones, a guard against quadratic time on hostile input.
MAX_INTEGER_DIGITS = 4300


def loads(text: bytes | str) -> Json:
    """Read one JSON value.

    Raises `RecordError` for anything RFC 8259 does not allow, nesting beyond what can be written back, and
    integers of more than `MAX_INTEGER_DIGITS` digits.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        value = orjson.loads(data)
        return _with_long_integers(data) if _MAYBE_LONG_INTEGER in data.translate(_DIGITS_ALIKE) else value
    except (ValueError, RecursionError) as error:  # orjson.JSONDecodeError is a ValueError
        raise RecordError(f"not valid JSON: {_first_line(error)}") from None


def dumps(value: Json, *, sort_keys: bool = False) -> bytes:
    """Write one JSON value, compact. Raises `RecordError` when a string or number has no JSON form."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort_keys else None)
    except TypeError as error:  # orjson.JSONEncodeError; long integers arrive here too
        if "64-bit" not in str(error):
            raise RecordError(f"cannot be written as JSON: {_first_line(error)}") from None
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys, allow_nan=False)
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError(f"cannot be written as JSON: {_first_line(error)}") from None


def _with_long_integers(data: bytes) -> Json:
    return json.loads(data.decode())


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
