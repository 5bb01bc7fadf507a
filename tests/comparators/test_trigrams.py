"""Distance of wordings, against a twin with exact integers."""

from __future__ import annotations

from collections import Counter
from math import isqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparators import trigrams
from comparators.trigrams import BUCKETS, distances

TEXTS = st.text(st.one_of(st.sampled_from("ab é\ud800\U0001f600"), st.characters(exclude_categories=())), max_size=30)
FACTORS = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)


def slow(one: str, other: str) -> float:
    """The definition. The root is of a whole number, so it is taken without a rounding before it."""
    if one == other:
        return 0.0
    if not one or not other:
        return 1.0
    left, right = counted(one.ljust(3)), counted(other.ljust(3))
    spread = centred(left, left) * centred(right, right)
    shift = 10**12
    return min(max(1 - centred(left, right) * shift / isqrt(spread * shift * shift), 0.0), 1.0) if spread else 1.0


def counted(text: str) -> Counter[int]:
    codes = [ord(char) for char in text]
    windows = zip(codes, codes[1:], codes[2:], strict=False)
    return Counter(
        sum(code * factor for code, factor in zip(window, FACTORS, strict=True)) % 2**32 >> 22 for window in windows
    )


def centred(left: Counter[int], right: Counter[int]) -> int:
    return BUCKETS * sum(left[bucket] * right[bucket] for bucket in left) - left.total() * right.total()


def of(one: str, other: str) -> float:
    return float(distances([one], [other])[0])


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=8))
@settings(max_examples=200, deadline=None)
def test_twin(pairs):
    found = distances([one for one, _ in pairs], [other for _, other in pairs])
    assert found.tolist() == pytest.approx([slow(*pair) for pair in pairs], abs=1e-9)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=80), st.randoms())
@settings(max_examples=50, deadline=None)
def test_a_row_scores_the_same_bits_in_any_batch(pairs, random):
    whole = [found.hex() for found in distances(*map(list, zip(*pairs, strict=True))).tolist()]
    assert whole == [of(*pair).hex() for pair in pairs]
    order = random.sample(range(len(pairs)), len(pairs))
    shuffled = distances([pairs[row][0] for row in order], [pairs[row][1] for row in order])
    assert [found.hex() for found in shuffled.tolist()] == [whole[row] for row in order]


@given(TEXTS, TEXTS)
def test_symmetric(one, other):
    assert of(one, other) == of(other, one)


@given(TEXTS)
def test_identity(text):
    assert of(text, text) == 0.0


@pytest.mark.parametrize("limit", [1, 7, 64])
def test_cutting_long_texts_changes_nothing(monkeypatch, limit):
    pairs = [("abc" * 50, "abd" * 40), ("ab", "b" * 300), ("x" * 130, "y"), ("€uro " * 30, "euro " * 30)] * 3
    production, replay = map(list, zip(*pairs, strict=True))
    before = distances(production, replay).tolist()
    monkeypatch.setattr(trigrams, "_CHARACTERS", limit)
    assert distances(production, replay).tolist() == before


@pytest.mark.parametrize("length", [4096, 4097, 4098, 4099, 30_001])
def test_counts_whose_products_float32_cannot_hold_are_exact(length):
    one, other = "a" * length, "a" * (length - 5) + "bcd" * 3
    assert of(one, other) == pytest.approx(slow(one, other), abs=1e-12)


def test_a_row_scores_the_same_bits_beside_a_long_one():
    pairs = [("abcabd" * 600, "abcabe" * 650), ("one two", "one three"), ("abc" * 3000, "abd" * 2000)]
    together = distances(*map(list, zip(*pairs, strict=True)))
    assert [score.hex() for score in together.tolist()] == [of(*pair).hex() for pair in pairs]


def test_reordering_costs_little_and_rewriting_much():
    one = "your device is disabled. sessions were revoked. we will call you tomorrow."
    other = "we will call you tomorrow. sessions were revoked. your device is disabled."
    assert of(one, other) < 0.15
    assert of(one, "the weather in lisbon is lovely at this time of year, pack light clothes.") > 0.8


def test_megabytes_are_counted_exactly():
    assert of("ab" * 2_500_000, "ab" * 2_500_000 + "c") < 1e-6
    assert of("ab" * 2_500_000, "cd" * 2_500_000) == 1.0


def test_no_rows():
    assert distances([], []).shape == (0,)
