"""Lines that hold no usable trace, of every kind we could think of, among good ones."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from many_traces import trace

LARGE, LARGE_BYTES = 200, 5_000_000
SEED = 20_260_101


def _line(value: object) -> bytes:
    return json.dumps(value).encode()


BROKEN: tuple[Callable[[int], bytes], ...] = (
    lambda number: _line(trace(number))[: -(number % 40) - 1],
    lambda number: _line({**trace(number), "trace_id": number}),
    lambda number: _line({**trace(number), "request": {"messages": "hello"}}),
    lambda number: _line({**trace(number), "steps": [{"kind": "model_call"}]}),
    lambda number: _line({**trace(number), "schema": "trace/2"}),
    lambda number: _line({**trace(number), "schema": "something/1"}),
    lambda number: _line([trace(number)]),
    lambda number: _line({**trace(number), "final_answer": "\ud800"}),
    lambda number: b'{"schema":"trace/1","trace_id":"x","latency_ns":NaN}',
    lambda number: b'{"schema":"trace/1","labels":' + b"[" * 3000 + b"]" * 3000 + b"}",
    lambda number: b'{"schema":"trace/1","trace_id":"\xff\xfe"}',
    lambda number: b"not json at all \x00 " + str(number).encode(),
    lambda number: _line({"schema": "agent-trajectory/1", "id": number}),
)


def bad_line(number: int) -> bytes:
    """The first `LARGE` are of `LARGE_BYTES`; the others of each broken kind in turn."""
    if number < LARGE:
        return _line({**trace(number), "trace_id": 7, "final_answer": "x" * LARGE_BYTES})
    return BROKEN[number % len(BROKEN)](number)


def write_mixed(path: Path, *, good: int, bad: int) -> dict[int, str]:
    """Good and bad lines, shuffled; gives the digests of the bad ones by line number, from 1."""
    order = [("good", number) for number in range(good)] + [("bad", number) for number in range(bad)]
    random.Random(SEED).shuffle(order)
    kept: dict[int, str] = {}
    with path.open("wb") as file:
        for position, (kind, number) in enumerate(order, start=1):
            line = _line(trace(number)) if kind == "good" else bad_line(number)
            if kind == "bad":
                kept[position] = sha256(line).hexdigest()
            file.write(line + b"\n")
    return kept
