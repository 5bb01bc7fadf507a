"""How much of two call sequences can be aligned.

Both sequences are brought to a normal form in which only order that means something is left: calls of one step
are a set; reads between two steps that act commute, so they are sorted, and asking twice there is asking once.
Then the cheapest alignment is found, D[i, j] = min(D[i-1, j] + w_i, D[i, j-1] + w_j,
D[i-1, j-1] + (w_i + w_j) d), where d is the distance of the arguments for calls of one tool and scope, else 1
(as dear as leaving both out). The score is D over the sum of all weights: 0 for no calls on both sides, 1 for
no calls on one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from comparators.agreement import Agreement
from comparators.callbatch import CallBatch, counting, crossed, starts_of_runs
from comparators.calls import Effect
from comparators.matching import LEAST_DISTANCE, argument_distance
from comparators.spec import Bools, Floats, Ints

#: Cells of the alignment tables of one chunk of rows.
_CELLS = 1 << 16
#: Pairs with more cells align equal calls only: comparing the arguments of every call with every other has a limit.
_LARGEST_TABLE = 1 << 16


def compare_paths(batch: CallBatch, agreement: Agreement) -> Floats:
    """Cost of the best alignment of each row over the sum of weights, 0 to 1. Shape (rows,)."""
    form = NormalForm.of(batch)
    production, replay = form.lengths[0::2], form.lengths[1::2]
    result = ((production > 0) ^ (replay > 0)).astype(np.float64)
    rows = np.flatnonzero((production > 0) & (replay > 0))
    rows = rows[~_equal(form, rows)]
    small = production[rows] * replay[rows] <= _LARGEST_TABLE
    close = _Close.of(form, rows[small], agreement)
    for chunk in chunks(rows[small], np.maximum(production, replay)[rows[small]]):
        left, right = _Side.of(form, 2 * chunk), _Side.of(form, 2 * chunk + 1)
        result[chunk] = _align(left, right, close.table(chunk, len(left.weight), len(right.weight)))
    for row in rows[~small]:
        left, right = (_Side.of(form, np.array([sequence])) for sequence in (2 * row, 2 * row + 1))
        result[row] = _align(left, right, _equality(form, row))[0]
    return result


class NormalForm(NamedTuple):
    """Calls that count, in normal form: `start` (of each sequence, and the end) into the others."""

    start: Ints
    events: Ints
    sequence: Ints
    scope: Ints
    call: Ints
    tool: Ints
    weight: Floats
    least: Floats

    @classmethod
    def of(cls, batch: CallBatch) -> NormalForm:
        order, first_of_step = _by_step(batch)
        acts = batch.effect[order] != Effect.READ
        step = np.cumsum(first_of_step) - 1
        acting = np.bincount(step, acts) > 0
        # Reads of a step stand before its other calls: what one step asks for is a set.
        before: Ints = (np.cumsum(acting) - acting)[step]
        keys = (batch.sequence[order], batch.scope[order], before)
        part = np.cumsum(np.logical_or.reduce([starts_of_runs(key) for key in keys]))
        key = (part * 2 + acts) * max(len(batch.calls), 1) + batch.call[order]
        by_content = np.argsort(key, kind="stable")
        kept = starts_of_runs(key[by_content]) | acts[by_content]
        events = order[by_content[kept]]
        return cls(
            start=np.searchsorted(batch.sequence[events], np.arange(2 * batch.rows + 1)),
            events=events,
            sequence=batch.sequence[events],
            scope=batch.scope[events],
            call=batch.call[events],
            tool=batch.tool_of[batch.call[events]],
            weight=batch.weight[events],
            least=_LEAST[batch.effect[events]],
        )

    @property
    def lengths(self) -> Ints:
        return np.diff(self.start)

    def position(self, entries: Ints) -> Ints:
        """Of each entry within its sequence."""
        return entries - self.start[self.sequence[entries]]


_LEAST: Floats = np.array([LEAST_DISTANCE[effect] for effect in Effect])


def _by_step(batch: CallBatch) -> tuple[Ints, Bools]:
    """Events that have a weight, sorted by sequence, scope and step; and where a new step starts."""
    events = np.flatnonzero(batch.weight > 0)
    scope = batch.sequence[events] * batch.groups + batch.scope[events] % batch.groups
    key = scope * batch.steps + batch.step[events]
    order = np.argsort(key, kind="stable")
    return events[order], starts_of_runs(key[order])


def _equal(form: NormalForm, rows: Ints) -> Bools:
    """Rows with the same calls of the same weights in the same scopes on both sides."""
    size = form.lengths[2 * rows]
    same = size == form.lengths[2 * rows + 1]
    row = np.repeat(np.flatnonzero(same), size[same])
    at = counting(size[same])
    left, right = form.start[2 * rows][row] + at, form.start[2 * rows + 1][row] + at
    differ = (form.call[left] != form.call[right]) | (form.scope[left] != form.scope[right])
    differ |= form.weight[left] != form.weight[right]
    equal: Bools = same & (np.bincount(row[differ], minlength=len(rows)) == 0)
    return equal


class _Close(NamedTuple):
    """Pairs of calls of one tool and scope: row, positions in both sequences, and what aligning them adds.

    That is (w_i + w_j) d - w_j, as `_align` counts. Aligning any other pair is never cheaper than leaving it out.
    """

    row: Ints
    production: Ints
    replay: Ints
    gain: Floats

    @classmethod
    def of(cls, form: NormalForm, rows: Ints, agreement: Agreement) -> _Close:
        wanted = np.zeros(len(form.start) // 2, dtype=np.bool_)
        wanted[rows] = True
        entries = np.flatnonzero(wanted[form.sequence >> 1])
        key = form.scope[entries] * (int(form.tool.max(initial=0)) + 1) + form.tool[entries]
        side = form.sequence[entries] & 1
        order = np.argsort(key * 2 + side, kind="stable")
        first = starts_of_runs(key[order])
        run, start = np.cumsum(first) - 1, np.flatnonzero(first)
        replay = np.bincount(run[side[order] == 1], minlength=len(start))
        left, right = (entries[order[at]] for at in crossed(start, np.bincount(run) - replay, replay))
        distance = np.zeros(len(left))
        differ = np.flatnonzero(form.call[left] != form.call[right])
        one, other = left[differ], right[differ]
        dice = agreement.dice(form.events[one], form.events[other])
        distance[differ] = argument_distance(dice, np.maximum(form.least[one], form.least[other]))
        gain = (form.weight[left] + form.weight[right]) * distance - form.weight[right]
        return cls(form.sequence[left] >> 1, form.position(left), form.position(right), gain)

    def table(self, rows: Ints, production: int, replay: int) -> Floats:
        """Gains of every pair of calls of some rows, shape (production, replay, rows)."""
        column = np.full(int(max(self.row.max(initial=0), rows.max())) + 1, -1)
        column[rows] = np.arange(len(rows))
        column_of = column[self.row]
        inside = column_of >= 0
        table = np.full((production, replay, len(rows)), np.inf)
        table[self.production[inside], self.replay[inside], column_of[inside]] = self.gain[inside]
        return table


def _equality(form: NormalForm, row: int) -> Iterator[Floats]:
    """The rows of a table for one pair of sequences too large for one: only equal calls align."""
    production, replay = (slice(*form.start[sequence : sequence + 2]) for sequence in (2 * row, 2 * row + 1))
    for call, scope in zip(form.call[production], form.scope[production], strict=True):
        equal = (form.call[replay] == call) & (form.scope[replay] == scope)
        yield np.where(equal, -form.weight[replay], np.inf)[:, np.newaxis]


def chunks(rows: Ints, longest: Ints) -> Iterator[Ints]:
    """Rows of like length together, so that little of a chunk's tables is padding."""
    order = np.argsort(longest, kind="stable")
    rows, cells = rows[order], longest[order] ** 2
    start = 0
    while start < len(rows):
        padded = np.arange(1, len(rows) - start + 1) * cells[start:]
        size = max(int(np.searchsorted(padded, _CELLS, side="right")), 1)
        yield rows[start : start + size]
        start += size


class _Side(NamedTuple):
    """One side of some rows, padded with weight 0: `weight` of shape (longest, rows), `length` of shape (rows,)."""

    length: Ints
    weight: Floats

    @classmethod
    def of(cls, form: NormalForm, sequences: Ints) -> _Side:
        length = form.lengths[sequences]
        at = np.arange(int(length.max()))[:, np.newaxis]
        entry = np.where(at < length, form.start[sequences] + at, 0)
        return cls(length, np.where(at < length, form.weight[entry], 0.0))


def _align(production: _Side, replay: _Side, gains: Iterable[Floats]) -> Floats:
    """Cost of the best alignment over the sum of weights of each row, shape (rows,).

    One row of all tables at a time, kept as D[i, j] less the weights of the replay up to j. Leaving out a call of
    production then adds its weight, aligning adds the gain, and leaving out calls of the replay is a running
    minimum along j.
    """
    rows = np.arange(len(production.length))
    upto = np.concatenate((np.zeros((1, len(rows))), np.cumsum(replay.weight, axis=0)))
    costs, result = np.zeros_like(upto), np.zeros(len(rows))
    for index, (weight, gain) in enumerate(zip(production.weight, gains, strict=True)):
        step = costs + weight
        np.minimum(step[1:], costs[:-1] + gain, out=step[1:])
        costs = np.minimum.accumulate(step, axis=0)
        done = rows[production.length == index + 1]
        ends = replay.length[done]
        everything = upto[ends, done]
        result[done] = (costs[ends, done] + everything) / (costs[0, done] + everything)
    return np.clip(result, 0.0, 1.0)
