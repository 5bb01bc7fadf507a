"""From settings to the parts of a replay: what `run`, `worker` and `window` are all made of."""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import anyio

from comparators.spec import COMPARATOR_SET
from consumers.embedding import meanings_of
from consumers.endpoints import endpoint_for
from consumers.replays import Limits
from consumers.where import all_match, parse_where
from replay.admission import Admission, Sampling
from replay.bundle import Bundle
from replay.bundle_loader import load_bundle
from replay.comparison import MODES, Lane, Mode
from replay.divergence import Comparer
from replay.errors import UsageError
from replay.exact_json import Json, dumps
from replay.execution import Budget
from replay.gate.config import Gate, gate_in, load_gate
from replay.gate.plan import hopeless
from replay.limiter import RouteLimiter
from replay.models import Endpoint, Model
from replay.planning import Design, Planner
from replay.routes import open_model
from replay.settings import SETTINGS_FILE, Loaded, Settings, load_settings, setting_names


def settings_of(arguments: argparse.Namespace) -> Loaded:
    """The settings as this command line sees them: arguments with the name of a setting are flags."""
    named = arguments.config
    found = Path(named) if named else Path(SETTINGS_FILE)
    flags = {name: value for name, value in vars(arguments).items() if name in setting_names()}
    return load_settings(file=found if named or found.is_file() else None, environment=os.environ, flags=flags)


def planner_of(settings: Settings) -> Planner:
    """Raises `UsageError` when a bundle is not named, `BundleError` when one cannot be used."""
    return Planner(*_bundles(settings), _budget(settings))


def admission_of(baseline: Bundle, settings: Settings, where: Iterable[str]) -> Admission:
    conditions = [parse_where(text) for text in where]
    return Admission(
        baseline,
        Sampling(settings.sample, settings.sample_salt),
        any_bundle=settings.any_bundle,
        matches=(lambda trace: all_match(conditions, trace)) if conditions else None,
    )


def design_of(settings: Settings) -> Design:
    # A salt of its own: the lane must not depend on which conversations were admitted.
    lane = Sampling(settings.lane_share, f"baseline lane {settings.sample_salt}")
    return Design(_modes(settings), settings.samples, lane)


def comparer_of(planner: Planner, settings: Settings) -> Comparer:
    return Comparer(planner, settings.content, settings.max_record_bytes, meanings=meanings_of(settings.embed))


def gate_for(baseline: Bundle, settings: Settings) -> Gate | None:
    """The operator's gate, or else the baseline's own; never the candidate's.

    Raises `BundleError` for one that cannot be read, `UsageError` for one that could never promote what is asked for.
    """
    gate = gate_in(baseline) if settings.gate is None else operators_gate(settings)
    if gate is not None and gate.mode not in _modes(settings):
        raise UsageError(
            f"the gate judges {gate.mode} replays, and none are made (mode: {settings.mode});"
            f" expected --mode both or {gate.mode}, or `mode: {settings.mode}` in the gate"
        )
    return gate if gate is None else _able(gate)


def operators_gate(settings: Settings) -> Gate | None:
    """The gate of the settings, null without one. Raises as `gate_for`."""
    return None if settings.gate is None else _able(load_gate(Path(settings.gate)))


def _able(gate: Gate) -> Gate:
    """What no candidate could pass is said before anything is paid for."""
    blind = hopeless(gate)
    if blind:
        raise UsageError(f"the gate could promote nobody: {blind[0].metrics[0]}: {blind[0].words} (see gate plan)")
    return gate


def limits_of(settings: Settings) -> Limits:
    return Limits(_decimal(settings.max_usd), settings.max_model_calls)


class Routes(NamedTuple):
    """The routes of both lanes; the second is null where no lane was asked for."""

    candidate: Model
    baseline: Model | None


@asynccontextmanager
async def routes_of(planner: Planner, settings: Settings) -> AsyncIterator[Routes]:
    """The routes of what is replayed, open for as long as the block lasts. Lanes on one endpoint share its limits."""
    lanes: tuple[Lane, ...] = ("candidate", "baseline") if settings.lane_share else ("candidate",)
    limiters: dict[tuple[str | None, str | None], RouteLimiter] = {}
    opened: list[Model] = []
    try:
        for lane in lanes:
            bundle = planner.replayed(lane)
            endpoint = endpoint_for(bundle, settings, os.environ, lane=lane)
            limiter = limiters.setdefault(_pressed(endpoint), RouteLimiter(endpoint))
            opened.append(open_model(bundle.route, endpoint, limiter=limiter))
        yield Routes(opened[0], opened[1] if len(opened) > 1 else None)
    finally:
        with anyio.move_on_after(5, shield=True):
            for model in opened:
                await model.aclose()


def _pressed(endpoint: Endpoint) -> tuple[str | None, str | None]:
    """Who counts our requests: a provider does so by address and key."""
    return endpoint.url, endpoint.api_key


def asked_for(settings: Settings, planner: Planner, where: Iterable[str]) -> dict[str, Json]:
    """What makes two runs over the same traces the same run. Limits and speed are left out: they may change."""
    return {
        "comparator_set": COMPARATOR_SET,
        "baseline": planner.baseline.digest,
        "candidate": planner.candidate.digest,
        "modes": list(_modes(settings)),
        "samples": settings.samples,
        "lane_share": settings.lane_share,
        "where": sorted(where),
        "sample": settings.sample,
        "sample_salt": settings.sample_salt,
        "any_bundle": settings.any_bundle,
        "content": settings.content,
        "embed": settings.embed,
        "max_record_bytes": settings.max_record_bytes,
    }


def run_id_of(kind: str, identity: dict[str, Json]) -> str:
    """The same for the same request, so that whatever is started again goes on as itself."""
    return f"{kind}-{sha256(dumps(identity, sort_keys=True)).hexdigest()[:24]}"


def _modes(settings: Settings) -> tuple[Mode, ...]:
    return tuple(mode for mode in MODES if settings.mode in ("both", mode))


def _bundles(settings: Settings) -> tuple[Bundle, Bundle]:
    if settings.baseline is None:
        raise UsageError("no baseline: give --baseline BUNDLE, the directory of the bundle in production")
    if len(settings.candidates) != 1:
        raise UsageError(f"{len(settings.candidates)} candidates: a run takes one, give --candidate BUNDLE once")
    return load_bundle(Path(settings.baseline)), load_bundle(Path(settings.candidates[0]))


def _budget(settings: Settings) -> Budget:
    return Budget(
        steps=settings.unit_steps,
        tokens=settings.unit_tokens,
        seconds=settings.unit_seconds,
        usd=_decimal(settings.unit_usd),
        call_seconds=settings.call_seconds,
    )


def _decimal(amount: float | None) -> Decimal | None:
    return None if amount is None else Decimal(str(amount))
