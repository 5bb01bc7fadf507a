"""Verdicts on a recorded assistant: one that was run again is not rolled back, one that got worse is.

Real reruns of one release, tau-bench airline, through the code of `compare`. Different releases on the same requests are
judged in `test_verdicts_resampled`.
"""

from __future__ import annotations

import importlib.util
import json
import random
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from consumers.compare import compare_lane, read_recording
from consumers.compare_command import DEFAULT_KEY
from consumers.files import read_items
from consumers.journal import Journal
from consumers.toolsets import load_toolsets
from plain_script import records
from processes import CORPUS
from replay.bundle_infer import contracts_of
from replay.gate.config import load_gate
from replay.gate.docket import Docket
from replay.summary import Summary

AIRLINE = CORPUS / "tau-bench-airline.jsonl.gz"
THE_GATE = Path(__file__).parent.parent / "data" / "assistant.gate.yaml"
TRIALS = range(4)
TRIPLES = list(permutations(TRIALS, 3))
HAND_OVER = "transfer_to_human_agents"


def regressed(record: dict, effects: dict[str, str]) -> dict:
    """Writes that had succeeded are not made, and the request is handed over."""
    failed = {it["tool_call_id"] for it in record["messages"] if it["role"] == "tool" and it["content"].startswith("Error")}
    kept, dropped = [], set()
    for message in record["messages"]:
        if message["role"] == "assistant" and message.get("tool_calls"):
            writes = [it for it in message["tool_calls"] if effects.get(it["function"]["name"]) == "write" and it["id"] not in failed]
            if writes:
                dropped |= {it["id"] for it in writes}
                continue
        if message.get("tool_call_id") not in dropped:
            kept.append(message)
    call = {"id": "handed-over", "type": "function", "function": {"name": HAND_OVER, "arguments": '{"summary": "please"}'}}
    kept += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "handed-over", "name": HAND_OVER, "content": "Transfer successful"},
    ]
    return {**record, "messages": kept, "message_meta": [{} for _ in kept], "final_answer": None}


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """Recordings by trial; under (share, trial) the same with a regression in that share of the conversations.

    Under ("all", turn) stand all four, one behind the other, turned so that no conversation meets itself.
    """
    place, toolsets = tmp_path_factory.mktemp("airline"), json.loads((CORPUS / "toolsets.json").read_text())
    every, chance = records(AIRLINE), random.Random(6)
    plain = {trial: [record for record in every if record["trial"] == trial] for trial in TRIALS}
    found = {trial: plain[trial] for trial in TRIALS}
    for share in (0.4, 0.8):
        for trial in TRIALS:
            found[share, trial] = [
                regressed(it, toolsets[it["toolset_id"]]["effects"]) if chance.random() < share else it for it in plain[trial]
            ]
    for turn in range(3):
        found["all", turn] = [record for trial in TRIALS for record in plain[(trial + turn) % 4]]
    found["all", 0.4] = [record for trial in TRIALS for record in found[0.4, (trial + 2) % 4]]
    for number, (name, lines) in enumerate(found.items()):
        found[name] = place / f"{number}.jsonl"
        found[name].write_text("".join(json.dumps(line) + "\n" for line in lines))
    return found


@pytest.fixture(scope="module")
def judge(trials, tmp_path_factory):
    """The verdict on a candidate, by production and its lane; each pair of recordings is compared once per lane."""
    toolsets = load_toolsets(None, beside=str(AIRLINE))
    recordings = {name: read_recording("airline", read_items(str(path)), key=tuple(DEFAULT_KEY.split(".")), where=()) for name, path in trials.items()}
    contracts = contracts_of([it.trace for name in TRIALS for each in recordings[name].by_key.values() for it in each], toolsets)
    the_gate, compared = load_gate(THE_GATE), {}

    def comparisons(production, other, lane):
        if (production, other, lane) not in compared:
            held = compared[production, other, lane] = []
            with Journal.open(tmp_path_factory.mktemp("out"), identity={}) as journal:
                compare_lane(
                    recordings[production], recordings[other], contracts=contracts, lane=lane, run_id="run",
                    journal=journal, observe=held.append, summary=Summary(), laned=True,
                )  # fmt: skip
        return compared[production, other, lane]

    def verdict(production, lane, candidate):
        docket = Docket(the_gate)
        for comparison in comparisons(production, candidate, "candidate") + comparisons(production, lane, "baseline"):
            docket.enter(comparison)
        docket.finish()
        return docket.verdict(now=None)

    return verdict


def test_a_release_that_is_run_again_is_not_rolled_back(judge):
    verdicts = [judge(*triple) for triple in TRIPLES]
    assert [verdict.conversations for verdict in verdicts] == [50] * 24
    assert sum(verdict.decision == "roll_back" for verdict in verdicts) <= 0.05 * len(TRIPLES)


def test_nor_is_it_called_unsafe(judge):
    assert all(reason.code != "never_event" for triple in TRIPLES for reason in judge(*triple).reasons)


def test_one_that_drops_its_writes_and_hands_over_in_most_conversations_is_rolled_back_after_fifty(judge):
    for production, lane, candidate in TRIPLES:
        verdict = judge(production, lane, (0.8, candidate))
        assert (verdict.decision, verdict.rollback_metric) == ("roll_back", "escalation"), (production, lane, candidate)


def test_one_that_does_so_in_some_is_held_after_fifty_and_rolled_back_after_two_hundred(judge):
    """Reruns of one task count as conversations of their own, and each trial plays all parts: enough to see a harm of
    this size, and no claim about error rates."""
    assert {judge(production, lane, (0.4, candidate)).decision for production, lane, candidate in TRIPLES} == {"hold"}
    verdict = judge(("all", 0), ("all", 1), ("all", 0.4))
    assert (verdict.conversations, verdict.decision, verdict.rollback_metric) == (200, "roll_back", "escalation")
    assert judge(("all", 0), ("all", 1), ("all", 2)).decision == "hold"


@pytest.mark.skipif(importlib.util.find_spec("agentevals") is None, reason="agentevals is not installed")
def test_beside_it_a_trajectory_match_fails_most_reruns_of_the_same_release(capsys):
    """What a gate on raw matches would make of the same pairs: shares that agentevals passes."""
    from agentevals.trajectory.match import create_trajectory_match_evaluator

    by_trial = {trial: {it["pair_key"]: it["messages"][1:] for it in records(AIRLINE) if it["trial"] == trial} for trial in TRIALS}
    for mode in ("strict", "unordered"):
        evaluate = create_trajectory_match_evaluator(trajectory_match_mode=mode)
        passed = [
            evaluate(outputs=by_trial[other][key], reference_outputs=messages)["score"]
            for one, other in permutations(TRIALS, 2)
            for key, messages in by_trial[one].items()
        ]
        with capsys.disabled():
            print(f"\n  agentevals {mode}: {np.mean(passed):.0%} of {len(passed)} reruns of one release pass")  # noqa: T201 - figures are wanted, pass or fail
        assert np.mean(passed) < 0.5
