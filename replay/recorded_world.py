"""What a trace knows of the world: every recorded result a stub's answer may come from, and when it was true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from comparators.calls import Effect, Outcome
from replay.contract import Entity, ReadCall, ToolContract, Tooling
from replay.epoch import Moment, Write, moment_of
from replay.recorded import RecordedCall, history_batches, recorded_steps
from replay.trace import Guardrail, Trace


class SeenRead(NamedTuple):
    """A recorded read."""

    moment: Moment
    entities: frozenset[Entity] | None
    call: RecordedCall


@dataclass(slots=True)
class RecordedWorld:
    """Reads and writes by canonical call. Built from one trace, then only looked at.

    `happened` are the writes of earlier turns; `asked_before` counts the reads those turns made: the next result
    in order is this turn's.
    """

    reads: dict[bytes, list[SeenRead]] = field(default_factory=dict)
    reads_by_tool: dict[str, list[SeenRead]] = field(default_factory=dict)
    writes: dict[bytes, list[RecordedCall]] = field(default_factory=dict)
    handoffs: dict[str, list[RecordedCall]] = field(default_factory=dict)
    approvals: set[bytes] = field(default_factory=set)
    happened: tuple[Write, ...] = ()
    asked_before: Counter[tuple[bytes, Moment]] = field(default_factory=Counter)

    @classmethod
    def of(cls, trace: Trace, tooling: Tooling) -> RecordedWorld:
        """Index a trace: its history has happened, its steps are what a replay may be told."""
        world = cls()
        writes: list[Write] = []
        for batch in history_batches(trace):
            world._add(batch, tooling, writes, earlier=True)
        world.happened = tuple(writes)
        for step in recorded_steps(trace):
            world._add(step.calls, tooling, writes, earlier=False)
        for guardrail in trace.steps:
            if isinstance(guardrail, Guardrail) and guardrail.approved and guardrail.tool is not None:
                read = tooling.read_production(guardrail.tool, guardrail.arguments or "")
                world.approvals.add(read.call.digest)
        return world

    def _add(
        self, batch: Sequence[RecordedCall], tooling: Tooling, writes: list[Write], *, earlier: bool
    ) -> None:
        """Index a batch. The results of earlier turns' writes are not there to be had again."""
        read = [tooling.read_production(call.tool, call.arguments) for call in batch]
        beside = effective_writes(batch, tooling)
        for call, item in zip(batch, read, strict=True):
            if call.result is None:
                continue
            if tooling.effect(call.tool) is Effect.READ:
                self._add_read(call, item, moment_of(writes, beside, tooling.entities(call.tool, item)), tooling)
                if earlier:
                    self.asked_before[item.call.digest, self.reads[item.call.digest][-1].moment] += 1
            elif not earlier:
                self.writes.setdefault(item.call.digest, []).append(call)
                if tooling.effect(call.tool) is Effect.HANDOFF:
                    self.handoffs.setdefault(call.tool, []).append(call)
        writes.extend(beside)

    def _add_read(self, call: RecordedCall, read: ReadCall, moment: Moment, tooling: Tooling) -> None:
        seen = SeenRead(moment, tooling.entities(call.tool, read), call)
        self.reads.setdefault(read.call.digest, []).append(seen)
        self.reads_by_tool.setdefault(call.tool, []).append(seen)


def effective_writes(batch: Sequence[RecordedCall], tooling: Tooling) -> list[Write]:
    """The writes of a recorded batch that changed the world: a failed one did not."""
    found = []
    for call in batch:
        failed = outcome_of(call, tooling.stubbing(call.tool)) is Outcome.FAILED
        if tooling.effect(call.tool) is Effect.WRITE and not failed:
            read = tooling.read_production(call.tool, call.arguments)
            found.append(Write(read.call.digest, tooling.entities(call.tool, read), call.tool))
    return found


def outcome_of(call: RecordedCall, contract: ToolContract) -> Outcome:
    """How a recorded call ended; where the source does not say, the contract's failure prefixes do."""
    if call.is_error is not None:
        return Outcome.FAILED if call.is_error else Outcome.SUCCEEDED
    if contract.failure_prefixes and call.result is not None:
        failed = call.result.startswith(tuple(contract.failure_prefixes))
        return Outcome.FAILED if failed else Outcome.SUCCEEDED
    return Outcome.ASSUMED
