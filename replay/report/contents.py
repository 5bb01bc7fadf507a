"""Everything that a report shows, in its order, worked out once for all of its forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from replay.comparison import REFUSALS, Comparison
from replay.exact_json import Json
from replay.gate.ballot import TOOL
from replay.gate.config import Metric, gate_from
from replay.gate.development import Development
from replay.gate.signals import signal_of
from replay.report.charts import Course, Interval, course, interval, reach_of
from replay.report.headline import Compared, Headline, compared, headline, no_headline
from replay.report.kinds import difference
from replay.report.lanes import Counted, Lane, counted, lanes
from replay.report.measures import MetricWords, metric_words, metrics_of
from replay.report.pairs import UNITS, Pair, pairs, severe_words
from replay.report.tally import Named, Tally
from replay.report.visible import one_line
from replay.summary import Summary
from replay.verdict import MetricEvidence, SliceFinding, Verdict

_SLICES, _EXEMPLARS = 12, 3
#: Characters of a name or an id.
NAME = 80


class Facts(NamedTuple):
    """What a run has written down beside its comparisons. `changes`: of `BundleDiff.as_json`.

    `assumed`: what had to be supposed of what was compared. `names`: what people call today's release and the
    candidate. `conversations`: of all recordings that were compared; null where requests were replayed.
    """

    run_id: str
    baseline: str
    candidate: str
    title: str
    not_exercised: Sequence[str] = ()
    findings: Sequence[str] = ()
    assumed: Sequence[str] = ()
    changes: Sequence[Json] | None = None
    names: tuple[str, str] | None = None
    conversations: int | None = None


class Counter(NamedTuple):
    """What must never happen, as a count: a bar of shares would make less of it than it is."""

    happened: str
    words: str


class MetricRow(NamedTuple):
    words: MetricWords
    interval: Interval | None
    course: Course | None
    counter: Counter | None


class SurfaceChange(NamedTuple):
    """`severity` as of findings: 3 loosened, 2 important, 1 worth knowing."""

    surface: str
    severity: int
    text: str
    details: tuple[str, ...]


class Exemplar(NamedTuple):
    """A pair that shows something. `number`: where it stands among the worst pairs; null where it is not shown."""

    trace_id: str
    number: int | None


class SliceRow(NamedTuple):
    """Conversations in which a measure is worse than tolerated."""

    where: str
    metric: str
    what: str
    pairs: int
    seen: str
    exemplars: tuple[Exemplar, ...]


class Contents(NamedTuple):
    """`examples`: by metric, the number of the first pair among the worst that shows it."""

    facts: Facts
    headline: Headline
    compared: Compared
    loosened: tuple[str, ...]
    untried: tuple[str, ...]
    verdict: Verdict | None
    agrees: bool | None
    metrics: tuple[MetricRow, ...]
    slices: tuple[SliceRow, ...]
    changes: tuple[SurfaceChange, ...] | None
    pairs: tuple[Pair, ...]
    severe: tuple[str, ...]
    examples: Mapping[str, int]
    lanes: tuple[Lane, ...]
    looked_at: str
    no_response: int
    refused: tuple[Counted, ...]
    dead_letters: int


def contents(
    facts: Facts, summary: Summary, development: Development | None, tally: Tally | None = None, *, worst: int
) -> Contents:
    """`development`: of the summary's verdict; null without one. A run that was stopped has no verdict."""
    verdict = summary.verdict if summary.stopped_by is None else None
    shown, tally = tuple(pairs(summary, worst)), tally or Tally()
    return Contents(
        facts=facts,
        headline=_undecided(summary) if verdict is None else headline(verdict),
        compared=_compared(facts, summary, verdict),
        loosened=tuple(facts.findings),
        untried=tuple(surface.replace("_", " ") for surface in facts.not_exercised),
        verdict=verdict,
        agrees=None if development is None else development.agrees,
        metrics=() if verdict is None else tuple(_rows(verdict, development)),
        slices=() if verdict is None else tuple(_slices(verdict, shown, tally.named)),
        changes=None if facts.changes is None else tuple(_changes(facts.changes)),
        pairs=shown,
        severe=severe_words(summary),
        examples={} if verdict is None else _examples(verdict, summary, worst),
        lanes=tuple(lanes(summary, tally)),
        looked_at=_looked_at(facts, summary),
        no_response=summary.no_response,
        refused=counted(summary.refused, REFUSALS),
        dead_letters=sum(summary.dead_letters.values()),
    )


# -- who and what -----------------------------------------------------------------------------------------------------


def _is_recorded(summary: Summary) -> bool:
    return any(mode == "recorded" for _, mode in summary.folds)


def _undecided(summary: Summary) -> Headline:
    laned = any(lane == "baseline" for lane, _ in summary.folds)
    recorded = _is_recorded(summary)
    return no_headline(stopped_by=summary.stopped_by, left=summary.left, laned=laned, recorded=recorded)


def _compared(facts: Facts, summary: Summary, verdict: Verdict | None) -> Compared:
    names = facts.names or (facts.baseline[:15], facts.candidate[:15])
    today, candidate = (one_line(name, NAME) for name in names)
    units = {lane: sum(_units(summary, lane)) for lane in ("candidate", "baseline")}
    recorded = _is_recorded(summary)
    read = f"{summary.admitted:,} {UNITS['recorded' if recorded else 'free']}"
    amount = read if verdict is None else f"{verdict.conversations:,} conversations"
    return compared((today, candidate), amount, units=units["candidate"], again=units["baseline"], recorded=recorded)


def _units(summary: Summary, lane: str) -> Iterator[int]:
    yield from (sum(fold.dispositions.values()) for (of, _), fold in summary.folds.items() if of == lane)


def _looked_at(facts: Facts, summary: Summary) -> str:
    """How what was read adds up to what was compared."""
    if facts.conversations is None:
        return f"{summary.traces:,} requests were read, {summary.admitted:,} were replayed."
    again = sum(_units(summary, "baseline"))
    twice = f", {again:,} with a second recording of today's release beside them" if again else ""
    return (
        f"{summary.traces:,} recorded turns are {facts.conversations:,} conversations; of these came "
        f"{summary.admitted:,} pairs{twice}."
    )


# -- measures ---------------------------------------------------------------------------------------------------------


def _rows(verdict: Verdict, development: Development | None) -> Iterator[MetricRow]:
    """Metrics that vote first, in the gate's order."""
    settings, moments = metrics_of(verdict.gate), () if development is None else development.moments
    rows, reach = [], reach_of(verdict.metrics)
    for index, (evidence, words) in enumerate(zip(verdict.metrics, metric_words(verdict), strict=True)):
        metric = settings[evidence.id]
        if metric.kind == "zero_tolerance":
            rows.append(MetricRow(words, None, None, _counter(evidence, words)))
        else:
            shown = course(metric, moments, index) if moments else None
            rows.append(MetricRow(words, interval(metric, evidence, reach), shown, None))
    yield from sorted(rows, key=lambda row: not row.words.votes)


def _counter(evidence: MetricEvidence, words: MetricWords) -> Counter | None:
    if evidence.mean is None:
        return None
    return Counter(f"{evidence.hits:,} of {evidence.pairs:,}", f"{words.sure}. Tolerated: {words.tolerated}.")


def _slices(verdict: Verdict, shown: Sequence[Pair], named: Mapping[str, Named]) -> Iterator[SliceRow]:
    settings = metrics_of(verdict.gate)
    words = {it.id: it.what for it in metric_words(verdict)}
    numbers = {pair.comparison_id: pair.number for pair in shown}
    for found in verdict.slices[:_SLICES]:
        seen = difference(settings[found.metric], found.mean)
        exemplars = tuple(_exemplars(found, named, numbers))
        yield SliceRow(_where(found), found.metric, words[found.metric], found.pairs, seen, exemplars)


def _where(found: SliceFinding) -> str:
    attribute, value = (one_line(text, NAME) for text in (found.attribute, found.value))
    return f"today's release called {value}" if attribute == TOOL else f"{attribute} = {value}"


def _exemplars(found: SliceFinding, named: Mapping[str, Named], numbers: Mapping[str, int]) -> Iterator[Exemplar]:
    """Those that are shown first, then the most severe."""
    known = [each for each in found.exemplars if each in named]
    ranked = sorted(known, key=lambda each: (numbers.get(each, len(numbers) + 1), -named[each].severity, each))
    yield from (Exemplar(named[each].trace_id, numbers.get(each)) for each in ranked[:_EXEMPLARS])


def _examples(verdict: Verdict, summary: Summary, worst: int) -> Mapping[str, int]:
    gate, found = gate_from(verdict.gate), {}
    for number, item in enumerate(summary.worst(worst), 1):
        if item.comparison.mode in (gate.mode, "recorded"):
            shown = [metric.id for metric in gate.metrics if _shows(metric, item.comparison)]
            found.update({name: number for name in shown if name not in found})
    return found


def _shows(metric: Metric, comparison: Comparison) -> bool:
    """Whether the candidate is worse in this pair than today's release was in production."""
    signal = signal_of(metric.measured)
    if signal is None:
        return False
    today = None if signal.of_production is None else signal.of_production(comparison)
    return (signal.of_replay(comparison) or 0.0) > (today or 0.0)


# -- releases ---------------------------------------------------------------------------------------------------------


def _changes(every: Sequence[Json]) -> Iterator[SurfaceChange]:
    """By surface, the most severe first."""
    for surface in dict.fromkeys(change["surface"] for change in every):
        for change in sorted(every, key=lambda change: -change["severity"]):
            if change["surface"] == surface:
                yield SurfaceChange(surface, change["severity"], change["text"], tuple(change["details"]))
