"""One answer of a model, from the chunks of a stream or from a whole body of chat completions.

Providers agree on the happy path only. What is tolerated here was seen in the field: several tool calls under
one index, no index at all, ids left empty or made anew for each chunk, names sent once, repeated or in pieces,
arguments as an object, content as a list of parts. What cannot be read is a `bad_response` of the provider.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from replay.errors import ProviderError, RecordError
from replay.exact_json import Json, dumps, loads
from replay.openai_wire import failure_in, usage_of
from replay.trace import Function, FunctionCall, Message, Usage

#: The event that ends a stream.
DONE = b"[DONE]"
#: A model's answer is text for a person or a program; more is a fault, and would be held in memory.
MAX_ANSWER_BYTES = 16 * 1024 * 1024

_T = TypeVar("_T")


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


_JSON_NAMES: Mapping[type, str] = {str: "text", dict: "an object", list: "a list"}


def _typed(value: Json, kind: type[_T], what: str) -> _T:
    if not isinstance(value, kind):
        raise _unreadable(what, value, _JSON_NAMES[kind])
    return value


def _unreadable(what: str, value: Json, expected: str) -> ProviderError:
    return ProviderError("bad_response", f"{what} in the answer is {type(value).__name__}; expected {expected}")
