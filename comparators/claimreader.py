"""The claims of a batch of texts: each text is read once, and each sentence.

Answers of two sides mostly share sentences, those of a batch often all of them. What is known again is a pure function
of the text, so that no result depends on what else is in its batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from functools import lru_cache, partial

from comparators.claimscan import Claim, Reader, claims_by, claims_of
from comparators.claimwords import Lexicon
from comparators.wordsearch import words_present

#: Sentences that are known again. Texts are known as long as their batch, by their surest claims alone: in a hostile
#: text there are many claims, but not of many tools.
_SENTENCES_KNOWN = 4096


def readers(texts: Iterable[str], lexicons: Iterable[Lexicon]) -> dict[int, Reader]:
    """A reader of some texts for each lexicon, by its `id`. Of claims of the same tools it gives the `surest`.

    The readers are to live as long as their batch, and read none but its texts.
    """
    distinct = {id(lexicon): lexicon for lexicon in lexicons}
    verbs = frozenset().union(*(lexicon.verbs for lexicon in distinct.values()))
    read = list(dict.fromkeys(texts))
    present = {text: found for text, found in zip(read, words_present(read, verbs), strict=True) if found}
    return {key: _reader(lexicon, present) for key, lexicon in distinct.items()}


def _reader(lexicon: Lexicon, present: Mapping[str, Set[str]]) -> Reader:
    """A reader of texts by the participles, of any lexicon, that are present in each: most texts hold none."""
    of_sentence = lru_cache(_SENTENCES_KNOWN)(partial(claims_of, lexicon=lexicon))
    known: dict[str, Sequence[Claim]] = {}

    def read(text: str) -> Sequence[Claim]:
        if text not in present:
            return ()
        claims = known.get(text)
        if claims is None:
            claims = known[text] = surest(claims_by(present[text] & lexicon.verbs, text, of_sentence))
        return claims

    return read


def surest(claims: Iterable[Claim]) -> tuple[Claim, ...]:
    """Of claims of the same tools the one of the highest tier, the last of several, where the first stood."""
    found: dict[frozenset[str], Claim] = {}
    for claim in claims:
        if claim.tier >= found.get(claim.tools, claim).tier:
            found[claim.tools] = claim
    return tuple(found.values())
