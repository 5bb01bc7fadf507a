"""The claims of a batch of texts, stage by stage, each text, each line and each sentence once.

Answers of two sides mostly share sentences, those of a batch often all of them. A sentence is read by itself, so that
no result depends on what else is in its batch. One stage follows another for all texts, as the same code on many texts
runs faster than all code on each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import chain
from typing import NamedTuple, TypeAlias

from comparators.claimform import Tier
from comparators.claimhits import claim_hits, claim_words
from comparators.claimscan import Claim, claims_of
from comparators.claimsentences import Held, telling, verbs_in
from comparators.claimwords import Lexicon

#: Claims by text: of claims of the same tools the `surest`. A text without claims may be missing.
TextClaims: TypeAlias = Mapping[str, Sequence[Claim]]


class Reader(NamedTuple):
    """What a text is read by: the `id` of a lexicon (they are compared by identity: they are large), and whether
    loose claims are asked for."""

    lexicon: int
    loose: bool


#: Characters that are read together. What is known of their sentences is forgotten then, as there may be many claims
#: in hostile texts; what stays are those of different tools.
_PORTION = 1 << 20
#: The sign for kelvin, the one letter beyond ASCII that is one of ASCII in lower case.
_KELVIN = "\u212a"


def claims_of_batch(asked: Mapping[Reader, Iterable[str]], lexicons: Mapping[int, Lexicon]) -> dict[Reader, TextClaims]:
    """What the texts of each reader claim; `lexicons` are those of the readers, by `id`. Linear in the texts."""
    distinct = {reader: list(dict.fromkeys(texts)) for reader, texts in asked.items()}
    every = next(iter(distinct.values())) if len(distinct) == 1 else dict.fromkeys(chain(*distinct.values()))
    hits = claim_hits(list(every), claim_words(lexicons.values())) if lexicons else {}
    return {reader: _claims(texts, hits, lexicons[reader.lexicon], reader) for reader, texts in distinct.items()}


def _claims(texts: Sequence[str], hits: Mapping[str, Set[str]], lexicon: Lexicon, reader: Reader) -> TextClaims:
    held = [(text, _verbs(text, hits.get(text, _NONE), lexicon)) for text in texts if text in hits or _KELVIN in text]
    found: dict[str, Sequence[Claim]] = {}
    for portion in _portions(each for each in held if each[1]):
        found.update(_read(portion, lexicon, loose=reader.loose))
    return found


_NONE: frozenset[str] = frozenset()


def _verbs(text: str, hits: Set[str], lexicon: Lexicon) -> Set[str]:
    """The verbs of the lexicon that can claim something; where a word opens another form, or a letter hides one, they
    all."""
    if _KELVIN in text or not lexicon.language.openers.isdisjoint(hits):
        return verbs_in(text, lexicon)
    return lexicon.verbs & hits


def _portions(held: Iterable[Held]) -> Iterator[list[Held]]:
    """Runs of texts of bounded length together, or one text."""
    portion: list[Held] = []
    size = 0
    for each in held:
        if portion and size + len(each[0]) > _PORTION:
            yield portion
            portion, size = [], 0
        portion.append(each)
        size += len(each[0])
    if portion:
        yield portion


def _read(held: Sequence[Held], lexicon: Lexicon, *, loose: bool) -> Iterator[tuple[str, Sequence[Claim]]]:
    told = telling(held, lexicon.language)
    known = claims_of(chain(*told), lexicon, loose=loose)
    for (text, _), sentences in zip(held, told, strict=True):
        claims = [claim for sentence in sentences for claim in known.get(sentence, ())]
        if claims:
            yield text, surest(claims)


def surest(claims: Iterable[Claim]) -> tuple[Claim, ...]:
    """Of claims of the same tools the one of the highest tier, the last of several, where the first stood. A loose
    one says nothing beside another of one of its tools."""
    found: dict[frozenset[str], Claim] = {}
    for claim in claims:
        if claim.tier >= found.get(claim.tools, claim).tier:
            found[claim.tools] = claim
    sure = frozenset().union(*(claim.tools for claim in found.values() if claim.tier is not Tier.LOOSE))
    return tuple(it for it in found.values() if it.tier is not Tier.LOOSE or sure.isdisjoint(it.tools))
