"""`toolsets.json`: the tools that were offered, beside a file of recorded traces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from replay.errors import RecordError, UsageError
from replay.exact_json import Json, loads

NAME = "toolsets.json"


def load_toolsets(named: str | None, *, beside: str) -> Mapping[str, Json] | None:
    """The named file, or the one beside the traces, or null. Raises `UsageError` when it cannot be read."""
    path = Path(named) if named is not None else Path(beside).parent / NAME
    if named is None and (beside == "-" or not path.is_file()):
        return None
    try:
        value = loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except RecordError as error:
        raise UsageError(f"{path}: {error}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path}: expected an object of toolsets by id")
    return value
