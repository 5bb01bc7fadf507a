"""Peers that are installed here, asked again about the traps of `test_traps`: the table is not hearsay."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest

from tests.comparators.test_traps import CALLS, Message, Trap, our_scores

# -- agentevals -----------------------------------------------------------------------------------------------------------

AGENTEVALS = pytest.mark.skipif(importlib.util.find_spec("agentevals") is None, reason="agentevals is not installed")


def messages_of(messages: list[Message]) -> list[dict[str, Any]]:
    batches = [message if isinstance(message, list) else [message] for message in messages]
    return [
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": tool, "arguments": json.dumps(arguments)}} for tool, arguments in batch
        ]}
        for batch in batches
    ]  # fmt: skip


@AGENTEVALS
@pytest.mark.parametrize("name", [name for name, trap in CALLS.items() if any(peer.startswith("agentevals") for peer in trap.peers)])
def test_agentevals_says_what_the_table_says(name):
    from agentevals.trajectory.match import create_trajectory_match_evaluator

    trap = CALLS[name]
    for peer in (peer for peer in trap.peers if peer.startswith("agentevals")):
        mode = peer.removeprefix("agentevals ")
        options = {"trajectory_match_mode": mode}
        if mode == "arguments superset":
            options = {"trajectory_match_mode": "unordered", "tool_args_match_mode": "superset"}
        evaluate = create_trajectory_match_evaluator(**options)
        verdict = evaluate(outputs=messages_of(trap.replay), reference_outputs=messages_of(trap.production))["score"]
        assert float(verdict) == trap.peers[peer], peer


# -- DeepDiff: how much changed is not how bad it is ----------------------------------------------------------------------

DEEPDIFF = pytest.mark.skipif(importlib.util.find_spec("deepdiff") is None, reason="DeepDiff is not installed")


def deepdiff_similarity(trap: Trap, *, ignore_order: bool = False) -> float:
    from deepdiff import DeepDiff

    production, replay = ([it for message in messages_of(side) for it in called(message)] for side in (trap.production, trap.replay))
    return 1 - DeepDiff(production, replay, get_deep_distance=True, ignore_order=ignore_order).get("deep_distance", 0)


def called(message: dict[str, Any]) -> list[tuple[str, Any]]:
    functions = [it["function"] for it in message["tool_calls"]]
    return [(it["name"], json.loads(it["arguments"])) for it in functions]


@DEEPDIFF
@pytest.mark.parametrize("name", [name for name, trap in CALLS.items() if any(peer.startswith("DeepDiff") for peer in trap.peers)])
def test_deepdiff_says_what_the_table_says(name):
    trap = CALLS[name]
    for peer in (peer for peer in trap.peers if peer.startswith("DeepDiff")):
        assert deepdiff_similarity(trap, ignore_order=peer.endswith("ignore_order")) == pytest.approx(trap.peers[peer], abs=0.001), peer


@DEEPDIFF
def test_deepdiff_finds_another_spelling_farther_away_than_another_account():
    spelling, account = CALLS["5 and 5.0"], CALLS["digits of an account id swapped"]
    assert deepdiff_similarity(spelling) < deepdiff_similarity(account)
    assert our_scores(spelling)["tools.write"] == 0.0 < our_scores(account)["tools.write"]
