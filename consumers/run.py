"""`run`: replay a file of traces against a candidate bundle, without a broker.

    reader -> admission -> [units] -> replays in flight -> comparisons -> journal

The reader waits when the replays are busy, so memory stays flat. Results are written as they are finished; the
journal makes a killed run continue where it stopped.
"""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.streams.memory import MemoryObjectSendStream

from consumers.files import BadLine, Item, TraceItem, Unanswered
from consumers.intake import jobs_of
from consumers.journal import Journal
from consumers.progress import Progress
from consumers.replays import Limits, Replays, Settled, Spending, Task
from replay.admission import Admission, Admitted, Refused
from replay.comparison import Comparison, DeadLetter, Source
from replay.divergence import Comparer, Job
from replay.errors import ReplayError
from replay.gate.docket import Docket
from replay.models import Model
from replay.planning import Design, Planner
from replay.summary import Summary
from replay.trace import Trace

#: The topic of traces that come through a pipe.
PIPE = "-"


@dataclass(slots=True)
class FileRun:
    """One run over one source. `clock` gives wall time in ns for the records; nothing is decided by it."""

    run_id: str
    topic: str
    items: Iterable[Item]
    admission: Admission
    planner: Planner
    design: Design
    comparer: Comparer
    model: Model
    journal: Journal
    lane_model: Model | None = None
    docket: Docket | None = None
    limits: Limits = field(default_factory=Limits)
    limit: int | None = None
    concurrency: int = 32
    batch: int = 64
    progress: Progress = field(default_factory=Progress.silent)
    clock: Callable[[], int] = time.time_ns
    summary: Summary = field(default_factory=Summary)
    spent: Spending = field(default_factory=Spending)
    _done: set[str] = field(default_factory=set)
    _buried: set[int] = field(default_factory=set)
    _line: int = 0
    #: Replays left of each line that has begun, by its offset.
    _unfinished: dict[int, int] = field(default_factory=dict)
    _read_before: set[tuple[str, int]] = field(default_factory=set)
    _source_failure: ReplayError | None = None

    async def run(self) -> Summary:
        """Replay everything that is admitted and not yet done.

        Raises nothing for what one trace or the provider does. When the source cannot be read any further, what
        is in flight is finished and written before its `ReplayError` is raised.
        """
        self._take_up()
        to_replay, tasks = anyio.create_memory_object_stream[Task[None]](0)
        async with anyio.create_task_group() as group:
            group.start_soon(self._replays().run, tasks)
            group.start_soon(self._read, to_replay)
        if self._source_failure is not None:
            raise self._source_failure
        self._judge()
        return self.summary

    def _replays(self) -> Replays[None]:
        return Replays(
            run_id=self.run_id,
            comparer=self.comparer,
            model=self.model,
            lane_model=self.lane_model,
            publish=self._publish,
            concurrency=self.concurrency,
            batch=self.batch,
            clock=self.clock,
            spent=self.spent,
        )

    def _judge(self) -> None:
        """A run that a limit has stopped has not seen what it was asked to: nothing is said of it."""
        if self.docket is not None and self.summary.stopped_by is None:
            self.docket.finish()
            self.summary.verdict = self.docket.verdict(now=self.clock())

    # -- resume ---------------------------------------------------------------------------------------------

    def _take_up(self) -> None:
        """Count what earlier starts of this run have finished, so that it is neither made nor paid again."""
        for comparison in self.journal.comparisons():
            if comparison.comparison_id not in self._done:
                self._count(comparison)
                self.spent.take_up(comparison)
        for letter in self.journal.dead_lines():
            self._buried.add(letter.line or 0)
            self.summary.dead_letters[letter.stage] += 1

    def _count(self, comparison: Comparison) -> None:
        self._done.add(comparison.comparison_id)
        self.summary.add(comparison)
        if self.docket is not None:
            self.docket.enter(comparison)

    # -- reading --------------------------------------------------------------------------------------------

    async def _read(self, to_replay: MemoryObjectSendStream[Task[None]]) -> None:
        async with to_replay:
            try:
                await self._read_all(to_replay)
            except ReplayError as error:
                self._source_failure = error

    async def _read_all(self, to_replay: MemoryObjectSendStream[Task[None]]) -> None:
        async for item in self._arriving():
            self._line = item.line
            match item:
                case BadLine():
                    self._bury(item)
                case Unanswered():
                    self.summary.no_response += item.count
                case TraceItem():
                    if self.limit is not None and self.summary.traces >= self.limit:
                        return
                    for job in self._jobs(item):
                        await self._hand_on(job, to_replay)
            await anyio.lowlevel.checkpoint()  # a long run of refused traces must not starve the replays

    async def _arriving(self) -> AsyncIterator[Item]:
        """The items; those of a pipe are waited for in a thread, since they may be long in coming."""
        items = iter(self.items)
        while True:
            if self.topic == PIPE:
                item = await anyio.to_thread.run_sync(next, items, None)
            else:
                item = next(items, None)
            if item is None:
                return
            yield item

    def _jobs(self, item: TraceItem) -> Iterator[Job]:
        """The units of one trace that are still to be replayed."""
        self.summary.traces += 1
        decision = self._decision(item.trace)
        if isinstance(decision, Refused):
            self.summary.refused[decision.reason] += 1
            return
        self.summary.admitted += 1
        source = Source(topic=self.topic, offset=item.line - 1)
        jobs = jobs_of(item.trace, decision, planner=self.planner, design=self.design, source=source)
        left = [job for job in jobs if job.plan.unit.comparison_id not in self._done]
        if left:  # a line may hold several traces
            self._unfinished[source.offset] = self._unfinished.get(source.offset, 0) + len(left)
        yield from left

    def _decision(self, trace: Trace) -> Admitted | Refused:
        """At-least-once sources repeat themselves: the first copy of a trace counts."""
        identity = (trace.trace_id, trace.revision)
        if identity in self._read_before:
            return Refused("duplicate")
        self._read_before.add(identity)
        return self.admission.decide(trace)

    async def _hand_on(self, job: Job, to_replay: MemoryObjectSendStream[Task[None]]) -> None:
        stopped = self.summary.stopped_by or self.spent.reached(self.limits)
        if stopped is not None:
            self.summary.stopped_by = stopped
            self.summary.left += 1
            return
        self.spent.begin(job)
        await to_replay.send(Task(job, None))

    def _bury(self, bad: BadLine) -> None:
        if bad.line in self._buried:
            return
        self.journal.bury([dead_letter(bad, run_id=self.run_id, topic=self.topic)])
        self.summary.dead_letters[bad.stage] += 1

    # -- writing --------------------------------------------------------------------------------------------

    async def _publish(self, settled: Sequence[Settled[None]]) -> None:
        comparisons = [item.comparison for item in settled]
        self.journal.write(comparisons)
        for comparison in comparisons:
            self._count(comparison)
            self._finish(comparison.source.offset)
        self._advance()
        self.progress.advance(len(comparisons), line=self._line, summary=self.summary)


    def _finish(self, offset: int) -> None:
        self._unfinished[offset] -= 1
        if not self._unfinished[offset]:
            del self._unfinished[offset]

    def _advance(self) -> None:
        """Lines are begun in order, so that the first unfinished one stands in front."""
        if self.docket is not None:
            self.docket.advance(self.topic, 0, next(iter(self._unfinished), max(self._line - 1, 0)))


def dead_letter(bad: BadLine, *, run_id: str, topic: str) -> DeadLetter:
    """The record of a line that could not be used, with its bytes."""
    return DeadLetter(
        reason=bad.reason,
        stage=bad.stage,
        field=bad.field,
        source=Source(topic=topic, offset=bad.line - 1),
        line=bad.line,
        run_id=run_id,
        value_base64=base64.b64encode(bad.raw).decode(),
        value_sha256=bad.sha256,
        value_bytes=bad.size,
    )
