"""Latency, price and tokens as paired log ratios."""

from __future__ import annotations

from math import inf, log, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparators.cost import Spending, compare_cost
from comparators.latency import Times, compare_latency
from comparators.ratios import log_ratio
from comparators.spec import Status
from tests.comparators.by_hand import bits, scores

AMOUNTS = st.one_of(st.floats(0, 1e12), st.sampled_from([0.0, nan, inf, -1.0, 1e-9]))


def frozen(*values: float) -> np.ndarray:
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("production", "replay", "expected"),
    [
        (100.0, 200.0, log(2)),
        (200.0, 100.0, -log(2)),
        (0.0, 0.0, 0.0),
        (0.5, 0.0, 0.0),  # below what can be told apart
        (0.0, 50.0, log(50)),
        (nan, 1.0, "UNKNOWN"),
        (1.0, nan, "UNKNOWN"),
        (1.0, inf, "UNKNOWN"),
        (-1.0, 1.0, "UNKNOWN"),
    ],
)
def test_ratio(production, replay, expected):
    found = scores([log_ratio("x", frozen(production), frozen(replay), floor=1.0)])["x"]
    assert found == (expected if isinstance(expected, str) else pytest.approx(expected))


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=40), st.randoms())
def test_rows_are_independent_and_the_sign_turns_with_the_sides(pairs, random):
    def ratio(picked):
        return [
            log_ratio("x", frozen(*(pair[0] for pair in picked)), frozen(*(pair[1] for pair in picked)), floor=1e-6)
        ]

    whole = ratio(pairs)
    assert [bits(ratio([pair])) for pair in pairs] == [bits(whole, [row]) for row in range(len(pairs))]
    order = random.sample(range(len(pairs)), len(pairs))
    assert bits(ratio([pairs[row] for row in order])) == bits(whole, order)
    assert np.isfinite(whole[0].value).all()
    back = ratio([pair[::-1] for pair in pairs])
    assert back[0].value == pytest.approx(-whole[0].value)


def test_latency_has_a_floor_of_a_microsecond():
    production, replay = Times(frozen(10.0), frozen(2e6), frozen(nan)), Times(frozen(900.0), frozen(1e6), frozen(1.0))
    expected = {"latency.total": 0.0, "latency.model": pytest.approx(-log(2)), "latency.ttft": "UNKNOWN"}
    assert scores(compare_latency(production, replay)) == expected


def test_a_missing_price_is_unknown_and_never_free():
    production = Spending(frozen(nan, 0.0), frozen(10, 10), frozen(5, 5), frozen(0, 0))
    replay = Spending(frozen(0.1, 0.0), frozen(20, 10), frozen(5, 5), frozen(0, 100))
    columns = compare_cost(production, replay)
    assert scores(columns, 0) == {
        "cost.total": "UNKNOWN",
        "tokens.input": pytest.approx(log(2)),
        "tokens.output": 0.0,
        "tokens.cached": 0.0,
    }
    assert scores(columns, 1) == {
        "cost.total": 0.0,
        "tokens.input": 0.0,
        "tokens.output": 0.0,
        "tokens.cached": pytest.approx(log(100)),
    }


def test_given_statuses_win_and_no_rows_are_no_rows():
    given_statuses = np.array([Status.CENSORED], dtype=np.uint8)
    one, none = Times(*[frozen(1.0)] * 3), Times(*[frozen()] * 3)
    assert {column.status[0] for column in compare_latency(one, one, given=given_statuses)} == {Status.CENSORED}
    assert {column.value.shape for column in compare_latency(none, none)} == {(0,)}


def test_unequal_shapes_are_refused():
    with pytest.raises(ValueError, match="of the replay"):
        log_ratio("x", frozen(1.0), frozen(1.0, 2.0), floor=1.0)
