"""What a language contributes to reading answers: cues of negation, opposites, and phrases of stance, as data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from itertools import chain

from comparators.wordscan import vocabulary_of, words_of
from comparators.wordsearch import Vocabulary


@dataclass(frozen=True)
class Phrases:
    """Finds phrases in texts. Each has a sign without which it is not looked for: a negation, else its longest word."""

    phrases: tuple[str, ...]
    negations: frozenset[str]

    @cached_property
    def _by_sign(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for phrase in self.phrases:
            (words,) = words_of([phrase])
            sign = max(reversed(words), key=lambda word: (word in self.negations, len(word)))
            found.setdefault(sign, []).append(phrase)
        return found

    @cached_property
    def signs(self) -> frozenset[str]:
        return frozenset(self._by_sign)

    def stand_in(self, text: str, said: Iterable[str]) -> bool:
        """Whether one of them stands in a text in normal form; `said` are its words that are signs, or more."""
        phrases = (self._by_sign[sign] for sign in self.signs.intersection(said))
        return any(map(text.__contains__, chain.from_iterable(phrases)))


@dataclass(frozen=True)
class AnswerWords:
    """Words and phrases in normal form (`text.normalise_all`)."""

    negations: frozenset[str]
    #: Two words of which one is a negation, and which deny nothing: *not only*.
    no_negations: frozenset[str]
    #: Words between a negation and what it denies: *not yet been*.
    between_denied: frozenset[str]
    #: Pairs of opposites. In each other's place they turn a sentence round.
    antonyms: tuple[tuple[str, str], ...]
    #: At the head of an answer they refuse, unless one of `abilities` stands there too: what was not found is told.
    inabilities: tuple[str, ...]
    abilities: tuple[str, ...]
    #: Who answers does not stand by it.
    uncertain: tuple[str, ...]
    #: Questions that only round an answer off.
    courtesies: tuple[str, ...]

    @cached_property
    def refusing(self) -> Phrases:
        return Phrases(self.inabilities, self.negations)

    @cached_property
    def hedging(self) -> Phrases:
        return Phrases(self.uncertain, self.negations)

    @cached_property
    def telling(self) -> Vocabulary:
        """Words without which an answer neither contradicts nor takes a stance: all others need no second look."""
        return vocabulary_of(self.cues | self.refusing.signs | self.hedging.signs)

    @cached_property
    def opposites(self) -> frozenset[str]:
        return frozenset(word for pair in self.antonyms for word in pair)

    @cached_property
    def opposites_of(self) -> Mapping[str, frozenset[str]]:
        """The opposites of each word that has one."""
        both = [*self.antonyms, *((other, one) for one, other in self.antonyms)]
        return {word: frozenset(other for one, other in both if one == word) for word in self.opposites}

    @cached_property
    def cues(self) -> frozenset[str]:
        """Every word without which two sentences do not contradict each other here."""
        return self.negations | self.opposites


@cache
def english_answers() -> AnswerWords:
    """English, from the file that ships with the package."""
    text = files("comparators").joinpath("data/english-answers.json").read_text(encoding="utf-8")
    fields = json.loads(text)
    return AnswerWords(
        negations=frozenset(fields["negations"]),
        no_negations=frozenset(fields["no_negations"]),
        between_denied=frozenset(fields["between_denied"]),
        antonyms=tuple((one, other) for one, other in fields["antonyms"]),
        inabilities=tuple(fields["inabilities"]),
        abilities=tuple(fields["abilities"]),
        uncertain=tuple(fields["uncertain"]),
        courtesies=tuple(fields["courtesies"]),
    )
