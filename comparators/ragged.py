"""Lists of different lengths in two arrays."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from comparators.spec import Ints


class Ragged(NamedTuple):
    """Lists of numbers behind each other, and how long each is."""

    numbers: Ints
    counts: Ints

    @classmethod
    def of(cls, lists: Sequence[Collection[int]]) -> Ragged:
        counts = np.fromiter(map(len, lists), np.int64, len(lists))
        return cls(np.fromiter(chain.from_iterable(lists), np.int64, int(counts.sum())), counts)

    @classmethod
    def joined(cls, parts: Iterable[Ragged]) -> Ragged:
        return cls(*map(np.concatenate, zip(cls.of(()), *parts, strict=True)))

    def take(self, places: Ints) -> tuple[Ints, Ints]:
        """The numbers of the lists at these places, behind each other; before them whose each is, by rank in `places`.

        A place may occur more than once.
        """
        counts = self.counts[places]
        ranks = np.repeat(np.arange(len(places)), counts)
        shift = (np.cumsum(self.counts) - self.counts)[places] - (np.cumsum(counts) - counts)
        return ranks, self.numbers[np.arange(len(ranks)) + shift[ranks]]

    def ends(self) -> list[int]:
        """Where each list ends, and first of all 0."""
        return [0, *np.cumsum(self.counts).tolist()]
