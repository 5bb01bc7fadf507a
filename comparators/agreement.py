"""How much of two calls agrees, for many pairs of calls of one batch at once.

Equal leaves are counted with one sorted table of (call, leaf) for the whole batch. Only pairs in which a leaf
has a tolerance, and which are not equal throughout, are looked at leaf by leaf. Each distinct pair is looked
at once per batch; the counts are whole numbers, so it does not matter which batch that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from comparators.callbatch import positions_in_runs, starts_of_runs
from comparators.calls import CanonicalCall, LeafKind
from comparators.leaves import difference
from comparators.spec import Bools, Floats, Ints

#: Leaves looked up at once, which bounds the memory that calls with thousands of leaves take.
_LEAVES = 1 << 20
_KINDS = 8


class Agreement:
    """Dice's coefficient of the leaves of two calls, by their numbers in a batch."""

    def __init__(self, calls: Sequence[CanonicalCall]) -> None:
        self._calls = calls
        self._table: _LeafTable | None = None
        self._tolerant_pairs: dict[tuple[int, int], int] = {}

    def dice(self, one: Ints, other: Ints) -> Floats:
        """Share of agreement of each pair of calls, 0 to 1; exactly 1 if all leaves agree. Shape (pairs,)."""
        if len(one) == 0:
            return np.zeros(0)
        if self._table is None:
            self._table = _LeafTable.of(self._calls)
        keys, where = np.unique(one * len(self._calls) + other, return_inverse=True)
        first, second = np.divmod(keys, len(self._calls))
        shared = self._table.shared(first, second)
        total = self._table.sizes[first] + self._table.sizes[second]
        open_to_tolerance = (self._table.tolerant[first] | self._table.tolerant[second]) & (2 * shared < total)
        for pair in np.flatnonzero(open_to_tolerance):
            shared[pair] = self._shared_within_tolerance(int(first[pair]), int(second[pair]))
        # Two calls without leaves agree in all of them.
        dice: Floats = np.where(total > 0, 2 * shared / np.maximum(total, 1), 1.0)
        return dice[where]

    def _shared_within_tolerance(self, one: int, other: int) -> int:
        found = self._tolerant_pairs.get((one, other))
        if found is None:
            found = difference(self._calls[one].leaves, self._calls[other].leaves).shared
            self._tolerant_pairs[one, other] = found
        return found


@dataclass(frozen=True, slots=True)
class _LeafTable:
    """Leaves of all calls: `keys` = call * width + leaf, ascending, each with how often the call holds it."""

    width: int
    keys: Ints
    times: Ints
    start: Ints  # of each call in `keys`, and the end: shape (calls + 1,)
    sizes: Ints  # leaves per call
    tolerant: Bools  # calls with a leaf that has a tolerance
    plain: bool = field(default=True)  # no call holds a leaf twice

    @classmethod
    def of(cls, calls: Sequence[CanonicalCall]) -> _LeafTable:
        sizes = np.array([len(call.leaves) for call in calls], dtype=np.int64)
        leaves = list(chain.from_iterable(call.leaves for call in calls))
        paths, kinds, tokens, _ = zip(*leaves, strict=True) if leaves else [()] * 4
        named = list(zip(paths, tokens, strict=True))
        number = dict(zip(named, range(len(named)), strict=True))
        kind = np.frombuffer(bytes(kinds), dtype=np.uint8)
        leaf = np.fromiter(map(number.__getitem__, named), np.int64, len(named)) * _KINDS + kind
        owner, width = np.repeat(np.arange(len(calls)), sizes), max(len(named), 1) * _KINDS
        held = np.sort(owner * width + leaf)
        first = starts_of_runs(held)
        keys = held[first]
        tolerant = (kind == LeafKind.DECIMAL) | (kind == LeafKind.TEXT)
        return cls(
            width=width,
            keys=keys,
            times=np.diff(np.flatnonzero(first), append=len(held)),
            start=np.searchsorted(keys, np.arange(len(calls) + 1) * width),
            sizes=sizes,
            tolerant=np.bincount(owner[tolerant], minlength=len(calls)) > 0,
            plain=len(keys) == len(held),
        )

    def shared(self, one: Ints, other: Ints) -> Ints:
        """Number of equal leaves of each pair of calls, as multisets."""
        swap = self.sizes[one] > self.sizes[other]
        short, long = np.where(swap, other, one), np.where(swap, one, other)
        size = self.start[short + 1] - self.start[short]
        parts = np.flatnonzero(np.diff(np.cumsum(size) // _LEAVES)) + 1
        bounds = [0, *parts.tolist(), len(size)]
        return np.concatenate(
            [self._shared(short[i:j], long[i:j], size[i:j]) for i, j in zip(bounds, bounds[1:], strict=False)]
        )

    def _shared(self, short: Ints, long: Ints, size: Ints) -> Ints:
        pair = np.repeat(np.arange(len(size)), size)
        entry = self.start[short][pair] + positions_in_runs(starts_of_runs(pair))
        sought = (long * self.width)[pair] + self.keys[entry] % self.width
        found = np.minimum(np.searchsorted(self.keys, sought), len(self.keys) - 1)
        hit = self.keys[found] == sought
        if self.plain:
            return np.bincount(pair[hit], minlength=len(size))
        entry, found, pair = entry[hit], found[hit], pair[hit]
        shared = np.zeros(len(size), np.int64)
        np.add.at(shared, pair, np.minimum(self.times[entry], self.times[found]))
        return shared
