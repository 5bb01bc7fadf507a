"""Calls for tests, canonicalised by the shortest rules that will do. The product's own live in `replay.contract`."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from comparators.calls import CallEvent, CallPair, CanonicalCall, Effect, Leaf, LeafKind, Outcome
from comparators.spec import Column, Status


def leaves_of(value: Any, path: str = "") -> Iterator[Leaf]:
    """The leaves of JSON-like arguments: null is absent, integral floats are integers, strings are NFC."""
    match value:
        case None:
            return
        case bool():
            yield Leaf(path, LeafKind.BOOLEAN, str(value).lower())
        case float() if not value.is_integer():
            yield Leaf(path, LeafKind.DECIMAL, repr(value), 1e-9)
        case int() | float():
            yield Leaf(path, LeafKind.INTEGER, str(int(value)))
        case str():
            yield Leaf(path, LeafKind.STRING, unicodedata.normalize("NFC", value).strip())
        case dict() if value:
            for key, member in value.items():
                yield from leaves_of(member, f"{path}.{key}" if path else key)
        case list() if value:
            for index, member in enumerate(value):
                yield from leaves_of(member, f"{path}.{index}")
        case _:
            yield Leaf(path, LeafKind.EMPTY, "{}" if isinstance(value, dict) else "[]")


def of_leaves(tool: str, *leaves: Leaf) -> CanonicalCall:
    ordered = tuple(sorted(leaves))
    # Tolerances are no part of what a call says.
    text = repr((tool, [(leaf.path, int(leaf.kind), leaf.token) for leaf in ordered]))
    return CanonicalCall(tool, blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest(), ordered)


def call(tool: str, **arguments: Any) -> CanonicalCall:
    return of_leaves(tool, *leaves_of(arguments))


def event(tool: str, effect: Effect, changes: dict[str, Any], arguments: dict[str, Any]) -> CallEvent:
    return CallEvent(call(tool, **arguments), effect)._replace(**changes)


def write(tool: str, *, of: dict[str, Any] | None = None, **arguments: Any) -> CallEvent:
    """A write. `of` sets fields of the event."""
    return event(tool, Effect.WRITE, of or {}, arguments)


def read(tool: str, *, of: dict[str, Any] | None = None, **arguments: Any) -> CallEvent:
    return event(tool, Effect.READ, of or {}, arguments)


def handoff(tool: str, *, of: dict[str, Any] | None = None, **arguments: Any) -> CallEvent:
    return event(tool, Effect.HANDOFF, of or {}, arguments)


def in_steps(*events: CallEvent) -> tuple[CallEvent, ...]:
    """One call per step."""
    return tuple(item._replace(step=number) for number, item in enumerate(events))


def pair(production: Sequence[CallEvent], replay: Sequence[CallEvent]) -> CallPair:
    return CallPair(in_steps(*production), in_steps(*replay))


def scores(columns: Sequence[Column], row: int = 0) -> dict[str, float | str]:
    """One row by dimension: a value, or the status in words."""
    return {
        item.name: float(item.value[row]) if item.status[row] == Status.SCORED else Status(item.status[row]).name
        for item in columns
    }


def bits(columns: Sequence[Column], rows: Sequence[int] | None = None) -> list[tuple[str, bytes, bytes]]:
    """Everything a column says about some rows, bit for bit."""
    picked: Any = slice(None) if rows is None else np.array(rows, dtype=np.int64)
    return [(item.name, item.value[picked].tobytes(), item.status[picked].tobytes()) for item in columns]


FAILED = {"outcome": Outcome.FAILED}
ASSUMED = {"outcome": Outcome.ASSUMED}
