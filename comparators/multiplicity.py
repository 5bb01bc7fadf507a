"""Many hypotheses at once: which stand out, and how rarely that is chance.

For slices the share of those that stand out by chance is bounded, for the metrics of a gate the chance that any does.

e-BH (Wang and Ramdas, "False discovery rate control with e-values", JRSS-B 84(3), 2022, section 2) keeps the expected
share of false discoveries at q under any dependence between the e-values: overlapping slices are no harm. It wants the
evidence of now: the largest e-value that a slice ever had breaks it (Tavyrikov, Goeman, de Heide, arXiv:2501.19360).
"""

from __future__ import annotations

from math import log

import numpy as np

from comparators.spec import Bools, Floats

#: Beyond e**600 more evidence changes nothing, and would overflow.
_LARGEST_LOG = 600.0


def discoveries(log_e: Floats, q: float) -> Bools:
    """Which of K hypotheses to reject, by ln E, float64[K], so that at most a share `q` of them is expected false.

    The k largest, for the largest k such that the k-th largest e-value is at least K / (k q). All K that were looked
    at must be given, those without evidence (ln E = 0) too. Raises `ValueError` for a NaN and for a `q` outside (0, 1).
    """
    if not 0 < q < 1:
        raise ValueError(f"q is {q}; expected more than 0 and less than 1")
    if np.isnan(log_e).any():
        raise ValueError("an e-value is NaN; a slice without pairs has ln E = 0")
    order = np.argsort(-log_e, kind="stable")
    needed = np.log(len(log_e) / np.arange(1, len(log_e) + 1)) - log(q) if len(log_e) else log_e
    enough = np.flatnonzero(log_e[order] >= needed)
    rejected = np.zeros(log_e.shape, np.bool_)
    rejected[order[: enough[-1] + 1 if len(enough) else 0]] = True
    return rejected


def familywise(log_e: Floats, weights: Floats, alpha: float) -> Bools:
    """Which of K hypotheses to reject, by ln E and weight, float64[K], so that none of them is true but for `alpha`.

    Closed testing (Marcus, Peritz and Gabriel, Biometrika 63(3), 1976): one is rejected when the weighted mean of
    e-values (Vovk and Wang, Annals of Statistics 49(3), 2021, section 3) reaches 1/alpha in every set that holds it.
    The least favourable set holds all whose own e-value is below that. A single one is rejected at 1/alpha, and where
    any is rejected the mean of all is at least 1/alpha, too. The reverse does not hold: it may be sure that some are
    false, and open which. Raises `ValueError` for a NaN, a weight that is not positive, and an `alpha` outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; expected more than 0 and less than 1")
    if np.isnan(log_e).any() or not (weights > 0).all():
        raise ValueError("an e-value is NaN, or a weight is not positive")
    above = weights * (np.exp(np.minimum(log_e, _LARGEST_LOG)) - 1.0 / alpha)
    lacking = np.minimum(above, 0.0).sum()
    rejected: Bools = (above >= 0) & (above + lacking >= 0)
    return rejected
