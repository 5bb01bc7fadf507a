"""Distance of wordings: one minus the centred cosine of hashed character trigrams.

Counts of trigrams are hashed into `BUCKETS` buckets; a.b is then expected to hold La Lb / BUCKETS of chance
collisions, which centring takes out. Against exact trigrams the mean absolute error is about 0.013 at 400
characters. Reordering costs little and the time is linear, which is all a display and routing score needs.

All sums are of integers below 2**53 held in float64 and therefore exact in any order: a row scores the same
bits alone and in any batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import eq

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


def distances(production: Sequence[str], replay: Sequence[str]) -> Floats:
    """Distance of each pair of normalised texts, 0 to 1: 0 if equal, 1 if exactly one is empty."""
    differ = ~np.fromiter(map(eq, production, replay), dtype=np.bool_, count=len(production))
    both = np.fromiter(map(bool, production), np.bool_, len(production))
    both &= np.fromiter(map(bool, replay), np.bool_, len(replay))
    result = differ.astype(np.float64)
    for rows in _chunks(np.flatnonzero(differ & both), production, replay):
        left = _counts([production[row] for row in rows])
        right = _counts([replay[row] for row in rows])
        result[rows] = _centred_cosine_distance(left, right)
    return result


def _chunks(rows: Ints, production: Sequence[str], replay: Sequence[str]) -> Iterator[Ints]:
    """Runs of rows of at most `_PAIRS` pairs and about `_CHARACTERS` characters; a longer pair comes alone."""
    lengths = np.array([len(production[row]) + len(replay[row]) for row in rows], dtype=np.int64)
    long = lengths > _CHARACTERS
    yield from rows[long][:, np.newaxis]
    rows, lengths = rows[~long], lengths[~long]
    for start in range(0, len(rows), _PAIRS):
        part, size = rows[start : start + _PAIRS], lengths[start : start + _PAIRS]
        cuts = np.flatnonzero(np.diff(np.cumsum(size) // _CHARACTERS)) + 1
        yield from np.split(part, cuts)


def _counts(texts: Sequence[str]) -> Floats:
    """Trigram counts per bucket, shape (texts, BUCKETS). Texts shorter than one trigram are padded with spaces."""
    padded = [text.ljust(3) for text in texts]
    if len(padded) == 1 and len(padded[0]) > _CHARACTERS:
        return _counts_of_long(padded[0])
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    tables = np.repeat(np.arange(len(padded), dtype=np.uint32) * np.uint32(BUCKETS), lengths)[:-2]
    ends = np.cumsum(lengths)[:-1]
    tables += _buckets("".join(padded))
    spill = np.uint32(len(padded) * BUCKETS)  # windows that straddle two texts are counted nowhere
    tables[ends - 2] = spill
    tables[ends - 1] = spill
    counts = np.bincount(tables, minlength=len(padded) * BUCKETS + 1)
    return counts[:-1].reshape(len(padded), BUCKETS).astype(np.float64)


def _counts_of_long(text: str) -> Floats:
    total = np.zeros(BUCKETS)
    for start in range(0, len(text) - 2, _CHARACTERS):
        piece = text[start : start + _CHARACTERS + 2]  # two more, so that every window lies in one piece
        total += np.bincount(_buckets(piece), minlength=BUCKETS)
    return total[np.newaxis]


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


def _centred_cosine_distance(left: Floats, right: Floats) -> Floats:
    lengths = left.sum(axis=1), right.sum(axis=1)
    spread = _centred(left, left, lengths[0], lengths[0]) * _centred(right, right, lengths[1], lengths[1])
    shared = _centred(left, right, *lengths)
    # A text whose trigrams fill every bucket alike has no direction; it is then unlike any other.
    cosine = np.divide(shared, np.sqrt(spread), out=np.zeros_like(shared), where=spread > 0)
    distance: Floats = np.clip(1.0 - cosine, 0.0, 1.0)
    return distance


def _centred(left: Floats, right: Floats, length: Floats, other: Floats) -> Floats:
    product: Floats = BUCKETS * np.einsum("ij,ij->i", left, right) - length * other
    return product
