"""Betting on counted differences: published figures, a slow twin, and error rates under peeking."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparators.differences import BINS, PARTS, STEPS, band, certifiable, counted, log_e_harm, log_e_safe, mean, places
from crossings import events, first_crossing, harm, safe, share_crossed, tolerated

EVENTS = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=60)
SHARES = st.lists(st.integers(-STEPS, STEPS).map(lambda step: step / STEPS), min_size=1, max_size=60)
MARGINS = st.sampled_from([-0.5, -0.1, 0.0, 0.01, 0.02, 0.3, 0.9])
HARM = [1, 0, 1, -1, 1, 0, 1, 1]
SAFE = [0, 0, -1, 0, 0, 0, 1, 0] * 5


def count(differences, side="down"):
    return counted(np.array(differences, dtype=np.float64), side)


def slow_harm(differences, margin):
    """Bet by bet, difference by difference, as the formula is written."""
    total = 0.0
    for step in range(12):
        bet, wealth = 0.02 * (0.9 / 0.02) ** (step / 11), 1.0
        for difference in differences:
            wealth *= 1 + bet / (1 + margin) * (difference - margin)
        total += wealth
    return log(total / 12)


@pytest.mark.parametrize(("margin", "e"), [(0.0, 2.030325), (0.1, 1.558019)])
def test_evidence_of_harm_is_what_was_worked_out_by_hand(margin, e):
    assert exp(log_e_harm(count(HARM), margin)) == pytest.approx(e, abs=1e-6)


@pytest.mark.parametrize(("margin", "e"), [(0.1, 1.353945), (0.3, 66.052410)])
def test_evidence_of_safety_is_what_was_worked_out_by_hand(margin, e):
    assert exp(log_e_safe(count(SAFE), margin)) == pytest.approx(e, abs=1e-6)


def test_the_mixture_of_twelve_bets_is_near_the_uniform_mixture_it_stands_for():
    differences = [1] * 15 + [-1] * 5
    fine = np.linspace(0, 1, 200_001)[:-1] + 2.5e-6
    assert np.mean((1 + fine) ** 15 * (1 - fine) ** 5) == pytest.approx(6.355521, abs=1e-4)
    assert exp(log_e_harm(count(differences), 0.0)) == pytest.approx(4.437099, abs=1e-6)


@pytest.mark.parametrize(("rate", "pairs"), [(0.01, 567), (0.005, 1137), (0.002, 2846), (0.001, 5695)])
def test_so_many_pairs_without_an_event_certify_that_its_rate_is_below(rate, pairs):
    enough, short = count([0.0] * pairs), count([0.0] * (pairs - 1))
    assert log_e_safe(enough, rate) >= log(20) > log_e_safe(short, rate)


@pytest.mark.parametrize(("pairs", "low", "high"), [(100, 0.402, 0.588), (1000, 0.466, 0.524)])
def test_the_band_is_the_test_inverted(pairs, low, high):
    """On the stream x_i = (37 i mod 100) / 100, whose mean is .495."""
    stream = 2 * (37 * np.arange(1, pairs + 1) % 100) / 100 - 1
    found = band(count(stream), count(stream, "up"), harm=0.025, safe=0.025)
    assert [(end + 1) / 2 for end in found] == [pytest.approx(low, abs=1.01e-3), pytest.approx(high, abs=1.01e-3)]


@given(SHARES, MARGINS)
def test_it_is_what_the_formula_says(differences, margin):
    assert log_e_harm(count(differences), margin) == pytest.approx(slow_harm(differences, margin), abs=1e-9)


@given(SHARES, MARGINS)
def test_safety_is_harm_of_the_opposite(differences, margin):
    opposite = [-difference for difference in differences]
    assert log_e_safe(count(differences), margin) == pytest.approx(log_e_harm(count(opposite, "up"), -margin), abs=1e-9)


@given(SHARES, st.randoms(use_true_random=False))
def test_no_order_and_no_split_changes_a_bit(differences, chance):
    shuffled = chance.sample(differences, len(differences))
    cut = chance.randrange(len(shuffled) + 1)
    merged = count(shuffled[:cut]) + count(shuffled[cut:])
    assert log_e_harm(merged, 0.02) == log_e_harm(count(differences), 0.02)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_what_is_shared_between_two_steps_never_proves_more_than_was_seen(differences):
    assert log_e_harm(count(differences), 0.02) <= slow_harm(differences, 0.02) + 1e-6
    exact = slow_harm([-difference for difference in differences], -0.02)
    assert log_e_safe(count(differences, "up"), 0.02) <= exact + 1e-6
    low, high = (places(np.array(differences), side) for side in ("down", "up"))
    assert np.all(high >= low)
    assert np.all(high - low <= 1)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_sharing_keeps_the_mean_to_a_part_of_a_step(differences):
    below, above = (mean(count(differences, side)) for side in ("down", "up"))
    part = 1 / (STEPS * PARTS)
    assert below - part <= np.mean(differences) <= above + part
    assert above - below <= 2 * part
    assert count(differences).sum() == len(differences)


def test_differences_far_below_a_step_certify_what_their_mean_allows():
    """Of -0.0004 each. Rounded up to whole steps they would be 0, and no margin of 0 ever certain."""
    assert certifiable(count([-0.0004] * 20_000, "up"), 0.05) <= 0.0


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_shares_add_up_to_the_same_bits_in_any_order(differences, chance):
    shuffled = chance.sample(differences, len(differences))
    total = np.zeros(BINS)
    for one in shuffled:
        total += count([one], "up")
    assert np.array_equal(total, count(differences, "up"))


@given(EVENTS)
def test_a_band_holds_the_mean_and_what_is_certifiable_lies_above_it(differences):
    counts = count(differences)
    low, high = band(counts, counts, harm=0.05, safe=0.05)
    assert low <= (mean(counts) or 0.0) <= high
    found = certifiable(counts, alpha=0.05)
    assert found is None or found >= (mean(counts) or 0.0)


@pytest.mark.parametrize("bad", [[1.001], [-2.0], [float("nan")], [float("inf")]])
def test_what_is_no_difference_is_refused(bad):
    with pytest.raises(ValueError, match="not within"):
        count(bad)


def test_without_differences_there_is_no_mean():
    assert mean(count([])) is None


# -- error rates, looking after every pair --------------------------------------------------------------------------

RUNS, PAIRS = 1_000, 5_000
RATES = [(0.02, 1), (0.10, 2)]


def equals(rate, seed):
    return events(rate, rate, seed=seed, runs=RUNS, pairs=PAIRS)


def test_the_simulation_and_the_module_are_about_the_same_test():
    differences = events(0.1, 0.02, seed=5, runs=3, pairs=400)
    found = first_crossing(differences, harm(0.02))
    assert found.min() < 400
    for row, first in zip(differences / STEPS, found, strict=True):
        if first < 400:
            assert log_e_harm(count(row[: first + 1]), 0.02) >= log(20) > log_e_harm(count(row[:first]), 0.02)


@pytest.mark.parametrize(("rate", "seed"), RATES)
def test_an_equal_candidate_is_rarely_rolled_back_however_often_one_looks(rate, seed):
    assert share_crossed(equals(rate, seed), harm(0.0)) <= tolerated(RUNS)


@pytest.mark.parametrize(("rate", "seed"), RATES)
def test_control_the_usual_test_at_every_look_is_fooled(rate, seed):
    """McNemar's z without correction, looked at after every pair."""
    differences = equals(rate, seed)
    up, down = (np.cumsum(differences == sign * STEPS, axis=1, dtype=np.int32) for sign in (1, -1))
    z = (up - down) / np.sqrt(np.maximum(up + down, 1))
    assert np.mean((z[:, 99:] > 1.645).any(axis=1)) > 0.15


def test_at_the_margin_neither_verdict_is_reached_more_often_than_promised():
    differences = events(0.04, 0.02, seed=3, runs=RUNS, pairs=PAIRS)
    assert share_crossed(differences, safe(0.02)) <= tolerated(RUNS)
    assert share_crossed(differences, harm(0.02)) <= tolerated(RUNS)


def test_a_real_harm_is_found_and_soon():
    found = first_crossing(events(0.05, 0.02, seed=4, runs=RUNS, pairs=PAIRS), harm(0.0))
    assert np.mean(found < PAIRS) >= 0.99
    assert np.median(found) < 620


def test_a_harm_of_one_point_is_found_in_seven_of_ten_runs_of_five_thousand_pairs():
    """2 % of pairs get better and 3 % worse. Within three standard deviations of the share that is expected."""
    found = share_crossed(events(0.03, 0.02, seed=8, runs=RUNS, pairs=PAIRS), harm(0.0))
    assert found == pytest.approx(0.70, abs=3 * sqrt(0.7 * 0.3 / RUNS))


def test_two_points_at_a_base_rate_of_five_percent_are_certified_within_820_pairs():
    """Both sides have the event in 5 % of requests, and 3 of these 5 are the same ones. Unpaired it takes twice that."""
    assert np.median(first_crossing(equals(0.02, 6), safe(0.02))) <= 820
    assert np.median(first_crossing(equals(0.0475, 6), safe(0.02))) > 1_500


def drifting(runs, pairs, seed):
    """8 points worse and 8 points better, in turns of 500; 0 on average, and never above it."""
    better = np.arange(pairs) // 500 % 2 == 0
    return np.where(
        better,
        events(0.02, 0.10, seed=seed, runs=runs, pairs=pairs),
        events(0.10, 0.02, seed=seed, runs=runs, pairs=pairs),
    )


def test_traffic_that_drifts_is_no_harm_while_it_is_none_on_average():
    assert share_crossed(drifting(400, 10_000, 7), harm(0.0)) <= tolerated(400)


def test_control_bets_that_follow_the_drift_find_harm_in_it():
    differences = drifting(60, 10_000, 7) / STEPS
    wealth, estimate = np.zeros(60), np.zeros(60)
    most = np.zeros(60)
    for step in range(10_000):
        bet = np.clip(estimate / 0.12, 0.0, 0.9)
        wealth += np.log1p(bet * differences[:, step])
        most = np.maximum(most, wealth)
        estimate = 0.98 * estimate + 0.02 * differences[:, step]
    assert np.mean(most >= log(20)) > 0.9
