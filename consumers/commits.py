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
    """One commit at a time. `note` is kept beside each offset."""

    source: Source
    outbox: Outbox
    leases: Leases
    telemetry: Telemetry
    note: Callable[[Partition], str] = lambda _: ""
    clock: Callable[[], int] = time.time_ns
    monotonic: Callable[[], float] = time.monotonic
    _one_at_a_time: anyio.Lock = field(default_factory=anyio.Lock)

    async def commit(self) -> None:
        """Publish watermarks, then keep the same offsets for the group. Never raises for a broker or a rebalance."""
        async with self._one_at_a_time:
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
