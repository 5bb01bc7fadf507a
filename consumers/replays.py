"""Replays in flight: jobs go in, comparisons come out, in the order in which they end.

    jobs -> [`concurrency` tasks, each drives one replay] -> micro-batches -> comparators -> publish

Every stream between them is bounded: whoever hands jobs in waits when the replays are busy, and the replays wait
when results cannot be published. What a job belongs to travels with it as its ticket.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

import anyio
import anyio.lowlevel
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from replay.comparison import Comparison
from replay.divergence import Comparer, Finished, Job, Unscored
from replay.driver import drive
from replay.errors import RecordError
from replay.execution import Attempt, replay
from replay.models import Model, ModelReply, ModelRequest

T = TypeVar("T")

#: Faults of our own that a run survives, each on a record of its own.
MAX_OWN_FAULTS = 20
#: How long a finished replay may wait for others, so that arrays are worth their while. A kill loses no more.
GATHER_SECONDS = 0.02


class Owner(Protocol):
    """Whoever may give up on work that has begun. Giving up cancels the scopes it holds."""

    def hold(self, scope: anyio.CancelScope) -> None: ...

    def release(self, scope: anyio.CancelScope) -> None: ...


class Task(NamedTuple, Generic[T]):
    """One replay to make. Without an owner, nobody gives up on it."""

    job: Job
    ticket: T
    owner: Owner | None = None


class Settled(NamedTuple, Generic[T]):
    comparison: Comparison
    ticket: T


class _Ended(NamedTuple, Generic[T]):
    finished: Finished
    ticket: T


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
class Spending:
    """Money and calls so far, and calls that replays which have begun will make at least."""

    usd: Decimal = Decimal(0)
    model_calls: int = 0
    begun: int = 0

    def reached(self, limits: Limits) -> str | None:
        return limits.reached(usd=self.usd, model_calls=max(self.model_calls, self.begun))

    def count_call(self) -> None:
        self.model_calls += 1

    def begin(self, job: Job) -> None:
        """Every replay that has begun makes one call at least."""
        self.begun += job.plan.impossible is None

    def take_up(self, comparison: Comparison) -> None:
        """What an earlier start of the same run has spent."""
        self.model_calls += comparison.replay.model_calls
        self.begun += comparison.replay.model_calls
        self.usd += Decimal(comparison.replay.cost_usd or 0)


@dataclass(slots=True)
class Replays(Generic[T]):
    """`publish` is called by one task, batch after batch; while it waits, finished replays wait too.

    `lane_model` is the route of the baseline lane, if there is one.
    """

    run_id: str
    comparer: Comparer
    model: Model
    publish: Callable[[Sequence[Settled[T]]], Awaitable[None]]
    lane_model: Model | None = None
    concurrency: int = 32
    batch: int = 64
    clock: Callable[[], int] = time.time_ns
    spent: Spending = field(default_factory=Spending)
    #: Tasks taken and neither published nor given up.
    unsettled: int = 0
    _own_faults: int = 0

    async def run(self, tasks: MemoryObjectReceiveStream[Task[T]]) -> None:
        """Replay until the stream of tasks is closed and everything in it is published.

        Raises nothing for what one trace or the provider does; what `publish` raises ends it.
        """
        to_score, ended = anyio.create_memory_object_stream[_Ended[T]](max(self.batch, self.concurrency))
        async with anyio.create_task_group() as scoring:
            scoring.start_soon(self._score, ended)
            async with to_score, tasks, anyio.create_task_group() as replaying:
                for _ in range(self.concurrency):
                    replaying.start_soon(self._replay, tasks.clone(), to_score.clone())

    # -- replaying ------------------------------------------------------------------------------------------

    async def _replay(
        self, tasks: MemoryObjectReceiveStream[Task[T]], to_score: MemoryObjectSendStream[_Ended[T]]
    ) -> None:
        async with tasks, to_score:
            async for task in tasks:
                self.unsettled += 1
                result = await self._owned(task)
                if result is None:
                    self.unsettled -= 1
                else:
                    await to_score.send(_Ended(Finished(task.job, result), task.ticket))

    async def _owned(self, task: Task[T]) -> Attempt | Unscored | None:
        """Null when the owner gave up: then nothing is known, and nobody asks."""
        if task.owner is None:
            return await self._attempt(task.job)
        with anyio.CancelScope() as scope:
            task.owner.hold(scope)
            try:
                await anyio.lowlevel.checkpoint_if_cancelled()
                return await self._attempt(task.job)
            finally:
                task.owner.release(scope)
        return None

    async def _attempt(self, job: Job) -> Attempt | Unscored:
        if job.plan.impossible is not None:
            return Unscored("not_replayable", job.plan.impossible)
        try:
            attempt = await drive(replay(job.plan), _Metered(self._route(job), self.spent.count_call))
        except RecordError as error:
            return Unscored("not_replayable", str(error))
        except Exception as error:  # noqa: BLE001 - bounded in `_fault`: one trace must not end the run
            return self._fault(error)
        self.spent.usd += attempt.cost or 0
        return attempt

    def _route(self, job: Job) -> Model:
        if job.plan.unit.lane == "candidate":
            return self.model
        if self.lane_model is None:
            raise LookupError("the design has a baseline lane, and nobody has opened its route")
        return self.lane_model

    # -- scoring --------------------------------------------------------------------------------------------

    async def _score(self, ended: MemoryObjectReceiveStream[_Ended[T]]) -> None:
        async with ended:
            async for first in ended:
                if ended.statistics().current_buffer_used < self.batch:
                    await anyio.sleep(GATHER_SECONDS)
                batch = [first]
                while len(batch) < self.batch and ended.statistics().current_buffer_used:
                    batch.append(ended.receive_nowait())
                comparisons = await self._compared_apart([item.finished for item in batch])
                tickets = (item.ticket for item in batch)
                await self.publish([Settled(*pair) for pair in zip(comparisons, tickets, strict=True)])
                self.unsettled -= len(batch)

    async def _compared_apart(self, batch: list[Finished]) -> list[Comparison]:
        """On a thread of its own where somebody else's function may take its time over it."""
        if self.comparer.meanings is None:
            return self._compared(batch)
        return await anyio.to_thread.run_sync(self._compared, batch)

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
