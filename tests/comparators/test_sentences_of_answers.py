"""What one sentence says in another's place: figures substituted, sentences turned round; and what must not fire."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparators.alignment import MAX_CHANGED, align_all
from comparators.answerbatch import AnswerBatch
from comparators.answers import compare_answers, explain_sentences
from comparators.answerwords import english_answers
from comparators.spec import Status
from comparators.text import normalise_all
from comparators.wordscan import words_of

WORDS = english_answers()


def found(production, replay):
    columns = {it.name: it for it in compare_answers(AnswerBatch([production], [replay], WORDS))}
    return tuple(int(columns[name].value[0]) for name in ("answer.substituted", "answer.polarity"))


SUBSTITUTED = [
    ("You get $1,250 back.", "You get $1,520 back."),
    ("The flight leaves at 14:30 from gate B7.", "The flight leaves at 14:30 from gate B9."),
    ("Your order W-1001 ships today. Anything else?", "Your order W-1007 ships today. Anything else?"),
    ("First line.\nThe refund takes 5 days.\nBye.", "First line.\nThe refund takes 15 days.\nBye."),
    ("Two bags are included.", "Three bags are included."),
]
SAME_FIGURES = [
    ("You get $1,250 back.", "You get 1250 back.", "another way of writing it"),
    ("It costs 50% of the fare.", "It costs 0.5 of the fare.", "a percentage is its value"),
    ("It takes two days.", "It takes 2 days.", "a number word is its number"),
    ("That is 3.14159 in total.", "That is 3.14 in total.", "one is the other rounded"),
    ("It is 5 days. It costs $20.", "It costs $20. It is 5 days.", "sentences in another order"),
    ("It costs $20 and takes 5 days.", "It takes 5 days and costs $20.", "figures in another order"),
    ("It leaves on May 24.", "It leaves on 2024-05-24.", "a date written another way is no other number"),
    ("Don't hesitate to ask us about it.", "Feel free to ask us about it.", "no figure at all"),
    ("It costs $20.", "It costs $20. That takes 5 days.", "a figure was added, none replaced"),
    ("Your refund is on its way.", "Here are 17 unrelated facts about whales.", "sentences that have nothing in common"),
    ("The total is $20. Bags are 5 kg.", "Bags are $20 each. The sum of all is 5 euros today.", "figures that moved"),
]


@pytest.mark.parametrize(("production", "replay"), SUBSTITUTED)
def test_a_figure_in_the_place_of_another_is_found(production, replay):
    assert found(production, replay) == found(replay, production) == (1, 0)
    (line,) = explain_sentences(production, replay, WORDS)
    assert line.kind == "number_substituted"


@pytest.mark.parametrize(("production", "replay", "why"), SAME_FIGURES)
def test_figures_that_replace_none_are_not(production, replay, why):
    assert found(production, replay)[0] == found(replay, production)[0] == 0, why


def test_the_evidence_names_both_figures_and_both_sentences():
    (line,) = explain_sentences("Hello. You get $1,250 back.", "Hello. You get $1,520 back.", WORDS)
    assert (line.removed, line.added) == ("$1250: You get $1,250 back.", "$1520: You get $1,520 back.")


TURNED = [
    ("All sessions were revoked.", "All sessions were not revoked."),
    ("I can help you with that refund today.", "I can't help you with that refund today."),
    ("The device is encrypted.", "The device isn't encrypted."),
    ("Your request was approved by the manager.", "Your request was denied by the manager."),
    ("Remote wipe is enabled for this laptop.", "Remote wipe is disabled for this laptop."),
    ("You never paid the fee for the second bag.", "You paid the fee for the second bag."),
    ("Changes are possible before departure.", "Changes are possible after departure."),
    ("The ticket is valid.", "The ticket is invalid."),
]
NOT_TURNED = [
    ("All sessions were revoked.", "Every session has been revoked.", "a paraphrase"),
    ("The account is not enabled.", "The account is disabled.", "both say no, in two ways"),
    ("It is not approved.", "It isn't approved.", "the same negation, contracted"),
    ("I do not see why it would not work.", "I don't see why it wouldn't work.", "two negations on either side"),
    ("Not only the laptop was locked.", "The laptop was locked.", "not only denies nothing"),
    ("Don't hesitate to ask us about it.", "Do ask us about it.", "a phrase that denies nothing"),
    ("Locking the laptop failed: it is offline.", "I could not lock the laptop: it is offline.", "two ways to deny"),
    ("No problem, your bag is booked.", "Your bag is booked.", "no problem denies nothing"),
    ("It is locked. It is not wiped.", "It is not wiped. It is locked.", "sentences in another order"),
    ("The bag is small.", "There is no gate information for flights to the north on Sundays.", "nothing in common"),
    ("It is enabled, and was disabled before.", "It was disabled before, and is enabled.", "both opposites on both sides"),
]


@pytest.mark.parametrize(("production", "replay"), TURNED)
def test_a_sentence_that_says_the_contrary_is_found(production, replay):
    assert found(production, replay) == found(replay, production) == (0, 1)
    (line,) = explain_sentences(production, replay, WORDS)
    assert (line.kind, line.removed, line.added) == ("polarity_flip", production, replay)


@pytest.mark.parametrize(("production", "replay", "why"), NOT_TURNED)
def test_sentences_that_agree_are_not(production, replay, why):
    assert found(production, replay)[1] == found(replay, production)[1] == 0, why


def test_control_similarity_takes_each_of_these_for_the_same():
    for production, replay in (*SUBSTITUTED, *TURNED):
        (lexical, *_) = compare_answers(AnswerBatch([production], [replay], WORDS))
        assert lexical.value[0] < 0.5


# -- properties -----------------------------------------------------------------------------------------------------

SENTENCES = st.lists(
    st.sampled_from([pair[side] for pair in (*SUBSTITUTED, *TURNED) for side in (0, 1)] + ["", "añno not", "\ud800 no"]), max_size=5
).map(" ".join)


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=6))
@settings(deadline=None)
def test_a_pair_scores_the_same_alone_in_company_and_mirrored(pairs):
    together = compare_answers(AnswerBatch(*map(list, zip(*pairs, strict=True)), WORDS))
    for row, (production, replay) in enumerate(pairs):
        alone = found(production, replay)
        assert alone == tuple(int(it.value[row]) for it in together[3:])
        assert alone == found(replay, production)


@given(SENTENCES)
@settings(deadline=None)
def test_a_text_neither_replaces_nor_contradicts_itself(text):
    assert found(text, text) == (0, 0)


@given(st.lists(st.text(alphabet="ab'no0 .-é\n\ud800"), max_size=6))
def test_words_are_runs_of_letters_digits_and_apostrophes(texts):
    normal = normalise_all(texts)
    for text, words in zip(normal, words_of(normal), strict=True):
        plain = "".join(character if character in "abno0'" else " " if character.isascii() else "x" for character in text)
        assert [word.replace("x", "") for word in words] == [word.replace("x", "") for word in plain.split()]


# -- hostile texts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("production", "replay"),
    [
        ("a" * 5_000_000 + " not 5", "a" * 5_000_000 + " 6"),
        ("is not. " * 50_000, "is. " * 50_000),
        (" ".join(f"It is {n}." for n in range(10_000)), " ".join(f"It is not {n} now." for n in range(10_000))),
        ("no " * 30_000, "not " * 30_000),
    ],
)
def test_what_is_too_much_to_align_says_so_in_bounded_time(production, replay):
    before = time.process_time()
    columns = compare_answers(AnswerBatch([production], [replay], WORDS))
    explain_sentences(production, replay, WORDS)
    assert time.process_time() - before < 20
    assert {Status(it.status[0]) for it in columns[3:]} <= {Status.TOO_LARGE, Status.SCORED}


def test_too_many_changed_sentences_are_no_zero():
    production, replay = (" ".join(f"It is {word} {n}." for n in range(MAX_CHANGED + 1)) for word in ("not", "now"))
    assert align_all([(production, replay)]) == [None]
    columns = compare_answers(AnswerBatch([production], [replay], WORDS))
    assert columns[4].status[0] == Status.TOO_LARGE
