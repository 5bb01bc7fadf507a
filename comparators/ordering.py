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
    production, replay = matching.production[matching.equal], matching.replay[matching.equal]
    names = [batch.events[event].resource for event in production.tolist()]
    number = {"": 0} | {name: index for index, name in enumerate(sorted(set(names) - {""}), start=1)}
    resource = np.array([number[name] for name in names], dtype=np.int64)
    scope, before, after = batch.scope[production], batch.step[production], batch.step[replay]
    fired = _later_is_earlier(scope * len(number) + resource, before, after)
    unknown = resource == 0
    fired |= _later_is_earlier(scope, before, after, passed=unknown)
    fired |= _later_is_earlier(scope, before, after, current=unknown)
    result = np.zeros(batch.rows)
    result[batch.row[production[fired]]] = 1.0
    return result


def _later_is_earlier(
    key: Ints, before: Ints, after: Ints, *, passed: Bools | None = None, current: Bools | None = None
) -> Bools:
    """Which calls come, among those of one key, after one in `before` and before it in `after`.

    The ones to come after are of `passed`, the ones reported of `current`; all, if not given.
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
    return fired if current is None else fired & current
