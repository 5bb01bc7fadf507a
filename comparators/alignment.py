"""Sentences of one answer beside those of another: what was changed, as pairs that say almost the same.

Sentences that both texts hold are set aside, as often as both do. Of the rest two are a pair if each is the other's
most similar one, and similar enough. The order of sentences does not matter, and which side is which does not either.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from rapidfuzz import fuzz, process

from comparators.text import normalise_all

#: Sentences at least this similar (of 100, words in any order) say almost the same.
SAME_SENTENCE = 50.0
#: Characters of a text that are read, changed sentences of a text, and characters of one that are compared.
MAX_CHARACTERS, MAX_CHANGED = 100_000, 120
_COMPARED = 300

# It begins with the characters it looks for, so that `re` skips to them.
_SENTENCE_END = re.compile(r"[.!?\n](?:(?<=\n)|\s)")


class Sentence(NamedTuple):
    """In normal form, and as it was written."""

    normal: str
    written: str


class Aligned(NamedTuple):
    """Two sentences in each other's place, in normal form, and as they were written."""

    production: str
    replay: str
    written: tuple[str, str]


def sentences(text: str) -> list[str]:
    """The sentences of a text, as they were written."""
    ends = [0, *(found.end() for found in _SENTENCE_END.finditer(text)), len(text)]
    return [sentence for start, end in pairwise(ends) if (sentence := text[start:end].strip())]


def changed(production: str, replay: str) -> tuple[list[Sentence], list[Sentence]]:
    """The sentences of each text that the other does not hold, in order."""
    sides = [sentences(text) for text in (production, replay)]
    ours, theirs = (list(map(Sentence, normalise_all(side), side)) for side in sides)
    return beyond(ours, theirs), beyond(theirs, ours)


def align_all(pairs: Sequence[tuple[str, str]]) -> list[list[Aligned] | None]:
    """The changed sentences of each pair of texts; null where there is too much to compare.

    All sentences of all pairs are normalised together; what comes of a pair does not depend on the others.
    """
    small = [max(map(len, pair)) <= MAX_CHARACTERS for pair in pairs]
    written = [
        [sentences(text) if fits else [] for text in pair] for pair, fits in zip(pairs, small, strict=True)
    ]
    normal = iter(normalise_all([sentence for pair in written for side in pair for sentence in side]))
    found: list[list[Aligned] | None] = []
    for sides, fits in zip(written, small, strict=True):
        production, replay = ([Sentence(next(normal), sentence) for sentence in side] for side in sides)
        found.append(_aligned(beyond(production, replay), beyond(replay, production)) if fits else None)
    return found


def beyond(these: Sequence[Sentence], those: Sequence[Sentence]) -> list[Sentence]:
    """Sentences of one text that the other does not hold (as often), in order."""
    budget = Counter(sentence.normal for sentence in those)
    kept = []
    for sentence in these:
        budget[sentence.normal] -= 1
        if budget[sentence.normal] < 0 and sentence.normal:
            kept.append(sentence)
    return kept


def _aligned(removed: Sequence[Sentence], added: Sequence[Sentence]) -> list[Aligned] | None:
    if not removed or not added:
        return []
    if max(len(removed), len(added)) > MAX_CHANGED:
        return None
    short = [[" ".join(sorted(sentence.normal[:_COMPARED].split())) for sentence in side] for side in (removed, added)]
    similarity = process.cdist(*short, scorer=fuzz.ratio, score_cutoff=SAME_SENTENCE)
    nearest, back = similarity.argmax(axis=1).tolist(), similarity.argmax(axis=0).tolist()
    return [
        Aligned(removed[row].normal, added[column].normal, (removed[row].written, added[column].written))
        for row, column in enumerate(nearest)
        if back[column] == row and similarity[row, column] >= SAME_SENTENCE
    ]
