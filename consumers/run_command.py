"""`shadow-replay run`: settings and bundles in, a finished file run and its summary out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import anyio

from consumers.assembly import (
    Routes,
    admission_of,
    asked_for,
    comparer_of,
    design_of,
    gate_for,
    limits_of,
    planner_of,
    routes_of,
    run_id_of,
    settings_of,
)
from consumers.ending import ending
from consumers.files import count_lines, read_items
from consumers.journal import Journal
from consumers.progress import Progress
from consumers.report import Report
from consumers.report_files import write_reports
from consumers.run import FileRun
from replay.exact_json import Json, dumps
from replay.gate.config import Gate
from replay.gate.docket import Docket, Run
from replay.planning import Planner
from replay.settings import Settings
from replay.summary import Summary
from replay.verdict import Decision

DONE = 0
EXIT_CODES: Mapping[Decision, int] = {"promote": DONE, "hold": 1, "roll_back": 2}
COULD_NOT_RUN = 3
STOPPED_BY_A_LIMIT = 4
INTERRUPTED = 130
STANDARD_INPUT = "-"


class RunOrder(NamedTuple):
    """What to replay, and where to put what comes of it."""

    traces: str
    out: Path
    where: tuple[str, ...] = ()
    limit: int | None = None
    as_json: bool = False
    is_shown: bool = False
    """Whether it is shown to a person by something else, which needs no events and has an exit code of its own."""

    @property
    def topic(self) -> str:
        return STANDARD_INPUT if self.traces == STANDARD_INPUT else Path(self.traces).name


def run(arguments: argparse.Namespace) -> int:
    """The command. Exit code 0, or 4 when a limit stopped the intake."""
    order = RunOrder(
        traces=arguments.traces,
        out=Path(arguments.out),
        where=tuple(arguments.where),
        limit=arguments.limit,
        as_json=arguments.json,
    )
    return replay_file(order, settings_of(arguments).settings)


def replay_file(order: RunOrder, settings: Settings) -> int:
    """Replay a file as the settings say, print the summary, return the exit code."""
    planner = planner_of(settings)
    gate = gate_for(planner.baseline, settings)
    identity = _identity(order, settings, planner)
    run_id = run_id_of("run", identity)
    with ExitStack() as stack:
        journal = stack.enter_context(Journal.open(order.out, identity={**identity, "run_id": run_id}))
        progress = stack.enter_context(Progress.on(count_lines(order.traces), events=not order.is_shown))
        job = _Job(order, settings, planner, run_id, journal, progress, gate)
        summary = anyio.run(job.run)
    _report(job, summary)
    return exit_code(summary)


class _Job(NamedTuple):
    order: RunOrder
    settings: Settings
    planner: Planner
    run_id: str
    journal: Journal
    progress: Progress
    gate: Gate | None

    async def run(self) -> Summary:
        async with routes_of(self.planner, self.settings) as routes:
            return await self._file_run(routes).run()

    def _file_run(self, routes: Routes) -> FileRun:
        order, settings = self.order, self.settings
        return FileRun(
            run_id=self.run_id,
            topic=order.topic,
            items=read_items(order.traces, max_line_bytes=settings.max_line_bytes),
            admission=admission_of(self.planner.baseline, settings, order.where),
            planner=self.planner,
            design=design_of(settings),
            comparer=comparer_of(self.planner, settings),
            model=routes.candidate,
            lane_model=routes.baseline,
            docket=None if self.gate is None else Docket(self.gate, Run.planned(self.run_id, self.planner)),
            journal=self.journal,
            limits=limits_of(settings),
            limit=order.limit,
            concurrency=settings.concurrency,
            batch=settings.batch,
            progress=self.progress,
        )


def _report(job: _Job, summary: Summary) -> None:
    report = Report(job.run_id, job.planner, job.settings, summary, str(job.order.out))
    written = report.as_json()
    job.journal.summarise(written)
    write_reports(job.order.out)
    go_on = f"the same command with a higher limit goes on where this one stopped ({job.order.out})"
    lines = [*report.lines(go_on=go_on), *ending(job.order.out, None if job.order.is_shown else exit_code(summary))]
    print_json(written) if job.order.as_json else print_lines(lines)


def _identity(order: RunOrder, settings: Settings, planner: Planner) -> dict[str, Json]:
    return {"traces": order.topic, "limit": order.limit, **asked_for(settings, planner, order.where)}


def exit_code(summary: Summary) -> int:
    """What a script is told: the limit that stopped it, else the verdict, else that it is done."""
    if summary.stopped_by is not None:
        return STOPPED_BY_A_LIMIT
    return DONE if summary.verdict is None else EXIT_CODES[summary.verdict.decision]


def print_lines(lines: Iterable[str]) -> None:
    """Results go to standard output."""
    for line in lines:
        sys.stdout.write(line + "\n")


def print_json(value: Json) -> None:
    sys.stdout.write(dumps(value).decode() + "\n")
