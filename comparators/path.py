"""How much of two call sequences can be aligned.

Both sequences are brought to a normal form in which only order that means something is left: calls of one step
are a set; reads between two steps that act commute, so they are sorted, and asking twice there is asking once.
Then the cheapest alignment is found, D[i, j] = min(D[i-1, j] + w_i, D[i, j-1] + w_j,
D[i-1, j-1] + (w_i + w_j) d), where d is the distance of the arguments for calls of one tool and scope, else 1
(as dear as leaving both out). The score is D over the sum of all weights: 0 for no calls on both sides, 1 for
no calls on one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from comparators.agreement import Agreement
from comparators.callbatch import CallBatch, positions_in_runs, starts_of_runs
from comparators.calls import Effect
from comparators.matching import LEAST_DISTANCE, argument_distance
from comparators.spec import Bools, Floats, Ints

#: Cells of the alignment tables of one chunk of rows.
_CELLS = 1 << 17
#: Longer pairs align equal calls only: comparing the arguments of every call with every other has a limit.
_LARGEST_TABLE = 1 << 16


class NormalForm(NamedTuple):
    """Calls that count, in normal form: `start` (of each sequence, and the end) into the others."""

    start: Ints
    scope: Ints
    call: Ints
    tool: Ints
    weight: Floats
    least: Floats

    @property
    def lengths(self) -> Ints:
        return np.diff(self.start)


def compare_paths(batch: CallBatch, agreement: Agreement) -> Floats:
    """Cost of the best alignment of each row over the sum of weights, 0 to 1. Shape (rows,)."""
    form = normal_form(batch)
    production, replay = form.lengths[0::2], form.lengths[1::2]
    result = ((production > 0) ^ (replay > 0)).astype(np.float64)
    rows = np.flatnonzero((production > 0) & (replay > 0))
    rows = rows[~_equal(form, rows)]
    close = _close(form, rows[production[rows] * replay[rows] <= _LARGEST_TABLE], agreement)
    for chunk in _chunks(rows, np.maximum(production, replay)[rows]):
        result[chunk] = _align(_Side.of(form, 2 * chunk), _Side.of(form, 2 * chunk + 1), close.among(chunk))
    return result


def normal_form(batch: CallBatch) -> NormalForm:
    order, first_of_step = _by_step(batch)
    acts = batch.effect[order] != Effect.READ
    step = np.cumsum(first_of_step) - 1
    acting = np.bincount(step, acts) > 0
    # Reads of a step stand before its other calls: what one step asks for is a set.
    before = (np.cumsum(acting) - acting)[step]
    part = np.cumsum(starts_of_runs(batch.sequence[order]) | starts_of_runs(batch.scope[order]) | starts_of_runs(before))
    key = (part * 2 + acts) * max(len(batch.calls), 1) + batch.call[order]
    by_content = np.argsort(key, kind="stable")
    kept = starts_of_runs(key[by_content]) | acts[by_content]
    events = order[by_content[kept]]
    least = np.where(batch.effect[events] == Effect.WRITE, LEAST_DISTANCE[Effect.WRITE], 0.0)
    return NormalForm(
        start=np.searchsorted(batch.sequence[events], np.arange(2 * batch.rows + 1)),
        scope=batch.scope[events],
        call=batch.call[events],
        tool=batch.tool_of[batch.call[events]],
        weight=batch.weight[events],
        least=least,
    )


def _by_step(batch: CallBatch) -> tuple[Ints, Bools]:
    """Events that have a weight, sorted by sequence, scope and step; and where a new step starts."""
    events = np.flatnonzero(batch.weight > 0)
    order = np.lexsort((batch.step[events], batch.scope[events], batch.sequence[events]))
    events = events[order]
    keys = (batch.sequence[events], batch.scope[events], batch.step[events])
    return events, np.logical_or.reduce([starts_of_runs(key) for key in keys])


def _equal(form: NormalForm, rows: Ints) -> Bools:
    """Rows with the same calls of the same weights in the same scopes on both sides."""
    size = form.lengths[2 * rows]
    same = size == form.lengths[2 * rows + 1]
    row = np.repeat(np.flatnonzero(same), size[same])
    at = positions_in_runs(starts_of_runs(row))
    left, right = form.start[2 * rows][row] + at, form.start[2 * rows + 1][row] + at
    differ = (form.call[left] != form.call[right]) | (form.scope[left] != form.scope[right])
    differ |= form.weight[left] != form.weight[right]
    return same & (np.bincount(row[differ], minlength=len(rows)) == 0)


def _chunks(rows: Ints, longest: Ints) -> Iterator[Ints]:
    """Rows of like length together, so that little of a chunk's tables is padding."""
    order = np.argsort(longest, kind="stable")
    rows, cells = rows[order], (longest[order] + 1) ** 2
    start = 0
    while start < len(rows):
        size = int(np.searchsorted(np.arange(1, len(rows) - start + 1) * cells[start:], _CELLS, side="right"))
        yield rows[start : start + max(size, 1)]
        start += max(size, 1)


class _Side(NamedTuple):
    """One side of some rows, padded to the longest: arrays of shape (longest, rows); `length` of shape (rows,)."""

    length: Ints
    scope: Ints
    call: Ints
    tool: Ints
    weight: Floats
    least: Floats

    @classmethod
    def of(cls, form: NormalForm, sequences: Ints) -> _Side:
        length = form.lengths[sequences]
        at = np.arange(int(length.max()))[:, np.newaxis]
        there = at < length
        entry = np.where(there, form.start[sequences] + at, 0)
        return cls(
            length,
            form.scope[entry],
            np.where(there, form.call[entry], -1),
            np.where(there, form.tool[entry], -1),
            np.where(there, form.weight[entry], 0.0),
            form.least[entry],
        )


def _align(production: _Side, replay: _Side, close: _Close) -> Floats:
    """Cost of the best alignment over the sum of weights of each row, shape (rows,).

    One row of all tables at a time; leaving out a call of the replay is a running minimum along it, after the
    weights up to each column are taken off.
    """
    rows = np.arange(len(production.length))
    upto = np.concatenate((np.zeros((1, len(rows))), np.cumsum(replay.weight, axis=0)))
    costs, result = upto, np.zeros(len(rows))
    for index, weight in enumerate(production.weight):
        apart = _unequal(production, replay, index) if distance is None else distance[index]
        step = np.empty_like(upto)
        np.add(costs, weight, out=step)
        np.minimum(step[1:], costs[:-1] + (weight + replay.weight) * apart, out=step[1:])
        step -= upto
        np.minimum.accumulate(step, axis=0, out=step)
        step += upto
        costs = step
        done = rows[production.length == index + 1]
        ends = replay.length[done]
        result[done] = costs[ends, done] / (costs[0, done] + upto[ends, done])
    return np.minimum(result, 1.0)
