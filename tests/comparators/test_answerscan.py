"""Telling words and figures that one pass finds, against a pass for each, and text by text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparators import wordsearch
from comparators.answerscan import scan
from comparators.answerwords import english_answers
from comparators.numbers import figures
from comparators.text import normalise_all
from comparators.wordsearch import Finder, words_found

TELLING = english_answers().telling
PIECES = st.sampled_from(
    (
        *("not", "unlocked", "until", "un\u00e9asy", "invalid", "can't", "disabled", "sorry", "un", "caf\u00e9not", "never\u20ac"),
        *("1.", "2.", "3)", "one", "the", "half", "a third", "$5", "\u20ac7", "12:30", "am", "|", "x5%", "-", "\ud800", "\n", "(", ":"),
    )
)
TEXTS = st.lists(st.lists(PIECES, max_size=10).map(" ".join) | st.text(max_size=12), max_size=8)


def scanned(texts):
    finder = Finder(TELLING)
    read = scan(texts, finder)
    return finder.found.by_text(), read


@given(TEXTS, st.sampled_from([1, 8, 64, 1 << 15]))
@settings(max_examples=200, deadline=None)
def test_one_pass_finds_what_each_text_holds_by_itself(texts, portion):
    normal = normalise_all(texts)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wordsearch, "_CHARACTERS", portion)
        told, read = scanned(normal)
    assert told == [words_found([text], TELLING)[0] for text in normal]
    assert read == [figures([text])[0] for text in normal]


def test_the_texts_of_that_check_hold_both():
    told, read = scanned(["2. cannot pay $5", "caf\u00e9 not open", ""])
    assert told == [["cannot"], ["not"], []]
    assert [len(found) for found in read] == [2, 0, 0]


def test_what_counts_one_thing_does_not_depend_on_the_text_before():
    """Behind "the" a "one" counts nothing; at the head of a text nothing stands before it."""
    assert figures(["the one flight"]) == [[]]
    assert figures(["see the", "one flight"])[1] == figures(["one flight"])[0] != []
