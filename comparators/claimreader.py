"""The claims of a batch of texts: each text is read once, and each sentence.

Answers of two sides mostly share sentences, those of a batch often all of them. What is known again is a pure function
of the text, so that no result depends on what else is in its batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial

from comparators.claimscan import Claim, Reader, claims_by, claims_of, may_tell
from comparators.claimwords import Lexicon
from comparators.wordsearch import Hit, search

#: Sentences that are known again. Texts are known as long as their batch, by their surest claims alone: in a hostile
#: text there are many claims, but not of many tools.
_SENTENCES_KNOWN = 4096
#: The sign for kelvin, the one letter beyond ASCII that becomes one of it in lower case.
_KELVIN = "\u212a"


def readers(texts: Iterable[str], lexicons: Iterable[Lexicon]) -> dict[int, Reader]:
    """A reader of some texts for each lexicon, by its `id`. Of claims of the same tools it gives the `surest`.

    The readers are to live as long as their batch, and read none but its texts.
    """
    distinct = {id(lexicon): lexicon for lexicon in lexicons}
    verbs = frozenset().union(*(lexicon.verbs for lexicon in distinct.values()))
    read = list(dict.fromkeys(texts))
    hits = {text: found for text, found in zip(read, search(read, verbs), strict=True) if found}
    return {key: _reader(lexicon, hits) for key, lexicon in distinct.items()}


def _reader(lexicon: Lexicon, hits: Mapping[str, Sequence[Hit]]) -> Reader:
    """A reader of texts by the participles, of any lexicon, that were found in them: most texts hold none."""
    of_sentence = lru_cache(_SENTENCES_KNOWN)(partial(claims_of, lexicon=lexicon))
    known: dict[str, Sequence[Claim]] = {}

    def read(text: str) -> Sequence[Claim]:
        if text not in hits:
            return ()
        claims = known.get(text)
        if claims is None:
            verbs = _telling(text, hits[text], lexicon)
            claims = known[text] = surest(claims_by(verbs, text, of_sentence)) if verbs else ()
        return claims

    return read


def _telling(text: str, hits: Sequence[Hit], lexicon: Lexicon) -> set[str]:
    """The participles of the lexicon that can claim something; where a letter hides one, they all."""
    hidden = _KELVIN in text
    return {hit.word for hit in hits if hit.word in lexicon.verbs and (hidden or may_tell(hit, lexicon.language))}


def surest(claims: Iterable[Claim]) -> tuple[Claim, ...]:
    """Of claims of the same tools the one of the highest tier, the last of several, where the first stood."""
    found: dict[frozenset[str], Claim] = {}
    for claim in claims:
        if claim.tier >= found.get(claim.tools, claim).tier:
            found[claim.tools] = claim
    return tuple(found.values())
