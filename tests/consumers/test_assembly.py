"""What is said before anything is paid for: whose gate counts, and which one could never promote."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consumers.assembly import gate_for
from replay.bundle import RolloutPolicy
from replay.errors import BundleError, UsageError
from replay.settings import load_settings
from replay.testing import a_bundle

METRIC = {"id": "escalation", "kind": "paired_binary", "margin": 0.02}


def governed(gate):
    return replace(a_bundle(), rollout_policy=RolloutPolicy(gate=gate))


def asked(tmp_path, gate, /, **flags):
    """The gate under which a run with these settings is judged; its text, if any, is the operator's."""
    if isinstance(gate, str):
        (tmp_path / "gate.yaml").write_text(gate)
        flags["gate"] = str(tmp_path / "gate.yaml")
    settings = load_settings(file=None, environment={}, flags=flags).settings
    return gate_for(a_bundle() if isinstance(gate, str) else governed(gate), settings)


def test_the_baselines_gate_counts_unless_the_operator_has_one(tmp_path):
    own = {"metrics": [METRIC], "max_pairs": 900}
    assert asked(tmp_path, own).max_pairs == 900
    (tmp_path / "gate.yaml").write_text("{metrics: [{id: refusal, kind: paired_binary, margin: 0.1}], max_pairs: 700}")
    assert asked(tmp_path, own, gate=str(tmp_path / "gate.yaml")).max_pairs == 700
    assert asked(tmp_path, None) is None


@pytest.mark.parametrize(("mode", "judged"), [("forced", "free"), ("free", "forced")])
def test_a_gate_on_replays_that_are_not_made_is_refused(tmp_path, mode, judged):
    with pytest.raises(UsageError, match=f"judges {judged} replays, and none are made"):
        asked(tmp_path, {"metrics": [METRIC], "mode": judged}, mode=mode)
    assert asked(tmp_path, {"metrics": [METRIC], "mode": judged}, mode="both").mode == judged


def test_a_margin_that_no_candidate_could_be_certified_for_is_refused_before_the_start(tmp_path):
    """280 pairs without any difference are the least that certify 2 points."""
    with pytest.raises(UsageError, match=r"promote nobody: escalation: with 100 pairs its margin of 0\.02"):
        asked(tmp_path, {"metrics": [METRIC], "max_pairs": 100})
    with pytest.raises(UsageError, match="gate plan"):
        asked(tmp_path, "{metrics: [{id: refusal, kind: zero_tolerance, max_rate: 0.001}], max_pairs: 5694}")
    assert asked(tmp_path, "{metrics: [{id: refusal, kind: zero_tolerance, max_rate: 0.001}], max_pairs: 5695}")


def test_a_gate_that_cannot_be_read_is_refused_with_the_field(tmp_path):
    with pytest.raises(BundleError, match=r"gate\.metrics\[0\]\.margin: expected greater than 0; found -1"):
        asked(tmp_path, {"metrics": [METRIC | {"margin": -1}]})
