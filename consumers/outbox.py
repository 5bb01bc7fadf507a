"""What the service writes of a record: comparisons and watermarks beside each other, dead letters apart.

Results of source partition p go to comparison partition p mod n, so that a reader finds a watermark behind every
comparison it speaks of.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from consumers.backlog import Reading
from consumers.stream import Outgoing, Partition
from replay.comparison import Comparison, DeadLetter, Watermark
from replay.wire import encode


@dataclass(frozen=True, slots=True)
class Outbox:
    """From records of ours to records of a topic. Writes nothing itself."""

    run_id: str
    comparisons_topic: str
    dead_letters_topic: str
    clock: Callable[[], int] = time.time_ns

    def of(self, reading: Reading) -> list[Outgoing]:
        """All there is to write of a record that has ended."""
        letters = [] if reading.letter is None else [self._letter(reading.letter, reading)]
        return letters + [self._comparison(comparison) for comparison in reading.comparisons]

    def watermark(self, partition: Partition, offset: int, *, done: int = 0) -> Outgoing:
        """Everything below `offset` is written, and `done` records beyond it."""
        mark = Watermark(
            run_id=self.run_id,
            topic=partition.topic,
            partition=partition.number,
            offset=offset,
            done=done,
            emitted_at=self.clock(),
        )
        return Outgoing(self.comparisons_topic, encode(mark), None, partition.number)

    def _letter(self, letter: DeadLetter, reading: Reading) -> Outgoing:
        return Outgoing(self.dead_letters_topic, encode(letter), reading.record.key, letter.source.partition)

    def _comparison(self, comparison: Comparison) -> Outgoing:
        key = (comparison.conversation_id or comparison.trace_id).encode("utf-8", "backslashreplace")
        return Outgoing(self.comparisons_topic, encode(comparison), key, comparison.source.partition)
