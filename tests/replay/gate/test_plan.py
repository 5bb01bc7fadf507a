"""A plan is made before the run, and a run keeps it."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from comparators.differences import SCALE, counted
from comparators.power import pairs_to_certify
from judged import ESCALATION, gate, pair, side
from replay.comparison import replace
from replay.gate.assumptions import typical
from replay.gate.docket import Docket
from replay.gate.earlier import earlier
from replay.gate.equals import equals
from replay.gate.plan import POWER, plan_of
from replay.gate.questions import DIFFERENCES, Terms

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


def seen(comparisons, the_gate):
    return earlier(the_gate, lambda: comparisons)


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
    quiet, loud = (seen(list(noisy(400, discordance=share, seed=1)), gate()) for share in (0.02, 0.4))
    plans = [plan_of(gate(), it).metrics[0] for it in (quiet, None, loud)]
    assert plans[0].likely_pairs < plans[1].likely_pairs < plans[2].likely_pairs
    assert plans[0].assumed.source == "the baseline lane against itself, 400 pairs"
    assert plans[0].assumed.shares @ SCALE == pytest.approx(0)


def test_a_metric_that_an_earlier_run_could_not_measure_is_blind():
    priced = gate({"id": "cost_usd", "kind": "paired_mean_capped", "cap": 0.4, "rel_margin": 0.05})
    unpriced = [it for number in range(50) for it in pair(number, side(usd=None), side(usd=None))]
    assert not plan_of(priced).blind
    assert "cost_usd was unknown in 100%" in plan_of(priced, seen(unpriced, priced)).blind[0].words


def test_a_few_quiet_pairs_do_not_look_like_no_noise():
    assert plan_of(gate(), seen(noisy(10, discordance=0, seed=1), gate())).metrics[0].assumed.pairs == 0
    few = plan_of(gate(), seen(noisy(40, discordance=0, seed=1), gate())).metrics[0]
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
    assert typical(gate(lax).metrics[0], {}).shares @ SCALE < typical(gate(strict).metrics[0], {}).shares @ SCALE < 0


# -- what an earlier run has shown ------------------------------------------------------------------------------------

COST = {"id": "cost_usd", "kind": "paired_mean_capped", "cap": 0.1, "rel_margin": 0.1}
NEVER = {"id": "unsafe_action", "kind": "zero_tolerance", "max_rate": 0.005}


def priced(count, *, dearer=1.0, seed=1, **fields):
    """Both lanes cost about 3 cents, the candidate `dearer` times as much."""
    chance = random.Random(seed)

    def usd(times):
        return side(usd=f"{0.03 * times * chance.lognormvariate(0, 0.2):.6f}")

    return [it for number in range(count) for it in pair(number, usd(dearer), usd(1.0), **fields)]


@pytest.mark.parametrize("dearer", [1.0, 1.3, 0.7])
def test_for_a_relative_margin_an_earlier_candidate_says_how_noisy_prices_are_not_how_dear_it_was(dearer):
    planned = plan_of(gate(COST), seen(priced(400, dearer=dearer), gate(COST))).metrics[0]
    assert planned.assumed.source == "an earlier candidate and the lane, in either order, 400 pairs"
    equal = -0.1 * 0.03 * (1 + dearer) / 2 * np.exp(0.02) / (1.1 * 0.1)  # of E[c - 1.1 b] / (1.1 cap), where c is b
    assert planned.assumed.shares @ SCALE == pytest.approx(equal, abs=0.002)


def test_exchanged_lanes_are_the_same_differences_the_other_way_round():
    both = seen(list(noisy(300, discordance=0.3, seed=3)), gate(ESCALATION, COST))
    assert both.back.candidate.counts[0].tolist() == both.known.candidate.counts[0, ::-1, ::-1].tolist()
    assert both.back.laned == both.known.laned == both.there.laned == 300
    alone = [it for it in noisy(300, discordance=0.3, seed=3) if it.lane == "candidate" or it.source.offset < 40]
    assert seen(alone, gate()).back.conversations == 40


def guessing(comparisons, every):
    return [replace(it, disposition="censored") if it.source.offset % every == 0 and it.lane == "candidate" else it for it in comparisons]


@pytest.mark.parametrize("metric", [ESCALATION, NEVER, COST])
def test_what_stubs_had_to_guess_they_will_have_to_guess_again_and_the_guesses_are_named_not_the_margin(metric):
    the_gate = gate(metric, max_pairs=8000)
    guessed = guessing(priced(400), every=8)
    assert not plan_of(the_gate, seen(priced(400), the_gate)).blind
    (reason,) = plan_of(the_gate, seen(guessed, the_gate)).blind
    assert (reason.code, reason.metrics) == ("stub_gap", (metric["id"],))
    assert "stubs guessed in 12.5% of the earlier run's conversations" in reason.words
    assert "pairs would do without guesses" in reason.words
    long_run = guessing(priced(2000), every=8)
    assert folded(long_run, the_gate).verdict(now=None).reasons[0].code == "stub_gap"  # so does the gate that runs


def test_rare_guesses_are_borne():
    assert not plan_of(gate(), seen(guessing(priced(400), every=100), gate())).blind


def test_guesses_beyond_the_gates_own_limit_are_refused():
    the_gate = gate(missing={"max_unmatched_stub_rate": 0.005})
    (reason,) = plan_of(the_gate, seen(guessing(priced(400), every=100), the_gate)).blind
    assert (reason.code, reason.metrics) == ("stub_gap", ())
    assert "in 1.0% of the earlier run's conversations; the gate allows 0.5%" in reason.words


def test_what_production_itself_does_cannot_be_asked_never_to_happen():
    never = gate({"id": "never", "kind": "zero_tolerance", "signal": "escalation", "max_rate": 0.01})
    theirs = [it for number in range(100) for it in pair(number, CALM, LATE if number % 50 == 0 else CALM)]
    (reason,) = plan_of(never, seen(theirs, never)).blind
    assert "production's own bundle did it 2 times in the earlier run" in reason.words
    ours = [it for number in range(100) for it in pair(number, LATE if number % 50 == 0 else CALM, CALM)]
    assert not plan_of(never, seen(ours, never)).blind  # that was the earlier candidate's doing


def test_minutes_of_staff_are_events_times_prices():
    """Against the conversations that `gate test` stages: as many pairs, up to what is assumed of how often they are."""
    minutes = {"id": "staff_minutes", "kind": "paired_mean_capped", "cap": 30.0, "rel_margin": 0.1}
    the_gate = gate(minutes, minutes={"escalation": 12.0})
    chance, (metric,) = random.Random(1), the_gate.metrics
    drawn = [equals(the_gate, {}, chance) for _ in range(20_000)]
    spent = 12.0 * np.array([[lane["staff_minutes"] for lane in it[:2]] for it in drawn])
    differences = DIFFERENCES[metric.kind](Terms.of([metric]), spent[:, :1], spent[:, 1:])[:, 0]
    staged = counted(np.array(differences), "up")
    needed = pairs_to_certify(staged / staged.sum(), 0.0, 0.05, POWER)
    planned = plan_of(the_gate).metrics[0].likely_pairs
    assert 10_000 < needed < 40_000
    assert needed / 3 < planned < needed
    several = gate(minutes, minutes={"escalation": 12.0, "refusal": 6.0, "hedge": 1.0})
    assert plan_of(several).metrics[0].assumed.shares.sum() == pytest.approx(1)


def test_a_cap_far_beyond_what_is_usual_is_noted_and_costs_pairs():
    far, near = (gate(COST | {"cap": cap}) for cap in (5.0, 0.06))
    notes = plan_of(far, seen(priced(400), far)).notes
    assert len(notes) == 1
    usual = np.quantile([float(it.replay.cost_usd) for it in priced(400)], 0.99)
    told = re.fullmatch(r"cost_usd: its cap, 5, is (\d+) times what 99 of 100 replays stay below \((.*)\), and costs pairs; (.*) would do", notes[0])
    assert [float(it) for it in told.groups()[:2]] == pytest.approx([5 / usual, usual], rel=0.01)
    assert usual <= float(told[3]) < 1.1 * usual
    assert not plan_of(near, seen(priced(400), near)).notes
    pairs = [plan_of(it, seen(priced(400), it)).metrics[0].likely_pairs or 10**9 for it in (near, far)]
    assert pairs[0] < pairs[1] / 5


def test_a_margin_that_tolerates_almost_everything_is_noted():
    assert plan_of(gate()).notes == ()
    for margin in (0.5, 0.999, 1):
        (note,) = plan_of(gate(ESCALATION | {"margin": margin})).notes
        assert "conversations get worse, and proves next to nothing" in note


def test_a_metric_without_a_margin_is_planned_for_nothing_but_what_could_be_certified():
    told = plan_of(gate(ESCALATION, {"id": "refusal", "kind": "paired_binary", "dry_run": True})).metrics[1]
    assert (told.expected_pairs, told.likely_pairs, told.detectable) == (None, None, None)
    assert 0 < told.certifiable < 1
