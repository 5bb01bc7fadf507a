"""A model that plays a recording: chat completions over HTTP, streamed or whole.

For trying the service without a provider, and the double for models in tests. What a request gets is decided in
`decide`, from the recording, the replay header and the body alone; the application performs it, with the latency
and the faults of a `Playback`. One line of JSON per request says what was played.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote

import anyio
import msgspec
from aiohttp import web

from consumers.faults import NO_FAULTS, Fault, FaultInjector, FaultPlan
from consumers.files import BadLine, TraceItem, read_items
from consumers.recording import (
    OFF_PREFIX,
    PREFIX_MATCH,
    Missing,
    RecordedStep,
    Recording,
    completion,
    digest,
    events,
    record,
)
from replay.errors import RecordError, UsageError
from replay.exact_json import Json, dumps
from replay.models import PREFIX_HEADER, REPLAY_HEADER
from replay.trace import Message, ModelCall, Trace

LOOPBACK = "127.0.0.1"
#: Requests in flight get this long when the server is told to stop, and as long again to be cancelled.
STOP_SECONDS = 1.0
#: A stream is written in at most so many parts after its first: spread over its time, yet cheap.
STREAM_PARTS = 4
#: Answers kept ready to be sent.
RENDERED = 1024

_COUNT = re.compile("[0-9]{1,9}")


# -- how a recording is played ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Latency:
    """How long an answer takes. `seconds` null = as long as recorded, and nothing where that is unknown."""

    seconds: float | None = None
    time_scale: float = 1.0
    ttft_fraction: float = 0.3
    """When the first piece comes, as a share of the whole, where no time to first token was recorded."""

    def times(self, call: ModelCall) -> tuple[float, float]:
        """Say when the first piece and the end of an answer are due, in seconds after the request."""
        if self.seconds is not None:
            return self.seconds * self.time_scale * self.ttft_fraction, self.seconds * self.time_scale
        whole = (call.duration_ns or 0) / 1e9 * self.time_scale
        first = whole * self.ttft_fraction if call.ttft_ns is None else call.ttft_ns / 1e9 * self.time_scale
        return min(first, whole), whole


NO_LATENCY = Latency(0.0)


def parse_latency(text: str, *, time_scale: float = 1.0) -> Latency:
    """Parse `recorded`, `none` or a number of seconds. Raises `UsageError`."""
    if text == "recorded":
        return Latency(time_scale=time_scale)
    try:
        seconds = 0.0 if text == "none" else float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UsageError(f"--latency {text!r}: expected recorded, none, or a number of seconds")
    return Latency(seconds, time_scale)


@dataclass(frozen=True, slots=True)
class Playback:
    latency: Latency = NO_LATENCY
    faults: FaultPlan = NO_FAULTS
    piece_chars: int = 24
    """Length of the pieces a streamed text comes in."""
    max_request_bytes: int = 32 * 1024 * 1024


DEFAULT_PLAYBACK = Playback()


# -- what a request gets ------------------------------------------------------------------------------------------


class ReplayHeader(NamedTuple):
    """What a replay says of the request it makes."""

    comparison_id: str
    trace_id: str
    mode: str
    lane: str
    sample: int
    step: int

    @property
    def unit(self) -> tuple[str, ...]:
        return (self.comparison_id, self.trace_id, self.mode, str(self.step))


class Play(NamedTuple):
    """Play this step. `unit` is what attempts are counted by."""

    step: RecordedStep
    prefix: str
    unit: tuple[str, ...]
    stream: bool
    include_usage: bool


class Refusal(NamedTuple):
    status: int
    code: str
    message: str


def parse_header(text: str) -> ReplayHeader | Refusal:
    """Parse `comparison_id; trace_id; mode; lane; sample; step`, each percent-encoded."""
    parts = [unquote(part.strip()) for part in text.split(";")] if text.isascii() else []
    match parts:
        case [comparison_id, trace_id, mode, lane, sample, step] if _is_count(sample) and _is_count(step):
            return ReplayHeader(comparison_id, trace_id, mode, lane, int(sample), int(step))
    expected = "comparison_id; trace_id; mode; lane; sample; step, percent-encoded, the last two whole numbers"
    return Refusal(400, "bad_replay_header", f"{REPLAY_HEADER}: expected {expected}")


def decide(recording: Recording, header: ReplayHeader | None, body: bytes) -> Play | Refusal:
    """Choose the recorded step a request gets, or say why there is none."""
    try:
        chat = msgspec.json.decode(body, type=_Chat)
        said = digest(chat.messages)
    except (RecordError, ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        return Refusal(400, "bad_request", f"this is no chat completion request: {str(error)[:300]}")
    step = recording.match(said) if header is None else recording.lookup(header.trace_id, header.step)
    if isinstance(step, Missing):
        return Refusal(404, "no_recording", step.reason) if header else Refusal(409, "no_unique_match", step.reason)
    prefix = PREFIX_MATCH if said == step.prefix else OFF_PREFIX
    unit = header.unit if header else (said.hex(),)
    return Play(step, prefix, unit, chat.stream is True, chat.include_usage)


class _StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool = False


class _Chat(msgspec.Struct, frozen=True):
    """The part of a request that matters here. The model asked for does not: the recorded one answers."""

    messages: tuple[Message, ...]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


def _is_count(text: str) -> bool:
    return _COUNT.fullmatch(text) is not None


# -- when its bytes go out ----------------------------------------------------------------------------------------


class Part(NamedTuple):
    """Bytes, and how many seconds after the request they go out."""

    at: float
    data: bytes


def schedule(parts: Sequence[bytes], times: tuple[float, float], fault: Fault | None = None) -> list[Part]:
    """Spread the parts of an answer over its times (first piece, end), as far as a fault lets it come."""
    first, whole = times
    if fault is not None and fault.kind == "cut":
        parts = _first_half(parts)
    rest = _grouped(parts[1:], STREAM_PARTS)
    gap = (whole - first) / len(rest) if rest else 0.0
    plan = [Part(first if rest else whole, parts[0])]
    plan += [Part(first + gap * number, data) for number, data in enumerate(rest, start=1)]
    if fault is not None and fault.kind == "slow":
        middle = (len(plan) + 1) // 2 if rest else 0
        plan = [*plan[:middle], *(Part(at + fault.seconds, data) for at, data in plan[middle:])]
    return list(_merged(plan))


def _grouped(parts: Sequence[bytes], count: int) -> list[bytes]:
    size = -(-len(parts) // count) or 1
    return [b"".join(parts[start : start + size]) for start in range(0, len(parts), size)]


def _first_half(parts: Sequence[bytes]) -> list[bytes]:
    whole = b"".join(parts)
    half = whole[: len(whole) // 2]
    return [half[: len(parts[0])], half[len(parts[0]) :]]


def _merged(plan: Sequence[Part]) -> Iterator[Part]:
    """Join what goes out at the same time into one write."""
    held = plan[0]
    for part in plan[1:]:
        if part.at > held.at:
            yield held
            held = part
        else:
            held = Part(held.at, held.data + part.data)
    yield held


# -- over HTTP ----------------------------------------------------------------------------------------------------


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
    """The log line of one request."""

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
