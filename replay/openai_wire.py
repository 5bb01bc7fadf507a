"""Chat completions as bytes: what is sent, what streams back, and what a refusal says. There is no socket here.

Providers agree on the happy path only. What is tolerated here was seen in the field: several tool calls under
one index, no index at all, ids left empty or made anew for each chunk, names sent once, repeated or in pieces,
arguments as an object, content as a list of parts. What cannot be read is a `bad_response` of the provider.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from replay.errors import NoRecordingError, ProviderError, RecordError, RouteError
from replay.exact_json import Json, dumps, loads
from replay.models import ModelRequest, RouteSpec
from replay.trace import Function, FunctionCall, Message, Usage

#: The event that ends a stream.
DONE = b"[DONE]"
#: A model's answer is text for a person or a program; more is a fault, and would be held in memory.
MAX_ANSWER_BYTES = 16 * 1024 * 1024
#: Of the provider's own words in a message.
MAX_QUOTE = 300
#: The error code with which a recorded model says that it has no such turn or step.
NO_RECORDING = "no_recording"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_T = TypeVar("_T")


# What is sent


def request_fields(spec: RouteSpec, request: ModelRequest) -> dict[str, Json]:
    """The body of a request. The bundle's parameters come first: none of them can replace what the route sets."""
    fields: dict[str, Json] = {**spec.params, **_token_limit(spec.params, request.max_output_tokens)}
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


# What streams back


class EventStream:
    """Server-sent events, read from bytes cut anywhere. Only the data matters; names, ids and comments do not."""

    __slots__ = ("_after_cr", "_data", "_started", "_tail")

    def __init__(self) -> None:
        self._tail = bytearray()
        self._data: list[bytes] = []
        self._after_cr = False
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; give the data of the events that they complete."""
        if self._after_cr and data:  # the second half of a CRLF
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in data:  # joined only when a line ends: a huge line in small pieces costs linear time
            self._tail += data
            return []
        *lines, tail = (bytes(self._tail) + data if self._tail else data).split(b"\n")
        self._tail = bytearray(tail)
        if not self._started:
            self._started = True
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        return self._events(lines)

    def end(self) -> list[bytes]:
        """The stream is over. Some providers leave out the empty line after the last event."""
        return self.feed(b"\n\n")

    def _events(self, lines: Iterable[bytes]) -> list[bytes]:
        events: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif not line and self._data:
                event = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                self._data = []
                if event:  # some providers keep a connection alive with empty ones
                    events.append(event)
        return events


class Answer:
    """One answer of a model, put together from the chunks of a stream or taken from a whole body."""

    __slots__ = ("_calls", "_choice_seen", "_finish", "_model", "_part", "_refusal", "_secrets", "_text", "_usage")

    def __init__(self, *, streamed: bool, secrets: Iterable[str] = ()) -> None:
        self._finish: Json = None
        self._model: Json = None
        self._secrets = secrets
        self._part = "delta" if streamed else "message"
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls = _ToolCalls(whole=not streamed)
        self._usage: Json = None
        self._choice_seen = False

    def add(self, chunk: Json) -> bool:
        """Take a chunk; true when it brought text or a part of a tool call.

        Raises `ProviderError` for a chunk that cannot be read and for an error sent in place of one.
        """
        if not isinstance(chunk, dict):
            raise _unreadable("a chunk", chunk, "an object")
        choices = chunk.get("choices")
        if chunk.get("error") or (choices is None and chunk.get("object") == "error"):
            raise failure_in(chunk, status=200, secrets=self._secrets)
        self._usage = chunk.get("usage") or self._usage
        self._model = chunk.get("model") or self._model
        brought = False
        for choice in _typed(choices or [], list, "choices"):
            # One answer is asked for, so another index is not part of it.
            if not _typed(choice, dict, "a choice").get("index"):
                brought |= self._add_choice(choice)
        return brought

    def _add_choice(self, choice: dict[str, Json]) -> bool:
        self._choice_seen = True
        self._finish = choice.get("finish_reason") or self._finish
        part = choice.get(self._part)
        if not part:
            return False
        part = _typed(part, dict, self._part)
        text = _text_of(part.get("content"))
        if text is not None:
            self._text.append(text)
        # A refusal is the answer that a user would have read.
        refusal = part.get("refusal")
        if refusal:
            self._refusal.append(_typed(refusal, str, "refusal"))
        calls = part.get("tool_calls")
        for call in _typed(calls or [], list, "tool_calls"):
            self._calls.add(_typed(call, dict, "a tool call"))
        return bool(text or refusal or calls)

    @property
    def message(self) -> Message:
        """What was said. Raises `ProviderError` when nothing was, not even nothing."""
        if not self._choice_seen:
            raise ProviderError("bad_response", "the answer holds no choice; expected one with a message")
        calls = self._calls.finished()
        text = "".join(self._text) if self._text else None
        if not text:
            # A stream opens with an empty text whatever follows, so beside calls or a refusal it says nothing.
            text = "".join(self._refusal) or (None if calls else text)
        return Message(role="assistant", content=text, tool_calls=calls or None)

    @property
    def finish_reason(self) -> str | None:
        return self._finish if isinstance(self._finish, str) else None

    @property
    def served_model(self) -> str | None:
        return self._model if isinstance(self._model, str) else None

    @property
    def usage(self) -> Usage | None:
        return usage_of(self._usage)


class _Call:
    __slots__ = ("arguments", "id", "name", "order")

    def __init__(self, order: int, call_id: str, name: str) -> None:
        self.order = order
        self.id = call_id
        self.name = name
        self.arguments: list[str] = []


class _ToolCalls:
    """Parallel tool calls of one answer, each found again by its place: index, else id, else the latest."""

    __slots__ = ("_by_place", "_calls", "_whole")

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._calls: list[_Call] = []
        self._by_place: dict[int | str, _Call] = {}

    def add(self, delta: dict[str, Json]) -> None:
        function = _typed(delta.get("function") or {}, dict, "function")
        name = _typed(function.get("name") or "", str, "the name of a tool call")
        call_id = _typed(delta.get("id") or "", str, "the id of a tool call")
        arguments = _arguments_of(function.get("arguments"))
        index = delta.get("index")
        place = index if type(index) is int else call_id
        call = self._at(place, name)
        if call is None or not _continues(call, call_id, name, arguments, indexed=type(index) is int):
            call = _Call(index if type(index) is int else len(self._calls), call_id, name)
            self._calls.append(call)
        elif name != call.name:
            call.name += name
        if place != "":
            self._by_place[place] = call
        if arguments:
            call.arguments.append(arguments)

    def _at(self, place: int | str, name: str) -> _Call | None:
        if self._whole:
            return None
        latest = self._calls[-1] if self._calls else None
        if place == "":
            return latest
        # Arguments under an id not seen before: some providers make a new id for each chunk.
        return self._by_place.get(place) or (latest if isinstance(place, str) and not name else None)

    def finished(self) -> tuple[FunctionCall, ...]:
        """The calls in the order of their index; a place that was named but never filled is no call."""
        calls = sorted((call for call in self._calls if call.name or call.arguments), key=lambda call: call.order)
        return tuple(
            FunctionCall(id=call.id or None, function=Function(name=call.name, arguments="".join(call.arguments)))
            for call in calls
        )


def _continues(call: _Call, call_id: str, name: str, arguments: str, *, indexed: bool) -> bool:
    """Whether a delta goes on with the call at its place; if not, it begins another one there."""
    if not name:
        return True
    if call_id and call.id and call_id != call.id:
        return False
    if name == call.name:  # repeated with each chunk, or called twice: arguments that are complete tell
        return not (arguments and call.arguments and _is_json("".join(call.arguments)))
    return indexed and not call.arguments  # a name in pieces; without an index providers send whole calls


def _arguments_of(value: Json) -> str:
    if isinstance(value, str) or value is None:
        return value or ""
    if isinstance(value, dict | list):
        return dumps(value).decode()
    raise _unreadable("the arguments of a tool call", value, "text")


def _is_json(text: str) -> bool:
    try:
        loads(text)
    except RecordError:
        return False
    return True


def _text_of(content: Json) -> str | None:
    """The text of a content. Other parts, such as thinking or images, are no answer in words."""
    if content is None or isinstance(content, str):
        return content
    parts = [part.get("text") if isinstance(part, dict) else part for part in _typed(content, list, "content")]
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if texts else None


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


#: The first row that holds the code counts.
STATUSES = (
    Status(range(300, 400), "refused_request", "redirects are not followed: give the route the URL that answers"),
    Status(range(401, 402), "refused_request", "check the key of the route"),
    Status(range(408, 409), "timeout", "the provider gave up waiting"),
    Status(range(429, 430), "rate_limited", "lower the route's concurrency or requests_per_minute"),
    Status(range(400, 500), "refused_request", "check the route's URL, key, model and parameters"),
    Status(range(500, 600), "unavailable", "ask again when the provider has recovered"),
)
_OTHER = Status(range(0), "bad_response", "expected status 200")

#: Statuses after which a provider may ask to be asked again.
MAY_BE_RETRIED = frozenset({429, 503})


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


_JSON_NAMES: Mapping[type, str] = {str: "text", dict: "an object", list: "a list"}


def _typed(value: Json, kind: type[_T], what: str) -> _T:
    if not isinstance(value, kind):
        raise _unreadable(what, value, _JSON_NAMES[kind])
    return value


def _unreadable(what: str, value: Json, expected: str) -> ProviderError:
    return ProviderError("bad_response", f"{what} in the answer is {type(value).__name__}; expected {expected}")
