"""Where texts may claim something: one vectorised pass over many, in front of the grammar.

A participle has a form behind a word only if that is one that may lead it (`Language.leading`) or an adverb, if it
ends what is told ("Order cancelled"), or if a word opens another form in its sentence: "I *had* the order cancelled".
Such an opener needs a leading word in front as well. What fails that, a single space from its neighbours, is left out:
"your cancelled order", "it cannot be cancelled.", "if you booked it". What is found is not yet read: it may be too
much, never too little.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from comparators.claimwords import Lexicon
from comparators.clauses import ADVERB_ENDING
from comparators.sentences import LETTERS_ONLY
from comparators.spec import Bools, Ints
from comparators.wordsearch import MARGIN, SLOT_BITS, Words, firsts, in_ascii, portions, slots, slots_of

#: What a word is to a claim, one bit each. Words may share a slot: no bit leaves a word out that would stay without it.
_PARTICIPLE, _OPENER, _LEADING = 1, 2, 4
_SPACE = ord(" ")
#: Stands between texts: no space, so that no word stands beside one of another text.
_BETWEEN = b"\n"


@dataclass(frozen=True)
class ClaimWords:
    """What to look for, in words of ASCII letters in lower case."""

    participles: frozenset[str]
    openers: frozenset[str]
    leading: frozenset[str]
    no_nouns: frozenset[str]

    @cached_property
    def sought(self) -> frozenset[str]:
        return self.participles | self.openers

    @cached_property
    def table(self) -> NDArray[np.uint8]:
        """uint8[2**16]: what the words of each slot are to a claim."""
        table = np.zeros(1 << SLOT_BITS, np.uint8)
        for kind, words in ((_PARTICIPLE, self.participles), (_OPENER, self.openers), (_LEADING, self.leading)):
            table[slots_of(words)] |= kind
        return table


def claim_words(lexicons: Iterable[Lexicon]) -> ClaimWords:
    """The words of all these lexicons. What is no noun to one language alone may be one."""
    known = list(lexicons)
    languages = [lexicon.language for lexicon in known]
    return _claim_words(
        frozenset().union(*(lexicon.verbs for lexicon in known)),
        frozenset().union(*(language.openers for language in languages)),
        frozenset().union(*(language.leading for language in languages)),
        languages[0].no_nouns.intersection(*(language.no_nouns for language in languages)),
    )


@lru_cache(maxsize=64)
def _claim_words(*kinds: frozenset[str]) -> ClaimWords:
    """The same few words are looked for in batch after batch."""
    return ClaimWords(*kinds)


def claim_hits(texts: Sequence[str], words: ClaimWords) -> dict[str, set[str]]:
    """The participles of texts that may have a form, and the openers that may open one. Linear in the texts."""
    found: dict[str, set[str]] = {}
    for part in portions(texts):
        for row, word in _hits(part, words):
            found.setdefault(part[row], set()).add(word)
    return found


class _Places(NamedTuple):
    """Where words begin and end that may claim something, and where the one before begins: at the same place if that
    makes no difference."""

    before: Ints
    starts: Ints
    ends: Ints


def _hits(texts: Sequence[str], words: ClaimWords) -> Iterator[tuple[int, str]]:
    """The words that are found, and whose they are."""
    encoded = in_ascii(texts)
    raw = b"".join((b" " * (MARGIN - 1), _BETWEEN, _BETWEEN.join(encoded), _BETWEEN))
    low = raw.translate(LETTERS_ONLY)
    places = _places(raw, low, words)
    rows = np.searchsorted(firsts(encoded), places.starts, side="right") - 1
    said = low.decode("ascii")
    for row, before, start, end in zip(rows.tolist(), *(each.tolist() for each in places), strict=True):
        word = said[start:end]
        if word in words.sought and said[before : start - 1] not in words.no_nouns:
            yield row, word


def _places(raw: bytes, low: bytes, words: ClaimWords) -> _Places:
    """Which words may be claim words in a place where they count; few others."""
    _, starts, ends, keys = Words.of(low)
    kinds = words.table[slots(keys)]
    every = np.flatnonzero(kinds & (_PARTICIPLE | _OPENER))
    # The first and the last word are held against each other, which stand further away than a space.
    before, after = every - 1, (every + 1) % max(len(starts), 1)
    signs = np.frombuffer(raw, np.uint8)
    follows = _spaced(signs, ends[before], starts[every]) & ~_leads(low, ends[before], kinds[before])
    goes_on = _spaced(signs, ends[every], starts[after]) | (kinds[every] & _PARTICIPLE == 0)
    kept = ~(follows & goes_on)
    some = every[kept]
    alone = (follows & (signs[starts[before] - 1] == _SPACE))[kept]
    return _Places(np.where(alone, starts[some - 1], starts[some]), starts[some], ends[some])


def _spaced(signs: NDArray[np.uint8], ends: Ints, starts: Ints) -> Bools:
    """Whether nothing but a single space stands between what ends and what starts there."""
    found: Bools = (starts - ends == 1) & (signs[ends] == _SPACE)
    return found


def _leads(low: bytes, ends: Ints, kinds: NDArray[np.uint8]) -> Bools:
    """Whether words may lead a participle: those that are known to, and all that end as adverbs do."""
    letters = np.frombuffer(low, np.uint8)
    adverbs = np.ones(len(ends), np.bool_)
    for back, letter in enumerate(reversed(ADVERB_ENDING), 1):
        adverbs &= letters[ends - back] == ord(letter)
    found: Bools = adverbs | (kinds & _LEADING != 0)
    return found
