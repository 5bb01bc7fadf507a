"""Reads figures: walks through a short passage of a text, from one written figure to the next.

What a token is that no pattern finds (`figureforms`), if it holds a digit, is a name and equals only itself: "W-12/b".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

from comparators.figure import LONGEST_NUMBER, Figure
from comparators.figureforms import BEFORE, FigureForms, begins
from comparators.figuresense import FigureSense, Reading, named
from comparators.figurewords import FigureWords, english_figures

#: Passages that a reader remembers.
_REMEMBERED = 8192


class _Way(NamedTuple):
    """A way to write figures, and how it is read."""

    pattern: re.Pattern[str]
    read: Reading


@dataclass(frozen=True)
class FigureReader:
    """Reads passages in normal form by the words of a language."""

    words: FigureWords

    def read(self, passage: str) -> tuple[Figure, ...]:
        """The figures of a passage of a few words, in order. Short ones are remembered: many answers hold the same."""
        found = self._seen.get(passage)
        if found is None:
            found = tuple(self._figures(passage))
            if len(passage) <= LONGEST_NUMBER:
                if len(self._seen) >= _REMEMBERED:
                    self._seen.clear()
                self._seen[passage] = found
        return found

    def read_all(self, passages: Iterable[str]) -> list[tuple[Figure, ...]]:
        """The figures of each passage."""
        seen, read = self._seen.get, self.read
        return [seen(passage) or read(passage) for passage in passages]

    @cached_property
    def _seen(self) -> dict[str, tuple[Figure, ...]]:
        return {}

    @cached_property
    def _ways(self) -> Mapping[str, tuple[_Way, ...]]:
        """By what they begin with, in the order they are tried."""
        forms, readings = FigureForms(self.words).by_begin, FigureSense(self.words).readings
        return {
            begin: tuple(_Way(pattern, readings[form]) for pattern, form in written) for begin, written in forms.items()
        }

    def _figures(self, passage: str) -> Iterator[Figure]:
        at = 0
        while at < len(passage):
            found, at = self._at(passage, at)
            yield from found

    def _at(self, passage: str, at: int) -> tuple[Iterable[Figure], int]:
        """The figures that a token begins with, and where the next ones may begin."""
        end = _token_end(passage, at)
        if end - at <= LONGEST_NUMBER:
            for pattern, read in self._ways[begins(_inside(passage, at))]:
                match = pattern.match(passage, at)
                if match is not None:
                    return read(match), _next(passage, match.end())
        return named(passage[at:end]), end + 1


def _token_end(passage: str, at: int) -> int:
    space = passage.find(" ", at)
    return len(passage) if space < 0 else space


def _inside(passage: str, at: int) -> str:
    """The first character that belongs to the token."""
    while passage[at] in BEFORE and at + 1 < len(passage):
        at += 1
    return passage[at]


def _next(passage: str, end: int) -> int:
    """Where the next token begins, or the other end of a range, or what a stroke sets apart."""
    if passage[end - 1] == "-":
        return end
    return end + 1 if passage.startswith("/", end) else _token_end(passage, end) + 1


@cache
def english_reader() -> FigureReader:
    return FigureReader(english_figures())
