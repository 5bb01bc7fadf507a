"""From a trace and two bundles to the plans of its replays. Everything a bundle decides is worked out once.

A trace is replayed with the candidate, and of a sampled share of conversations with the bundle in production as
well: the baseline lane, through the same stubs at the same time. What two runs of one release differ by is noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import NamedTuple

from msgspec import structs

from replay.admission import Sampling
from replay.bundle import Bundle, not_exercised
from replay.comparison import Lane, Mode, Unit
from replay.contract import Tooling
from replay.errors import RecordError
from replay.exact_json import Json
from replay.execution import Budget, Plan
from replay.trace import Trace

_SECOND_NS = 1_000_000_000


class Replicate(NamedTuple):
    """One replay of a trace, beside its bundles."""

    mode: Mode
    lane: Lane
    sample: int


@dataclass(frozen=True, slots=True)
class Design:
    """Which replays are made of each admitted trace: the design of the experiment.

    `samples` are independent repeats of every replay. `lane` draws the conversations that the baseline lane has,
    whole ones, independently of which were admitted.
    """

    modes: tuple[Mode, ...]
    samples: int = 1
    lane: Sampling = field(default_factory=lambda: Sampling(0.0))

    def replicates(self, record_key: str) -> Iterator[Replicate]:
        lanes: tuple[Lane, ...] = ("candidate", "baseline") if self.lane.includes(record_key) else ("candidate",)
        for mode in self.modes:
            for sample in range(self.samples):
                yield from (Replicate(mode, lane, sample) for lane in lanes)


class _Arm(NamedTuple):
    """What is replayed in a lane."""

    bundle: Bundle
    tooling: Tooling
    offered: tuple[dict[str, Json], ...]


@dataclass(frozen=True)
class Planner:
    """Plans replays of the candidate, and of the baseline itself in its lane, on production's traces."""

    baseline: Bundle
    candidate: Bundle
    budget: Budget = field(default_factory=Budget)

    def replayed(self, lane: Lane) -> Bundle:
        return self._arms[lane].bundle

    @cached_property
    def not_exercised(self) -> tuple[str, ...]:
        """Changed surfaces that a replay does not execute."""
        return not_exercised(self.baseline, self.candidate)

    @cached_property
    def _arms(self) -> Mapping[Lane, _Arm]:
        return {"candidate": self._arm(self.candidate), "baseline": self._arm(self.baseline)}

    def _arm(self, bundle: Bundle) -> _Arm:
        offered = tuple(contract.offered() for contract in bundle.contracts.values())
        return _Arm(bundle, Tooling(self.baseline.contracts, bundle.contracts), offered)

    def plan(
        self, trace: Trace, mode: Mode, *, lane: Lane = "candidate", sample: int = 0, impossible: str | None = None
    ) -> Plan:
        """The plan of one unit. A prompt that cannot be rendered makes the unit impossible, not the run."""
        arm, now = self._arms[lane], _iso(trace.started_at)
        prompt, unrendered = _render(arm.bundle, trace, now)
        return Plan(
            unit=self._unit(trace, Replicate(mode, lane, sample)),
            trace=self._with_expectation(trace),
            system_prompt=prompt,
            offered=arm.offered,
            tooling=arm.tooling,
            policy=arm.bundle.policy,
            prices=arm.bundle.prices,
            budget=self.budget,
            now=now,
            impossible=impossible or unrendered,
        )

    def _with_expectation(self, trace: Trace) -> Trace:
        expected = self._expected.get(trace.trace_id)
        return trace if expected is None else structs.replace(trace, expected=expected)

    @cached_property
    def _expected(self) -> Mapping[str, Json]:
        """What the baseline's eval suite expects, by the trace a case names; a candidate's suite is its own affair."""
        requests = ((case.request, case.expected) for case in self.baseline.eval_suite)
        return {request["trace_id"]: expected for request, expected in requests if _names_a_trace(request)}

    def _unit(self, trace: Trace, replicate: Replicate) -> Unit:
        return Unit(trace.trace_id, trace.revision, self.baseline.digest, self.candidate.digest, *replicate)


def _names_a_trace(request: Json) -> bool:
    return isinstance(request, dict) and isinstance(request.get("trace_id"), str)


def _render(bundle: Bundle, trace: Trace, now: str | None) -> tuple[str | None, str | None]:
    request = trace.request
    try:
        return bundle.prompt.render(request.attributes, now=now, context=request.context), None
    except RecordError as error:
        return None, str(error)


def _iso(nanoseconds: int | None) -> str | None:
    """The virtual clock: when the request came in, never the wall clock."""
    if nanoseconds is None:
        return None
    try:
        return datetime.fromtimestamp(nanoseconds // _SECOND_NS, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return None  # a time beyond year 9999 is as good as none
