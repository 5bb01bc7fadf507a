"""Sentences turned round: a negation more or less, or one of two opposites in the other's place.

Small and precise before it is complete: what is found is mostly right, and much is not found (on public edit data about
a third of the wrong edits, negations far more often than opposites). It is a flag that sends somebody to look.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rapidfuzz import fuzz

from comparators.alignment import Aligned
from comparators.answerwords import AnswerWords
from comparators.wordscan import words_of

#: Two sentences are the same but for their cues from this similarity on (of 100).
SAME_BUT_FOR_CUES = 75.0


def may_turn(said: Iterable[tuple[Sequence[str], Sequence[str]]], words: AnswerWords) -> list[bool]:
    """Which pairs of texts, given as their telling words, deny another number of times, or hold opposites.

    Nowhere else can a sentence be turned round, but for two that are turned in opposite directions.
    """
    return [
        _denied(production, words) != _denied(replay, words) or _oppose(production, replay, words)
        for production, replay in said
    ]


def turned(pair: Aligned, words: AnswerWords) -> bool:
    """Whether one sentence says the contrary of the other.

    A negation and an opposite together say the same again: "is not enabled" is "is disabled". Beside a negation, an
    opposite on one side alone may be another way to deny ("failed" for "could not"), and nothing is said then.
    """
    one, other = words_of((pair.production, pair.replay))
    negated = _negations(one, words) % 2 != _negations(other, words) % 2
    swapped = _swapped(frozenset(one), frozenset(other), words) % 2 == 1
    if not negated:
        return swapped
    alone = (frozenset(one) ^ frozenset(other)) & (words.opposites - words.negations)
    return not swapped and not alone and _rest_is_same(one, other, words)


def _denied(said: Sequence[str], words: AnswerWords) -> int:
    return sum(word in words.negations for word in said)


def _oppose(production: Sequence[str], replay: Sequence[str], words: AnswerWords) -> bool:
    """Whether an opposite of some word of one text stands in the other."""
    theirs = frozenset(replay)
    return any(not theirs.isdisjoint(words.opposites_of.get(word, ())) for word in production)


def _negations(sentence: Sequence[str], words: AnswerWords) -> int:
    """How often something is denied: "not only" denies nothing."""
    said = ["", *sentence, ""]
    return sum(
        word in words.negations
        and f"{before} {word}" not in words.no_negations
        and f"{word} {after}" not in words.no_negations
        for before, word, after in zip(said, said[1:], said[2:], strict=False)
    )


def _swapped(one: frozenset[str], other: frozenset[str], words: AnswerWords) -> int:
    """Opposites of which each sentence holds another one, and neither holds both."""
    mine, theirs = (one & words.opposites) - other, (other & words.opposites) - one
    if not mine or not theirs:
        return 0
    return sum((a in mine and b in theirs) or (b in mine and a in theirs) for a, b in words.antonyms)


def _rest_is_same(one: Sequence[str], other: Sequence[str], words: AnswerWords) -> bool:
    rest = [" ".join(word for word in side if word not in words.cues) for side in (one, other)]
    return fuzz.token_sort_ratio(*rest) >= SAME_BUT_FOR_CUES
