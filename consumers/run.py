"""`run`: replay a file of traces against a candidate bundle, without a broker.

    reader -> admission -> [units] -> replays in flight -> [attempts] -> micro-batches -> comparators -> journal

One task reads and admits, `concurrency` tasks replay, one task scores and writes. The streams between them are
bounded, so the reader waits when the replays are busy and memory stays flat. Results are written as they are
finished; the journal makes a killed run continue where it stopped.
"""

from __future__ import annotations

import base64
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from consumers.files import BadLine, Item, TraceItem, Unanswered
from consumers.journal import Journal
from consumers.progress import Progress
from replay.admission import Admission, Admitted, Refused
from replay.comparison import Comparison, DeadLetter, Mode, Source
from replay.divergence import Comparer, Finished, Job, Unscored
from replay.driver import drive
from replay.errors import RecordError, ReplayError
from replay.execution import Attempt, replay
from replay.models import Model, ModelReply, ModelRequest
from replay.planning import Planner
from replay.summary import Summary
from replay.trace import Trace

#: Faults of our own that a run survives, each on a record of its own.
MAX_OWN_FAULTS = 20
#: The topic of traces that come through a pipe.
PIPE = "-"
#: How long a finished replay may wait for others, so that arrays are worth their while. A kill loses no more.
GATHER_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Limits:
    """Where the intake stops. What is in flight is finished, so the last figures overshoot by what it still needs."""

    max_usd: Decimal | None = None
    max_model_calls: int | None = None

    def reached(self, *, usd: Decimal, model_calls: int) -> str | None:
        if self.max_usd is not None and usd >= self.max_usd:
            return f"max_usd: spent ${usd} of ${self.max_usd}"
        if self.max_model_calls is not None and model_calls >= self.max_model_calls:
            return f"max_model_calls: {self.max_model_calls} calls were made or begun"
        return None


@dataclass(slots=True)
class FileRun:
    """One run over one source. `clock` gives wall time in ns for the records; nothing is decided by it."""

    run_id: str
    topic: str
    items: Iterable[Item]
    admission: Admission
    planner: Planner
    modes: tuple[Mode, ...]
    comparer: Comparer
    model: Model
    journal: Journal
    limits: Limits = Limits()
    limit: int | None = None
    concurrency: int = 32
    batch: int = 64
    progress: Progress = field(default_factory=Progress.silent)
    clock: Callable[[], int] = time.time_ns
    summary: Summary = field(default_factory=Summary)
    _done: set[str] = field(default_factory=set)
    _buried: set[int] = field(default_factory=set)
    _usd: Decimal = Decimal(0)
    _model_calls: int = 0
    _begun: int = 0
    _line: int = 0
    _read_before: set[tuple[str, int]] = field(default_factory=set)
    _own_faults: int = 0
    _source_failure: ReplayError | None = None

    async def run(self) -> Summary:
        """Replay everything that is admitted and not yet done.

        Raises nothing for what one trace or the provider does. When the source cannot be read any further, what
        is in flight is finished and written before its `ReplayError` is raised.
        """
        self._take_up()
        to_replay, jobs = anyio.create_memory_object_stream[Job](0)
        to_score, finished = anyio.create_memory_object_stream[Finished](max(self.batch, self.concurrency))
        async with anyio.create_task_group() as scoring:
            scoring.start_soon(self._score, finished)
            async with to_score, anyio.create_task_group() as replaying:
                replaying.start_soon(self._read, to_replay)
                for _ in range(self.concurrency):
                    replaying.start_soon(self._replay, jobs.clone(), to_score.clone())
                jobs.close()
        if self._source_failure is not None:
            raise self._source_failure
        return self.summary

    # -- resume ---------------------------------------------------------------------------------------------

    def _take_up(self) -> None:
        """Count what earlier starts of this run have finished, so that it is neither made nor paid again."""
        for comparison in self.journal.comparisons():
            if comparison.comparison_id not in self._done:
                self._count(comparison)
        for letter in self.journal.dead_lines():
            self._buried.add(letter.line or 0)
            self.summary.dead_letters[letter.stage] += 1

    def _count_call(self) -> None:
        self._model_calls += 1

    def _count(self, comparison: Comparison) -> None:
        self._done.add(comparison.comparison_id)
        self.summary.add(comparison)
        self._model_calls += comparison.replay.model_calls
        self._begun += comparison.replay.model_calls
        if comparison.replay.cost_usd is not None:
            self._usd += Decimal(comparison.replay.cost_usd)

    # -- reading --------------------------------------------------------------------------------------------

    async def _read(self, to_replay: MemoryObjectSendStream[Job]) -> None:
        async with to_replay:
            try:
                await self._read_all(to_replay)
            except ReplayError as error:
                self._source_failure = error

    async def _read_all(self, to_replay: MemoryObjectSendStream[Job]) -> None:
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
        for mode in self.modes:
            plan = self.planner.plan(item.trace, mode, impossible=decision.not_replayable)
            if plan.unit.comparison_id not in self._done:
                yield Job(plan, source, decision.probability, decision.admitted_as)

    def _decision(self, trace: Trace) -> Admitted | Refused:
        """At-least-once sources repeat themselves: the first copy of a trace counts."""
        identity = (trace.trace_id, trace.revision)
        if identity in self._read_before:
            return Refused("duplicate")
        self._read_before.add(identity)
        return self.admission.decide(trace)

    async def _hand_on(self, job: Job, to_replay: MemoryObjectSendStream[Job]) -> None:
        calls = max(self._model_calls, self._begun)  # every replay that has begun makes one call at least
        stopped = self.summary.stopped_by or self.limits.reached(usd=self._usd, model_calls=calls)
        if stopped is not None:
            self.summary.stopped_by = stopped
            self.summary.left += 1
            return
        self._begun += job.plan.impossible is None
        await to_replay.send(job)

    def _bury(self, bad: BadLine) -> None:
        if bad.line in self._buried:
            return
        self.journal.bury([dead_letter(bad, run_id=self.run_id, topic=self.topic)])
        self.summary.dead_letters[bad.stage] += 1

    # -- replaying ------------------------------------------------------------------------------------------

    async def _replay(self, jobs: MemoryObjectReceiveStream[Job], to_score: MemoryObjectSendStream[Finished]) -> None:
        async with jobs, to_score:
            async for job in jobs:
                await to_score.send(Finished(job, await self._attempt(job)))

    async def _attempt(self, job: Job) -> Attempt | Unscored:
        if job.plan.impossible is not None:
            return Unscored("not_replayable", job.plan.impossible)
        try:
            attempt = await drive(replay(job.plan), _Metered(self.model, self._count_call))
        except RecordError as error:
            return Unscored("not_replayable", str(error))
        except Exception as error:  # noqa: BLE001 - bounded in `_fault`: one trace must not end the run
            return self._fault(error)
        self._usd += attempt.cost or 0
        return attempt

    # -- scoring --------------------------------------------------------------------------------------------

    async def _score(self, finished: MemoryObjectReceiveStream[Finished]) -> None:
        async with finished:
            async for first in finished:
                if finished.statistics().current_buffer_used < self.batch:
                    await anyio.sleep(GATHER_SECONDS)
                batch = [first]
                while len(batch) < self.batch and finished.statistics().current_buffer_used:
                    batch.append(finished.receive_nowait())
                self._publish(batch)

    def _publish(self, batch: list[Finished]) -> None:
        comparisons = self._compared(batch)
        self.journal.write(comparisons)
        for comparison in comparisons:
            self._done.add(comparison.comparison_id)
            self.summary.add(comparison)
        self.progress.advance(len(comparisons), line=self._line, summary=self.summary)


    def _compared(self, batch: list[Finished]) -> list[Comparison]:
        """Score a batch; if something in it breaks a comparator, score one by one and name it."""
        now = self.clock()
        try:
            return self.comparer.compare(batch, run_id=self.run_id, now=now)
        except Exception as error:  # noqa: BLE001 - bounded in `_fault`: one pair must not cost the others their scores
            if len(batch) > 1:
                return [comparison for item in batch for comparison in self._compared([item])]
            failed = Finished(batch[0].job, self._fault(error))
            return self.comparer.compare([failed], run_id=self.run_id, now=now)

    def _fault(self, error: Exception) -> Unscored:
        """A fault of this program on one trace is recorded; too many of them are not survived in silence."""
        self._own_faults += 1
        if self._own_faults > MAX_OWN_FAULTS:
            raise error
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        return Unscored("internal_error", f"{type(error).__name__} at {place}: {error}"[:500])


@dataclass(frozen=True, slots=True)
class _Metered:
    """The model, with every call counted when it is made: limits cannot wait for the end of a replay."""

    model: Model
    count: Callable[[], None]

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        self.count()
        return await self.model.complete(request, timeout_seconds=timeout_seconds)

    async def aclose(self) -> None:
        await self.model.aclose()


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
