"""Which attempted call of production is which of the replay's.

Within one scope (a trace, or one step of a forced replay), calls of one tool are matched. Equal calls cancel
first, copy by copy in the order of attempts. What is left is matched at minimum total cost, never greedily: a
greedy choice misses assignments that exist and reports differences that are not there. Tools never substitute.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from comparators.agreement import Agreement
from comparators.assignment import assign
from comparators.callbatch import CallBatch, crossed, positions_in_runs, starts_of_runs
from comparators.calls import Effect
from comparators.spec import Bools, Floats, Ints

#: The least that one differing argument costs: a wrong account number among nine right arguments must not look
#: like a tenth of a difference.
LEAST_DISTANCE = {Effect.READ: 0.0, Effect.HANDOFF: 0.0, Effect.WRITE: 0.5}

#: Leftover calls of one tool and scope are matched while the matrix has at most this many cells; beyond, all
#: of them count as missing and extra. That overstates the difference, in bounded time.
_LARGEST_MATRIX = 1 << 14


class Matching(NamedTuple):
    """Event numbers of one effect. `production[i]` and `replay[i]` are one call; `missing`, `extra` have no partner."""

    production: Ints
    replay: Ints
    distance: Floats
    equal: Bools  # by digest
    missing: Ints
    extra: Ints


def argument_distance(dice: Floats, least: Floats | float) -> Floats:
    """0 where all leaves agree, else from `least` up to 1."""
    distance: Floats = np.where(dice >= 1.0, 0.0, least + (1.0 - least) * (1.0 - dice))
    return distance


def match(batch: CallBatch, effect: Effect, agreement: Agreement) -> Matching:
    """Match the calls of one effect in every row."""
    events = np.flatnonzero(batch.effect == effect)
    same_production, same_replay = _equal_copies(batch, events)
    left = np.setdiff1d(events, np.concatenate((same_production, same_replay)), assume_unique=True)
    production, replay, distance = _closest(batch, left, agreement, LEAST_DISTANCE[effect])
    order = np.argsort(np.concatenate((same_production, production)), kind="stable")
    alone = np.setdiff1d(left, np.concatenate((production, replay)), assume_unique=True)
    return Matching(
        production=np.concatenate((same_production, production))[order],
        replay=np.concatenate((same_replay, replay))[order],
        distance=np.concatenate((np.zeros(len(same_production)), distance))[order],
        equal=(order < len(same_production)),
        missing=alone[batch.side[alone] == 0],
        extra=alone[batch.side[alone] == 1],
    )


class Runs(NamedTuple):
    """Events sorted by a key, then by side, then in the order of attempts; numbered runs of equal keys."""

    events: Ints
    run: Ints
    start: Ints  # of each run in `events`
    production: Ints  # events of production in each run, which come first
    replay: Ints

    @classmethod
    def of(cls, batch: CallBatch, events: Ints, key: Ints) -> Runs:
        side = batch.side[events]
        order = np.argsort(key * 2 + side, kind="stable")
        first = starts_of_runs(key[order])
        run = np.cumsum(first) - 1
        total = np.bincount(run)
        replay = np.bincount(run[side[order] == 1], minlength=len(total))
        return cls(events[order], run, np.flatnonzero(first), total - replay, replay)


def runs_of_equal_calls(batch: CallBatch, events: Ints) -> Runs:
    return Runs.of(batch, events, batch.scope[events] * max(len(batch.calls), 1) + batch.call[events])


def _equal_copies(batch: CallBatch, events: Ints) -> tuple[Ints, Ints]:
    """Events of equal calls, k-th copy beside k-th copy."""
    runs = runs_of_equal_calls(batch, events)
    side = batch.side[runs.events]
    copy = positions_in_runs(starts_of_runs(runs.run * 2 + side))
    paired = copy < np.minimum(runs.production, runs.replay)[runs.run]
    return runs.events[paired & (side == 0)], runs.events[paired & (side == 1)]


def _closest(batch: CallBatch, events: Ints, agreement: Agreement, least: float) -> tuple[Ints, Ints, Floats]:
    """Minimum-cost matching of calls that have no equal: production, replay, distance."""
    tools = int(batch.tool_of.max(initial=0)) + 1
    runs = Runs.of(batch, events, batch.scope[events] * tools + batch.tool_of[batch.call[events]])
    cells = runs.production * runs.replay
    wanted = (cells > 0) & (cells <= _LARGEST_MATRIX)
    shape = runs.production[wanted], runs.replay[wanted]
    left, right = crossed(runs.start[wanted], *shape)
    production, replay = runs.events[left], runs.events[right]
    distance = argument_distance(agreement.dice(production, replay), least)
    # Leaving two calls unmatched costs both weights in full: a match is worth what it saves of that.
    saving = (batch.weight[production] + batch.weight[replay]) * (1.0 - distance)
    chosen = _assigned(*shape, saving)
    return production[chosen], replay[chosen], distance[chosen]


def _assigned(rows: Ints, columns: Ints, saving: Floats) -> Ints:
    """Numbers of the chosen cells of matrices that stand one after the other, row by row."""
    cells = rows * columns
    first = np.cumsum(cells) - cells
    cost = (-saving).tolist()
    chosen: list[int] = []
    for matrix in np.flatnonzero(cells > 1).tolist():
        start, width, end = int(first[matrix]), int(columns[matrix]), int(first[matrix] + cells[matrix])
        starts = range(start, end, width)
        assigned = assign([cost[row : row + width] for row in starts])
        chosen += [row + column for row, column in zip(starts, assigned, strict=True) if column >= 0]
    return np.concatenate((first[cells == 1], np.array(chosen, dtype=np.int64)))
