"""Delivery at least once: results as they end, watermarks and offsets in a rhythm, in that order.

What was written and not committed before a kill is replayed, and written, again; with the same `comparison_id`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import anyio

from consumers import telemetry as tel
from consumers.backlog import Reading
from consumers.backoff import pauses
from consumers.delivery import Account
from consumers.offsets import Lease, Leases, Tracker
from consumers.outbox import Outbox
from consumers.stream import (
    CommitRefusedError,
    Committed,
    Outgoing,
    Partition,
    RecordRefusedError,
    Sink,
    Source,
    StreamError,
)

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(slots=True)
class AtLeastOnce:
    """`note` is kept beside each offset."""

    source: Source
    sink: Sink
    outbox: Outbox
    leases: Leases
    account: Account
    commit_seconds: float = 1.0
    note: Callable[[Partition], str] = lambda _: ""
    monotonic: Callable[[], float] = time.monotonic
    _one_at_a_time: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def full(self) -> bool:
        return False

    async def retain(self, partitions: Collection[Partition]) -> None:
        """Nothing is held of a partition but its lease."""

    async def claim(self, partitions: Collection[Partition], epoch: int) -> list[Lease]:
        try:
            committed: Mapping[Partition, Committed] = await self.source.committed(partitions)
        except StreamError as error:
            self.account.telemetry.log.warning("committed_unknown", reason=str(error))
            return []
        return [self._lease(partition, committed.get(partition), epoch) for partition in partitions]

    def _lease(self, partition: Partition, found: Committed | None, epoch: int) -> Lease:
        held = self.leases.of(partition)
        if held is not None and held.kept == found:  # nobody has worked on it in between
            return held
        return Lease(partition, epoch, found, tracker=Tracker())

    async def deliver(self, readings: Sequence[Reading]) -> None:
        ours = [reading for reading in readings if not reading.lease.lost]
        await self._write([record for reading in ours for record in self.outbox.of(reading)])
        for reading in ours:
            if not reading.lease.lost:
                reading.lease.tracker.finish(reading.offset)
                self.account.finished(reading)

    async def run(self) -> None:
        while True:
            await anyio.sleep(self.commit_seconds)
            await self.flush()

    async def flush(self) -> None:
        """Publish watermarks, then keep the same offsets for the group."""
        async with self._one_at_a_time:
            due = {lease: mark for lease in self.leases if (mark := lease.to_commit) is not None}
            if due:
                await self._keep(due)

    def pause(self) -> None:
        """A commit that comes too late is refused, and that is all."""

    def resume(self) -> None:
        """Nothing was stopped."""

    async def aclose(self) -> None:
        """The sink is closed by whoever has opened it."""

    async def _keep(self, due: Mapping[Lease, int]) -> None:
        telemetry, began = self.account.telemetry, self.monotonic()
        marks = {lease: Committed(mark, self.note(lease.partition)) for lease, mark in due.items()}
        try:
            await self._write([self.outbox.watermark(lease.partition, mark) for lease, mark in due.items()])
            await self.source.commit({lease.partition: mark for lease, mark in marks.items()})
        except StreamError as error:
            refused = isinstance(error, CommitRefusedError)
            telemetry.count(tel.COMMITS, "refused" if refused else "failed")
            telemetry.log.warning("commit_failed", reason=str(error), refused=refused)
            return
        for lease, mark in marks.items():
            lease.kept = mark
        telemetry.count(tel.COMMITS, "committed")
        telemetry.observe(tel.COMMIT_SECONDS, self.monotonic() - began)

    async def _write(self, records: Sequence[Outgoing]) -> None:
        """Write until it is written. Raises `RecordRefusedError` only: a broker that is away is waited for."""
        for pause in pauses(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS):
            try:
                await self.sink.send(records)
            except RecordRefusedError:
                raise
            except StreamError as error:
                self.account.telemetry.count(tel.DELIVERY_FAILURES)
                self.account.telemetry.log.warning("delivery_failed", reason=str(error))
            else:
                return
            await anyio.sleep(pause)
