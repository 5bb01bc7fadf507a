"""What a model call costs in CPU: our routes beside the least that aiohttp needs for the same stream.

    python -m bench.routes

The server runs in a process of its own, so that only the client is counted. All figures of one run are taken in
alternating rounds, since a shared machine is faster in one minute than in the next.
"""

from __future__ import annotations

import asyncio
import cProfile
import importlib.util
import json
import multiprocessing
import pstats
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from statistics import median
from typing import Any, TypeAlias

import aiohttp
import orjson
from aiohttp import web

from replay.models import Endpoint, ModelRequest, RouteSpec
from replay.routes import open_model

CONCURRENCY = 32
ROUNDS = 5
CALLS = 400  # per round and client; 2,000 in all
LITELLM_CALLS = 40
GOAL = 2.0
TIMEOUT_SECONDS = 30.0

WORDS = 24  # pieces of the streamed answer
PROMPT_BYTES = 2048

#: Makes one call.
Call: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Client:
    """One way to make the call, and how often it is made in a round."""

    name: str
    call: Call
    calls: int


def main() -> None:
    """Print CPU milliseconds per call and the ratios to raw aiohttp."""
    parent, child = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(child,), daemon=True)
    server.start()
    try:
        asyncio.run(_measure(parent.recv()))
    finally:
        parent.send(None)
        server.join(5)
        if server.is_alive():
            server.kill()


async def _measure(url: str) -> None:
    endpoint = Endpoint(url, "bench", concurrency=CONCURRENCY)
    ours = open_model(RouteSpec("openai", "bench"), endpoint)
    routes = [ours]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        raw = Client("raw aiohttp", lambda: _raw_call(session, url), CALLS)
        clients = [raw, Client("openai route", lambda: _route_call(ours), CALLS)]
        if importlib.util.find_spec("litellm") is not None:
            litellm = open_model(RouteSpec("litellm", "openai/bench"), endpoint)
            routes.append(litellm)
            clients.append(Client("litellm route", lambda: _route_call(litellm), LITELLM_CALLS))
        costs = {client.name: await _cpu_ms(client) for client in clients for _ in range(1)}  # warm, not counted
        rounds = [{client.name: await _cpu_ms(client) for client in clients} for _ in range(ROUNDS)]
        costs = {name: median(each[name] for each in rounds) for name in costs}
        _print(costs, {client.name: client.calls * ROUNDS for client in clients})
        if costs["openai route"] > GOAL * costs[raw.name]:
            await _profile(clients[1])
    for route in routes:
        await route.aclose()


async def _cpu_ms(client: Client) -> float:
    started = time.process_time()
    await _many(client)
    return (time.process_time() - started) / client.calls * 1e3


async def _many(client: Client) -> None:
    left = iter(range(client.calls))

    async def work() -> None:
        for _ in left:
            await client.call()

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(work())


async def _route_call(route: Any) -> None:
    reply = await route.complete(REQUEST, timeout_seconds=TIMEOUT_SECONDS)
    assert reply.message.content == "word " * WORDS, reply


async def _raw_call(session: aiohttp.ClientSession, url: str) -> None:
    body = orjson.dumps({"model": "bench", "stream": True, "messages": REQUEST.messages, "tools": REQUEST.tools})
    headers = {"Content-Type": "application/json"}
    async with session.post(f"{url}/chat/completions", data=body, headers=headers) as response:
        tail = b""
        async for data in response.content.iter_any():  # reading line by line would cost a quarter more
            *lines, tail = (tail + data).split(b"\n")
            for line in lines:
                if line.startswith(b"data: {"):
                    orjson.loads(line[6:])


def _print(costs: dict[str, float], calls: dict[str, int]) -> None:
    raw = costs["raw aiohttp"]
    print(f"CPU per streamed call ({WORDS + 4} events, 4 tools, {PROMPT_BYTES} B prompt, {CONCURRENCY} at once)")
    for name, cost in costs.items():
        print(f"{name:>14}  {cost:7.3f} ms  {cost / raw:6.2f}x raw  ({calls[name]:,} calls)")


async def _profile(client: Client) -> None:
    profile = cProfile.Profile()
    profile.enable()
    await _many(client)
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(15)


def _tool(name: str) -> dict[str, Any]:
    properties = {key: {"type": "string", "description": f"the {key} to use"} for key in ("customer", "order", "note")}
    parameters = {"type": "object", "properties": properties, "required": ["customer"]}
    function = {"name": name, "description": f"{name} of a shop", "parameters": parameters}
    return {"type": "function", "function": function}


REQUEST = ModelRequest(
    messages=({"role": "system", "content": "p" * PROMPT_BYTES}, {"role": "user", "content": "Where is my order?"}),
    tools=tuple(_tool(name) for name in ("find_order", "refund", "send_note", "hand_over")),
)


def _serve(pipe: Connection) -> None:
    asyncio.run(_serve_until_told(pipe))


async def _serve_until_told(pipe: Connection) -> None:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", _stream)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
    await asyncio.to_thread(pipe.recv)
    await runner.cleanup()


async def _stream(request: web.Request) -> web.StreamResponse:
    await request.read()
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for event in EVENTS:
        await response.write(event)
    return response


def _event(delta: dict[str, str], finish_reason: str | None = None, **fields: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    common = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": "bench"}
    return b"data: " + json.dumps({**common, "choices": [choice], **fields}).encode() + b"\n\n"


EVENTS = (
    _event({"role": "assistant", "content": ""}),
    *(_event({"content": "word "}) for _ in range(WORDS)),
    _event({}, "stop"),
    _event({}, usage={"prompt_tokens": 800, "completion_tokens": WORDS, "total_tokens": 800 + WORDS}),
    b"data: [DONE]\n\n",
)

if __name__ == "__main__":
    main()
