"""From a record of the traces topic to the replays it asks for. Decides; reads and writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from consumers.stream import Received
from replay.admission import Admission, Admitted, Refused
from replay.comparison import Source
from replay.divergence import Job
from replay.planning import Design, Planner
from replay.trace import Trace
from replay.wire import decode_trace


def jobs_of(
    trace: Trace, decision: Admitted, *, planner: Planner, design: Design, source: Source
) -> Iterator[Job]:
    """The units of an admitted trace: modes x samples x lanes."""
    for mode, lane, sample in design.replicates(trace.record_key):
        plan = planner.plan(trace, mode, lane=lane, sample=sample, impossible=decision.not_replayable)
        yield Job(plan, source, decision.probability, design.lane.probability, decision.admitted_as)


@dataclass(frozen=True, slots=True)
class Intake:
    """What is replayed of a topic. `is_done` names comparisons that an earlier start of the same run has published."""

    admission: Admission
    planner: Planner
    design: Design
    is_done: Callable[[str], bool] = lambda _: False

    def read(self, record: Received, repeats: Callable[[str, int], bool]) -> list[Job] | Refused:
        """The units of a record that are still to be replayed. Raises `RecordError` when it holds no trace."""
        trace = decode_trace(record.value)
        if repeats(trace.trace_id, trace.revision):
            return Refused("duplicate")
        decision = self.admission.decide(trace)
        if isinstance(decision, Refused):
            return decision
        where = record.partition
        source = Source(
            topic=where.topic, partition=where.number, offset=record.offset, timestamp_ms=record.timestamp_ms or None
        )
        jobs = jobs_of(trace, decision, planner=self.planner, design=self.design, source=source)
        return [job for job in jobs if not self.is_done(job.plan.unit.comparison_id)]
