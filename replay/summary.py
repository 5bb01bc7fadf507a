"""What a set of comparisons says, folded one by one: counts, dimensions, coverage, and the worst pairs.

Folding is order-free, except for which of several equally bad pairs is shown first: then the smaller id wins,
so two runs of the same comparisons show the same pairs. A summary states divergence; the verdict, where there is a
gate, is made elsewhere and carried along.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from comparators.sketch import bins, excess
from comparators.spec import DIMENSION
from replay.comparison import DISPOSITIONS, Comparison, Flag
from replay.exact_json import Json, loads
from replay.grade import FAITHFUL
from replay.severity import FALSE_CLAIMS
from replay.verdict import Verdict
from replay.wire import encode

#: Exemplars kept per set of fired rules, so that one frequent kind of change does not hide the others.
_PER_KIND = 3


class Spread(NamedTuple):
    """One dimension over all scored pairs. `fired` counts values other than 0."""

    scored: int
    fired: int
    mean: float
    p50: float
    p95: float


@dataclass(slots=True)
class Dimension:
    values: array[float] = field(default_factory=lambda: array("d"))
    statuses: Counter[str] = field(default_factory=Counter)

    def spread(self) -> Spread | None:
        """Null when no pair could be scored: empty input has no mean."""
        if not self.values:
            return None
        values = np.frombuffer(self.values, dtype=np.float64)
        p50, p95 = np.quantile(values, [0.5, 0.95], method="higher")
        fired = int(np.count_nonzero(values))
        return Spread(len(values), fired, float(np.mean(np.sort(values))), float(p50), float(p95))

    def sketch(self) -> Counter[int]:
        return Counter(bins(np.frombuffer(self.values, dtype=np.float64)).tolist())


@dataclass(slots=True)
class Fold:
    """Comparisons of one lane and mode."""

    dispositions: Counter[str] = field(default_factory=Counter)
    dimensions: dict[str, Dimension] = field(default_factory=dict)
    rules: Counter[str] = field(default_factory=Counter)
    severities: Counter[int] = field(default_factory=Counter)
    first_divergence: Counter[str] = field(default_factory=Counter)
    grades: Counter[str] = field(default_factory=Counter)
    halted_by: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    prefix: Counter[str] = field(default_factory=Counter)
    model_calls: int = 0
    intended_actions: int = 0
    usd: Decimal = Decimal(0)
    unpriced: int = 0

    def add(self, comparison: Comparison) -> None:
        self.dispositions[comparison.disposition] += 1
        for grade, count in comparison.coverage.grades.items():
            self.grades[grade] += count
        for word, count in comparison.prefix.items():
            self.prefix[word] += count
        self.model_calls += comparison.replay.model_calls
        self.intended_actions += comparison.coverage.intended_actions
        self._add_cost(comparison)
        if comparison.coverage.halted_by is not None:
            self.halted_by[comparison.coverage.halted_by.partition("(")[0]] += 1
        if comparison.disposition in ENDED_EARLY:
            self.reasons[(comparison.reason or "").partition(":")[0][:80]] += 1
            return
        self.severities[comparison.severity] += 1
        for rule in {flag.rule for flag in comparison.flags}:
            self.rules[rule] += 1
        if comparison.first_divergence is not None:
            self.first_divergence[comparison.first_divergence.kind] += 1
        for name, score in comparison.scores.items():
            dimension = self.dimensions.get(name)
            if dimension is None:
                dimension = self.dimensions[name] = Dimension()
            dimension.statuses[score.status] += 1
            if score.value is not None:
                dimension.values.append(score.value)

    def _add_cost(self, comparison: Comparison) -> None:
        if comparison.replay.cost_usd is not None:
            self.usd += Decimal(comparison.replay.cost_usd)
        elif comparison.replay.model_calls:
            self.unpriced += 1

    @property
    def faithful(self) -> float | None:
        """Share of stub answers as good as the real ones; null when no tool was called."""
        calls = sum(self.grades.values())
        good = sum(count for grade, count in self.grades.items() if grade in FAITHFUL_NAMES)
        return good / calls if calls else None


def excess_over(lane: Fold | None, candidate: Fold, name: str) -> float | None:
    """How many more of the candidate's pairs lie beyond 95 % of the lane's, as a share; null where one is empty."""
    ours, theirs = candidate.dimensions.get(name), None if lane is None else lane.dimensions.get(name)
    if ours is None or theirs is None:
        return None
    return excess(ours.sketch(), theirs.sketch(), worse=DIMENSION[name].worse if name in DIMENSION else "")


ENDED_EARLY = frozenset(DISPOSITIONS) - {"compared", "censored"}
FAITHFUL_NAMES = frozenset(str(grade) for grade in FAITHFUL)


class Worst(NamedTuple):
    """A pair worth looking at: what makes it bad, and how it is told."""

    severity: int
    rules: tuple[str, ...]
    distance: float
    comparison: Comparison

    @property
    def order(self) -> tuple[int, bool, bool, int, float, str]:
        """Severe first; of equals, what a user would have lived through before single steps, and false claims."""
        stepwise = self.comparison.mode == "forced"
        honest = FALSE_CLAIMS.isdisjoint(self.rules)
        return (-self.severity, stepwise, honest, -len(self.rules), -self.distance, self.comparison.comparison_id)


@dataclass(slots=True)
class Summary:
    """Everything a run has to say. `refused` are traces that were not replayed, by reason."""

    folds: dict[tuple[str, str], Fold] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    traces: int = 0
    admitted: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    no_response: int = 0
    left: int = 0
    stopped_by: str | None = None
    verdict: Verdict | None = None
    _kinds: dict[tuple[str, ...], list[Worst]] = field(default_factory=dict)

    def add(self, comparison: Comparison) -> None:
        self.folds.setdefault((comparison.lane, comparison.mode), Fold()).add(comparison)
        if comparison.flags and comparison.lane == "candidate":
            self._keep(_worst(comparison))

    def beside(self, lane: str, mode: str) -> Fold | None:
        """The baseline lane of the candidate's replays of that mode: their noise."""
        return self.folds.get(("baseline", mode)) if lane == "candidate" else None

    def worst(self, count: int) -> list[Worst]:
        """The worst pairs, at first one of each set of rules, worst first."""
        ranked = [sorted(kind, key=lambda item: item.order) for kind in self._kinds.values()]
        firsts = sorted((kind[0] for kind in ranked), key=lambda item: item.order)
        rest = sorted((item for kind in ranked for item in kind[1:]), key=lambda item: item.order)
        chosen: list[Worst] = []
        seen: set[str] = set()
        for item in (*firsts, *rest):
            if item.comparison.trace_id not in seen and len(chosen) < count:
                seen.add(item.comparison.trace_id)
                chosen.append(item)
        return chosen

    def _keep(self, worst: Worst) -> None:
        kind = self._kinds.setdefault(worst.rules, [])
        kind.append(worst)
        kind.sort(key=lambda item: item.order)
        del kind[_PER_KIND:]


def _worst(comparison: Comparison) -> Worst:
    known = (comparison.scores[name].value for name in _DISTANCES if name in comparison.scores)
    distance = max((value for value in known if value is not None), default=0.0)
    rules = tuple(sorted({flag.rule for flag in comparison.flags}))
    return Worst(comparison.severity, rules, distance, comparison)


#: What breaks a tie between equally severe pairs: how much the user would have noticed.
_DISTANCES = ("answer.lexical",)


def summary_json(summary: Summary, *, facts: Mapping[str, Json], worst: int) -> dict[str, Json]:
    """The summary as `summary.json`: `facts` are what the caller knows, such as run id and digests."""
    return {
        "schema": "summary/1",
        **facts,
        "verdict": None if summary.verdict is None else loads(encode(summary.verdict)),
        "stopped_by": summary.stopped_by,
        "traces": summary.traces,
        "admitted": summary.admitted,
        "refused": dict(sorted(summary.refused.items())),
        "no_response": summary.no_response,
        "dead_letters": dict(sorted(summary.dead_letters.items())),
        "left": summary.left,
        "lanes": [
            _fold_json(lane, mode, fold, beside=summary.beside(lane, mode))
            for (lane, mode), fold in sorted(summary.folds.items())
        ],
        "worst": [_worst_json(item) for item in summary.worst(worst)],
    }


def _fold_json(lane: str, mode: str, fold: Fold, *, beside: Fold | None) -> dict[str, Json]:
    return {
        "lane": lane,
        "mode": mode,
        "calibrated": beside is not None,
        "dispositions": _sorted(fold.dispositions),
        "severities": {str(level): fold.severities[level] for level in sorted(fold.severities)},
        "rules": _sorted(fold.rules),
        "first_divergence": _sorted(fold.first_divergence),
        "coverage": {"faithful": fold.faithful, "grades": _sorted(fold.grades), "halted_by": _sorted(fold.halted_by)},
        "reasons": _sorted(fold.reasons),
        "prefix": _sorted(fold.prefix),
        "model_calls": fold.model_calls,
        "intended_actions": fold.intended_actions,
        "usd": str(fold.usd),
        "unpriced": fold.unpriced,
        "dimensions": {
            name: _dimension_json(fold.dimensions[name], excess_over(beside, fold, name))
            for name in sorted(fold.dimensions)
        },
    }


def _dimension_json(dimension: Dimension, more: float | None) -> dict[str, Json]:
    spread = dimension.spread()
    return {
        "statuses": _sorted(dimension.statuses),
        **(spread._asdict() if spread else {}),
        **({} if more is None else {"excess": more}),
    }


def _worst_json(item: Worst) -> dict[str, Json]:
    comparison = item.comparison
    return {
        "comparison_id": comparison.comparison_id,
        "trace_id": comparison.trace_id,
        "turn": comparison.turn,
        "mode": comparison.mode,
        "severity": item.severity,
        "rules": list(item.rules),
        "evidence": [_evidence_json(flag) for flag in comparison.flags],
        "production_answer": comparison.production.answer,
        "replay_answer": comparison.replay.answer,
    }


def _evidence_json(flag: Flag) -> dict[str, Json]:
    lines = [{"kind": line.kind, "removed": line.removed, "added": line.added} for line in flag.evidence]
    return {"rule": flag.rule, "severity": flag.severity, "lines": lines}


def _sorted(counts: Mapping[str, int]) -> dict[str, Json]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def fold_all(summary: Summary, comparisons: Iterable[Comparison]) -> Summary:
    for comparison in comparisons:
        summary.add(comparison)
    return summary
