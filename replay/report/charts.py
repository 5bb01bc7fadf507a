"""The geometry of a report's charts: where each mark stands. Drawing them is the template's part.

To the left of 0 the candidate does better than today's release, to the right worse. Every mark has a shape of its own
and is labelled, so that nothing depends on colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from replay.gate.config import Metric
from replay.gate.development import Moment
from replay.report.words import figure
from replay.verdict import MetricEvidence

#: Pixels of the drawing area, and what is left free around it for labels.
WIDTH, HEIGHT = 520, 74
SMALL_WIDTH, SMALL_HEIGHT = 340, 190
_SIDE, _LEFT, _RIGHT, _TOP, _BOTTOM = 78.0, 62.0, 14.0, 22.0, 30.0
#: Labels nearer than this would run into each other.
_APART = 14.0


class Scale(NamedTuple):
    """A straight line from values to pixels. Values beyond its ends are put at the end."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


class Label(NamedTuple):
    at: float
    text: str


class Interval(NamedTuple):
    """One metric: a bar from `low` to `high`, dots at the means, lines at 0 and at the margin."""

    zero: Label
    margin: Label
    low: Label
    high: Label
    means: tuple[float, ...]
    words: str


class Course(NamedTuple):
    """How the interval developed: a band's outline, a line with dots, lines at 0 and at the margin."""

    band: str
    line: str
    dots: tuple[tuple[float, float], ...]
    zero: Label
    margin: Label
    first: Label
    last: Label
    words: str


def interval(metric: Metric, evidence: MetricEvidence) -> Interval | None:
    """Null where nothing was measured."""
    if evidence.band is None or evidence.mean is None:
        return None
    low, high = evidence.band
    scale = _scale((low, high, 0.0, evidence.margin), _SIDE, WIDTH - _SIDE)
    short = [figure(metric, value) for value in (0.0, evidence.margin, low, high)]
    means = sorted({scale.at(value) for value in evidence.mean})
    places = [scale.at(value) for value in (0.0, evidence.margin, low, high)]
    zero, margin, left, right = (Label(at, text) for at, text in zip(places, short, strict=True))
    words = f"{evidence.id}: lies between {left.text} and {right.text}; 0 is as today; tolerated up to {margin.text}"
    return Interval(zero, margin, left, right, tuple(means), words)


def course(metric: Metric, moments: Sequence[Moment], index: int) -> Course | None:
    """The development of the metric at `index`; null with fewer than two moments to show."""
    known = [
        (moment.conversations, evidence.band, sum(evidence.mean) / 2)
        for moment in moments
        if (evidence := moment.metrics[index]).band is not None and evidence.mean is not None
    ]
    if len(known) < 2:
        return None
    margin = moments[-1].metrics[index].margin
    across = Scale(known[0][0], known[-1][0], _LEFT, SMALL_WIDTH - _RIGHT)
    # Early bands are as wide as the scale: the frame is made for the later ones, and cuts the others.
    late = [value for _, band, _ in known[len(known) // 3 :] for value in band]
    up = _scale((*late, 0.0, margin), SMALL_HEIGHT - _BOTTOM, _TOP)
    tops = [(across.at(count), up.at(band[1])) for count, band, _ in known]
    bottoms = [(across.at(count), up.at(band[0])) for count, band, _ in reversed(known)]
    dots = tuple((across.at(count), up.at(mean)) for count, _, mean in known)
    zero, limit = _spread(Label(up.at(0.0), figure(metric, 0.0)), Label(up.at(margin), figure(metric, margin)))
    first, last = (Label(across.at(count), f"{count:,}") for count in (known[0][0], known[-1][0]))
    words = f"{metric.id} after {first.text} to {last.text} conversations"
    return Course(_path([*tops, *bottoms]), _path(dots), dots, zero, limit, first, last, words)


def _scale(values: Sequence[float], start: float, end: float) -> Scale:
    low, high = min(values), max(values)
    pad = (high - low) * 0.08 or 0.01
    return Scale(low - pad, high + pad, start, end)


def _spread(zero: Label, margin: Label) -> tuple[Label, Label]:
    """One label for lines that are too near to each other for two."""
    return (zero, margin) if abs(zero.at - margin.at) >= _APART else (zero._replace(text=""), margin)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
