"""A gate's file: every fault is reported with its place, and none of them is guessed away."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.bundle_loader import load_bundle
from replay.errors import BundleError, UsageError
from replay.gate.amounts import seconds_of
from replay.gate.config import Gate, gate_in, load_gate
from replay.gate.signals import ALIASES, SIGNALS, signal_of
from replay.testing import a_bundle

GOOD = """
gate:
  alpha: {rollback: 0.05, promote: 0.01}
  max_pairs: 500
  metrics:
    - {id: escalation, kind: paired_binary, margin: 0.02, weight: 2}
    - {id: slow, kind: paired_exceedance, signal: latency_ms, threshold: 4000, margin: 0.01}
    - {id: writes, kind: paired_bounded, signal: "score:tools.write", margin: 0.03, dry_run: true}
    - {id: claims, kind: zero_tolerance, signal: "flag:guard_loosened", max_rate: 0.005}
"""


def written(tmp_path, text):
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    return path


def test_a_good_file_is_read_and_its_digest_does_not_depend_on_how_it_is_written(tmp_path):
    gate = load_gate(written(tmp_path, GOOD))
    assert [metric.id for metric in gate.metrics] == ["escalation", "slow", "writes", "claims"]
    assert (gate.alpha.promote, gate.metrics[1].measured, gate.metrics[2].votes) == (0.01, "latency_ms", False)
    bare = written(tmp_path, GOOD.replace("gate:\n", "", 1).replace("\n  ", "\n"))
    assert load_gate(bare).digest == gate.digest
    assert Gate.model_validate(gate.model_dump(mode="json")) == gate


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("max_pairs: 500", "max_pears: 500", "gate.max_pears: line 4: unknown key; did you mean max_pairs"),
        ("margin: 0.02", "margin: 2", r"gate.metrics\[0\].margin: line 6: .*found 2: did you mean 0.02, which is 2 %"),
        ("margin: 0.02", 'margin: "2%"', "expected a share, not percent; found '2%': did you mean 0.02"),
        ("margin: 0.02", 'margin: "2.5 %"', "did you mean 0.025"),
        ("margin: 0.02", "margin: 0", "greater than 0"),
        ("promote: 0.01", "promote: 5", "did you mean 0.05"),
        ("alpha: {rollback: 0.05, promote: 0.01}", "alpha: 0.05", "expected a mapping such as {rollback: 0.05, promote: 0.05}; found 0.05"),
        ("max_pairs: 500", "missing: [0.05]", "expected a mapping such as {max_unknown_rate: 0.05}; found"),
        ("- {id: escalation", "- 5\n    - {id: escalation", "expected a mapping such as {id: escalation, kind: paired_binary"),
        ("max_pairs: 500", "idle: 2d", r"idle \(2d\) is longer than max_age \(24h\)"),
        ("max_pairs: 500", "idle: 0s", "expected a duration above 0"),
        ("max_pairs: 500", "max_wait: 0h", "expected a duration above 0"),
        ("max_pairs: 500", "max_age: 0.0m", "expected a duration above 0"),
        ("max_pairs: 500", "replay_timeout: soon", "expected a duration such as"),
        ("weight: 2", "worse: down", "a signal says how bad something is, so more is worse; expected up"),
        ("threshold: 4000", "threshold: 4000, threshold_ms: 4000", "threshold_ms and threshold are the same"),
        ("threshold: 4000", "cap_usd: 4000", "cap_usd is in USD; latency_ms is in ms"),
        ("weight: 2", "threshold_ms: 2", "threshold_ms is in ms; escalation is no amount"),
        ("max_pairs: 500", "missing: {pair: dropped}", "worst_case"),
        ("max_pairs: 500", "missing: {metric: pass}", "hold"),
        ("max_pairs: 500", "rollback_target: {bundle: v41}", "sha256"),
        ("max_pairs: 500", "rollback_target: 30d", "expected a mapping such as {require_certified_within: 30d}"),
        ("signal: latency_ms", "signal: latency", "there is no signal 'latency'"),
        ("threshold: 4000, ", "", "paired_exceedance needs threshold"),
        ("max_rate: 0.005", "margin: 0.005", "zero_tolerance needs max_rate"),
        ("weight: 2", "cap: 2", "paired_binary has no use for cap"),
        ("kind: paired_binary, margin", "kind: paired_sign, rel_margin", "is about quantity; escalation is of kind event"),
        ("id: slow", "id: escalation", "two metrics have the id escalation"),
        ("max_pairs: 500", "on_inconclusive: promote", "no evidence of harm is no evidence of safety"),
        ("max_pairs: 500", 'max_wait: "a day"', "expected a duration"),
        ("score:tools.write", "score:tools.wrote", "there is no signal"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, old, new, told):
    assert old in GOOD
    with pytest.raises(BundleError, match=told):
        load_gate(written(tmp_path, GOOD.replace(old, new)))


def test_one_fault_is_one_error(tmp_path):
    with pytest.raises(BundleError) as told:
        load_gate(written(tmp_path, GOOD.replace("margin: 0.02", "margin: 2")))
    assert len(told.value.issues) == 1
    with pytest.raises(BundleError, match="at least 1 item"):
        load_gate(written(tmp_path, "gate: {metrics: []}"))


@pytest.mark.parametrize("text", ["", "gate:", "- 1", "gate: 5", "# nothing yet"])
def test_what_is_no_mapping_is_told_what_one_looks_like(tmp_path, text):
    with pytest.raises(BundleError, match=r"expected a mapping such as \{metrics: \[\{id: escalation"):
        load_gate(written(tmp_path, text))


def test_minutes_that_are_cut_below_a_single_event_are_refused(tmp_path):
    text = "gate: {minutes: {escalation: 12, hedge: 1}, metrics: [{id: staff_minutes, kind: paired_mean_capped, cap: %s, rel_margin: 0.1}]}"
    with pytest.raises(BundleError, match="a cap of 10, and a single escalation costs 12"):
        load_gate(written(tmp_path, text % 10))
    assert load_gate(written(tmp_path, text % 12)).metrics[0].cap == 12


def test_a_gate_that_nothing_could_stop_is_refused(tmp_path):
    with pytest.raises(BundleError, match="no metric votes"):
        load_gate(written(tmp_path, "gate: {metrics: [{id: escalation, kind: paired_binary, margin: 0.1, dry_run: true}]}"))


@pytest.mark.parametrize("bad", [b"\xff\xfe", b"gate: [", b"{a: 1, a: 2}"])
def test_a_file_that_is_no_gate_is_refused(tmp_path, bad):
    path = tmp_path / "gate.yaml"
    path.write_bytes(bad)
    with pytest.raises((UsageError, BundleError)):
        load_gate(path)
    with pytest.raises(UsageError, match="cannot be read"):
        load_gate(tmp_path / "absent.yaml")


def test_a_baseline_without_a_policy_has_no_gate():
    assert gate_in(a_bundle()) is None


def test_durations():
    assert [seconds_of(text) for text in ("90s", "1.5m", "24h", "7d")] == [90, 90, 86_400, 604_800]


# -- every spelling ---------------------------------------------------------------------------------------------------

WHOLE = """
gate:
  unit: conversation            # cluster; one vote each
  alpha: {rollback: 0.05, promote: 0.05}
  max_pairs: 8000
  max_wait: 24h
  replay_timeout: 60s
  metrics:
    - {id: escalation,    kind: paired_binary, worse: up, margin: 0.02, blocking: true, weight: 2}
    - {id: tool_mismatch, kind: paired_binary, worse: up, margin: 0.02, blocking: true}   # vs the baseline arm's own mismatch
    - {id: answer_dist,   kind: paired_bounded, worse: up, margin: 0.03, blocking: true}
    - {id: latency_slo,   kind: paired_exceedance, threshold_ms: 4000, margin: 0.01, blocking: true}
    - {id: cost,          kind: paired_mean_capped, cap_usd: 0.40, rel_margin: 0.05, blocking: true}
    - {id: unsafe_action, kind: zero_tolerance, max_rate: 0.005, blocking: true}          # first confirmed hit => rollback
    - {id: verbosity,     kind: paired_bounded, dry_run: true}                            # reported, never votes
  on_inconclusive: hold          # hold | rollback ; "promote" is not accepted
  missing: {pair: worst_case, metric: hold, max_unmatched_stub_rate: 0.02}
  rollback_target: {bundle: sha256:…, require_certified_within: 30d}
"""
BARE = """
gate:
  max_pairs: 8000
  max_wait: 24h
  metrics:
    - {id: escalation, kind: paired_binary, margin: 0.02, weight: 2}
    - {id: latency_slo, signal: latency_ms, kind: paired_exceedance, threshold: 4000, margin: 0.01}
    - {id: cost, signal: cost_usd, kind: paired_mean_capped, cap: 0.40, rel_margin: 0.05}
"""


def test_a_gate_with_every_spelling_is_read(tmp_path):
    gate = load_gate(written(tmp_path, WHOLE))
    assert [metric.measured for metric in gate.metrics] == [
        "escalation", "tool_mismatch", "answer_distance", "latency_ms", "cost_usd", "unsafe_action", "verbosity"
    ]  # fmt: skip
    assert (gate.metrics[3].threshold, gate.metrics[4].cap, gate.timeout_ns) == (4000, 0.4, 60_000_000_000)
    assert (gate.metrics[6].has_margin, gate.metrics[6].votes) == (False, False)
    assert (gate.missing.max_unmatched_stub_rate, gate.rollback_target.named) == (0.02, None)
    assert Gate.model_validate(gate.model_dump(mode="json")) == gate
    digest = "sha256:" + "ab" * 32
    assert load_gate(written(tmp_path, WHOLE.replace("sha256:…", digest))).rollback_target.named == digest


def test_another_spelling_of_the_same_gate_has_the_same_digest(tmp_path):
    spelt = BARE.replace("signal: latency_ms, ", "").replace("signal: cost_usd, ", "")
    spelt = spelt.replace("threshold:", "threshold_ms:").replace("cap:", "cap_usd:").replace("weight: 2", "weight: 2, worse: up")
    plain, other = load_gate(written(tmp_path, BARE)), load_gate(written(tmp_path, spelt))
    assert [it.measured for it in plain.metrics] == [it.measured for it in other.metrics]
    assert load_gate(written(tmp_path, BARE.replace("kind", "worse: up, kind"))).digest == plain.digest


def test_a_gate_keeps_the_digest_it_had_before_it_could_say_more():
    """Written by hand: what a gate came to before there were fields with these defaults."""
    written = Gate.model_validate({"metrics": [{"id": "escalation", "kind": "paired_binary", "margin": 0.02}]}).model_dump(mode="json")
    assert set(written) == {
        "unit", "mode", "alpha", "max_pairs", "max_wait", "idle", "max_age", "metrics", "missing", "minutes", "slices", "on_inconclusive"
    }  # fmt: skip
    assert set(written["missing"]) == {"max_failed_alike_rate", "max_unknown_rate"}
    assert "worse" not in written["metrics"][0]


@pytest.mark.parametrize(("change", "told"), [("margin: 0.03, ", "needs margin"), ("cap_usd: 0.40, ", "needs cap"), ("rel_margin: 0.05, blocking: true", "needs rel_margin")])
def test_only_a_dry_run_does_without_a_margin_and_none_without_a_cap(tmp_path, change, told):
    assert change in WHOLE
    with pytest.raises(BundleError, match=told):
        load_gate(written(tmp_path, WHOLE.replace(change, "dry_run: true" if "rel" in change else "")))


def test_a_margin_of_one_is_the_largest_that_can_be_told_apart_from_one(tmp_path):
    (metric,) = Gate.model_validate({"metrics": [{"id": "escalation", "kind": "paired_binary", "margin": 1}]}).metrics
    assert (metric.margin, metric.tolerated) == (1.0, 0.999)


def test_an_alias_is_the_name_of_a_signal_and_of_no_other():
    assert all(signal_of(name) is not None and alias not in SIGNALS for alias, name in ALIASES.items())


def test_a_bare_file_of_a_bundle_is_a_gate():
    path = Path(__file__).parent.parent / "bundles" / "incident" / "gate.yaml"
    gate = gate_in(load_bundle(path.parent))
    assert gate == load_gate(path)
    assert gate is not None
    assert gate.metrics[0].measured == "escalation"
