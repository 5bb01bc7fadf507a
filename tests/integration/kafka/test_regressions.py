"""What went wrong in other programs of this kind and takes a real group to come about, named after its reports."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from consumers.kafka import KafkaCluster, KafkaLedger, KafkaSink, KafkaSource, NewStream
from consumers.outbox import Outbox
from consumers.stream import Outgoing, Partition
from replay.settings import KafkaSettings, Settings
from replay.testing import a_trace, says
from replay.wire import encode_trace
from small_service import SmallService, until

PARTITIONS = 4
LIMIT_SECONDS = 60
COMINGS = 6
DELIVERIES, NAMES = [False, True], ["at least once", "exactly once"]


@dataclass
class Group:
    """Workers of one group in this process, on topics of their own, with one model for all of them."""

    kafka: KafkaSettings
    traces: str
    comparisons: str
    dead_letters: str
    sink: KafkaSink
    service: SmallService
    name: str = "group"
    produced: list[str] = field(default_factory=list)

    @property
    def partitions(self):
        return [Partition(self.traces, number) for number in range(PARTITIONS)]

    async def produce(self, count):
        """So many traces more, one partition after the other."""
        new = [f"t{len(self.produced) + number}" for number in range(count)]
        values = [encode_trace(a_trace("?", [says("x")], trace_id=name)) for name in new]
        await self.sink.send([Outgoing(self.traces, value, None, n) for n, value in enumerate(values)])
        self.produced += new

    def member(self, **capacity):
        source = KafkaSource(Settings(kafka=self.kafka), self.traces, self.name)
        ledger = KafkaLedger(self.kafka, self.name) if self.service.exactly_once else None
        limits = {"commit_seconds": 0.1, "drain_seconds": 1.0} | capacity
        worker = self.service.worker(source=source, sink=None if ledger else self.sink, ledger=ledger, capacity=limits)
        worker.delivery.outbox = Outbox("r", self.comparisons, self.dead_letters)
        return worker

    async def members(self):
        """How many the broker counts."""
        async with self.admin() as admin:
            (described,) = await admin.describe_consumer_groups([self.name])
            return len(described.groups[0][5])

    async def make_topic_anew(self):
        async with self.admin() as admin, KafkaCluster.of(self.kafka) as cluster:
            await admin.delete_topics([self.traces])
            with anyio.fail_after(LIMIT_SECONDS):
                while not await cluster.create(NewStream(self.traces, PARTITIONS, 1, {})):
                    await anyio.sleep(0.1)  # it is not gone yet
        await self.sink.aclose()

    @asynccontextmanager
    async def admin(self):
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    def asked_once(self):
        return Counter(self.service.model.asked) == dict.fromkeys(self.produced, 2)


@asynccontextmanager
async def opened(bootstrap, names, *, exactly_once, **more):
    kafka = KafkaSettings(bootstrap=bootstrap, session_seconds=6, **more)
    async with KafkaCluster.of(kafka) as cluster:
        for name in (names.traces, names.comparisons, names.dead_letters):
            await cluster.create(NewStream(name, PARTITIONS, 1, {}))
    sink = await KafkaSink(kafka).start()
    service = SmallService(exactly_once=exactly_once)
    try:
        yield Group(kafka, names.traces, names.comparisons, names.dead_letters, sink, service, f"g-{names.traces}")
    finally:
        await sink.aclose()


@asynccontextmanager
async def at_work(worker):
    """A member from its first assignment to its leave-taking."""
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: worker.leases.epoch, LIMIT_SECONDS)
        yield worker
        worker.stop()


class Watch:
    """Looks at the committed offsets of a group all the time, and remembers what went back or vanished."""

    def __init__(self, group):
        self._group = group
        self.seen, self.broken, self.looks = {}, [], 0

    async def run(self):
        async with KafkaCluster.of(self._group.kafka) as cluster:
            while True:
                found = await cluster.group_offsets(self._group.name, self._group.partitions)
                offsets = {partition.number: kept.offset for partition, kept in found.items()}
                self.broken += [
                    (n, offset, offsets.get(n)) for n, offset in self.seen.items() if offsets.get(n, -1) < offset
                ]
                self.seen, self.looks = offsets, self.looks + 1
                await anyio.sleep(0.05)


@pytest.mark.parametrize("exactly_once", DELIVERIES, ids=NAMES)
async def test_parallel_consumer_894_members_that_come_and_go_without_traffic_move_no_offset(
    kafka_bootstrap, topic_names, exactly_once
):
    """Assigned again and again with nothing to read, it committed an offset that was out of range; all began anew."""
    async with (
        opened(kafka_bootstrap, topic_names, exactly_once=exactly_once) as group,
        anyio.create_task_group() as tasks,
    ):
        await group.produce(3 * PARTITIONS - 1)
        watch = Watch(group)
        tasks.start_soon(watch.run)
        async with at_work(group.member()) as stays:
            await until(lambda: watch.seen == {0: 3, 1: 3, 2: 3, 3: 2}, LIMIT_SECONDS)
            for _ in range(COMINGS):
                async with at_work(group.member()) as comes:
                    await until(lambda: len(stays.leases) == len(comes.leases) == 2, LIMIT_SECONDS)
                await until(lambda: len(stays.leases) == PARTITIONS, LIMIT_SECONDS)
            assert watch.seen == {0: 3, 1: 3, 2: 3, 3: 2}
            assert group.asked_once()
            assert stays.leases.epoch > 2 * COMINGS
            await group.produce(PARTITIONS)
            await until(lambda: watch.seen == {0: 4, 1: 4, 2: 4, 3: 3}, LIMIT_SECONDS)
        assert group.asked_once()
        assert watch.looks > COMINGS
        assert not watch.broken
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("exactly_once", DELIVERIES, ids=NAMES)
async def test_parallel_consumer_875_a_topic_that_is_made_anew_is_read_from_its_first_record(
    kafka_bootstrap, topic_names, exactly_once
):
    """What was left of an earlier assignment sat at the offset: the fresh record was dropped onto it, and lost."""
    async with opened(kafka_bootstrap, topic_names, exactly_once=exactly_once, metadata_seconds=1.0) as group:
        await group.produce(5 * PARTITIONS)
        async with at_work(group.member()) as worker:
            await until(lambda: sum(lease.committed or 0 for lease in worker.leases) == 5 * PARTITIONS, LIMIT_SECONDS)
            await group.make_topic_anew()
            await group.produce(3 * PARTITIONS)
            await until(group.asked_once, LIMIT_SECONDS)
            await until(lambda: sum(lease.committed or 0 for lease in worker.leases) == 3 * PARTITIONS, LIMIT_SECONDS)


async def test_parallel_consumer_857_without_room_or_draining_a_member_stays_in_its_group(kafka_bootstrap, topic_names):
    """A draining consumer did not poll: the group took it for dead, or waited for it with all its partitions."""
    interval = 2.0
    async with opened(kafka_bootstrap, topic_names, exactly_once=True, poll_interval_seconds=interval) as group:
        await group.produce(8)
        group.service.model.held = set(group.produced)
        limits = {"concurrency": 1, "batch": 1, "poll_interval_seconds": interval, "grace_seconds": LIMIT_SECONDS}
        async with at_work(group.member(**limits)) as worker:
            await until(lambda: not worker.backlog.room, LIMIT_SECONDS)
            await anyio.sleep(2 * interval)
            assert await group.members() == 1
            worker.stop()
            await anyio.sleep(2 * interval)
            assert await group.members() == 1
            group.service.model.release()
        assert worker.leases.epoch == 1
