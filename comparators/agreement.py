"""How much of two calls agrees, for many pairs of calls of one batch at once.

Equal leaves are counted as the size of a set intersection, each call being read once per batch. Only where a
leaf has a tolerance, or stands twice in a call, are two calls compared leaf by leaf, each distinct pair once.
The counts are whole numbers, so it does not matter in which batch they were made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

import numpy as np

from comparators.calls import CanonicalCall, Leaf
from comparators.leaves import TOLERANT_KINDS, difference
from comparators.spec import Floats, Ints


class Agreement:
    """Dice's coefficient of the leaves of two calls, by their numbers in a batch. Remembers what it has read."""

    def __init__(self, calls: Sequence[CanonicalCall]) -> None:
        self._calls = calls
        self._sets: list[frozenset[Leaf] | None] = [None] * len(calls)
        self._uneven: set[int] = set()  # calls with a leaf that has a tolerance or stands twice
        self._compared: dict[tuple[int, int], tuple[int, int]] = {}

    def dice(self, one: Ints, other: Ints) -> Floats:
        """Share of agreement of each pair of calls, 0 to 1; exactly 1 if all leaves agree. Shape (pairs,)."""
        left, right = self._read(one), self._read(other)
        shared = _lengths(map(frozenset.intersection, left, right), len(one))
        total = _lengths(left, len(one)) + _lengths(right, len(one))
        if self._uneven:
            uneven = np.array(sorted(self._uneven), dtype=np.int64)
            for pair in np.flatnonzero(np.isin(one, uneven) | np.isin(other, uneven)).tolist():
                shared[pair], total[pair] = self._leaf_by_leaf(int(one[pair]), int(other[pair]))
        # Two calls without leaves agree in all of them.
        dice: Floats = np.where(total > 0, 2 * shared / np.maximum(total, 1), 1.0)
        return dice

    def _leaf_by_leaf(self, one: int, other: int) -> tuple[int, int]:
        """Leaves that agree, and leaves of both."""
        found = self._compared.get((one, other))
        if found is None:
            left, right = self._calls[one].leaves, self._calls[other].leaves
            found = self._compared[one, other] = difference(left, right).shared, len(left) + len(right)
        return found

    def _read(self, numbers: Ints) -> list[frozenset[Leaf]]:
        sets = self._sets
        return [found if (found := sets[number]) is not None else self._read_one(number) for number in numbers.tolist()]

    def _read_one(self, number: int) -> frozenset[Leaf]:
        leaves = self._calls[number].leaves
        found = self._sets[number] = frozenset(leaves)
        if len(found) < len(leaves) or not TOLERANT_KINDS.isdisjoint(map(_kind, found)):
            self._uneven.add(number)
        return found


_kind = attrgetter("kind")


def _lengths(sets: Iterable[frozenset[Leaf]], count: int) -> Ints:
    return np.fromiter(map(len, sets), np.int64, count)
