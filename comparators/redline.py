"""Where two texts part, word by word, as one would mark it with a red pencil. For display, never for a score."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rapidfuzz.distance import Indel

#: Words that are compared. What is behind them is shown unmarked; a pair costs at most the product of both counts.
MAX_WORDS = 1_500
#: Words in common between two changes that are too few to hold on to: they are marked with what surrounds them.
RUN = 3
#: With more than this share changed, marks would help nobody: the texts are apart.
APART = 0.7

_WORD = re.compile(r"\S+\s*|\s+")


class Stretch(NamedTuple):
    """`changed`: the other text does not have it here."""

    text: str
    changed: bool


class Redline(NamedTuple):
    """Both texts as stretches. `apart`: they have so little in common that nothing is marked."""

    production: tuple[Stretch, ...]
    replay: tuple[Stretch, ...]
    apart: bool = False


def redline(production: str, replay: str) -> Redline:
    """Both texts as stretches; joined again, they are the texts. Words are equal up to white space and a full stop."""
    texts = tuple(_WORD.findall(text) for text in (production, replay))
    ours, theirs = ([_plain(word) for word in words[:MAX_WORDS]] for words in texts)
    marks = _marks(ours, theirs)
    changed = sum(map(sum, marks))
    if changed > APART * (len(ours) + len(theirs)):
        return Redline(tuple(_whole(production)), tuple(_whole(replay)), apart=True)
    left, right = (tuple(_joined(words, marked)) for words, marked in zip(texts, marks, strict=True))
    return Redline(left, right)


def _plain(word: str) -> str:
    bare = word.strip()
    return bare.rstrip(".") or bare


def _marks(ours: Sequence[str], theirs: Sequence[str]) -> tuple[list[bool], list[bool]]:
    """Which words of either text are changed."""
    marks = [False] * len(ours), [False] * len(theirs)
    steps = list(Indel.opcodes(ours, theirs))
    for number, step in enumerate(steps):
        between = 0 < number < len(steps) - 1
        if step.tag != "equal" or (between and step.src_end - step.src_start < RUN):
            marks[0][step.src_start : step.src_end] = [True] * (step.src_end - step.src_start)
            marks[1][step.dest_start : step.dest_end] = [True] * (step.dest_end - step.dest_start)
    return marks


def _whole(text: str) -> Iterator[Stretch]:
    if text:
        yield Stretch(text, changed=False)


def _joined(words: Sequence[str], compared: Sequence[bool]) -> Iterator[Stretch]:
    start, marked = 0, [*compared, *([False] * (len(words) - len(compared)))]
    for index in range(1, len(words) + 1):
        if index == len(words) or marked[index] != marked[start]:
            yield Stretch("".join(words[start:index]), marked[start])
            start = index
