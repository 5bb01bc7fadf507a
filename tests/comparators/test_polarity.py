"""Which pairs may be turned round, worked out for all at once, against looking at each pair."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparators import polarity
from comparators.answerbatch import AnswerBatch
from comparators.answerwords import english_answers
from comparators.polarity import may_turn

WORDS = english_answers()
SAID = st.lists(
    st.sampled_from(
        (
            *("not", "no", "never", "failed", "failed to", "without", "enabled", "disabled", "open", "closed", "more", "less"),
            *("unlocked", "locked", "unusual", "usual", "invalid", "valid", "caf\u00e9", "un\u00e9asy", "sorry", "take", "the"),
            *("allowed", "denied", "increase", "decrease", "$5", "unable", "able"),
        )
    ),
    max_size=8,
).map(" ".join)


@pytest.mark.parametrize("few", [0, 16])
@given(pairs=st.lists(st.tuples(SAID | st.none(), SAID | st.none()), max_size=8), data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_pair_may_turn_where_a_slow_look_at_its_words_says_so(few, pairs, data):
    """Whether words are searched for one by one, or looked up."""
    pairs += [(one, one) for one, _ in data.draw(st.lists(st.sampled_from(pairs), max_size=3))] if pairs else []
    batch = AnswerBatch(*([pair[side] for pair in pairs] for side in (0, 1)), WORDS)
    telling = [(batch.telling[0][row], batch.telling[1][row]) for row in batch.both]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polarity, "_FEW", few)
        found = may_turn(batch)
    assert found == list(map(turns, telling, zip(batch.left, batch.right, strict=True)))


def turns(said: tuple[list[str], list[str]], texts: tuple[str, str]) -> bool:
    one, other = said
    return (
        any(word in WORDS.opposites_of.get(opposed, ()) for opposed in one for word in other)
        or any((word in one) != (word in other) for word in WORDS.against_common)
        or sum(WORDS.weights.get(word, 0) for word in one) != sum(WORDS.weights.get(word, 0) for word in other)
        or (one != other and (denies(one, texts[1]) or denies(other, texts[0])))
    )


def denies(said: list[str], text: str) -> bool:
    return any(f" {WORDS.positive(word)}" in text for word in said if word not in WORDS.plain and WORDS.positive(word))


def test_each_reason_turns_a_pair_by_itself_and_nothing_else_does():
    pairs = [
        ("it is not late", "it is late"),
        ("it is enabled", "it is disabled"),
        ("the closed door", "the door"),
        ("so unusual it is", "a usual case"),
        ("it is not late", "not late"),
        ("sorry for it", "it is late"),
    ]
    batch = AnswerBatch(*([pair[side] for pair in pairs] for side in (0, 1)), WORDS)
    assert may_turn(batch) == [True, True, True, True, False, False]


@pytest.mark.parametrize("production", ["unhappy " * 30_000, " ".join(f"un{number:06}" for number in range(30_000))])
def test_many_words_that_may_be_the_contrary_of_another_take_linear_time(production):
    batch = AnswerBatch([production], ["hap happ hap " * 20_000], WORDS)
    before = time.thread_time()
    may_turn(batch)
    assert time.thread_time() - before < 3
