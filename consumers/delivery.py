"""How results reach the topics, and offsets the group: at least once, or exactly once. The worker knows only this."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from consumers import telemetry as tel
from consumers.backlog import Reading
from consumers.offsets import Lease
from consumers.stream import Partition
from consumers.telemetry import Telemetry
from replay.comparison import Comparison


class Delivery(Protocol):
    """Takes records that have ended, and finishes them: what came of them is written, and their offsets kept."""

    @property
    def full(self) -> bool:
        """Whether so much waits to be written that nothing more should be read."""

    async def retain(self, partitions: Collection[Partition]) -> None:
        """These are ours, and no others: let go of those without touching what their owner does."""

    async def claim(self, partitions: Collection[Partition], epoch: int) -> list[Lease]:
        """Leases on partitions that are ours now; those that could not be had are left out. Never raises for a broker.

        A lease that is held and untouched by others comes back as it is. Raises `UsageError` for offsets whose notes
        cannot be read.
        """

    async def deliver(self, readings: Sequence[Reading]) -> None:
        """Take records that have ended. Raises `RecordRefusedError` for a result that can never be written."""

    async def run(self) -> None:
        """Keep offsets in a rhythm of its own, until cancelled."""

    async def flush(self) -> None:
        """Finish all that was taken, and keep the offsets. Never raises for a broker or a rebalance."""

    def pause(self) -> None:
        """Ownership is about to change: keep nothing until `resume`."""

    def resume(self) -> None:
        """Leases are settled again."""

    async def aclose(self) -> None:
        """Let go; nothing that was begun stays open."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who is told when a record is finished: metrics, the log, and a window's summary.

    `observe` is told of every comparison, `passed` of what became of every record.
    """

    telemetry: Telemetry
    observe: Callable[[Comparison], None] = lambda _: None
    passed: Callable[[str], None] = lambda _: None

    def finished(self, reading: Reading) -> None:
        for comparison in reading.comparisons:
            self.telemetry.comparison(comparison)
            self.observe(comparison)
        self.passed(reading.outcome)
        self.telemetry.count(tel.RECORDS, reading.outcome)
        if reading.comparisons:
            dispositions = {comparison.mode: comparison.disposition for comparison in reading.comparisons}
            trace_id = reading.comparisons[0].trace_id
            self.telemetry.log.info("replayed", **origin(reading), trace_id=trace_id, **dispositions)


def origin(reading: Reading) -> dict[str, object]:
    """Where a record stands, for a log line."""
    partition = reading.record.partition
    return {"topic": partition.topic, "partition": partition.number, "offset": reading.offset}
