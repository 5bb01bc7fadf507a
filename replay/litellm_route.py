"""A route to every provider litellm knows: the only place that imports it, when the first call is made.

litellm is told to do one thing, one call: no retries, fallbacks, caches or dropped parameters. What it makes up
where a provider says nothing (token counts, a finish reason, a served model, prices) is not believed.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from time import perf_counter_ns
from typing import Any

from replay.errors import NoRecordingError, ProviderError, ReplayError, RouteError, UsageError
from replay.exact_json import Json
from replay.limiter import RouteLimiter, retry_after_seconds
from replay.models import PREFIX_HEADER, PREFIXES, Endpoint, ModelReply, ModelRequest, RouteSpec
from replay.openai_answer import Answer
from replay.openai_wire import NO_RECORDING, quoted, request_fields, status_of, usage_of
from replay.trace import Usage

#: Set before the import, where litellm reads them. In its default mode it loads a `.env` file of the working
#: directory into this process, which promises to hold no credentials but the route's; and it asks the network for
#: prices, several times if there is no network.
ENVIRONMENT: Mapping[str, str] = {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}

#: litellm gives failures below HTTP a status of its own. The name of the error, or of one that led to it, tells
#: more; the first row found counts.
NAMED_FAILURES: tuple[tuple[str, str], ...] = (
    ("Timeout", "timeout"),
    ("APITimeoutError", "timeout"),
    ("JSONDecodeError", "bad_response"),
    ("APIResponseValidationError", "bad_response"),
    ("ReadError", "connection"),
    ("RemoteProtocolError", "connection"),
    ("ConnectError", "connection"),
    ("APIConnectionError", "connection"),
)
#: Statuses that only a provider gives; below any other a named failure may be hidden.
_TRUSTED_STATUSES = frozenset(range(400, 500)) - {408}

_LONGEST_CHAIN = 8
_PASSED_HEADER = f"llm_provider-{PREFIX_HEADER}"

#: litellm keeps its HTTP clients for the whole process, and two lanes may share one: the last route closes them.
_using_clients: set[LiteLLMRoute] = set()


class LiteLLMRoute:
    """`replay.models.Model` through litellm. Times start when litellm is called: its own work is in them."""

    def __init__(
        self,
        spec: RouteSpec,
        endpoint: Endpoint,
        *,
        limiter: RouteLimiter | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        if importlib.util.find_spec("litellm") is None:
            raise UsageError("the litellm transport is not installed; try: pip install shadow-replay[litellm]")
        self._spec = spec
        self._secrets = endpoint.secrets
        self._endpoint = endpoint
        self._limiter = limiter or RouteLimiter(endpoint)
        self._wall_clock = wall_clock
        self._starting = asyncio.Lock()
        self._litellm: Any = None

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        """See `replay.models.Model`. The first call takes seconds longer, outside its budget and its latency."""
        await self._start()
        fields = _arguments(self._spec, self._endpoint, request, timeout_seconds=timeout_seconds)

        async def attempt(_number: int) -> ModelReply:
            return await self._attempt(fields)

        return await self._limiter.run(attempt, timeout_seconds=timeout_seconds)

    async def aclose(self) -> None:
        """See `replay.models.Model`."""
        _using_clients.discard(self)
        if self._litellm is not None and not _using_clients:
            await self._litellm.close_litellm_async_clients()
            self._litellm.in_memory_llm_clients_cache.flush_cache()  # it would hand out closed ones

    async def _start(self) -> None:
        async with self._starting:
            if self._litellm is None:
                litellm = await asyncio.to_thread(_import_litellm)
                # A first call imports more still; better here than in a latency. This one stays in the process.
                async for _ in await litellm.acompletion(**_WARM_UP):
                    pass
                self._litellm = litellm
                _using_clients.add(self)

    async def _attempt(self, fields: dict[str, Any]) -> ModelReply:
        started_ns = perf_counter_ns()
        try:
            response = await self._litellm.acompletion(**fields)
            if self._spec.stream:
                return await self._streamed(response, started_ns)
            return self._whole(response, started_ns)
        except ReplayError:
            raise
        except Exception as error:  # noqa: BLE001 - litellm promises no base class; all it raises is mapped here
            raise self._failure(error) from None

    async def _streamed(self, stream: Any, started_ns: int) -> ModelReply:
        answer = Answer(streamed=True, secrets=self._secrets)
        first_ns: int | None = None
        served: str | None = None
        try:
            async for chunk in stream:
                if answer.add(chunk.model_dump(exclude_none=True)) and first_ns is None:
                    first_ns = perf_counter_ns()
                served = _hidden(chunk).get("provider_response_model") or served
            last_ns = perf_counter_ns()
        finally:
            await stream.aclose()
        if stream.received_finish_reason is None:
            raise ProviderError("connection", "the stream ended without a finish_reason")
        return ModelReply(
            message=answer.message,
            finish_reason=answer.finish_reason,
            usage=_streamed_usage(stream),
            served_model=served,
            latency_ns=last_ns - started_ns,
            ttft_ns=None if first_ns is None else first_ns - started_ns,
            prefix=_prefix(stream),
        )

    def _whole(self, response: Any, started_ns: int) -> ModelReply:
        last_ns = perf_counter_ns()
        answer = Answer(streamed=False, secrets=self._secrets)
        answer.add(response.model_dump(exclude_none=True))
        return ModelReply(
            message=answer.message,
            finish_reason=answer.finish_reason,
            usage=_believed(answer.usage),
            served_model=answer.served_model,
            latency_ns=last_ns - started_ns,
            prefix=_prefix(response),
        )

    def _failure(self, error: Exception) -> RouteError:
        """Read why, and when to ask again."""
        failure = failure_of(error, secrets=self._secrets)
        if isinstance(failure, ProviderError):
            headers = getattr(error, "litellm_response_headers", None) or {}
            failure.retry_after_seconds = retry_after_seconds(headers.get("retry-after"), now=self._wall_clock())
        return failure


_WARM_UP: Mapping[str, Any] = {
    "model": "openai/none",
    "messages": [{"role": "user", "content": "hello"}],
    "mock_response": "hello",
    "stream": True,
    "stream_options": {"include_usage": True},
}
#: What a first real call would import, about a second's worth.
_IMPORTED_LATE = ("openai.resources.chat", "openai.resources.responses")


def failure_of(error: Exception, *, secrets: tuple[str, ...]) -> RouteError:
    """Name the failure that an error of litellm's stands for."""
    words = quoted(str(error), secrets=secrets)
    causes = list(_causes(error))
    if any(_error_code(cause) == NO_RECORDING for cause in causes):
        return NoRecordingError(f"the recorded model has no such turn or step: {words}")
    status = getattr(error, "status_code", None)
    status = status if isinstance(status, int) else 0
    names = {type(cause).__name__ for cause in causes}
    named = next((kind for name, kind in NAMED_FAILURES if name in names), None)
    if named is not None and status not in _TRUSTED_STATUSES:
        return ProviderError(named, f"litellm: {type(error).__name__}: {words}")
    row = status_of(status)
    return ProviderError(
        row.kind, f"litellm: {type(error).__name__}, status {status or 'unknown'}: {words}; {row.advice}"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it; litellm keeps some causes in an attribute."""
    cause: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if cause is None:
            return
        yield cause
        original = getattr(cause, "original_exception", None)
        cause = original if isinstance(original, BaseException) else cause.__cause__ or cause.__context__


def _error_code(error: BaseException) -> Json:
    body = getattr(error, "body", None)
    return body.get("code") if isinstance(body, dict) else None


def _import_litellm() -> Any:
    os.environ.update(ENVIRONMENT)
    try:
        import litellm as module  # takes seconds, and must come after the line above
    except ImportError as error:
        raise UsageError(f"litellm cannot be imported ({error}); try: pip install shadow-replay[litellm]") from error
    litellm: Any = module
    for name in _IMPORTED_LATE:
        with suppress(ImportError):
            importlib.import_module(name)
    litellm.suppress_debug_info = True  # it prints to stdout, where our results go
    litellm.REPEATED_STREAMING_CHUNK_LIMIT = sys.maxsize  # a candidate that repeats itself is a finding, not an outage
    return litellm


def _arguments(spec: RouteSpec, endpoint: Endpoint, request: ModelRequest, *, timeout_seconds: float) -> dict[str, Any]:
    fields = request_fields(spec, request)
    fields["messages"] = list(request.messages)
    if request.tools:
        fields["tools"] = list(request.tools)
    if endpoint.url is not None:
        fields["api_base"] = endpoint.url
    # Without a key litellm takes one from the environment. None of those may go to a URL it was not made for.
    fields["api_key"] = endpoint.api_key or ("none" if endpoint.url is not None else None)
    fields["extra_headers"] = {**endpoint.headers, **request.headers}
    return {**fields, "num_retries": 0, "max_retries": 0, "drop_params": False, "timeout": timeout_seconds}


def _hidden(response: Any) -> dict[str, Any]:
    hidden = getattr(response, "_hidden_params", None)
    return hidden if isinstance(hidden, dict) else {}


def _prefix(response: Any) -> str | None:
    headers = _hidden(response).get("additional_headers")
    value = headers.get(_PASSED_HEADER) if isinstance(headers, dict) else None
    return value if value in PREFIXES else None


def _streamed_usage(stream: Any) -> Usage | None:
    """What the provider counted. In what it hands out, litellm fills a gap with an estimate; not in what it keeps."""
    counted = [usage for chunk in stream.chunks if (usage := getattr(chunk, "usage", None)) is not None]
    return _believed(usage_of(counted[-1].model_dump(exclude_none=True))) if counted else None


def _believed(usage: Usage | None) -> Usage | None:
    """No request is empty: where litellm says 0, the provider said nothing."""
    return usage if usage is not None and usage.input_tokens else None
