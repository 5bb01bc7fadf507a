"""The claims of a batch of texts, stage by stage, each text and each sentence once.

Answers of two sides mostly share sentences, those of a batch often all of them. A sentence is read by itself, so that
no result depends on what else is in its batch. One stage follows another for all texts, as the same code on many texts
runs faster than all code on each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from comparators.claimscan import Claim, claims_of, may_tell, telling
from comparators.claimwords import Lexicon
from comparators.wordsearch import Hit, search

#: Claims by text: of claims of the same tools the `surest`. A text without claims may be missing.
TextClaims: TypeAlias = Mapping[str, Sequence[Claim]]
#: A text and the `id` of the lexicon it is read by. Lexicons are compared by identity: they are large.
_Asked: TypeAlias = tuple[str, int]

#: Characters that are read together. What is known of their sentences is forgotten then, as there may be many claims
#: in hostile texts; what stays are those of different tools.
_PORTION = 1 << 20
#: The sign for kelvin, the one letter beyond ASCII that is one of ASCII in lower case.
_KELVIN = "\u212a"


def claims_of_batch(asked: Iterable[tuple[str, Lexicon]]) -> dict[int, TextClaims]:
    """What each text claims by its lexicon: by the `id` of the lexicon, and text. Linear in the texts."""
    lexicons: dict[int, Lexicon] = {}
    distinct: dict[_Asked, None] = {}
    for text, lexicon in asked:
        lexicons[id(lexicon)] = lexicon
        distinct[text, id(lexicon)] = None
    found: dict[int, dict[str, Sequence[Claim]]] = {key: {} for key in lexicons}
    for portion in _portions(distinct):
        for (text, key), claims in _read(portion, lexicons):
            found[key][text] = claims
    return dict(found)


def _portions(asked: Iterable[_Asked]) -> Iterator[list[_Asked]]:
    """Runs of texts of bounded length together, or one text."""
    portion: list[_Asked] = []
    size = 0
    for each in asked:
        if portion and size + len(each[0]) > _PORTION:
            yield portion
            portion, size = [], 0
        portion.append(each)
        size += len(each[0])
    if portion:
        yield portion


def _read(asked: Sequence[_Asked], lexicons: Mapping[int, Lexicon]) -> list[tuple[_Asked, Sequence[Claim]]]:
    wanted = frozenset().union(*(lexicon.verbs for lexicon in lexicons.values()))
    hits = search([text for text, _ in asked], wanted)
    held = [(text, key, found) for (text, key), found in zip(asked, hits, strict=True) if found]
    verbs = [(text, key, _verbs(text, found, lexicons[key])) for text, key, found in held]
    told = [(text, key, telling(text, some)) for text, key, some in verbs if some]
    distinct = dict.fromkeys((sentence, key) for _, key, sentences in told for sentence in sentences)
    known = {(sentence, key): claims_of(sentence, lexicons[key]) for sentence, key in distinct}
    return [
        ((text, key), surest([claim for sentence in sentences for claim in known[sentence, key]]))
        for text, key, sentences in told
    ]


def _verbs(text: str, hits: Sequence[Hit], lexicon: Lexicon) -> set[str]:
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
