"""`shadow-replay gate target`: which bundle a rollback goes back to, and since when it is certified."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio

from consumers.assembly import settings_of
from consumers.run_command import DONE, print_json, print_lines
from consumers.service import service_settings
from consumers.verdicts import all_told, dated_verdict_in
from replay.errors import UsageError
from replay.exact_json import Json
from replay.gate.config import Gate, gate_from, load_gate
from replay.gate.target import Certificate, Choice, certificates, choose
from replay.settings import Settings
from replay.terminal import clean
from replay.verdict import Verdict

_NOT_CERTIFIED = 1


def target(arguments: argparse.Namespace) -> int:
    """Exit code 0 when the bundle to go back to is certified, 1 when not."""
    known = _known(arguments)
    verdict = _from_where(known, arguments.run)
    gate = _gate(arguments, verdict)
    standing = certificates(known, gate, now=time.time_ns())
    choice = choose(verdict, gate, standing)
    if arguments.json:
        print_json(_as_json(choice, standing))
    else:
        print_lines(_lines(choice, standing, gate, verdict, len(known)))
    return _NOT_CERTIFIED if choice.certificate is None else DONE


def _known(arguments: argparse.Namespace) -> list[Verdict]:
    """The verdicts of all directories, and those of the topic where a run is asked for or no directory is given."""
    written = [dated_verdict_in(Path(name)) for name in arguments.results]
    if written and arguments.run is None:
        return written
    return written + anyio.run(_on_topic, service_settings(arguments))


async def _on_topic(settings: Settings) -> list[Verdict]:
    return [verdict async for verdict in all_told(settings)]


def _from_where(known: Sequence[Verdict], run_id: str | None) -> Verdict:
    """The verdict whose candidate is to be left: the newest that rolls back, or else the newest."""
    asked = [it for it in known if run_id in (None, it.run_id)]
    if not asked:
        raise UsageError(f"there is no verdict{'' if run_id is None else f' on {run_id}'}; see --run, or give a DIR")
    return max(asked, key=lambda it: (it.decision == "roll_back", it.emitted_at or 0))


def _gate(arguments: argparse.Namespace, verdict: Verdict) -> Gate:
    named = settings_of(arguments).settings.gate
    return gate_from(verdict.gate) if named is None else load_gate(Path(named))


# -- in words ---------------------------------------------------------------------------------------------------------


def _lines(choice: Choice, standing: Sequence[Certificate], gate: Gate, verdict: Verdict, read: int) -> Iterator[str]:
    within = gate.rollback_target.require_certified_within
    age = "" if within is None else f", no older than {within}"
    yield f"bundles that a verdict promotes{age}, the newest first: {len(standing):,}"
    for certificate in standing:
        yield f"  {_told(certificate)}"
    bundle = clean(choice.target.bundle, 80)
    yield f"from {clean(verdict.candidate, 80)}, by the verdict on {clean(verdict.run_id, 80)}:"
    if choice.certificate is not None:
        yield f"  go back to {bundle}: {choice.why}, and certified"
        return
    yield f"  go back to {bundle}: {choice.why}, but NOT certified by any of {read:,} verdicts that were read"
    if choice.instead is not None:
        yield f"  certified instead: {_told(choice.instead)}; name it in the gate's rollback_target to go there"


def _told(certificate: Certificate) -> str:
    verdict, at = certificate.verdict, datetime.fromtimestamp(certificate.at / 1e9, UTC)
    proof = f"{verdict.conversations:,} conversations against {clean(verdict.baseline, 80)}"
    return f"{clean(certificate.bundle, 80)}  {at:%Y-%m-%d %H:%M} UTC  {proof} ({clean(verdict.run_id, 80)})"


def _as_json(choice: Choice, standing: Sequence[Certificate]) -> Json:
    return {
        "target": choice.target.bundle,
        "why": choice.why,
        "certified": choice.certificate is not None,
        "certified_at": choice.target.certified_at,
        "certificates": [
            {"bundle": it.bundle, "at": it.at, "verdict_id": it.verdict.verdict_id, "run_id": it.verdict.run_id}
            for it in standing
        ],
    }
