"""Meanings: any function will do; what it cannot say is a status, and each text is asked for once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparators.answerbatch import AnswerBatch
from comparators.answers import compare_answers
from comparators.answerwords import english_answers
from comparators.semantic import MAX_CHARACTERS, Meanings, compare_meanings
from comparators.spec import Status

TEXTS = st.one_of(st.none(), st.sampled_from(["", "the laptop was wiped", "the laptop was not wiped", "a lost phone", "\ud800", "zero"]))


def compared(production, replay, *, given=None):
    return compare_answers(AnswerBatch(production, replay, english_answers(), given))


def letters(texts):
    """How often each letter occurs; "zero" points nowhere, and what holds "break" cannot be read."""
    if any("break" in text for text in texts):
        raise RuntimeError("out of memory")
    return np.array([[0.0] * 26 if text == "zero" else [text.count(chr(97 + at)) for at in range(26)] for text in texts])


def scored(pairs, meanings):
    production, replay = [one for one, _ in pairs], [other for _, other in pairs]
    return compare_meanings(production, replay, compared(production, replay)[0], meanings)


def by_hand(one, other):
    if one is None or other is None:
        return None
    vectors = [letters([text])[0] for text in (one, other)]
    sizes = [np.sqrt((vector**2).sum()) for vector in vectors]
    return None if 0 in sizes else 1 - (vectors[0] @ vectors[1]) / (sizes[0] * sizes[1])


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=8))
@settings(deadline=None)
def test_it_is_one_minus_the_cosine_where_the_wordings_differ(pairs):
    production, replay = [one for one, _ in pairs], [other for _, other in pairs]
    wording = compared(production, replay)[0]
    found = scored(pairs, Meanings(letters))
    for row, (one, other) in enumerate(pairs):
        if wording.value[row] > 0 and one is not None and other is not None:
            wanted = by_hand(one, other)
            assert found.status[row] == (Status.UNKNOWN if wanted is None else Status.SCORED)
            assert wanted is None or found.value[row] == pytest.approx(wanted, abs=2e-5)
        else:
            assert found.value[row] == 0


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8))
@settings(deadline=None)
def test_a_score_does_not_depend_on_its_batch_and_both_directions_agree(pairs):
    together, alone = scored(pairs, Meanings(letters)), [scored([pair], Meanings(letters)) for pair in pairs]
    mirrored = scored([(other, one) for one, other in pairs], Meanings(letters))
    assert together.value.tolist() == [found.value[0] for found in alone] == mirrored.value.tolist()
    assert together.status.tolist() == [found.status[0] for found in alone] == mirrored.status.tolist()


def test_equal_wordings_are_never_embedded_and_others_once():
    asked = []

    def counting(texts):
        asked.extend(texts)
        return letters(texts)

    meanings = Meanings(counting)
    pairs = [("The laptop is wiped.", "the  laptop is wiped."), ("wiped", "lost"), ("lost", "wiped")]
    assert scored(pairs, meanings).value[0] == 0
    scored(pairs, meanings)
    assert sorted(asked) == ["lost", "wiped"]


def test_only_so_many_vectors_are_kept():
    asked = []
    meanings = Meanings(lambda texts: asked.extend(texts) or letters(texts), capacity=2)
    for pair in (("a", "b"), ("c", "d"), ("a", "b")):
        scored([pair], meanings)
    assert asked == ["a", "b", "c", "d", "a", "b"]


def test_a_text_on_which_the_function_fails_costs_no_other_pair_its_score():
    found = scored([("it may break here", "lost"), ("wiped", "lost")], Meanings(letters))
    assert found.status.tolist() == [Status.UNKNOWN, Status.SCORED]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda texts: np.zeros((len(texts) + 1, 3)),
        lambda texts: np.ones(len(texts)),
        lambda texts: np.full((len(texts), 3), np.nan),
        lambda _texts: ["no", "numbers"],
    ],
)
def test_what_is_no_vector_is_unknown(wrong):
    assert scored([("wiped", "lost")], Meanings(wrong)).status.tolist() == [Status.UNKNOWN]


def test_a_text_too_long_to_be_read_whole_is_not_embedded():
    assert scored([("a" * (MAX_CHARACTERS + 1), "lost")], Meanings(letters)).status.tolist() == [Status.TOO_LARGE]


def test_a_missing_answer_has_no_meaning():
    found = scored([(None, "lost"), (None, None)], Meanings(letters))
    assert found.status.tolist() == [Status.NOT_APPLICABLE, Status.NOT_APPLICABLE]
