"""Evidence is a sum: however votes come in, they count the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from comparators.differences import counted
from replay.gate.evidence import Differences
from replay.gate.vote import Ends

METRICS = 3
#: Of one metric: the difference at the candidate's best, how much more it is at its worst, and whether it is known.
ENDS = st.tuples(st.floats(-1, 0), st.floats(0, 1), st.booleans())
VOTES = st.lists(st.tuples(*[ENDS] * METRICS), min_size=1, max_size=12)


def ends(votes):
    low, more, valid = np.moveaxis(np.array(votes, dtype=np.float64).reshape(-1, METRICS, 3), 2, 0)
    return Ends(low, low + more, valid == 1)


def folded(*goes):
    differences = Differences.none(METRICS)
    for votes in goes:
        differences.fold(ends(votes))
    return differences.counts


@given(VOTES, st.data())
def test_votes_folded_in_two_goes_count_as_those_folded_in_one(votes, data):
    cut = data.draw(st.integers(0, len(votes)))
    assert np.array_equal(folded(votes[:cut], votes[cut:]), folded(votes))


@given(VOTES, VOTES)
def test_merged_evidence_is_that_of_all_votes(some, others):
    merged, other = (Differences(folded(votes)) for votes in (some, others))
    merged.merge(other)
    assert np.array_equal(merged.counts, folded([*some, *others]))


@given(VOTES)
def test_each_metric_counts_both_ends_of_what_is_known(votes):
    found = ends(votes)
    for metric, (best, worst) in enumerate(folded(votes)):
        known = found.valid[:, metric]
        assert np.array_equal(best, counted(found.low[known, metric], "down"))
        assert np.array_equal(worst, counted(found.high[known, metric], "up"))
