"""Where it is worse: the same differences as the whole gate's, by what conversations have in common.

A slice is one value of one attribute of a trace, or one tool that production called. Slices overlap, and a conversation
is in every slice that any of its turns is in. Kept are counts and what they came of; they add up as those of the whole.

What stands out is found by e-BH over every slice and metric that was looked at, so that at most a share of what is told
is expected to be chance, however often one looks. It says where to look, and decides nothing: the share is a mean over
many looks, not the error of one verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np

from comparators.differences import BINS, Shared, log_e_harm, mean, shared
from comparators.multiplicity import discoveries
from comparators.spec import Bools, Floats
from replay.gate.config import Gate, Metric
from replay.gate.vote import Exemplar, Vote
from replay.verdict import SliceFinding

#: An attribute with more values than this tells conversations apart, and makes no slices: a user, a ticket.
MAX_VALUES = 50
#: Attributes that are looked at: the first ones by name.
MAX_ATTRIBUTES = 40
#: Slices that a verdict names, and pairs of each.
_SHOWN, _EXEMPLARS = 50, 5

#: Ends of what a difference may be: the candidate's best case and its worst.
_BEST, _WORST = 0, 1


class Slice(NamedTuple):
    attribute: str
    value: str


#: How often each place occurred: metric, end and difference in one whole number.
_Cells: TypeAlias = dict[int, float]


class Dumped(NamedTuple):
    """Slices with their cells, slices and metrics with their exemplars, and the attributes that are crowded."""

    cells: list[tuple[str, str, _Cells]]
    exemplars: list[tuple[str, str, int, list[Exemplar]]]
    crowded: list[str]


@dataclass(slots=True)
class Slices:
    """Counts by slice. `crowded`: attributes of too many values. What is kept does not depend on the order of votes."""

    metrics: int
    cells: dict[Slice, _Cells] = field(default_factory=dict)
    exemplars: dict[tuple[Slice, int], list[Exemplar]] = field(default_factory=dict)
    crowded: set[str] = field(default_factory=set)
    _values: dict[str, set[str]] = field(default_factory=dict)

    def fold(self, votes: Sequence[Vote]) -> None:
        """Count votes in all their slices."""
        counted = [vote for vote in votes if vote.cohort and vote.difference.valid.any()]
        if counted:
            self._count(counted)

    def merge(self, other: Slices) -> None:
        """Add what another partition has counted."""
        for attribute in other.crowded:
            self._give_up(attribute)
            self._limit()
        for where, cells in other.cells.items():
            if self._keeps(where):
                _add(self.cells[where], cells.items())
        for (where, row), ids in other.exemplars.items():
            if where in self.cells:
                self._show(where, row, ids)

    def findings(self, gate: Gate, uncalibrated: Sequence[bool]) -> tuple[tuple[SliceFinding, ...], int]:
        """Slices in which a voting metric is worse than its margin, the surest first; and how many were looked at."""
        asked = [
            (where, row, metric)
            for where in sorted(self.cells)
            for row, metric in enumerate(gate.metrics)
            if metric.votes and not uncalibrated[row]
        ]
        log_e = np.array([self._harm(where, row, metric.tolerated) for where, row, metric in asked])
        found = np.flatnonzero(discoveries(log_e, gate.slices.fdr)).tolist()
        ranked = sorted(found, key=lambda index: (-log_e[index], index))[:_SHOWN]
        return tuple(self._finding(*asked[index], float(log_e[index])) for index in ranked), len(asked)

    def dump(self) -> Dumped:
        """Plain lists, for `load`."""
        return Dumped(
            [(*where, dict(cells)) for where, cells in self.cells.items()],
            [(*where, row, ids) for (where, row), ids in self.exemplars.items()],
            sorted(self.crowded),
        )

    @classmethod
    def load(cls, metrics: int, found: object) -> Slices:
        """What `dump` gave, as it came out of msgpack."""
        kept = msgspec.convert(found, Dumped)
        slices = cls(metrics, crowded=set(kept.crowded))
        for attribute, value, cells in kept.cells:
            slices._values.setdefault(attribute, set()).add(value)
            slices.cells[Slice(attribute, value)] = cells
        for attribute, value, row, ids in kept.exemplars:
            slices.exemplars[Slice(attribute, value), row] = ids
        return slices

    # -- counting -----------------------------------------------------------------------------------------------

    def _count(self, votes: Sequence[Vote]) -> None:
        """All votes at once, slice by slice."""
        low, high, valid = (np.array(rows) for rows in zip(*(vote.difference for vote in votes), strict=True))
        first = 2 * np.arange(self.metrics) * BINS
        ends = (first, shared(low, "down")), (first + BINS, shared(high, "up"))
        below = np.stack([start + found.below for start, found in ends], axis=2)
        beyond = np.stack([found.beyond for _, found in ends], axis=2)
        members: dict[Slice, list[int]] = {}
        for number, vote in enumerate(votes):
            for each in dict.fromkeys(vote.cohort):
                members.setdefault(Slice(*each), []).append(number)
        for where, rows in members.items():
            if self._keeps(where):
                _add(self.cells[where], _tally(Shared(below[rows][valid[rows]], beyond[rows][valid[rows]])))
                self._remember(where, [votes[row] for row in rows], valid[rows] & (low[rows] > 0))

    def _remember(self, where: Slice, votes: Sequence[Vote], worse: Bools) -> None:
        """Exemplars of what got worse, bool[votes, metrics]."""
        for row in np.flatnonzero(worse.any(axis=0)).tolist():
            self._show(where, row, [votes[number].exemplar for number in np.flatnonzero(worse[:, row]).tolist()])

    def _show(self, where: Slice, row: int, ids: Iterable[Exemplar]) -> None:
        self.exemplars[where, row] = sorted({*self.exemplars.get((where, row), ()), *ids})[:_EXEMPLARS]

    def _keeps(self, where: Slice) -> bool:
        """Whether there is a place for this slice, made if need be."""
        if where in self.cells:
            return True
        if where.attribute in self.crowded:
            return False
        values = self._values.setdefault(where.attribute, set())
        values.add(where.value)
        self.cells[where] = {}
        if len(values) > MAX_VALUES:
            self._give_up(where.attribute)
        self._limit()
        return where in self.cells

    def _limit(self) -> None:
        """The last attribute by name goes: once it is out, there are enough before it for ever."""
        names = self._values.keys() | self.crowded
        if len(names) > MAX_ATTRIBUTES:
            self.crowded.discard(max(names))
            self._forget(max(names))

    def _give_up(self, attribute: str) -> None:
        self.crowded.add(attribute)
        self._forget(attribute)

    def _forget(self, attribute: str) -> None:
        for value in self._values.pop(attribute, ()):
            where = Slice(attribute, value)
            del self.cells[where]
            for row in range(self.metrics):
                self.exemplars.pop((where, row), None)

    # -- findings -----------------------------------------------------------------------------------------------

    def _counts(self, where: Slice, row: int, end: int) -> Floats:
        first, counts = (2 * row + end) * BINS, np.zeros(BINS)
        for place, often in self.cells[where].items():
            if first <= place < first + BINS:
                counts[place - first] = often
        return counts

    def _harm(self, where: Slice, row: int, margin: float) -> float:
        """Nothing can be evidence of harm where nothing got worse."""
        return log_e_harm(self._counts(where, row, _BEST), margin) if (where, row) in self.exemplars else 0.0

    def _finding(self, where: Slice, row: int, metric: Metric, log_e: float) -> SliceFinding:
        best, worst = (self._counts(where, row, end) for end in (_BEST, _WORST))
        return SliceFinding(
            attribute=where.attribute,
            value=where.value,
            metric=metric.id,
            pairs=int(best.sum()),
            mean=(mean(best) or 0.0, mean(worst) or 0.0),
            log_e=log_e,
            exemplars=tuple(shown.comparison_id for shown in self.exemplars[where, row]),
        )


def _tally(found: Shared) -> Iterable[tuple[int, float]]:
    """Counts by place. The place above the last step of a metric is another's, and has no share."""
    places, counts = found.counts()
    held, which = np.unique(places, return_inverse=True)
    total = np.bincount(which, weights=counts)
    return ((place, count) for place, count in zip(held.tolist(), total.tolist(), strict=True) if count)


def _add(cells: _Cells, more: Iterable[tuple[int, float]]) -> None:
    for place, count in more:
        cells[place] = cells.get(place, 0.0) + count
