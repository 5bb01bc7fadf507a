"""From the comparison topic into the feed's state, for as long as the feed runs."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

import anyio
from anyio import to_thread

from consumers import telemetry as tel
from consumers.backoff import pauses
from consumers.feed.hub import Hub
from consumers.feed.store import StateError, Store
from consumers.stream import Outgoing, Partition, Received, Sink, Source, StreamError
from consumers.telemetry import Telemetry

_AT_A_TIME = 200
_POLL_SECONDS = 0.5
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 10.0
_TIDY_EVERY_SECONDS = 600.0


@dataclass(slots=True)
class Folding:
    """Reads a source that `open_source` makes, and makes a new one when it fails or the topic has grown.

    It is its source's listener: reading begins where the state ends. `look_every` and `grow_every`: seconds between
    looks at the ends of the partitions, and at how many there are.
    """

    store: Store
    hub: Hub
    telemetry: Telemetry
    open_source: Callable[[], Awaitable[Source]]
    partitions_now: Callable[[], Awaitable[Collection[Partition]]]
    look_every: float = 5.0
    grow_every: float = 60.0
    clock: Callable[[], int] = time.time_ns
    #: Where verdicts are published, and the topic; null keeps them here.
    verdicts: tuple[Sink, str] | None = None
    ready: bool = False
    #: The end of each partition, by number, as it was last seen.
    ends: dict[int, int] = field(default_factory=dict)
    _source: Source | None = None
    _partitions: frozenset[Partition] = frozenset()
    _looked: float = 0.0
    _grown: float = 0.0
    _tidied: float = 0.0

    async def run(self) -> None:
        """Raises `StateError` when the state cannot be written or does not fit, `StreamError` if it never started."""
        await self._open()
        waits = _waits()
        while True:
            try:
                await self._follow()
                waits = _waits()
            except StreamError as error:
                self.ready = False
                pause = next(waits)
                self.telemetry.log.warning("source_lost", reason=str(error), again_in_seconds=pause)
                await anyio.sleep(pause)
            finally:
                await self._close()
            await self._open_again(waits)

    # -- the source's listener ----------------------------------------------------------------------------------

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """Go on behind what was folded."""
        source = self._source
        assert source is not None  # noqa: S101 - it calls us
        ends = await source.ends(partitions)
        for partition in partitions:
            kept = self.store.position(partition)
            if kept is not None and kept > ends[partition]:
                raise StateError(
                    f"feed_state: {self.store.path} was folded up to offset {kept} of {partition}, which ends at "
                    f"{ends[partition]}: the topic was made anew; name another file"
                )
            source.seek(partition, kept or 0)
        self._partitions = frozenset(partitions)
        self.telemetry.log.info("reading", partitions=sorted(map(str, partitions)))

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Nobody else folds into this state."""

    # -- reading ------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        self._source = await self.open_source()
        try:
            await self._source.start(self)
        except BaseException:
            await self._close()
            raise

    async def _open_again(self, waits: Iterator[float]) -> None:
        while True:
            try:
                return await self._open()
            except StreamError as error:
                pause = next(waits)
                self.telemetry.log.warning("source_away", reason=str(error), again_in_seconds=pause)
                await anyio.sleep(pause)

    async def _close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            await source.aclose()

    async def _follow(self) -> None:
        """Fold until the topic has other partitions than the source reads."""
        source = self._source
        assert source is not None  # noqa: S101 - opened before
        while True:
            records = await source.poll(max_records=_AT_A_TIME, seconds=_POLL_SECONDS)
            if records:
                await self._fold(records)
            else:
                self.hub.tell(await to_thread.run_sync(self.store.judge))
            await self._publish()
            if time.monotonic() - self._looked > self.look_every:
                await self._look(source)
            if time.monotonic() - self._grown > self.grow_every and await self._has_grown():
                return
            await self._tidy()

    async def _fold(self, records: Sequence[Received]) -> None:
        began = time.monotonic()
        folded = await to_thread.run_sync(self.store.fold, records)
        self.hub.tell(folded.events)
        self.telemetry.observe(tel.FOLD_SECONDS, time.monotonic() - began)
        for outcome, number in folded.outcomes.items():
            self.telemetry.count(tel.RECORDS, outcome, by=number)
        for comparison in folded.comparisons:
            self.telemetry.comparison(comparison)
        if refused := folded.outcomes.get("refused"):
            self.telemetry.log.warning("refused", records=refused, see="/api/summary")

    async def _publish(self) -> None:
        """Verdicts go out after they are kept: one that is told twice has the same id."""
        jury = self.store.jury
        if jury is None or self.verdicts is None:
            return
        sink, topic = self.verdicts
        found = jury.untold()
        if found:
            await sink.send([Outgoing(topic, value, run_id.encode("utf-8", "replace")) for _, run_id, value in found])
            jury.told(number for number, _, _ in found)

    async def _look(self, source: Source) -> None:
        """Between two polls: only then a position has nothing before it that is read and not folded."""
        await self._pass_over_gaps(source)
        ends = await source.ends(self._partitions)
        self.ends = {partition.number: end for partition, end in ends.items()}
        for partition, end in ends.items():
            labels, kept = (partition.topic, str(partition.number)), self.store.position(partition) or 0
            self.telemetry.gauge(tel.POSITION, kept, *labels)
            self.telemetry.gauge(tel.LAG, max(0, end - kept), *labels)
        self._looked = time.monotonic()
        self.ready = True

    async def _pass_over_gaps(self, source: Source) -> None:
        positions = {partition: await source.position(partition) for partition in self._partitions}
        ahead = {p: position for p, position in positions.items() if position > (self.store.position(p) or 0)}
        if ahead:
            await to_thread.run_sync(self.store.pass_to, ahead)

    async def _has_grown(self) -> bool:
        self._grown = time.monotonic()
        return frozenset(await self.partitions_now()) != self._partitions

    async def _tidy(self) -> None:
        if self._tidied and time.monotonic() - self._tidied < _TIDY_EVERY_SECONDS:
            return
        self._tidied = time.monotonic()
        now_ms = self.clock() // 1_000_000
        await to_thread.run_sync(lambda: self.store.forget_old(now_ms=now_ms))


def _waits() -> Iterator[float]:
    return pauses(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
