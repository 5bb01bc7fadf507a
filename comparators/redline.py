"""Where two texts part, word by word, as one would mark it with a red pencil. For display, never for a score."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rapidfuzz.distance import Indel

#: Words that are compared. What is behind them is shown unmarked; a pair costs at most the product of both counts.
MAX_WORDS = 1_500
#: With less than this in common, marks between single words would help nobody: each text is one mark.
_IN_COMMON = 0.25

_WORD = re.compile(r"\S+\s*|\s+")


class Stretch(NamedTuple):
    """`changed`: the other text does not have it here."""

    text: str
    changed: bool


class Redline(NamedTuple):
    production: tuple[Stretch, ...]
    replay: tuple[Stretch, ...]


def redline(production: str, replay: str) -> Redline:
    """Both texts as stretches; joined again, they are the texts. Words are equal when they are, white space apart."""
    texts = tuple(_WORD.findall(text) for text in (production, replay))
    ours, theirs = ([word.strip() for word in words[:MAX_WORDS]] for words in texts)
    if Indel.normalized_similarity(ours, theirs) < _IN_COMMON:
        return Redline(*(tuple(_whole(text)) for text in (production, replay)))
    marks = [[False] * len(words) for words in texts]
    for step in Indel.opcodes(ours, theirs):
        if step.tag != "equal":
            marks[0][step.src_start : step.src_end] = [True] * (step.src_end - step.src_start)
            marks[1][step.dest_start : step.dest_end] = [True] * (step.dest_end - step.dest_start)
    return Redline(*(tuple(_joined(words, marked)) for words, marked in zip(texts, marks, strict=True)))


def _whole(text: str) -> Iterator[Stretch]:
    if text:
        yield Stretch(text, changed=True)


def _joined(words: Sequence[str], marked: Sequence[bool]) -> Iterator[Stretch]:
    start = 0
    for index in range(1, len(words) + 1):
        if index == len(words) or marked[index] != marked[start]:
            yield Stretch("".join(words[start:index]), marked[start])
            start = index
