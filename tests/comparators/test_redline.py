"""Marks of a red pencil: for people, who must not be misled by them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from comparators.redline import redline


def changed(side):
    return [stretch.text.strip() for stretch in side if stretch.changed]


def test_only_the_words_that_differ_are_marked():
    found = redline("Your refund of 30 euros comes by Friday, I promise.", "Your refund of 40 euros comes by Friday, I promise.")
    assert (changed(found.production), changed(found.replay)) == (["30"], ["40"])
    assert not found.apart


def test_a_full_stop_at_the_end_of_a_word_is_no_change():
    assert changed(redline("It was sent to the office", "It was sent to the office.").replay) == []


def test_two_common_words_between_changes_are_marked_with_them():
    found = redline("a b c d e f g one of them h i j k l m", "a b c d e f g two of us h i j k l m")
    assert changed(found.production) == ["one of them"]
    assert changed(found.replay) == ["two of us"]


def test_answers_with_little_in_common_are_apart_and_unmarked():
    found = redline("I cannot help with this.", "Your laptop was wiped and the desk knows of it.")
    assert found.apart
    assert changed(found.production) == changed(found.replay) == []


texts = st.text(alphabet="ab .\n", max_size=60)


@given(texts, texts)
def test_joined_again_stretches_are_the_texts(production, replay):
    found = redline(production, replay)
    assert "".join(stretch.text for stretch in found.production) == production
    assert "".join(stretch.text for stretch in found.replay) == replay


@given(texts)
def test_a_text_does_not_differ_from_itself(text):
    found = redline(text, text)
    assert not found.apart
    assert changed(found.production) == []
