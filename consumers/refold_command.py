"""`shadow-replay gate refold` and `gate what-if`: fold the comparisons again, by the same gate or another one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import anyio

from consumers.assembly import settings_of
from consumers.journal import read_comparisons
from consumers.published import published
from consumers.run_command import DONE, EXIT_CODES, print_json, print_lines
from consumers.service import service_settings
from consumers.verdicts import told_of, verdict_in
from replay.comparison import Comparison
from replay.errors import UsageError
from replay.exact_json import loads
from replay.gate.audit import differences, refold
from replay.gate.config import load_gate
from replay.settings import Settings
from replay.verdict import Decision, Verdict
from replay.verdict_text import verdict_lines
from replay.wire import encode

_DIFFERS = 1


class _Case(NamedTuple):
    """A verdict, and the comparisons it was made of."""

    verdict: Verdict
    comparisons: Iterable[Comparison]


def again(arguments: argparse.Namespace) -> int:
    """Exit code 0 when the verdict is found again, 1 when not."""
    case = _case(arguments)
    found = refold(case.verdict, case.comparisons)
    differing = ["everything: there are no comparisons"] if found is None else differences(case.verdict, found)
    if arguments.json:
        print_json({"verdict_id": case.verdict.verdict_id, "agrees": not differing, "differing": differing})
    else:
        print_lines(_told(case.verdict, differing))
    return _DIFFERS if differing else DONE


_NO_PROMISE = "a gate that is chosen after the data were seen promises no error rate: this promotes nobody"
#: 0 would be a promotion.
_TRIED: Mapping[Decision, int] = {**EXIT_CODES, "promote": EXIT_CODES["hold"]}


def what_if(arguments: argparse.Namespace) -> int:
    """What another gate would have said of the same comparisons. Exit code by that verdict, and 1 for a promotion:
    what was tried afterwards is no proof.
    """
    case = _case(arguments)
    gate = load_gate(Path(settings_of(arguments).settings.gate or _no_gate()))
    other = refold(case.verdict, case.comparisons, gate)
    if other is None:
        raise UsageError(f"there are no comparisons of {case.verdict.run_id}")
    if arguments.json:
        sys.stderr.write(f"shadow-replay: {_NO_PROMISE}\n")
        print_json(loads(encode(other)))
    else:
        it_was = f"it was {case.verdict.decision}; with this gate it would have been:"
        print_lines([_NO_PROMISE, it_was, *verdict_lines(other)])
    return _TRIED[other.decision]


def _no_gate() -> str:
    raise UsageError("no gate: give --gate FILE, the one to try")


def _told(verdict: Verdict, differing: list[str]) -> list[str]:
    name = f"verdict {verdict.verdict_id[:15]} on {verdict.run_id}: {verdict.decision}"
    counted = f"{verdict.conversations:,} conversations"
    if not differing:
        return [f"{name}: found again from {counted}"]
    return [f"{name}: DIFFERS when it is folded again:", *(f"  {path}" for path in differing[:20])]


def _case(arguments: argparse.Namespace) -> _Case:
    if (arguments.results is None) == (arguments.run is None):
        raise UsageError("give DIR, what `run` or `compare` wrote, or --run RUN, a run on the comparison topic")
    if arguments.results is not None:
        directory = Path(arguments.results)
        return _Case(verdict_in(directory), read_comparisons(directory))
    return anyio.run(_on_topic, service_settings(arguments), arguments.run, arguments.verdict)


async def _on_topic(settings: Settings, run_id: str, wanted: str | None) -> _Case:
    """The latest verdict on a run, or the one that is asked for, and what the run has published."""
    found = [it async for it in told_of(settings, run_id) if wanted is None or it.verdict_id.startswith(wanted)]
    if not found:
        raise UsageError(f"{settings.kafka.verdicts} has no such verdict on {run_id}")
    sys.stderr.write(f"shadow-replay: reading {settings.kafka.comparisons} from its beginning\n")
    return _Case(found[-1], [it async for it in published(settings, run_id=run_id, since_ms=0)])
