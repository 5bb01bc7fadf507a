"""What a script that knows nothing of the product says about two recordings: read, pair, count."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path


def records(path: Path) -> list[dict]:
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def by_pair_key(path: Path, bundle: str) -> dict[str, dict]:
    return {record["pair_key"]: record for record in records(path) if record["bundle"]["id"] == bundle}


def plain(value):
    """JSON without nulls, numbers by value, strings without outer whitespace."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in sorted(value.items()) if inner is not None}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value.strip() if isinstance(value, str) else value


def steps(record: dict) -> list[dict]:
    return [message for message in record["messages"] if message["role"] == "assistant"]


def write_calls(message: dict, effects: dict[str, str]) -> Counter:
    """The writes one model answer asked for; a tool nobody offered may be one."""
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    writes = [call for call in calls if effects.get(call["name"], "write") == "write"]
    return Counter((call["name"], _arguments(call["arguments"])) for call in writes)


def all_writes(record: dict, effects: dict[str, str]) -> Counter:
    return sum((write_calls(step, effects) for step in steps(record)), Counter())


def meets_expectation(record: dict, effects: dict[str, str]) -> bool:
    """Whether the writes that did not fail are those that are expected. Ids are not keys: results go by order."""
    done: Counter = Counter()
    messages, metas = record["messages"], record["message_meta"]
    for index, message in enumerate(messages):
        for offset, call in enumerate(message.get("tool_calls") or (), start=1):
            failed = index + offset < len(metas) and metas[index + offset].get("tool_error")
            if not failed:
                done += write_calls({"tool_calls": [call]}, effects)
    actions = [{"function": {"name": it["name"], "arguments": json.dumps(it["arguments"])}} for it in record["expected"]["actions"]]
    return done == write_calls({"tool_calls": actions}, effects)


def writes_until_answer(record: dict, effects: dict[str, str]) -> Counter:
    """Writes up to the first message without calls: there a loop that asks a model for an answer has one.

    One recorded defence lets its model say in words which tools it needs, before the loop begins. No bundle
    can describe that, so a replay ends there too.
    """
    writes: Counter = Counter()
    for step in steps(record):
        if not step.get("tool_calls"):
            break
        writes += write_calls(step, effects)
    return writes


def writes_by_step(record: dict, effects: dict[str, str], count: int) -> list[Counter]:
    return [write_calls(step, effects) for step in steps(record)[:count]]


def _arguments(text: str) -> str:
    try:
        return json.dumps(plain(json.loads(text)))
    except ValueError:
        return text
