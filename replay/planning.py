"""From a trace and two bundles to the plan of a replay. Everything a bundle decides is worked out once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from replay.bundle import Bundle, not_exercised
from replay.comparison import Lane, Mode, Unit
from replay.contract import Tooling
from replay.errors import RecordError
from replay.exact_json import Json
from replay.execution import Budget, Plan
from replay.trace import Trace

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Planner:
    """Plans replays of `replayed` (the candidate, or the baseline itself in its lane) on production's traces."""

    baseline: Bundle
    candidate: Bundle
    budget: Budget = field(default_factory=Budget)
    lane: Lane = "candidate"

    @property
    def replayed(self) -> Bundle:
        return self.candidate if self.lane == "candidate" else self.baseline

    @cached_property
    def not_exercised(self) -> tuple[str, ...]:
        """Changed surfaces that a replay does not execute."""
        return not_exercised(self.baseline, self.candidate)

    @cached_property
    def tooling(self) -> Tooling:
        return Tooling(self.baseline.contracts, self.replayed.contracts)

    @cached_property
    def _offered(self) -> tuple[dict[str, Json], ...]:
        return tuple(contract.offered() for contract in self.replayed.contracts.values())

    def plan(self, trace: Trace, mode: Mode, *, impossible: str | None = None, sample: int = 0) -> Plan:
        """The plan of one unit. A prompt that cannot be rendered makes the unit impossible, not the run."""
        now = _iso(trace.started_at)
        prompt, unrendered = self._render(trace, now)
        return Plan(
            unit=self._unit(trace, mode, sample),
            trace=trace,
            system_prompt=prompt,
            offered=self._offered,
            tooling=self.tooling,
            policy=self.replayed.policy,
            prices=self.replayed.prices,
            budget=self.budget,
            now=now,
            impossible=impossible or unrendered,
        )

    def _unit(self, trace: Trace, mode: Mode, sample: int) -> Unit:
        return Unit(
            trace.trace_id, trace.revision, self.baseline.digest, self.candidate.digest, mode, self.lane, sample
        )

    def _render(self, trace: Trace, now: str | None) -> tuple[str | None, str | None]:
        request = trace.request
        try:
            return self.replayed.prompt.render(request.attributes, now=now, context=request.context), None
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
