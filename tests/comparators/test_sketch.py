"""The sketch keeps quantiles within its stated accuracy, and merges to the same sketch in any order."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparators.sketch import ACCURACY, SMALLEST, bins, excess, middle, quantile

numbers = st.floats(-1e12, 1e12, allow_nan=False)
lists = st.lists(numbers, min_size=1, max_size=200)


def sketch(values: list[float]) -> Counter[int]:
    return Counter(bins(np.array(values, dtype=np.float64)).tolist())


@given(lists, st.sampled_from([0.0, 0.05, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_quantile_is_within_one_percent_of_the_exact_one(values, share):
    exact = float(np.quantile(np.array(values), share, method="higher"))
    found = quantile(sketch(values), share)
    assert found == pytest.approx(exact, rel=ACCURACY * 1.0001, abs=SMALLEST)


@given(lists, lists)
def test_merging_is_adding(one, other):
    assert sketch(one) + sketch(other) == sketch(other + one)


@given(numbers, numbers)
def test_bins_keep_the_order_of_values(one, other):
    first, second = bins(np.array([min(one, other), max(one, other)])).tolist()
    assert first <= second


@given(numbers)
def test_the_middle_of_a_bin_lies_in_it(value):
    index = int(bins(np.array([value]))[0])
    assert int(bins(np.array([middle(index)]))[0]) == index


def test_nothing_has_no_quantile():
    assert quantile({}, 0.5) is None


def test_nothing_has_no_excess():
    assert excess({}, sketch([1.0]), worse="up") is None
    assert excess(sketch([1.0]), {}, worse="up") is None


@given(lists, st.sampled_from(["up", "down", ""]))
def test_a_lane_has_no_excess_over_itself(values, worse):
    assert excess(sketch(values), sketch(values), worse=worse) == 0.0


@given(lists, lists)
def test_worse_downwards_is_worse_upwards_of_the_mirror_image(candidate, lane):
    mirrored = (sketch([-value for value in side]) for side in (candidate, lane))
    assert excess(sketch(candidate), sketch(lane), worse="down") == excess(*mirrored, worse="up")


@given(st.lists(st.integers(-50, 50), min_size=1), st.lists(st.integers(-50, 50), min_size=1))
def test_an_excess_is_what_counting_the_values_gives(candidate, lane):
    """Whole numbers fall into bins of their own."""
    bound = np.quantile(lane, 0.95, method="higher")
    wanted = np.mean(np.array(candidate) > bound) - np.mean(np.array(lane) > bound)
    assert excess(sketch(candidate), sketch(lane), worse="up") == pytest.approx(wanted)


def test_a_slow_tail_is_an_excess_over_the_lanes_95th_percentile():
    lane = list(range(1, 1_001))
    slower = [value * 3 if value % 10 == 0 else value for value in lane]
    assert excess(sketch(slower), sketch(lane), worse="up") == pytest.approx(0.063, abs=0.005)
    assert excess(sketch(slower), sketch(lane), worse="down") <= 0


def test_ties_at_the_quantile_do_not_look_like_an_improvement():
    """Where half of the lane sits at its maximum, nothing lies beyond: 5 % taken off would be an improvement."""
    tied = sketch([0.0, 1.0] * 50)
    assert excess(tied, tied, worse="up") == 0.0


def test_a_coarser_sketch_would_be_seen():
    """Control: bins twice as wide break the bound that the tests above check."""
    values = np.exp(np.linspace(0, 3, 1_000))
    coarse = Counter((bins(values) // 3 * 3).tolist())
    exact = float(np.quantile(values, 0.5, method="higher"))
    assert abs(quantile(coarse, 0.5) / exact - 1) > ACCURACY
