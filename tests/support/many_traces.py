"""Plain traces in any number, and a file of both bundles' answers for a recorded model."""

from __future__ import annotations

import json
from pathlib import Path


def trace(number: int, bundle: str = "production", *, pad: int = 0) -> dict:
    """One question with one answer; the candidate's trace is told by its id and paired by its key."""
    answer = "It is on your desk." if bundle == "production" else "On your desk."
    return {
        "schema": "trace/1",
        "trace_id": f"trace-{number}" if bundle == "production" else f"trace-{number}-{bundle}",
        "bundle": {"id": bundle},
        "request": {
            "messages": [{"role": "user", "content": "Where is my laptop?" + " " * pad}],
            "attributes": {"pair_key": f"pair-{number}", "account": 10**25 + number},
        },
        "steps": [{"kind": "model_call", "output": {"role": "assistant", "content": answer}}],
        "final_answer": answer,
    }


def write(path: Path, count: int, *bundles: str, pad: int = 0, first: int = 0) -> Path:
    """A line per trace and bundle."""
    with path.open("w") as file:
        for number in range(first, first + count):
            for bundle in bundles or ("production",):
                file.write(json.dumps(trace(number, bundle, pad=pad)) + "\n")
    return path
