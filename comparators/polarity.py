"""Sentences turned round: a negation more or less, or one of two opposites in the other's place.

Small and precise before it is complete: what is found is mostly right, and much is not found (on public edit data about
a third of the wrong edits, negations far more often than opposites). It is a flag that sends somebody to look.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise, repeat

from rapidfuzz import fuzz

from comparators.alignment import Aligned
from comparators.answerwords import AnswerWords
from comparators.wordscan import words_of

#: Two sentences are the same but for their cues from this similarity on (of 100).
SAME_BUT_FOR_CUES = 75.0


def may_turn(
    said: Iterable[tuple[Sequence[str], Sequence[str]]], texts: Iterable[tuple[str, str]], words: AnswerWords
) -> list[bool]:
    """Which pairs of texts, with their telling words, deny another number of times, or hold opposites.

    Nowhere else can a sentence be turned round, but for two that are turned in opposite directions.
    """
    return [
        (one != other and _weigh(one, other, words))
        or _oppose(one, other, words)
        or (one != other and _denies_a_word(one, other, *both, words))
        for (one, other), both in zip(said, texts, strict=True)
    ]


def _weigh(production: Sequence[str], replay: Sequence[str], words: AnswerWords) -> bool:
    """Whether something may be denied more often here than there; first words of `denials` count apart."""
    weight = words.weights.get
    return sum(map(weight, production, repeat(0))) != sum(map(weight, replay, repeat(0)))


def _denies_a_word(
    production: Sequence[str], replay: Sequence[str], here: str, there: str, words: AnswerWords
) -> bool:
    """Whether a word of one text begins so that it is the contrary of what stands in the other."""
    sides = ((production, there), (replay, here))
    return any(
        f" {denied}" in text
        for side, text in sides
        for word in frozenset(side) - words.plain
        if (denied := words.positive(word))
    )


def turned(pair: Aligned, words: AnswerWords) -> bool:
    """Whether one sentence says the contrary of the other.

    A negation and an opposite together say the same again: "is not enabled" is "is disabled". Beside a negation, an
    opposite on one side alone may be another way to deny ("failed" for "could not"), and nothing is said then. Nor is
    where a word that may deny, or sets a condition, stands on one side alone, nor of what was put the other way about:
    "more in May than in June" is "less in June than in May".
    """
    sides, replies = zip(*(_without_reply(text, words) for text in (pair.production, pair.replay)), strict=True)
    one, other = words_of(sides)
    alone = frozenset(one) ^ frozenset(other)
    if not words.conditions.isdisjoint(alone) or not _rest_is_same(one, other, words):
        return False
    if all(replies) and replies[0] != replies[1]:
        return True
    negated = _negations(one, words) % 2 != _negations(other, words) % 2
    swapped = _swapped(one, other, words) % 2 == 1
    if not negated:
        return swapped and not _is_converse(one, other, words)
    return not swapped and not _may_deny(one, other, words) and not _may_deny(other, one, words)


def _without_reply(sentence: str, words: AnswerWords) -> tuple[str, str]:
    """The sentence, and the reply that stood in front of it, which is held against a reply only."""
    reply = words.reply.match(sentence)
    return (sentence[reply.end() :], reply[1]) if reply else (sentence, "")


def _oppose(production: Sequence[str], replay: Sequence[str], words: AnswerWords) -> bool:
    """Whether an opposite of some word of one text stands in the other, or may, as it does in most texts."""
    opposed = words.opposites.intersection(production)
    if opposed and not all(map(frozenset(replay).isdisjoint, map(words.opposites_of.__getitem__, opposed))):
        return True
    return production != replay and not words.against_common.isdisjoint(frozenset(production) ^ frozenset(replay))


def _negations(sentence: Sequence[str], words: AnswerWords) -> int:
    """How often something is denied: "not only" denies nothing, nor does what stands behind "let me know if"."""
    said = ["", *sentence, ""]
    count = 0
    for before, word, after in zip(said, said[1:], said[2:], strict=False):
        if word in words.doubts or f"{word} {after}" in words.doubts:
            break
        count += f"{word} {after}" in words.denials
        count += (
            word in words.negations
            and f"{before} {word}" not in words.no_negations
            and f"{word} {after}" not in words.no_negations
            and not (word == "no" and after.isdecimal())  # "no. 5"
        )
    return count


def _heads(sentence: Sequence[str], words: AnswerWords) -> frozenset[str]:
    """Words that are counted as negations together with the next one."""
    return frozenset(word for word, after in pairwise(sentence) if f"{word} {after}" in words.denials)


def _swapped(one: Sequence[str], other: Sequence[str], words: AnswerWords) -> int:
    """Opposites of which each sentence holds another one, and neither holds both, in any of their forms."""
    sides = frozenset(one) - _heads(one, words), frozenset(other) - _heads(other, words)
    mine, theirs = (_alone(*each, words) for each in (sides, sides[::-1]))
    here = [word for word in mine if not theirs.isdisjoint(words.opposites_of[word])]
    there = [word for word in theirs if not mine.isdisjoint(words.opposites_of[word])]
    prefixed = ((these - those - words.opposites, those) for these, those in (sides, sides[::-1]))
    denied = sum(words.positive(word) in those for these, those in prefixed for word in these)
    return max(len(here), len(there)) + denied


def _may_deny(one: Sequence[str], other: Sequence[str], words: AnswerWords) -> bool:
    """Whether a word stands on one side alone that may be another way to deny what the other side denies."""
    these, those = frozenset(one) - _heads(one, words), frozenset(other)
    left = these - those
    return (
        not words.implicit_negations.isdisjoint(left)
        or not words.negations.issuperset(_alone(left, those, words))
        or any(words.positive(word) for word in left)
    )


def _alone(these: frozenset[str], those: frozenset[str], words: AnswerWords) -> frozenset[str]:
    """Words with an opposite of which no form stands on the other side."""
    return frozenset(word for word in these & words.opposites if words.forms_of[word].isdisjoint(those))


def _is_converse(one: Sequence[str], other: Sequence[str], words: AnswerWords) -> bool:
    """Whether the same things are named in another order."""
    ours, theirs = ([word for word in side if word not in words.moving] for side in (one, other))
    return ours != theirs and Counter(ours) == Counter(theirs)


def _rest_is_same(one: Sequence[str], other: Sequence[str], words: AnswerWords) -> bool:
    content = [[word for word in side if word not in words.passing] for side in (one, other)]
    plain = [[words.positive(word) or word for word in side] for side in content]
    rest = [" ".join(word for word in side if word not in words.passing) for side in plain]
    return fuzz.token_sort_ratio(*rest) >= SAME_BUT_FOR_CUES
