"""The geometry of a report's charts: where each mark and each word stands. Drawing them is the template's part.

To the left of the middle the candidate does better than today's release, to the right worse. Every mark has a shape of
its own and is labelled, so that nothing depends on colour; no label stands on a line or on another label.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from replay.gate.config import Metric
from replay.gate.development import Moment
from replay.report.kinds import OF_HUNDRED, figure, limit
from replay.verdict import MetricEvidence

#: Pixels of the drawing areas.
WIDTH, HEIGHT = 400, 104
SMALL_WIDTH, SMALL_HEIGHT = 340, 196
#: Of an interval: what is left free at both sides, rows of labels above and below, and where its lines begin and end.
SIDE, TOP_ROW, END_ROW, LOW_ROW, LINES, BAR, BAR_LINES = 20.0, 13.0, 80.0, 98.0, 19.0, 42.0, 64.0
#: Of a course: the frame.
LEFT, RIGHT, TOP, BOTTOM = 50.0, 268.0, 22.0, 164.0
#: Pixels of a letter, on the wide side, and of a line of text: above its base line and below.
LETTER, ASCENT, DESCENT = 8.0, 11.0, 3.5
#: What lies nearer than this falls together.
_TOGETHER = 1.5

Anchor = Literal["start", "middle", "end"]


class Scale(NamedTuple):
    """A straight line from values to pixels. Values beyond its ends are put at the end."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )  # fmt: skip


class Label(NamedTuple):
    """A text on its base line. `style`: "", "s" softly, "l" in the colour of the limit."""

    x: float
    y: float
    text: str
    anchor: Anchor = "middle"
    style: str = ""

    @property
    def box(self) -> Box:
        wide = LETTER * len(self.text)
        left = self.x - {"start": 0.0, "middle": wide / 2, "end": wide}[self.anchor]
        return Box(left, self.y - ASCENT, left + wide, self.y + DESCENT)


class Interval(NamedTuple):
    """One metric: a bar from `low` to `high`, dots at the means, lines where it is as today and at the margin.

    `zero` is null where the margin stands in its place.
    """

    zero: float | None
    margin: float
    low: float
    high: float
    means: tuple[float, ...]
    labels: tuple[Label, ...]
    words: str

    @property
    def lines(self) -> tuple[Box, ...]:
        """The upright lines, as boxes."""
        known = [at for at in (self.zero, self.margin) if at is not None]
        return tuple(Box(at - 1, LINES, at + 1, BAR_LINES) for at in known)


class Course(NamedTuple):
    """How the interval developed: a band's outline, a line with dots, lines where it is as today and at the margin."""

    band: str
    line: str
    dots: tuple[tuple[float, float], ...]
    zero: float | None
    margin: float
    labels: tuple[Label, ...]
    words: str

    @property
    def lines(self) -> tuple[Box, ...]:
        known = [at for at in (self.zero, self.margin) if at is not None]
        return tuple(Box(LEFT, at - 1, RIGHT, at + 1) for at in known)


def reach_of(evidences: Sequence[MetricEvidence]) -> float | None:
    """How far the one scale of all measures "of 100" goes to either side; null without any."""
    told = [it for it in evidences if it.kind in OF_HUNDRED and it.band is not None]
    return max((abs(value) for it in told for value in (*(it.band or ()), it.margin)), default=None)


def interval(metric: Metric, evidence: MetricEvidence, reach: float | None = None) -> Interval | None:
    """Null where nothing was measured. `reach`: of the scale; by default this metric's own."""
    if evidence.band is None or evidence.mean is None:
        return None
    low, high = evidence.band
    own = max(abs(low), abs(high), abs(evidence.margin))
    far = (reach if reach is not None and metric.kind in OF_HUNDRED else own) or 0.01
    scale = Scale(-far, far, SIDE, WIDTH - SIDE)
    zero, margin, left, right = (scale.at(value) for value in (0.0, evidence.margin, low, high))
    ends = _side_by_side(left, figure(metric, low), right, figure(metric, high))
    is_apart = abs(zero - margin) > _TOGETHER
    labels = [_inside(Label(margin, TOP_ROW, f"tolerated: {limit(metric)}", style="l")), *ends]
    labels += [Label(0, LOW_ROW, "◂ better", "start", "s"), Label(WIDTH, LOW_ROW, "worse ▸", "end", "s")]
    labels += [Label(zero, LOW_ROW, "as today")] if is_apart else []
    words = f"{metric.id}: lies between {figure(metric, low)} and {figure(metric, high)}; tolerated: {limit(metric)}"
    means = tuple(sorted({scale.at(value) for value in evidence.mean}))
    return Interval(zero if is_apart else None, margin, left, right, means, tuple(labels), words)


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
    across = Scale(known[0][0], known[-1][0], LEFT, RIGHT)
    # Early bands are as wide as the scale: the frame is made for the later ones, and cuts the others.
    late = [value for _, band, _ in known[len(known) // 3 :] for value in band]
    up = _padded((*late, 0.0, margin), BOTTOM, TOP)
    tops = [(across.at(count), up.at(band[1])) for count, band, _ in known]
    bottoms = [(across.at(count), up.at(band[0])) for count, band, _ in reversed(known)]
    dots = tuple((across.at(count), up.at(mean)) for count, _, mean in known)
    zero, limit_ = up.at(0.0), up.at(margin)
    last = [Label(RIGHT + 6, up.at(value) + 4, _bare(metric, value), "start") for value in reversed(known[-1][1])]
    labels = [
        *_lines(zero, figure(metric, 0.0), limit_, _bare_limit(metric, margin)),
        *_one_below_the_other(last),
        Label(LEFT, 12, "▴ worse", "start", "s"),
        Label(LEFT, BOTTOM + 20, f"{known[0][0]:,}", "start", "s"),
        Label(RIGHT, BOTTOM + 20, f"{known[-1][0]:,} conversations", "end", "s"),
    ]
    words = f"{metric.id} after {known[0][0]:,} to {known[-1][0]:,} conversations"
    apart = zero if abs(zero - limit_) > _TOGETHER else None
    return Course(_path([*tops, *bottoms]), _path(dots), dots, apart, limit_, tuple(labels), words)


def _padded(values: Sequence[float], start: float, end: float) -> Scale:
    low, high = min(values), max(values)
    pad = (high - low) * 0.08 or 0.01
    return Scale(low - pad, high + pad, start, end)


def _bare(metric: Metric, value: float) -> str:
    """A figure without its unit, which the words beside the chart name."""
    return figure(metric, value).partition(" ")[0]


def _bare_limit(metric: Metric, margin: float) -> str:
    """A relative margin is inside the difference: its line has no figure of its own."""
    return "limit" if metric.kind == "paired_mean_capped" else _bare(metric, margin)


# -- labels that keep out of each other's way ---------------------------------------------------------------------


def _inside(label: Label) -> Label:
    """Moved as far as it needs to stand inside the chart."""
    half = LETTER * len(label.text) / 2
    return label._replace(x=round(min(max(label.x, half), WIDTH - half), 1))


def _side_by_side(left: float, low: str, right: float, high: str) -> tuple[Label, Label]:
    """Both ends of a bar below it, pushed apart where their words would meet."""
    first, second = (_inside(Label(at, END_ROW, text)) for at, text in ((left, low), (right, high)))
    need = LETTER * (len(low) + len(high)) / 2 + LETTER
    lack = need - (second.x - first.x)
    if lack > 0:
        first = _inside(first._replace(x=first.x - lack / 2))
        second = _inside(second._replace(x=max(second.x + lack / 2, first.x + need)))
        first = first._replace(x=round(min(first.x, second.x - need), 1))
    return first, second


def _lines(zero: float, as_today: str, margin: float, tolerated: str) -> list[Label]:
    """One label for lines that are too near to each other for two."""
    both = [Label(LEFT - 6, zero + 4, as_today, "end"), Label(LEFT - 6, margin + 4, tolerated, "end", "l")]
    return both if abs(zero - margin) >= ASCENT + DESCENT else both[1:]


def _one_below_the_other(labels: Sequence[Label]) -> list[Label]:
    """In the order given, from the top, each clear of the one before."""
    row = ASCENT + DESCENT + 0.5
    placed = list(labels)
    for index, (above, below) in enumerate(pairwise(labels), 1):
        lack = row - (below.y - above.y)
        if lack > 0:
            placed[index - 1] = above._replace(y=above.y - lack / 2)
            placed[index] = below._replace(y=below.y + lack / 2)
    return placed


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
