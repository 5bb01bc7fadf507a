"""Chat completions as bytes: what is sent, what an answer costs in tokens, and what a refusal says.

There is no socket here. `event_stream` takes a stream apart, `openai_answer` puts an answer together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from replay.errors import NoRecordingError, ProviderError, RecordError, RouteError
from replay.exact_json import Json, dumps, loads
from replay.models import ModelRequest, RouteSpec
from replay.trace import Usage

#: Of the provider's own words in a message.
MAX_QUOTE = 300
#: The error code with which a recorded model says that it has no such turn or step.
NO_RECORDING = "no_recording"


# What is sent


def request_fields(spec: RouteSpec, request: ModelRequest) -> dict[str, Json]:
    """The body of a request. The bundle's parameters come first: none of them can replace what the route sets."""
    fields: dict[str, Json] = {**spec.params, **_token_limit(spec.params, request.max_output_tokens)}
    fields |= _as_repeat(spec.params, request.repeat)
    fields["model"] = spec.model
    fields["messages"] = request.messages
    if request.tools:
        fields["tools"] = request.tools
    if spec.stream:
        fields["stream"] = True
        fields["stream_options"] = {"include_usage": True}
    return fields


def request_body(spec: RouteSpec, request: ModelRequest) -> bytes:
    """Write a request. Raises `ProviderError` when something in it has no JSON form."""
    try:
        return dumps(request_fields(spec, request))
    except RecordError as error:
        raise ProviderError("refused_request", f"the request was not sent: it {error}") from None


def _token_limit(params: Mapping[str, Json], left: int | None) -> dict[str, int]:
    if left is None:
        return {}
    # Where a bundle sets no limit, the newer name: reasoning models refuse the older one, others ignore the newer.
    name = "max_tokens" if "max_tokens" in params and "max_completion_tokens" not in params else "max_completion_tokens"
    own = params.get(name)
    return {} if isinstance(own, int) and own <= left else {name: left}


def _as_repeat(params: Mapping[str, Json], repeat: int) -> dict[str, Json]:
    """What sets a repeat apart: equal bytes are answered from caches, and one seed draws one answer."""
    if not repeat:
        return {}
    seed = params.get("seed")
    apart: dict[str, Json] = {"user": f"{params.get('user', 'shadow-replay')}-{repeat}"}
    return apart | {"seed": seed + repeat} if isinstance(seed, int) else apart


# What an answer used


#: Where providers write a count: the first path that holds one is believed.
_USAGE_PATHS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "input_tokens": (("prompt_tokens",),),
    "output_tokens": (("completion_tokens",),),
    "cache_read": (
        ("prompt_tokens_details", "cached_tokens"),
        ("prompt_cache_hit_tokens",),
        ("cache_read_input_tokens",),
    ),
    "cache_write": (
        ("prompt_tokens_details", "cache_creation_tokens"),
        ("prompt_tokens_details", "cache_write_tokens"),
        ("cache_creation_input_tokens",),
    ),
    "reasoning": (("completion_tokens_details", "reasoning_tokens"), ("reasoning_tokens",)),
}


def usage_of(value: Json) -> Usage | None:
    """Token counts; what the provider does not say stays unknown."""
    counts = {field: _first_count(value, paths) for field, paths in _USAGE_PATHS.items()}
    return None if all(count is None for count in counts.values()) else Usage(**counts)


def _first_count(value: Json, paths: tuple[tuple[str, ...], ...]) -> int | None:
    for path in paths:
        found = value
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        if type(found) is int and found >= 0:
            return found
    return None


# What a refusal says


@dataclass(frozen=True, slots=True)
class Status:
    """What an HTTP status means for a replay, and what the operator can do."""

    codes: range
    kind: str
    advice: str


#: The first row that holds the code counts. Which kinds are worth asking again is for `replay.retry` to say.
#:
#: 408 is a timeout: whoever sends it offers to be asked again. 409 and 425 are refusals: a completion changes nothing
#: that another request could be in conflict with, and no early data is sent, so what they mean is this request. 501
#: is a server that does not have completions, today or in a minute.
STATUSES = (
    Status(range(300, 400), "refused_request", "redirects are not followed: give the route the URL that answers"),
    Status(range(401, 402), "refused_request", "check the key of the route"),
    Status(range(408, 409), "timeout", "the provider gave up waiting"),
    Status(range(429, 430), "rate_limited", "lower the route's concurrency or requests_per_minute"),
    Status(range(400, 500), "refused_request", "check the route's URL, key, model and parameters"),
    Status(range(501, 502), "refused_request", "check that the route's URL is one of chat completions"),
    Status(range(500, 600), "unavailable", "ask again when the provider has recovered"),
)
_OTHER = Status(range(0), "bad_response", "expected status 200")


def status_of(code: int) -> Status:
    return next((row for row in STATUSES if code in row.codes), _OTHER)


def failure_in(body: bytes | Json, *, status: int, secrets: Iterable[str]) -> RouteError:
    """Name the failure that a provider's answer tells, from its HTTP status and its JSON error if it holds one."""
    value = _parsed(body) if isinstance(body, bytes) else body
    code, words = _error_of(value)
    quote = quoted(words if words is not None else body, secrets=secrets)
    if code == NO_RECORDING and status in (200, 404):
        return NoRecordingError(f"the recorded model has no such turn or step: {quote}")
    if status != 200:
        row = status_of(status)
        return ProviderError(row.kind, f"the provider answered {status}: {quote}; {row.advice}")
    row = status_of(code if type(code) is int and code in range(400, 600) else 500)
    return ProviderError(row.kind, f"the provider answered 200 and then sent an error: {quote}; {row.advice}")


def _error_of(value: Json) -> tuple[Json, str | None]:
    """Code and words of a JSON error, in the shapes `{"error": {…}}`, `{"error": "…"}` and `{"message": …}`."""
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, str):
        return value.get("code"), error
    holder = error if isinstance(error, dict) else value
    if not isinstance(holder, dict):
        return None, None
    words = next((word for name in ("message", "detail") if isinstance(word := holder.get(name), str)), None)
    return holder.get("code"), words


def _parsed(body: bytes) -> Json:
    try:
        return loads(body)
    except RecordError:
        return None


def quoted(text: bytes | Json, *, secrets: Iterable[str]) -> str:
    """A provider's words, fit for a message: secrets masked, control characters escaped, cut."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    elif not isinstance(text, str):
        text = dumps(text).decode()
    for secret in secrets:
        text = text.replace(secret, "***")
    # Not printable covers what could move a cursor, hide text or turn its direction.
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: MAX_QUOTE + 1])
    return f'"{shown[:MAX_QUOTE]}…"' if len(shown) > MAX_QUOTE else f'"{shown}"'
