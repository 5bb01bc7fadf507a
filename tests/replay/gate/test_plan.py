"""A plan is made before the run, and a run keeps it."""

from __future__ import annotations

import random

import numpy as np
import pytest

from comparators.differences import SCALE
from judged import ESCALATION, gate, pair, side
from replay.gate.docket import Docket
from replay.gate.plan import POWER, plan_of, typical

LATE, CALM = side(escalates=True), side()
MISMATCH = {"id": "tool_mismatch", "kind": "paired_binary", "margin": 0.05}
EVERY_KIND = (
    ESCALATION,
    {"id": "answer_distance", "kind": "paired_bounded", "margin": 0.03},
    {"id": "slow", "kind": "paired_exceedance", "signal": "latency_ms", "threshold": 4000, "margin": 0.05},
    {"id": "cost_usd", "kind": "paired_mean_capped", "cap": 0.4, "rel_margin": 0.05},
    {"id": "typical", "kind": "paired_sign", "signal": "latency_ms", "rel_margin": 0.05},
    {"id": "unsafe_action", "kind": "zero_tolerance", "max_rate": 0.005},
)


def noisy(count, *, discordance, seed, production=CALM):
    """Traces of which both arms escalate at random, each as often."""
    chance = random.Random(seed)
    arms = chance.choices([(LATE, CALM), (CALM, LATE), (CALM, CALM)], [discordance / 2, discordance / 2, 1 - discordance], k=count)
    return [it for number, (ours, theirs) in enumerate(arms) for it in pair(number, ours, theirs, production=production)]


def folded(comparisons, the_gate):
    docket = Docket(the_gate)
    for comparison in comparisons:
        docket.enter(comparison)
    docket.finish()
    return docket


def test_every_kind_can_be_planned_and_an_equal_candidate_is_not_better_nor_worse():
    the_gate = gate(*EVERY_KIND)
    plan = plan_of(the_gate)
    assert not plan.blind
    assert plan.pairs == max(it.likely_pairs for it in plan.metrics) <= the_gate.max_pairs
    for planned in plan.metrics:
        shares = planned.assumed.shares
        assert shares.sum() == pytest.approx(1)
        assert shares.min() >= 0
        if planned.metric.margin:
            assert shares @ SCALE == pytest.approx(0)
            assert planned.certifiable <= planned.metric.margin < planned.detectable
        assert planned.expected_pairs <= planned.likely_pairs


def test_a_margin_that_no_run_of_that_size_can_certify_is_refused_before_the_run():
    plan = plan_of(gate(ESCALATION, MISMATCH | {"margin": 0.01}, max_pairs=2_000))
    assert [(reason.code, reason.metrics) for reason in plan.blind] == [("blind_metric", ("tool_mismatch",))]
    assert "with 2,000 pairs its margin of 0.01 can not be certified" in plan.blind[0].words
    assert not plan_of(gate(ESCALATION, MISMATCH | {"margin": 0.01, "dry_run": True}, max_pairs=2_000)).blind


def test_what_the_lane_says_of_itself_counts_more_than_a_table():
    quiet, loud = (folded(noisy(400, discordance=share, seed=1), gate()).evidence() for share in (0.02, 0.4))
    plans = [plan_of(gate(), seen).metrics[0] for seen in (quiet, None, loud)]
    assert plans[0].likely_pairs < plans[1].likely_pairs < plans[2].likely_pairs
    assert plans[0].assumed.source == "the baseline lane against itself, 400 pairs"
    assert plans[0].assumed.shares @ SCALE == pytest.approx(0)


def test_a_metric_that_an_earlier_run_could_not_measure_is_blind():
    priced = gate({"id": "cost_usd", "kind": "paired_mean_capped", "cap": 0.4, "rel_margin": 0.05})
    unpriced = [it for number in range(50) for it in pair(number, side(usd=None), side(usd=None))]
    assert not plan_of(priced).blind
    assert "cost_usd was unknown in 100%" in plan_of(priced, folded(unpriced, priced).evidence()).blind[0].words


def test_a_few_quiet_pairs_do_not_look_like_no_noise():
    assert plan_of(gate(), folded(noisy(10, discordance=0, seed=1), gate()).evidence()).metrics[0].assumed.pairs == 0
    few = plan_of(gate(), folded(noisy(40, discordance=0, seed=1), gate()).evidence()).metrics[0]
    assert few.assumed.shares[-1] == pytest.approx(1 / 42)


def test_the_plan_is_kept_by_the_gate_that_runs_by_it():
    """Through the docket: so many equal candidates are promoted within the pairs the plan has named."""
    the_gate = gate(ESCALATION | {"margin": 0.1})
    pairs = plan_of(the_gate).metrics[0].likely_pairs
    decisions = [folded(noisy(pairs, discordance=0.1, seed=seed), the_gate).verdict(now=None).decision for seed in range(60)]
    assert POWER - 3 * np.sqrt(POWER * (1 - POWER) / 60) <= decisions.count("promote") / 60


def test_with_many_metrics_each_needs_more_so_that_all_of_them_keep_the_promise():
    alone, together = gate(ESCALATION), gate(*EVERY_KIND)
    assert plan_of(alone).metrics[0].likely_pairs < plan_of(together).metrics[0].likely_pairs


def test_a_larger_relative_margin_is_certified_sooner():
    strict, lax = ({"id": "cost_usd", "kind": "paired_mean_capped", "cap": 0.4, "rel_margin": margin} for margin in (0.05, 0.2))
    assert plan_of(gate(lax)).pairs < plan_of(gate(strict)).pairs
    assert typical(gate(lax).metrics[0]).shares @ SCALE < typical(gate(strict).metrics[0]).shares @ SCALE < 0
