"""A model that plays a recording: chat completions over HTTP, streamed or whole.

For trying the service without a provider, and the double for models in tests. What a request gets and when is
decided in `playback`; the application performs it, with the latency and the faults of a `Playback`. One line of JSON
per request says what was played.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import BinaryIO

import anyio
from aiohttp import web

from consumers.faults import FaultInjector
from consumers.files import BadLine, TraceItem, read_items
from consumers.playback import DEFAULT_PLAYBACK, Part, Play, Playback, Refusal, decide, parse_header, schedule
from consumers.recording import RecordedStep, Recording, completion, events, record
from replay.errors import UsageError
from replay.exact_json import Json, dumps
from replay.models import PREFIX_HEADER, REPLAY_HEADER
from replay.trace import Trace

LOOPBACK = "127.0.0.1"
#: Requests in flight get this long when the server is told to stop, and as long again to be cancelled.
STOP_SECONDS = 1.0
#: Answers kept ready to be sent.
RENDERED = 1024


def create_app(
    recording: Recording, playback: Playback = DEFAULT_PLAYBACK, *, log: BinaryIO | None = None
) -> web.Application:
    """Serve chat completions from a recording. `log` gets a line of JSON per request."""
    player = _Player(recording, playback, log)
    app = web.Application(client_max_size=player.playback.max_request_bytes)
    app.router.add_post("/v1/chat/completions", player.complete)
    app.router.add_post("/chat/completions", player.complete)
    app.router.add_get("/v1/models", player.models)
    app.router.add_get("/healthz", player.health)
    return app


@asynccontextmanager
async def recorded_model(
    recording: Recording,
    playback: Playback = DEFAULT_PLAYBACK,
    *,
    host: str = LOOPBACK,
    port: int = 0,
    log: BinaryIO | None = None,
) -> AsyncIterator[str]:
    """Serve while the context lasts; gives the base URL. Raises `UsageError` if it cannot listen there."""
    app = create_app(recording, playback, log=log)
    # Without cancellation a request whose client is gone would wait out its latency, or its silence.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=STOP_SECONDS)
    await runner.setup()
    try:
        await _listen(runner, host, port)
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{runner.addresses[0][1]}/v1"
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


@dataclass(slots=True)
class _Line:
    """The log line of one request. `at`: when it came, ns since the epoch, UTC."""

    at: int = field(default_factory=time.time_ns)
    comparison_id: str | None = None
    trace_id: str | None = None
    mode: str | None = None
    lane: str | None = None
    sample: int | None = None
    step: int | None = None
    status: int | None = None
    """Null when no status line was sent."""
    prefix: str | None = None
    fault: str | None = None
    error: str | None = None


class _Player:
    def __init__(self, recording: Recording, playback: Playback, log: BinaryIO | None) -> None:
        self.playback = playback
        self._recording = recording
        self._log = log
        self._faults = FaultInjector(playback.faults)
        self._rendered = lru_cache(maxsize=RENDERED)(self._render)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        started = asyncio.get_running_loop().time()
        line = _Line()
        try:
            decision = await self._decision(request, line)
            if isinstance(decision, Refusal):
                line.status, line.error = decision.status, decision.code
                return _error(decision)
            return await self._play(request, decision, started, line)
        finally:
            self._write(line)

    async def models(self, _: web.Request) -> web.Response:
        model = {"id": self._recording.bundle, "object": "model", "created": 0, "owned_by": "shadow-replay"}
        return _json({"object": "list", "data": [model]})

    async def health(self, _: web.Request) -> web.Response:
        recording = self._recording
        facts = {"bundle": recording.bundle, "trial": recording.trial, "turns": len(recording.turns)}
        return _json({"status": "ok", **facts, "traces": len(recording.keys), "repeated": recording.repeated})

    async def _decision(self, request: web.Request, line: _Line) -> Play | Refusal:
        text = request.headers.get(REPLAY_HEADER)
        header = None if text is None else parse_header(text)
        if isinstance(header, Refusal):
            return header
        if header is not None:
            line.comparison_id, line.trace_id, line.mode, line.lane, line.sample, line.step = header
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            limit = self.playback.max_request_bytes
            return Refusal(413, "request_too_large", f"a request may have {limit} bytes")
        return decide(self._recording, header, body)

    async def _play(self, request: web.Request, play: Play, started: float, line: _Line) -> web.StreamResponse:
        fault = self._faults.next(play.unit)
        line.step, line.prefix, line.fault = play.step.index, play.prefix, fault.name if fault else None
        if fault is not None and fault.kind == "status":
            line.status = fault.status
            return _error(Refusal(fault.status, "injected_fault", "a fault was asked for"), fault.retry_after)
        response = web.StreamResponse(headers={PREFIX_HEADER: play.prefix})
        if fault is not None and fault.kind == "silence":
            await asyncio.sleep(fault.seconds)
            return _hung_up(request, response)
        line.status = HTTPStatus.OK
        parts = self._rendered(play.step, play.stream, play.include_usage)
        response.content_type = "text/event-stream" if play.stream else "application/json"
        if not play.stream:
            response.content_length = sum(map(len, parts))
        plan = schedule(parts, self.playback.latency.times(play.step.call), fault)
        await _send(request, response, plan, started)
        return _hung_up(request, response) if fault is not None and fault.kind == "cut" else response

    def _render(self, step: RecordedStep, stream: bool, include_usage: bool) -> tuple[bytes, ...]:
        bundle = self._recording.bundle
        if not stream:
            return (completion(step, bundle=bundle),)
        return events(step, bundle=bundle, piece_chars=self.playback.piece_chars, include_usage=include_usage)

    def _write(self, line: _Line) -> None:
        if self._log is not None:
            self._log.write(dumps(line) + b"\n")
            self._log.flush()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
    except OSError as error:
        raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from None


def _hung_up(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Close the connection under an answer that is not complete."""
    if request.transport is not None:
        request.transport.close()
    return response


async def _send(request: web.Request, response: web.StreamResponse, plan: Sequence[Part], started: float) -> None:
    """Write each part when it is due, counted from the request, so that delays do not add up."""
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):  # the client is gone, which is its right
        for at, data in plan:
            if (delay := started + at - loop.time()) > 0:
                await asyncio.sleep(delay)
            if not response.prepared:
                await response.prepare(request)
            await response.write(data)


def _error(refusal: Refusal, retry_after: float | None = None) -> web.Response:
    error = {"code": refusal.code, "message": refusal.message, "type": "recorded_model"}
    headers = None if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return _json({"error": error}, status=refusal.status, headers=headers)


def _json(value: Json, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=dumps(value), status=status, headers=headers, content_type="application/json")


# -- as a program -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `recorded-model` was asked to serve, and where. `log` null = standard error."""

    corpus: str
    bundle: str
    trial: int | None = None
    host: str = LOOPBACK
    port: int = 0
    log: str | None = None
    playback: Playback = DEFAULT_PLAYBACK


async def serve(options: ServeOptions) -> None:
    """Play until told to stop. Says on standard output, in one line of JSON, where it listens. Raises `UsageError`."""
    recording = load_recording(options.corpus, bundle=options.bundle, trial=options.trial)
    with _opened_log(options.log) as log:
        async with recorded_model(recording, options.playback, host=options.host, port=options.port, log=log) as url:
            # Signals are ours before anyone is told that we listen, and the default again while we stop: a second
            # Ctrl-C kills.
            with anyio.open_signal_receiver(SIGTERM, SIGINT) as signals:
                sys.stdout.write(dumps({"listening": url}).decode() + "\n")
                sys.stdout.flush()
                async for _ in signals:
                    break


def load_recording(corpus: str, *, bundle: str, trial: int | None = None) -> Recording:
    """Index a file of traces. Its bad lines are left out and named on standard error. Raises `UsageError`."""
    return record(_good_traces(corpus), bundle=bundle, trial=trial)


def _good_traces(corpus: str) -> Iterator[Trace]:
    for item in read_items(corpus):
        if isinstance(item, TraceItem):
            yield item.trace
        elif isinstance(item, BadLine):
            sys.stderr.write(f"{corpus}, line {item.line}: {item.reason}; left out\n")


@contextmanager
def _opened_log(path: str | None) -> Iterator[BinaryIO]:
    with ExitStack() as stack:
        try:
            log = sys.stderr.buffer if path is None else stack.enter_context(Path(path).open("ab"))
        except OSError as error:
            raise UsageError(f"--log {path}: cannot be written: {error.strerror}") from None
        yield log
