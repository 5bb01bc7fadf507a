"""`shadow-replay gate plan` and `gate test`: what a gate can do, before anything depends on it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from consumers.assembly import settings_of
from consumers.journal import read_comparisons
from consumers.run_command import COULD_NOT_RUN, DONE, print_json, print_lines
from replay.bundle_loader import load_bundle
from replay.errors import UsageError
from replay.exact_json import Json
from replay.gate.config import Gate, Metric, gate_in, load_gate
from replay.gate.drills import Report, run_drills
from replay.gate.earlier import Earlier, earlier
from replay.gate.plan import POWER, MetricPlan, Plan, plan_of


def plan(arguments: argparse.Namespace) -> int:
    """Exit code 3 when a metric that votes could never be certified within the plan."""
    gate = _gate(arguments)
    seen = None if arguments.results is None else _seen(Path(arguments.results), gate)
    found = plan_of(gate, seen, arguments.partitions)
    usd = arguments.usd_per_conversation or (None if seen is None else seen.usd_per_pair)
    price = _Price(arguments.pairs_per_day, usd)
    print_json(_plan_json(found, price)) if arguments.json else print_lines(_plan_lines(found, price))
    return COULD_NOT_RUN if found.blind else DONE


_FAILED = 1


class _Price(NamedTuple):
    """Null = not known."""

    pairs_per_day: float | None
    usd_per_pair: float | None

    def days(self, pairs: int | None) -> float | None:
        return None if pairs is None or self.pairs_per_day is None else pairs / self.pairs_per_day

    def usd(self, pairs: int | None) -> float | None:
        return None if pairs is None or self.usd_per_pair is None else pairs * self.usd_per_pair


def _gate(arguments: argparse.Namespace) -> Gate:
    settings = settings_of(arguments).settings
    if settings.gate is not None:
        return load_gate(Path(settings.gate))
    gate = None if settings.baseline is None else gate_in(load_bundle(Path(settings.baseline)))
    if gate is None:
        raise UsageError("no gate: give --gate FILE, or a baseline whose rollout policy has one")
    return gate


def _seen(directory: Path, gate: Gate) -> Earlier:
    """An earlier run, by this gate. A price is known when that of every replay is."""
    found = earlier(gate, lambda: read_comparisons(directory))
    if not found.there.laned:
        raise UsageError(f"{directory}: no conversation has a baseline lane, and only that says how much is noise")
    return found


# -- in words ---------------------------------------------------------------------------------------------------------


def _plan_lines(found: Plan, price: _Price) -> Iterator[str]:
    gate = found.gate
    yield f"wanted: a candidate as good as production promoted within {gate.max_pairs:,} pairs in {POWER:.0%} of runs"
    yield f"  {'metric':<24}{'margin':>9}{'certifiable':>13}{'detectable':>12}{'half':>9}{'likely':>9}  assumed"
    for planned in found.metrics:
        yield _row(planned)
    if found.pairs is not None:
        yield "  " + _cost(found.pairs, price)
    if found.partitions:
        yield f"  of {found.partitions:,} partitions the next conversation is under way and counts as what proves least"
    yield "  certifiable: the smallest margin; detectable: the smallest difference that is rolled back;"
    yield "  half, likely: pairs that suffice in half of all runs, and in as many as the promise needs"
    yield from (f"  note: {note}" for note in found.notes)
    for reason in found.blind:
        about = f" [{', '.join(reason.metrics)}]" if reason.metrics else ""
        yield f"  ! {reason.code}{about}: {reason.words}"
    if found.blind:
        yield "  ! refused: no run could be promoted by this gate" + _way_out(found)


def _way_out(found: Plan) -> str:
    """A wider margin helps against noise, not against guesses."""
    noisy = any(reason.code == "blind_metric" for reason in found.blind)
    return "; widen a margin, or allow more pairs (max_pairs)" if noisy else ""


def _row(planned: MetricPlan) -> str:
    metric = planned.metric
    figures = f"{_figure(planned.certifiable):>13}{_figure(planned.detectable):>12}"
    needed = [_pairs(it) if metric.has_margin else "-" for it in (planned.expected_pairs, planned.likely_pairs)]
    pairs, margin = "".join(f"{it:>9}" for it in needed), _margin(metric)
    role = "" if metric.votes else " (has no vote)"
    return f"  {metric.id:<24}{margin:>9}{figures}{pairs}  {planned.assumed.source}{role}"


def _margin(metric: Metric) -> str:
    if metric.rel_margin is not None:
        return f"x{1 + metric.rel_margin:g}"
    return f"{metric.tolerated:g}" if metric.has_margin else "-"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _pairs(value: int | None) -> str:
    return "never" if value is None else f"{value:,}"


def _cost(pairs: int, price: _Price) -> str:
    days, usd = price.days(pairs), price.usd(pairs)
    told = [f"{pairs:,} {'pair is' if pairs == 1 else 'pairs are'} likely to do"]
    told += [] if days is None else [f"{days:,.1f} days"]
    told += ["money not known: --usd-per-conversation" if usd is None else f"{usd:,.2f} USD"]
    return ", ".join(told)


def _plan_json(found: Plan, price: _Price) -> Json:
    return {
        "gate_sha256": found.gate.digest,
        "max_pairs": found.gate.max_pairs,
        "power": POWER,
        "partitions": found.partitions,
        "pairs": found.pairs,
        "days": price.days(found.pairs),
        "usd": price.usd(found.pairs),
        "metrics": [_metric_json(planned, price) for planned in found.metrics],
        "notes": list(found.notes),
        "refused": [{"code": it.code, "metrics": list(it.metrics), "words": it.words} for it in found.blind],
    }


def _metric_json(planned: MetricPlan, price: _Price) -> Json:
    return {
        "id": planned.metric.id,
        "votes": planned.metric.votes,
        "margin": planned.metric.tolerated if planned.metric.has_margin else None,
        "rel_margin": planned.metric.rel_margin,
        "certifiable": planned.certifiable,
        "detectable": planned.detectable,
        "expected_pairs": planned.expected_pairs,
        "likely_pairs": planned.likely_pairs,
        "usd": price.usd(planned.likely_pairs),
        "assumed": planned.assumed.source,
    }


# -- drills -----------------------------------------------------------------------------------------------------------


def test(arguments: argparse.Namespace) -> int:
    """Exit code 0 when every drill that is covered ends as it must, 1 when one does not."""
    reports = tuple(run_drills(_gate(arguments)))
    failed = any(report.result == "failed" for report in reports)
    print_json([_report_json(report) for report in reports]) if arguments.json else print_lines(_drill_lines(reports))
    return _FAILED if failed else DONE


def _drill_lines(reports: Sequence[Report]) -> Iterator[str]:
    yield f"  {'drill':<17}{'must be':<18}{'is':<11}{'pairs':>7}  result"
    for report in reports:
        must = " or ".join(sorted(report.drill.sound))
        told = f"{report.result.upper() if report.result == 'failed' else report.result}: {report.drill.words}"
        yield f"  {report.drill.name:<17}{must:<18}{report.decision or '-':<11}{report.pairs:>7,}  {told}"
    for report in reports:
        if report.words:
            yield f"  ! {report.drill.name}: {report.words}"


def _report_json(report: Report) -> Json:
    return {
        "drill": report.drill.name,
        "what": report.drill.words,
        "must_be": sorted(report.drill.sound),
        "result": report.result,
        "decision": report.decision,
        "pairs": report.pairs,
        "words": report.words,
    }
