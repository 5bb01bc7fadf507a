"""`worker` and `window`: records of the traces topic in, comparisons and watermarks out, offsets committed in order.

    source.poll -> held -> decode, admit -> replays in flight -> ended -> delivery: written, offsets kept

Records end out of order; a partition's offset is kept up to its first unfinished record. What is read and has not
ended is bounded in records and bytes, and so is what waits to be written: the intake polls no more than there is room
for. A rebalance waits for the replays in flight within a budget; partitions that are kept go on with their work, that
of the others is dropped and done again by their new owner.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import anyio
import anyio.lowlevel
from anyio.streams.memory import MemoryObjectSendStream

from consumers import telemetry as tel
from consumers.backlog import Backlog, Reading
from consumers.dead_letters import BadRecords, dead_letter
from consumers.delivery import Delivery, origin
from consumers.intake import Intake
from consumers.kafka_config import COMMIT_SECONDS
from consumers.offsets import Lease, Leases
from consumers.replays import Limits, Replays, Settled, Spending, Task
from consumers.stream import Partition, Received, Source, StreamError
from consumers.telemetry import Telemetry
from replay.admission import Refused
from replay.divergence import Comparer, Job
from replay.errors import RecordError, UsageError
from replay.models import Model

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Capacity:
    """What may be read and not finished, and how long things may take. Bytes are those of records, as read."""

    concurrency: int = 32
    batch: int = 64
    bytes_in_flight: int = 64 << 20
    span: int = 24_000
    commit_seconds: float = 1.0
    drain_seconds: float = 20.0
    grace_seconds: float = 25.0
    poll_interval_seconds: float = 600.0
    claim_seconds: float = 10.0

    @property
    def records(self) -> int:
        """Enough that no replay waits for a poll, and few enough to drop at a rebalance."""
        return 2 * self.concurrency + self.batch


class Ended(NamedTuple):
    """How a worker ended. `stopped_by` names the limit; null for a stop that was asked for, or the end of a window."""

    stopped_by: str | None
    drained: bool


@dataclass(slots=True)
class Worker:
    """One member. `until` bounds each partition (a window); without it the worker runs until `stop`.

    It is its source's listener.
    """

    source: Source
    delivery: Delivery
    leases: Leases
    run_id: str
    intake: Intake
    comparer: Comparer
    model: Model
    telemetry: Telemetry
    lane_model: Model | None = None
    capacity: Capacity = field(default_factory=Capacity)
    limits: Limits = field(default_factory=Limits)
    bad_records: BadRecords = field(default_factory=lambda: BadRecords(None, None))
    until: Mapping[Partition, int] | None = None
    clock: Callable[[], int] = time.time_ns
    monotonic: Callable[[], float] = time.monotonic
    spent: Spending = field(default_factory=Spending)
    ready: bool = False
    backlog: Backlog = field(init=False)
    _stopped_by: str | None = None
    _stopping: bool = False
    _refused: UsageError | None = None
    _last_poll: float = 0.0
    _gaps_due: float = 0.0
    _claims_due: float = 0.0
    _polling: bool = False
    _changed: anyio.Event = field(default_factory=anyio.Event)
    _steady: anyio.Event = field(default_factory=anyio.Event)
    _intake_scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _ending: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _replays: Replays[Reading] = field(init=False)

    def __post_init__(self) -> None:
        self.backlog = Backlog(self.capacity.records, self.capacity.bytes_in_flight)
        self._replays = Replays(
            run_id=self.run_id,
            comparer=self.comparer,
            model=self.model,
            lane_model=self.lane_model,
            publish=self._publish,
            concurrency=self.capacity.concurrency,
            batch=self.capacity.batch,
            clock=self.clock,
            spent=self.spent,
        )

    async def run(self) -> Ended:
        """Work until stopped, the window's end, or a limit; then drain, commit and leave.

        Raises `StreamError` when the source is of no more use, `RecordRefusedError` when a result can never be
        written. Nothing that is not published is committed, however it ends.
        """
        self._steady.set()
        self._last_poll = self.monotonic()
        await self.source.start(self)
        try:
            async with self._attended():
                drained = await self._work()
            return Ended(self._stopped_by, drained)
        finally:
            await self.delivery.aclose()
            await self.source.aclose()

    def stop(self) -> None:
        """Read nothing more; `run` comes back when what is in flight has ended, or the grace is over."""
        self._stopping = True
        self._intake_scope.cancel()
        self._end_within_grace()

    # -- ownership: called by the source ----------------------------------------------------------------------

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Hand nothing more on, let what is in flight end, keep it. All within the budget of a rebalance."""
        self._steady = anyio.Event()
        if partitions:
            with anyio.move_on_after(self.capacity.drain_seconds):
                await self._until(lambda: self._replays.unsettled == 0)
            with anyio.move_on_after(COMMIT_SECONDS):
                await self.delivery.flush()
        self.delivery.pause()

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """Kept partitions go on where they were, when nobody else has committed for them in between."""
        try:
            await self._own(partitions)
        except UsageError as error:  # a source may call us from a task of its own, where nobody hears of it
            self._refused = error
        self.delivery.resume()
        self._steady.set()
        self._change()

    async def _own(self, partitions: Collection[Partition]) -> None:
        await self.delivery.retain(partitions)
        leases = await self.delivery.claim(partitions, self.leases.epoch + 1)
        kept = [lease for lease in leases if self.leases.of(lease.partition) is lease]
        new = [lease for lease in leases if lease not in kept]
        lost = [lease for lease in self.leases if lease not in kept]
        self.telemetry.count(tel.LOST, by=len(lost))
        # Their next owner reports them; ours would stand still, and look like lag.
        for partition in {*(lease.partition for lease in lost), *self.leases.unclaimed}:
            for metric in (tel.LAG, tel.POSITION):
                self.telemetry.forget(metric, partition.topic, str(partition.number))
        for lease in new:
            self.bad_records.forget(lease.partition)
        self.leases.renew(kept, new, set(partitions) - {lease.partition for lease in leases})
        self.backlog.drop_lost()
        for lease in leases:
            self._go_to_its_place(lease)
        self.telemetry.count(tel.REBALANCES)
        self.telemetry.count(tel.KEPT, by=len(kept))
        told = sorted(str(lease.partition) for lease in new)
        self.telemetry.log.info("assigned", epoch=self.leases.epoch, kept=len(kept), new=told)

    def _go_to_its_place(self, lease: Lease) -> None:
        """A window has positions of its own."""
        if lease.tracker.position is not None:
            self.source.seek(lease.partition, lease.tracker.position)
        elif lease.committed is not None and self.until is None:
            self.source.seek(lease.partition, lease.committed)

    # -- working ----------------------------------------------------------------------------------------------

    async def _work(self) -> bool:
        """Read, replay, and once the intake is closed let everything end. False when the grace was not enough."""
        to_replay, tasks = anyio.create_memory_object_stream[Task[Reading]](0)
        with self._ending:
            async with anyio.create_task_group() as group:
                group.start_soon(self._replays.run, tasks)
                async with to_replay:
                    with self._intake_scope:
                        await self._read(to_replay)
                if self._stopped_by is not None:
                    self._end_within_grace()
        with anyio.move_on_after(COMMIT_SECONDS, shield=True):
            await self.delivery.flush()
        return not self._ending.cancelled_caught

    def _end_within_grace(self) -> None:
        self._ending.deadline = anyio.current_time() + self.capacity.grace_seconds

    async def _read(self, to_replay: MemoryObjectSendStream[Task[Reading]]) -> None:
        held: deque[Reading] = deque()
        while not self._stopping and self._stopped_by is None:
            if self._refused is not None:
                raise self._refused
            if held:
                await self._steady.wait()
                await self._take(held.popleft(), to_replay)
            elif self._at_end():
                return
            else:
                before = {lease.partition: lease for lease in self.leases}
                held += self._begin(await self._poll(), before)
                await self._pass_over_gaps()

    async def _poll(self) -> Sequence[Received]:
        """Read what there is room for; without room, wait for something to end."""
        room = self.backlog.room
        if not room or self.delivery.full:
            await self._wait(_POLL_SECONDS)
            return ()
        self._polling = True
        try:
            return await self.source.poll(max_records=room, seconds=_POLL_SECONDS, partitions=self._wanted())
        finally:
            self._polling = False
            self._last_poll = self.monotonic()

    def _wanted(self) -> list[Partition]:
        """Partitions that are not too far ahead of their first unfinished record, and not at their end."""
        return [lease.partition for lease in self.leases if self._wants(lease)]

    def _wants(self, lease: Lease) -> bool:
        if self.until is not None and (lease.tracker.position or 0) >= self.until[lease.partition]:
            return False
        return lease.tracker.span < self.capacity.span

    def _begin(self, records: Sequence[Received], before: Mapping[Partition, Lease]) -> list[Reading]:
        """Enter what was polled, before anything is awaited: from here on each record is somebody's. `before`: the
        leases that it was asked for under.
        """
        begun: list[Reading] = []
        for record in records:
            lease = self.leases.of(record.partition)
            if lease is None or lease is not before.get(record.partition):  # it will be read again
                self._put_back(records, record.partition)
            elif self._beyond(record):
                lease.tracker.pass_to(self._last(record.partition))
            elif lease.tracker.begin(record.offset):
                begun.append(self.backlog.enter(record, lease, now=self.monotonic()))
        return begun

    def _put_back(self, records: Sequence[Received], partition: Partition) -> None:
        """Read before its assignment was told, or still under the last one: from where the lease begins."""
        lease = self.leases.of(partition)
        first = min(record.offset for record in records if record.partition == partition)
        begins = None if lease is None or self.until is not None else lease.committed
        self.source.seek(partition, first if begins is None else begins)

    async def _pass_over_gaps(self) -> None:
        """Behind the last record there may be offsets without one; a watermark that stays there looks like lag.

        Only the reader may ask, between two polls: at any other time the source's position may be behind records
        that it has taken, and nobody has entered yet.
        """
        if self.monotonic() < self._gaps_due:
            return
        self._gaps_due = self.monotonic() + self.capacity.commit_seconds
        for lease in list(self.leases):
            try:
                position = await self.source.position(lease.partition)
            except StreamError:
                continue  # it is being given away, or its broker is away: the next look asks again
            if self._steady.is_set() and not lease.lost:
                lease.tracker.pass_to(position if self.until is None else min(position, self._last(lease.partition)))

    def _beyond(self, record: Received) -> bool:
        return self.until is not None and record.offset >= self._last(record.partition)

    def _last(self, partition: Partition) -> int:
        return (self.until or {}).get(partition, 0)

    async def _take(self, reading: Reading, to_replay: MemoryObjectSendStream[Task[Reading]]) -> None:
        if reading.lease.lost:
            return
        try:
            found = self.intake.read(reading.record, reading.lease.repeats)
        except RecordError as error:
            await self._bury(reading, error)
            return
        self.bad_records.count(reading.record.partition, bad=False)
        if isinstance(found, Refused):
            reading.outcome = found.reason
            await self._end([reading])
            await anyio.lowlevel.checkpoint()
        elif self._may_begin():
            await self._hand_on(reading, [] if reading.was_finished else found, to_replay)

    async def _hand_on(
        self, reading: Reading, jobs: list[Job], to_replay: MemoryObjectSendStream[Task[Reading]]
    ) -> None:
        reading.left, reading.outcome = len(jobs), "admitted"
        if not jobs:  # all of it was done by an earlier start
            await self._end([reading])
        for job in jobs:
            await self._steady.wait()
            if reading.lease.lost:
                return
            self.spent.begin(job)
            await to_replay.send(Task(job, reading, reading.lease))

    def _may_begin(self) -> bool:
        """A limit that is reached leaves the record unfinished: the next start begins with it."""
        self._stopped_by = self._stopped_by or self.spent.reached(self.limits)
        return self._stopped_by is None

    async def _bury(self, reading: Reading, error: RecordError) -> None:
        too_many = self.bad_records.count(reading.record.partition, bad=True)
        if too_many is not None:
            self._stopped_by = f"{too_many}, the last one: {error}"
            return
        if not reading.was_finished:
            reading.letter = dead_letter(reading.record, error, run_id=self.run_id)
        reading.outcome = f"dead_letter.{error.stage}"
        self.telemetry.count(tel.DEAD_LETTERS, error.stage)
        self.telemetry.log.warning("dead_letter", **origin(reading), stage=error.stage, reason=str(error))
        await self._end([reading])

    # -- results ----------------------------------------------------------------------------------------------

    async def _publish(self, settled: Sequence[Settled[Reading]]) -> None:
        """A record has ended with the last of its units: what is written of it is written together."""
        for item in settled:
            item.ticket.comparisons.append(item.comparison)
            item.ticket.left -= 1
        await self._end([reading for reading in {item.ticket: None for item in settled} if not reading.left])

    async def _end(self, readings: Sequence[Reading]) -> None:
        for reading in readings:
            self.backlog.end(reading)
        await self.delivery.deliver(readings)
        self._change()

    # -- offsets ----------------------------------------------------------------------------------------------

    def _at_end(self) -> bool:
        """Whether a window has read all it may; what is in flight does not matter for that."""
        if self.until is None or len(self.leases) < len(self.until):
            return False
        return all((lease.tracker.position or 0) >= self._last(lease.partition) for lease in self.leases)

    # -- attendance -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _attended(self) -> AsyncIterator[None]:
        """Offsets and gauges in their own rhythm, a sign of life when nothing is polled, for as long as it lasts."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.delivery.run)
            group.start_soon(self._attend)
            yield
            group.cancel_scope.cancel()

    async def _attend(self) -> None:
        while True:
            await anyio.sleep(self.capacity.commit_seconds)
            await self._claim_what_is_left()
            await self._show_life()
            await self._report()

    async def _claim_what_is_left(self) -> None:
        """A partition that is ours, and could not be claimed or was claimed by another: not at once, for that other
        one may be right, and a rebalance on its way.
        """
        if not self.leases.unclaimed or not self._steady.is_set():
            self._claims_due = self.monotonic() + self.capacity.claim_seconds
        elif self.monotonic() >= self._claims_due:
            epoch = self.leases.epoch
            for lease in await self.delivery.claim(tuple(self.leases.unclaimed), epoch):
                if self._steady.is_set() and self.leases.epoch == epoch:
                    self.bad_records.forget(lease.partition)
                    self.leases.add(lease)
                    self._go_to_its_place(lease)
                    self.telemetry.log.info("claimed", partition=str(lease.partition))

    async def _show_life(self) -> None:
        silent = self.monotonic() - self._last_poll
        if silent > self.capacity.poll_interval_seconds / 3 and not self._polling and self._steady.is_set():
            await self.source.keep_alive()
            self._last_poll = self.monotonic()

    async def _report(self) -> None:
        oldest = self.backlog.oldest_since
        gauges = {
            tel.RECORDS_OPEN: len(self.backlog),
            tel.BYTES_OPEN: self.backlog.bytes,
            tel.REPLAYS_OPEN: self._replays.unsettled,
            tel.PARTITIONS: len(self.leases),
            tel.OLDEST: 0.0 if oldest is None else self.monotonic() - oldest,
        }
        for metric, value in gauges.items():
            self.telemetry.gauge(metric, value)
        try:
            ends = await self.source.ends([lease.partition for lease in self.leases])
        except StreamError as error:
            self.ready = False
            self.telemetry.log.warning("broker_away", reason=str(error))
            return
        self.ready = self._steady.is_set()
        for lease in self.leases:
            labels = (lease.partition.topic, str(lease.partition.number))
            if lease.committed is not None and lease.partition in ends:
                self.telemetry.gauge(tel.POSITION, lease.committed, *labels)
                self.telemetry.gauge(tel.LAG, ends[lease.partition] - lease.committed, *labels)

    # -- waiting ----------------------------------------------------------------------------------------------

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _wait(self, seconds: float) -> None:
        changed = self._changed
        with anyio.move_on_after(seconds):
            await changed.wait()

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._wait(_POLL_SECONDS)
