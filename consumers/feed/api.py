"""The feed's HTTP door: JSON, live events, metrics, health. It answers; it never changes anything."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, TypeVar

import anyio
import msgspec
from aiohttp import web
from anyio import CapacityLimiter, to_thread

from consumers.access import Access
from consumers.feed.answers import Page, Refusal, Summary, Verdicts
from consumers.feed.folding import Folding
from consumers.feed.hub import CrowdedError, Hub, Listener
from consumers.feed.line import Event, Line
from consumers.feed.openapi import Endpoint, description
from consumers.feed.queries import Queries
from consumers.feed.selection import (
    FOR_COMPARISONS,
    FOR_EVENTS,
    FOR_SUMMARY,
    FOR_VERDICTS,
    RUN,
    Parameter,
    Selection,
    parse_selection,
)
from consumers.status import add_health, guarded_by, listening_on
from replay.errors import UsageError
from replay.settings import FeedSettings, secret_of

T = TypeVar("T")

_ALIVE_EVERY_SECONDS = 15.0
_READERS = 4
_LONGEST_WRITE_SECONDS = 30.0
_SEND_BUFFER_BYTES = 128 << 10


class _Asked(NamedTuple):
    request: web.Request
    selection: Selection
    now: datetime


@dataclass(frozen=True, slots=True)
class Api:
    """Handlers over the state, the hub and the folding."""

    queries: Queries
    hub: Hub
    folding: Folding
    readers: CapacityLimiter

    async def summary(self, asked: _Asked) -> web.StreamResponse:
        now_ms = int(asked.now.timestamp() * 1000)
        ask = partial(self.queries.summary, asked.selection, ends=dict(self.folding.ends), now_ms=now_ms)
        return _json(await self._read(ask))

    async def comparisons(self, asked: _Asked) -> web.StreamResponse:
        return _json(await self._read(partial(self.queries.page, asked.selection)))

    async def verdicts(self, asked: _Asked) -> web.StreamResponse:
        return _json(await self._read(partial(self.queries.verdicts, asked.selection)))

    async def events(self, asked: _Asked) -> web.StreamResponse:
        """Live events. Who comes back with Last-Event-ID gets what was missed, or is told that it is gone."""
        client = _Client(asked.request)
        after, run_id = _last_seen(asked.request), asked.request.query.get(RUN.name)
        try:
            with self.hub.listening(asked.selection, run_id, client.hang_up) as listener:
                up_to = self.hub.last_seq
                await client.open()
                if after is not None:
                    async for event in self._missed(after, up_to, asked.selection):
                        await client.write(_frame(event))
                await _relay(client, listener)
        except CrowdedError:
            reason = f"feed_clients: {self.hub.most} listen already; come back later"
            return _refused(503, reason, {"Retry-After": "10"})
        except (TimeoutError, ConnectionError):  # it is gone, or takes nothing: there is nobody to tell
            client.hang_up()
        return client.response

    async def _missed(self, after: int, up_to: int, selection: Selection) -> AsyncIterator[Event]:
        oldest = await self._read(self.queries.oldest)
        gone = min(up_to, (oldest or up_to + 1) - 1) - after
        if gone > 0:
            yield Event(kind="missed", seq=None, data=msgspec.json.encode({"comparisons": gone}))
        while after < up_to:
            lines: list[Line] = await self._read(partial(self.queries.lines, after=after, up_to=up_to))
            if not lines:
                return
            for line in lines:
                if selection.matches(line):
                    yield Event(kind="comparison", seq=line.seq, data=msgspec.json.encode(line), line=line)
            after = lines[-1].seq

    async def _read(self, ask: Callable[[], T]) -> T:
        return await to_thread.run_sync(ask, limiter=self.readers)


@asynccontextmanager
async def serve_feed(feed: FeedSettings, queries: Queries, folding: Folding) -> AsyncIterator[int]:
    """Serve for as long as the block lasts; gives the port. Raises `UsageError` for an open door."""
    token = secret_of(feed.token, feed.token_file, "feed_token")
    access = Access.of(host=feed.host, token=token, origins=feed.origins, setting="feed_host")
    api = Api(queries, folding.hub, folding, CapacityLimiter(_READERS))
    async with listening_on(application(api, access), feed.host, feed.port, setting="feed_port") as port:
        try:
            yield port
        finally:
            folding.hub.close()


def application(api: Api, access: Access) -> web.Application:
    """Everything the feed answers. The same table makes the routes and their description."""
    made = web.Application(middlewares=[guarded_by(access)])
    endpoints = _endpoints(api)
    for endpoint, handler in endpoints:
        made.router.add_get(endpoint.path, _parsed(handler, endpoint.parameters))
    add_health(made, api.folding, api.hub.telemetry)
    described = description([endpoint for endpoint, _ in endpoints], guarded=access.token is not None)

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=described, content_type="application/json")

    made.router.add_get("/openapi.json", openapi)
    return made


_Handler = Callable[[_Asked], Awaitable[web.StreamResponse]]


def _endpoints(api: Api) -> list[tuple[Endpoint, _Handler]]:
    return [
        (Endpoint("/api/summary", "Rolling sums by run, lane and mode.", FOR_SUMMARY, Summary), api.summary),
        (Endpoint("/api/comparisons", "Comparisons, newest first.", FOR_COMPARISONS, Page), api.comparisons),
        (Endpoint("/api/verdicts", "What the gate says, newest first.", FOR_VERDICTS, Verdicts), api.verdicts),
        (
            Endpoint(
                "/events",
                "Server-sent events: `comparison` (a line; its id is the line's seq), `watermark`, `verdict` (when a "
                "decision or its reasons have changed), and `missed` for one who comes back with a Last-Event-ID that "
                "is not kept any more. Who does not read is dropped.",
                FOR_EVENTS,
                Line,
                content="text/event-stream",
            ),
            api.events,
        ),
    ]


def _parsed(handler: _Handler, known: Sequence[Parameter]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def parse(request: web.Request) -> web.StreamResponse:
        now = datetime.fromtimestamp(time.time(), UTC)
        try:
            selection = parse_selection(list(request.query.items()), known, now=now)
            return await handler(_Asked(request, selection, now))
        except UsageError as error:
            return _refused(400, str(error))

    return parse


# -- server-sent events -----------------------------------------------------------------------------------------

_STREAM = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def _last_seen(request: web.Request) -> int | None:
    given = request.headers.get("Last-Event-ID")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 17):
        raise UsageError(f"Last-Event-ID is {given[:50]!r}, expected the id of an event of this feed")
    return int(given)


class _Client:
    """The other end of one stream of events."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse(headers=_STREAM)

    async def open(self) -> None:
        transport = self._request.transport
        taken: socket.socket | None = transport.get_extra_info("socket") if transport is not None else None
        if taken is not None:  # else the system keeps megabytes for each client that does not read
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        await self.response.prepare(self._request)

    async def write(self, data: bytes) -> None:
        """Raises `TimeoutError` when nothing is taken for long, `ConnectionError` when the client is gone."""
        with anyio.fail_after(_LONGEST_WRITE_SECONDS):
            await self.response.write(data)

    def hang_up(self) -> None:
        """At once, with whatever was not taken."""
        if self._request.transport is not None:
            self._request.transport.abort()


async def _relay(client: _Client, listener: Listener) -> None:
    await client.write(b": listening\n\n")
    while not listener.over:
        events = await listener.take(_ALIVE_EVERY_SECONDS)
        await client.write(b"".join(map(_frame, events)) or b": alive\n\n")


def _frame(event: Event) -> bytes:
    """JSON holds no line break, whatever a trace does: one `data` line is enough."""
    head = b"" if event.seq is None else b"id: %d\n" % event.seq
    return b"%sevent: %s\ndata: %s\n\n" % (head, event.kind.encode(), event.data)


# -- answers ----------------------------------------------------------------------------------------------------

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def _json(answer: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json", headers=_HEADERS)


def _refused(status: int, reason: str, headers: Mapping[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(Refusal(error=reason))
    return web.Response(
        body=body, status=status, content_type="application/json", headers={**_HEADERS, **(headers or {})}
    )
