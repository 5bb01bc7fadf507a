"""What a run has put on the comparison topic before: how a window that was killed knows what is done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping

from consumers.kafka import KafkaCluster, KafkaSource
from consumers.stream import Partition
from replay.comparison import Comparison
from replay.errors import RecordError
from replay.exact_json import loads
from replay.settings import Settings
from replay.wire import from_json, schema_of

_AT_A_TIME = 500


class _Nobody:
    """A reader of fixed partitions has no rebalances to hear of."""

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """Nothing to do."""

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Never called."""


async def published(settings: Settings, *, run_id: str, since_ms: int) -> AsyncIterator[Comparison]:
    """Comparisons of one run, from records written at or after `since_ms` to the end the topic has now."""
    topic = settings.kafka.comparisons
    async with KafkaCluster.of(settings.kafka) as cluster:
        partitions = await cluster.partitions(topic)
        starts = await cluster.offsets_at(partitions, since_ms)
        ends = await cluster.ends(partitions)
    source = KafkaSource(settings, topic, positions=starts)
    await source.start(_Nobody())
    try:
        while await _behind(source, ends):
            for record in await source.poll(max_records=_AT_A_TIME, seconds=0.5):
                found = _comparison(record.value, run_id)
                if found is not None:
                    yield found
    finally:
        await source.aclose()


async def _behind(source: KafkaSource, ends: Mapping[Partition, int]) -> bool:
    for partition, end in ends.items():
        if await source.position(partition) < end:
            return True
    return False


def _comparison(value: bytes, run_id: str) -> Comparison | None:
    """Null for another run's, and for what is no comparison: whoever wrote that, it is not this run's work."""
    try:
        found = loads(value)
        if (schema_of(found) or "").partition("/")[0] != "comparison" or found.get("run_id") != run_id:
            return None
        return from_json(Comparison, found)
    except RecordError:
        return None
