"""Hazards of the client on a real broker, each with the naive code that falls into it as its control."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import asynccontextmanager
from uuid import uuid4

import anyio
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient

import many_traces
from consumers.kafka import KafkaCluster, KafkaSink, KafkaSource, NewStream
from consumers.kafka_config import check
from consumers.stream import Outgoing
from kafka_service import eventually, repeated
from replay.errors import UsageError
from replay.settings import KafkaSettings, Settings, WorkerSettings
from stream_contract import Ears

SESSION_SECONDS = 6
CLASH_TRACES = 500


@pytest.fixture
def settings(kafka_bootstrap):
    kafka = KafkaSettings(bootstrap=kafka_bootstrap, session_seconds=SESSION_SECONDS, request_seconds=80)
    return Settings(kafka=kafka, worker=WorkerSettings(drain_seconds=20))


@pytest.fixture
async def topic(settings):
    name = f"hazard-{uuid4().hex[:12]}"
    async with KafkaCluster.of(settings.kafka) as cluster:
        await cluster.create(NewStream(name, 4, 1, {}))
    sink = await KafkaSink(settings.kafka).start()
    await sink.send([Outgoing(name, b"x", None, number) for number in range(4)])
    await sink.aclose()
    return name


@asynccontextmanager
async def naive(settings, topic, group, listener=None, **options):
    """A consumer as documented, with the client's defaults."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_SECONDS * 1000,
        **options,
    )
    consumer.subscribe([topic], listener=listener)
    await consumer.start()
    try:
        yield consumer
    finally:
        with anyio.move_on_after(20, shield=True):
            await consumer.stop()


async def members(settings, group):
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap)
    await admin.start()
    try:
        (described,) = await admin.describe_consumer_groups([group])
        return len(described.groups[0][5])
    finally:
        await admin.close()


# -- 2: a commit may go back --------------------------------------------------------------------------------------


async def test_control_a_lower_offset_is_committed_as_gladly(settings, topic):
    group = f"g-{topic}"
    tp = TopicPartition(topic, 0)
    async with naive(settings, topic, group) as consumer:
        with anyio.fail_after(20):
            while tp not in consumer.assignment():
                await consumer.getmany(timeout_ms=100)
        await consumer.commit({tp: 40})
        await consumer.commit({tp: 5})
        assert await consumer.committed(tp) == 5
    # Ours commits a lease's progress alone: `test_offsets.test_only_progress_is_committed`, and every checker of
    # committed offsets in these tests looks for one that goes back.


# -- 4: a drain that outlives the rebalance -----------------------------------------------------------------------


class Draining(ConsumerRebalanceListener):
    """Has 9 s of work in flight whenever it is asked to give up partitions."""

    def __init__(self):
        self.until = 0.0

    async def on_partitions_revoked(self, revoked):
        if revoked:
            await anyio.sleep(9)
            self.until = time.monotonic()

    async def on_partitions_assigned(self, assigned):
        pass


async def test_control_with_the_clients_defaults_another_gets_all_partitions_before_the_drain_ends(settings, topic):
    group, draining = f"g-{topic}", Draining()
    async with naive(settings, topic, group, draining) as first, anyio.create_task_group() as tasks:
        await polled(first, 4)
        tasks.start_soon(keep_polling, first)
        async with naive(settings, topic, group) as second:
            await polled(second, 4)  # all of them, though the first still works on them
            assert draining.until == 0.0
        tasks.cancel_scope.cancel()


async def polled(consumer, count):
    with anyio.fail_after(40):
        while len(consumer.assignment()) != count:
            await consumer.getmany(timeout_ms=100)


async def keep_polling(consumer):
    while True:
        await consumer.getmany(timeout_ms=100)


async def test_our_members_are_waited_for_while_they_drain(settings, topic):
    group = f"g-{topic}"
    ended = []

    class Busy(Ears):
        async def revoked(self, partitions):
            if partitions:
                await anyio.sleep(9)
                ended.append(time.monotonic())

    one, two = KafkaSource(settings, topic, group), KafkaSource(settings, topic, group)
    first, second = Busy(), Ears()
    await one.start(first)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_polling_source, one)
            with anyio.fail_after(30):
                await first.heard.wait()
            await two.start(second)
            tasks.start_soon(keep_polling_source, two)
            with anyio.fail_after(40):
                await second.heard.wait()
            assert ended
            assert [len(assigned) for assigned in second.assignments] == [2]
            tasks.cancel_scope.cancel()
    finally:
        await one.aclose()
        await two.aclose()


async def keep_polling_source(source):
    while True:
        await source.poll(max_records=10, seconds=0.1)


# -- 5: a join that outlives the request time-out -----------------------------------------------------------------


@pytest.fixture
def joins(monkeypatch):
    """How often each client has asked to join a group."""
    asked, send = Counter(), AIOKafkaClient.send

    async def counted(self, node_id, request, **more):
        asked[self] += type(request).__name__.startswith("JoinGroup")
        return await send(self, node_id, request, **more)

    monkeypatch.setattr(AIOKafkaClient, "send", counted)
    return asked


class Lingering(ConsumerRebalanceListener):
    """Keeps whoever joins waiting for 3 s."""

    async def on_partitions_revoked(self, revoked):
        if revoked:
            await anyio.sleep(3)

    async def on_partitions_assigned(self, assigned):
        pass


@pytest.mark.parametrize(("request_seconds", "again"), [(1.5, True), (80, False)], ids=["control", "as we set it"])
async def test_a_join_that_may_last_as_long_as_the_rebalance_is_asked_for_once(
    settings, topic, joins, request_seconds, again
):
    """In two requests: the first answer is the name of the member."""
    group, times = f"g-{topic}", {"rebalance_timeout_ms": 20_000}
    async with naive(settings, topic, group, Lingering(), **times) as first, anyio.create_task_group() as tasks:
        await polled(first, 4)
        tasks.start_soon(keep_polling, first)
        async with naive(settings, topic, group, request_timeout_ms=int(request_seconds * 1000), **times) as second:
            await polled(second, 2)
            assert (joins[second._client] > 2) is again
        tasks.cancel_scope.cancel()


def test_settings_under_which_a_join_is_sent_twice_are_refused():
    kafka = KafkaSettings(rebalance_seconds=60.0, request_seconds=65.0)
    with pytest.raises(UsageError, match="kafka_request_seconds"):
        check(Settings(kafka=kafka))


# -- 9: a member that does not poll -------------------------------------------------------------------------------


async def test_control_who_does_not_poll_leaves_and_thinks_it_is_there(settings, topic):
    group = f"g-{topic}"
    async with naive(settings, topic, group, max_poll_interval_ms=2_000) as consumer:
        await polled(consumer, 4)
        await anyio.sleep(5)
        assert await members(settings, group) == 0
        assert len(consumer.assignment()) == 4


async def test_a_sign_of_life_keeps_a_member_that_has_no_room(settings, topic):
    group = f"g-{topic}"
    kafka = KafkaSettings(
        bootstrap=settings.kafka.bootstrap, session_seconds=SESSION_SECONDS, poll_interval_seconds=2.0
    )
    source, ears = KafkaSource(Settings(kafka=kafka), topic, group), Ears()
    await source.start(ears)
    try:
        with anyio.fail_after(30):
            await ears.heard.wait()
        for _ in range(8):
            await anyio.sleep(0.6)
            await source.keep_alive()
        assert await members(settings, group) == 1
        assert len(ears.assignments) == 1
        found = []
        with anyio.fail_after(20):
            while len(found) < 4:  # what was buffered is read afterwards
                found += await source.poll(max_records=10, seconds=0.5)
    finally:
        await source.aclose()


# -- the static-id clash ------------------------------------------------------------------------------------------


async def test_control_two_with_one_static_id_both_own_everything_and_both_work_on_it(settings, topic):
    group = f"g-{topic}"
    async with naive(settings, topic, group, group_instance_id="pod-0") as first:
        mine = await read(first, 4)
        async with naive(settings, topic, group, group_instance_id="pod-0") as second:
            assert await read(second, 4) == mine
            assert len(first.assignment()) == len(second.assignment()) == 4


async def read(consumer, count):
    found = set()
    with anyio.fail_after(30):
        while len(found) < count:
            batches = await consumer.getmany(timeout_ms=100)
            found |= {(record.partition, record.offset) for records in batches.values() for record in records}
    return found


@pytest.fixture
def bundles(tmp_path, model_of, bundle_of):
    corpus = many_traces.write(tmp_path / "corpus.jsonl", CLASH_TRACES, "production", "candidate")
    url = model_of(corpus, "candidate", "--latency", "0.1")
    baseline, candidate = bundle_of(corpus, "production"), bundle_of(corpus, "candidate", url)
    return "--baseline", baseline, "--candidate", candidate, "--mode", "free", "--concurrency", "8"


def test_of_two_members_with_one_static_id_one_stops_and_says_why(stand, bundles, tmp_path):
    """Whoever is told first goes; the other one, or the next to be started, goes on, and nothing is done twice."""
    stand = stand.having(kafka_session_seconds=SESSION_SECONDS, worker_member="pod-0")
    stand.create(partitions=3)
    stand.run("traces", "produce", many_traces.write(tmp_path / "traces.jsonl", CLASH_TRACES))
    one, two = (stand.start(tmp_path / f"{name}.log", *bundles) for name in ("one", "two"))
    try:
        eventually(lambda: one.gone or two.gone, 120)
        stopped = one if one.gone else two
        assert stopped.process.returncode == 3
        assert "another worker running with the same worker_member" in stopped.log.read_text()
    finally:
        one.kill()
        two.kill()
    with stand.member(tmp_path / "alone.log", *bundles) as alone:
        eventually(lambda: stand.lag(*bundles)["lag"] == 0, 120, alive=alone)
    compared = stand.compared
    assert len(compared) == CLASH_TRACES
    assert repeated(compared) == 0
