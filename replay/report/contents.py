"""Everything that a report shows, in its order, worked out once for all of its forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from comparators.redline import Redline, redline
from comparators.spec import DIMENSION
from replay.comparison import DISPOSITIONS, REFUSALS, CallRecord, Comparison, EvidenceLine, Side
from replay.exact_json import Json
from replay.gate.development import Development
from replay.grade import FAITHFUL, GRADE_WORDS, Grade
from replay.report.charts import Course, Interval, course, interval
from replay.report.visible import one_line, visible
from replay.report.words import Headline, MetricWords, difference, headline, metric_words, metrics_of, no_headline
from replay.severity import RULE_WORDS
from replay.summary import Fold, Summary, Worst, excess_over
from replay.verdict import Verdict

#: Characters of an answer that are compared and shown, and calls of a side.
_ANSWER = 2_400
_CALLS = 12
_EVIDENCE_LINES = 12
_SLICES = 12
_MODES = {"forced": "single steps (forced)", "free": "whole requests (free)", "recorded": "two recordings"}
SEVERITY_WORDS: Mapping[int, str] = {3: "stop and look", 2: "important", 1: "worth knowing", 0: "no finding"}


class Facts(NamedTuple):
    """What a run has written down beside its comparisons. `changes`: of `BundleDiff.as_json`.

    `assumed`: what had to be supposed of what was compared.
    """

    run_id: str
    baseline: str
    candidate: str
    title: str
    not_exercised: Sequence[str] = ()
    findings: Sequence[str] = ()
    assumed: Sequence[str] = ()
    changes: Sequence[Json] | None = None


class MetricRow(NamedTuple):
    words: MetricWords
    interval: Interval | None
    course: Course | None


class SurfaceChange(NamedTuple):
    """`severity` as of findings: 3 loosened, 2 important, 1 worth knowing."""

    surface: str
    severity: int
    text: str
    details: tuple[str, ...]


class Told(NamedTuple):
    """One side of a pair: what it did, and what it said."""

    calls: tuple[str, ...]
    more_calls: int
    silence: str | None
    answer: Redline | None


class Pair(NamedTuple):
    """`against`: the metrics of the gate that this pair counted against, as far as they are remembered."""

    severity: int
    severity_words: str
    trace_id: str
    turn: int | None
    mode: str
    rules: tuple[str, ...]
    against: tuple[str, ...]
    evidence: tuple[EvidenceLine, ...]
    more_evidence: int
    production: Told
    replay: Told
    answers: Redline | None


class Counted(NamedTuple):
    """A row of a table: how often, of how many, and what it means. `good` where that is to be said."""

    name: str
    times: int
    share: float
    words: str
    good: bool | None = None


class Difference(NamedTuple):
    """How many pairs differ in one dimension, and how many do when today's release is run a second time.

    `excess`: how many more of the candidate's pairs than of the second run's lie beyond 95 % of the latter.
    """

    name: str
    question: str
    scored: int
    share: float
    noise: float | None
    excess: float | None


class Lane(NamedTuple):
    """One lane in one way of replaying."""

    name: str
    units: int
    dispositions: tuple[Counted, ...]
    grades: tuple[Counted, ...]
    faithful: float | None
    halted_by: tuple[tuple[str, int], ...]
    intended_actions: int
    rules: tuple[Counted, ...]
    differences: tuple[Difference, ...]


class SliceRow(NamedTuple):
    """Conversations in which a measure is worse than tolerated. `exemplars`: ids of traces that show it."""

    where: str
    metric: str
    pairs: int
    found: str


class Contents(NamedTuple):
    facts: Facts
    headline: Headline
    verdict: Verdict | None
    agrees: bool | None
    metrics: tuple[MetricRow, ...]
    slices: tuple[SliceRow, ...]
    changes: tuple[SurfaceChange, ...] | None
    pairs: tuple[Pair, ...]
    lanes: tuple[Lane, ...]
    traces: int
    admitted: int
    refused: tuple[Counted, ...]
    dead_letters: int
    failed: int


def contents(facts: Facts, summary: Summary, development: Development | None, *, worst: int) -> Contents:
    """`development`: of the summary's verdict; null without one. A run that was stopped has no verdict."""
    verdict = summary.verdict if summary.stopped_by is None else None
    laned = any(lane == "baseline" for lane, _ in summary.folds)
    return Contents(
        facts=facts,
        headline=no_headline(stopped_by=summary.stopped_by, left=summary.left, laned=laned)
        if verdict is None
        else headline(verdict),
        verdict=verdict,
        agrees=None if development is None else development.agrees,
        metrics=() if verdict is None else tuple(_rows(verdict, development)),
        slices=() if verdict is None else tuple(_slices(verdict)),
        changes=None if facts.changes is None else tuple(_changes(facts.changes)),
        pairs=tuple(_pair(item, verdict) for item in summary.worst(worst)),
        lanes=tuple(_lanes(summary)),
        traces=summary.traces,
        admitted=summary.admitted,
        refused=_counted(summary.refused, REFUSALS),
        dead_letters=sum(summary.dead_letters.values()),
        failed=0 if verdict is None else verdict.failed,
    )


def _rows(verdict: Verdict, development: Development | None) -> Iterator[MetricRow]:
    """Metrics that vote first, in the gate's order."""
    settings, moments = metrics_of(verdict.gate), () if development is None else development.moments
    rows = []
    for index, (evidence, words) in enumerate(zip(verdict.metrics, metric_words(verdict), strict=True)):
        metric = settings[evidence.id]
        shown = course(metric, moments, index) if moments else None
        rows.append(MetricRow(words, interval(metric, evidence), shown))
    yield from sorted(rows, key=lambda row: not row.words.votes)


def _slices(verdict: Verdict) -> Iterator[SliceRow]:
    settings = metrics_of(verdict.gate)
    for found in verdict.slices[:_SLICES]:
        where = f"{one_line(found.attribute, 80)} = {one_line(found.value, 80)}"
        yield SliceRow(where, found.metric, found.pairs, difference(settings[found.metric], found.mean))


def _changes(every: Sequence[Json]) -> Iterator[SurfaceChange]:
    """By surface, the most severe first."""
    for surface in dict.fromkeys(change["surface"] for change in every):
        for change in sorted(every, key=lambda change: -change["severity"]):
            if change["surface"] == surface:
                yield SurfaceChange(surface, change["severity"], change["text"], tuple(change["details"]))


# -- pairs ------------------------------------------------------------------------------------------------------------


def _pair(item: Worst, verdict: Verdict | None) -> Pair:
    comparison = item.comparison
    lines = [line for flag in comparison.flags for line in flag.evidence]
    metrics = () if verdict is None else verdict.metrics
    answers = _answers(comparison)
    return Pair(
        severity=item.severity,
        severity_words=SEVERITY_WORDS.get(item.severity, ""),
        trace_id=comparison.trace_id,
        turn=comparison.turn,
        mode=_MODES[comparison.mode],
        rules=tuple(RULE_WORDS.get(rule, rule) for rule in item.rules),
        against=tuple(metric.id for metric in metrics if comparison.comparison_id in metric.exemplars),
        evidence=tuple(lines[:_EVIDENCE_LINES]),
        more_evidence=max(0, len(lines) - _EVIDENCE_LINES),
        production=_told(comparison.production, answers),
        replay=_told(comparison.replay, answers),
        answers=answers,
    )


def _answers(comparison: Comparison) -> Redline | None:
    """Both answers with marks, made visible before they are compared: a hidden character is a change that shows."""
    sides = (comparison.production, comparison.replay)
    texts = [None if side.answer is None else visible(side.answer, _ANSWER) for side in sides]
    return None if texts[0] is None and texts[1] is None else redline(texts[0] or "", texts[1] or "")


def _told(side: Side, answers: Redline | None) -> Told:
    silence = None
    if side.answer is None:
        silence = "no answer" if side.answer_sha256 is None else "an answer whose content was not kept"
    return Told(tuple(map(_call, side.calls[:_CALLS])), max(0, len(side.calls) - _CALLS), silence, answers)


def _call(call: CallRecord) -> str:
    ended = "" if call.outcome == "succeeded" else f" - {call.outcome}"
    return f"{call.tool}({visible(call.arguments, 200)}) [{call.effect}]{ended}"


# -- counts -----------------------------------------------------------------------------------------------------------


def _lanes(summary: Summary) -> Iterator[Lane]:
    """The candidate's first, whole requests before single steps."""
    for lane, mode in sorted(summary.folds, key=lambda key: (key[0] != "candidate", key[1] == "forced", key[1])):
        yield _lane(lane, mode, summary.folds[lane, mode], summary.beside(lane, mode))


def _lane(lane: str, mode: str, fold: Fold, noise: Fold | None) -> Lane:
    who = "the candidate" if lane == "candidate" else "today's release, run a second time"
    good = {str(grade) for grade in FAITHFUL}
    return Lane(
        name=f"{who}: {_MODES[mode]}",
        units=sum(fold.dispositions.values()),
        dispositions=_counted(fold.dispositions, DISPOSITIONS),  # type: ignore[arg-type]  # counted by name
        grades=tuple(row._replace(good=row.name in good) for row in _counted(fold.grades, _GRADE_WORDS)),
        faithful=fold.faithful,
        halted_by=tuple(sorted(fold.halted_by.items(), key=lambda item: (-item[1], item[0]))[:8]),
        intended_actions=fold.intended_actions,
        rules=_counted(fold.rules, RULE_WORDS, of=sum(fold.severities.values())),
        differences=tuple(_differences(fold, noise)) if lane == "candidate" else (),
    )


def _differences(fold: Fold, noise: Fold | None) -> Iterator[Difference]:
    for name in (name for name in DIMENSION if name in fold.dimensions):
        spread = fold.dimensions[name].spread()
        if spread is not None and spread.fired:
            share, more = spread.fired / spread.scored, excess_over(noise, fold, name)
            yield Difference(name, DIMENSION[name].question, spread.scored, share, _share(noise, name), more)


def _share(fold: Fold | None, name: str) -> float | None:
    spread = None if fold is None or name not in fold.dimensions else fold.dimensions[name].spread()
    return None if spread is None else spread.fired / spread.scored


def _counted(counts: Mapping[str, int], words: Mapping[str, str], of: int | None = None) -> tuple[Counted, ...]:
    """The most frequent first; those of equal count by name."""
    total = of or sum(counts.values()) or 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Counted(name, count, count / total, words.get(name, "")) for name, count in ranked if count)


_GRADE_WORDS: Mapping[str, str] = {str(grade): GRADE_WORDS[Grade(grade)] for grade in Grade}
