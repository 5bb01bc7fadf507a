"""A quantile sketch that merges by adding counts: logarithmic bins bound the relative error of every quantile.

Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", PVLDB 12(12),
2019, section 2. A bin is an integer; a sketch is how many values fell into each. Adding two sketches gives exactly
the sketch of both sets of values, in whatever order they came.
"""

from __future__ import annotations

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
    total = sum(counts.values())
    if not total:
        return None
    rank, passed = ceil(share * (total - 1)), 0
    for index in sorted(counts):
        passed += counts[index]
        if passed > rank:
            return middle(index)
    raise AssertionError("a rank lies within the counts")
