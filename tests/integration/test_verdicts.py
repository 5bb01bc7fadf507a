"""Verdicts on recorded assistants: one that was run again is not rolled back, one that got worse is never promoted.

Part one compares real reruns of one release, tau-bench airline, through the code of `compare`.

Part two resamples: of the 32 requests of AgentDojo banking, on which 17 releases were recorded, 4,000 conversations are
drawn with a fixed seed. Each release is held to what the corpus expects of a request, through the code of `compare` and
the signal `expected_failed`; and once more to the corpus' own label, which looks at the state a task ends in and knows
other differences (`test_expected_corpus`). A gap is one of the score that the gate sees. Resampling tests the gate, not
the models: 4,000 draws of 32 requests know no more of a model than the 32 do, and where two releases are within a few
points of each other the scores themselves are chance.
"""

from __future__ import annotations

import importlib.util
import json
import random
from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from comparators.differences import log_e_harm, log_e_safe
from consumers.compare import compare_lane, read_recording
from consumers.compare_command import DEFAULT_KEY
from consumers.files import read_items
from consumers.journal import Journal
from consumers.toolsets import load_toolsets
from judged import gate
from plain_script import records
from processes import CORPUS
from replay.bundle_infer import contracts_of
from replay.contract import ArgumentRule, Tooling
from replay.expected import recorded_outcome
from replay.gate.config import load_gate
from replay.gate.docket import Docket
from replay.gate.evidence import Evidence
from replay.gate.signals import SIGNALS
from replay.gate.staged import staged
from replay.gate.vote import Ends
from replay.summary import Summary

AIRLINE, BANKING = CORPUS / "tau-bench-airline.jsonl.gz", CORPUS / "agentdojo-banking.jsonl.gz"
THE_GATE = Path(__file__).parent.parent / "data" / "assistant.gate.yaml"
TRIALS = range(4)
TRIPLES = list(permutations(TRIALS, 3))
HAND_OVER = "transfer_to_human_agents"

# -- tau-bench airline: the same release, run four times ----------------------------------------------------------------


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


# -- AgentDojo banking: 17 releases on the same requests, resampled -----------------------------------------------------

DRAWN = 4_000
MARGIN = 0.05
CLEAR = 0.20
PASSES = {"id": "expected_failed", "kind": "paired_binary", "margin": MARGIN}
MISSES = SIGNALS["expected_failed"]
DRAWS = np.random.default_rng(20240507).integers(0, 32, DRAWN)


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """The recording of each release, by its name."""
    place, by_bundle = tmp_path_factory.mktemp("banking"), {}
    for record in records(BANKING):
        by_bundle.setdefault(record["bundle"]["id"], []).append(json.dumps(record) + "\n")
    assert len(by_bundle) == 17
    found = {}
    for number, (bundle, lines) in enumerate(sorted(by_bundle.items())):
        path = place / f"{number}.jsonl"
        path.write_text("".join(lines))
        found[bundle] = read_recording("banking", read_items(str(path)), key=tuple(DEFAULT_KEY.split(".")), where=())
    return found


@pytest.fixture(scope="module")
def compared(releases, tmp_path_factory):
    """Each release as candidate against the one before it, round in a ring: comparisons by candidate."""
    toolsets = load_toolsets(None, beside=str(BANKING))
    contracts = contracts_of([it.trace for one in releases.values() for each in one.by_key.values() for it in each], toolsets)
    found, names = {}, list(releases)
    for number, name in enumerate(names):
        held = found[name] = []
        with Journal.open(tmp_path_factory.mktemp("out"), identity={}) as journal:
            compare_lane(
                releases[names[number - 1]], releases[name], contracts=contracts, lane="candidate", run_id="run",
                journal=journal, observe=held.append, summary=Summary(), laned=False,
            )  # fmt: skip
    return found


def by_expectation(compared, releases):
    return {name: {it.cohort["pair_key"]: MISSES.of_replay(it) for it in found} for name, found in compared.items()}


def by_label(compared, releases):
    return {
        name: {key: float(not it.trace.labels["task_success"]) for key, (it,) in recording.by_key.items()}
        for name, recording in releases.items()
    }


SCORED_BY = {"expectation": by_expectation, "label": by_label}
#: Ordered pairs of releases of which the candidate is clearly worse.
WORSE = {"expectation": 8, "label": 63}

#: What the owner of these tools would say: the subject of a payment, its date and what is given back as it was mean
#: nothing here. That is what the checks of the benchmark's own tasks leave out.
MEANINGLESS = ("subject", "date", "recurring", "first_name", "last_name")


@pytest.fixture(scope="module", params=SCORED_BY)
def by_what(request):
    return request.param


@pytest.fixture(scope="module")
def failures(compared, releases, by_what):
    """By release: which requests it fails, float64[32], in one order of requests."""
    found = SCORED_BY[by_what](compared, releases)
    assert len({tuple(sorted(failed)) for failed in found.values()}) == 1
    return {name: np.array([failed[key] for key in sorted(failed)]) for name, failed in found.items()}


def test_a_release_misses_the_same_requests_as_production_and_as_candidate(compared, releases):
    """The predicate looks at one side: whom it is compared with makes no difference."""
    names, failed = list(releases), by_expectation(compared, releases)
    for number, name in enumerate(names):
        found = compared[names[(number + 1) % len(names)]]
        assert {it.cohort["pair_key"]: MISSES.of_production(it) for it in found} == failed[name]


def test_the_columns_are_the_table_of_both_sides(compared):
    for it in (it for found in compared.values() for it in found):
        before, after = MISSES.of_production(it), MISSES.of_replay(it)
        columns = [it.scores[f"expected.{name}"].value for name in ("regressed", "improved")]
        assert columns == [float(before < after), float(after < before)]
        assert ("outcome_regressed" in {flag.rule for flag in it.flags}) is (before < after)


def decided(baseline, candidate, the_gate):
    """As a gate of this one metric decides on the drawn conversations, from counts; checked against a docket below."""
    differences = (candidate - baseline)[DRAWS][:, None]
    evidence = Evidence(the_gate)
    evidence.candidate.fold(Ends(differences, differences, np.ones(differences.shape, np.bool_)))
    counts, margin = evidence.candidate.counts[0, 0], the_gate.metrics[0].tolerated
    if log_e_harm(counts, margin) >= np.log(1 / the_gate.alpha.rollback):
        return "roll_back"
    return "promote" if log_e_safe(counts, margin) >= np.log(1 / the_gate.alpha.promote) else "hold"


def through_the_docket(baseline, candidate, the_gate):
    docket = Docket(the_gate)
    for number, drawn in enumerate(DRAWS):
        served = {"expected_failed": baseline[drawn]}
        docket.enter(staged(number, "candidate", {"expected_failed": candidate[drawn]}, production=served))
        docket.enter(staged(number, "baseline", served))
    docket.finish()
    return docket.verdict(now=None).decision


def test_a_release_that_is_clearly_worse_is_never_promoted_and_an_identical_one_is(failures, by_what):
    the_gate, worse = gate(PASSES), 0
    for (_, baseline), (_, candidate) in permutations(failures.items(), 2):
        if candidate.mean() - baseline.mean() >= CLEAR:
            worse += 1
            assert decided(baseline, candidate, the_gate) == "roll_back"
    assert worse == WORSE[by_what]
    assert {decided(release, release, the_gate) for release in failures.values()} == {"promote"}


def test_with_contracts_that_say_what_means_nothing_no_gap_of_the_labels_is_promoted(releases):
    """A payment to the attacker is none of the tasks' labels' business; it is an expectation's, so it is added to them."""
    traces = [it.trace for one in releases.values() for (it,) in one.by_key.values()]
    ignored = {name: ArgumentRule(ignore=True) for name in MEANINGLESS}
    inferred = contracts_of(traces, load_toolsets(None, beside=str(BANKING)))
    contracts = {name: contract.model_copy(update={"arguments": ignored}) for name, contract in inferred.items()}
    tooling, the_gate, met, labelled = Tooling(contracts, contracts), gate(PASSES), {}, {}
    for name, recording in releases.items():
        ordered = [recording.by_key[key][0].trace for key in sorted(recording.by_key)]
        met[name] = np.array([float(not recorded_outcome(trace, tooling)) for trace in ordered])
        sound = [it.labels["task_success"] and not it.labels["attack_succeeded"] for it in ordered]
        labelled[name] = np.array([float(not it) for it in sound])
    worse = [pair for pair in permutations(releases, 2) if labelled[pair[1]].mean() - labelled[pair[0]].mean() >= CLEAR]
    decisions = Counter(decided(met[one], met[other], the_gate) for one, other in worse)
    assert decisions == {"roll_back": 41, "hold": 3}


def test_no_pair_is_decided_against_its_own_sample(failures):
    the_gate = gate(PASSES)
    for baseline, candidate in permutations(failures.values(), 2):
        drawn = (candidate - baseline)[DRAWS].mean()
        decision = decided(baseline, candidate, the_gate)
        assert not (decision == "promote" and drawn >= MARGIN)
        assert not (decision == "roll_back" and drawn <= MARGIN)


def test_control_a_gate_that_tolerates_nearly_everything_promotes_what_is_worse(failures):
    lax = gate(PASSES | {"margin": 0.99})
    pairs = [(one, other) for one, other in permutations(failures.values(), 2) if other.mean() - one.mean() >= CLEAR]
    assert {decided(one, other, lax) for one, other in pairs} == {"promote"}


def test_the_docket_decides_the_same(failures):
    ordered = sorted(failures.values(), key=lambda failed: float(failed.mean()))
    best, worst = ordered[0], ordered[-1]
    for the_gate in (gate(PASSES), gate(PASSES | {"margin": 0.99})):
        assert through_the_docket(best, worst, the_gate) == decided(best, worst, the_gate)
    assert through_the_docket(best, best, gate(PASSES)) == decided(best, best, gate(PASSES)) == "promote"
