"""A model server that answers from a script, over real HTTP on loopback; and one that sends any bytes at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web

EVENTS = {"Content-Type": "text/event-stream"}
JSON = {"Content-Type": "application/json"}
DONE = b"data: [DONE]\n\n"
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: pieces written one by one, then an ending.

    `cut` closes the connection in the middle of the body; `drop` closes it before there is an answer at all; `hang`
    keeps it open until the client goes away.
    """

    pieces: tuple[bytes, ...] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: EVENTS)
    gap_seconds: float = 0.0
    ending: Literal["end", "cut", "drop", "hang"] = "end"


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: Any
    connection: int


class ScriptedServer:
    """Gives its replies one after the other, the last one again and again; keeps every request."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies)
        self.received: list[Received] = []
        self.at_once = 0
        self.most_at_once = 0
        self.asked = asyncio.Event()
        self.client_gone = asyncio.Event()
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.received.append(Received(request.raw_path, dict(request.headers), body, id(request.transport)))
        self.asked.set()
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._answer(request, reply)
        finally:
            self.at_once -= 1

    async def _answer(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        if reply.ending == "drop" and request.transport is not None:
            request.transport.close()
            return response
        await response.prepare(request)
        for piece in reply.pieces:
            await response.write(piece)
            if reply.gap_seconds:
                await asyncio.sleep(reply.gap_seconds)
        if reply.ending == "cut" and request.transport is not None:
            request.transport.close()
        elif reply.ending == "hang":
            await self._wait_for_the_client_to_leave()
        return response

    async def _wait_for_the_client_to_leave(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.client_gone.set()


class RawServer:
    """Reads whatever comes first, sends `payload` and closes."""

    def __init__(self, payload: bytes = b"") -> None:
        self.payload = payload
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.payload)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has seen enough
        finally:
            writer.close()


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(delta: Mapping[str, Any] | None = None, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish_reason}
    return event({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "served-1", "choices": [choice]})


def usage_chunk(usage: object = None) -> bytes:
    fields = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "served-1", "choices": []}
    return event({**fields, "usage": USAGE if usage is None else usage})


def text_stream(*texts: str) -> tuple[bytes, ...]:
    """A whole streamed answer, as OpenAI sends it."""
    opening = chunk({"role": "assistant", "content": ""})
    return (opening, *(chunk({"content": text}) for text in texts), chunk({}, "stop"), usage_chunk(), DONE)


def call_delta(index: int | None, **fields: Any) -> dict[str, Any]:
    """A delta with a part of one tool call; `name` and `arguments` go into its function."""
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    place = {} if index is None else {"index": index}
    return {"tool_calls": [{**place, **fields, "function": function}]}


def whole(message: Mapping[str, Any], finish_reason: str = "stop", usage: object = None) -> Reply:
    """An answer that is not streamed."""
    return json_reply(
        {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "served-1",
            "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}],
            "usage": USAGE if usage is None else usage,
        }
    )


def json_reply(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply((json.dumps(value).encode(),), status=status, headers={**JSON, **(headers or {})})


def error_reply(status: int, message: str = "no", code: str | None = None, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return json_reply({"error": {"message": message, "code": code}}, status=status, headers=named)
