"""`shadow-replay report`: what a run found, for people, as one HTML file and as Markdown for a pull request."""

from __future__ import annotations

import argparse
from pathlib import Path

import anyio

from consumers.published import published
from consumers.report_files import Reports, write_reports, write_reports_of
from consumers.run_command import DONE, print_json, print_lines
from consumers.service import service_settings
from consumers.verdicts import told_of
from replay.comparison import Comparison
from replay.errors import UsageError
from replay.exact_json import Json, loads
from replay.settings import Settings
from replay.verdict import Verdict
from replay.wire import encode


def report(arguments: argparse.Namespace) -> int:
    """Exit code 0: it says what was found, and decides nothing."""
    if (arguments.results is None) == (arguments.run is None):
        raise UsageError("give DIR, what `run` or `compare` wrote, or --run RUN --out DIR, a run on the topic")
    reports = write_reports(Path(arguments.results)) if arguments.run is None else _of_topic(arguments)
    if arguments.json:
        print_json({name: str(path) for name, path in reports._asdict().items()})
    else:
        print_lines(map(str, reports))
    return DONE


def _of_topic(arguments: argparse.Namespace) -> Reports:
    if arguments.out is None:
        raise UsageError("no place for the report: give --out DIR")
    out = Path(arguments.out)
    settings = service_settings(arguments)
    verdict, comparisons = anyio.run(_run_on_topic, settings, arguments.run)
    if not comparisons:
        raise UsageError(f"{settings.kafka.comparisons} holds no comparison of {arguments.run}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written: {error.strerror}") from None
    return write_reports_of(_summary(arguments.run, verdict, comparisons), lambda: comparisons, out)


async def _run_on_topic(settings: Settings, run_id: str) -> tuple[Verdict | None, list[Comparison]]:
    """The latest verdict on a run, if there is one, and all that it has published."""
    verdicts = [it async for it in told_of(settings, run_id)]
    return (verdicts[-1] if verdicts else None), [it async for it in published(settings, run_id=run_id, since_ms=0)]


def _summary(run_id: str, verdict: Verdict | None, comparisons: list[Comparison]) -> dict[str, Json]:
    """What a topic tells of a run. What was refused, and what was changed in the bundles, it does not."""
    first, traces = comparisons[0], len({it.trace_id for it in comparisons})
    return {
        "run_id": run_id,
        "baseline": first.baseline,
        "candidate": first.candidate,
        "title": f"{first.baseline[:15]} -> {first.candidate[:15]}",
        "not_exercised": sorted({surface for it in comparisons for surface in it.not_exercised}),
        "traces": traces,
        "admitted": traces,
        "verdict": None if verdict is None else loads(encode(verdict)),
    }
