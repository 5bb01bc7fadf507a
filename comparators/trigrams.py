"""Distance of wordings: one minus the centred cosine of hashed character trigrams.

Counts of trigrams are hashed into `BUCKETS` buckets; a.b is then expected to hold La Lb / BUCKETS of chance
collisions, which centring takes out. Against exact trigrams the mean absolute error is about 0.013 at 400
characters. Reordering costs little and the time is linear, which is all a display and routing score needs.

All sums are of integers below 2**53 held in float64, or below 2**24 in float32, and therefore exact in any order: a
row scores the same bits alone and in any batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import eq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparators.spec import Floats, Ints

BUCKETS = 1024

#: Odd random multipliers of a multilinear hash modulo 2**32; its top bits are the bucket.
_FACTORS = tuple(np.uint32(factor) for factor in (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D))
_SHIFT = np.uint32(32 - 10)
#: Pairs counted at once: 2 x 32 tables of 1,024 counters stay in the second-level cache, and in memory that the process
#: keeps: what is larger is handed back to the system, and every page of it is cleared anew for the next ones.
_PAIRS = 32
#: Characters counted at once, which bounds the memory a long text takes.
_CHARACTERS = 1 << 18
#: The product of two texts of fewer trigrams is below 2**24: float32 holds every sum of it, at half the memory.
_SMALL = 1 << 12

#: Counts of trigrams, float32 where all texts are shorter than `_SMALL`, else float64.
_Counts = NDArray[np.floating[Any]]


def distances(production: Sequence[str], replay: Sequence[str]) -> Floats:
    """Distance of each pair of normalised texts, 0 to 1: 0 if equal, 1 if exactly one is empty."""
    differ = ~np.fromiter(map(eq, production, replay), dtype=np.bool_, count=len(production))
    both = np.fromiter(map(bool, production), np.bool_, len(production))
    both &= np.fromiter(map(bool, replay), np.bool_, len(replay))
    result = differ.astype(np.float64)
    rows = np.flatnonzero(differ & both)
    left, right = ([side[row].ljust(3) for row in rows.tolist()] for side in (production, replay))
    result[rows] = _centred_cosine_distances(left, right)
    return result


def _centred_cosine_distances(left: list[str], right: list[str]) -> Floats:
    """Distance of each pair of texts of one trigram at least."""
    trigrams = np.fromiter(map(len, [*left, *right]), np.int64).reshape(2, -1) - 2
    squares, products = np.empty(trigrams.shape), np.empty(len(left))
    for part in _chunks(trigrams.sum(axis=0)):
        counts = _counts([*left[part], *right[part]], trigrams[:, part].ravel())
        ours, theirs = counts.reshape(2, -1, BUCKETS)
        squares[0, part], squares[1, part] = np.vecdot(ours, ours), np.vecdot(theirs, theirs)
        products[part] = np.vecdot(ours, theirs)
    lengths = trigrams.astype(np.float64)
    spread = np.prod(BUCKETS * squares - lengths * lengths, axis=0)
    shared = BUCKETS * products - np.prod(lengths, axis=0)
    # A text whose trigrams fill every bucket alike has no direction; it is then unlike any other.
    cosine = np.divide(shared, np.sqrt(spread), out=np.zeros_like(shared), where=spread > 0)
    distance: Floats = np.clip(1.0 - cosine, 0.0, 1.0)
    return distance


def _chunks(trigrams: Ints) -> list[slice]:
    """Runs of at most `_PAIRS` pairs and about `_CHARACTERS` trigrams; a longer pair comes alone."""
    cut = np.diff(np.cumsum(trigrams) // _CHARACTERS) > 0  # before each longer pair, too
    cut |= trigrams[:-1] > _CHARACTERS
    cut[_PAIRS - 1 :: _PAIRS] = True
    ends = np.unique([0, *(np.flatnonzero(cut) + 1).tolist(), len(trigrams)])
    return [slice(start, end) for start, end in pairwise(ends.tolist())]


def _counts(texts: list[str], trigrams: Ints) -> _Counts:
    """Trigram counts per bucket, shape (texts, BUCKETS)."""
    if len(texts) == 2 and trigrams.sum() > _CHARACTERS:
        return np.stack([_counts_of_long(text) for text in texts])
    # The two windows that straddle a text and the next, or two spaces, go to a table of their own, which is dropped.
    runs = np.full((len(texts), 2), len(texts) * BUCKETS, np.uint32)
    runs[:, 0] = np.arange(0, len(texts) * BUCKETS, BUCKETS)
    lengths = np.full((len(texts), 2), 2)
    lengths[:, 0] = trigrams
    counters = np.repeat(runs.ravel(), lengths.ravel())
    counters += _buckets("".join([*texts, "  "]))
    number = np.float32 if trigrams.max() < _SMALL else np.float64
    counts = np.zeros((len(texts) + 1, BUCKETS), number)
    np.add.at(counts.reshape(-1), counters.astype(np.intp), number(1))
    return counts[:-1]


def _counts_of_long(text: str) -> Floats:
    total = np.zeros(BUCKETS)
    for start in range(0, len(text) - 2, _CHARACTERS):
        piece = text[start : start + _CHARACTERS + 2]  # two more, so that every window lies in one piece
        total += np.bincount(_buckets(piece), minlength=BUCKETS)
    return total


def _buckets(text: str) -> NDArray[np.uint32]:
    """Bucket of the trigram at each position, shape (characters - 2,)."""
    codes = _code_points(text)
    first, second, third = _FACTORS
    hashed = codes[:-2] * first
    hashed += codes[1:-1] * second
    hashed += codes[2:] * third
    hashed >>= _SHIFT
    return hashed


def _code_points(text: str) -> NDArray[np.uint32]:
    """The text as numbers. Lone surrogates are numbers like any other."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8).astype(np.uint32)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
