"""Words that are looked for in many texts at once, against looking in each."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparators import claimbatch
from comparators.claimbatch import Reader, claims_of_batch, surest
from comparators.claimscan import claims_in, may_tell
from comparators.claimwords import Lexicon, ToolWords
from comparators.clauses import Tier
from comparators.language import english
from comparators.sentences import words_in
from comparators.wordscan import vocabulary_of, words_of
from comparators.wordsearch import search, words_found

WANTED = frozenset(("set", "sent", "booked", "cancelled", "canceled", "uncancelled", "transferred"))
TOOLS = ("cancel_order", "book_flight", "send_mail", "transfer_call")
LEXICONS = [Lexicon.of(map(ToolWords, some), english()) for some in (TOOLS, TOOLS[:1], TOOLS[1:], ())]
#: Pieces of answers: verbs and what makes them claims, and what breaks words, sentences and encodings.
PIECES = (
    *("cancelled", "Booked", "sent", "uncancelled", "order", "the flight", "mail", "cancellation", "processed", "boo\u212aed"),
    *("I've", "I", "we have", "has been", "was", "now", "successfully", "already", "really", "to be", "by you", "and"),
    *("able to", "managed to", "had the", "cancel", "It", "them", "| ", "- ", "Cancelled", "Dr", "Hi,\n", "\nBest,\n", "```"),
    *("\n", ". ", "! ", "? ", ", ", "'", '"', "\u201c", "\u201d", "`", "*", "_", "-", "> ", "(", "\u2019", "\u212a"),
    *("\ud800", "\u00e9", "\u0130", "\u3002", "\u00a0", "\x1c", "\x00", "7", "5th", "", " ", " ", " ", " ", " "),
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=24).map("".join) | st.lists(
    st.sampled_from(PIECES), max_size=24
).map(" ".join)


@given(st.lists(TEXTS | st.text(max_size=30), max_size=8))
@settings(deadline=None)
def test_the_words_found_are_those_of_each_text_in_order(texts):
    found = search(texts, WANTED)
    assert [[hit.word for hit in hits] for hits in found] == [
        [word for word in words_in(text) if word in WANTED] for text in texts
    ]


@given(st.lists(TEXTS, max_size=4), TEXTS)
@settings(deadline=None)
def test_what_stands_before_a_word_is_of_its_own_text(texts, text):
    assert search([*texts, text], WANTED)[-1] == search([text], WANTED)[0]


ANSWER_WORDS = st.sampled_from(["not", "unlocked", "until", "un", "invalid", "is", "don't", "disable", "it's", "\u00e9in", "5", "nonstop"])


@given(st.lists(st.lists(ANSWER_WORDS).map(" ".join), max_size=6))
def test_words_are_found_by_themselves_and_by_how_longer_ones_begin(texts):
    vocabulary = vocabulary_of(frozenset(("not", "don't", "is")), ("un", "in", "dis"))
    wanted = [
        [word for word in said if word in vocabulary.words or (len(word) >= 6 and word.startswith(("un", "in", "dis")))]
        for said in words_of(texts)
    ]
    assert words_found(texts, vocabulary) == wanted


def test_what_stands_before_a_word_is_given_from_the_character_before_the_last_word():
    text = "was cancelled. We've\tsent, set"
    assert [hit.before for hit in search([text], WANTED)[0]] == [b" was ", b"'ve\t", b"\tsent, "]
    assert [hit.after for hit in search([text, "!"], WANTED)[0]] == [b". ", b", ", b""]


@given(st.lists(st.tuples(TEXTS, st.integers(0, len(LEXICONS) - 1), st.booleans()), max_size=6), st.integers(1, 100))
@settings(max_examples=400, deadline=None)
def test_a_batch_reads_the_claims_that_each_text_makes_by_its_lexicon(drawn, portion):
    asked = [(text, Reader(id(LEXICONS[which]), loose)) for text, which, loose in drawn]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(claimbatch, "_PORTION", portion)
        found = claims_of_batch(asked, {id(lexicon): lexicon for lexicon in LEXICONS})
    for text, which, loose in drawn:
        every = claims_in(text, LEXICONS[which])
        meant = every if loose else [claim for claim in every if claim.tier is not Tier.LOOSE]
        assert found[Reader(id(LEXICONS[which]), loose)].get(text, ()) == surest(meant)


def test_the_texts_of_that_check_do_make_claims_and_do_hide_some():
    said = ["I've cancelled the order", "I have boo\u212aed the flight, mail sent by", "The order was 'really' cancelled", "the order by cancelled mail"]
    assert [bool(claims_in(text, LEXICONS[0])) for text in said] == [True, True, False, False]
    hits = [hit for found in search(said, LEXICONS[0].verbs) for hit in found]
    assert [may_tell(hit, LEXICONS[0].language) for hit in hits] == [True, False, True, False]


def test_nothing_is_found_without_texts_or_words():
    assert search([], WANTED) == []
    assert search(["", "cancelled"], frozenset()) == [[], []]
    assert search(["", " "], WANTED) == [[], []]


@pytest.mark.parametrize("piece", ["cancelled ", "a ", "!", "a!", "was cancelled! "])
def test_time_grows_with_the_length_of_the_text(piece):
    """Twenty times the text takes about twenty times as long; were it quadratic, it would be four hundred times."""
    search(["cancelled"], WANTED)
    short, long = (min(_seconds(piece * (size // len(piece))) for _ in range(3)) for size in (20_000, 400_000))
    assert long < max(120 * short, 1.0)


def _seconds(text: str) -> float:
    started = time.thread_time()
    search([text], WANTED)
    return time.thread_time() - started
