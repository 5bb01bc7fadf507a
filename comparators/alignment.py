"""Sentences of one answer beside those of another: what was changed, as pairs that say almost the same.

Sentences that both texts hold are set aside, as often as both do. Of the rest two are a pair if each is the other's
most similar one, and similar enough. The order of sentences does not matter, and which side is which does not either.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice, pairwise
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


class Aligned(NamedTuple):
    """Two sentences in each other's place, in normal form, and as they were written."""

    production: str
    replay: str
    written: tuple[str, str]


def sentences(text: str) -> list[str]:
    """The sentences of a text, as they were written."""
    ends = [0, *(found.end() for found in _SENTENCE_END.finditer(text)), len(text)]
    return [sentence for start, end in pairwise(ends) if (sentence := text[start:end].strip())]


def changed(production: str, replay: str) -> tuple[list[str], list[str]]:
    """The sentences of each text that the other does not hold, as they were written, in order."""
    written = sentences(production), sentences(replay)
    places = _changed(*map(normalise_all, written))
    ours, theirs = ([side[place] for place in alone] for side, alone in zip(written, places, strict=True))
    return ours, theirs


def align_all(pairs: Sequence[tuple[str, str]]) -> list[list[Aligned] | None]:
    """The changed sentences of each pair of texts; null where there is too much to compare.

    All sentences of all pairs are normalised together; what comes of a pair does not depend on the others.
    """
    small = [max(map(len, pair)) <= MAX_CHARACTERS for pair in pairs]
    written = [
        [sentences(text) if fits else [] for text in pair] for pair, fits in zip(pairs, small, strict=True)
    ]
    normal = iter(normalise_all([sentence for pair in written for side in pair for sentence in side]))
    sides = [[list(islice(normal, len(side))) for side in pair] for pair in written]
    return [_aligned(*each) if fits else None for *each, fits in zip(sides, written, small, strict=True)]


def _changed(production: Sequence[str], replay: Sequence[str]) -> tuple[list[int], list[int]]:
    """Places of the sentences of either text, in normal form, that the other does not hold (as often)."""
    return _beyond(production, replay), _beyond(replay, production)


def _beyond(these: Sequence[str], those: Sequence[str]) -> list[int]:
    budget = Counter(those)
    kept = []
    for place, sentence in enumerate(these):
        if budget[sentence] > 0:
            budget[sentence] -= 1
        elif sentence:
            kept.append(place)
    return kept


def _aligned(normal: Sequence[Sequence[str]], written: Sequence[Sequence[str]]) -> list[Aligned] | None:
    removed, added = _changed(*normal)
    if not removed or not added:
        return []
    if max(len(removed), len(added)) > MAX_CHANGED:
        return None
    ours, theirs = normal
    short = [_sorted_words(ours[place]) for place in removed], [_sorted_words(theirs[place]) for place in added]
    return [
        Aligned(ours[one], theirs[other], (written[0][one], written[1][other]))
        for row, column in _nearest(*short)
        for one, other in ((removed[row], added[column]),)
    ]


def _sorted_words(sentence: str) -> str:
    return " ".join(sorted(sentence[:_COMPARED].split()))


def _nearest(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """Rows and columns of texts of which each is the other's most similar one, and similar enough."""
    similarity = process.cdist(ours, theirs, scorer=fuzz.ratio, score_cutoff=SAME_SENTENCE)
    nearest, back = similarity.argmax(axis=1).tolist(), similarity.argmax(axis=0).tolist()
    return [
        (row, column)
        for row, column in enumerate(nearest)
        if back[column] == row and similarity[row, column] >= SAME_SENTENCE
    ]
