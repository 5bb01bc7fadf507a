"""What the service writes: comparisons and watermarks beside each other, dead letters apart.

Results of source partition p go to comparison partition p mod n, so that a reader finds a watermark behind every
comparison it speaks of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import anyio

from consumers.dead_letters import dead_letter
from consumers.stream import Outgoing, Partition, Received, RecordRefusedError, Sink, StreamError
from replay.comparison import Comparison, Watermark
from replay.errors import RecordError
from replay.wire import encode

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Outbox:
    """Writes until it is written. `failed` is told of every failure in between."""

    sink: Sink
    run_id: str
    comparisons_topic: str
    dead_letters_topic: str
    failed: Callable[[StreamError], None]

    async def publish(self, comparisons: Iterable[Comparison]) -> None:
        """Raises `RecordRefusedError` only: a broker that is away is waited for."""
        await self._deliver([self._comparison(comparison) for comparison in comparisons])

    async def mark(self, watermarks: Iterable[tuple[Partition, int]], *, now: int) -> None:
        await self._deliver([self._watermark(*mark, now=now) for mark in watermarks])

    async def bury(self, record: Received, error: RecordError) -> None:
        letter = dead_letter(record, error, run_id=self.run_id)
        partition = record.partition.number
        await self._deliver([Outgoing(self.dead_letters_topic, encode(letter), record.key, partition)])

    def _comparison(self, comparison: Comparison) -> Outgoing:
        key = (comparison.conversation_id or comparison.trace_id).encode("utf-8", "backslashreplace")
        return Outgoing(self.comparisons_topic, encode(comparison), key, comparison.source.partition)

    def _watermark(self, partition: Partition, offset: int, *, now: int) -> Outgoing:
        mark = Watermark(
            run_id=self.run_id, topic=partition.topic, partition=partition.number, offset=offset, emitted_at=now
        )
        return Outgoing(self.comparisons_topic, encode(mark), None, partition.number)

    async def _deliver(self, records: Sequence[Outgoing]) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return await self.sink.send(records)
            except RecordRefusedError:
                raise
            except StreamError as error:
                self.failed(error)
            await anyio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
