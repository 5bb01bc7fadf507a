"""Comparing tool calls: pairs per second on one core, against agentevals and DeepDiff on the same pairs.

    python -m bench.toolcalls

Pairs are two trials of one bundle on one task (tau-bench airline). Our calls are canonical already, as they are
in a replay; the references get messages and parsed arguments. "Distinct" pairs share no call with each other, as
live traffic mostly does not: strings are marked per copy of the corpus. Thread CPU time, best of many.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import combinations, islice
from pathlib import Path
from typing import Any, Literal

from bench.answers import cpu_seconds
from comparators.calls import CallEvent, CallPair
from comparators.toolcalls import compare_calls
from replay.contract import ContractReader, ToolContract

CORPUS = Path("tests/corpus")
NAME = "tau-bench-airline"
HANDOFF = "transfer_to_human_agents"
PAIRS = 1024
BATCHES = (64, 1024)
#: The references get fewer pairs: they are slower by a factor.
REFERENCE_PAIRS = 100
GOAL_RATE, GOAL_RATIO = 50_000, 20


def main() -> None:
    """Print pairs per second of all `tools.*` scores, and how much slower the references are."""
    records = _records()
    sets = {"trial": _repeated(records), "distinct": _distinct(records)}
    calls = sum(len(side) for pair in sets["trial"] for side in pair) / (2 * PAIRS)
    print(f"tool calls: {PAIRS} pairs, {calls:.1f} calls a side; pairs/s on one core")
    rates = {}
    for kind, pairs in sets.items():
        for batch in BATCHES:
            rates[kind, batch] = _rate(pairs, batch)
            print(f"  {kind:>8} pairs, batches of {batch:>4}: {rates[kind, batch]:>9,.0f}")
    print(f"  goal at {max(BATCHES)}: {GOAL_RATE:,} and {GOAL_RATIO} times agentevals")
    slowest = min(rates[kind, max(BATCHES)] for kind in sets)
    messages = list(islice(_message_pairs(records), REFERENCE_PAIRS))
    for name, theirs in _references(messages):
        print(f"  {name:>26}: {theirs:>9,.0f}  (ours {slowest / theirs:.0f} times as fast, on distinct pairs)")


def _rate(pairs: list[CallPair], batch: int) -> float:
    def work() -> None:
        for start in range(0, len(pairs), batch):
            compare_calls(pairs[start : start + batch])

    return len(pairs) / cpu_seconds(work)


# -- pairs ------------------------------------------------------------------------------------------------------


def _records() -> list[list[dict[str, Any]]]:
    """Trials of each task."""
    tasks: dict[str, list[dict[str, Any]]] = {}
    with gzip.open(CORPUS / f"{NAME}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            tasks.setdefault(record["pair_key"], []).append(record)
    return list(tasks.values())


def _repeated(tasks: list[list[dict[str, Any]]]) -> list[CallPair]:
    """Every two trials of a task, over and over."""
    readers = _readers(tasks[0][0]["toolset_id"])
    sides = [[_events(trial, readers) for trial in task] for task in tasks]
    pairs = [CallPair(*both) for task in sides for both in combinations(task, 2)]
    return (pairs * (PAIRS // len(pairs) + 1))[:PAIRS]


def _distinct(tasks: list[list[dict[str, Any]]]) -> list[CallPair]:
    """Each trial once per copy; the strings of every copy are its own."""
    readers = _readers(tasks[0][0]["toolset_id"])
    pairs: list[CallPair] = []
    copy = 0
    while len(pairs) < PAIRS:
        for task in tasks:
            sides = [_events(trial, readers, mark=f"~{copy}") for trial in task]
            pairs += [CallPair(*both) for both in zip(sides[::2], sides[1::2], strict=True)]
        copy += 1
    return pairs[:PAIRS]


def _readers(toolset_id: str) -> Mapping[str, ContractReader]:
    toolset = json.loads((CORPUS / "toolsets.json").read_text(encoding="utf-8"))[toolset_id]
    readers = {}
    for tool in toolset["tools"]:
        name = tool["function"]["name"]
        effect = _effect(name, toolset["effects"][name])
        readers[name] = ContractReader(
            ToolContract(name=name, parameters=tool["function"]["parameters"], effect=effect)
        )
    return readers


def _effect(name: str, recorded: str) -> Literal["read", "write", "handoff"]:
    if name == HANDOFF:
        return "handoff"
    return "write" if recorded == "write" else "read"


def _events(trial: dict[str, Any], readers: Mapping[str, ContractReader], mark: str = "") -> tuple[CallEvent, ...]:
    steps = (message for message in trial["messages"] if message["role"] == "assistant")
    return tuple(
        CallEvent(reader.read(json.dumps(_marked(json.loads(arguments), mark))).call, reader.contract.danger, step=step)
        for step, message in enumerate(steps)
        for name, arguments in _functions(message)
        if (reader := readers.get(name)) is not None
    )


def _functions(message: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for call in message.get("tool_calls") or ():
        yield call["function"]["name"], call["function"]["arguments"] or "{}"


def _marked(value: Any, mark: str) -> Any:
    match value:
        case str():
            return value + mark
        case list():
            return [_marked(member, mark) for member in value]
        case dict():
            return {key: _marked(member, mark) for key, member in value.items()}
    return value


# -- references -------------------------------------------------------------------------------------------------


def _message_pairs(tasks: list[list[dict[str, Any]]]) -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    for task in tasks:
        trials = [[message for message in trial["messages"] if message["role"] != "system"] for trial in task]
        yield from zip(trials[::2], trials[1::2], strict=True)


def _references(pairs: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]) -> Iterator[tuple[str, float]]:
    if importlib.util.find_spec("agentevals") is not None:
        from agentevals.trajectory.match import create_trajectory_match_evaluator

        for mode in ("strict", "unordered"):
            evaluate = create_trajectory_match_evaluator(trajectory_match_mode=mode)
            judge = partial(_judge_all, evaluate, pairs)
            yield f"agentevals {mode}", len(pairs) / cpu_seconds(judge)
    if importlib.util.find_spec("deepdiff") is not None:
        from deepdiff import DeepDiff

        parsed = [tuple(_parsed(side) for side in pair) for pair in pairs]
        yield "DeepDiff", len(parsed) / cpu_seconds(lambda: [DeepDiff(one, other) for one, other in parsed])


def _judge_all(evaluate: Any, pairs: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]) -> None:
    for production, replay in pairs:
        evaluate(outputs=replay, reference_outputs=production)


def _parsed(messages: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(name, json.loads(arguments)) for message in messages for name, arguments in _functions(message)]


if __name__ == "__main__":
    main()
