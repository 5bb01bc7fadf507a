"""A measure of the gate in words: what is measured, what was seen, what is sure, what is tolerated.

One form for all of them: "Seen: 19 to 36 more of 100. Surely between 8 and 46 more. Tolerated: 5 more."
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from replay.exact_json import Json
from replay.gate.config import Gate, Metric, gate_from
from replay.report.kinds import KINDS, number
from replay.verdict import MetricEvidence, Standing, Verdict, stands_out

#: The sign of a standing, so that nothing depends on colour, and its words.
STANDINGS: Mapping[Standing, tuple[str, str]] = {
    "within_margin": ("✓", "proved to be within what is tolerated"),
    "beyond_margin": ("✗", "proved to be worse than what is tolerated"),
    "open": ("?", "not decided yet"),
    "uncalibrated": ("?", "cannot be judged: today's release was not run a second time"),
    "not_measured": ("?", "was not measured"),
}
LOOKS_WORSE = ("!", "looks worse than tolerated, not proved yet")
_ALONE = "it would be proved if it were the only measure"
#: Headroom below this is told, of what either happens in a conversation or does not.
_LITTLE = 0.5
_EVENTS = frozenset({"paired_binary", "paired_exceedance"})
_NEVER = ("✗", "must never happen, and has happened")


class MetricWords(NamedTuple):
    """A metric in words. `seen` and `sure` are null where nothing was measured.

    `more`: conversations that are still needed, as far as can be said; `fits`: they are within the gate's plan.
    """

    id: str
    what: str
    seen: str | None
    sure: str | None
    tolerated: str
    sign: str
    standing: str
    votes: bool
    is_open: bool
    looks_worse: bool
    more: int | None
    fits: bool
    note: str = ""

    @property
    def sentence(self) -> str:
        """What was seen, what is sure, what is tolerated."""
        sure = "" if self.sure is None else f" {self.sure}."
        return f"Seen: {self.seen or 'nothing was measured'}.{sure} Tolerated: {self.tolerated}.{self.note}"


def metric_words(verdict: Verdict) -> tuple[MetricWords, ...]:
    """Every metric of a verdict, in the gate's order."""
    gate = gate_from(verdict.gate)
    settings = {metric.id: metric for metric in gate.metrics}
    return tuple(_in_words(evidence, settings[evidence.id], gate, verdict.guessed) for evidence in verdict.metrics)


def metrics_of(document: Json) -> Mapping[str, Metric]:
    """The metrics of a gate as a verdict carries it. Raises `BundleError`."""
    return {metric.id: metric for metric in gate_from(document).metrics}


def looks_worse(evidence: MetricEvidence) -> bool:
    """Whether an open measure lies beyond its margin: all of its band, or its mean even in the best case."""
    if evidence.standing != "open" or evidence.mean is None:
        return False
    whole_band = evidence.band is not None and evidence.band[0] > evidence.margin
    return whole_band or evidence.mean[0] > evidence.margin


# -- a metric ---------------------------------------------------------------------------------------------------------


def _in_words(evidence: MetricEvidence, metric: Metric, gate: Gate, guessed: int) -> MetricWords:
    kind, measured = KINDS[metric.kind], evidence.mean is not None
    sign, standing = _standing(evidence, metric, gate)
    return MetricWords(
        id=metric.id,
        what=kind.what(metric),
        seen=_seen(evidence, metric, guessed) if measured else None,
        sure=_sure(evidence, metric) if measured else None,
        tolerated=kind.tolerated(metric) if metric.has_margin else "anything: it is only told",
        sign=sign,
        standing=standing,
        votes=evidence.votes,
        is_open=evidence.standing == "open" and not evidence.has_happened,
        looks_worse=looks_worse(evidence) and not evidence.has_happened,
        more=evidence.more_pairs,
        fits=evidence.more_pairs is None or evidence.more_pairs <= gate.max_pairs - evidence.pairs,
        note=_left(evidence, metric),
    )


def _left(evidence: MetricEvidence, metric: Metric) -> str:
    """Where today's release leaves less than half of the conversations to lose."""
    if metric.kind not in _EVENTS or evidence.headroom is None or evidence.headroom >= _LITTLE:
        return ""
    already = number(1.0 - evidence.headroom, metric.tolerated)
    return f" Today's release is at its worst in {already} of 100 already: harm can show in the others only."


def _seen(evidence: MetricEvidence, metric: Metric, guessed: int) -> str:
    if metric.kind == "zero_tolerance":
        too = f", and in {evidence.lane_hits:,} with today's release" if evidence.lane_hits else ""
        return f"in {evidence.hits:,} of {evidence.pairs:,} conversations{too}"
    seen, (best, worst) = KINDS[metric.kind].seen, evidence.mean or (0.0, 0.0)
    on = f"guesses in {guessed:,} conversations" if guessed else "what is not known"
    differ = seen(metric, (best, best)) != seen(metric, (worst, worst))
    return seen(metric, (best, worst)) + (f" (it depends on {on})" if differ else "")


def _sure(evidence: MetricEvidence, metric: Metric) -> str | None:
    if evidence.band is None:
        return None
    if metric.kind != "zero_tolerance":
        return f"Surely {KINDS[metric.kind].between(metric, evidence.band)}"
    up_to = number(max(0.0, evidence.band[1]), metric.tolerated)
    return f"It could {'be' if evidence.hits else 'still be'} up to {up_to} of 100"


def _standing(evidence: MetricEvidence, metric: Metric, gate: Gate) -> tuple[str, str]:
    if evidence.has_happened:
        return _NEVER
    if looks_worse(evidence):
        alone = stands_out(evidence, gate.alpha.rollback)
        return LOOKS_WORSE[0], f"{LOOKS_WORSE[1]}{f': {_ALONE}' if alone else ''}"
    sign, words = STANDINGS[evidence.standing]
    if evidence.standing != "open":
        return sign, words
    outlook = "; ".join(_outlook(evidence, metric, gate))
    return sign, f"{words}: {outlook}" if outlook else words


def _outlook(evidence: MetricEvidence, metric: Metric, gate: Gate) -> list[str]:
    """What could be promised of an open measure today, and what it would take."""
    told = []
    if evidence.certifiable is not None:
        told.append(f"surely below {KINDS[metric.kind].upper(metric, evidence.certifiable)}")
    if evidence.more_pairs is not None:
        needed = f"about {evidence.more_pairs:,} more conversations are needed"
        beyond = evidence.more_pairs > gate.max_pairs - evidence.pairs
        told.append(f"{needed}, more than the plan allows ({gate.max_pairs:,})" if beyond else needed)
    return told
