"""Delivery exactly once: what has ended of a partition, its watermark and its offset, in one transaction.

    ended -> waiting -> [transaction: comparisons, dead letters, watermark; offset with the bitmap of what is done
    beyond it] -> finished

A record is written when all of it has ended, whether or not records before it have: after a restart the bitmap says
which ones are done, so that nothing is replayed, or paid, twice. Before anything is read of a partition, claiming it
locks earlier writers out; only then its offset is read. When the outcome of a transaction is not known the partition
is claimed again, which decides it, and the note beside the offset (each has its own nonce) says how. No transaction
is open while a model is asked.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import anyio

from consumers import telemetry as tel
from consumers.backlog import Reading
from consumers.backoff import pauses
from consumers.delivery import Account
from consumers.done_note import NONCE_CHARS, Note, read_note, write_note
from consumers.offsets import Lease, Leases, Tracker
from consumers.outbox import Outbox
from consumers.stream import (
    RIVAL,
    Committed,
    FencedError,
    Ledger,
    Outgoing,
    Partition,
    RecordRefusedError,
    StreamError,
)
from replay.errors import UsageError

_TICK_SECONDS = 0.05
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
#: So many times what makes a flush due may wait; then nothing more is read.
_MOST_WAITING = 3
#: One that comes back late, after it was taken for dead, loses a partition once. Two that both live lose it in turn.
_MOST_LOSSES = 5
_LOSSES_SECONDS = 120.0


class Due(NamedTuple):
    """What makes a flush of a partition due: its records, their bytes as they are written, or the oldest one's age."""

    records: int = 1_000
    bytes: int = 8 << 20
    seconds: float = 1.0


class _Attempt(NamedTuple):
    """A transaction as it is to be: kept as one, so that a second try writes the same."""

    readings: tuple[Reading, ...]
    records: tuple[Outgoing, ...]
    mark: Committed


@dataclass(slots=True, eq=False)
class _Waiting:
    """What has ended of one lease and is not finished. `attempt`: what is being written, or of unknown outcome."""

    lease: Lease
    readings: list[Reading] = field(default_factory=list)
    records: list[Outgoing] = field(default_factory=list)
    bytes: int = 0
    since: float = 0.0
    attempt: _Attempt | None = None
    one_at_a_time: anyio.Lock = field(default_factory=anyio.Lock)


@dataclass(slots=True)
class ExactlyOnce:
    """`rest` is the text that is kept beside each offset, behind the bitmap; `group` names whose offsets they are.

    `rereads`: what is done is read once more, to be counted (a window), and not passed over.
    """

    ledger: Ledger
    outbox: Outbox
    leases: Leases
    account: Account
    group: str
    due: Due = field(default_factory=Due)
    rest: Callable[[Partition], str] = lambda _: ""
    rereads: bool = False
    monotonic: Callable[[], float] = time.monotonic
    _waiting: dict[Lease, _Waiting] = field(default_factory=dict)
    _claiming: anyio.Lock = field(default_factory=anyio.Lock)
    _losses: dict[Partition, list[float]] = field(default_factory=dict)
    _paused: bool = False

    @property
    def full(self) -> bool:
        held = [waiting for waiting in self._waiting.values() if not waiting.lease.lost]
        return (
            sum(len(waiting.readings) for waiting in held) >= _MOST_WAITING * self.due.records
            or sum(waiting.bytes for waiting in held) >= _MOST_WAITING * self.due.bytes
        )

    # -- ownership ------------------------------------------------------------------------------------------------

    async def retain(self, partitions: Collection[Partition]) -> None:
        await self.ledger.retain(partitions)

    async def claim(self, partitions: Collection[Partition], epoch: int) -> list[Lease]:
        leases: list[Lease] = []
        refused: list[UsageError] = []

        async def one(partition: Partition) -> None:
            try:
                leases.append(self._lease(partition, await self.ledger.claim(partition), epoch))
            except StreamError as error:
                self.account.telemetry.log.warning("not_claimed", partition=str(partition), reason=str(error))
            except UsageError as error:
                refused.append(error)

        async with self._claiming, anyio.create_task_group() as group:
            for partition in partitions:
                group.start_soon(one, partition)
        if refused:
            raise refused[0]
        return leases

    def _lease(self, partition: Partition, found: Committed | None, epoch: int) -> Lease:
        held = self.leases.of(partition)
        if held is not None:
            if self._decided(held, found):
                return held
            self._lost(partition)
        note = read_note(found.note, found.offset, whose=f"group {self.group}") if found is not None else Note("")
        return Lease(partition, epoch, found, frozenset(note.done), Tracker(() if self.rereads else note.done))

    def _decided(self, lease: Lease, found: Committed | None) -> bool:
        """Whether the lease still stands, by what is kept after a claim; an attempt of unknown outcome is known now."""
        waiting = self._waiting.get(lease)
        attempt = waiting.attempt if waiting is not None else None
        if waiting is not None and attempt is not None and found == attempt.mark:
            self._finish(waiting, attempt)
            return True
        return found == lease.kept

    # -- writing --------------------------------------------------------------------------------------------------

    async def deliver(self, readings: Sequence[Reading]) -> None:
        for reading in readings:
            if not reading.lease.lost:
                self._take(reading)

    def _take(self, reading: Reading) -> None:
        waiting = self._waiting.setdefault(reading.lease, _Waiting(reading.lease))
        if not waiting.readings:
            waiting.since = self.monotonic()
        records = self.outbox.of(reading)
        waiting.readings.append(reading)
        waiting.records += records
        waiting.bytes += sum(len(record.value) for record in records)

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            while True:
                await anyio.sleep(_TICK_SECONDS)
                self._check_rivals()
                self._forget_lost()
                for lease in self.leases:
                    waiting = self._waiting.setdefault(lease, _Waiting(lease))
                    if self._is_due(waiting) and not waiting.one_at_a_time.locked():
                        group.start_soon(self._flush, waiting)

    async def flush(self) -> None:
        self._forget_lost()
        async with anyio.create_task_group() as group:
            for lease in list(self.leases):
                group.start_soon(self._flush, self._waiting.setdefault(lease, _Waiting(lease)))

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    async def aclose(self) -> None:
        await self.ledger.aclose()

    def _is_due(self, waiting: _Waiting) -> bool:
        if waiting.attempt is not None or len(waiting.readings) >= self.due.records or waiting.bytes >= self.due.bytes:
            return True
        if waiting.readings:
            return self.monotonic() - waiting.since >= self.due.seconds
        if waiting.lease.to_commit is None:  # nothing ended, and nothing passed over
            waiting.since = self.monotonic()
        return self.monotonic() - waiting.since >= self.due.seconds

    def _forget_lost(self) -> None:
        for lease in [lease for lease in self._waiting if lease.lost]:
            del self._waiting[lease]

    async def _flush(self, waiting: _Waiting) -> None:
        """One transaction, tried until its outcome is known, or the lease is lost."""
        async with waiting.one_at_a_time:
            for pause in pauses(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS):
                attempt = None if self._paused or waiting.lease.lost else self._attempt(waiting)
                if attempt is None or await self._written(waiting, attempt):
                    return
                await anyio.sleep(pause)
                await self._claim_again(waiting.lease)

    def _attempt(self, waiting: _Waiting) -> _Attempt | None:
        """What is to be written now; null when nothing is."""
        lease = waiting.lease
        if waiting.attempt is None and (waiting.readings or lease.to_commit is not None):
            for reading in waiting.readings:
                lease.tracker.finish(reading.offset)
            mark, done = self._mark(lease)
            watermark = self.outbox.watermark(lease.partition, mark.offset, done=done)
            waiting.attempt = _Attempt(tuple(waiting.readings), (*waiting.records, watermark), mark)
            waiting.readings, waiting.records, waiting.bytes = [], [], 0
        return waiting.attempt

    def _mark(self, lease: Lease) -> tuple[Committed, int]:
        """What is to be kept, and how many records beyond its offset are done."""
        watermark = lease.tracker.watermark
        # A window that reads what is done once more stays at what is kept until it is beyond it.
        offset = max(watermark or 0, lease.committed or 0)
        done = [found for found in {*lease.tracker.done_beyond, *lease.done_before} if found >= offset]
        note = Note(secrets.token_hex(NONCE_CHARS // 2), tuple(sorted(done)), self.rest(lease.partition))
        return Committed(offset, write_note(note, offset)), len(done)

    async def _written(self, waiting: _Waiting, attempt: _Attempt) -> bool:
        """False when the outcome is not known."""
        telemetry, began = self.account.telemetry, self.monotonic()
        try:
            await self.ledger.append(waiting.lease.partition, attempt.records, attempt.mark)
        except FencedError as error:
            self._drop(waiting.lease, str(error))
            return True
        except RecordRefusedError:
            raise
        except StreamError as error:
            telemetry.count(tel.COMMITS, "failed")
            telemetry.log.warning("commit_failed", partition=str(waiting.lease.partition), reason=str(error))
            return False
        self._finish(waiting, attempt)
        telemetry.observe(tel.COMMIT_SECONDS, self.monotonic() - began)
        return True

    def _finish(self, waiting: _Waiting, attempt: _Attempt) -> None:
        waiting.attempt = None
        waiting.since = self.monotonic()
        waiting.lease.kept = attempt.mark
        self.account.telemetry.count(tel.COMMITS, "committed")
        for reading in attempt.readings:
            self.account.finished(reading)

    async def _claim_again(self, lease: Lease) -> None:
        """Lock out whatever our last producer has left behind; then it is known what became of it."""
        try:
            async with self._claiming:
                if self._paused or lease.lost:
                    return
                found = await self.ledger.claim(lease.partition)
        except StreamError as error:
            self.account.telemetry.log.warning("not_claimed", partition=str(lease.partition), reason=str(error))
            return
        if not self._decided(lease, found):
            self._drop(lease, "somebody else has committed for it")

    def _drop(self, lease: Lease, reason: str) -> None:
        """Somebody else works on this partition. Whose it is, the group decides; until then it is left alone."""
        self.account.telemetry.count(tel.COMMITS, "fenced")
        self.account.telemetry.log.warning("fenced", partition=str(lease.partition), reason=reason)
        self.leases.drop(lease)
        self._lost(lease.partition)

    def _lost(self, partition: Partition) -> None:
        times = [*self._losses.get(partition, ()), self.monotonic()]
        self._losses[partition] = times[-_MOST_LOSSES:]

    def _check_rivals(self) -> None:
        """Two that take a partition from each other publish nothing wrong, and nothing at all."""
        for partition, times in self._losses.items():
            if len(times) == _MOST_LOSSES and times[-1] - times[0] < _LOSSES_SECONDS:
                raise StreamError(
                    f"{partition} was taken by another writer {_MOST_LOSSES} times in {times[-1] - times[0]:.0f} s: "
                    f"{RIVAL} in group {self.group}"
                )
