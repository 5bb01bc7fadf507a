"""Conversations of a candidate that is exactly as good as the baseline, drawn at random, for any gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp, sqrt
from random import Random
from typing import NamedTuple

from replay.comparison import Disposition
from replay.gate.burden import STAFF_MINUTES
from replay.gate.config import Gate
from replay.gate.signals import Nature, Signal, signal_of
from replay.gate.staged import Act

#: How often an event happens in one lane only, and in both.
_ONE_SIDED, _BOTH = 0.02, 0.03
#: Standard deviations of the logs of times and prices: between requests, and between two runs of one request.
_DIFFICULTY, _NOISE = 0.5, 0.1


class Conversation(NamedTuple):
    """One request in both lanes, and how its replays ended."""

    candidate: Act
    baseline: Act
    failed: tuple[Disposition, Disposition] = ("compared", "compared")


def equals(gate: Gate, scales: Mapping[str, float], chance: Random) -> Conversation:
    """A conversation of two equal lanes. An event that must never happen does not."""
    never = {metric.measured for metric in gate.metrics if metric.kind == "zero_tolerance"}
    candidate, baseline = dict[str, float | None](), dict[str, float | None]()
    difficulty = chance.gauss(0.0, _DIFFICULTY)
    for name in gate.signals:
        drawn = (0.0, 0.0) if name in never else _DRAW[_drawn_as(name)](chance, difficulty)
        candidate[name], baseline[name] = (value * scales.get(name, 1.0) for value in drawn)
    return Conversation(candidate, baseline)


def _drawn_as(name: str) -> Nature:
    """What staff is asked to do are events, whatever they cost."""
    return "event" if name == STAFF_MINUTES else measured(name).nature


def _event(chance: Random, _: float) -> tuple[float, float]:
    where = chance.random()
    if where < _BOTH:
        return 1.0, 1.0
    return float(where < _BOTH + _ONE_SIDED), float(_BOTH + _ONE_SIDED <= where < _BOTH + 2 * _ONE_SIDED)


def _share(chance: Random, _: float) -> tuple[float, float]:
    middle = chance.uniform(0.2, 0.8)
    return middle + chance.uniform(-0.2, 0.2), middle + chance.uniform(-0.2, 0.2)


def _quantity(chance: Random, difficulty: float) -> tuple[float, float]:
    return exp(difficulty + chance.gauss(0.0, _NOISE)), exp(difficulty + chance.gauss(0.0, _NOISE))


_DRAW: Mapping[str, Callable[[Random, float], tuple[float, float]]] = {
    "event": _event, "share": _share, "quantity": _quantity,
}  # fmt: skip


def scales_of(gate: Gate) -> dict[str, float]:
    """Median of each quantity: 5 % of requests are beyond a threshold, prices are a quarter of their cap."""
    beyond = exp(1.645 * sqrt(_DIFFICULTY**2 + _NOISE**2))
    capped = {metric.measured: metric.cap / 4 for metric in gate.metrics if metric.cap is not None}
    limited = {metric.measured: metric.threshold / beyond for metric in gate.metrics if metric.threshold is not None}
    plain = {name: 1_000.0 for name in gate.signals if measured(name).nature == "quantity"}
    return {**plain, **capped, **limited, STAFF_MINUTES: 1.0}


def measured(name: str) -> Signal:
    """The signal of that name, which the gate's model has checked to exist."""
    found = signal_of(name)
    assert found is not None  # noqa: S101 - the gate's model has checked it
    return found
