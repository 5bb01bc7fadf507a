"""Whether equal writes on one resource come in another order.

Two matched calls are inverted if production made them in different steps and the replay made them in different
steps the other way round; calls of one step are a set and have no order. A call of unknown resource may act on
anything, so it has an order with every call.
"""

from __future__ import annotations

import numpy as np

from comparators.callbatch import CallBatch, starts_of_runs
from comparators.matching import Matching
from comparators.spec import Bools, Floats, Ints


def reordered(batch: CallBatch, matching: Matching) -> Floats:
    """1 where some two equal writes on one resource are inverted, else 0. Shape (rows,)."""
    result = np.zeros(batch.rows)
    result[batch.row[matching.production[inverted(batch, matching)]]] = 1.0
    return result


def inverted(batch: CallBatch, matching: Matching) -> Bools:
    """Which matched calls come after one in production and before it in the replay. Shape as the matching."""
    equal = np.flatnonzero(matching.equal)
    production, replay = matching.production[equal], matching.replay[equal]
    resource = _resources(batch, production)
    scope, before, after = batch.scope[production], batch.step[production], batch.step[replay]
    fired = _later_is_earlier(scope * (int(resource.max(initial=0)) + 1) + resource, before, after)
    fired |= _later_is_earlier(scope, before, after, passed=resource == _UNKNOWN)
    fired |= _later_is_earlier(scope, before, after) & (resource == _UNKNOWN)
    result = np.zeros(len(matching.equal), dtype=np.bool_)
    result[equal] = fired
    return result


_UNKNOWN = 0


def _resources(batch: CallBatch, events: Ints) -> Ints:
    """A number for what each write acts on, `_UNKNOWN` where it does not say."""
    names = [batch.events[event].resource for event in events.tolist()]
    number = {name: index for index, name in enumerate(sorted(set(names) - {""}), start=_UNKNOWN + 1)}
    return np.array([number.get(name, _UNKNOWN) for name in names], dtype=np.int64)


def _later_is_earlier(key: Ints, before: Ints, after: Ints, *, passed: Bools | None = None) -> Bools:
    """Which calls come, among those of one key, after one in `before` and before it in `after`.

    Only calls of `passed` count as come after, if it is given.
    """
    if len(key) == 0:
        return np.zeros(0, dtype=np.bool_)
    # Calls of one step of production are sorted by the replay's step, so none of them inverts another.
    order = np.lexsort((after, before, key))
    run = np.cumsum(starts_of_runs(key[order]))
    span = int(after.max()) + 1
    seen = after[order] if passed is None else np.where(passed[order], after[order], 0)
    highest = np.maximum.accumulate(run * span + seen)  # starts anew in every run: the run is the larger digit
    fired = np.empty(len(key), dtype=np.bool_)
    fired[order] = highest > run * span + after[order]
    return fired
