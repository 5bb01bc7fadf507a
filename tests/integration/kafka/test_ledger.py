"""Exactly once on a real broker: what the ledger promises, and for each hole of the client the naive way beside it.

The naive ways are what the client's documentation shows. They are kept as controls: each must fail here.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from uuid import uuid4

import anyio
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber, TopicAuthorizationFailedError
from aiokafka.protocol.admin import CreateAclsRequest

from consumers.kafka import KafkaCluster, KafkaLedger, KafkaSink, NewStream
from consumers.stream import Committed, FencedError, Outgoing, Partition, RecordRefusedError, StreamError
from local_kafka import LocalKafka
from replay.settings import KafkaSettings


@pytest.fixture
def settings(kafka_bootstrap):
    return KafkaSettings(bootstrap=kafka_bootstrap)


@pytest.fixture
async def topic(settings):
    """A topic whose records may have 100 kB."""
    name = f"ledger-{uuid4().hex[:12]}"
    async with KafkaCluster.of(settings) as cluster:
        await cluster.create(NewStream(name, 2, 1, {"max.message.bytes": "100000"}))
    return name


@pytest.fixture
def group(topic):
    return f"group-{topic}"


@pytest.fixture
def part(topic):
    """A partition whose offsets are kept. It need not hold anything."""
    return Partition(topic, 1)


@asynccontextmanager
async def ledgers(settings, group, count=1):
    opened = [KafkaLedger(settings, group) for _ in range(count)]
    try:
        yield opened
    finally:
        for ledger in opened:
            await ledger.aclose()


def records(topic, *values):
    return [Outgoing(topic, value, None, 0) for value in values]


async def visible(settings, topic):
    """What a reader of committed records sees, once no transaction is open: markers are written after a commit."""
    tp = TopicPartition(topic, 0)
    async with consumer_of(settings, "read_committed") as consumer, consumer_of(settings, "read_uncommitted") as all_of:
        with anyio.fail_after(20):
            while (await consumer.end_offsets([tp])) != (written := await all_of.end_offsets([tp])):
                await anyio.sleep(0.02)
            consumer.assign([tp])
            found = []
            while await consumer.position(tp) < written[tp]:
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    found += [record.value for record in batch]
            return found


@asynccontextmanager
async def consumer_of(settings, isolation):
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap, isolation_level=isolation, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def kept(settings, group, part):
    async with KafkaCluster.of(settings) as cluster:
        await anyio.sleep(0.3)  # markers are written after the commit has returned
        return (await cluster.group_offsets(group, [part])).get(part)


# -- what it promises ---------------------------------------------------------------------------------------------


async def test_records_and_mark_are_kept_together(settings, topic, group, part):
    async with ledgers(settings, group) as (ledger,):
        assert await ledger.claim(part) is None
        await ledger.append(part, records(topic, b"a", b"b"), Committed(2, "note"))
        await ledger.append(part, records(topic, b"c"), Committed(3, "n" * 4096))
        assert await visible(settings, topic) == [b"a", b"b", b"c"]
        assert await ledger.claim(part) == Committed(3, "n" * 4096)


async def test_without_a_claim_nothing_is_written(settings, topic, group, part):
    async with ledgers(settings, group) as (ledger,):
        with pytest.raises(StreamError, match="not claimed"):
            await ledger.append(part, records(topic, b"a"), Committed(1))
    assert await visible(settings, topic) == []


async def test_partitions_that_are_given_away_are_let_go(settings, topic, group, part):
    other = Partition(topic, 0)
    async with ledgers(settings, group) as (ledger,):
        await ledger.claim(part)
        await ledger.claim(other)
        await ledger.retain([other])
        with pytest.raises(StreamError, match="not claimed"):
            await ledger.append(part, [], Committed(1))
        await ledger.append(other, records(topic, b"a"), Committed(1))


async def test_a_claim_reads_what_was_committed_a_moment_ago(settings, topic, group, part):
    """Offsets read right after a commit are often old ones; fenced first, they never are."""
    async with ledgers(settings, group, 2) as (one, two):
        await one.claim(part)
        for number in range(1, 41):
            writer, reader = (one, two) if number % 2 else (two, one)
            await writer.append(part, records(topic, b"%d" % number), Committed(number))
            assert await reader.claim(part) == Committed(number)


async def test_an_open_transaction_is_ended_when_its_writer_is_closed(settings, topic, group, part, monkeypatch):
    """Else every reader of what is committed would wait for its time-out, a minute."""
    async with ledgers(settings, group) as (ledger,):
        await ledger.claim(part)

        async def fails(*_):
            raise KafkaError("between begin and commit")

        monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", fails)
        with pytest.raises(StreamError, match="between begin and commit"):
            await ledger.append(part, records(topic, b"never"), Committed(1))
        monkeypatch.undo()
    sink = await KafkaSink(settings).start()
    await sink.send(records(topic, b"behind"))
    await sink.aclose()
    assert await visible(settings, topic) == [b"behind"]
    assert await kept(settings, group, part) is None


# -- hole a: an evicted member's late transaction -----------------------------------------------------------------


async def test_a_late_transaction_of_an_earlier_writer_is_refused(settings, topic, group, part):
    async with ledgers(settings, group, 2) as (zombie, owner):
        await zombie.claim(part)
        await owner.claim(part)
        await owner.append(part, records(topic, b"0", b"1"), Committed(2))
        with pytest.raises(FencedError):
            await zombie.append(part, records(topic, b"0"), Committed(1))
        assert await visible(settings, topic) == [b"0", b"1"]
        assert await kept(settings, group, part) == Committed(2)


async def test_control_with_an_id_of_its_own_the_late_one_writes_twice_and_turns_the_offset_back(
    settings, topic, group, part
):
    async with naive(settings, "member-1") as zombie, naive(settings, "member-2") as owner:
        await transact(owner, group, part, [b"0", b"1"], 2)
        await transact(zombie, group, part, [b"0"], 1)
    assert sorted(await visible(settings, topic)) == [b"0", b"0", b"1"]
    assert (await kept(settings, group, part)).offset == 1


@asynccontextmanager
async def naive(settings, name):
    """A transactional producer as documented."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap, transactional_id=f"{name}-{uuid4().hex[:8]}", max_request_size=1 << 20
    )
    await producer.start()
    try:
        yield producer
    finally:
        with anyio.move_on_after(10, shield=True):
            await producer.stop()


async def transact(producer, group, part, values, offset):
    async with producer.transaction():
        for value in values:
            future = await producer.send(part.topic, value, partition=0)
            future.add_done_callback(asyncio.Future.exception)  # nobody looks at it: that is the point
        await producer.send_offsets_to_transaction({TopicPartition(*part): offset}, group)


# -- hole b: a commit succeeds though a record of it was refused --------------------------------------------------

TOO_LARGE = bytes(range(256)) * 1_000


async def test_a_refused_record_takes_its_whole_transaction_with_it(settings, topic, group, part):
    settings = KafkaSettings(bootstrap=settings.bootstrap, compression="none")
    async with ledgers(settings, group) as (ledger,):
        await ledger.claim(part)
        with pytest.raises(RecordRefusedError, match="max.message.bytes"):
            await ledger.append(part, records(topic, b"small", TOO_LARGE), Committed(2))
        assert await visible(settings, topic) == []
        assert await ledger.claim(part) is None
        await ledger.append(part, records(topic, b"next"), Committed(1))
        assert await visible(settings, topic) == [b"next"]


async def test_control_the_documented_way_commits_the_offset_of_a_record_that_was_refused(settings, topic, group, part):
    async with naive(settings, "b") as producer:
        await transact(producer, group, part, [b"small", TOO_LARGE], 2)
    assert await visible(settings, topic) == [b"small"]
    assert (await kept(settings, group, part)).offset == 2


async def test_control_after_a_refused_record_a_producer_that_goes_on_fails(settings, topic):
    """Hazard 13: the gap in its sequence refuses all that follows."""
    async with naive(settings, "gap") as producer:
        await producer.begin_transaction()
        with pytest.raises(KafkaError):
            await (await producer.send(topic, TOO_LARGE, partition=0))
        await producer.abort_transaction()
        await producer.begin_transaction()
        with pytest.raises(OutOfOrderSequenceNumber):
            await (await producer.send(topic, b"x", partition=0))


async def test_a_sink_goes_on_after_a_refused_record(settings, topic):
    """Hazard 13 again: its producer is put away."""
    sink = await KafkaSink(KafkaSettings(bootstrap=settings.bootstrap, compression="none")).start()
    with pytest.raises(RecordRefusedError):
        await sink.send(records(topic, TOO_LARGE))
    await sink.send(records(topic, b"x"))
    await sink.aclose()
    assert await visible(settings, topic) == [b"x"]


# -- hole c: an abort that aborts nothing -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A broker that can deny."""
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with LocalKafka(tmp_path_factory.mktemp("guarded"), properties=properties) as kafka:
        yield kafka


@pytest.fixture
async def denied(guarded):
    """One topic that may be written, and one that may not."""
    settings = KafkaSettings(bootstrap=guarded.bootstrap)
    names = [f"{kind}-{uuid4().hex[:8]}" for kind in ("open", "denied")]
    async with KafkaCluster.of(settings) as cluster:
        for name in names:
            await cluster.create(NewStream(name, 2, 1, {}))
    await deny_writing(guarded.bootstrap, names[1])
    return settings, *names


async def deny_writing(bootstrap, topic):
    """The admin client has no method for it; its protocol has. Topic, literal name; ALL, ALLOW; but WRITE, DENY."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        for operation, permission in ((2, 3), (4, 2)):
            request = CreateAclsRequest(2, topic, 3, "User:ANONYMOUS", "*", operation, permission)
            response = await admin._send_request(request)
            assert [result[0] for result in response.creation_responses] == [0]
    finally:
        await admin.close()


async def test_what_failed_is_undone_even_where_the_clients_abort_does_nothing(denied):
    settings, topic, closed = denied
    part, group = Partition(topic, 1), f"group-{topic}"
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the client leaves futures behind
    async with ledgers(settings, group) as (ledger,):
        await ledger.claim(part)
        with pytest.raises(StreamError):
            await ledger.append(part, [*records(topic, b"undone"), *records(closed, b"no")], Committed(2))
        assert await ledger.claim(part) is None
        await ledger.append(part, records(topic, b"next"), Committed(1))
    assert await visible(settings, topic) == [b"next"]
    assert await kept(settings, group, part) == Committed(1)


async def test_control_the_documented_abort_publishes_what_it_aborted(denied):
    settings, topic, closed = denied
    part, group = Partition(topic, 1), f"group-{topic}"
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the client leaves futures behind
    async with naive(settings, "c") as producer:
        await producer.begin_transaction()
        await (await producer.send(topic, b"aborted", partition=0))
        await producer.send_offsets_to_transaction({TopicPartition(*part): 7}, group)
        with pytest.raises(TopicAuthorizationFailedError):
            await (await producer.send(closed, b"no", partition=0))
        await producer.abort_transaction()
        await producer.begin_transaction()
        await (await producer.send(topic, b"next", partition=0))
        await producer.commit_transaction()
    assert await visible(settings, topic) == [b"aborted", b"next"]
    assert (await kept(settings, group, part)).offset == 7
