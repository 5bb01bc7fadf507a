"""`shadow-replay feed`: fold the comparison topic, and serve what came of it."""

from __future__ import annotations

import argparse
import signal
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio

from consumers.assembly import operators_gate
from consumers.feed.api import serve_feed
from consumers.feed.folding import Folding
from consumers.feed.hub import Hub
from consumers.feed.queries import Queries
from consumers.feed.store import Retention, Store
from consumers.file_stream import FileSource
from consumers.journal import COMPARISONS
from consumers.kafka import KafkaCluster, KafkaSink, KafkaSource
from consumers.lifecycle import stopping
from consumers.run_command import DONE, INTERRUPTED
from consumers.service import service_settings
from consumers.stream import Partition, Sink, Source
from consumers.telemetry import FEED_METRICS, Telemetry, open_log, relay_client_log
from replay.settings import Settings


def feed(arguments: argparse.Namespace) -> int:
    """The command. Exit code 0 after SIGTERM, 130 after an interrupt."""
    settings = service_settings(arguments)
    return anyio.run(_serve, settings, _input(settings, arguments.results))


async def _serve(settings: Settings, given: _TopicInput | _DirectoryInput) -> int:
    feed, telemetry = settings.feed, Telemetry(open_log(settings), metrics=FEED_METRICS)
    stopped_by: list[signal.Signals] = []
    async with AsyncExitStack() as stack:
        gate = operators_gate(settings)
        kept = Retention(feed.keep, feed.days)
        store = Store.open(Path(feed.state), topic=given.topic, retention=kept, gate=gate)
        stack.callback(store.close)
        hub = Hub(feed.clients, feed.backlog, telemetry, last_seq=store.last_seq)
        sink = None if gate is None else await stack.enter_async_context(given.verdicts())
        folding = Folding(store, hub, telemetry, given.open_source, given.partitions, verdicts=sink)
        relay_client_log(telemetry.log)
        port = await stack.enter_async_context(serve_feed(feed, Queries(store.path, store.topic), folding))
        telemetry.log.info("serving", url=f"http://{feed.host}:{port}", topic=store.topic, state=feed.state)
        with anyio.CancelScope() as scope:

            def stop(number: signal.Signals) -> None:
                stopped_by.append(number)
                scope.cancel()

            async with stopping(stop):
                await folding.run()
        telemetry.log.info("stopped", signal=stopped_by[0].name)
    return INTERRUPTED if stopped_by[0] == signal.SIGINT else DONE


class _TopicInput:
    """The comparison topic, every partition of it, for this reader alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.topic = settings.kafka.comparisons

    async def open_source(self) -> Source:
        async with KafkaCluster.of(self._settings.kafka) as cluster:
            starts: Mapping[Partition, int] = await cluster.beginnings(await cluster.partitions(self.topic))
        return KafkaSource(self._settings, self.topic, positions=starts)

    @asynccontextmanager
    async def verdicts(self) -> AsyncIterator[tuple[Sink, str] | None]:
        sink = await KafkaSink(self._settings.kafka).start()
        try:
            yield sink, self._settings.kafka.verdicts
        finally:
            await sink.aclose()

    async def partitions(self) -> Collection[Partition]:
        async with KafkaCluster.of(self._settings.kafka) as cluster:
            return await cluster.partitions(self.topic)


class _DirectoryInput:
    """What `run` or `compare` has written, and goes on writing."""

    def __init__(self, directory: Path) -> None:
        self._source = FileSource(directory, COMPARISONS.removesuffix(".jsonl"))
        self.topic = str((directory / COMPARISONS).absolute())

    async def open_source(self) -> Source:
        return self._source

    @asynccontextmanager
    async def verdicts(self) -> AsyncIterator[tuple[Sink, str] | None]:
        yield None

    async def partitions(self) -> Collection[Partition]:
        return (self._source.partition,)


def _input(settings: Settings, results: str | None) -> _TopicInput | _DirectoryInput:
    return _TopicInput(settings) if results is None else _DirectoryInput(Path(results))
