"""The commands: each takes parsed arguments, calls the domain, prints, and returns an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import anyio

from consumers.files import Where, count_lines, parse_where, read_items, write_traces
from consumers.journal import Journal
from consumers.progress import Progress
from consumers.run import FileRun, Limits
from replay import bundle_diff, bundle_infer
from replay.admission import Admission, Sampling
from replay.bundle import Bundle, load_bundle
from replay.comparison import MODES, Mode
from replay.divergence import Comparer
from replay.errors import RecordError, UsageError
from replay.exact_json import Json, dumps, loads
from replay.execution import Budget
from replay.models import Endpoint
from replay.planning import Planner
from replay.routes import open_model
from replay.settings import SETTINGS_FILE, Loaded, Settings, load_settings, rows
from replay.summary import Summary, summary_json
from replay.summary_text import summary_lines
from replay.trace import Trace

DONE = 0
STOPPED_BY_A_LIMIT = 4

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


def run(arguments: argparse.Namespace) -> int:
    """`shadow-replay run`."""
    settings = _settings(arguments).settings
    order = RunOrder(
        traces=arguments.traces,
        out=Path(arguments.out),
        where=tuple(arguments.where),
        limit=arguments.limit,
        as_json=arguments.json,
    )
    return replay_file(order, settings)


class RunOrder(NamedTuple):
    """What to replay and where to put what comes of it."""

    traces: str
    out: Path
    where: tuple[str, ...] = ()
    limit: int | None = None
    as_json: bool = False


def replay_file(order: RunOrder, settings: Settings) -> int:
    """Replay a file as the settings say, print the summary, return the exit code."""
    baseline, candidate = _bundles(settings)
    planner = Planner(baseline, candidate, _budget(settings))
    identity = _identity(order, settings, baseline, candidate)
    run_id = f"run-{sha256(dumps(identity, sort_keys=True)).hexdigest()[:24]}"
    with ExitStack() as stack:
        journal = stack.enter_context(Journal.open(order.out, identity={**identity, "run_id": run_id}))
        progress = stack.enter_context(Progress.on(count_lines(order.traces)))
        job = _FileJob(order, settings, planner, run_id, journal, progress)
        summary = anyio.run(job.run)
        facts = {"run_id": run_id, "baseline": baseline.digest, "candidate": candidate.digest}
        _report(order, settings, planner, summary, journal, facts)
    return STOPPED_BY_A_LIMIT if summary.stopped_by is not None else DONE


class _FileJob(NamedTuple):
    order: RunOrder
    settings: Settings
    planner: Planner
    run_id: str
    journal: Journal
    progress: Progress

    async def run(self) -> Summary:
        settings = self.settings
        replayed = self.planner.replayed
        model = open_model(replayed.route, endpoint_for(replayed, settings))
        try:
            return await FileRun(
                run_id=self.run_id,
                topic="-" if self.order.traces == "-" else Path(self.order.traces).name,
                items=read_items(self.order.traces, max_line_bytes=settings.max_line_bytes),
                admission=_admission(self.planner.baseline, settings, self.order.where),
                planner=self.planner,
                modes=_modes(settings),
                comparer=Comparer(self.planner, settings.content, settings.max_record_bytes),
                model=model,
                journal=self.journal,
                limits=Limits(_decimal(settings.max_usd), settings.max_model_calls),
                limit=self.order.limit,
                concurrency=settings.concurrency,
                batch=settings.batch,
                progress=self.progress,
            ).run()
        finally:
            with anyio.move_on_after(5, shield=True):
                await model.aclose()


def _report(
    order: RunOrder,
    settings: Settings,
    planner: Planner,
    summary: Summary,
    journal: Journal,
    facts: Mapping[str, Json],
) -> None:
    findings = [finding.text for finding in bundle_diff.findings(planner.baseline, planner.candidate)]
    not_exercised = planner.not_exercised
    written = summary_json(
        summary,
        facts={**facts, "not_exercised": list(not_exercised), "findings": list(findings)},
        worst=settings.worst,
    )
    journal.summarise(written)
    if order.as_json:
        sys.stdout.write(dumps(written).decode() + "\n")
        return
    names = f"{planner.baseline.name} ({planner.baseline.digest[:19]}) -> {planner.candidate.name}"
    lines = summary_lines(
        summary,
        title=f"{names} ({planner.candidate.digest[:19]}), results in {order.out}",
        not_exercised=[f"{surface} has changed" for surface in not_exercised],
        findings=findings,
        worst=settings.worst,
        next_command=_next_command(order, planner, summary),
    )
    _print(lines)


def _next_command(order: RunOrder, planner: Planner, summary: Summary) -> str:
    if summary.stopped_by is not None:
        return f"the same command with a higher limit goes on where this one stopped ({order.out})"
    return f"shadow-replay bundle diff {planner.baseline.directory} {planner.candidate.directory}"


# -- bundles ----------------------------------------------------------------------------------------------------


def bundle_infer_command(arguments: argparse.Namespace) -> int:
    """`shadow-replay bundle infer`."""
    traces = _traces(arguments.traces)
    report = bundle_infer.infer_bundle(
        traces,
        bundle_id=arguments.bundle,
        toolset=load_toolsets(arguments.toolsets, beside=arguments.traces),
        route_url=arguments.route,
        out=Path(arguments.out),
    )
    _print(report.lines())
    return DONE


def bundle_check(arguments: argparse.Namespace) -> int:
    """`shadow-replay bundle check`: every error, or what is left for a person to look at."""
    bundle = load_bundle(Path(arguments.bundle))
    _print([f"{bundle.name} {bundle.digest}: no errors", *(f"review: {line}" for line in bundle.release.review)])
    return DONE


def bundle_show(arguments: argparse.Namespace) -> int:
    sys.stdout.write(dumps(load_bundle(Path(arguments.bundle)).lock).decode() + "\n")
    return DONE


def bundle_digest(arguments: argparse.Namespace) -> int:
    _print([load_bundle(Path(arguments.bundle)).digest])
    return DONE


def config(arguments: argparse.Namespace) -> int:
    """`shadow-replay config`."""
    table = rows(_settings(arguments))
    if arguments.json:
        sys.stdout.write(dumps([row._asdict() for row in table]).decode() + "\n")
        return DONE
    _print(f"{row.name:<18} {row.value:<24} {row.origin:<12} {row.help}" for row in table)
    return DONE


# -- shared -----------------------------------------------------------------------------------------------------


def _settings(arguments: argparse.Namespace) -> Loaded:
    named = arguments.config
    found = Path(named) if named else Path(SETTINGS_FILE)
    flags = {name: getattr(arguments, name, None) for name in _SETTING_FLAGS}
    return load_settings(file=found if named or found.is_file() else None, environment=os.environ, flags=flags)


def _bundles(settings: Settings) -> tuple[Bundle, Bundle]:
    if settings.baseline is None:
        raise UsageError("no baseline: give --baseline BUNDLE, the directory of the bundle in production")
    if len(settings.candidates) != 1:
        raise UsageError(f"{len(settings.candidates)} candidates: a run takes one, give --candidate BUNDLE once")
    return load_bundle(Path(settings.baseline)), load_bundle(Path(settings.candidates[0]))


def endpoint_for(bundle: Bundle, settings: Settings) -> Endpoint:
    """Where the bundle's route goes: settings before `release.yaml`, keys from the environment or a file."""
    endpoint = bundle.release.resolve_endpoint(os.environ)
    return Endpoint(
        url=settings.route_url or endpoint.url,
        api_key=settings.api_key or endpoint.api_key,
        concurrency=endpoint.concurrency,
        requests_per_minute=endpoint.requests_per_minute,
    )


def _admission(baseline: Bundle, settings: Settings, where: Iterable[str]) -> Admission:
    filters: list[Where] = [parse_where(text) for text in where]
    return Admission(
        baseline,
        Sampling(settings.sample, settings.sample_salt),
        any_bundle=settings.any_bundle,
        matches=(lambda trace: all(item.matches(trace) for item in filters)) if filters else None,
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


def _identity(order: RunOrder, settings: Settings, baseline: Bundle, candidate: Bundle) -> dict[str, Json]:
    """What a run was asked to do. Limits and speed are left out: a run may go on with other ones."""
    return {
        "traces": "-" if order.traces == "-" else Path(order.traces).name,
        "baseline": baseline.digest,
        "candidate": candidate.digest,
        "modes": list(_modes(settings)),
        "where": sorted(order.where),
        "limit": order.limit,
        "sample": settings.sample,
        "sample_salt": settings.sample_salt,
        "any_bundle": settings.any_bundle,
        "content": settings.content,
        "max_record_bytes": settings.max_record_bytes,
    }


def load_toolsets(named: str | None, *, beside: str) -> Mapping[str, Json] | None:
    """`toolsets.json`: the named one, or the one beside the traces, or none."""
    path = Path(named) if named is not None else Path(beside).parent / "toolsets.json"
    if named is None and (beside == "-" or not path.is_file()):
        return None
    try:
        value = loads(path.read_bytes())
    except (OSError, RecordError) as error:
        raise UsageError(f"{path}: {error}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path}: expected an object of toolsets by id")
    return value


def _decimal(amount: float | None) -> Decimal | None:
    return None if amount is None else Decimal(str(amount))


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")


def _traces(source: str) -> Iterable[Trace]:
    raise NotImplementedError
