"""How each kind of metric tells its figures: in words, and as short as on an axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from replay.gate.config import Kind, Metric
from replay.gate.signals import signal_of

#: Kinds whose figures are so many of 100 conversations more than with today's release.
OF_HUNDRED = frozenset({"paired_binary", "paired_bounded", "paired_exceedance"})
_MINUS = "\N{MINUS SIGN}"
#: From here on an amount is whole, and below the other its last digits are left out.
_LARGE, _SMALL = 99.5, 1e-4
#: Figures below this are told with one decimal.
_FINE = 2.95


def difference(metric: Metric, mean: tuple[float, float]) -> str:
    """A mean difference, best case and worst, in the metric's own unit."""
    return KINDS[metric.kind].seen(metric, mean)


def figure(metric: Metric, value: float) -> str:
    """A difference, or a margin, as short as on an axis."""
    return KINDS[metric.kind].short(metric, value)


def limit(metric: Metric) -> str:
    """What is tolerated, as short as on an axis."""
    return KINDS[metric.kind].limit(metric)


class KindWords(NamedTuple):
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
        if low == high == self.number(metric, 0.0):
            return self.none
        if ends[0] < 0 < ends[1]:
            return f"{low} {self.less} to {high} {self.more}{self.unit}"
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


def number(value: float, margin: float) -> str:
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
    return number(value, metric.tolerated)


def _points(metric: Metric, value: float) -> str:
    return f"{number(value, metric.tolerated)} points"


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


KINDS: Mapping[Kind, KindWords] = {
    "paired_binary": KindWords(
        _signal, _COUNT.seen, _COUNT.between, _COUNT.upper,
        lambda it: f"{_tolerated(it)} more", _with_sign(_hundred), lambda it: f"+{_tolerated(it)}",
    ),
    "paired_bounded": KindWords(
        _signal, _SHARE.seen, _SHARE.between, _SHARE.upper,
        lambda it: f"{_tolerated(it)} points more", _with_sign(_hundred), lambda it: f"+{_tolerated(it)}",
    ),
    "paired_exceedance": KindWords(
        lambda it: f"{_signal(it)} is above {it.threshold:g} {_unit(it)}".rstrip(),
        _COUNT.seen, _COUNT.between, _COUNT.upper,
        lambda it: f"{_tolerated(it)} more", _with_sign(_hundred), lambda it: f"+{_tolerated(it)}",
    ),
    "paired_mean_capped": KindWords(
        lambda it: f"{_signal(it)}, each counted up to {it.cap:g} {_unit(it)}".rstrip(),
        _PRICE.seen, _PRICE.between, _PRICE.upper,
        lambda it: f"on average {_percent(it)} more than today (the limit)",
        _with_sign(_money), lambda it: f"today + {_percent(it)}",
    ),
    "paired_sign": KindWords(
        lambda it: f"{_signal(it)} is larger by more than {_percent(it)}",
        _coins, lambda it, ends: f"between {_coin(it, ends[0])} and {_coin(it, ends[1])}",
        lambda it, value: f"{_coin(it, value)} of 100",
        lambda _: "50", _coin, lambda _: "50 (a coin flip)",
    ),
    "zero_tolerance": KindWords(
        _signal, _COUNT.seen, _COUNT.between, lambda it, value: f"{_hundred(it, value)} of 100",
        lambda it: f"never; to promote, surely below {_tolerated(it)} of 100",
        _with_sign(_hundred), _tolerated,
    ),
}  # fmt: skip
