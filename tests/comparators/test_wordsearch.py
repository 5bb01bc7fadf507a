"""Words that are looked for in many texts at once, against looking in each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.answers import cpu_seconds
from comparators.wordscan import vocabulary_of, words_of
from comparators.wordsearch import words_found

ANSWER_WORDS = st.sampled_from(["not", "unlocked", "until", "un", "invalid", "is", "don't", "disable", "it's", "\u00e9in", "5", "nonstop"])


@given(st.lists(st.lists(ANSWER_WORDS).map(" ".join), max_size=6))
def test_words_are_found_by_themselves_and_by_how_longer_ones_begin(texts):
    vocabulary = vocabulary_of(frozenset(("not", "don't", "is")), ("un", "in", "dis"))
    wanted = [
        [word for word in said if word in vocabulary.words or (len(word) >= 6 and word.startswith(("un", "in", "dis")))]
        for said in words_of(texts)
    ]
    assert words_found(texts, vocabulary) == wanted


NEGATIONS = vocabulary_of(frozenset(("not", "cancelled")))


def test_nothing_is_found_without_texts_or_words():
    assert words_found([], NEGATIONS) == []
    assert words_found(["", "cancelled"], vocabulary_of(frozenset())) == [[], []]
    assert words_found(["", " "], NEGATIONS) == [[], []]


@pytest.mark.parametrize("piece", ["cancelled ", "a ", "!", "a!", "was cancelled! "])
def test_time_grows_with_the_length_of_the_text(piece):
    """Twenty times the text takes about twenty times as long; were it quadratic, it would be four hundred times."""
    words_found(["cancelled"], NEGATIONS)
    texts = (piece * (size // len(piece)) for size in (20_000, 400_000))
    short, long = (cpu_seconds(lambda text=text: words_found([text], NEGATIONS), seconds=0) for text in texts)
    assert long < max(120 * short, 1.0)
