"""e-BH rejects what its definition says, whatever the order, and keeps the share of false discoveries."""

from __future__ import annotations

from itertools import chain, combinations
from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparators.multiplicity import discoveries, familywise

log_es = st.floats(-20, 20)


def e_bh_by_hand(log_e, q):
    es = sorted((exp(value) for value in log_e), reverse=True)
    most = max((k for k in range(1, len(es) + 1) if es[k - 1] >= len(es) / (k * q)), default=0)
    return es[most - 1] if most else float("inf")


@given(st.lists(log_es, max_size=30), st.sampled_from([0.05, 0.1, 0.5]))
def test_e_bh_as_its_definition(log_e, q):
    rejected = discoveries(np.array(log_e, np.float64), q)
    smallest = e_bh_by_hand(log_e, q)
    for value, found in zip(log_e, rejected.tolist(), strict=True):
        if abs(exp(value) - smallest) > 1e-9 * exp(value):
            assert found == (exp(value) > smallest)


@given(st.lists(log_es, max_size=30, unique=True), st.randoms(use_true_random=False))
def test_the_order_of_slices_does_not_matter(log_e, chance):
    order = chance.sample(range(len(log_e)), len(log_e))
    found = discoveries(np.array(log_e, np.float64), 0.1)
    again = discoveries(np.array(log_e, np.float64)[order], 0.1)
    assert again.tolist() == found[order].tolist()


def test_slices_in_company_need_less_evidence_each():
    assert discoveries(np.log([19.0, 20.0, 21.0, 30.0]), 0.05).tolist() == [False] * 4
    assert discoveries(np.log([20.0, 20.0, 21.0, 30.0]), 0.05).tolist() == [True] * 4


def test_false_discoveries_stay_below_q_where_each_at_alpha_would_not():
    """200 slices, 20 bad; e-values of likelihood ratios. Control: rejecting each at 1/q finds false ones freely."""
    chance = np.random.default_rng(3)
    shift, q, false_shares, unguarded = 3.0, 0.1, [], []
    for _ in range(300):
        bad = np.arange(200) < 20
        log_e = shift * (chance.standard_normal(200) + shift * bad) - shift**2 / 2
        for kept, shares in ((discoveries(log_e, q), false_shares), (log_e >= -log(q), unguarded)):
            shares.append((kept & ~bad).sum() / max(kept.sum(), 1))
    assert np.mean(false_shares) < q / 2
    assert np.mean(unguarded) > 4 * np.mean(false_shares)


@pytest.mark.parametrize("q", [0.0, 1.0, -0.1, np.nan])
def test_a_share_that_is_none_is_refused(q):
    with pytest.raises(ValueError, match="q is"):
        discoveries(np.zeros(2), q)


def test_a_slice_that_is_nan_is_refused():
    with pytest.raises(ValueError, match="ln E = 0"):
        discoveries(np.array([np.nan, 3.0]), 0.1)


# -- several metrics ----------------------------------------------------------------------------------------------


def closed_by_hand(log_e, weights, alpha):
    """Every set that holds it, one by one."""
    rows = range(len(log_e))
    sets = [frozenset(each) for each in chain.from_iterable(combinations(rows, size) for size in range(1, len(rows) + 1))]
    mean = {each: sum(weights[j] * exp(log_e[j]) for j in each) / sum(weights[j] for j in each) for each in sets}
    return [min(mean[each] for each in sets if row in each) for row in rows]


@given(st.lists(st.tuples(log_es, st.floats(0.1, 10)), min_size=1, max_size=7), st.sampled_from([0.01, 0.05, 0.3]))
def test_closed_testing_as_its_definition(given_, alpha):
    log_e, weights = (np.array(each) for each in zip(*given_, strict=True))
    rejected = familywise(log_e, weights, alpha).tolist()
    for least, found in zip(closed_by_hand(log_e, weights, alpha), rejected, strict=True):
        if abs(least * alpha - 1) > 1e-9:
            assert found == (least * alpha > 1)


def test_one_of_several_needs_more_evidence_and_others_that_have_it_are_no_burden():
    assert familywise(np.log([21.0]), np.ones(1), 0.05).tolist() == [True]
    assert familywise(np.log([21.0, 1.0]), np.ones(2), 0.05).tolist() == [False, False]
    assert familywise(np.log([40.0, 1.0]), np.ones(2), 0.05).tolist() == [True, False]
    assert familywise(np.log([40.0, 21.0, 1.0]), np.ones(3), 0.05).tolist() == [True, False, False]
    assert familywise(np.array([5000.0, 0.0]), np.array([0.1, 1.0]), 0.05).tolist() == [True, False]


def test_what_is_rejected_at_all_is_rarely_true_where_each_at_alpha_would_often_be():
    """Ten true hypotheses. Control: each by itself at 1/alpha."""
    chance = np.random.default_rng(5)
    log_e = 1.5 * chance.standard_normal((4000, 10)) - 1.5**2 / 2
    closed = np.mean([familywise(row, np.ones(10), 0.05).any() for row in log_e])
    assert closed <= 0.05
    assert np.mean((log_e >= -log(0.05)).any(axis=1)) > 2 * closed


@pytest.mark.parametrize(
    ("log_e", "weights", "alpha"), [([np.nan], [1.0], 0.05), ([0.0], [0.0], 0.05), ([0.0], [1.0], 0.0), ([0.0], [1.0], 1.0)]
)
def test_what_is_no_evidence_is_refused(log_e, weights, alpha):
    with pytest.raises(ValueError, match="NaN|alpha"):
        familywise(np.array(log_e), np.array(weights), alpha)
