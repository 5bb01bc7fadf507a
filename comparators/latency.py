"""Latency: ln of the paired ratio, for the whole request, the model's part, and the first token."""

from __future__ import annotations

from typing import NamedTuple

from comparators.ratios import log_ratio
from comparators.spec import Column, Floats, Statuses, overridden

#: A microsecond, in nanoseconds: no two clocks agree on less.
CLOCK_NS = 1_000.0


class Times(NamedTuple):
    """Nanoseconds of one side, each of shape (n,); NaN = not recorded."""

    total: Floats
    model: Floats
    ttft: Floats


def compare_latency(production: Times, replay: Times, *, given: Statuses | None = None) -> tuple[Column, ...]:
    """`latency.total`, `latency.model` and `latency.ttft` of each pair."""
    scored = (
        log_ratio("latency.total", production.total, replay.total, floor=CLOCK_NS),
        log_ratio("latency.model", production.model, replay.model, floor=CLOCK_NS),
        log_ratio("latency.ttft", production.ttft, replay.ttft, floor=CLOCK_NS),
    )
    return tuple(overridden(scores, given) for scores in scored)
