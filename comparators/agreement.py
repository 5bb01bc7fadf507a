"""How much of two calls agrees, for many pairs of calls of one batch at once.

Equal leaves are counted as the size of a set intersection, each call being read once per batch. Only where a
leaf has a tolerance, or stands twice in a call, are two calls compared leaf by leaf, each pair once.
The counts are whole numbers, so it does not matter in which batch they were made.
"""

from __future__ import annotations

from itertools import chain
from operator import attrgetter, itemgetter

import numpy as np

from comparators.callbatch import CallBatch
from comparators.calls import Leaf, LeafKind
from comparators.leaves import count_shared
from comparators.spec import Bools, Floats, Ints


class Agreement:
    """Dice's coefficient of the leaves of two calls that are not equal, by the numbers of their events."""

    def __init__(self, batch: CallBatch) -> None:
        self._batch = batch
        self._sizes: Ints = np.fromiter(map(len, map(_leaves, batch.calls)), np.int64, len(batch.calls))
        self._sets: list[frozenset[Leaf] | None] = [None] * len(batch.calls)
        self._seen: Bools = np.zeros(len(batch.calls), dtype=np.bool_)
        self._uneven: Bools = np.zeros(len(batch.calls), dtype=np.bool_)  # a leaf has a tolerance or stands twice
        self._compared: dict[tuple[int, int], int] = {}

    def dice(self, production: Ints, replay: Ints) -> Floats:
        """Share of agreement of each pair of calls, 0 to 1; exactly 1 if all leaves agree. Shape (pairs,)."""
        one, other = self._batch.call[production], self._batch.call[replay]
        shared = np.zeros(len(one), dtype=np.int64)
        # Two calls of one leaf each are not equal, so that leaf is not.
        several = np.flatnonzero((self._sizes[one] > 1) | (self._sizes[other] > 1))
        left, right = self._read(one[several]), self._read(other[several])
        shared[several] = np.fromiter(map(len, map(frozenset.intersection, left, right)), np.int64, len(several))
        self._look_for_tolerance(one, other)
        for pair in np.flatnonzero(self._uneven[one] | self._uneven[other]).tolist():
            shared[pair] = self._leaf_by_leaf(int(production[pair]), int(replay[pair]))
        total = self._sizes[one] + self._sizes[other]
        # Two calls without leaves agree in all of them.
        dice: Floats = np.where(total > 0, 2 * shared / np.maximum(total, 1), 1.0)
        return dice

    def _look_for_tolerance(self, *numbers: Ints) -> None:
        """Note, of calls not seen before, whether a leaf may agree with another without being equal to it."""
        new = np.zeros(len(self._sizes), dtype=np.bool_)
        for some in numbers:
            new[some] = True
        new &= ~self._seen
        self._seen |= new
        calls = np.flatnonzero(new)
        leaves = chain.from_iterable(self._batch.calls[number].leaves for number in calls.tolist())
        kinds = np.frombuffer(bytes(map(_kind, leaves)), dtype=np.uint8)
        owner = np.repeat(calls, self._sizes[calls])
        self._uneven[owner[(kinds == LeafKind.DECIMAL) | (kinds == LeafKind.TEXT)]] = True

    def _read(self, numbers: Ints) -> list[frozenset[Leaf]]:
        sets = self._sets
        return [found if (found := sets[number]) is not None else self._read_one(number) for number in numbers.tolist()]

    def _read_one(self, number: int) -> frozenset[Leaf]:
        leaves = self._batch.calls[number].leaves
        found = self._sets[number] = frozenset(leaves)
        if len(found) < len(leaves):  # a leaf stands twice
            self._uneven[number] = True
        return found

    def _leaf_by_leaf(self, production: int, replay: int) -> int:
        # By event, not by call: equal calls may have been read through contracts of unequal tolerances.
        shared = self._compared.get((production, replay))
        if shared is None:
            one, other = self._batch.events[production].call, self._batch.events[replay].call
            shared = self._compared[production, replay] = count_shared(one.leaves, other.leaves)
        return shared


_leaves = attrgetter("leaves")
_kind = itemgetter(1)
