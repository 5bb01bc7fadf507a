"""Sentences turned round: a negation more or less, or one of two opposites in the other's place.

Small and precise before it is complete: what is found is mostly right, and much is not found (on public edit data about
a third of the wrong edits, negations far more often than opposites). It is a flag that sends somebody to look.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from rapidfuzz import fuzz

from comparators.alignment import Aligned
from comparators.answerbatch import AnswerBatch
from comparators.answerwords import AnswerWords
from comparators.ragged import Ragged
from comparators.spec import Bools, Ints
from comparators.wordscan import words_of

#: Two sentences are the same but for their cues from this similarity on (of 100).
SAME_BUT_FOR_CUES = 75.0
#: Bits of a number beside that of its row.
_BITS = 32
#: So many words are searched for in a text one by one.
_FEW = 16


class _Side(NamedTuple):
    """Telling words of one side of all pairs: whose they are, and their numbers."""

    rows: Ints
    numbers: Ints


def may_turn(batch: AnswerBatch) -> list[bool]:
    """In which pairs with two answers these deny another number of times, or hold opposites, by their telling words.

    Nowhere else can a sentence be turned round, but for two that are turned in opposite directions.
    """
    words = batch.words
    names, numbered = batch.numbered
    sides = [_Side(*side) for side in numbered]
    turns = _weigh(sides, names, words, len(batch.both))
    turns[_oppose(sides, names, words)] = True
    turns[_lack_opposites(sides, names, words)] = True
    turns[list(_deny_a_word(sides, names, batch))] = True
    may: list[bool] = turns.tolist()
    return may


def _weigh(sides: Sequence[_Side], names: Sequence[str], words: AnswerWords, pairs: int) -> Bools:
    """Where something may be denied more often here than there; first words of `denials` count apart."""
    weights = np.array([words.weights.get(name, 0) for name in names], np.float64)
    one, other = (np.bincount(side.rows, weights[side.numbers], pairs) for side in sides)
    turns: Bools = one != other
    return turns


def _oppose(sides: Sequence[_Side], names: Sequence[str], words: AnswerWords) -> Ints:
    """The rows in which a word stands in one text, and an opposite of it in the other."""
    meanings = Ragged.of([words.meanings.get(name, ()) for name in names])
    taken = [(side.rows, *meanings.take(side.numbers)) for side in sides]
    ours, theirs = (_keyed(rows[places], numbers) for rows, places, numbers in taken)
    theirs ^= 1
    theirs.sort()
    there = np.append(theirs, -1)[np.searchsorted(theirs, ours)]
    rows: Ints = ours[there == ours] >> _BITS
    return rows


def _lack_opposites(sides: Sequence[_Side], names: Sequence[str], words: AnswerWords) -> Ints:
    """The rows in which a word stands in one text alone whose opposite stands in most texts."""
    against = np.array([name in words.against_common for name in names])
    ours, theirs = (_keyed(side.rows, side.numbers)[against[side.numbers]] for side in sides)
    rows: Ints = np.setxor1d(ours, theirs) >> _BITS
    return rows


def _keyed(rows: Ints, numbers: Ints) -> Ints:
    """Row and number as one."""
    keys: Ints = (rows << _BITS) | numbers
    return keys


def _deny_a_word(sides: Sequence[_Side], names: Sequence[str], batch: AnswerBatch) -> Iterator[int]:
    """The rows in which a word of one text begins so that it is the contrary of what stands in the other.

    Only of pairs whose telling words differ: what both say is not turned round.
    """
    plain, positive = batch.words.plain, batch.words.positive
    denied = {number: f" {word}" for number, name in enumerate(names) if name not in plain and (word := positive(name))}
    denies = np.zeros(len(names), np.bool_)
    denies[list(denied)] = True
    differ = _differ(sides, len(batch.both))
    for side, texts in zip(sides, (batch.right, batch.left), strict=True):
        hits = np.flatnonzero(denies[side.numbers] & differ[side.rows])
        rows, firsts = np.unique(side.rows[hits], return_index=True)
        words = [denied[number] for number in side.numbers[hits].tolist()]
        ends = pairwise([*firsts.tolist(), len(words)])
        yield from (
            row
            for row, (start, end) in zip(rows.tolist(), ends, strict=True)
            if _any_begins(texts[row], words[start:end])
        )


def _any_begins(text: str, beginnings: Sequence[str]) -> bool:
    """Whether some word behind a space begins so. Many are looked up, so that it takes no search of the text for each.

    Each of `beginnings` has a space in front.
    """
    if len(beginnings) <= _FEW:
        return any(beginning in text for beginning in beginnings)
    words = sorted(f" {word}" for word in text.split(" ")[1:])
    places = ((begin, bisect_left(words, begin)) for begin in beginnings)
    return any(place < len(words) and words[place].startswith(begin) for begin, place in places)


def _differ(sides: Sequence[_Side], pairs: int) -> Bools:
    """Where the words of a pair are not the same."""
    one, other = (np.bincount(side.rows, minlength=pairs) for side in sides)
    differ: Bools = one != other
    ours, theirs = (_Side(*(each[~differ[side.rows]] for each in side)) for side in sides)
    differ[ours.rows[ours.numbers != theirs.numbers]] = True
    return differ


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
