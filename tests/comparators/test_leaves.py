"""When two arguments agree, and how leaves of shared paths are matched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparators.calls import Leaf, LeafKind
from comparators.leaves import agree, count_shared, difference

INTEGER, DECIMAL, BOOLEAN = LeafKind.INTEGER, LeafKind.DECIMAL, LeafKind.BOOLEAN
STRING, TEXT, EMPTY, UNPARSED = LeafKind.STRING, LeafKind.TEXT, LeafKind.EMPTY, LeafKind.UNPARSED
HUGE = "1" * 400


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((INTEGER, "5"), (INTEGER, "5"), True),
        ((INTEGER, HUGE), (INTEGER, HUGE[:-1] + "2"), False),
        ((INTEGER, "1234567890"), (INTEGER, "1234567891"), False),
        ((INTEGER, "1"), (BOOLEAN, "true"), False),
        ((INTEGER, "5"), (STRING, "5"), False),
        ((DECIMAL, "0.30000000000000004"), (DECIMAL, "0.3"), True),
        ((DECIMAL, "0.3"), (DECIMAL, "0.31"), False),
        ((DECIMAL, "1.0000000001"), (INTEGER, "1"), True),
        ((DECIMAL, "1.5"), (INTEGER, HUGE), False),  # beyond every float
        ((DECIMAL, "0.0"), (DECIMAL, "-0.0"), True),
        ((DECIMAL, "1e-320"), (DECIMAL, "0.0"), False),
        ((DECIMAL, "10.0", 0.1), (DECIMAL, "10.9", 0.1), True),
        ((DECIMAL, "10.0", 0.1), (DECIMAL, "10.9", 0.01), False),  # the stricter side decides
        ((DECIMAL, "10.0", 0.1), (INTEGER, "11"), True),
        ((DECIMAL, "no number"), (DECIMAL, "0.5"), False),
        ((TEXT, "Please call back today", 0.3), (TEXT, "please call back, today", 0.3), True),
        ((TEXT, "Please call back today", 0.3), (TEXT, "no", 0.3), False),
        ((TEXT, "same", 0.3), (STRING, "same"), True),  # one contract reads it as free text, the other does not
        ((TEXT, "same", 0.3), (STRING, "Same"), False),
        ((EMPTY, "{}"), (EMPTY, "[]"), False),
        ((UNPARSED, "{"), (UNPARSED, "{"), True),
    ],
)
def test_agree(one, other, expected):
    left, right = (Leaf("path", *fields) for fields in (one, other))
    assert agree(left, right) is expected
    assert agree(right, left) is expected


def members(*tokens: str, kind: LeafKind = INTEGER, tolerance: float = 0.0) -> list[Leaf]:
    return [Leaf("items.[]", kind, token, tolerance) for token in tokens]


def test_members_of_one_path_are_a_multiset():
    found = difference(members("1", "2", "2"), members("2", "1", "1"))
    assert (found.shared, found.removed, found.added) == (2, tuple(members("2")), tuple(members("1")))


def test_members_within_a_tolerance_are_matched_and_not_taken_greedily():
    """1.0 may take 1.1 or 0.9; 0.81 can have 0.9 alone."""
    one, other = (members(*tokens, kind=DECIMAL, tolerance=0.11) for tokens in (["1.0", "0.81"], ["0.9", "1.1"]))
    assert difference(one, other).shared == 2


def test_very_many_members_are_matched_by_equality():
    one = members(*(f"{i}.5" for i in range(40)), kind=DECIMAL, tolerance=0.5)
    assert difference(one, one[::-1]).shared == 40
    assert difference(one, members(*(f"{i}.25" for i in range(40)), kind=DECIMAL, tolerance=0.5)).shared == 0


LEAVES = st.lists(
    st.builds(
        Leaf,
        st.sampled_from(["a", "b.0", "b.[]"]),
        st.sampled_from([INTEGER, DECIMAL, STRING]),
        st.sampled_from("123"),
        st.just(0.0),  # contracts take no tolerance that is no number
    ),
    max_size=8,
)


@given(LEAVES, LEAVES)
def test_every_leaf_is_shared_or_left(one, other):
    found = difference(one, other)
    assert count_shared(one, other) == found.shared
    assert found.shared + len(found.removed) == len(one)
    assert found.shared + len(found.added) == len(other)
    assert difference(other, one).shared == found.shared
    assert difference(one, one).shared == len(one)
