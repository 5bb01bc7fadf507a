"""What every implementation of `Source` and `Sink` promises: one suite, run against memory, files and a real broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import anyio
import pytest

from consumers.stream import CommitRefusedError, Committed, Outgoing, Partition, Sink, Source, StreamError


class Streams(NamedTuple):
    """`open_source(topic, group)` gives a source that is not started. `topic` has `partitions` partitions."""

    topic: str
    partitions: int
    open_source: Callable[[str, str], Source]
    sink: Sink
    keeps_headers: bool = True


@dataclass
class Ears:
    """A listener that remembers."""

    assignments: list[list[Partition]] = field(default_factory=list)
    revocations: list[list[Partition]] = field(default_factory=list)
    on_assigned: Callable[[list[Partition]], Awaitable[None]] | None = None
    heard: anyio.Event = field(default_factory=anyio.Event)

    async def assigned(self, partitions):
        self.assignments.append(sorted(partitions))
        if self.on_assigned is not None:
            await self.on_assigned(sorted(partitions))
        self.heard.set()

    async def revoked(self, partitions):
        self.revocations.append(sorted(partitions))


@asynccontextmanager
async def opened(streams: Streams, group: str = "readers", ears: Ears | None = None) -> AsyncIterator[Source]:
    source, ears = streams.open_source(streams.topic, group), ears or Ears()
    await source.start(ears)
    try:
        with anyio.fail_after(30):
            await ears.heard.wait()
        yield source
    finally:
        await source.aclose()


async def read(source: Source, count: int, *, max_records: int = 500, partitions=None) -> list:
    """Poll until `count` records are there; a stream that stays behind fails the test."""
    found: list = []
    with anyio.fail_after(30):
        while len(found) < count:
            batch = await source.poll(max_records=max_records, seconds=0.3, partitions=partitions)
            assert len(batch) <= max_records
            found += batch
    assert len(found) == count
    return found


def numbered(topic: str, count: int, partitions: int, **more) -> list[Outgoing]:
    return [Outgoing(topic, b'{"n":%d}' % n, b"k%d" % n, n % partitions, **more) for n in range(count)]


class StreamContract:
    """Subclasses give a `streams` fixture. Every test gets topics and groups of its own."""

    async def test_records_come_in_order_with_offsets_from_zero(self, streams):
        await streams.sink.send(numbered(streams.topic, 40, streams.partitions))
        async with opened(streams) as source:
            records = await read(source, 40)
        for number in range(streams.partitions):
            mine = [record for record in records if record.partition == Partition(streams.topic, number)]
            assert [record.offset for record in mine] == list(range(len(mine)))
            values = [int(record.value[5:-1]) for record in mine]
            assert values == sorted(values)
        assert {record.value for record in records} == {b'{"n":%d}' % n for n in range(40)}

    async def test_a_poll_takes_no_more_than_it_may_and_an_empty_one_comes_back(self, streams):
        await streams.sink.send(numbered(streams.topic, 10, streams.partitions))
        async with opened(streams) as source:
            assert len(await read(source, 10, max_records=3)) == 10
            assert list(await source.poll(max_records=3, seconds=0.2)) == []

    async def test_what_is_written_later_is_read_later(self, streams):
        await streams.sink.send(numbered(streams.topic, 1, 1))
        async with opened(streams) as source, anyio.create_task_group() as group:
            await read(source, 1)
            group.start_soon(streams.sink.send, numbered(streams.topic, 5, streams.partitions))
            assert len(await read(source, 5)) == 5

    async def test_a_source_partition_goes_to_that_partition_modulo_theirs(self, streams):
        await streams.sink.send([Outgoing(streams.topic, b"{}", None, streams.partitions * 3 + 1)])
        async with opened(streams) as source:
            (record,) = await read(source, 1)
        assert record.partition == Partition(streams.topic, 1 % streams.partitions)

    async def test_equal_keys_go_to_one_partition(self, streams):
        await streams.sink.send([Outgoing(streams.topic, b"{}", b"conversation") for _ in range(20)])
        async with opened(streams) as source:
            assert len({record.partition for record in await read(source, 20)}) == 1

    async def test_bytes_keys_and_headers_come_back_as_they_were(self, streams):
        value = '{"words":"\u2028 \ud83d\ude00 \\u0000"}'.encode("utf-8", "surrogatepass")
        await streams.sink.send([Outgoing(streams.topic, value, b"\xff\x00key", 0, (("name", b"\x00\xff"),))])
        async with opened(streams) as source:
            (record,) = await read(source, 1)
        assert record.value == value
        assert record.timestamp_ms > 1_600_000_000_000
        if streams.keeps_headers:
            assert (record.key, record.headers) == (b"\xff\x00key", (("name", b"\x00\xff"),))

    async def test_a_given_timestamp_is_kept(self, streams):
        given = 1_700_000_000_123
        await streams.sink.send([Outgoing(streams.topic, b"{}", timestamp_ms=given)])
        async with opened(streams) as source:
            (record,) = await read(source, 1)
        assert record.timestamp_ms == given or (not streams.keeps_headers and record.timestamp_ms > given)

    async def test_a_group_goes_on_where_it_committed_with_its_note(self, streams):
        await streams.sink.send(numbered(streams.topic, 10 * streams.partitions, streams.partitions))
        partition = Partition(streams.topic, 0)
        async with opened(streams) as source:
            assert await source.committed([partition]) == {}
            await read(source, 10 * streams.partitions)
            await source.commit({partition: Committed(4, "a note")})
        async with opened(streams) as source:
            assert await source.committed([partition]) == {partition: Committed(4, "a note")}
            assert [record.offset for record in await read(source, 6, partitions=[partition])] == list(range(4, 10))

    async def test_groups_do_not_know_of_each_other(self, streams):
        await streams.sink.send(numbered(streams.topic, 5, 1))
        async with opened(streams, "one") as source:
            await read(source, 5)
            await source.commit({Partition(streams.topic, 0): Committed(5)})
        async with opened(streams, "two") as source:
            assert len(await read(source, 5)) == 5

    async def test_a_partition_that_is_left_out_keeps_its_records(self, streams):
        await streams.sink.send(numbered(streams.topic, 6 * streams.partitions, streams.partitions))
        first, others = Partition(streams.topic, 0), streams.partitions - 1
        async with opened(streams) as source:
            assert {record.partition for record in await read(source, 6, partitions=[first])} == {first}
            assert len(await read(source, 6 * others)) == 6 * others if others else True
            assert list(await source.poll(max_records=5, seconds=0.1, partitions=[])) == []

    async def test_seek_and_position_agree(self, streams):
        await streams.sink.send(numbered(streams.topic, 6, 1))
        partition = Partition(streams.topic, 0)
        async with opened(streams) as source:
            await read(source, 6)
            assert await source.position(partition) == 6
            source.seek(partition, 2)
            assert [record.offset for record in await read(source, 4)] == [2, 3, 4, 5]
            assert await source.ends([partition]) == {partition: 6}

    async def test_a_sign_of_life_moves_nothing(self, streams):
        await streams.sink.send(numbered(streams.topic, 6, 1))
        async with opened(streams) as source:
            await read(source, 2, max_records=2)
            await source.keep_alive()
            assert [record.offset for record in await read(source, 4)] == [2, 3, 4, 5]

    async def test_seeking_in_the_assignment_is_where_reading_begins(self, streams):
        await streams.sink.send(numbered(streams.topic, 8, 1))
        source = streams.open_source(streams.topic, "seekers")

        async def seek(partitions):
            source.seek(Partition(streams.topic, 0), 5)

        ears = Ears(on_assigned=seek)
        await source.start(ears)
        try:
            assert [record.offset for record in await read(source, 3)] == [5, 6, 7]
        finally:
            await source.aclose()

    async def test_a_foreign_partition_cannot_be_committed_and_seeking_it_does_nothing(self, streams):
        await streams.sink.send(numbered(streams.topic, 1, 1))
        foreign = Partition(streams.topic, 999)
        async with opened(streams) as source:
            source.seek(foreign, 3)
            with pytest.raises((CommitRefusedError, StreamError)):
                await source.commit({foreign: Committed(1)})

    async def test_a_topic_that_is_not_there_is_named(self, streams):
        with pytest.raises(StreamError, match=r"nowhere-at-all"):
            await self.use_missing(streams, "nowhere-at-all")

    async def use_missing(self, streams, topic):
        await streams.open_source(topic, "g").start(Ears())
