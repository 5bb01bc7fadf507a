"""A feed over streams in memory, served on a free port of this machine."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import anyio

from consumers.feed.api import serve_feed
from consumers.feed.folding import Folding
from consumers.feed.hub import Hub
from consumers.feed.queries import Queries
from consumers.feed.store import Retention, Store
from consumers.memory import MemorySource, MemoryTopics
from consumers.stream import Outgoing, Source
from consumers.telemetry import FEED_METRICS, Telemetry, open_log
from replay.settings import FeedSettings, Settings
from replay.trace import Record
from replay.wire import encode

TOPIC = "comparisons"


@dataclass
class SmallFeed:
    directory: Path
    topics: MemoryTopics = field(default_factory=lambda: MemoryTopics({TOPIC: 3}))
    settings: FeedSettings = field(default_factory=lambda: FeedSettings(port=0))
    log: io.StringIO = field(default_factory=io.StringIO)
    #: Errors that the next sources raise when they are started.
    failing: list[Exception] = field(default_factory=list)
    port: int = 0
    folding: Folding = field(init=False)

    def put(self, records: Iterable[Record | bytes]) -> None:
        for number, record in enumerate(records):
            value = record if isinstance(record, bytes) else encode(record)
            self.topics.append(Outgoing(TOPIC, value, None, number))

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        telemetry = Telemetry(open_log(Settings(), self.log), metrics=FEED_METRICS)
        keep = Retention(self.settings.keep, self.settings.days)
        store = Store.open(self.directory / "feed.sqlite", topic=TOPIC, retention=keep)
        hub = Hub(self.settings.clients, self.settings.backlog, telemetry, last_seq=store.last_seq)
        self.folding = Folding(store, hub, telemetry, self._source, self._partitions, look_every=0.05, grow_every=0.1)
        try:
            async with (
                serve_feed(self.settings, Queries(store.path, TOPIC), self.folding) as self.port,
                anyio.create_task_group() as group,
            ):
                group.start_soon(self.folding.run)
                yield
                group.cancel_scope.cancel()
        finally:
            store.close()

    async def get(self, path: str, *, status: int = 200, **headers: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(self.url(path), headers=headers) as response:
            body = await response.text()
            assert response.status == status, body
            return json.loads(body) if response.content_type == "application/json" else body

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def caught_up(self) -> bool:
        positions = {p: self.folding.store.position(p) or 0 for p in self.topics.all_of(TOPIC)}
        return all(positions[p] == len(self.topics.log(p)) for p in positions)

    async def _source(self) -> Source:
        if self.failing:
            raise self.failing.pop(0)
        return MemorySource(self.topics, TOPIC, "feed")

    async def _partitions(self) -> list[Any]:
        return list(self.topics.all_of(TOPIC))


def events(text: str) -> list[dict[str, Any]]:
    """Server-sent events of a stream, as its specification has them parsed; comments are left out."""
    found = []
    for block in text.split("\n\n"):
        fields = [line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")]
        if fields:
            event = dict(fields)
            found.append(event | {"data": json.loads(event["data"])})
    return found
