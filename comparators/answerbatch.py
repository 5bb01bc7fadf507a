"""A batch of answers as comparators read it: what every one of them needs, worked out once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, compress
from typing import NamedTuple

import numpy as np

from comparators.alignment import Aligned, align_all
from comparators.answerscan import scan
from comparators.answerwords import AnswerWords
from comparators.figure import Figure
from comparators.numbers import MAX_CHARACTERS
from comparators.spec import Ints, Status, Statuses
from comparators.text import normalise_all
from comparators.wordsearch import Finder, Found


class _Scanned(NamedTuple):
    """The place of each text in normal form, telling words of all, and figures of those of which they are read."""

    places: Mapping[str, int]
    telling: Found
    figures: list[list[Figure]]


@dataclass(frozen=True)
class AnswerBatch:
    """Answers of both sides, null = there was none. Where `given` is not `SCORED`, texts are not read."""

    production: Sequence[str | None]
    replay: Sequence[str | None]
    words: AnswerWords
    given: Statuses | None = None

    def __post_init__(self) -> None:
        if len(self.production) != len(self.replay):
            raise ValueError(f"{len(self.production)} answers of production for {len(self.replay)} of the replay")

    @cached_property
    def answers(self) -> Ints:
        """How many sides answered, int64[pairs]; 0 where texts are not to be read."""
        wanted = np.ones(len(self.production), np.bool_) if self.given is None else self.given == Status.SCORED
        said = [(one is not None) + (other is not None) for one, other in self._pairs]
        counted: Ints = np.array(said, np.int64) * wanted
        return counted

    @cached_property
    def both(self) -> list[int]:
        """The rows in which both sides answered."""
        return list(map(int, np.flatnonzero(self.answers == 2)))

    @cached_property
    def normal(self) -> tuple[list[str | None], list[str | None]]:
        """Both sides in normal form; null where there is no answer, or none that is to be read."""
        read = self.answers > 0
        sides = [[text if use else None for text, use in zip(side, read.tolist(), strict=True)] for side in self._sides]
        texts = list(dict.fromkeys(text for side in sides for text in side if text is not None))
        told: dict[str | None, str] = dict(zip(texts, normalise_all(texts), strict=True))
        production, replay = ([told.get(text) for text in side] for side in sides)
        return production, replay

    @cached_property
    def telling(self) -> tuple[list[list[str]], list[list[str]]]:
        """The telling words of both sides (`AnswerWords.telling`); none where there is no answer to read."""
        words = self._scanned.telling.by_text()
        production, replay = (
            [words[self._scanned.places[text]] if text else [] for text in side] for side in self.normal
        )
        return production, replay

    @property
    def numbered(self) -> tuple[Sequence[str], tuple[tuple[Ints, Ints], ...]]:
        """The telling words of both sides, where both answered: the place of each among `both`, and its number.

        First of all, what the numbers stand for.
        """
        places, telling = self._scanned.places, self._scanned.telling
        sides = (np.array([places[text] for text in side], np.int64) for side in (self.left, self.right))
        return telling.names, tuple(map(telling.texts.take, sides))

    @cached_property
    def left(self) -> list[str]:
        """Production's answers in normal form, where both answered."""
        return [text for row in self.both if (text := self.normal[0][row]) is not None]

    @cached_property
    def right(self) -> list[str]:
        """The replay's answers in normal form, where both answered."""
        return [text for row in self.both if (text := self.normal[1][row]) is not None]

    @cached_property
    def fits(self) -> list[bool]:
        """Where figures are read of the pairs in which both answered: neither text is too long."""
        pairs = zip(self.left, self.right, strict=True)
        return [len(one) <= MAX_CHARACTERS and len(other) <= MAX_CHARACTERS for one, other in pairs]

    @cached_property
    def figures(self) -> tuple[list[list[Figure]], list[list[Figure]]]:
        """Numbers and ids of both sides, where both answered; none where a text does not fit."""
        places, read = self._scanned.places, self._scanned.figures
        left, right = (
            [read[places[text]] if fits else [] for text, fits in zip(side, self.fits, strict=True)]
            for side in (self.left, self.right)
        )
        return left, right

    @cached_property
    def _scanned(self) -> _Scanned:
        pairs = compress(zip(self.left, self.right, strict=True), self.fits)
        texts = sorted(dict.fromkeys(chain.from_iterable(pairs)), key=str.isascii, reverse=True)
        places = {text: place for place, text in enumerate(texts)}
        others = [text for text in dict.fromkeys(chain(*self.normal)) if text is not None and text not in places]
        places.update((text, place) for place, text in enumerate(others, len(texts)))
        finder = Finder(self.words.telling)
        read = scan(texts, finder)
        finder.read(others)
        return _Scanned(places, finder.found, read)

    def aligned(self, wanted: Sequence[int]) -> list[list[Aligned] | None]:
        """Changed sentences of some pairs, by their place among `both`."""
        rows = [self.both[place] for place in wanted]
        return align_all([(self.production[row] or "", self.replay[row] or "") for row in rows])

    @property
    def _pairs(self) -> list[tuple[str | None, str | None]]:
        return list(zip(self.production, self.replay, strict=True))

    @property
    def _sides(self) -> tuple[Sequence[str | None], Sequence[str | None]]:
        return self.production, self.replay
