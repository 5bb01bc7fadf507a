"""How much of two calls agrees, for many pairs of calls of one batch at once.

Equal leaves are counted as the size of a set intersection, each call being read once per batch. Only where a
leaf has a tolerance, or stands twice in a call, are two calls compared leaf by leaf, each distinct pair once.
The counts are whole numbers, so it does not matter in which batch they were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import itemgetter

import numpy as np

from comparators.calls import CanonicalCall, Leaf, LeafKind
from comparators.leaves import difference
from comparators.spec import Bools, Floats, Ints


class Agreement:
    """Dice's coefficient of the leaves of two calls, by their numbers in a batch. Remembers what it has read."""

    def __init__(self, calls: Sequence[CanonicalCall]) -> None:
        self._calls = calls
        self._sets: list[frozenset[Leaf]] = [_UNREAD] * len(calls)
        self._sizes: Ints = np.zeros(len(calls), dtype=np.int64)
        self._read: Bools = np.zeros(len(calls), dtype=np.bool_)
        self._uneven: Bools = np.zeros(len(calls), dtype=np.bool_)  # a leaf has a tolerance or stands twice
        self._compared: dict[tuple[int, int], int] = {}

    def dice(self, one: Ints, other: Ints) -> Floats:
        """Share of agreement of each pair of calls, 0 to 1; exactly 1 if all leaves agree. Shape (pairs,)."""
        self._read_all(one, other)
        left, right = (map(self._sets.__getitem__, side.tolist()) for side in (one, other))
        shared = np.fromiter(map(len, map(frozenset.intersection, left, right)), np.int64, len(one))
        for pair in np.flatnonzero(self._uneven[one] | self._uneven[other]).tolist():
            shared[pair] = self._leaf_by_leaf(int(one[pair]), int(other[pair]))
        total = self._sizes[one] + self._sizes[other]
        # Two calls without leaves agree in all of them.
        dice: Floats = np.where(total > 0, 2 * shared / np.maximum(total, 1), 1.0)
        return dice

    def _read_all(self, *numbers: Ints) -> None:
        wanted = np.zeros(len(self._calls), dtype=np.bool_)
        for some in numbers:
            wanted[some] = True
        new = np.flatnonzero(wanted & ~self._read)
        leaves = [self._calls[number].leaves for number in new.tolist()]
        size = np.fromiter(map(len, leaves), np.int64, len(leaves))
        for number, distinct in zip(new.tolist(), map(frozenset, leaves), strict=True):
            self._sets[number] = distinct
        kinds = np.frombuffer(bytes(map(_kind, chain.from_iterable(leaves))), dtype=np.uint8)
        tolerant = np.repeat(np.arange(len(new)), size)[(kinds == LeafKind.DECIMAL) | (kinds == LeafKind.TEXT)]
        distinct_size = np.fromiter(map(len, map(self._sets.__getitem__, new.tolist())), np.int64, len(new))
        self._uneven[new] = distinct_size < size
        self._uneven[new[tolerant]] = True
        self._sizes[new], self._read[new] = size, True

    def _leaf_by_leaf(self, one: int, other: int) -> int:
        shared = self._compared.get((one, other))
        if shared is None:
            shared = difference(self._calls[one].leaves, self._calls[other].leaves).shared
            self._compared[one, other] = shared
        return shared


_UNREAD: frozenset[Leaf] = frozenset()
_kind = itemgetter(1)
