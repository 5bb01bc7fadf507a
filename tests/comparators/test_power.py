"""What a plan promises, a simulation keeps; what it says is impossible, is."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from comparators.differences import BETS, BINS, SCALE, STEPS, log_e_safe
from comparators.power import certifiable_after, detectable_after, pairs_to_certify

RUNS, ALPHA, POWER = 2_000, 0.05, 0.8


def shares(differences):
    found = np.zeros(BINS)
    for value, share in differences.items():
        found[round(value * STEPS) + STEPS] += share
    found[STEPS] += 1.0 - found.sum()
    return found


def kept(given, pairs, gain, needed, *, under_way=()):
    """In how many of `RUNS` simulated runs of so many pairs, and the differences `under_way`, the evidence suffices."""
    counts = np.random.default_rng(1).multinomial(pairs, given, size=RUNS)
    held = np.flatnonzero(given)
    wealth = counts[:, held] @ np.log1p(np.outer(BETS, gain(SCALE[held]))).T
    wealth += np.log1p(np.outer(BETS, gain(np.array(under_way)))).sum(axis=1)
    return float(np.mean(np.exp(wealth).mean(axis=1) >= 1 / needed))


def safe(margin):
    return lambda values: (margin - values) / (1 - margin)


def harm(margin):
    return lambda values: (values - margin) / (1 + margin)


@pytest.mark.parametrize(
    ("differences", "margin"),
    [
        ({1: 0.02, -1: 0.02}, 0.02),
        ({1: 0.15, -1: 0.15}, 0.05),
        ({1: 0.005, -1: 0.005}, 0.01),
        ({0.3: 0.5, -0.3: 0.5}, 0.03),
        ({1: 0.466, -1: 0.534}, 0.0),
        ({1: 0.03, -1: 0.01}, 0.05),
    ],
)
@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_so_many_pairs_certify_as_often_as_was_said(differences, margin, power):
    given = shares(differences)
    pairs = pairs_to_certify(given, margin, ALPHA, power)
    assert kept(given, pairs, safe(margin), ALPHA) == pytest.approx(power, abs=0.06)


@pytest.mark.parametrize("unseen", [1, 24])
def test_what_is_under_way_counts_as_what_proves_least(unseen):
    given = shares({1: 0.02, -1: 0.02})
    pairs = pairs_to_certify(given, 0.02, ALPHA, POWER, unseen=unseen)
    assert pairs > pairs_to_certify(given, 0.02, ALPHA, POWER)
    assert kept(given, pairs, safe(0.02), ALPHA, under_way=(1.0,) * unseen) == pytest.approx(POWER, abs=0.06)
    least = detectable_after(given, 0.02, 3_000, ALPHA, POWER, unseen=unseen)
    worse = given * (1 - least) + shares({1: 1}) * least
    assert kept(worse, 3_000, harm(0.02), ALPHA, under_way=(-1.0,) * unseen) == pytest.approx(POWER, abs=0.08)
    assert certifiable_after(given, pairs, ALPHA, POWER, unseen=unseen) == pytest.approx(0.02)


@pytest.mark.parametrize("rate", [0.01, 0.001])
def test_without_noise_it_is_the_exact_number(rate):
    pairs = pairs_to_certify(shares({}), rate, ALPHA, POWER)
    counts = np.zeros(BINS)
    counts[STEPS] = pairs
    assert log_e_safe(counts, rate) >= log(20)
    counts[STEPS] = pairs - 1
    assert log_e_safe(counts, rate) < log(20)


def test_the_smallest_margin_is_certified_and_a_smaller_one_is_not():
    given = shares({1: 0.05, -1: 0.05})
    found = certifiable_after(given, 3_000, ALPHA, POWER)
    assert pairs_to_certify(given, found, ALPHA, POWER) <= 3_000 < pairs_to_certify(given, found - 1 / STEPS, ALPHA, POWER)
    assert certifiable_after(shares({1: 1}), 3_000, ALPHA, POWER) is None


def test_what_is_worse_than_the_margin_on_average_is_never_certified():
    assert pairs_to_certify(shares({1: 0.06, -1: 0.02}), 0.02, ALPHA, POWER) is None


def test_the_smallest_harm_is_found_as_often_as_was_said():
    given = shares({1: 0.05, -1: 0.05})
    found = detectable_after(given, 0.02, 3_000, ALPHA, POWER)
    share = found / 1.0
    worse = given * (1 - share) + shares({1: 1}) * share
    assert worse @ SCALE == pytest.approx(found)
    assert kept(worse, 3_000, harm(0.02), ALPHA) == pytest.approx(POWER, abs=0.08)
    assert detectable_after(given, 0.02, 1, ALPHA, POWER) is None
