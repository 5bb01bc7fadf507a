"""`shadow-replay bundle …`, `config` and `traces …`: small commands that read, print and end."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from consumers.assembly import settings_of
from consumers.files import BadLine, TraceItem, Unanswered, read_items, write_traces
from consumers.run_command import DONE, print_json, print_lines
from consumers.toolsets import load_toolsets
from replay.bundle import check_lines, show_json
from replay.bundle_diff import diff_bundles
from replay.bundle_infer import infer_bundle
from replay.bundle_loader import load_bundle
from replay.errors import RecordError
from replay.gate.config import gate_in
from replay.settings import rows
from replay.trace import Trace


def infer(arguments: argparse.Namespace) -> int:
    """`bundle infer`: a skeleton a person goes over; what was guessed is marked."""
    seen: Counter[str] = Counter()
    report = infer_bundle(
        _good_traces(arguments.traces, seen),
        bundle_id=arguments.bundle,
        toolset=load_toolsets(arguments.toolsets, beside=arguments.traces),
        route_url=arguments.route,
        out=Path(arguments.out),
    )
    print_lines([*report.lines(), *(f"{count} {what}" for what, count in seen.items())])
    return DONE


def check(arguments: argparse.Namespace) -> int:
    """`bundle check`: every error at once, or what is left for a person to look at."""
    bundle = load_bundle(Path(arguments.bundle))
    gate_in(bundle)
    if arguments.json:
        print_json({"name": bundle.name, "digest": bundle.digest, "review": list(bundle.release.review)})
    else:
        print_lines(check_lines(bundle))
    return DONE


def show(arguments: argparse.Namespace) -> int:
    """`bundle show`: the bundle as it is resolved and digested."""
    print_json(show_json(load_bundle(Path(arguments.bundle))))
    return DONE


def digest(arguments: argparse.Namespace) -> int:
    """`bundle digest`: the identity, alone on its line."""
    found = load_bundle(Path(arguments.bundle)).digest
    print_json({"digest": found}) if arguments.json else print_lines([found])
    return DONE


def diff(arguments: argparse.Namespace) -> int:
    """`bundle diff`: what changed, surface by surface, in words."""
    found = diff_bundles(load_bundle(Path(arguments.a)), load_bundle(Path(arguments.b)))
    print_json(found.as_json()) if arguments.json else print_lines(found.lines())
    return DONE


def config(arguments: argparse.Namespace) -> int:
    """`config`: every setting, its value, where that came from."""
    table = rows(settings_of(arguments))
    if arguments.json:
        print_json([row._asdict() for row in table])
    else:
        print_lines(f"{row.name:<18} {row.value:<24} {row.origin:<12} {row.help}" for row in table)
    return DONE


def convert(arguments: argparse.Namespace) -> int:
    """`traces convert`: any trace file as `trace/1`. A bad line is named and stops it: nothing is lost unseen."""
    seen: Counter[str] = Counter()
    written = write_traces(arguments.target_file, _traces(arguments.source, seen))
    print_lines([f"{written} traces written to {arguments.target_file}", *(f"{n} {what}" for what, n in seen.items())])
    return DONE


def _traces(source: str, seen: Counter[str]) -> Iterator[Trace]:
    for item in read_items(source):
        match item:
            case TraceItem():
                yield item.trace
            case Unanswered():
                seen["messages nobody answered (no_response)"] += item.count
            case BadLine():
                raise RecordError(f"{source}: line {item.line}: {item.field}: {item.reason}", stage=item.stage)


def _good_traces(source: str, seen: Counter[str]) -> Iterable[Trace]:
    for item in read_items(source):
        match item:
            case TraceItem():
                yield item.trace
            case BadLine():
                seen["lines hold no usable record and were left out"] += 1
