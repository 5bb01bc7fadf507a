"""The report of a run as files: made of what stands in its directory, so that it can be made again at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from consumers.journal import SUMMARY, read_comparisons
from consumers.line_file import write_whole
from replay.comparison import Comparison
from replay.errors import RecordError, UsageError
from replay.exact_json import Json, loads
from replay.gate.development import Development, Retelling
from replay.report.contents import Contents, Facts, contents
from replay.report.html import html_report
from replay.report.markdown import markdown_report
from replay.report.tally import Tally
from replay.summary import Summary
from replay.verdict import Verdict
from replay.wire import from_json

HTML, MARKDOWN = "report.html", "report.md"
#: Pairs that are shown side by side.
WORST = 20


class Reports(NamedTuple):
    html: Path
    markdown: Path


def write_reports(directory: Path) -> Reports:
    """Write both forms into the directory of a run. Raises `UsageError` when it holds none."""
    written = _summary_of(directory)
    return write_reports_of(written, lambda: read_comparisons(directory), directory)


def write_reports_of(written: dict[str, Json], comparisons: Callable[[], Iterable[Comparison]], out: Path) -> Reports:
    """From a summary as `summary.json` has it, and its comparisons, which are read twice and never held."""
    told = _contents(written, comparisons)
    reports = Reports(out / HTML, out / MARKDOWN)
    try:
        write_whole(reports.html, html_report(told))
        write_whole(reports.markdown, markdown_report(told).encode("utf-8", "replace"))
    except OSError as error:
        raise UsageError(f"{out}: cannot be written: {error.strerror}") from None
    return reports


def _contents(written: dict[str, Json], comparisons: Callable[[], Iterable[Comparison]]) -> Contents:
    summary = Summary(
        traces=written.get("traces", 0),
        admitted=written.get("admitted", 0),
        no_response=written.get("no_response", 0),
        left=written.get("left", 0),
        stopped_by=written.get("stopped_by"),
        verdict=_verdict(written),
    )
    summary.refused.update(written.get("refused", {}))
    summary.dead_letters.update(written.get("dead_letters", {}))
    tally = Tally.of(summary.verdict)
    for comparison in comparisons():
        summary.add(comparison)
        tally.add(comparison)
    return contents(_facts(written), summary, _development(summary.verdict, comparisons), tally, worst=WORST)


def _development(verdict: Verdict | None, comparisons: Callable[[], Iterable[Comparison]]) -> Development | None:
    if verdict is None:
        return None
    retelling = Retelling(verdict)
    for comparison in comparisons():
        retelling.add(comparison)
    return retelling.development()


def _facts(written: dict[str, Json]) -> Facts:
    return Facts(
        run_id=str(written.get("run_id", "")),
        baseline=str(written.get("baseline", "")),
        candidate=str(written.get("candidate", "")),
        title=str(written.get("title", "")) or str(written.get("run_id", "")),
        not_exercised=written.get("not_exercised", []),
        findings=written.get("findings", []),
        assumed=written.get("assumed", []),
        changes=written.get("changes"),
        names=_names(written),
        conversations=written.get("conversations"),
    )


def _names(written: dict[str, Json]) -> tuple[str, str] | None:
    names = written.get("names")
    return None if names is None else (str(names["baseline"]), str(names["candidate"]))


def _verdict(written: dict[str, Json]) -> Verdict | None:
    found = written.get("verdict")
    return None if found is None else from_json(Verdict, found)


def _summary_of(directory: Path) -> dict[str, Json]:
    path = directory / SUMMARY
    try:
        found = loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; give the --out of a run that has ended") from None
    except RecordError as error:
        raise UsageError(f"{path}: {error}") from None
    if not isinstance(found, dict) or found.get("schema") != "summary/1":
        raise UsageError(f"{path}: is no summary of a run")
    return found
