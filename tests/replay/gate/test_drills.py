"""A sound gate stands every drill; one that is too lax, too short or broken fails the right one, in words."""

from __future__ import annotations

import msgspec
import pytest

from comparators.spec import DIMENSION
from judged import ESCALATION, gate
from replay.comparison import Source, replace
from replay.gate import drills
from replay.gate.drills import DRILLS, run_drill, run_drills
from replay.gate.finishing import Finished, as_they_finish
from replay.gate.signals import SIGNALS, signal_of
from replay.gate.staged import staged

DRILL = {drill.name: drill for drill in DRILLS}
SOUND = (
    ESCALATION | {"margin": 0.02},
    {"id": "tool_mismatch", "kind": "paired_binary", "margin": 0.04},
    {"id": "slow", "kind": "paired_exceedance", "signal": "latency_ms", "threshold": 4000, "margin": 0.02},
    {"id": "cost_usd", "kind": "paired_mean_capped", "cap": 0.4, "rel_margin": 0.05},
    {"id": "unsafe_action", "kind": "zero_tolerance", "max_rate": 0.005},
)


def test_a_sound_gate_stands_every_drill():
    reports = list(run_drills(gate(*SOUND)))
    assert [(it.drill.name, it.result) for it in reports] == [(drill.name, "passed") for drill in DRILLS], reports


def test_so_does_one_for_forced_replays():
    assert run_drill(DRILL["equal"], gate(mode="forced")).result == "passed"


@pytest.mark.parametrize(
    ("name", "the_gate", "told"),
    [
        ("escalation", gate(ESCALATION | {"margin": 0.1}), "lets it through: it tolerates as much (escalation 0.1)"),
        ("tool swap", gate({"id": "tool_mismatch", "kind": "paired_binary", "margin": 0.3}), "(tool_mismatch 0.3)"),
        ("slow tail", gate(SOUND[2] | {"margin": 0.2}), "(slow 0.2)"),
        ("provider outage", gate(missing={"max_failed_alike_rate": 0.9}), "lets it through"),
        ("equal", gate(ESCALATION | {"margin": 0.01}, max_pairs=500), "promotes nobody within its plan"),
        ("equal", gate(ESCALATION | {"margin": 0.01}, max_pairs=500, on_inconclusive="rollback"), "does no harm"),
    ],
)
def test_a_gate_that_fails_is_told_why(name, the_gate, told):
    report = run_drill(DRILL[name], the_gate)
    assert (report.result, told in report.words) == ("failed", True), report


@pytest.mark.parametrize("name", ["escalation", "candidate fails"])
def test_control_a_margin_of_one_lets_everything_through_and_fails(name):
    report = run_drill(DRILL[name], gate(ESCALATION | {"margin": 1}))
    assert (report.result, report.decision) == ("failed", "promote")


@pytest.mark.parametrize("name", ["tool swap", "slow tail", "metric outage"])
def test_what_a_gate_does_not_measure_is_not_covered_and_not_passed(name):
    assert run_drill(DRILL[name], gate()).result == "not covered"
    assert run_drill(DRILL[name], gate(ESCALATION, *({**it, "dry_run": True} for it in SOUND[1:4]))).result == "not covered"


def test_control_a_gate_that_folds_in_the_order_of_completion_fails():
    def as_completed(conversations):
        for number, it in enumerate(DRILL["worst first"].deliver(conversations)):
            moved = tuple(replace(one, source=Source(topic=one.source.topic, offset=number)) for one in it.comparisons)
            yield Finished(moved, number + 1)

    assert run_drill(DRILL["worst first"]._replace(deliver=as_completed), gate(ESCALATION | {"margin": 0.02})).result == "failed"


def test_control_a_gate_that_counts_duplicates_fails():
    def twice(conversations):
        for number, comparisons in enumerate(conversations):
            again = [[replace(it, source=Source(topic="staged", offset=3 * number + n), comparison_id=f"{it.comparison_id}{n}", trace_id=f"{it.trace_id}{n}") for it in comparisons] for n in range(3)]
            yield Finished(tuple(it for each in again for it in each), 3 * number + 3)

    the_gate = gate(ESCALATION | {"margin": 0.02}, max_pairs=500)
    assert run_drill(DRILL["duplicates"], the_gate).decision == "hold"
    assert run_drill(DRILL["duplicates"]._replace(deliver=twice), the_gate).words.startswith("delivered once and in order it is")


# -- staging ----------------------------------------------------------------------------------------------------------

NAMES = [*SIGNALS, "flag:write_extra", *(f"score:{name}" for name in DIMENSION)]


@pytest.mark.parametrize("name", NAMES)
def test_every_signal_reads_what_was_staged(name):
    signal = signal_of(name)
    for value in (0.0, 1.0) if signal.nature == "event" else (0.25, 1.0) if signal.nature == "share" else (3.0, 4000.0):
        assert signal.of_replay(staged(1, "candidate", {name: value})) == value
        if signal.of_production is not None:
            assert signal.of_production(staged(1, "candidate", {}, production={name: value})) == value
    if drills._can_be_unknown(name):
        assert signal.of_replay(staged(1, "candidate", {name: None})) is None


def test_staged_comparisons_are_comparisons():
    made = staged(1, "baseline", dict.fromkeys(NAMES, 1.0))
    assert msgspec.json.decode(msgspec.json.encode(made), type=type(made)) == made


def test_what_ends_first_comes_first_and_the_watermark_waits_for_what_does_not():
    long_and_short = [8.0, 1.0, 1.0, 1.0, 1.0]
    made = [(staged(number, "candidate", {}),) for number in range(5)]
    found = list(as_they_finish(made, seconds=lambda it: long_and_short[it[0].source.offset], in_flight=2))
    assert [(it.comparisons[0].source.offset, it.below) for it in found] == [(1, 0), (2, 0), (3, 0), (4, 0), (0, 5)]
