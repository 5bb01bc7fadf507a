"""How much of two calls agrees, for many pairs of calls of one batch at once.

Each distinct pair of calls is looked at once per batch, and equal leaves are counted as the size of a set
intersection. Only where a leaf has a tolerance, or stands twice in a call, are two calls compared leaf by leaf.
The counts are whole numbers, so it does not matter in which batch they were made.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comparators.calls import CanonicalCall, Leaf
from comparators.leaves import difference, is_tolerant
from comparators.spec import Floats, Ints


class Agreement:
    """Dice's coefficient of the leaves of two calls, by their numbers in a batch."""

    def __init__(self, calls: Sequence[CanonicalCall]) -> None:
        self._calls = calls
        self._leaves: dict[int, frozenset[Leaf]] = {}
        self._plain: dict[int, bool] = {}

    def dice(self, one: Ints, other: Ints) -> Floats:
        """Share of agreement of each pair of calls, 0 to 1; exactly 1 if all leaves agree. Shape (pairs,)."""
        keys, where = np.unique(one * max(len(self._calls), 1) + other, return_inverse=True)
        first, second = np.divmod(keys, max(len(self._calls), 1))
        ...
