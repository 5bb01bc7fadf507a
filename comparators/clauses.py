"""The clause around a word: where it begins and ends, and of what class its words are.

The grammar is small on purpose: it looks at closed classes of words around one participle, a bounded way to either
side. What it does not understand is no claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from comparators.language import Language

#: Words from a verb to either end of its clause, and of a noun before a bare participle or between "had" and one.
LONGEST_CLAUSE, LONGEST_NOUN = 48, 8
#: How most adverbs end.
ADVERB_ENDING = "ly"
#: Adverbs in front of a verb.
_MOST_ADVERBS = 5


class Clause(NamedTuple):
    """A sentence as words, in lower case as well, and the language they are of."""

    words: Sequence[str]
    low: Sequence[str]
    language: Language

    def said(self, places: range) -> Sequence[str]:
        """The words at these places, in lower case."""
        return self.low[places.start : places.stop]


def end_of_predicate(clause: Clause, place: int) -> int:
    """Behind the last word that belongs to the verb at `place`: before a coordinated verb, or another clause."""
    low, language = clause.low, clause.language
    last = min(place + LONGEST_CLAUSE, len(low))
    for at, word in enumerate(low[place + 1 : last], place + 1):
        if word not in language.parting_clauses:
            continue
        if word in (";", ":", "|") or (word.isalpha() and word in language.boundaries):
            return at
        if at + 1 < last and word in language.coordinators and is_verb(low[at + 1], language):
            return at
        if at + 1 < last and word == "and" and low[at + 1] in language.nominatives:
            return at
    return last


def beginning(low: Sequence[str], place: int, language: Language) -> int:
    """The first word of the clause that holds `place`."""
    last = max(place - LONGEST_CLAUSE, 0)
    at = place - 1
    while at >= last and not (low[at] in language.parting_clauses and begins_clause(low, at, language)):
        at -= 1
    return at + 1


def begins_clause(low: Sequence[str], at: int, language: Language) -> bool:
    """Whether a clause begins behind this word."""
    return low[at] in language.boundaries or (low[at] == "and" and low[at + 1] in language.nominatives)


def beyond_adverbs(low: Sequence[str], place: int, language: Language) -> int:
    """The first place from `place` to the left that holds no adverb; -1 if there is none."""
    last = max(place - _MOST_ADVERBS, -1)
    while place > last and is_adverb(low[place], language):
        place -= 1
    return place


def is_adverb(word: str, language: Language) -> bool:
    return word in language.adverbs or word in language.earlier or word.endswith(ADVERB_ENDING)


def is_verb(word: str, language: Language) -> bool:
    return word.endswith("ed") or word in language.irregular_forms


def is_nominal(word: str, language: Language) -> bool:
    """Whether a word can be part of a noun with its determiner: no verb, no preposition, nothing that denies."""
    return not (word in language.no_nouns or is_verb(word, language))


def is_of_self(low: Sequence[str], place: int, language: Language) -> bool:
    """Whether it is us who "have" at `place`."""
    subject = beyond_adverbs(low, place - 1, language)
    return subject >= 0 and low[subject] in language.self
