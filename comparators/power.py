"""How many differences a test will need, said before there are any.

The wealth of a bettor is a product over independent differences, so that its log after n of them is about normal:
mean n E[log gain], variance n Var[log gain]. All twelve bets fall together when differences get worse, so the mixture
of their lower quantiles is the lower quantile of the mixture. What is said here is about one look, after n pairs; who
looks earlier, too, can only find more.

An assumption is a float64[BINS] of shares that add up to 1: how often each difference of `SCALE` is expected.
`unseen` differences more are under way while a test is looked at, and count as what proves least.
"""

from __future__ import annotations

from bisect import bisect_left
from math import log, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from comparators.differences import BETS, FOREVER, SCALE, STEPS, Gain, bet_on_harm, bet_on_safety, log_mean
from comparators.spec import Floats


class _Test(NamedTuple):
    """What is bet on each difference, and the difference that gains least."""

    gain: Gain
    worst: float


def pairs_to_certify(shares: Floats, margin: float, alpha: float, power: float, *, unseen: int = 0) -> int | None:
    """After how many pairs the mean is proved to be below `margin`, with a chance of `power` in [0.5, 1).

    Null when a billion would not do.
    """

    def suffice(pairs: int) -> bool:
        return _likely(shares, _safe(margin), pairs, power, unseen) >= log(1.0 / alpha)

    return bisect_left(range(FOREVER), True, key=suffice) if suffice(FOREVER) else None


def certifiable_after(shares: Floats, pairs: int, alpha: float, power: float, *, unseen: int = 0) -> float | None:
    """The smallest margin that will be certified after so many pairs, a multiple of 1 / STEPS; null if none below 1."""

    def suffice(step: int) -> bool:
        return _likely(shares, _safe(step / STEPS), pairs, power, unseen) >= log(1.0 / alpha)

    found = bisect_left(range(1, STEPS), True, key=suffice) + 1
    return found / STEPS if found < STEPS else None


def detectable_after(
    shares: Floats, margin: float, pairs: int, alpha: float, power: float, *, unseen: int = 0
) -> float | None:
    """The smallest mean that will be proved to be above `margin`, when it comes of a share of pairs that turn worst."""

    def worse(step: int) -> Floats:
        mixed = shares * (1.0 - step / STEPS)
        mixed[-1] += step / STEPS
        return mixed

    def suffice(step: int) -> bool:
        return _likely(worse(step), _harm(margin), pairs, power, unseen) >= log(1.0 / alpha)

    found = bisect_left(range(STEPS + 1), True, key=suffice)
    return round(float(worse(found) @ SCALE), 9) if found <= STEPS else None


def _safe(margin: float) -> _Test:
    return _Test(bet_on_safety(margin), worst=1.0)


def _harm(margin: float) -> _Test:
    return _Test(bet_on_harm(margin), worst=-1.0)


def _likely(shares: Floats, test: _Test, pairs: int, power: float, unseen: int) -> float:
    """What the log of the e-value will reach with a chance of `power`."""
    held = np.flatnonzero(shares)
    logs, often = np.log1p(np.outer(BETS, test.gain(SCALE[held]))), shares[held]
    means = logs @ often
    spread = np.sqrt(np.maximum(logs**2 @ often - means**2, 0.0))
    at_stake = unseen * np.log1p(BETS * test.gain(np.array([test.worst])))
    return log_mean(pairs * means - NormalDist().inv_cdf(power) * sqrt(pairs) * spread + at_stake)
