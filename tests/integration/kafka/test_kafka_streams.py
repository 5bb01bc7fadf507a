"""Kafka keeps the contract of `Source` and `Sink`, on a real broker; and what only Kafka can do."""

from __future__ import annotations

import os
from uuid import uuid4

import anyio
import pytest

from consumers.kafka import KafkaCluster, KafkaSink, KafkaSource, NewStream
from consumers.stream import Committed, Outgoing, Partition, RecordRefusedError, StreamError
from replay.settings import KafkaSettings, Settings, WorkerSettings
from stream_contract import Ears, StreamContract, Streams, numbered, opened, read


@pytest.fixture
def settings(kafka_bootstrap) -> Settings:
    worker = WorkerSettings(drain_seconds=3)
    return Settings(kafka=KafkaSettings(bootstrap=kafka_bootstrap, session_seconds=6, request_seconds=80), worker=worker)


@pytest.fixture
async def topic(settings):
    name = f"contract-{uuid4().hex[:12]}"
    async with KafkaCluster.of(settings.kafka) as cluster:
        assert await cluster.create(NewStream(name, 3, 1, {}))
    return name


@pytest.fixture
async def sink(settings):
    sink = await KafkaSink(settings.kafka).start()
    yield sink
    await sink.aclose()


class TestKafka(StreamContract):
    @pytest.fixture
    async def streams(self, settings, topic, sink):
        return Streams(topic, 3, lambda name, group: KafkaSource(settings, name, f"{topic}-{group}"), sink)

    async def use_missing(self, streams, topic):
        """A member of a group waits for a topic to appear; whoever asks the cluster is told."""
        async with KafkaCluster.of(streams.sink.kafka) as cluster:
            await cluster.partitions(topic)


class TestKafkaWithoutAGroup(StreamContract):
    """Fixed partitions from fixed positions: how a window and the feed read. Commits go to a group of its own."""

    @pytest.fixture
    async def streams(self, settings, topic, sink):
        def source(name, group):
            starts = {Partition(name, number): 0 for number in range(3)}
            return _FromCommitted(settings, name, f"{topic}-{group}", starts)

        return Streams(topic, 3, source, sink)

    async def use_missing(self, streams, topic):
        async with KafkaCluster.of(streams.sink.kafka) as cluster:
            await cluster.partitions(topic)


class _FromCommitted(KafkaSource):
    """Goes on where its group is, as a resumed window's caller does."""

    async def start(self, listener):
        await super().start(listener)
        for partition, kept in (await self.committed(list(self.positions))).items():
            self.seek(partition, kept.offset)


async def test_two_members_share_and_the_one_that_stays_gets_everything_back(settings, topic, sink):
    first, second = KafkaSource(settings, topic, f"{topic}-g"), KafkaSource(settings, topic, f"{topic}-g")
    one, two = Ears(), Ears()

    async def poll(source):
        while True:
            await source.poll(max_records=1, seconds=0.2)

    await first.start(one)
    async with anyio.create_task_group() as group:
        group.start_soon(poll, first)
        await one.heard.wait()
        await second.start(two)
        with anyio.fail_after(40):
            while not (two.assignments and two.assignments[-1] and len(one.assignments[-1]) < 3):
                await second.poll(max_records=1, seconds=0.2)
        assert sorted(one.assignments[-1] + two.assignments[-1]) == [Partition(topic, number) for number in range(3)]
        await second.aclose()
        with anyio.fail_after(40):
            while len(one.assignments[-1]) < 3:
                await anyio.sleep(0.05)
        group.cancel_scope.cancel()
    await first.aclose()
    assert one.revocations[-1]


async def test_offsets_by_time_are_the_first_at_or_after_it_or_the_end(settings, topic, sink):
    stamps = [1000, 2000, 2000, 3000]
    await sink.send([Outgoing(topic, b"{}", partition=0, timestamp_ms=stamp) for stamp in stamps])
    zero, one = Partition(topic, 0), Partition(topic, 1)
    async with KafkaCluster.of(settings.kafka) as cluster:
        found = [(await cluster.offsets_at([zero, one], ms))[zero] for ms in (0, 1000, 1001, 2000, 2001, 3001)]
        assert found == [0, 0, 1, 1, 3, 4]
        assert (await cluster.offsets_at([one], 0))[one] == 0
        assert await cluster.ends([zero, one]) == {zero: 4, one: 0}


async def test_notes_of_4096_bytes_are_kept_for_a_group_without_members(settings, topic):
    partition, note = Partition(topic, 2), "x" * 4096
    async with KafkaCluster.of(settings.kafka) as cluster:
        await cluster.commit(f"{topic}-kept", {partition: Committed(7, note)})
        with anyio.fail_after(10):
            while await cluster.group_offsets(f"{topic}-kept", [partition]) != {partition: Committed(7, note)}:
                await anyio.sleep(0.05)


async def test_a_topic_is_made_once(settings, topic):
    async with KafkaCluster.of(settings.kafka) as cluster:
        assert not await cluster.create(NewStream(topic, 3, 1, {}))
        with pytest.raises(StreamError, match="was not made"):
            await cluster.create(NewStream(f"{topic}-x", 3, 1, {"no.such.setting": "1"}))
        assert len(await cluster.partitions(topic)) == 3


async def test_a_record_that_is_too_large_is_refused_and_the_sink_goes_on(settings, topic, sink):
    with pytest.raises(RecordRefusedError, match=r"max\.message\.bytes"):
        await sink.send([Outgoing(topic, os.urandom(3 << 20), partition=0)])
    await sink.send(numbered(topic, 2, 1))
    streams = Streams(topic, 3, lambda name, group: KafkaSource(settings, name, f"{topic}-{group}"), sink)
    async with opened(streams) as source:
        assert len(await read(source, 2)) == 2


async def test_an_address_without_a_broker_is_one_clear_error(kafka_bootstrap):
    kafka = KafkaSettings(bootstrap="127.0.0.1:1")
    with pytest.raises(StreamError, match=r"no Kafka at 127\.0\.0\.1:1: is kafka_bootstrap right"):
        await KafkaSink(kafka).start()
    with pytest.raises(StreamError, match="no Kafka at"):
        async with KafkaCluster.of(kafka):
            pass
