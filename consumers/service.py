"""A worker put together from settings: what `worker` and `window` share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, TypedDict

from consumers import telemetry as tel
from consumers.assembly import admission_of, asked_for, comparer_of, limits_of, modes_of, planner_of, run_id_of
from consumers.dead_letters import BadRecords
from consumers.intake import Intake
from consumers.kafka import KafkaCluster, KafkaSink
from consumers.outbox import Outbox
from consumers.replays import Limits
from consumers.stream import Partition, Sink, Source, StreamError
from consumers.telemetry import Telemetry
from consumers.worker import Capacity, Worker
from replay.comparison import Comparison
from replay.divergence import Comparer
from replay.exact_json import Json
from replay.models import Model
from replay.planning import Planner
from replay.settings import Settings


class Bounds(NamedTuple):
    """What makes a worker a window: where it ends, what is done already, and who is told of the rest."""

    until: Mapping[Partition, int]
    note: Callable[[Partition], str]
    is_done: Callable[[str], bool]
    observe: Callable[[Comparison], None]
    passed: Callable[[str], None]


class _Parts(TypedDict):
    """The parts of a worker that are the same for every kind of it."""

    comparer: Comparer
    telemetry: Telemetry
    capacity: Capacity
    limits: Limits
    bad_records: BadRecords


class Service(NamedTuple):
    """What is replayed, on whose behalf, and how it is told about."""

    settings: Settings
    planner: Planner
    where: tuple[str, ...]
    run_id: str
    telemetry: Telemetry

    def worker(self, source: Source, sink: Sink, model: Model) -> Worker:
        """One that runs until it is stopped."""
        return Worker(source=source, outbox=self.outbox(sink), intake=self.intake(), model=model, **self._parts())

    def bounded(self, source: Source, sink: Sink, model: Model, bounds: Bounds) -> Worker:
        """One that ends at the end of a window."""
        return Worker(
            source=source,
            outbox=self.outbox(sink),
            intake=self.intake(bounds.is_done),
            model=model,
            until=bounds.until,
            note=bounds.note,
            observe=bounds.observe,
            passed=bounds.passed,
            **self._parts(),
        )

    def intake(self, is_done: Callable[[str], bool] = lambda _: False) -> Intake:
        admission = admission_of(self.planner.baseline, self.settings, self.where)
        return Intake(admission, self.planner, modes_of(self.settings), is_done)

    def outbox(self, sink: Sink) -> Outbox:
        kafka = self.settings.kafka
        return Outbox(sink, self.run_id, kafka.comparisons, kafka.dead_letters, self._delivery_failed)

    def _parts(self) -> _Parts:
        return {
            "comparer": comparer_of(self.planner, self.settings),
            "telemetry": self.telemetry,
            "capacity": capacity_of(self.settings),
            "limits": limits_of(self.settings),
            "bad_records": BadRecords(self.settings.worker.max_bad_run, self.settings.worker.max_bad_share),
        }

    def _delivery_failed(self, error: StreamError) -> None:
        self.telemetry.count(tel.DELIVERY_FAILURES)
        self.telemetry.log.warning("delivery_failed", reason=str(error))


def capacity_of(settings: Settings) -> Capacity:
    worker = settings.worker
    return Capacity(
        concurrency=settings.concurrency,
        batch=settings.batch,
        bytes_in_flight=worker.bytes_in_flight,
        span=worker.span,
        commit_seconds=worker.commit_seconds,
        drain_seconds=worker.drain_seconds,
        grace_seconds=worker.grace_seconds,
        poll_interval_seconds=settings.kafka.poll_interval_seconds,
    )


def identity_of(settings: Settings, planner: Planner, where: Sequence[str]) -> dict[str, Json]:
    return {"topic": settings.kafka.traces, **asked_for(settings, planner, where)}


def group_of(settings: Settings, where: Sequence[str] = ()) -> str:
    """The worker's group: as set, or one per request, so that two candidates never share a topic between them."""
    if settings.worker.group is not None:
        return settings.worker.group
    return worker_run_id(settings, planner_of(settings), where)


def worker_run_id(settings: Settings, planner: Planner, where: Sequence[str]) -> str:
    """The same for every member of the group, and for the same request after a restart."""
    identity = identity_of(settings, planner, where)
    return run_id_of("worker", identity | {"group": settings.worker.group})


@asynccontextmanager
async def sink_of(settings: Settings) -> AsyncIterator[KafkaSink]:
    """A writer to the service's topics, once they are known to be there. Raises `StreamError`."""
    kafka = settings.kafka
    async with KafkaCluster.of(kafka) as cluster:
        for topic in (kafka.traces, kafka.comparisons, kafka.dead_letters):
            await cluster.partitions(topic)
    sink = await KafkaSink(kafka).start()
    try:
        yield sink
    finally:
        await sink.aclose()
