"""A route to any URL that speaks OpenAI chat completions, with as little between as possible."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from time import perf_counter_ns
from typing import NamedTuple

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from replay.errors import ProviderError, RecordError, RouteError, UsageError
from replay.event_stream import EventStream
from replay.exact_json import Json, loads
from replay.limiter import RouteLimiter, retry_after_seconds
from replay.models import PREFIX_HEADER, PREFIXES, Endpoint, ModelReply, ModelRequest, RouteSpec
from replay.openai_answer import DONE, MAX_ANSWER_BYTES, Answer
from replay.openai_wire import failure_in, quoted, request_body

#: What goes wrong below HTTP. The first row that fits counts: aiohttp's timeouts are connection errors, too.
TRANSPORT_FAILURES: tuple[tuple[type[Exception], str, str], ...] = (
    (TimeoutError, "timeout", "the connection timed out"),
    (aiohttp.ClientConnectorError, "connection", "could not connect; check the route's URL and that the server runs"),
    (aiohttp.ServerDisconnectedError, "connection", "the connection was closed before an answer came"),
    (aiohttp.ClientPayloadError, "connection", "the answer was cut or cannot be unpacked"),
    (aiohttp.ClientResponseError, "bad_response", "the answer is not HTTP"),
    (aiohttp.ClientError, "connection", "the connection failed"),
    (OSError, "connection", "the connection failed"),
    (RecordError, "bad_response", "the answer cannot be read"),
)
_FAILURES = tuple(row[0] for row in TRANSPORT_FAILURES)

#: A server may close an idle connection just as a request is written to it, and that request is then lost. Common
#: servers wait 5 s, so a connection idle for longer than this is not used again.
KEEP_ALIVE_SECONDS = 4.0
#: Name service, TCP and TLS together. Who does not answer in this time is down or overrun: a new attempt may meet
#: another machine, and the time budget is for answers.
CONNECT_SECONDS = 10.0
#: After the last event the connection is worth this wait, for a server that ends its stream can be asked again on it.
LINGER_SECONDS = 0.25
#: Of an answer that is not 200, for its error message.
MAX_ERROR_BYTES = 64 * 1024

_EVENTS = "text/event-stream"
#: Answers to a streaming request that are one JSON body all the same: the server does not stream.
_JSON_TYPES = frozenset({"application/json", "application/problem+json"})


class OpenAIRoute:
    """`replay.models.Model` over HTTP. Follows no redirects, reads no proxy or netrc settings, keeps no cookies."""

    def __init__(
        self,
        spec: RouteSpec,
        endpoint: Endpoint,
        *,
        limiter: RouteLimiter | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._spec = spec
        self._secrets = endpoint.secrets
        self._url = completions_url(endpoint.url or "")
        self._headers = _headers_of(spec, endpoint)
        self._limiter = limiter or RouteLimiter(endpoint)
        self._wall_clock = wall_clock
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        """See `replay.models.Model`."""
        body = request_body(self._spec, request)
        _check_headers(request.headers)
        session = self._open_session()

        async def attempt(_number: int) -> ModelReply:
            return await self._attempt(session, body, request.headers)

        return await self._limiter.run(attempt, timeout_seconds=timeout_seconds)

    async def aclose(self) -> None:
        """See `replay.models.Model`."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        """Open on the first call: a session belongs to the running loop, a route may be made before there is one."""
        if self._closed:
            raise RuntimeError("the route is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # The limiter bounds what is open at once; a second bound here would queue inside the latency.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS, ttl_dns_cache=300),
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_connect=None),
                trust_env=False,
            )
        return self._session

    async def _attempt(self, session: aiohttp.ClientSession, body: bytes, headers: dict[str, str]) -> ModelReply:
        timed = _TimedBody(body)
        try:
            async with session.post(self._url, data=timed, headers=headers, allow_redirects=False) as response:
                if response.status != HTTPStatus.OK:
                    raise await self._refusal(response)
                return await self._answered(response, timed)
        except _FAILURES as error:
            raise self._failure(error) from None

    async def _answered(self, response: aiohttp.ClientResponse, timed: _TimedBody) -> ModelReply:
        streamed = response.content_type == _EVENTS or (self._spec.stream and response.content_type not in _JSON_TYPES)
        answer = Answer(streamed=streamed, secrets=self._secrets)
        read = self._read_events if streamed else self._read_whole
        first_ns, last_ns = await read(response, answer)
        return ModelReply(
            message=answer.message,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            served_model=answer.served_model,
            latency_ns=last_ns - timed.written_ns,
            ttft_ns=None if first_ns is None else first_ns - timed.written_ns,
            prefix=_prefix(response),
        )

    async def _read_events(self, response: aiohttp.ClientResponse, answer: Answer) -> _Read:
        events, reader, size = EventStream(), _EventReader(answer, self._json), 0
        done = False
        async for data in response.content.iter_any():
            size = _within_limit(size + len(data))
            done = reader.take(events.feed(data))
            if done:
                break
        done = done or reader.take(events.end())
        last_ns = perf_counter_ns()
        if done:
            await _linger(response)
        elif answer.finish_reason is None:
            raise self._cut(response.content_type)
        return _Read(reader.first_ns, last_ns)

    async def _read_whole(self, response: aiohttp.ClientResponse, answer: Answer) -> _Read:
        body = bytearray()
        async for data in response.content.iter_any():
            _within_limit(len(body) + len(data))
            body += data
        last_ns = perf_counter_ns()
        answer.add(self._json(bytes(body)))
        return _Read(None, last_ns)

    def _cut(self, content_type: str) -> ProviderError:
        # What is called an event stream and ends early was cut; anything else was none to begin with.
        kind = "connection" if content_type == _EVENTS else "bad_response"
        found = f"a stream of type {quoted(content_type, secrets=self._secrets)}"
        return ProviderError(kind, f"{found} ended without a finish_reason or [DONE]")

    async def _refusal(self, response: aiohttp.ClientResponse) -> RouteError:
        """Read why, and when to ask again."""
        failure = failure_in(await _start_of(response), status=response.status, secrets=self._secrets)
        if isinstance(failure, ProviderError):
            asked = response.headers.get("Retry-After")
            failure.retry_after_seconds = retry_after_seconds(asked, now=self._wall_clock())
        return failure

    def _json(self, text: bytes) -> Json:
        try:
            return loads(text)
        except RecordError as error:
            found = quoted(text, secrets=self._secrets)
            raise ProviderError("bad_response", f"a part of the answer is {error}: {found}") from None

    def _failure(self, error: Exception) -> RouteError:
        kind, words = next((kind, words) for cause, kind, words in TRANSPORT_FAILURES if isinstance(error, cause))
        return ProviderError(kind, f"{words}: {quoted(str(error) or type(error).__name__, secrets=self._secrets)}")


def completions_url(url: str) -> URL:
    """Where completions are asked for, given a base URL or the whole one. Raises `UsageError`."""
    try:
        base = URL(url)
        # A host that no name service could be asked for would fail only when connecting, and under another name.
        (base.host or "").encode("idna")
    except ValueError as error:
        raise UsageError(f"the route's URL cannot be read ({error}); expected one such as https://host/v1") from None
    if base.scheme not in ("http", "https") or not base.host:
        raise UsageError("the openai transport needs the URL of an endpoint, such as https://host/v1")
    if base.user is not None or base.password is not None:
        raise UsageError("the route's URL holds a user or password; give the key as the api_key of the endpoint")
    path = base.raw_path.rstrip("/")
    if path.endswith("/chat/completions"):
        return base
    return base.with_path(f"{path}/chat/completions", encoded=True, keep_query=True)


class _Read(NamedTuple):
    first_ns: int | None
    last_ns: int


class _EventReader:
    """Puts events into an answer and notes when the first word came."""

    __slots__ = ("_answer", "_json", "first_ns")

    def __init__(self, answer: Answer, json: Callable[[bytes], Json]) -> None:
        self._answer = answer
        self._json = json
        self.first_ns: int | None = None

    def take(self, events: list[bytes]) -> bool:
        """Take events; true when one of them was the last."""
        for event in events:
            if event == DONE:
                return True
            if self._answer.add(self._json(event)) and self.first_ns is None:
                self.first_ns = perf_counter_ns()
        return False


class _TimedBody(aiohttp.Payload):
    """A request body that notes when it was written: connecting is no part of a model's latency."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body, content_type="application/json")
        self._body = body
        self.written_ns = perf_counter_ns()

    @property
    def size(self) -> int:
        return len(self._body)

    @property
    def autoclose(self) -> bool:
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._body.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        await writer.write(self._body)
        self.written_ns = perf_counter_ns()


def _headers_of(spec: RouteSpec, endpoint: Endpoint) -> dict[str, str]:
    headers = {
        "Accept": _EVENTS if spec.stream else "application/json",
        # Compression would hold back the first chunks of a stream.
        "Accept-Encoding": "identity",
        "User-Agent": "shadow-replay",
        **endpoint.headers,
    }
    if endpoint.api_key is not None:
        headers["Authorization"] = f"Bearer {endpoint.api_key}"
    return headers


def _prefix(response: aiohttp.ClientResponse) -> str | None:
    value = response.headers.get(PREFIX_HEADER)
    return value if value in PREFIXES else None


def _check_headers(headers: dict[str, str]) -> None:
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            message = f"the request was not sent: header {name!r} is not printable ASCII; percent-encode its value"
            raise ProviderError("refused_request", message, attempts=0)


def _within_limit(size: int) -> int:
    if size > MAX_ANSWER_BYTES:
        limit = MAX_ANSWER_BYTES // 2**20
        raise ProviderError("bad_response", f"the answer is longer than {limit} MiB; limit its tokens")
    return size


async def _start_of(response: aiohttp.ClientResponse) -> bytes:
    """The first bytes of a refusal. One that breaks off is told by what did arrive: the status says enough."""
    body = bytearray()
    with suppress(aiohttp.ClientError):
        async for data in response.content.iter_any():
            body += data
            if len(body) >= MAX_ERROR_BYTES:
                break
    return bytes(body[:MAX_ERROR_BYTES])


async def _linger(response: aiohttp.ClientResponse) -> None:
    """Wait shortly for the end of the body, so that the connection can be used again; if it drags on, let it go."""
    if response.content.at_eof():
        return
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(LINGER_SECONDS):
            while not response.content.at_eof():
                await response.content.readany()
