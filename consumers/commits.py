"""Watermarks and offsets: what of each partition is finished, told to the topic first and to the group then."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import anyio

from consumers import telemetry as tel
from consumers.offsets import Lease, Leases
from consumers.outbox import Outbox
from consumers.stream import CommitRefusedError, Committed, Partition, Source, StreamError
from consumers.telemetry import Telemetry


@dataclass(slots=True)
class Commits:
    """One commit at a time. `until` bounds each partition of a window; `note` is kept beside each offset."""

    source: Source
    outbox: Outbox
    leases: Leases
    telemetry: Telemetry
    until: Mapping[Partition, int] | None = None
    note: Callable[[Partition], str] = lambda _: ""
    clock: Callable[[], int] = time.time_ns
    monotonic: Callable[[], float] = time.monotonic
    _one_at_a_time: anyio.Lock = field(default_factory=anyio.Lock)

    async def commit(self, *, settled: Callable[[], bool]) -> None:
        """Publish watermarks, then keep the same offsets for the group. Never raises for a broker or a rebalance.

        `settled`: whether the reader's positions may be trusted to hold nothing that nobody has.
        """
        async with self._one_at_a_time:
            await self._pass_over_gaps(settled)
            due = {lease: mark for lease in self.leases if (mark := lease.to_commit) is not None}
            if due:
                await self._keep(due)

    async def _keep(self, due: Mapping[Lease, int]) -> None:
        began = self.monotonic()
        marks = {lease.partition: Committed(mark, self.note(lease.partition)) for lease, mark in due.items()}
        try:
            await self.outbox.mark([(lease.partition, mark) for lease, mark in due.items()], now=self.clock())
            await self.source.commit(marks)
        except StreamError as error:
            refused = isinstance(error, CommitRefusedError)
            self.telemetry.count(tel.COMMITS, "refused" if refused else "failed")
            self.telemetry.log.warning("commit_failed", reason=str(error), refused=refused)
            return
        for lease, mark in due.items():
            lease.committed = mark
        self.telemetry.count(tel.COMMITS, "committed")
        self.telemetry.observe(tel.COMMIT_SECONDS, self.monotonic() - began)

    async def _pass_over_gaps(self, settled: Callable[[], bool]) -> None:
        """Behind the last record there may be offsets without one; a watermark that stays there looks like lag."""
        for lease in list(self.leases):
            if not settled():
                return
            try:
                position = await self.source.position(lease.partition)
            except StreamError:
                continue  # it is being given away, or its broker is away: the next commit asks again
            if settled():
                end = position if self.until is None else self.until[lease.partition]
                lease.tracker.pass_to(min(position, end))
