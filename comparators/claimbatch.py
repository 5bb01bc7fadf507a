"""The claims of a batch of texts, stage by stage, each text and each sentence once.

Answers of two sides mostly share sentences, those of a batch often all of them. A sentence is read by itself, so that
no result depends on what else is in its batch. One stage follows another for all texts, as the same code on many texts
runs faster than all code on each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple, TypeAlias

from comparators.claimscan import Claim, claims_of, may_tell, telling, told_verbs
from comparators.claimwords import Lexicon
from comparators.clauses import Tier
from comparators.sentences import words_in
from comparators.wordsearch import Hit, search

#: Claims by text: of claims of the same tools the `surest`. A text without claims may be missing.
TextClaims: TypeAlias = Mapping[str, Sequence[Claim]]


class Reader(NamedTuple):
    """What a text is read by: the `id` of a lexicon (they are compared by identity: they are large), and whether
    loose claims are asked for."""

    lexicon: int
    loose: bool


#: A text, and what it is read by.
Asked: TypeAlias = tuple[str, Reader]

#: Characters that are read together. What is known of their sentences is forgotten then, as there may be many claims
#: in hostile texts; what stays are those of different tools.
_PORTION = 1 << 20
#: The sign for kelvin, the one letter beyond ASCII that is one of ASCII in lower case.
_KELVIN = "\u212a"


def claims_of_batch(asked: Iterable[Asked], lexicons: Mapping[int, Lexicon]) -> dict[Reader, TextClaims]:
    """What each text claims; `lexicons` are those of the readers, by `id`. Linear in the texts."""
    distinct = dict.fromkeys(asked)
    found: dict[Reader, dict[str, Sequence[Claim]]] = {reader: {} for _, reader in distinct}
    for portion in _portions(distinct):
        for (text, reader), claims in _read(portion, lexicons):
            found[reader][text] = claims
    return dict(found)


def _portions(asked: Iterable[Asked]) -> Iterator[list[Asked]]:
    """Runs of texts of bounded length together, or one text."""
    portion: list[Asked] = []
    size = 0
    for each in asked:
        if portion and size + len(each[0]) > _PORTION:
            yield portion
            portion, size = [], 0
        portion.append(each)
        size += len(each[0])
    if portion:
        yield portion


def _read(asked: Sequence[Asked], lexicons: Mapping[int, Lexicon]) -> list[tuple[Asked, Sequence[Claim]]]:
    wanted = frozenset().union(*(lexicon.wanted for lexicon in lexicons.values()))
    hits = search([text for text, _ in asked], wanted)
    held = [(text, reader, found) for (text, reader), found in zip(asked, hits, strict=True) if found]
    verbs = [(text, reader, _verbs(text, found, lexicons[reader.lexicon])) for text, reader, found in held]
    told = [(text, reader, telling(text, some, lexicons[reader.lexicon])) for text, reader, some in verbs if some]
    distinct = dict.fromkeys((sentence, reader) for _, reader, sentences in told for sentence in sentences)
    known = {
        (sentence, reader): claims_of(sentence, lexicons[reader.lexicon], loose=reader.loose)
        for sentence, reader in distinct
    }
    claimed = [
        ((text, reader), [claim for sentence in sentences for claim in known[sentence, reader]])
        for text, reader, sentences in told
    ]
    return [(each, surest(claims)) for each, claims in claimed if claims]


def _verbs(text: str, hits: Sequence[Hit], lexicon: Lexicon) -> Set[str]:
    """The participles of the lexicon that can claim something; where a letter hides one, they all."""
    opened = not lexicon.language.openers.isdisjoint([hit.word for hit in hits])
    every = opened or _KELVIN in text
    verbs = {hit.word for hit in hits if hit.word in lexicon.verbs and (every or may_tell(hit, lexicon.language))}
    return told_verbs(words_in(text), verbs, lexicon) if opened else verbs


def surest(claims: Iterable[Claim]) -> tuple[Claim, ...]:
    """Of claims of the same tools the one of the highest tier, the last of several, where the first stood. A loose
    one says nothing beside another of one of its tools."""
    found: dict[frozenset[str], Claim] = {}
    for claim in claims:
        if claim.tier >= found.get(claim.tools, claim).tier:
            found[claim.tools] = claim
    sure = frozenset().union(*(claim.tools for claim in found.values() if claim.tier is not Tier.LOOSE))
    return tuple(it for it in found.values() if it.tier is not Tier.LOOSE or sure.isdisjoint(it.tools))
