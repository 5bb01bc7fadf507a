"""Where a rollback goes: to a bundle that has been promoted itself, and not merely to the one before.

A verdict to promote is a bundle's certificate, until the same run or a later one says otherwise, or it is too old for
the gate. Which verdicts there are is found out by whoever can read them; here it is only said what follows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from replay.gate.amounts import seconds_of
from replay.gate.config import Gate
from replay.verdict import Target, Verdict

_SECOND_NS = 1_000_000_000


class Certificate(NamedTuple):
    """A verdict to promote that stands. `at`: when it was told, ns since the epoch."""

    bundle: str
    at: int
    verdict: Verdict


class Choice(NamedTuple):
    """`certificate` null: the target has none that could be read. `instead`: the newest of another bundle then."""

    target: Target
    why: str
    certificate: Certificate | None
    instead: Certificate | None


def target_of(gate: Gate, *, baseline: str, candidate: str) -> Target:
    """The bundle that the gate names, unless it is the one on trial; or else the one in production."""
    named = gate.rollback_target.named
    return Target(bundle=baseline if named in (None, candidate) else named)


def certificates(verdicts: Iterable[Verdict], gate: Gate, *, now: int) -> tuple[Certificate, ...]:
    """Bundles whose newest decision is to promote, unexpired by this gate, newest first.

    The last word of a run is its word, and a run that holds says neither. Verdicts without a date prove nothing, nor
    does one from the future, which would never expire.
    """
    dated = [it for it in verdicts if it.emitted_at is not None and 0 <= it.emitted_at <= now]
    dated.sort(key=lambda it: it.emitted_at or 0)
    last_words = {verdict.run_id: verdict for verdict in dated}.values()
    decisions = sorted((it for it in last_words if it.decision != "hold"), key=lambda it: it.emitted_at or 0)
    newest = {verdict.candidate: verdict for verdict in decisions}
    found = [Certificate(name, it.emitted_at or 0, it) for name, it in newest.items() if it.decision == "promote"]
    unexpired = (it for it in found if now - it.at <= _lifetime_ns(gate))
    return tuple(sorted(unexpired, key=lambda it: -it.at))


def choose(verdict: Verdict, gate: Gate, known: Iterable[Certificate]) -> Choice:
    """What to go back to from the candidate of a verdict, and whether it is certified."""
    others = [it for it in known if it.bundle != verdict.candidate]
    target = target_of(gate, baseline=verdict.baseline, candidate=verdict.candidate)
    certificate = next((it for it in others if it.bundle == target.bundle), None)
    why = "the gate names it" if target.bundle == gate.rollback_target.named else "it is the baseline"
    at = None if certificate is None else certificate.at
    return Choice(replace(target, certified_at=at), why, certificate, next(iter(others), None))


def with_certificate(verdict: Verdict, gate: Gate, verdicts: Iterable[Verdict], *, now: int) -> Verdict:
    """The same verdict, and since when its target is certified, as far as these verdicts say."""
    if verdict.rollback_target is None:
        return verdict
    return replace(verdict, rollback_target=choose(verdict, gate, certificates(verdicts, gate, now=now)).target)


def _lifetime_ns(gate: Gate) -> float:
    within = gate.rollback_target.require_certified_within
    return float("inf") if within is None else seconds_of(within) * _SECOND_NS
