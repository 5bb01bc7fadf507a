"""A whole replay of real traces against a real recorded candidate, checked against plain scripts.

The scripts know nothing of the product: they read the corpus, pair recordings and count.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from plain_script import all_writes, by_pair_key, meets_expectation, steps, writes_by_step
from processes import CORPUS, comparisons, shadow_replay

BANKING = CORPUS / "agentdojo-banking.jsonl.gz"
PRODUCTION = "agentdojo/banking/claude-3-5-sonnet-20240620"
CANDIDATE = "agentdojo/banking/claude-3-5-sonnet-20241022"


def recordings(bundle: str) -> dict[str, dict]:
    return by_pair_key(BANKING, bundle)


@pytest.fixture(scope="module")
def effects() -> dict[str, str]:
    toolsets = json.loads((CORPUS / "toolsets.json").read_text())
    return next(toolset["effects"] for name, toolset in toolsets.items() if name.startswith("agentdojo-banking"))


@pytest.fixture(scope="module")
def replayed(tmp_path_factory, model_of, bundle_of) -> Path:
    out = tmp_path_factory.mktemp("agentdojo") / "out"
    url = model_of(BANKING, CANDIDATE)
    baseline, candidate = bundle_of(BANKING, PRODUCTION), bundle_of(BANKING, CANDIDATE, url)
    shadow_replay("run", BANKING, "--baseline", baseline, "--candidate", candidate, "--out", out)
    return out


def of_mode(out: Path, mode: str) -> dict[str, dict]:
    return {item["cohort"]["pair_key"]: item for item in comparisons(out) if item["mode"] == mode}


def differs(comparison: dict) -> bool:
    return (comparison["scores"]["tools.write"]["value"] or 0.0) > 0


def test_every_trace_has_one_comparison_per_mode(replayed):
    found = Counter((item["trace_id"], item["mode"]) for item in comparisons(replayed))
    assert len(found) == 2 * len(recordings(PRODUCTION)) == 64
    assert set(found.values()) == {1}


def test_every_trace_of_the_file_is_accounted_for(replayed):
    summary = json.loads((replayed / "summary.json").read_text())
    assert (summary["traces"], summary["admitted"], summary["refused"]) == (544, 32, {"other_bundle": 512})


def test_free_finds_the_writes_that_a_plain_script_finds(replayed, effects):
    ours, theirs = recordings(PRODUCTION), recordings(CANDIDATE)

    free = {key: item for key, item in of_mode(replayed, "free").items() if item["disposition"] == "compared"}
    assert len(free) >= 8
    expected = {key for key in free if all_writes(ours[key], effects) != all_writes(theirs[key], effects)}
    assert {key for key, item in free.items() if differs(item)} == expected


def test_each_censored_trace_names_the_call_that_stopped_it(replayed):
    censored = [item for item in comparisons(replayed) if item["disposition"] == "censored"]
    assert censored
    for item in censored:
        tool = item["coverage"]["halted_by"].partition("(")[0]
        assert tool in {call["tool"] for call in item["replay"]["calls"]}
        assert all(score["status"] != "scored" for score in item["scores"].values())


def test_forced_finds_the_writes_that_a_plain_script_finds_step_by_step(replayed, effects):
    ours, theirs = recordings(PRODUCTION), recordings(CANDIDATE)
    forced = of_mode(replayed, "forced")
    for key, item in forced.items():
        missing = len(steps(theirs[key])) < len(steps(ours[key]))
        assert (item["disposition"] == "no_recording") == missing
    scored = {key: item for key, item in forced.items() if item["disposition"] == "compared"}
    assert len(scored) >= 16

    def parts(key: str) -> bool:
        count = len(steps(ours[key]))
        return writes_by_step(ours[key], effects, count) != writes_by_step(theirs[key], effects, count)

    expected = {key for key in scored if parts(key)}
    assert {key for key, item in scored.items() if differs(item)} == expected


def test_expected_outcomes_are_those_that_a_plain_script_finds(replayed, effects):
    ours, theirs = recordings(PRODUCTION), recordings(CANDIDATE)
    for key, item in {**of_mode(replayed, "forced"), **of_mode(replayed, "free")}.items():
        assert item["production"]["expected"] is meets_expectation(ours[key], effects)
    free = {key: item for key, item in of_mode(replayed, "free").items() if item["disposition"] == "compared"}
    found = {key: item["replay"]["expected"] for key, item in free.items()}
    assert found == {key: meets_expectation(theirs[key], effects) for key in free}
    assert set(found.values()) == {True, False}
    regressed = {key for key in free if meets_expectation(ours[key], effects) and not found[key]}
    assert {key for key, item in free.items() if item["scores"]["expected.regressed"]["value"]} == regressed
    assert all(item["scores"]["expected.regressed"]["value"] is None for item in of_mode(replayed, "forced").values() if item["scores"])
