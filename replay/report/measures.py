"""A measure of the gate in words: what is measured, what was seen, what is sure, what is tolerated.

One form for all of them: "Seen: 19 to 36 more of 100. Surely between 8 and 46 more. Tolerated: 5 more."
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from replay.exact_json import Json
from replay.gate.config import Gate, Kind, Metric, gate_from
from replay.gate.signals import signal_of
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
_NEVER = ("✗", "must never happen, and has happened")

#: Kinds whose figures are so many of 100 conversations more than with today's release.
OF_HUNDRED = frozenset({"paired_binary", "paired_bounded", "paired_exceedance"})
_MINUS = "\N{MINUS SIGN}"
#: From here on an amount is whole, and below the other its last digits are left out.
_LARGE, _SMALL = 99.5, 1e-4
#: Figures below this are told with one decimal.
_FINE = 2.95


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

    @property
    def sentence(self) -> str:
        """What was seen, what is sure, what is tolerated."""
        sure = "" if self.sure is None else f" {self.sure}."
        return f"Seen: {self.seen or 'nothing was measured'}.{sure} Tolerated: {self.tolerated}."


def metric_words(verdict: Verdict) -> tuple[MetricWords, ...]:
    """Every metric of a verdict, in the gate's order."""
    gate = gate_from(verdict.gate)
    settings = {metric.id: metric for metric in gate.metrics}
    return tuple(_in_words(evidence, settings[evidence.id], gate, verdict.guessed) for evidence in verdict.metrics)


def metrics_of(document: Json) -> Mapping[str, Metric]:
    """The metrics of a gate as a verdict carries it. Raises `BundleError`."""
    return {metric.id: metric for metric in gate_from(document).metrics}


def difference(metric: Metric, mean: tuple[float, float]) -> str:
    """A mean difference, best case and worst, in the metric's own unit."""
    return _KINDS[metric.kind].seen(metric, mean)


def figure(metric: Metric, value: float) -> str:
    """A difference, or a margin, as short as on an axis."""
    return _KINDS[metric.kind].short(metric, value)


def limit(metric: Metric) -> str:
    """What is tolerated, as short as on an axis."""
    return _KINDS[metric.kind].limit(metric)


def looks_worse(evidence: MetricEvidence) -> bool:
    """Whether an open measure lies beyond its margin: all of its band, or its mean even in the best case."""
    if evidence.standing != "open" or evidence.mean is None:
        return False
    whole_band = evidence.band is not None and evidence.band[0] > evidence.margin
    return whole_band or evidence.mean[0] > evidence.margin


# -- a metric ---------------------------------------------------------------------------------------------------------


def _in_words(evidence: MetricEvidence, metric: Metric, gate: Gate, guessed: int) -> MetricWords:
    kind, measured = _KINDS[metric.kind], evidence.mean is not None
    sign, standing = _standing(evidence, metric, gate)
    return MetricWords(
        id=metric.id,
        what=kind.what(metric),
        seen=_seen(evidence, metric, guessed) if measured else None,
        sure=_sure(evidence, metric) if measured else None,
        tolerated=kind.tolerated(metric),
        sign=sign,
        standing=standing,
        votes=evidence.votes,
        is_open=evidence.standing == "open" and not evidence.hits,
        looks_worse=looks_worse(evidence) and not evidence.hits,
        more=evidence.more_pairs,
        fits=evidence.more_pairs is None or evidence.more_pairs <= gate.max_pairs - evidence.pairs,
    )


def _seen(evidence: MetricEvidence, metric: Metric, guessed: int) -> str:
    if metric.kind == "zero_tolerance":
        return f"in {evidence.hits:,} of {evidence.pairs:,} conversations"
    seen, (best, worst) = _KINDS[metric.kind].seen, evidence.mean or (0.0, 0.0)
    on = f"guesses in {guessed:,} conversations" if guessed else "what is not known"
    differ = seen(metric, (best, best)) != seen(metric, (worst, worst))
    return seen(metric, (best, worst)) + (f" (it depends on {on})" if differ else "")


def _sure(evidence: MetricEvidence, metric: Metric) -> str | None:
    if evidence.band is None:
        return None
    if metric.kind != "zero_tolerance":
        return f"Surely {_KINDS[metric.kind].between(metric, evidence.band)}"
    up_to = _number(max(0.0, evidence.band[1]), metric.tolerated)
    return f"It could {'be' if evidence.hits else 'still be'} up to {up_to} of 100"


def _standing(evidence: MetricEvidence, metric: Metric, gate: Gate) -> tuple[str, str]:
    if evidence.hits and metric.kind == "zero_tolerance":
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
        told.append(f"surely below {_KINDS[metric.kind].upper(metric, evidence.certifiable)}")
    if evidence.more_pairs is not None:
        needed = f"about {evidence.more_pairs:,} more conversations are needed"
        beyond = evidence.more_pairs > gate.max_pairs - evidence.pairs
        told.append(f"{needed}, more than the plan allows ({gate.max_pairs:,})" if beyond else needed)
    return told


# -- kinds ------------------------------------------------------------------------------------------------------------


class _Kind(NamedTuple):
    """`seen` and `between` tell two ends, `upper` one; `short` and `limit` stand at an axis."""

    what: Callable[[Metric], str]
    seen: Callable[[Metric, tuple[float, float]], str]
    between: Callable[[Metric, tuple[float, float]], str]
    upper: Callable[[Metric, float], str]
    tolerated: Callable[[Metric], str]
    short: Callable[[Metric, float], str]
    limit: Callable[[Metric], str]


class _Words(NamedTuple):
    """How a kind tells a difference: its number without a sign, and what it is called on either side of 0."""

    number: Callable[[Metric, float], str]
    more: str
    less: str
    unit: str = ""
    none: str = "as many as with today's release"

    def seen(self, metric: Metric, ends: tuple[float, float]) -> str:
        low, high = (self.number(metric, abs(end)) for end in ends)
        if ends[0] < 0 < ends[1] and low != high:
            return f"{low} {self.less} to {high} {self.more}{self.unit}"
        if max(map(abs, ends)) == 0:
            return self.none
        word = self.less if sum(ends) < 0 else self.more
        first, last = (high, low) if word == self.less else (low, high)
        return f"{first if first == last else f'{first} to {last}'} {word}{self.unit}"

    def between(self, metric: Metric, ends: tuple[float, float]) -> str:
        low, high = (self.number(metric, abs(end)) for end in ends)
        if ends[0] < 0 < ends[1]:
            return f"between {low} {self.less} and {high} {self.more}"
        if ends[1] <= 0:
            return f"between {high} and {low} {self.less}"
        return f"between {low} and {high} {self.more}"

    def upper(self, metric: Metric, value: float) -> str:
        return f"{self.number(metric, abs(value))} {self.less if value < 0 else self.more}{self.unit}"


def _number(value: float, margin: float) -> str:
    """So many of 100: whole, unless that would hide on which side of the margin it lies."""
    hundred, limit_ = 100 * value, 100 * margin
    whole = abs(hundred) >= _FINE and (round(hundred) > limit_) == (hundred > limit_)
    return f"{hundred:.0f}" if whole else f"{hundred:.1f}".removesuffix(".0")


def _signal(metric: Metric) -> str:
    signal = signal_of(metric.measured)
    return metric.measured if signal is None else signal.words


def _unit(metric: Metric) -> str:
    signal = signal_of(metric.measured)
    return "" if signal is None else signal.unit


def _scaled(metric: Metric, value: float) -> float:
    """The difference in the signal's unit: it was divided by (1 + rel_margin) cap."""
    return value * (1.0 + (metric.rel_margin or 0.0)) * (metric.cap or 1.0)


def _hundred(metric: Metric, value: float) -> str:
    return _number(value, metric.tolerated)


def _points(metric: Metric, value: float) -> str:
    return f"{_number(value, metric.tolerated)} points"


def _money(metric: Metric, value: float) -> str:
    return f"{_amount(_scaled(metric, value))} {_unit(metric)}".rstrip()


def _amount(value: float) -> str:
    """Two digits that matter, and never an exponent."""
    if value >= _LARGE:
        return f"{value:,.0f}"
    return f"{value:.2g}" if value >= _SMALL else f"{value:.5f}".rstrip("0").rstrip(".")


def _coin(_: Metric, value: float) -> str:
    return f"{50 * (1 + value):.0f}"


def _coins(metric: Metric, ends: tuple[float, float]) -> str:
    low, high = (_coin(metric, end) for end in ends)
    return f"{low if low == high else f'{low} to {high}'} of 100 conversations (a coin flip is 50)"


def _with_sign(number: Callable[[Metric, float], str]) -> Callable[[Metric, float], str]:
    def short(metric: Metric, value: float) -> str:
        told = number(metric, abs(value))
        return told if value == 0 else f"{'+' if value > 0 else _MINUS}{told}"

    return short


def _percent(metric: Metric) -> str:
    return f"{100 * (metric.rel_margin or 0.0):.3g} %"


_COUNT = _Words(_hundred, "more", "fewer", " of 100")
_SHARE = _Words(_points, "more", "less", " of 100", "as far as with today's release")
_PRICE = _Words(_money, "above the limit", "below the limit", ", a conversation", "at the limit")


def _tolerated(metric: Metric) -> str:
    return f"{100 * metric.tolerated:.3g}"


_KINDS: Mapping[Kind, _Kind] = {
    "paired_binary": _Kind(
        _signal, _COUNT.seen, _COUNT.between, _COUNT.upper,
        lambda it: f"{_tolerated(it)} more", _with_sign(_hundred), lambda it: f"+{_tolerated(it)}",
    ),
    "paired_bounded": _Kind(
        _signal, _SHARE.seen, _SHARE.between, _SHARE.upper,
        lambda it: f"{_tolerated(it)} points more", _with_sign(_hundred), lambda it: f"+{_tolerated(it)}",
    ),
    "paired_exceedance": _Kind(
        lambda it: f"{_signal(it)} is above {it.threshold:g} {_unit(it)}".rstrip(),
        _COUNT.seen, _COUNT.between, _COUNT.upper,
        lambda it: f"{_tolerated(it)} more", _with_sign(_hundred), lambda it: f"+{_tolerated(it)}",
    ),
    "paired_mean_capped": _Kind(
        lambda it: f"{_signal(it)}, each counted up to {it.cap:g} {_unit(it)}".rstrip(),
        _PRICE.seen, _PRICE.between, _PRICE.upper,
        lambda it: f"on average {_percent(it)} more than today (the limit)",
        _with_sign(_money), lambda it: f"today + {_percent(it)}",
    ),
    "paired_sign": _Kind(
        lambda it: f"{_signal(it)} is larger by more than {_percent(it)}",
        _coins, lambda it, ends: f"between {_coin(it, ends[0])} and {_coin(it, ends[1])}",
        lambda it, value: f"{_coin(it, value)} of 100",
        lambda _: "50", _coin, lambda _: "50 (a coin flip)",
    ),
    "zero_tolerance": _Kind(
        _signal, _COUNT.seen, _COUNT.between, lambda it, value: f"{_hundred(it, value)} of 100",
        lambda it: f"never; to promote, surely below {_tolerated(it)} of 100",
        _with_sign(_hundred), _tolerated,
    ),
}  # fmt: skip
