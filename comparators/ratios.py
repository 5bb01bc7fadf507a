"""Paired log ratios: ln(replay / production), positive when the replay has more of it.

Both sides are measured in units with a floor, the smallest amount that means anything: below it, differences are
those of the clock or the price list. NaN stands for "not recorded" in the input, and never leaves.
"""

from __future__ import annotations

import numpy as np

from comparators.spec import Column, Floats, Status, column, statuses


def log_ratio(name: str, production: Floats, replay: Floats, *, floor: float) -> Column:
    """Score `name` per pair, shape (n,). A side that is NaN, infinite or negative makes the pair `UNKNOWN`."""
    if production.shape != replay.shape or production.ndim != 1:
        raise ValueError(f"{name}: {production.shape} values of production for {replay.shape} of the replay")
    if not floor > 0:
        raise ValueError(f"{name}: the floor is {floor}; expected more than 0")
    known = np.isfinite(production) & np.isfinite(replay) & (production >= 0) & (replay >= 0)
    left = np.maximum(np.where(known, production, 1.0), floor)
    right = np.maximum(np.where(known, replay, 1.0), floor)
    return column(name, np.log(right / left), statuses(known, Status.UNKNOWN))
