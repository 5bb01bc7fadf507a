"""Tool calls of both sides: what would have changed, what was handed off, what was read, and in which order.

Writes, handoffs and reads are separate dimensions, because only writes tell whether the world would end up in
another state; reads of two runs of one release differ about as often as not. Attempts count, whatever came of
them: replayed writes never run, and a refused attempt is one.

No side's calls at all, or none of the kind a dimension looks at, is `NOT_APPLICABLE`. Only `tools.path` has a
score then: two empty sequences are the same sequence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comparators.agreement import Agreement
from comparators.callbatch import CallBatch, starts_of_runs
from comparators.calls import CallPair, Effect, Outcome
from comparators.matching import Matching, match, runs_of_equal_calls
from comparators.ordering import reordered
from comparators.path import compare_paths
from comparators.spec import Bools, Column, Floats, Ints, Status, Statuses, column, overridden, statuses


def compare_calls(pairs: Sequence[CallPair], *, given: Statuses | None = None) -> tuple[Column, ...]:
    """All `tools.*` columns. Where `given` is not `SCORED` it is the status of all of them.

    Raises `ValueError` when the weight of a call is negative or not finite, or a digest has not 16 bytes.
    """
    batch = CallBatch.of(pairs)
    agreement = Agreement(batch)
    columns = (
        *_writes(batch, match(batch, Effect.WRITE, agreement)),
        *_handoffs(batch, match(batch, Effect.HANDOFF, agreement)),
        _reads(batch),
        column("tools.path", compare_paths(batch, agreement), statuses(np.ones(batch.rows, np.bool_), Status.UNKNOWN)),
        *_excesses(batch),
    )
    return tuple(overridden(scores, given) for scores in columns)


def _writes(batch: CallBatch, matching: Matching) -> tuple[Column, ...]:
    events = batch.effect == Effect.WRITE
    assumed = events & (batch.outcome == Outcome.ASSUMED) & (batch.side == 1)
    counts = {
        "missing": _per_row(batch, matching.missing),
        "extra": _per_row(batch, matching.extra),
        "changed": _per_row(batch, matching.production[matching.distance > 0]),
        "duplicated": _duplicated(batch, np.flatnonzero(events)),
        "outcome_changed": _per_row(batch, matching.production[_outcome_changed(batch, matching)]),
        "assumed": _per_row(batch, np.flatnonzero(assumed)),
        "reordered": reordered(batch, matching),
    }
    there = _statuses(_per_row(batch, np.flatnonzero(events)) > 0)
    named = (column(f"tools.write.{name}", count, there) for name, count in counts.items())
    return _distance(batch, matching, "tools.write"), *named


def _handoffs(batch: CallBatch, matching: Matching) -> tuple[Column, ...]:
    there = _statuses(_per_row(batch, np.flatnonzero(batch.effect == Effect.HANDOFF)) > 0)
    return (
        _distance(batch, matching, "tools.handoff"),
        column("tools.handoff.missing", _per_row(batch, matching.missing), there),
        column("tools.handoff.extra", _per_row(batch, matching.extra), there),
    )


def _distance(batch: CallBatch, matching: Matching, name: str) -> Column:
    """Cost of the matching over the sum of weights. A call without a partner costs its whole weight."""
    weight = batch.weight[matching.production] + batch.weight[matching.replay]
    cost = _sum(batch, matching.production, weight * matching.distance)
    total = _sum(batch, matching.production, weight)
    for alone in (matching.missing, matching.extra):
        unmatched = _sum(batch, alone, batch.weight[alone])
        cost, total = cost + unmatched, total + unmatched
    return column(name, cost / np.where(total > 0, total, 1.0), _statuses(total > 0))


def _outcome_changed(batch: CallBatch, matching: Matching) -> Bools:
    one, other = batch.outcome[matching.production], batch.outcome[matching.replay]
    lost = (one == Outcome.SUCCEEDED) & (other == Outcome.FAILED)
    won = (one == Outcome.FAILED) & (other == Outcome.SUCCEEDED)
    changed: Bools = matching.equal & (lost | won)
    return changed


def _duplicated(batch: CallBatch, events: Ints) -> Floats:
    """Copies of one call in the replay beyond the first and beyond what production made."""
    runs = runs_of_equal_calls(batch, events)
    beyond = np.maximum(runs.replay - np.maximum(runs.production, 1), 0)
    first = starts_of_runs(runs.run)
    return _sum(batch, runs.events[first], beyond)


def _reads(batch: CallBatch) -> Column:
    """1 - Jaccard of the distinct reads of a weight; the same call in another scope is another read."""
    events = np.flatnonzero((batch.effect == Effect.READ) & (batch.weight > 0))
    runs = runs_of_equal_calls(batch, events)
    row = batch.row[runs.events[starts_of_runs(runs.run)]]
    either = np.bincount(row, minlength=batch.rows)
    both = np.bincount(row[(runs.production > 0) & (runs.replay > 0)], minlength=batch.rows)
    return column("tools.read", (either - both) / np.maximum(either, 1), _statuses(either > 0))


def _excesses(batch: CallBatch) -> tuple[Column, ...]:
    """Signed counts, replay minus production. Applicable where either side called anything."""
    sign = np.where(batch.side == 1, 1.0, -1.0)
    key = batch.sequence * max(len(batch.calls), 1) + batch.call
    order = np.argsort(key, kind="stable")
    repeated = np.empty(len(key), dtype=np.bool_)
    repeated[order] = ~starts_of_runs(key[order])
    invalid = ~batch.valid
    counted = {
        "tools.invalid": invalid,
        "tools.invalid_write": invalid & (batch.effect == Effect.WRITE),
        "tools.failed": batch.outcome == Outcome.FAILED,
        "tools.repeated": repeated,
    }
    there = _statuses(np.bincount(batch.row, minlength=batch.rows) > 0)
    return tuple(
        column(name, np.bincount(batch.row, np.where(events, sign, 0.0), minlength=batch.rows), there)
        for name, events in counted.items()
    )


def _sum(batch: CallBatch, events: Ints, amount: Floats | Ints) -> Floats:
    # bincount adds one entry after the other in the order given, so a row's sum does not depend on its batch.
    return np.bincount(batch.row[events], amount, minlength=batch.rows).astype(np.float64)


def _per_row(batch: CallBatch, events: Ints) -> Ints:
    return np.bincount(batch.row[events], minlength=batch.rows)


def _statuses(applicable: Bools) -> Statuses:
    return statuses(applicable, Status.NOT_APPLICABLE)
