"""A topic as it is now: every record there is, once, and then the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping

from consumers.kafka import KafkaCluster, KafkaSource
from consumers.stream import Partition, Received
from replay.settings import Settings

_AT_A_TIME = 500


class Nobody:
    """A reader of fixed partitions has no rebalances to hear of."""

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """Nothing to do."""

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Never called."""


async def to_the_end(settings: Settings, topic: str, *, since_ms: int = 0) -> AsyncIterator[Received]:
    """Records written at or after `since_ms`, to the end the topic has when this begins. Raises `StreamError`."""
    async with KafkaCluster.of(settings.kafka) as cluster:
        partitions = await cluster.partitions(topic)
        starts = await (cluster.offsets_at(partitions, since_ms) if since_ms else cluster.beginnings(partitions))
        ends = await cluster.ends(partitions)
    source = KafkaSource(settings, topic, positions=starts)
    await source.start(Nobody())
    try:
        while await _behind(source, ends):
            for record in await source.poll(max_records=_AT_A_TIME, seconds=0.5):
                if record.offset < ends[record.partition]:
                    yield record
    finally:
        await source.aclose()


async def _behind(source: KafkaSource, ends: Mapping[Partition, int]) -> bool:
    for partition, end in ends.items():
        if await source.position(partition) < end:
            return True
    return False
