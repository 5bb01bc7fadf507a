"""A model that follows a script: chat completions over HTTP, streamed or whole. It is not a language model.

For the demo, and for trying bundles by hand without a provider. What it answers and how fast is decided by
`demo_data.acting` from the chat and a draw; here it is served. The name of the model in the request chooses how it
behaves. Two replays draw differently, as a model at a temperature above 0 would; one replay draws the same again.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path
from signal import SIG_IGN, SIGINT, SIGTERM, signal
from typing import Any, NamedTuple

import anyio
import msgspec
from aiohttp import web
from anyio import to_thread

from consumers.demo_data.acting import DRAW_HEADER, Asked, Draw, Played, play
from consumers.demo_data.script import Script, load_script
from consumers.playback import Refusal, parse_header, schedule
from consumers.recording import RecordedStep, TurnKey, completion, events
from replay.errors import ReplayError, UsageError
from replay.exact_json import Json, dumps
from replay.models import REPLAY_HEADER
from replay.trace import Message, ModelCall

LOOPBACK = "127.0.0.1"
#: Where the demo's bundles look for it when commands are typed by hand.
DEFAULT_PORT = 8043
PIECE_CHARS = 24
#: How long a process may take to listen, and to end.
START_SECONDS = 60.0
STOP_SECONDS = 2.0

_MAX_REQUEST_BYTES = 32 * 1024 * 1024


# -- what a request gets ------------------------------------------------------------------------------------------


class _StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool = False


class _Chat(msgspec.Struct, frozen=True):
    """The part of a request that matters to the script."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Any, ...] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


class Answer(NamedTuple):
    """An answer as it goes out: its bytes, in parts, and when the first and the last are due, in seconds."""

    parts: tuple[bytes, ...]
    content_type: str
    times: tuple[float, float]


def respond(script: Script, body: bytes, *, replay: str | None = None, draw: str | None = None) -> Answer | Refusal:
    """Answer a request, given its body and the headers that say what it is drawn by. Pure."""
    try:
        chat = msgspec.json.decode(body, type=_Chat)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        return Refusal(400, "bad_request", f"this is no chat completion request: {str(error)[:300]}")
    if chat.model not in script.models:
        known = ", ".join(script.models)
        return Refusal(404, "model_not_found", f"the script has no model {chat.model[:100]!r}; it has: {known}")
    drawn_by = _draw(chat, replay, draw)
    if isinstance(drawn_by, Refusal):
        return drawn_by
    played = play(script, Asked(chat.model, chat.messages, chat.tools or ()), drawn_by)
    return _answer(chat, drawn_by, played)


def _draw(chat: _Chat, replay: str | None, draw: str | None) -> Draw | Refusal:
    """A replay draws by its comparison, production by what it says, anyone else by the chat itself."""
    if replay is not None:
        header = parse_header(replay)
        return header if isinstance(header, Refusal) else Draw(header.comparison_id, header.step)
    turns = sum(message.role == "assistant" for message in chat.messages)
    if draw is None:
        return Draw(sha256(dumps(msgspec.to_builtins(chat.messages))).hexdigest(), turns)
    return Draw(draw, turns)


def _answer(chat: _Chat, draw: Draw, played: Played) -> Answer:
    call = ModelCall(output=played.message, usage=played.usage, model_responded=chat.model)
    step = RecordedStep(TurnKey(draw.unit, 0, 0), draw.step, call, b"")
    times = (played.ttft_ns / 1e9, played.latency_ns / 1e9)
    if not chat.stream:
        return Answer((completion(step, bundle=chat.model),), "application/json", times)
    usage = chat.stream_options is not None and chat.stream_options.include_usage
    parts = events(step, bundle=chat.model, piece_chars=PIECE_CHARS, include_usage=usage)
    return Answer(parts, "text/event-stream", times)


# -- over HTTP ----------------------------------------------------------------------------------------------------


def create_app(script: Script) -> web.Application:
    """Serve chat completions from a script."""
    app = web.Application(client_max_size=_MAX_REQUEST_BYTES)
    server = _Server(script)
    app.router.add_post("/v1/chat/completions", server.complete)
    app.router.add_get("/v1/models", server.models)
    return app


@asynccontextmanager
async def scripted_model(script: Script, *, host: str = LOOPBACK, port: int = 0) -> AsyncIterator[str]:
    """Serve while the context lasts; gives the base URL. Raises `UsageError` if it cannot listen there."""
    # Without cancellation a request whose client is gone would wait out its latency.
    runner = web.AppRunner(create_app(script), access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, backlog=1024).start()
        except OSError as error:
            raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from None
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{runner.addresses[0][1]}/v1"
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


class _Server:
    def __init__(self, script: Script) -> None:
        self._script = script

    async def complete(self, request: web.Request) -> web.StreamResponse:
        started = asyncio.get_running_loop().time()
        headers = request.headers
        body = await request.read()
        found = respond(self._script, body, replay=headers.get(REPLAY_HEADER), draw=headers.get(DRAW_HEADER))
        if isinstance(found, Refusal):
            error = {"code": found.code, "message": found.message, "type": "scripted_model"}
            return _json({"error": error}, status=found.status)
        return await _send(request, found, started)

    async def models(self, _: web.Request) -> web.Response:
        models = [{"id": name, "object": "model", "owned_by": "a script"} for name in self._script.models]
        return _json({"object": "list", "data": models})


async def _send(request: web.Request, answer: Answer, started: float) -> web.StreamResponse:
    """Write each part when it is due, counted from the request, so that delays do not add up."""
    response = web.StreamResponse()
    response.content_type = answer.content_type
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):  # the client is gone, which is its right
        for at, data in schedule(answer.parts, answer.times):
            await asyncio.sleep(max(0.0, started + at - loop.time()))
            if not response.prepared:
                await response.prepare(request)
            await response.write(data)
    return response


def _json(value: Json, *, status: int = 200) -> web.Response:
    return web.Response(body=dumps(value), status=status, content_type="application/json")


# -- as a process -------------------------------------------------------------------------------------------------


@contextmanager
def spawned(script: Path) -> Iterator[str]:
    """Serve a script from a process of its own, so that its work does not slow the replays it is timed by.

    Gives the base URL. The process ends with the context, and also if this one is killed: it then hears nothing more.
    Raises `UsageError` if the script cannot be used or the process does not listen.
    """
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_serve_until_left, args=(script, theirs), name="scripted-model", daemon=True)
    with _deaf_to_interrupts():
        process.start()
    theirs.close()
    try:
        yield _first_word(ours)
    finally:
        ours.close()
        process.join(STOP_SECONDS)
        if process.is_alive():
            process.terminate()
            process.join()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Ctrl-C reaches both processes. The new one inherits deafness, and ends when this one closes the pipe."""
    before = signal(SIGINT, SIG_IGN)
    try:
        yield
    finally:
        signal(SIGINT, before)


def _first_word(connection: Connection) -> str:
    try:
        word = connection.recv() if connection.poll(START_SECONDS) else None
    except EOFError:
        word = None
    if word is None:
        raise UsageError(f"the scripted model did not start within {START_SECONDS:g} s")
    if isinstance(word, ReplayError):
        raise word
    return str(word)


def _serve_until_left(script: Path, connection: Connection) -> None:
    anyio.run(_serve_to, script, connection)


async def _serve_to(script: Path, connection: Connection) -> None:
    try:
        async with scripted_model(load_script(script)) as url:
            with suppress(EOFError, OSError):  # the other process has left, or was killed
                connection.send(url)
                await to_thread.run_sync(connection.recv)
    except ReplayError as error:
        connection.send(error)


async def serve(script: Path, *, host: str = LOOPBACK, port: int = DEFAULT_PORT) -> None:
    """Serve until SIGTERM or SIGINT. Says on standard output, in one line of JSON, where. Raises `UsageError`."""
    async with scripted_model(load_script(script), host=host, port=port) as url:
        with anyio.open_signal_receiver(SIGTERM, SIGINT) as signals:
            sys.stdout.write(dumps({"listening": url}).decode() + "\n")
            sys.stdout.flush()
            async for _ in signals:
                break


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m consumers.scripted_model SCRIPT --port P`."""
    parser = argparse.ArgumentParser(prog="scripted_model", description="Serve a script as a model. It is no LLM.")
    parser.add_argument("script", type=Path, help="file of model-script/1, such as the demo's script.yaml")
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on (default loopback)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"default {DEFAULT_PORT}; 0 = a free one")
    arguments = parser.parse_args(argv)
    try:
        anyio.run(lambda: serve(arguments.script, host=arguments.host, port=arguments.port))
    except UsageError as error:
        sys.stderr.write(f"scripted_model: {error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
