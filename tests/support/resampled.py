"""A gate on conversations that are drawn again and again from few: the votes of each kind are cast once and added up."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import numpy as np

from judged import gate
from replay.gate.config import Gate
from replay.gate.docket import Docket
from replay.gate.evidence import Evidence
from replay.gate.staged import TOPIC, staged
from replay.verdict import Verdict

DRAWN = 4_000
#: Which of the 32 requests each conversation is.
DRAWS = np.random.default_rng(20240507).integers(0, 32, DRAWN).tolist()
MARGIN, CLEAR = 0.05, 0.20
PASSES = {"id": "expected_failed", "kind": "paired_binary", "margin": MARGIN}

#: What the bundle in production missed of one conversation, signal by signal, and what the candidate did.
Fared = tuple[tuple[float, ...], tuple[float, ...]]


def enter(docket: Docket, number: int, fared: Fared) -> None:
    """Both lanes of one conversation."""
    served, replayed = (dict(zip(docket.gate.signals, missed, strict=True)) for missed in fared)
    docket.enter(staged(number, "candidate", replayed, production=served))
    docket.enter(staged(number, "baseline", served))


def by_request(baseline: np.ndarray, candidate: np.ndarray) -> list[Fared]:
    """How each request goes: of failures, float64[32] or float64[signals, 32]."""
    served, replayed = (np.atleast_2d(side).T.tolist() for side in (baseline, candidate))
    return [(tuple(one), tuple(other)) for one, other in zip(served, replayed, strict=True)]


def one_by_one(baseline: np.ndarray, candidate: np.ndarray, the_gate: Gate) -> Verdict:
    """All drawn conversations through one docket."""
    docket = Docket(the_gate)
    fared = by_request(baseline, candidate)
    for number, request in enumerate(DRAWS):
        enter(docket, number, fared[request])
    docket.finish()
    return docket.verdict(now=None)


class Resampled:
    """The same verdict in a hundredth of the time. Evidence adds up, which the docket's own partitions rely on: a
    conversation of each kind votes in a docket of its own, and its evidence is added as often as the kind was drawn,
    by doubling.
    """

    def __init__(self, *signals: str, **metric: object) -> None:
        metrics = [PASSES | metric | {"id": signal} for signal in signals or (PASSES["id"],)]
        self.gate = gate(*metrics)
        self._copies = lru_cache(maxsize=None)(self._made)

    def verdict(self, baseline: np.ndarray, candidate: np.ndarray) -> Verdict:
        """Of failures, float64[32] or float64[signals, 32], one per request."""
        docket = Docket(self.gate)
        fared = by_request(baseline, candidate)
        kinds = Counter(fared[request] for request in DRAWS)
        enter(docket, 0, first := next(iter(kinds)))
        docket.finish()
        kinds[first] -= 1
        for fared, times in kinds.items():
            for power in (bit for bit in range(times.bit_length()) if times >> bit & 1):
                docket.partition(TOPIC, 0).evidence.merge(self._copies(fared, power))
        return docket.verdict(now=None)

    def decision(self, baseline: np.ndarray, candidate: np.ndarray) -> str:
        return self.verdict(baseline, candidate).decision

    def _made(self, fared: Fared, power: int) -> Evidence:
        """Evidence of 2**power conversations of one kind."""
        if power:
            total = Evidence(self.gate)
            for _ in range(2):
                total.merge(self._copies(fared, power - 1))
            return total
        docket = Docket(self.gate)
        enter(docket, 0, fared)
        docket.finish()
        return docket.evidence()
