"""Final answers: statuses, evidence, and that a row scores the same bits in any batch."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparators.answerbatch import AnswerBatch
from comparators.answers import EXCERPT, MAX_LINES, compare_answers, explain_answers
from comparators.answerwords import english_answers
from comparators.spec import Evidence, Status
from comparators.text import normalise
from tests.comparators.by_hand import bits, scores

NOTHING = "NOT_APPLICABLE"
WORDS = st.sampled_from(
    ["Your", "laptop.", "is", "not", "locked", "unlocked", "5", "$1,250", "ninety", "é", "\ud800", "\x00", "\n", "“no”", "Ｗ", "٣"]
)
ANSWERS = st.one_of(st.none(), st.lists(WORDS, max_size=12).map(" ".join), st.text(max_size=10))


def compared(production, replay, *, given=None):
    return compare_answers(AnswerBatch(production, replay, english_answers(), given))


@given(st.lists(st.tuples(ANSWERS, ANSWERS, st.sampled_from([0, 0, 3, 4])), min_size=1, max_size=12), st.randoms())
@settings(max_examples=150, deadline=None)
def test_a_row_scores_the_same_bits_in_any_batch(rows, random):
    def scored(picked):
        production, replay = ([row[side] for row in picked] for side in (0, 1))
        return compared(production, replay, given=np.array([row[2] for row in picked], dtype=np.uint8))

    whole = scored(rows)
    for number, row in enumerate(rows):
        assert bits(scored([row])) == bits(whole, [number])
    order = random.sample(range(len(rows)), len(rows))
    assert bits(scored([rows[number] for number in order])) == bits(whole, order)


@given(ANSWERS)
def test_identity(answer):
    found = scores(compared([answer], [answer]))
    assert set(found.values()) <= {0.0, NOTHING}
    assert not explain_answers(answer, answer)


@given(ANSWERS, ANSWERS)
@settings(deadline=None)
def test_symmetric_but_for_the_sign_of_the_length(one, other):
    there, back = scores(compared([one], [other])), scores(compared([other], [one]))
    assert there["answer.lexical"] == back["answer.lexical"]
    assert there["answer.numbers"] == back["answer.numbers"]
    if there["answer.length"] != NOTHING:
        assert there["answer.length"] == pytest.approx(-back["answer.length"])


@pytest.mark.parametrize(
    ("production", "replay", "lexical", "length", "numbers"),
    [
        (None, None, NOTHING, NOTHING, NOTHING),
        (None, "5", 1.0, NOTHING, NOTHING),
        ("5", None, 1.0, NOTHING, NOTHING),
        ("", "", 0.0, 0.0, NOTHING),
        ("", "abc", 1.0, log(4), NOTHING),
        ("abc", "", 1.0, -log(4), NOTHING),
        ("Room 5", "room  5", 0.0, 0.0, 0.0),
        ("same words", "Same “words”".replace("“", "").replace("”", ""), 0.0, 0.0, NOTHING),
        ('{"b": 1, "a": 2}', '{"a":2,"b":1}', 0.0, 0.0, 0.0),
    ],
)
def test_edges(production, replay, lexical, length, numbers):
    found = scores(compared([production], [replay]))
    assert list(found.values())[:3] == [lexical, pytest.approx(length) if isinstance(length, float) else length, numbers]


def test_given_statuses_win():
    given_statuses = np.array([Status.DID_NOT_ANSWER, Status.CENSORED, Status.SCORED], dtype=np.uint8)
    given_statuses.flags.writeable = False
    columns = compared(["a", None, "a 1"], [None, "b", "a 2"], given=given_statuses)
    assert [column.status.tolist() for column in columns] == [[3, 4, 0]] * 5
    assert [column.value.tolist()[:2] for column in columns] == [[0.0, 0.0]] * 5


def test_no_rows():
    assert [column.value.shape for column in compared([], [])] == [(0,)] * 5


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="1 answers of production for 2"):
        compared(["a"], ["a", "b"])


def test_a_missing_and_a_new_answer_are_told_apart():
    assert explain_answers("gone", None) == (Evidence("answer_missing", removed="gone"),)
    assert explain_answers(None, "new") == (Evidence("answer_new", added="new"),)


def test_changed_sentences_stand_side_by_side():
    production = "Your laptop LT-88 was blocked. We paid $1,250 back. Have a good day!"
    replay = "Have a good  day! We paid $1,520 back.\nPlease call the desk."
    assert explain_answers(production, replay) == (
        Evidence("answer_changed", "We paid $1,250 back.", "We paid $1,520 back."),
        Evidence("answer_changed", "Your laptop LT-88 was blocked.", None),
        Evidence("answer_changed", None, "Please call the desk."),
        Evidence("answer_numbers", "lt-88, $1250", "$1520"),
    )


def test_what_reads_the_same_is_no_evidence():
    assert not explain_answers("It’s done.", "it's  done.")
    assert not explain_answers('{"a": 1,\n"b": 2}', '{"b": 2,\n"a": 1}')


@pytest.mark.parametrize(
    ("production", "replay"),
    [("One. Two.", "Two. One."), ("x " * 60_000 + "yes", "x " * 60_000 + "no")],
    ids=["order", "far down"],
)
def test_answers_that_differ_have_a_line_at_least(production, replay):
    (line,) = explain_answers(production, replay)
    assert line.kind == "answer_changed"
    assert line.removed != line.added


@given(st.text(max_size=400), st.text(max_size=400))
@settings(max_examples=60, deadline=None)
def test_evidence_is_short_and_printable(production, replay):
    lines = explain_answers(production, replay)
    assert bool(lines) == (normalise(production) != normalise(replay))
    assert len(lines) <= MAX_LINES + 1
    for line in lines:
        for text in (line.removed, line.added):
            assert text is None or len(text.encode()) <= 4 * EXCERPT
