"""Paired differences as counts, and what they prove: betting e-values that may be looked at at any time.

A difference lies in [-1, 1]. It is kept as how often each of 2,001 values occurred, and that is all that is ever kept:
numbers that add up to the same in any order, over any split into partitions, after any restart. Every margin can be
asked about later.

Test. With g in 12 steps from 0.02 to 0.9 and differences d, the wealth of a bettor against "the mean is at most m" is
the product of 1 + g (d - m) / (1 + m), and against "at least m" that of 1 + g (m - d) / (1 - m). The mean over the
steps is an e-value: by Ville's inequality it reaches 1/alpha with a chance of at most alpha, whenever one looks
(Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS-B 86(1), 2024, section 4).
The steps are fixed and never learnt from the data. So the order does not matter, and the test stays valid when the
mean drifts, as long as its running average obeys the hypothesis: for a mean m_i at step i the product of
1 + g (m_i - m) / (1 + m) is at most exp(sum of g (m_i - m) / (1 + m)), which is then at most 1.

A value between two steps of the scale counts in part as one and in part as the other, so that the mean stays what it
is. The log of either factor above is concave in d: what is shared so proves a little less than the value itself, of
harm and of safety alike. Parts are multiples of 1 / PARTS, whose sums are exact; what is finer is rounded to the side
that proves less, and the caller says which that is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from math import log
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from comparators.spec import Floats, Ints

#: Steps per unit. Events differ by whole units and are kept exactly.
STEPS = 1_000
BINS = 2 * STEPS + 1
#: The values that are told apart, float64[BINS].
SCALE: Floats = np.arange(-STEPS, STEPS + 1) / STEPS
#: Parts of one count. Sums of so many are exact in float64 up to 2**42 counts, in any order.
PARTS = 1 << 10
#: Shares of the wealth that are bet, float64[12].
BETS: Floats = np.geomspace(0.02, 0.9, 12)

#: More differences than anybody waits for.
FOREVER = 10**9

Side: TypeAlias = Literal["down", "up"]
#: What a stake of 1 wins by each difference, at least -1.
Gain: TypeAlias = Callable[[Floats], Floats]


def places(differences: Floats, side: Side) -> Ints:
    """The step of the scale on that side of each difference. Raises `ValueError` as `shared`."""
    return _rounded(differences, STEPS, side) + STEPS


def _rounded(differences: Floats, units: int, side: Side) -> Ints:
    """In so many units per 1."""
    if not np.all(np.abs(differences) <= 1.0):
        raise ValueError("a difference is not within [-1, 1]")
    # A hundredth of a unit is rounding of the sum that made it, not a value between two.
    scaled = differences * units
    to_side: Floats = np.floor(scaled + 0.01) if side == "down" else np.ceil(scaled - 0.01)
    return to_side.astype(np.int64)


class Shared(NamedTuple):
    """Between which steps differences lie: the one below, and the share that counts as the next one, in [0, 1)."""

    below: Ints
    beyond: Floats

    def counts(self) -> tuple[Ints, Floats]:
        """Steps, and what each is counted: some are nothing. Above the last one stands another, with nothing."""
        below, beyond = (each.ravel() for each in self)
        return np.concatenate((below, below + 1)), np.concatenate((1.0 - beyond, beyond))


def shared(differences: Floats, side: Side) -> Shared:
    """Share each difference between two steps. Raises `ValueError` for one beyond [-1, 1], or that is no number."""
    below, parts = np.divmod(_rounded(differences, STEPS * PARTS, side) + STEPS * PARTS, PARTS)
    return Shared(below, parts / PARTS)


def counted(differences: Floats, side: Side) -> Floats:
    """How often each value of the scale occurs, float64[BINS]. Counts of two sets add up."""
    return tallied(shared(differences, side), BINS)


def tallied(found: Shared, bins: int) -> Floats:
    """Counts by step, float64[bins]."""
    steps, counts = found.counts()
    total = np.zeros(bins + 1)
    total += np.bincount(steps, counts, bins + 1)
    return total[:bins]


def log_e_harm(counts: Floats, margin: float) -> float:
    """Log of the e-value against "the mean is at most `margin`": evidence of harm. `margin` in (-1, 1)."""
    return _log_mixture(counts, bet_on_harm(margin))


def log_e_safe(counts: Floats, margin: float) -> float:
    """Log of the e-value against "the mean is at least `margin`": evidence of safety. `margin` in (-1, 1)."""
    return _log_mixture(counts, bet_on_safety(margin))


def bet_on_harm(margin: float) -> Gain:
    """A bet against "the mean is at most `margin`"."""
    return lambda values: (values - margin) / (1.0 + margin)


def bet_on_safety(margin: float) -> Gain:
    """A bet against "the mean is at least `margin`"."""
    return lambda values: (margin - values) / (1.0 - margin)


def log_mean(logs: Floats) -> float:
    """Log of the mean of numbers, by their logs."""
    most = float(logs.max())
    return most + log(float(np.exp(logs - most).mean()))


def band(best: Floats, worst: Floats, *, harm: float, safe: float) -> tuple[float, float]:
    """Where the mean lies at any time: below the first end with a chance of at most `harm`, above the second `safe`.

    Both tests inverted, so that a margin lies below the band where `log_e_harm` reaches ln 1/`harm`, and above it where
    `log_e_safe` reaches ln 1/`safe`. `best` are the differences at the candidate's best, which bound the mean from
    below, `worst` from above. The ends are multiples of 1 / STEPS.
    """
    low = _last(lambda margin: log_e_harm(best, margin) >= log(1.0 / harm), SCALE[1:-1])
    high = certifiable(worst, safe)
    return (-1.0 if low is None else low), (1.0 if high is None else high)


def certifiable(worst: Floats, alpha: float) -> float | None:
    """The smallest margin that the mean is proved to be below, at level `alpha`; null when there is none below 1."""
    return _last(lambda margin: log_e_safe(worst, margin) >= log(1.0 / alpha), SCALE[-2:0:-1])


def more_pairs(worst: Floats, margin: float, alpha: float, *, unseen: int = 0) -> int | None:
    """How many more differences, in the same proportions, would certify the margin; null when a billion would not.

    `unseen` differences are taken for 1 each, and stay as many.
    """
    total = int(worst.sum())
    shares = worst / max(total, 1)
    beside = unseen * (SCALE == 1.0)

    def suffice(more: int) -> bool:
        return log_e_safe(shares * (total + more) + beside, margin) >= log(1.0 / alpha)

    if not total or not suffice(FOREVER):
        return None
    return bisect_left(range(FOREVER), True, key=suffice)


def mean(counts: Floats) -> float | None:
    """Null without any."""
    total = int(counts.sum())
    return float(counts @ SCALE) / total if total else None


def _log_mixture(counts: Floats, gain: Gain) -> float:
    """Log of the mean wealth over all bets."""
    held = np.flatnonzero(counts)
    return log_mean(np.log1p(np.outer(BETS, gain(SCALE[held]))) @ counts[held])


def _last(holds: Callable[[float], bool], margins: Floats) -> float | None:
    """The last margin of which something holds that holds of all before it. Null when it holds of none."""
    low, high = 0, len(margins)
    while low < high:
        middle = (low + high) // 2
        if holds(float(margins[middle])):
            low = middle + 1
        else:
            high = middle
    return float(margins[low - 1]) if low else None
