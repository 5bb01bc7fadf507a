"""Latency step by step: which step of the replay is which of production's, and where the most time was lost.

A step is one call of the model. Two steps may be aligned if they asked for the same tools; of all alignments that
keep the order, the best is taken, S[i, j] = max(S[i+1, j], S[i, j+1], S[i+1, j+1] + w), where w is 3 for equal calls, 2
for equal tools and other arguments. So two steps alike outweigh one that is equal, and an answer is aligned with an
answer. Of equally good alignments the one that pairs earlier is taken, then the one that leaves out production's step.
Forced replays need none of this: their steps have one prefix, number by number.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from comparators.callbatch import counting
from comparators.latency import CLOCK_NS
from comparators.path import chunks
from comparators.ratios import log_ratio
from comparators.spec import Bools, Column, Floats, Ints, Status, Statuses, column, overridden, statuses

#: Pairs with more steps times steps are too large to be aligned.
LARGEST_TABLE = 1 << 20

_EQUAL, _ALIKE = 3, 2


class Step(NamedTuple):
    """`tools` and `calls` (digests) that it asked for, sorted; none = it answered. `ns` null = time not recorded."""

    tools: tuple[str, ...]
    calls: tuple[bytes, ...]
    ns: float | None


class StepPair(NamedTuple):
    """Steps of both sides. `by_number`: step k of the one is step k of the other, whatever it asked for."""

    production: Sequence[Step]
    replay: Sequence[Step]
    by_number: bool = False


class Slowest(NamedTuple):
    """The aligned steps between which most time was lost, by number on either side, with their nanoseconds."""

    production: int
    replay: int
    production_ns: float
    replay_ns: float


class Aligned(NamedTuple):
    """Pairs of steps, ordered by row and step; `ratio` is ln(replay / production), `known` where it means something.

    `rows` pairs were aligned; those of `too_large`, shape (rows,), were not.
    """

    rows: int
    too_large: Bools
    row: Ints
    production: Ints
    replay: Ints
    production_ns: Floats
    replay_ns: Floats
    ratio: Floats
    known: Bools


def compare_steps(pairs: Sequence[StepPair], *, given: Statuses | None = None) -> Column:
    """`latency.step`: the largest ln ratio of the model's time over aligned steps, shape (n,).

    `NOT_APPLICABLE` where no steps could be aligned, `UNKNOWN` where none of them has both times, `TOO_LARGE` beyond
    `LARGEST_TABLE`.
    """
    aligned = align(pairs)
    rows, at = _largest(aligned)
    value = np.zeros(aligned.rows)
    value[rows] = aligned.ratio[at]
    status = statuses(np.bincount(aligned.row, minlength=aligned.rows) > 0, Status.NOT_APPLICABLE)
    known = np.bincount(aligned.row[aligned.known], minlength=aligned.rows) > 0
    status[(status == Status.SCORED) & ~known] = Status.UNKNOWN
    status[aligned.too_large] = Status.TOO_LARGE
    return overridden(column("latency.step", value, status), given)


def slowest_steps(pairs: Sequence[StepPair]) -> list[Slowest | None]:
    """Where each score of `compare_steps` comes from; null where there is none."""
    aligned = align(pairs)
    found: list[Slowest | None] = [None] * aligned.rows
    rows, at = _largest(aligned)
    numbers = (aligned.production, aligned.replay, aligned.production_ns, aligned.replay_ns)
    for row, *picked in zip(rows.tolist(), *(values[at].tolist() for values in numbers), strict=True):
        found[row] = Slowest(*picked)
    return found


def align(pairs: Sequence[StepPair]) -> Aligned:
    """Align the steps of each pair."""
    numbered = np.array([pair.by_number for pair in pairs], dtype=np.bool_)
    production, replay = _sides(pairs)
    # Equal sequences are aligned number by number, too: no alignment is better.
    numbered |= _equal(production, replay)
    too_large = ~numbered & (production.length * replay.length > LARGEST_TABLE)
    parts = [_by_number(np.flatnonzero(numbered), production, replay)]
    rows = np.flatnonzero(~numbered & ~too_large & (production.length > 0) & (replay.length > 0))
    longest = np.maximum(production.length, replay.length)[rows]
    for chunk in chunks(rows, longest):
        found = _walk(chunk, _padded(production, chunk), _padded(replay, chunk))
        parts.append(found)
    row, left, right = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((left, row))
    row, left, right = row[order], left[order], right[order]
    before, after = production.ns[production.start[row] + left], replay.ns[replay.start[row] + right]
    ratio = log_ratio("latency.step", before, after, floor=CLOCK_NS)
    return Aligned(len(pairs), too_large, row, left, right, before, after, ratio.value, ratio.status == Status.SCORED)


def _largest(aligned: Aligned) -> tuple[Ints, Ints]:
    """Rows with a known ratio, and where the largest of each stands, the first of several."""
    known = np.flatnonzero(aligned.known)
    order = known[np.lexsort((-aligned.ratio[known], aligned.row[known]))]
    rows, first = np.unique(aligned.row[order], return_index=True)
    return rows, order[first]


class _Side(NamedTuple):
    """Steps of one side, row after row: `start` and `length` of shape (rows,), the others of shape (steps,).

    `tools` and `calls` number what was asked for, for both sides alike; only whether two are equal means anything.
    """

    start: Ints
    length: Ints
    tools: Ints
    calls: Ints
    ns: Floats


def _sides(pairs: Sequence[StepPair]) -> tuple[_Side, _Side]:
    tools: dict[Hashable, int] = {}
    calls: dict[Hashable, int] = {}
    production, replay = (
        _side(rows, tools, calls) for rows in ([pair.production for pair in pairs], [pair.replay for pair in pairs])
    )
    return production, replay


def _side(rows: Sequence[Sequence[Step]], tools: dict[Hashable, int], calls: dict[Hashable, int]) -> _Side:
    """Read one side; what it asked for gets the next free number, unless it has one."""
    length = np.fromiter(map(len, rows), np.int64, len(rows))
    steps = list(chain.from_iterable(rows))
    return _Side(
        start=np.cumsum(length) - length,
        length=length,
        tools=np.array([tools.setdefault(step.tools, len(tools)) for step in steps], dtype=np.int64),
        calls=np.array([calls.setdefault(step[:2], len(calls)) for step in steps], dtype=np.int64),
        ns=np.array([np.nan if step.ns is None else step.ns for step in steps], dtype=np.float64),
    )


def _equal(production: _Side, replay: _Side) -> Bools:
    """Rows in which both sides asked for the same, step by step."""
    same = production.length == replay.length
    rows, at = np.repeat(np.flatnonzero(same), production.length[same]), counting(production.length[same])
    differ = production.calls[production.start[rows] + at] != replay.calls[replay.start[rows] + at]
    equal: Bools = same & (np.bincount(rows[differ], minlength=len(same)) == 0)
    return equal


class _Padded(NamedTuple):
    """Some rows of a side: numbers of tools and calls, -1 behind the end, shape (longest, rows)."""

    length: Ints
    tools: Ints
    calls: Ints


def _padded(side: _Side, rows: Ints) -> _Padded:
    length = side.length[rows]
    at = np.arange(int(length.max()))[:, np.newaxis]
    step = np.where(at < length, side.start[rows] + at, 0)
    return _Padded(length, *(np.where(at < length, numbers[step], -1) for numbers in (side.tools, side.calls)))


def _by_number(rows: Ints, production: _Side, replay: _Side) -> tuple[Ints, Ints, Ints]:
    both = np.minimum(production.length[rows], replay.length[rows])
    number = counting(both)
    return np.repeat(rows, both), number, number


def _walk(rows: Ints, production: _Padded, replay: _Padded) -> tuple[Ints, Ints, Ints]:
    """The best alignment of some rows: row, step of production, step of the replay. All rows go one move at a time."""
    worth = _worth(production, replay)
    best = _best(worth)
    column_of = np.arange(len(rows))
    left, right = np.zeros((2, len(rows)), dtype=np.int64)
    found = []
    while len(column_of):
        here, down = best[left, right, column_of], best[left + 1, right, column_of]
        gain = worth[left, right, column_of]
        paired = (gain > 0) & (here == best[left + 1, right + 1, column_of] + gain)
        found.append((rows[column_of[paired]], left[paired], right[paired]))
        skips = ~paired & (here == down)
        left, right = left + (paired | skips), right + (paired | ~skips)
        going = (left < production.length[column_of]) & (right < replay.length[column_of])
        column_of, left, right = column_of[going], left[going], right[going]
    row, ours, theirs = (np.concatenate(part) for part in zip(*found, strict=True))
    return row, ours, theirs


def _worth(production: _Padded, replay: _Padded) -> NDArray[np.int16]:
    """What aligning two steps is worth, shape (production, replay, rows)."""
    alike = (production.tools[:, np.newaxis] == replay.tools) & (replay.tools >= 0)
    equal = alike & (production.calls[:, np.newaxis] == replay.calls)
    return np.where(equal, np.int16(_EQUAL), np.where(alike, np.int16(_ALIKE), np.int16(0)))


def _best(worth: NDArray[np.int16]) -> NDArray[np.int16]:
    """S of all suffixes, shape (production + 1, replay + 1, rows). Leaving out replayed steps is a running maximum."""
    production, replay, rows = worth.shape
    best = np.zeros((production + 1, replay + 1, rows), dtype=np.int16)
    for index in range(production - 1, -1, -1):
        below = best[index + 1]
        step = np.maximum(below[:-1], np.where(worth[index] > 0, below[1:] + worth[index], 0))
        best[index, :-1] = np.maximum.accumulate(step[::-1], axis=0)[::-1]
    return best
