"""A quantile sketch that merges by adding counts: logarithmic bins bound the relative error of every quantile.

Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", PVLDB 12(12),
2019, section 2. A bin is an integer; a sketch is how many values fell into each. Adding two sketches gives exactly
the sketch of both sets of values, in whatever order they came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import ceil

import numpy as np

from comparators.spec import Floats, Ints

#: A quantile is off by no more than this share of its true value.
ACCURACY = 0.01
#: What lies nearer to 0 is told as 0.
SMALLEST = 1e-9
#: What lies beyond is told as this: nothing that was measured does.
LARGEST = 1e200
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)


def bins(values: Floats) -> Ints:
    """The bin of each value, in the order of the values: negative, 0, positive. `values` must be finite."""
    size = np.clip(np.abs(values), SMALLEST, LARGEST)
    index = np.ceil(np.log(size / SMALLEST) / np.log(_GAMMA)).astype(np.int64)
    return np.where(np.abs(values) <= SMALLEST, 0, np.sign(values).astype(np.int64) * np.maximum(index, 1))


def middle(index: int) -> float:
    """The value that stands for a bin: no value in it is further than `ACCURACY` away, relatively."""
    if index == 0:
        return 0.0
    size = float(SMALLEST * 2 * np.exp(abs(index) * np.log(_GAMMA)) / (_GAMMA + 1))
    return size if index > 0 else -size


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """The value below or at which `share` of all values lie: rank ceil(share x (n - 1)), from 0. Null without values.

    The same rank as `numpy.quantile(method="higher")`.
    """
    index = quantile_bin(counts, share)
    return None if index is None else middle(index)


def quantile_bin(counts: Mapping[int, int], share: float) -> int | None:
    """The bin of that quantile. Null without values."""
    total = sum(counts.values())
    if not total:
        return None
    rank, passed = ceil(share * (total - 1)), 0
    for index in sorted(counts):
        passed += counts[index]
        if passed > rank:
            return index
    raise AssertionError("a rank lies within the counts")


def excess(candidate: Mapping[int, int], lane: Mapping[int, int], *, worse: str, share: float = 0.95) -> float | None:
    """How much more of the candidate lies beyond the lane's quantile than of the lane itself. Null without values.

    Beyond is towards the end that is `worse`, "up" or "down", and away from 0 for "" (either way). What the lane itself
    has beyond is taken off, and not 1 - share: with ties that is less.
    """
    ours, theirs = (_towards(worse, counts) for counts in (candidate, lane))
    index = quantile_bin(theirs, share)
    if index is None or not ours:
        return None
    return _share_beyond(ours, index) - _share_beyond(theirs, index)


def _towards(worse: str, counts: Mapping[int, int]) -> Mapping[int, int]:
    """The counts by how far in that direction; bins of negative values mirror those of positive ones."""
    turned: Counter[int] = Counter()
    for index, number in counts.items():
        turned[{"up": index, "down": -index}.get(worse, abs(index))] += number
    return turned


def _share_beyond(counts: Mapping[int, int], index: int) -> float:
    return sum(number for place, number in counts.items() if place > index) / sum(counts.values())
