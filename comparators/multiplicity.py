"""Many hypotheses at once: which slices stand out, with a bound on the share of them that do so by chance.

e-BH (Wang and Ramdas, "False discovery rate control with e-values", JRSS-B 84(3), 2022, section 2) keeps the expected
share of false discoveries at q under any dependence between the e-values: overlapping slices are no harm. It wants the
evidence of now: the largest e-value that a slice ever had breaks it (Tavyrikov, Goeman, de Heide, arXiv:2501.19360).
"""

from __future__ import annotations

from math import log

import numpy as np

from comparators.spec import Bools, Floats


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
