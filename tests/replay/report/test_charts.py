"""Charts: every mark inside its frame, and no word on a line or on another word, whatever the figures."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judged import ESCALATION, gate
from replay.comparison import replace
from replay.gate.config import KINDS, Metric
from replay.gate.development import Moment
from replay.report.charts import (
    HEIGHT,
    SMALL_HEIGHT,
    SMALL_WIDTH,
    WIDTH,
    Box,
    Label,
    course,
    interval,
    reach_of,
)
from replay.report.html import html_report
from replay.report.measures import metric_words
from replay.verdict import MetricEvidence
from reported import escalating, judged, told_of

METRICS = [
    Metric.model_validate({"id": "m", "kind": kind, "signal": signal, **dict.fromkeys(KINDS[kind][1], 0.2)})
    for kind, signal in {
        "paired_binary": "escalation", "paired_bounded": "answer_distance", "paired_exceedance": "latency_ms",
        "paired_mean_capped": "cost_usd", "paired_sign": "latency_ms", "zero_tolerance": "severe",
    }.items()
]  # fmt: skip
inside = st.floats(-1, 1, allow_nan=False)
ends = st.lists(inside, min_size=3, max_size=3).map(sorted)


def evidence(metric, low, mean, high, **fields):
    given = {"standing": "open", "votes": True, "weight": 1.0, "margin": metric.tolerated, "pairs": 7}
    return MetricEvidence(
        id="m", kind=metric.kind, signal=metric.measured, **{**given, "mean": (mean, mean), "band": (low, high), **fields}
    )


def collisions(chart):
    """Words that stand on words, or on lines."""
    boxes = [(label.text, label.box) for label in chart.labels]
    on_words = [(a, b) for (a, one), (b, two) in combinations(boxes, 2) if one.meets(two)]
    return on_words + [(text, line) for text, box in boxes for line in chart.lines if box.meets(line)]


@given(st.sampled_from(METRICS), ends, st.floats(0.01, 1) | st.none())
def test_marks_of_an_interval_stay_inside_and_its_words_apart(metric, values, reach):
    found = interval(metric, evidence(metric, *values), reach)
    places = [found.margin, found.low, found.high, *found.means]
    assert all(0 <= place <= WIDTH for place in places)
    assert all(box.left >= 0 and box.right <= WIDTH and box.top >= 0 and box.bottom <= HEIGHT for box in (it.box for it in found.labels))
    assert not collisions(found)


@given(st.sampled_from(METRICS), st.lists(ends, min_size=2, max_size=9))
@settings(deadline=None)
def test_so_do_those_of_a_course(metric, every):
    moments = [Moment(number + 1, (evidence(metric, *values),)) for number, values in enumerate(every)]
    found = course(metric, moments, 0)
    points = [tuple(map(float, point.split(","))) for point in f"{found.band} {found.line}".split()]
    assert all(0 <= x <= SMALL_WIDTH and 0 <= y <= SMALL_HEIGHT for x, y in points)
    assert all(box.left >= 0 and box.right <= SMALL_WIDTH and box.bottom <= SMALL_HEIGHT for box in (it.box for it in found.labels))
    assert not collisions(found)


def test_a_collision_would_be_found():
    """The control: the same words in one place, and a word on a line."""
    found = interval(METRICS[0], evidence(METRICS[0], -0.1, 0.0, 0.3))
    assert collisions(found._replace(labels=(*found.labels, found.labels[0]._replace(text="twice"))))
    assert collisions(found._replace(labels=(Label(found.margin, 40.0, "here"),)))
    assert not Box(0, 0, 1, 1).meets(Box(1, 0, 2, 1))


def test_all_measures_of_100_have_one_scale_around_today():
    wide, narrow = evidence(METRICS[0], -0.4, 0.0, 0.3), evidence(METRICS[1], -0.1, 0.0, 0.1)
    reach = reach_of([wide, narrow, evidence(METRICS[3], -0.9, 0.0, 0.9)])
    assert reach == 0.4
    first, second = (interval(metric, it, reach) for metric, it in ((METRICS[0], wide), (METRICS[1], narrow)))
    assert first.zero == second.zero == WIDTH / 2
    assert (second.high - second.low) / (first.high - first.low) == pytest.approx(0.2 / 0.7, abs=0.01)


def test_what_must_never_happen_is_counted_and_never_less_than_none():
    comparisons = escalating()
    never = {"id": "never", "kind": "zero_tolerance", "signal": "refusal", "max_rate": 0.05}
    it = told_of(comparisons, verdict=judged(comparisons, gate(ESCALATION, never)))
    (row,) = [row for row in it.metrics if row.words.id == "never"]
    assert (row.interval, row.course) == (None, None)
    assert row.counter.happened == "0 of 200"
    assert "could still be up to" in row.counter.words
    assert "surely below 5 of 100" in row.counter.words
    assert "0 of 200" in html_report(it).decode()


@given(st.sampled_from(METRICS), ends)
def test_every_kind_of_metric_has_words_for_any_figure(metric, values):
    verdict = judged(escalating(3), gate(ESCALATION, metric.model_dump(exclude_none=True)))
    (words,) = metric_words(replace(verdict, metrics=(evidence(metric, *values, certifiable=values[2], more_pairs=9),)))
    assert words.seen
    assert words.sentence.startswith("Seen: ")
    assert "Tolerated: " in words.sentence
    assert "-" not in f"{words.seen} {words.sure}"  # a direction is a word
