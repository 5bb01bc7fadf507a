"""Streams in memory and in files keep the contract; so does Kafka, in `tests/integration/kafka`."""

from __future__ import annotations

import pytest

from consumers.file_stream import FileSink, FileSource
from consumers.memory import MemorySink, MemorySource, MemoryTopics
from consumers.stream import Outgoing, RecordRefusedError
from stream_contract import Ears, StreamContract, Streams, numbered, opened, read


class TestMemory(StreamContract):
    @pytest.fixture
    def streams(self):
        topics = MemoryTopics({"traces": 3})
        return Streams("traces", 3, lambda topic, group: MemorySource(topics, topic, group), MemorySink(topics))


class TestFiles(StreamContract):
    @pytest.fixture
    async def streams(self, tmp_path):
        sink = await FileSink(tmp_path).start()
        yield Streams("traces", 1, lambda topic, group: FileSource(tmp_path, topic, group), sink, keeps_headers=False)
        await sink.aclose()


async def test_a_rebalance_in_memory_revokes_everything_and_starts_from_what_was_committed():
    topics = MemoryTopics({"traces": 2})
    await MemorySink(topics).send(numbered("traces", 8, 2))
    source, ears = MemorySource(topics, "traces"), Ears()
    await source.start(ears)
    await read(source, 8)
    both = topics.all_of("traces")
    await source.assign(both[:1])
    assert (ears.revocations, ears.assignments) == ([list(both)], [list(both), list(both[:1])])
    assert [record.offset for record in await read(source, 4)] == [0, 1, 2, 3]


async def test_half_a_line_is_no_record_until_it_is_whole(tmp_path):
    path = tmp_path / "traces.jsonl"
    path.write_bytes(b'{"n":1}\n{"n":')
    streams = Streams("traces", 1, lambda topic, group: FileSource(tmp_path, topic, group), FileSink(tmp_path))
    async with opened(streams) as source:
        assert [record.value for record in await read(source, 1)] == [b'{"n":1}']
        with path.open("ab") as file:
            file.write(b"2}\n")
        assert [record.value for record in await read(source, 1)] == [b'{"n":2}']


async def test_a_value_with_a_newline_cannot_be_a_line(tmp_path):
    sink = await FileSink(tmp_path).start()
    with pytest.raises(RecordRefusedError, match="newline"):
        await sink.send([Outgoing("traces", b"a\nb")])
