"""What the votes have proved so far: counts of differences per metric, and nothing that cannot be added up.

Two partitions, two processes or two days of votes are put together by addition, and the sum does not depend on how
they were split. Every figure of a verdict is worked out from these counts when somebody asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, inf, log

import msgspec
import numpy as np

from comparators.differences import (
    BINS,
    STEPS,
    Shared,
    band,
    certifiable,
    log_e_harm,
    log_e_safe,
    mean,
    more_pairs,
    places,
    shared,
    tallied,
)
from comparators.multiplicity import familywise
from comparators.spec import Floats, Ints
from replay.gate.config import Alpha, Gate, Metric
from replay.gate.slices import Slices
from replay.gate.times import Times
from replay.gate.vote import Ends, Exemplar, Vote
from replay.verdict import MetricEvidence, Standing

_EXEMPLARS = 5
#: What is kept beside the counts of differences; the first of them are sums.
_SUMS = ("conversations", "turns", "failed", "failed_alike", "excused", "guessed", "laned")
_KEPT = (*_SUMS, "uncalibrated", "exemplars", "missing")
_PER_METRIC = ("unknown", "hits", "lane_hits", "headroom")
#: Ends of what a difference may be: the candidate's best case and its worst.
_BEST, _WORST = 0, 1


@dataclass(slots=True)
class Differences:
    """Counts of one set of metrics: float64[metrics, 2, bins]."""

    counts: Floats

    @classmethod
    def none(cls, metrics: int) -> Differences:
        return cls(np.zeros((metrics, 2, BINS)))

    def fold(self, ends: Ends) -> None:
        """Add votes, float64[votes, metrics]. The best case is rounded down, the worst up: neither proves too much."""
        metrics = len(self.counts)
        first = np.broadcast_to(np.arange(metrics) * BINS, ends.valid.shape)[ends.valid]
        for end, found in ((_BEST, shared(ends.low, "down")), (_WORST, shared(ends.high, "up"))):
            placed = Shared(first + found.below[ends.valid], found.beyond[ends.valid])
            self.counts[:, end, :] += tallied(placed, metrics * BINS).reshape(metrics, BINS)

    def merge(self, other: Differences) -> None:
        self.counts += other.counts

    def pairs(self, metric: int) -> int:
        return int(self.counts[metric, _BEST].sum())

    def beside(self, metric: int, unseen: int, value: int) -> Floats:
        """Both ends of a metric and `unseen` differences of `value`, -1 or 1, more: float64[2, bins]."""
        both: Floats = self.counts[metric].copy()
        both[:, STEPS + value * STEPS] += unseen
        return both


@dataclass(slots=True)
class Evidence:
    """All that a gate knows, beside what is still open. Everything adds up.

    `unseen` is no part of the sum, and neither folded nor kept: records of which nobody knows yet what they came to
    (see `replay.gate.docket`). `uncalibrated`: by metric, conversations that no lane stood beside and that it could not
    be judged in without one. Both may be anything: in every e-value each of them is the difference that proves least.
    """

    gate: Gate
    unseen: int = 0
    conversations: int = 0
    turns: int = 0
    failed: int = 0
    failed_alike: int = 0
    excused: int = 0
    guessed: int = 0
    laned: int = 0
    times: Times = field(default_factory=Times)
    uncalibrated: list[int] = field(default_factory=list)
    exemplars: list[list[Exemplar]] = field(default_factory=list)
    #: Classes of the failures that say nothing about the candidate.
    missing: dict[str, int] = field(default_factory=dict)
    unknown: Ints = field(init=False)
    hits: Ints = field(init=False)
    lane_hits: Ints = field(init=False)
    #: In steps of a difference.
    headroom: Ints = field(init=False)
    candidate: Differences = field(init=False)
    placebo: Differences = field(init=False)
    slices: Slices = field(init=False)

    def __post_init__(self) -> None:
        metrics = len(self.gate.metrics)
        self.uncalibrated = self.uncalibrated or [0] * metrics
        self.exemplars = self.exemplars or [[] for _ in range(metrics)]
        self.unknown, self.hits, self.lane_hits, self.headroom = (np.zeros(metrics, np.int64) for _ in range(4))
        self.candidate, self.placebo = Differences.none(metrics), Differences.none(metrics)
        self.slices = Slices(metrics)

    def fold(self, votes: Sequence[Vote]) -> None:
        """Count votes."""
        if not votes:
            return
        self.candidate.fold(_stacked([vote.difference for vote in votes]))
        self.placebo.fold(_stacked([vote.placebo for vote in votes]))
        self.slices.fold(votes)
        for vote in votes:
            self._count(vote)

    def merge(self, other: Evidence) -> None:
        """Add what another partition has counted."""
        self.candidate.merge(other.candidate)
        self.placebo.merge(other.placebo)
        self.slices.merge(other.slices)
        self.unknown += other.unknown
        self.hits += other.hits
        self.lane_hits += other.lane_hits
        self.headroom += other.headroom
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for failure, count in other.missing.items():
            self.missing[failure] = self.missing.get(failure, 0) + count
        self.times.merge(other.times)
        self.uncalibrated = [ours + theirs for ours, theirs in zip(self.uncalibrated, other.uncalibrated, strict=True)]
        self.exemplars = [sorted({*a, *b})[:_EXEMPLARS] for a, b in zip(self.exemplars, other.exemplars, strict=True)]

    def dump(self) -> bytes:
        """Everything, in a few bytes per value that occurred. `load` reads it back, bit for bit."""
        kept = {name: getattr(self, name) for name in _KEPT}
        counts = {name: _sparse(getattr(self, name).counts) for name in ("candidate", "placebo")}
        per_metric = {name: getattr(self, name).tolist() for name in _PER_METRIC}
        others = {"times": self.times, "slices": self.slices.dump()}
        return msgspec.msgpack.encode({**kept, **per_metric, **counts, **others})

    @classmethod
    def load(cls, gate: Gate, data: bytes) -> Evidence:
        found = msgspec.msgpack.decode(data)
        evidence = cls(gate, times=Times(**found["times"]), **{name: found[name] for name in _KEPT})
        evidence.exemplars = [[Exemplar(*shown) for shown in each] for each in evidence.exemplars]
        for name in _PER_METRIC:
            setattr(evidence, name, np.array(found[name], np.int64))
        for name in ("candidate", "placebo"):
            places_, numbers = found[name]
            getattr(evidence, name).counts.reshape(-1)[places_] = numbers
        evidence.slices = Slices.load(len(gate.metrics), found["slices"])
        return evidence

    def metrics(self) -> tuple[MetricEvidence, ...]:
        worse = self._worse()
        return tuple(self._metric(row, metric, worse=worse[row]) for row, metric in enumerate(self.gate.metrics))

    def placebo_metrics(self) -> tuple[MetricEvidence, ...]:
        """The same of the bundle in production against itself; metrics that were measured, and have a margin, only."""
        rows = [row for row, metric in enumerate(self.gate.metrics) if metric.has_margin and self.placebo.pairs(row)]
        return tuple(_placebo(self.gate.metrics[row], self.placebo, row, self.unseen) for row in rows)

    def log_e_rollback(self) -> tuple[tuple[float, float], str | None]:
        """Of the weighted mean of the harm e-values of all metrics that vote, at both ends, and which weighs most.

        A mean of e-values is one, under any dependence (Vovk and Wang, "E-values: calibration, combination and
        applications", Annals of Statistics 49(3), 2021, section 3).
        """
        voting = [(row, metric) for row, metric in enumerate(self.gate.metrics) if metric.votes]
        total = sum(metric.weight for _, metric in voting)
        weights = [log(metric.weight / total) for _, metric in voting]
        each = [self._harm(row, metric) for row, metric in voting]
        best, worst = (_log_sum([w + ends[end] for w, ends in zip(weights, each, strict=True)]) for end in (0, 1))
        heaviest = max(range(len(voting)), key=lambda index: weights[index] + each[index][0])
        return (best, worst), voting[heaviest][1].id if each[heaviest][0] > 0 else None

    def log_e_placebo(self) -> float:
        """Evidence that the bundle in production differs from itself by more than a margin, either way.

        A relative margin is inside the difference, which is below 0 on average when nothing differs: that it seems to
        be better than itself says nothing.
        """
        each = []
        for metric in self.placebo_metrics():
            each += [metric.log_e_harm[0], metric.log_e_safe[0]] if metric.margin else [metric.log_e_harm[0]]
        return _log_sum([value - log(len(each)) for value in each]) if each else 0.0

    def is_uncalibrated(self, row: int) -> bool:
        """Whether a metric lacks a lane in more conversations than may be unknown."""
        alone, pairs = self.uncalibrated[row], self.candidate.pairs(row)
        return alone > 0 and (not pairs or alone > self.gate.missing.max_unknown_rate * (alone + pairs))

    def _worse(self) -> list[bool]:
        """Which metrics are proved to be worse than their margin: those that vote all together, others by themselves.

        One that votes and is proved to be worse rolls back, as the mean of all that vote does then.
        """
        alpha = self.gate.alpha.rollback
        log_e = np.array([self._harm(row, metric)[_BEST] for row, metric in enumerate(self.gate.metrics)])
        votes = np.array([metric.votes for metric in self.gate.metrics], np.bool_)
        weights = np.array([metric.weight for metric in self.gate.metrics])
        worse = log_e >= -log(alpha)
        worse[votes] = familywise(log_e[votes], weights[votes], alpha)
        return [bool(it) for it in worse]

    # -- one metric ---------------------------------------------------------------------------------------------

    def _metric(self, row: int, metric: Metric, *, worse: bool) -> MetricEvidence:
        best, worst = self.candidate.counts[row]
        alpha, pairs, unseen = self.gate.alpha, int(best.sum()), self._unseen(row)
        harmful, safest = (self.candidate.beside(row, unseen, value) for value in (-1, 1))
        asked = pairs > 0 and metric.has_margin
        safe = (log_e_safe(safest[_BEST], metric.tolerated), log_e_safe(safest[_WORST], metric.tolerated))
        harm = self._harm(row, metric)
        return MetricEvidence(
            id=metric.id,
            kind=metric.kind,
            signal=metric.measured,
            standing=self._standing(row, pairs, safe, worse=worse),
            votes=metric.votes,
            weight=metric.weight,
            margin=metric.tolerated,
            pairs=pairs,
            unknown=int(self.unknown[row]),
            uncalibrated=self.uncalibrated[row],
            mean=(mean(best) or 0.0, mean(worst) or 0.0) if pairs else None,
            log_e_harm=harm,
            log_e_safe=safe,
            band=_band(metric, harmful[_BEST], safest[_WORST], alpha) if pairs else None,
            certifiable=certifiable(safest[_WORST], alpha.promote) if pairs else None,
            more_pairs=more_pairs(worst, metric.tolerated, alpha.promote, unseen=unseen) if asked else None,
            hits=int(self.hits[row]),
            lane_hits=int(self.lane_hits[row]),
            headroom=int(self.headroom[row]) / STEPS / pairs if pairs else None,
            exemplars=tuple(shown.comparison_id for shown in self.exemplars[row]),
        )

    def _harm(self, row: int, metric: Metric) -> tuple[float, float]:
        if not metric.has_margin:
            return 0.0, 0.0
        best, worst = self.candidate.beside(row, self._unseen(row), -1)
        return log_e_harm(best, metric.tolerated), log_e_harm(worst, metric.tolerated)

    def _standing(self, row: int, pairs: int, safe: tuple[float, float], *, worse: bool) -> Standing:
        if worse:
            return "beyond_margin"
        if self.is_uncalibrated(row):
            return "uncalibrated"
        if not pairs:
            return "not_measured"
        return "within_margin" if safe[_WORST] >= -log(self.gate.alpha.promote) else "open"

    def _unseen(self, row: int) -> int:
        return self.unseen + self.uncalibrated[row]

    # -- counting -----------------------------------------------------------------------------------------------

    def _count(self, vote: Vote) -> None:
        self.conversations += 1
        self.turns += vote.turns
        self.failed += vote.failed
        self.failed_alike += vote.failed_alike
        self.excused += vote.excused
        self.guessed += vote.guessed
        self.laned += vote.laned
        self.unknown += vote.unknown
        self.hits += vote.hits
        self.lane_hits += vote.lane_hits
        self.headroom += np.where(vote.difference.valid, places(vote.headroom, "up") - STEPS, 0)
        if vote.failure is not None and (vote.failed_alike or vote.excused):
            self.missing[vote.failure] = self.missing.get(vote.failure, 0) + 1
        if vote.at is not None:
            self.times.see(vote.at)
        for row in np.flatnonzero(vote.uncalibrated).tolist():
            self.uncalibrated[row] += 1
        for row in np.flatnonzero(vote.difference.valid & (vote.difference.low > 0)).tolist():
            self.exemplars[row] = sorted({*self.exemplars[row], vote.exemplar})[:_EXEMPLARS]


def _band(metric: Metric, best: Floats, worst: Floats, alpha: Alpha) -> tuple[float, float]:
    """What must never happen cannot happen less often than never."""
    low, high = band(best, worst, harm=alpha.rollback, safe=alpha.promote)
    return (max(low, 0.0) if metric.kind == "zero_tolerance" else low), high


def _sparse(counts: Floats) -> tuple[list[int], list[float]]:
    flat = counts.reshape(-1)
    held = np.flatnonzero(flat)
    return held.tolist(), flat[held].tolist()


def _stacked(votes: Sequence[Ends]) -> Ends:
    return Ends(*(np.array(rows) for rows in zip(*votes, strict=True)))


def _placebo(metric: Metric, differences: Differences, row: int, unseen: int) -> MetricEvidence:
    """`log_e_harm` is evidence that it is worse than itself by more than the margin, `log_e_safe` that it is better."""
    best, worst = differences.counts[row]
    worse = log_e_harm(differences.beside(row, unseen, -1)[_BEST], metric.tolerated)
    better = log_e_safe(differences.beside(row, unseen, 1)[_WORST], -metric.tolerated)
    return MetricEvidence(
        id=metric.id,
        kind=metric.kind,
        signal=metric.measured,
        standing="open",
        votes=metric.votes,
        weight=metric.weight,
        margin=metric.tolerated,
        pairs=int(best.sum()),
        mean=(mean(best) or 0.0, mean(worst) or 0.0),
        log_e_harm=(worse, worse),
        log_e_safe=(better, better),
    )


def _log_sum(logs: Sequence[float]) -> float:
    most = max(logs, default=-inf)
    return most if most == -inf else most + log(sum(exp(value - most) for value in logs))
