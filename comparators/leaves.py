"""When two arguments agree, and how much of two calls does.

The share of agreement is Dice's coefficient of the leaves: twice the leaves that agree over the leaves of both.
Leaves of one path are matched one to one; most paths have one leaf per call, members of an unordered list share
theirs. Integers, booleans, strings and raw text agree if they are equal; decimals and free text within a
tolerance: the stricter of the two, as each side was read through its own contract.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import isfinite, nan
from typing import NamedTuple

from comparators.assignment import assign
from comparators.calls import Leaf, LeafKind
from comparators.text import normalise_all
from comparators.trigrams import distances

#: Relative tolerance of decimals that bring none.
DECIMAL_TOLERANCE = 1e-9
#: Unordered members of one path that are matched within their tolerance; of more, equal ones only.
_MOST_TOLERANT = 32

#: Kinds whose leaves may agree without being equal.
TOLERANT_KINDS = frozenset((LeafKind.DECIMAL, LeafKind.TEXT))
_NUMBERS = frozenset((LeafKind.DECIMAL, LeafKind.INTEGER))
_STRINGS = frozenset((LeafKind.TEXT, LeafKind.STRING))


def agree(one: Leaf, other: Leaf) -> bool:
    """Whether two leaves of one path mean the same."""
    if one.kind == other.kind:
        within = _WITHIN_TOLERANCE.get(one.kind)
        return one.token == other.token or (within is not None and within(one, other))
    if one.kind in _STRINGS and other.kind in _STRINGS:
        return one.token == other.token
    return one.kind in _NUMBERS and other.kind in _NUMBERS and _are_close(one, other)


class Difference(NamedTuple):
    """How many leaves agree, and which ones of either side have no partner."""

    shared: int
    removed: tuple[Leaf, ...]
    added: tuple[Leaf, ...]


def count_shared(production: Sequence[Leaf], replay: Sequence[Leaf]) -> int:
    """`difference(...).shared`, and faster where no path stands twice."""
    left, right = ({leaf.path: leaf for leaf in side} for side in (production, replay))
    if len(left) < len(production) or len(right) < len(replay):
        return difference(production, replay).shared
    return sum(agree(leaf, right[path]) for path, leaf in left.items() if path in right)


def difference(production: Sequence[Leaf], replay: Sequence[Leaf]) -> Difference:
    """Match the leaves of two calls one to one, path by path."""
    left, right = _by_path(production), _by_path(replay)
    parts = [_match_one_path(left.get(path, ()), right.get(path, ())) for path in {**left, **right}]
    return Difference(
        shared=sum(part.shared for part in parts),
        removed=tuple(leaf for part in parts for leaf in part.removed),
        added=tuple(leaf for part in parts for leaf in part.added),
    )


def _by_path(leaves: Sequence[Leaf]) -> dict[str, list[Leaf]]:
    found: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        found.setdefault(leaf.path, []).append(leaf)
    return found


def _match_one_path(left: Sequence[Leaf], right: Sequence[Leaf]) -> Difference:
    if not left or not right:
        return Difference(0, tuple(left), tuple(right))
    if max(len(left), len(right)) > _MOST_TOLERANT or TOLERANT_KINDS.isdisjoint(leaf.kind for leaf in (*left, *right)):
        return _match_equal(left, right)
    disagree = [[0.0 if agree(one, other) else 1.0 for other in right] for one in left]
    partner = [col if col >= 0 and not disagree[row][col] else -1 for row, col in enumerate(assign(disagree))]
    return Difference(
        shared=len(left) - partner.count(-1),
        removed=tuple(leaf for leaf, column in zip(left, partner, strict=True) if column < 0),
        added=tuple(leaf for column, leaf in enumerate(right) if column not in partner),
    )


def _match_equal(left: Sequence[Leaf], right: Sequence[Leaf]) -> Difference:
    removed, added = _beyond(left, right), _beyond(right, left)
    return Difference(len(left) - len(removed), removed, added)


def _beyond(these: Sequence[Leaf], those: Sequence[Leaf]) -> tuple[Leaf, ...]:
    budget = Counter((leaf.kind, leaf.token) for leaf in those)
    left = []
    for leaf in these:
        budget[leaf.kind, leaf.token] -= 1
        if budget[leaf.kind, leaf.token] < 0:
            left.append(leaf)
    return tuple(left)


def _are_close(one: Leaf, other: Leaf) -> bool:
    tolerance = min(leaf.tolerance or DECIMAL_TOLERANCE for leaf in (one, other) if leaf.kind is LeafKind.DECIMAL)
    left, right = _float(one.token), _float(other.token)
    if not (isfinite(left) and isfinite(right)):  # an integer beyond all floats equals no decimal
        return False
    return abs(left - right) <= tolerance * max(abs(left), abs(right))


def _float(token: str) -> float:
    try:
        return float(token)
    except ValueError:
        return nan


def _read_alike(one: Leaf, other: Leaf) -> bool:
    left, right = normalise_all((one.token, other.token))
    return float(distances((left,), (right,))[0]) <= min(one.tolerance, other.tolerance)


_WITHIN_TOLERANCE: Mapping[LeafKind, Callable[[Leaf, Leaf], bool]] = {
    LeafKind.DECIMAL: _are_close,
    LeafKind.TEXT: _read_alike,
}
