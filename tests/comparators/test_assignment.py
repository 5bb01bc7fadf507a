"""Assignment against scipy, which is the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from comparators.assignment import assign

COSTS = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6, allow_nan=False))


@st.composite
def matrices(draw: st.DrawFn) -> list[list[float]]:
    rows, columns = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    return draw(st.lists(st.lists(COSTS, min_size=columns, max_size=columns), min_size=rows, max_size=rows))


@given(matrices())
@settings(max_examples=300, deadline=None)
def test_total_cost_is_the_least(cost):
    found = assign(cost)
    pairs = [(row, column) for row, column in enumerate(found) if column >= 0]
    assert len({column for _, column in pairs}) == len(pairs) == min(len(cost), len(cost[0]))
    rows, columns = linear_sum_assignment(np.array(cost))
    best = np.array(cost)[rows, columns].sum()
    assert sum(cost[row][column] for row, column in pairs) == pytest.approx(best, rel=1e-9, abs=1e-6)


@given(matrices())
@settings(max_examples=50, deadline=None)
def test_the_matrix_alone_decides(cost):
    before = [list(row) for row in cost]
    assert assign(cost) == assign(tuple(map(tuple, cost)))
    assert cost == before


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        ([], []),
        ([[], []], [-1, -1]),
        ([[5.0]], [0]),
        ([[1.0, 1.0, 1.0]], [0]),
        ([[2.0], [1.0], [1.0]], [-1, 0, -1]),
        ([[0.0, 0.0], [0.0, 0.0]], [0, 1]),
    ],
)
def test_edges_and_ties(cost, expected):
    assert assign(cost) == expected


def test_a_greedy_choice_would_cost_more():
    """Row 0 likes column 0 a little; row 1 can have nothing else."""
    assert assign([[0.0, 0.1], [0.2, 9.0]]) == [1, 0]


def test_a_large_matrix_stays_affordable():
    random = np.random.default_rng(5)
    cost = random.random((120, 128))
    rows, columns = linear_sum_assignment(cost)
    found = assign(cost.tolist())
    assert sum(cost[row, column] for row, column in enumerate(found)) == pytest.approx(cost[rows, columns].sum())
