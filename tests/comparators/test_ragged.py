"""Lists in two arrays, against lists."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from comparators.ragged import Ragged

LISTS = st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=6)


@given(LISTS, LISTS, st.data())
def test_lists_are_taken_as_often_as_asked_for(some, more, data):
    lists = some + more
    places = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=8)) if lists else []
    ragged = Ragged.joined([Ragged.of(some), Ragged.of(more)])
    ranks, numbers = ragged.take(np.array(places, np.int64))
    assert list(zip(ranks.tolist(), numbers.tolist(), strict=True)) == [
        (rank, number) for rank, place in enumerate(places) for number in lists[place]
    ]
    ends = ragged.ends()
    assert [ragged.numbers[start:end].tolist() for start, end in pairwise(ends)] == lists
