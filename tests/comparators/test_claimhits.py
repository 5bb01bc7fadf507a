"""Where texts of a batch may claim something, against a look at each word; and what they claim, against each alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.answers import cpu_seconds
from comparators import claimbatch
from comparators.claimbatch import Reader, claims_of_batch, surest
from comparators.claimform import Tier
from comparators.claimhits import ClaimWords, claim_hits, claim_words
from comparators.claimscan import claims_in
from comparators.claimwords import Lexicon, ToolWords
from comparators.language import english

TOOLS = ("cancel_order", "book_flight", "send_mail", "transfer_call")
LEXICONS = [Lexicon.of(map(ToolWords, some), english()) for some in (TOOLS, TOOLS[:1], TOOLS[1:], ())]
#: Pieces of answers: verbs and what makes them claims, and what breaks words, sentences and encodings.
PIECES = (
    *("cancelled", "Booked", "sent", "uncancelled", "order", "the flight", "mail", "cancellation", "processed", "boo\u212aed"),
    *("I've", "I", "you", "will be", "once", "we have", "has been", "was", "now", "successfully", "already", "really", "to be", "by you", "and"),
    *("able to", "managed to", "had the", "got", "is it?", "cancel", "It", "them", "| ", "- ", "Cancelled", "Dr", "Hi,\n", "\nBest,\n", "```"),
    *("\n", ". ", "! ", "? ", ", ", "'", '"', "\u201c", "\u201d", "`", "*", "_", "-", "> ", "(", "\u2019", "\u212a"),
    *("\ud800", "\u00e9", "\u0130", "\u3002", "\u00a0", "\x1c", "\x00", "7", "5th", "", " ", " ", " ", " ", " "),
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=24).map("".join) | st.lists(
    st.sampled_from(PIECES), max_size=24
).map(" ".join)


WORDS = claim_words(LEXICONS)


@given(st.lists(TEXTS | st.text(max_size=30), max_size=8))
@settings(deadline=None)
def test_the_words_found_in_many_texts_are_those_that_a_look_at_each_finds(texts):
    found = claim_hits(texts, WORDS)
    for text in texts:
        assert found.get(text, set()) == _hits(text, WORDS)


def _hits(text: str, words: ClaimWords) -> set[str]:
    """The obvious twin: each word with its neighbours, where a single space parts them."""
    said = "".join(sign if sign.isascii() else "?" for sign in text)
    parts = re.split("([A-Za-z]+)", f"\n{said}\n")
    return {
        parts[at].lower()
        for at in range(1, len(parts), 2)
        if parts[at].lower() in words.sought and not _is_idle(parts, at, words)
    }


def _is_idle(parts: list[str], at: int, words: ClaimWords) -> bool:
    if at < 3 or parts[at - 1] != " ":
        return False
    word, before = parts[at].lower(), parts[at - 2].lower()
    if before in words.leading or before.endswith("ly"):
        return False
    goes_on = at + 2 < len(parts) and parts[at + 1] == " "
    alone = parts[at - 3][-1] == " " and before in words.no_nouns
    return goes_on or word not in words.participles or alone


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Your cancelled order is here", set()),
        ("It cannot be cancelled.", set()),
        ("Have you booked a flight", set()),
        ("Anything that you were able to find", {"able"}),
        ("We had the order cancelled by mail", {"had"}),
        ("The order was cancelled", {"cancelled"}),
        ("Order cancelled.", {"cancelled"}),
        ("Cancelled the order", {"cancelled"}),
        ("The order really cancelled itself", {"cancelled"}),
        ("The order *cancelled* itself", {"cancelled"}),
    ],
)
def test_a_participle_is_found_where_it_can_have_a_form(text, found):
    assert claim_hits([text], WORDS).get(text, set()) == found


def test_what_stands_beside_a_word_is_of_its_own_text():
    texts = ["your", "cancelled", "order"]
    assert claim_hits(texts, WORDS) == {"cancelled": {"cancelled"}}


@given(st.lists(st.tuples(TEXTS, st.integers(0, len(LEXICONS) - 1), st.booleans()), max_size=6), st.integers(1, 100))
@settings(max_examples=400, deadline=None)
def test_a_batch_reads_the_claims_that_each_text_makes_by_its_lexicon(drawn, portion):
    asked = {Reader(id(LEXICONS[which]), loose): [] for _, which, loose in drawn}
    for text, which, loose in drawn:
        asked[Reader(id(LEXICONS[which]), loose)].append(text)
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
    assert list(claim_hits(said, claim_words(LEXICONS[:1]))) == [said[0], said[2]]


def test_nothing_is_found_without_texts_or_words():
    assert claim_hits([], WORDS) == {}
    assert claim_hits(["", " "], WORDS) == {}
    assert claim_hits(["cancelled"], claim_words(LEXICONS[3:])) == {}


@pytest.mark.parametrize("piece", ["cancelled ", "a ", "!", "a!", "was cancelled! "])
def test_time_grows_with_the_length_of_the_text(piece):
    """Twenty times the text takes about twenty times as long; were it quadratic, it would be four hundred times."""
    claim_hits(["cancelled"], WORDS)
    texts = (piece * (size // len(piece)) for size in (20_000, 400_000))
    short, long = (cpu_seconds(lambda text=text: claim_hits([text], WORDS), seconds=0) for text in texts)
    assert long < max(120 * short, 1.0)
