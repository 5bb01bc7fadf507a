"""One change from a bundle to another, how severe it is, and how values and texts are shown in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from itertools import islice
from typing import NamedTuple

from replay.exact_json import Json, dumps

FINDING, IMPORTANT, NOTE = 3, 2, 1
_SHOWN = 160
_SHOWN_IN_PAIR = 70


class Change(NamedTuple):
    """One thing that changed. `details` are the lines of a unified diff, where there is a text to show."""

    severity: int
    text: str
    details: tuple[str, ...] = ()


def mapping_changes(prefix: str, a: Mapping[str, Json], b: Mapping[str, Json], severity: int) -> Iterator[Change]:
    for name in dict.fromkeys((*a, *b)):
        if name not in b:
            yield Change(severity, f"{prefix}{name} removed (was {shown(a[name])})")
        elif name not in a:
            yield Change(severity, f"{prefix}{name} added: {shown(b[name])}")
        elif a[name] != b[name]:
            yield value_change(f"{prefix}{name}", a[name], b[name], severity)


def value_change(name: str, a: Json, b: Json, severity: int) -> Change:
    """Both values in one line if they fit, else the lines that differ."""
    if max(len(_plain(a)), len(_plain(b))) <= _SHOWN_IN_PAIR:
        return Change(severity, f"{name} {_plain(a)} -> {_plain(b)}")
    details = text_diff(pretty(a), pretty(b))
    return Change(severity, f"{name} changed: {counted_lines(details)}", details)


def member_changes(noun: str, a: Sequence[str], b: Sequence[str]) -> Iterator[Change]:
    yield from (Change(IMPORTANT, f"{noun} {name} removed") for name in a if name not in b)
    yield from (Change(NOTE, f"{noun} {name} added") for name in b if name not in a)


def if_loosened(yes: bool) -> str:
    return " (LOOSENED)" if yes else ""


def text_diff(a: str | None, b: str | None) -> tuple[str, ...]:
    before, after = ([] if text is None else text.split("\n") for text in (a, b))
    return tuple(islice(unified_diff(before, after, lineterm="", n=1), 2, None))  # without the names of files


def counted_lines(details: Sequence[str]) -> str:
    added, removed = (sum(line.startswith(sign) for line in details) for sign in "+-")
    return f"{added} {'line' if added == 1 else 'lines'} added, {removed} removed"


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else dumps(value, sort_keys=True).decode()


def shown(value: Json) -> str:
    return cut(_plain(value))


def cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def pretty(value: Json) -> str:
    """A part in each line, so that a diff of it is short."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
