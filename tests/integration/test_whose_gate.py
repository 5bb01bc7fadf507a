"""A gate in the candidate's own rollout policy judges nobody: the candidate does not write its own exam."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from consumers.assembly import gate_for, planner_of
from plain_script import records
from processes import CORPUS, shadow_replay
from replay.settings import Settings

BANKING = CORPUS / "agentdojo-banking.jsonl.gz"
PRODUCTION, CANDIDATE = (f"agentdojo/banking/gpt-4o-{it}" for it in ("2024-05-13-tool_filter", "mini-2024-07-18"))
#: What a candidate would like to be judged by, and what production's owner wants.
LAX = {"metrics": [{"id": "refusal", "kind": "paired_binary", "margin": 0.99}]}
STRICT = {"metrics": [{"id": "expected_failed", "kind": "paired_binary", "margin": 0.02}]}


@pytest.fixture(scope="module")
def inferred(bundle_of, model_of) -> tuple[Path, Path]:
    return bundle_of(BANKING, PRODUCTION), bundle_of(BANKING, CANDIDATE, model_of(BANKING, CANDIDATE))


@pytest.fixture
def bundles(inferred, tmp_path):
    def made(*, production: dict | None, candidate: dict) -> tuple[Path, Path]:
        found = tmp_path / "production", tmp_path / "candidate"
        for source, directory, policy in zip(inferred, found, (production, candidate), strict=True):
            shutil.copytree(source, directory)
            if policy is not None:
                with (directory / "bundle.yaml").open("a") as manifest:
                    manifest.write(f"\nrollout_policy: {json.dumps({'gate': policy})}\n")
        return found

    return made


def run(bundles: tuple[Path, Path], out: Path, *, code: int) -> tuple[dict, str]:
    few = [record for record in records(BANKING) if record["bundle"]["id"] == PRODUCTION][:4]
    traces = out.with_suffix(".jsonl")
    traces.write_text("".join(json.dumps(record) + "\n" for record in few))
    given = ("--baseline", bundles[0], "--candidate", bundles[1], "--mode", "free", "--out", out)
    told = shadow_replay("run", traces, *given, check=code).stdout
    return json.loads((out / "summary.json").read_text()), told


def test_without_a_gate_of_productions_there_is_no_verdict(bundles, tmp_path):
    summary, told = run(bundles(production=None, candidate=LAX), tmp_path / "out", code=0)
    assert summary.get("verdict") is None
    assert "no verdict" in told


def test_productions_gate_judges_and_the_candidates_is_not_read(bundles, tmp_path):
    summary, _ = run(bundles(production=STRICT, candidate=LAX), tmp_path / "out", code=1)
    verdict = summary["verdict"]
    assert [(it["id"], it["margin"]) for it in verdict["gate"]["metrics"]] == [("expected_failed", 0.02)]
    assert verdict["decision"] == "hold"
    assert verdict["not_exercised"] == ["rollout_policy"]  # and that it was changed is said


def asked(pair: tuple[Path, Path], **given: str) -> list[str]:
    """The metrics of the gate that a run over these bundles asks."""
    settings = Settings(baseline=str(pair[0]), candidates=(str(pair[1]),), **given)
    return [it.id for it in gate_for(planner_of(settings).baseline, settings).metrics]


def test_the_operators_comes_before_both(bundles, tmp_path):
    operators = tmp_path / "gate.yaml"
    operators.write_text("metrics: [{id: escalation, kind: paired_binary, margin: 0.5}]")
    assert asked(bundles(production=STRICT, candidate=LAX), gate=str(operators)) == ["escalation"]


def test_a_candidates_gate_that_is_none_is_nobodys_trouble(bundles):
    """Not even read: a candidate could stop its own judgement with it."""
    assert asked(bundles(production=STRICT, candidate={"metrics": "none"})) == ["expected_failed"]


def test_control_in_productions_policy_the_same_gate_is_asked(bundles):
    assert asked(bundles(production=LAX, candidate=STRICT)) == ["refusal"]
