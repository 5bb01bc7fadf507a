"""`shadow-replay compare`: two or three recordings in, comparisons and a summary out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from consumers.assembly import operators_gate, settings_of
from consumers.compare import Recording, bury, compare_lane, given_to, read_recording
from consumers.embedding import meanings_of
from consumers.ending import ending
from consumers.files import read_items
from consumers.journal import Journal
from consumers.report_files import write_reports
from consumers.run_command import exit_code, print_json, print_lines
from consumers.toolsets import load_toolsets
from consumers.where import parse_where
from replay.bundle_infer import contracts_of, taken_for_writes
from replay.comparison import Comparison, Lane
from replay.errors import UsageError
from replay.exact_json import Json, dumps
from replay.gate.docket import Docket
from replay.summary import Summary, summary_json
from replay.summary_text import summary_lines
from replay.terminal import clean

#: What the second and the third recording are compared as.
_LANES: tuple[Lane, ...] = ("candidate", "baseline")
#: What pairs two records unless --key says otherwise.
DEFAULT_KEY = "request.attributes.pair_key"
#: Tools of unknown effect that are named.
_NAMED = 12


def compare(arguments: argparse.Namespace) -> int:
    """The command. It calls no model, so it starts afresh each time and needs no resume."""
    settings = settings_of(arguments).settings
    out = Path(arguments.out)
    recordings = _recordings(arguments, settings.max_line_bytes)
    toolsets = load_toolsets(arguments.toolsets, beside=arguments.production)
    traces = [found.trace for recording in recordings for group in recording.by_key.values() for found in group]
    contracts = contracts_of(traces, toolsets)
    assumed = _assumed(taken_for_writes(traces, toolsets))
    identity = {**_identity(arguments), "embed": settings.embed}
    run_id = f"compare-{sha256(dumps(identity, sort_keys=True)).hexdigest()[:24]}"
    meanings = meanings_of(settings.embed)
    gate = operators_gate(settings)
    jury = _Jury(None if gate is None else Docket(gate))
    summary = jury.summary
    with Journal.open(out, identity={**identity, "run_id": run_id}, afresh=True) as journal:
        production, candidate, *_ = recordings
        against = (production, given_to(candidate, production))
        summary.traces = sum(recording.traces for recording in recordings)
        for recording in recordings:
            bury(recording, journal=journal, run_id=run_id, summary=summary)
        for ours, recording, lane in zip(against, recordings[1:], _LANES, strict=False):
            compare_lane(
                ours,
                recording,
                contracts=contracts,
                lane=lane,
                run_id=run_id,
                journal=journal,
                observe=jury.observe,
                summary=summary,
                laned=len(recordings) > len(_LANES),
                meanings=meanings,
            )
        jury.judge()
        counted = {"assumed": assumed, "conversations": sum(recording.conversations for recording in recordings)}
        written = summary_json(summary, facts={**_facts(run_id, arguments), **counted}, worst=settings.worst)
        journal.summarise(written)
    if summary.admitted:
        write_reports(out)
    if not summary.admitted:
        unread = sum(summary.dead_letters.values())
        bad = f"{unread:,} lines could not be read (see {out}/dead-letters.jsonl), and " if unread else ""
        pair = f"{arguments.production} has a partner in {arguments.candidate}"
        raise UsageError(f"{bad}no conversation of {pair}: see --key")
    title = f"{arguments.production} -> {arguments.candidate}, results in {out}"
    lines = summary_lines(summary, title=title, assumed=assumed, worst=settings.worst)
    code = exit_code(summary)
    print_json(written) if arguments.json else print_lines([*lines, *ending(out, code)])
    return code


@dataclass(slots=True)
class _Jury:
    """Who hears of every pair: the summary, and the gate if there is one."""

    docket: Docket | None
    summary: Summary = field(default_factory=Summary)

    def observe(self, comparison: Comparison) -> None:
        self.summary.add(comparison)
        if self.docket is not None:
            self.docket.enter(comparison)

    def judge(self) -> None:
        if self.docket is not None:
            self.docket.finish()
            self.summary.verdict = self.docket.verdict(now=None)


def _facts(run_id: str, arguments: argparse.Namespace) -> dict[str, Json]:
    production = " ".join([Path(arguments.production).name, *arguments.where])
    candidate = " ".join([Path(arguments.candidate).name, *arguments.where_b])
    title = f"{production} -> {candidate}"
    names = _names(arguments)
    return {"run_id": run_id, "baseline": production, "candidate": candidate, "title": title, "names": names}


def _names(arguments: argparse.Namespace) -> dict[str, Json]:
    """What people call both sides: the files without their endings, or else by what was taken of one file."""
    files = tuple(Path(name).name.partition(".")[0] for name in (arguments.production, arguments.candidate))
    taken = tuple(" ".join(map(_taken, where)) for where in (arguments.where, arguments.where_b))
    today, ours = taken if files[0] == files[1] and all(taken) else files
    return {"baseline": today, "candidate": ours}


def _taken(where: str) -> str:
    path, _, value = where.partition("=")
    return value if path == "bundle.id" else f"{path.rpartition('.')[2]}={value}"


def _recordings(arguments: argparse.Namespace, max_line_bytes: int) -> list[Recording]:
    key = tuple((arguments.key or DEFAULT_KEY).split("."))
    files = [
        (arguments.production, arguments.where),
        (arguments.candidate, arguments.where_b),
        *([(arguments.lane, arguments.where_lane)] if arguments.lane else []),
    ]
    return [
        read_recording(
            Path(file).name,
            read_items(file, max_line_bytes=max_line_bytes),
            key=key,
            where=[parse_where(text) for text in where],
        )
        for file, where in files
    ]


def _assumed(tools: Sequence[str]) -> list[str]:
    """Effects decide what is severe, and what meets an expectation."""
    if not tools:
        return []
    names = ", ".join([*(clean(name, 60) for name in tools[:_NAMED]), *(["…"] if len(tools) > _NAMED else [])])
    unknown = f"of {len(tools):,} tools it is not known what they do, and they are taken for writes ({names})"
    return [f"{unknown}. One that only reads then counts as an action. Next: say what each does with --toolsets FILE."]


def _identity(arguments: argparse.Namespace) -> dict[str, Json]:
    files = {name: getattr(arguments, name) for name in ("production", "candidate", "lane")}
    named = {name: Path(file).name if file else None for name, file in files.items()}
    wheres = {name: sorted(getattr(arguments, name)) for name in ("where", "where_b", "where_lane")}
    return {"command": "compare", "key": arguments.key or DEFAULT_KEY, **named, **wheres}
