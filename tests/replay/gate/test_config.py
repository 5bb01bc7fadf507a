"""A gate's file: every fault is reported with its place, and none of them is guessed away."""

from __future__ import annotations

import pytest

from replay.errors import BundleError, UsageError
from replay.gate.config import Gate, gate_in, load_gate, seconds_of
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
        ("max_pairs: 500", "max_pears: 500", "gate.max_pears: line 4: unknown key"),
        ("margin: 0.02", "margin: 2", r"gate.metrics\[0\].margin: line 6"),
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
