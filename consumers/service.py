"""A worker put together from settings: what `worker` and `window` share."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NamedTuple

from consumers.assembly import (
    Routes,
    admission_of,
    asked_for,
    comparer_of,
    design_of,
    limits_of,
    planner_of,
    run_id_of,
    settings_of,
)
from consumers.at_least_once import AtLeastOnce
from consumers.dead_letters import BadRecords
from consumers.delivery import Account, Delivery
from consumers.done_note import longest_span
from consumers.exactly_once import Due, ExactlyOnce
from consumers.intake import Intake
from consumers.kafka import KafkaCluster, KafkaLedger, KafkaSink, quiet_client
from consumers.kafka_config import check
from consumers.offsets import Leases
from consumers.outbox import Outbox
from consumers.stream import Ledger, Partition, Sink, Source
from consumers.telemetry import Telemetry
from consumers.worker import Capacity, Worker
from replay.comparison import Comparison
from replay.exact_json import Json
from replay.planning import Planner
from replay.settings import Settings

#: Room for a window's plan beside the bitmap.
_PLAN = "x" * 320


class Bounds(NamedTuple):
    """What makes a worker a window: where it ends, what is done already, and who is told of the rest."""

    until: Mapping[Partition, int]
    note: Callable[[Partition], str]
    is_done: Callable[[str], bool]
    observe: Callable[[Comparison], None]
    passed: Callable[[str], None]


class Service(NamedTuple):
    """What is replayed, on whose behalf, and how it is told about. `group`: whose offsets are kept."""

    settings: Settings
    planner: Planner
    where: tuple[str, ...]
    run_id: str
    group: str
    telemetry: Telemetry

    def worker(self, source: Source, writer: Sink | Ledger, routes: Routes, bounds: Bounds | None = None) -> Worker:
        """One that runs until it is stopped, or to the end of a window."""
        leases, settings = Leases(), self.settings
        return Worker(
            source=source,
            delivery=self._delivery(source, writer, leases, bounds),
            leases=leases,
            run_id=self.run_id,
            intake=self._intake(bounds),
            comparer=comparer_of(self.planner, settings),
            model=routes.candidate,
            lane_model=routes.baseline,
            telemetry=self.telemetry,
            capacity=capacity_of(settings),
            limits=limits_of(settings),
            bad_records=BadRecords(settings.worker.max_bad_run, settings.worker.max_bad_share),
            until=bounds.until if bounds is not None else None,
        )

    def _delivery(self, source: Source, writer: Sink | Ledger, leases: Leases, bounds: Bounds | None) -> Delivery:
        kafka, worker = self.settings.kafka, self.settings.worker
        outbox = Outbox(self.run_id, kafka.comparisons, kafka.dead_letters)
        account = Account(self.telemetry, bounds.observe, bounds.passed) if bounds else Account(self.telemetry)
        note = bounds.note if bounds is not None else _no_note
        if not isinstance(writer, Ledger):
            return AtLeastOnce(source, writer, outbox, leases, account, worker.commit_seconds, note)
        due = Due(worker.commit_records, worker.commit_bytes, worker.commit_seconds)
        return ExactlyOnce(writer, outbox, leases, account, self.group, due, note, rereads=bounds is not None)

    def _intake(self, bounds: Bounds | None) -> Intake:
        admission = admission_of(self.planner.baseline, self.settings, self.where)
        intake = Intake(admission, self.planner, design_of(self.settings))
        return intake if bounds is None else replace(intake, is_done=bounds.is_done)


def _no_note(_: Partition) -> str:
    return ""


def service_settings(arguments: argparse.Namespace) -> Settings:
    """What every command on Kafka begins with. Raises `UsageError` for settings that lose data or members."""
    settings = settings_of(arguments).settings
    check(settings)
    quiet_client()
    return settings


def capacity_of(settings: Settings) -> Capacity:
    worker = settings.worker
    capacity = Capacity(
        concurrency=settings.concurrency,
        batch=settings.batch,
        bytes_in_flight=worker.bytes_in_flight,
        commit_seconds=worker.commit_seconds,
        drain_seconds=worker.drain_seconds,
        grace_seconds=worker.grace_seconds,
        poll_interval_seconds=settings.kafka.poll_interval_seconds,
    )
    return replace(capacity, span=max(1, min(worker.span, longest_span(_PLAN) - capacity.records)))


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
async def writer_of(settings: Settings, group: str) -> AsyncIterator[Sink | Ledger]:
    """A writer to the service's topics, once they are known to be there. Raises `StreamError`."""
    kafka = settings.kafka
    async with KafkaCluster.of(kafka) as cluster:
        for topic in (kafka.traces, kafka.comparisons, kafka.dead_letters):
            await cluster.partitions(topic)
    if settings.worker.delivery == "exactly_once":
        yield KafkaLedger(kafka, group)
        return
    sink = await KafkaSink(kafka).start()
    try:
        yield sink
    finally:
        await sink.aclose()
