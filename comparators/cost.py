"""Cost and tokens: ln of the paired ratio. An unknown price or count is `UNKNOWN`, never free."""

from __future__ import annotations

from typing import NamedTuple

from comparators.ratios import log_ratio
from comparators.spec import Column, Floats, Statuses, overridden

#: A millionth of a dollar: price lists go no finer.
PRICE_USD = 1e-6
ONE_TOKEN = 1.0


class Spending(NamedTuple):
    """US dollars and tokens of one side, each of shape (n,); NaN = not known. `cached` is a part of `read`."""

    usd: Floats
    read: Floats
    written: Floats
    cached: Floats


def compare_cost(production: Spending, replay: Spending, *, given: Statuses | None = None) -> tuple[Column, ...]:
    """`cost.total`, `tokens.input`, `tokens.output` and `tokens.cached` of each pair."""
    scored = (
        log_ratio("cost.total", production.usd, replay.usd, floor=PRICE_USD),
        log_ratio("tokens.input", production.read, replay.read, floor=ONE_TOKEN),
        log_ratio("tokens.output", production.written, replay.written, floor=ONE_TOKEN),
        log_ratio("tokens.cached", production.cached, replay.cached, floor=ONE_TOKEN),
    )
    return tuple(overridden(scores, given) for scores in scored)
