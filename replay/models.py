"""A model as a replay sees it: one request in, one reply or one named failure out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from replay.exact_json import Json
from replay.trace import Message, Usage

#: Carries `comparison_id; trace_id; mode; lane; sample; step`, each percent-encoded.
REPLAY_HEADER = "x-shadow-replay"
#: A recorded model says here whether the request held the recorded prefix: `prefix-match` or `off-prefix`.
PREFIX_HEADER = "x-shadow-replay-prefix"
PREFIXES = frozenset({"prefix-match", "off-prefix"})

Transport: TypeAlias = Literal["openai", "litellm"]

#: A shorter text is no secret, and masking it everywhere would only garble messages.
SHORTEST_SECRET = 6
#: The places in a URL that may hold a key.
_SECRET_IN_URL = re.compile(r"(?<=://)[^/@]*(?=@)|(?<=\?).*")


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """What a release says about its model. It is digested with the bundle, so nothing secret or local is in it."""

    transport: Transport
    model: str
    params: Mapping[str, Json] = field(default_factory=dict)
    """Chat-completions parameters, sent as they are; `replay.routes.check_params` says which are accepted."""
    stream: bool = True


@dataclass(frozen=True, slots=True, repr=False)
class Endpoint:
    """Where a route goes and how hard it may be pressed: settings, outside the digest. Its repr shows no secret."""

    url: str | None = None
    """The base URL, such as `https://host/v1`. Null: the provider's own, which the `litellm` transport knows."""
    api_key: str | None = None
    concurrency: int = 16
    requests_per_minute: float | None = None
    max_attempts: int = 5
    """Of one call, whatever fails; a class of failure may be allowed fewer (`replay.retry.RETRIES`)."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request; the values are treated as secrets."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown, longest first, so that masking one leaves no rest of another."""
        query = (self.url or "").partition("?")[2]
        values = {value for value in (self.api_key, query, *self.headers.values()) if value is not None}
        return tuple(sorted((value for value in values if len(value) >= SHORTEST_SECRET), key=len, reverse=True))

    def __repr__(self) -> str:
        url = self.url and _SECRET_IN_URL.sub("***", self.url)
        shown = [f"url={url!r}", f"api_key={'***' if self.api_key else None}"]
        shown += [f"{name}={getattr(self, name)!r}" for name in ("concurrency", "requests_per_minute", "max_attempts")]
        return f"Endpoint({', '.join(shown)}, headers={dict.fromkeys(self.headers, '***')})"


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What is sent. `messages` and `tools` are in the chat-completions shape, ready for the wire."""

    messages: tuple[dict[str, Json], ...]
    tools: tuple[dict[str, Json], ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    max_output_tokens: int | None = None
    """What is left of the unit's token budget; sent only when it is less than the bundle's own parameter."""
    repeat: int = 0
    """Which independent repeat of a replay asks. From 1 on, the request must not look like that of another."""


@dataclass(frozen=True, slots=True)
class ModelReply:
    """What came back.

    `latency_ns`: request written to last byte, without waiting for the limiter and without earlier attempts.
    `ttft_ns`: request written to the first content or tool-call chunk; null when the route does not stream.
    `usage`: of the attempt that was answered; what a cut one used, nobody says.
    `attempts`: 1 + retries, all of one call. `waited_ns`: what went by before the attempt that was answered, in the
    limiter and in earlier attempts; it is no fault of the model's and belongs to no latency.
    """

    message: Message
    finish_reason: str | None = None
    usage: Usage | None = None
    served_model: str | None = None
    latency_ns: int | None = None
    ttft_ns: int | None = None
    attempts: int = 1
    prefix: str | None = None
    waited_ns: int = 0


class Model(Protocol):
    """A route to a model, opened once per run and used by many replays at once."""

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        """Ask; ask again where the class of the failure allows it (`replay.retry.RETRIES`), inside the time budget.

        The budget starts when the limiter lets the first attempt through: how long a call queues says how hard the
        operator lets the route be pressed, and must not turn into failures of the candidate.

        Raises `ProviderError` (with its class) or `NoRecordingError`; nothing else but cancellation.
        """
        ...

    async def aclose(self) -> None:
        """Close connections. Called once, shielded, after the last replay has ended."""
        ...
