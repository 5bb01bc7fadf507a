"""Two releases that are equally good, by the run: what production recorded, and what the candidate would say.

Each hands a request over, or answers it, as its own coin falls; both coins are the same. Who hands over is done
after one second, who answers after eight. In a run that is to be `worse`, the candidate's coin is another one.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

#: The share of requests that are handed over.
HANDS_OVER, WORSE = 0.2, 0.4
#: By the recording; a model plays it as much faster as a test has time.
BAD_SECONDS, GOOD_SECONDS = 1.0, 8.0
_TOOL = {"name": "transfer_to_human", "parameters": {"type": "object", "properties": {}}, "effect": "handoff"}
_FIRST_HOUR = datetime(2026, 3, 1, tzinfo=UTC)


def hour(run: int) -> datetime:
    """When production served the requests of a run: each run has an hour of its own."""
    return _FIRST_HOUR + timedelta(hours=run)


def write(path: Path, runs: range, each: int, *bundles: str, worse: int | None = None) -> Path:
    """A line per request and bundle, in the order of the requests; `each` of them a run."""
    with path.open("w") as file:
        for run in runs:
            chance = random.Random(f"equal {run}")
            shares = {"production": HANDS_OVER, "candidate": WORSE if run == worse else HANDS_OVER}
            for number in range(each):
                outcomes = {bundle: chance.random() < share for bundle, share in shares.items()}
                for bundle in bundles:
                    file.write(json.dumps(trace(run, number, bundle, hands_over=outcomes[bundle])) + "\n")
    return path


def run_of(trace_id: str) -> int:
    return int(trace_id.split("-")[1])


def trace(run: int, number: int, bundle: str, *, hands_over: bool) -> dict:
    """A conversation of one request."""
    served = hour(run) + timedelta(milliseconds=number)
    return {
        "schema": "trace/1",
        "trace_id": f"{bundle}-{run}-{number}",
        "bundle": {"id": bundle},
        "started_at": int(served.timestamp() * 1e9),
        "request": {
            "messages": [{"role": "user", "content": "Where is my laptop?"}],
            "attributes": {"pair_key": f"{run}-{number}"},
        },
        "tools": [_TOOL],
        "steps": list(_handed_over() if hands_over else _answered()),
        "final_answer": "A colleague takes over." if hands_over else "It is on your desk.",
    }


def _handed_over() -> Iterator[dict]:
    asked = {"id": "call-1", "type": "function", "function": {"name": _TOOL["name"], "arguments": "{}"}}
    yield _says(BAD_SECONDS / 2, content=None, tool_calls=[asked])
    yield {"kind": "tool_call", "name": _TOOL["name"], "arguments": "{}", "call_id": "call-1", "result": "{}"}
    yield _says(BAD_SECONDS / 2, content="A colleague takes over.")


def _answered() -> Iterator[dict]:
    yield _says(GOOD_SECONDS, content="It is on your desk.")


def _says(seconds: float, **output: object) -> dict:
    return {"kind": "model_call", "duration_ns": int(seconds * 1e9), "output": {"role": "assistant", **output}}
