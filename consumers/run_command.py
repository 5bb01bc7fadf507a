"""`shadow-replay run`: settings and bundles in, a finished file run and its summary out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import anyio

from consumers.endpoints import endpoint_for
from consumers.files import count_lines, read_items
from consumers.journal import Journal
from consumers.progress import Progress
from consumers.replays import Limits
from consumers.run import FileRun
from consumers.where import all_match, parse_where
from replay.admission import Admission, Sampling
from replay.bundle import Bundle
from replay.bundle_diff import findings
from replay.bundle_loader import load_bundle
from replay.comparison import MODES, Mode
from replay.divergence import Comparer
from replay.errors import UsageError
from replay.exact_json import Json, dumps
from replay.execution import Budget
from replay.models import Model
from replay.planning import Planner
from replay.routes import open_model
from replay.settings import SETTINGS_FILE, Loaded, Settings, load_settings
from replay.summary import Summary, summary_json
from replay.summary_text import summary_lines

DONE = 0
STOPPED_BY_A_LIMIT = 4
STANDARD_INPUT = "-"

#: Arguments that are settings of the same name.
_SETTING_FLAGS = (
    "baseline",
    "candidates",
    "mode",
    "any_bundle",
    "sample",
    "concurrency",
    "max_usd",
    "max_model_calls",
    "route_url",
)


class RunOrder(NamedTuple):
    """What to replay, and where to put what comes of it."""

    traces: str
    out: Path
    where: tuple[str, ...] = ()
    limit: int | None = None
    as_json: bool = False

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


def settings_of(arguments: argparse.Namespace) -> Loaded:
    """The settings as this command line sees them."""
    named = arguments.config
    found = Path(named) if named else Path(SETTINGS_FILE)
    flags = {name: getattr(arguments, name, None) for name in _SETTING_FLAGS}
    return load_settings(file=found if named or found.is_file() else None, environment=os.environ, flags=flags)


def replay_file(order: RunOrder, settings: Settings) -> int:
    """Replay a file as the settings say, print the summary, return the exit code."""
    baseline, candidate = _bundles(settings)
    planner = Planner(baseline, candidate, _budget(settings))
    identity = _identity(order, settings, planner)
    run_id = f"run-{sha256(dumps(identity, sort_keys=True)).hexdigest()[:24]}"
    with ExitStack() as stack:
        journal = stack.enter_context(Journal.open(order.out, identity={**identity, "run_id": run_id}))
        progress = stack.enter_context(Progress.on(count_lines(order.traces)))
        job = _Job(order, settings, planner, run_id, journal, progress)
        summary = anyio.run(job.run)
    _report(job, summary)
    return STOPPED_BY_A_LIMIT if summary.stopped_by is not None else DONE


class _Job(NamedTuple):
    order: RunOrder
    settings: Settings
    planner: Planner
    run_id: str
    journal: Journal
    progress: Progress

    async def run(self) -> Summary:
        replayed = self.planner.replayed
        model = open_model(replayed.route, endpoint_for(replayed, self.settings, os.environ))
        try:
            return await self._file_run(model=model).run()
        finally:
            with anyio.move_on_after(5, shield=True):
                await model.aclose()

    def _file_run(self, *, model: Model) -> FileRun:
        order, settings = self.order, self.settings
        return FileRun(
            run_id=self.run_id,
            topic=order.topic,
            items=read_items(order.traces, max_line_bytes=settings.max_line_bytes),
            admission=_admission(self.planner.baseline, settings, order.where),
            planner=self.planner,
            modes=_modes(settings),
            comparer=Comparer(self.planner, settings.content, settings.max_record_bytes),
            model=model,
            journal=self.journal,
            limits=Limits(_decimal(settings.max_usd), settings.max_model_calls),
            limit=order.limit,
            concurrency=settings.concurrency,
            batch=settings.batch,
            progress=self.progress,
        )


def _report(job: _Job, summary: Summary) -> None:
    order, planner, settings = job.order, job.planner, job.settings
    severe = [finding.text for finding in findings(planner.baseline, planner.candidate) if finding.severity >= _SEVERE]
    written = summary_json(
        summary,
        facts={
            "run_id": job.run_id,
            "baseline": planner.baseline.digest,
            "candidate": planner.candidate.digest,
            "not_exercised": list(planner.not_exercised),
            "findings": list(severe),
        },
        worst=settings.worst,
    )
    job.journal.summarise(written)
    print_json(written) if order.as_json else print_lines(_summary_lines(job, summary, severe))


def _summary_lines(job: _Job, summary: Summary, severe: Sequence[str]) -> Iterable[str]:
    baseline, candidate = job.planner.baseline, job.planner.candidate
    return summary_lines(
        summary,
        title=f"{_named(baseline, candidate)} -> {_named(candidate, baseline)}, results in {job.order.out}",
        not_exercised=[f"{surface} has changed" for surface in job.planner.not_exercised],
        findings=severe,
        worst=job.settings.worst,
        next_command=_next_command(job, summary),
    )


_SEVERE = 3


def _named(bundle: Bundle, other: Bundle) -> str:
    """Two releases of one assistant carry its name; then their directories tell them apart."""
    name = bundle.name if bundle.name != other.name else f"{bundle.name} {bundle.directory.name}"
    return f"{name} ({bundle.digest[:15]})"


def _next_command(job: _Job, summary: Summary) -> str:
    if summary.stopped_by is not None:
        return f"the same command with a higher limit goes on where this one stopped ({job.order.out})"
    return f"shadow-replay bundle diff {job.planner.baseline.directory} {job.planner.candidate.directory}"


def _bundles(settings: Settings) -> tuple[Bundle, Bundle]:
    if settings.baseline is None:
        raise UsageError("no baseline: give --baseline BUNDLE, the directory of the bundle in production")
    if len(settings.candidates) != 1:
        raise UsageError(f"{len(settings.candidates)} candidates: a run takes one, give --candidate BUNDLE once")
    return load_bundle(Path(settings.baseline)), load_bundle(Path(settings.candidates[0]))


def _admission(baseline: Bundle, settings: Settings, where: Iterable[str]) -> Admission:
    conditions = [parse_where(text) for text in where]
    return Admission(
        baseline,
        Sampling(settings.sample, settings.sample_salt),
        any_bundle=settings.any_bundle,
        matches=(lambda trace: all_match(conditions, trace)) if conditions else None,
    )


def _budget(settings: Settings) -> Budget:
    return Budget(
        steps=settings.unit_steps,
        tokens=settings.unit_tokens,
        seconds=settings.unit_seconds,
        usd=_decimal(settings.unit_usd),
        call_seconds=settings.call_seconds,
    )


def _modes(settings: Settings) -> tuple[Mode, ...]:
    return tuple(mode for mode in MODES if settings.mode in ("both", mode))


def _identity(order: RunOrder, settings: Settings, planner: Planner) -> dict[str, Json]:
    """What a run was asked to do. Limits and speed are left out: a run may go on with other ones."""
    return {
        "traces": order.topic,
        "baseline": planner.baseline.digest,
        "candidate": planner.candidate.digest,
        "modes": list(_modes(settings)),
        "where": sorted(order.where),
        "limit": order.limit,
        "sample": settings.sample,
        "sample_salt": settings.sample_salt,
        "any_bundle": settings.any_bundle,
        "content": settings.content,
        "max_record_bytes": settings.max_record_bytes,
    }


def _decimal(amount: float | None) -> Decimal | None:
    return None if amount is None else Decimal(str(amount))


def print_lines(lines: Iterable[str]) -> None:
    """Results go to standard output."""
    for line in lines:
        sys.stdout.write(line + "\n")


def print_json(value: Json) -> None:
    sys.stdout.write(dumps(value).decode() + "\n")
