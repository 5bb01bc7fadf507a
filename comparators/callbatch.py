"""A batch of call pairs as arrays: one entry per attempted call, calls interned by digest.

Call numbers follow the order of digests, tool numbers the order of names. Both orders are the same in every
batch, so an order by number is an order by content and no score can tell in which batch it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from comparators.calls import CallEvent, CallPair, CanonicalCall
from comparators.spec import Bools, Floats, Ints

#: Numbers below this are used as they are, larger ones are replaced by their rank: keys of several numbers
#: packed into 64 bits must not overflow.
_SMALL = 1 << 20
_DIGEST = 16


@dataclass(frozen=True, slots=True)
class CallBatch:
    """Arrays of shape (events,), ordered by row, then side, then attempt.

    `sequence` is 2 * row for production and 2 * row + 1 for the replay; `scope` numbers (row, group), within
    which calls may be matched; `call` indexes `calls`, `tool_of` (of shape (calls,)) the tools.
    """

    rows: int
    calls: Sequence[CanonicalCall]
    tool_of: Ints
    events: tuple[CallEvent, ...]
    sequence: Ints
    scope: Ints
    groups: int
    call: Ints
    effect: NDArray[np.uint8]
    outcome: NDArray[np.uint8]
    step: Ints
    steps: int  # all of `step` is below
    weight: Floats
    valid: Bools

    @property
    def row(self) -> Ints:
        return self.sequence >> 1

    @property
    def side(self) -> Ints:
        """0 for production, 1 for the replay."""
        return self.sequence & 1

    @classmethod
    def of(cls, pairs: Sequence[CallPair]) -> CallBatch:
        """Raises `ValueError` when a weight is negative or not finite, or a digest has not 16 bytes."""
        sides = list(chain.from_iterable(pairs))
        events = tuple(chain.from_iterable(sides))
        # All events at once, field by field: the transposition is one call.
        fields = zip(*events, strict=True) if events else ((),) * len(CallEvent._fields)
        called, effects, outcomes, steps, group_of, weights, valid, _ = fields
        call, calls = _interned(called)
        tools = list(map(_tool, calls))
        tool_number = {tool: number for number, tool in enumerate(sorted(set(tools)))}
        sequence = np.repeat(np.arange(len(sides)), np.fromiter(map(len, sides), np.int64, len(sides)))
        group = _small(group_of)
        groups = int(group.max(initial=0)) + 1
        step = _small(steps)
        weight = np.array(weights, dtype=np.float64)
        if not np.all((weight >= 0) & (weight < np.inf)):
            raise ValueError("the weight of a call must be a finite number >= 0")
        return cls(
            rows=len(pairs),
            calls=calls,
            tool_of=np.fromiter(map(tool_number.__getitem__, tools), np.int64, len(tools)),
            events=events,
            sequence=sequence,
            scope=(sequence >> 1) * groups + group,
            groups=groups,
            call=call,
            effect=np.frombuffer(bytes(effects), dtype=np.uint8),
            outcome=np.frombuffer(bytes(outcomes), dtype=np.uint8),
            step=step,
            steps=int(step.max(initial=0)) + 1,
            weight=weight,
            valid=np.frombuffer(bytes(valid), dtype=np.bool_),
        )


def starts_of_runs(ascending: NDArray[np.integer]) -> Bools:
    """Where a sorted array takes a new value, shape as given."""
    first = np.ones(len(ascending), dtype=np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=first[1:])
    return first


def positions_in_runs(first: Bools) -> Ints:
    """Position of each entry within its run, from 0, given where runs start."""
    index = np.arange(len(first))
    return index - np.maximum.accumulate(np.where(first, index, 0))


def counting(lengths: Ints) -> Ints:
    """0, 1, ... length - 1 for each length, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - lengths, lengths)


def crossed(start: Ints, left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """Positions of every pair in each run of `left` entries followed by `right` entries. Left varies slowest."""
    lefts = np.repeat(start, left) + counting(left)
    rights, times = np.repeat(start + left, left), np.repeat(right, left)
    return np.repeat(lefts, times), np.repeat(rights, times) + counting(times)


def _small(values: Sequence[int]) -> Ints:
    """The values, or their ranks where one is negative or large."""
    try:
        return np.frombuffer(bytes(values), dtype=np.uint8).astype(np.int64)  # four times as fast as np.array
    except ValueError:  # not all of them are bytes
        wide = np.array(values, dtype=np.int64)
    return wide if wide.min() >= 0 and wide.max() < _SMALL else np.unique(wide, return_inverse=True)[1]


def _interned(called: Sequence[CanonicalCall]) -> tuple[Ints, list[CanonicalCall]]:
    """The number of each call, and the distinct calls, both in the order of digests."""
    joined = b"".join(map(_digest, called))
    if len(joined) != _DIGEST * len(called):
        raise ValueError(f"the digest of a call must have {_DIGEST} bytes")
    high, low = np.frombuffer(joined, dtype=">u8").astype(np.uint64).reshape(-1, 2).T
    order = np.argsort(high)
    first = starts_of_runs(high[order])
    if np.any(~first[1:] & (low[order][1:] != low[order][:-1])):  # equal halves, unequal digests
        order = np.lexsort((low, high))
        first = starts_of_runs(high[order]) | starts_of_runs(low[order])
    number = np.empty(len(called), dtype=np.int64)
    number[order] = np.cumsum(first) - 1
    return number, [called[event] for event in order[first].tolist()]


_digest = attrgetter("digest")
_tool = attrgetter("tool")
