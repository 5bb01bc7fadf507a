"""A batch of call pairs as arrays: one entry per attempted call, calls interned by digest.

Call numbers follow the order of digests, tool numbers the order of names. Both orders are the same in every
batch, so an order by number is an order by content and no score can tell in which batch it was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from comparators.calls import CallEvent, CallPair, CanonicalCall
from comparators.spec import Bools, Floats, Ints

#: Numbers below this are used as they are, larger ones are replaced by their rank: keys of several numbers
#: packed into 64 bits must not overflow.
_SMALL = 1 << 20


@dataclass(frozen=True, slots=True)
class CallBatch:
    """Arrays of shape (events,), ordered by row, then side, then attempt.

    `sequence` is 2 * row for production and 2 * row + 1 for the replay; `scope` numbers (row, group), within
    which calls may be matched; `call` indexes `calls`, `tool_of` (of shape (calls,)) the tools.
    """

    rows: int
    calls: tuple[CanonicalCall, ...]
    tool_of: Ints
    events: tuple[CallEvent, ...]
    sequence: Ints
    scope: Ints
    groups: int
    call: Ints
    effect: NDArray[np.uint8]
    outcome: NDArray[np.uint8]
    step: Ints
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
        """Raises `ValueError` when a weight is negative or not finite."""
        sides = list(chain.from_iterable(pairs))
        events = tuple(chain.from_iterable(sides))
        # All events at once, field by field: the transposition is one call.
        called, effects, outcomes, steps, group_of, weights, valid, _ = zip(*events, strict=True) if events else [()] * 8
        tools, digests, _ = zip(*called, strict=True) if called else ((), (), ())
        unique = dict(zip(digests, called, strict=True))
        calls = tuple(unique[digest] for digest in sorted(unique))
        sequence = np.repeat(np.arange(len(sides)), [len(side) for side in sides])
        group = _small(_integers(group_of))
        groups = int(group.max(initial=0)) + 1
        weight = np.array(weights, dtype=np.float64)
        if not np.all((weight >= 0) & (weight < np.inf)):
            raise ValueError("the weight of a call must be a finite number >= 0")
        return cls(
            rows=len(pairs),
            calls=calls,
            tool_of=_interned([call.tool for call in calls], sorted(set(tools))),
            events=events,
            sequence=sequence,
            scope=(sequence >> 1) * groups + group,
            groups=groups,
            call=_interned(digests, [call.digest for call in calls]),
            effect=np.frombuffer(bytes(effects), dtype=np.uint8),
            outcome=np.frombuffer(bytes(outcomes), dtype=np.uint8),
            step=_small(_integers(steps)),
            weight=weight,
            valid=np.array(valid, dtype=np.bool_),
        )


def starts_of_runs(ascending: Ints) -> Bools:
    """Where a sorted array takes a new value, shape as given."""
    first = np.ones(len(ascending), dtype=np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=first[1:])
    return first


def positions_in_runs(first: Bools) -> Ints:
    """Position of each entry within its run, from 0, given where runs start."""
    index = np.arange(len(first))
    return index - np.maximum.accumulate(np.where(first, index, 0))


def _integers(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)


def _small(values: Ints) -> Ints:
    if len(values) == 0 or (values.min() >= 0 and values.max() < _SMALL):
        return values
    return np.unique(values, return_inverse=True)[1]


def _interned(values: Sequence[str] | Sequence[bytes], ordered: Sequence[str] | Sequence[bytes]) -> Ints:
    number = dict(zip(ordered, range(len(ordered)), strict=True))
    return np.fromiter(map(number.__getitem__, values), dtype=np.int64, count=len(values))
