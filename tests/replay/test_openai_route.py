"""The OpenAI-compatible route: bytes to answers without a socket, then over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay import openai_route
from replay.errors import PROVIDER_FAILURES, NoRecordingError, ProviderError, UsageError
from replay.event_stream import EventStream
from replay.exact_json import loads
from replay.limiter import RouteLimiter
from replay.models import Endpoint, ModelReply, ModelRequest, RouteSpec
from replay.openai_answer import DONE as DONE_EVENT
from replay.openai_answer import MAX_ANSWER_BYTES, Answer
from replay.openai_route import TRANSPORT_FAILURES, OpenAIRoute, completions_url
from replay.openai_wire import MAX_QUOTE, STATUSES, quoted, request_fields, usage_of
from replay.routes import OPEN_MODEL_PARAMETERS, PARAMETERS, RESERVED, check_params, open_model
from replay.trace import Usage
from tests.replay.scripted_server import (
    DONE,
    EVENTS,
    JSON,
    RawServer,
    Reply,
    ScriptedServer,
    call_delta,
    chunk,
    error_reply,
    event,
    json_reply,
    text_stream,
    usage_chunk,
    whole,
)

KEY = "sk-secret-0123456789"
SPEC = RouteSpec("openai", "model-1")
REQUEST = ModelRequest(messages=({"role": "user", "content": "Hello"},), headers={"x-shadow-replay": "a; b"})
CUT_EVENT = chunk({"content": "a"})


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_left_open() -> Iterator[None]:
    """A socket left open is a ResourceWarning when it is collected, and warnings are errors."""
    yield
    gc.collect()


@asynccontextmanager
async def route(server: Any, spec: RouteSpec = SPEC, **endpoint: Any) -> AsyncIterator[OpenAIRoute]:
    where = Endpoint(server.url, KEY, **endpoint)
    opened = OpenAIRoute(spec, where, limiter=RouteLimiter(where, draw=no_jitter))
    try:
        yield opened
    finally:
        await opened.aclose()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not [task for task in left if "aiohttp/client" in repr(task)]


def no_jitter() -> float:
    """Retries follow at once."""
    return 0.0


async def ask(server: Any, spec: RouteSpec = SPEC, *, timeout_seconds: float = 5.0, **endpoint: Any) -> ModelReply:
    async with route(server, spec, **endpoint) as opened:
        return await opened.complete(REQUEST, timeout_seconds=timeout_seconds)


async def reply_to(reply: Reply, spec: RouteSpec = SPEC, **arguments: Any) -> ModelReply:
    async with ScriptedServer(reply) as server:
        return await ask(server, spec, **arguments)


async def failure_of(reply: Reply, spec: RouteSpec = SPEC, **arguments: Any) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        await reply_to(reply, spec, **arguments)
    return raised.value


# Server-sent events


def events_of(data: bytes, cuts: list[int]) -> list[bytes]:
    """Read `data` in pieces."""
    stream = EventStream()
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    found = [each for start, end in pairwise(places) for each in stream.feed(data[start:end])]
    return found + stream.end()


def slow_events(data: bytes) -> list[bytes]:
    """What the standard says, on the whole text at once."""
    events, held = [], []
    for line in [*re.split(rb"\r\n|\r|\n", data.removeprefix(b"\xef\xbb\xbf")), b""]:
        if line.startswith(b"data:"):
            held.append(line[5:].removeprefix(b" "))
        elif not line:
            events.append(b"\n".join(held))
            held = []
    return [each for each in events if each]


LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
ASIDES = st.sampled_from([b": waiting", b"event: message", b"id: 7", b"retry: 3000", b"datum: 1", b":", b"data"])


@st.composite
def dressed_streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """An event stream in any dress, and the events in it."""
    events = draw(st.lists(st.binary(min_size=1, max_size=40).map(lambda b: re.sub(rb"[\r\n]", b"_", b)), max_size=6))
    out = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    for each in events:
        end = draw(LINE_ENDS)
        for aside in draw(st.lists(ASIDES, max_size=2)):
            out += aside + end
        out += b"data: " + each + end + end
    return out, events


@given(dressed_streams(), st.lists(st.integers(0, 400), max_size=30))
def test_events_do_not_depend_on_dress_or_cuts(stream: tuple[bytes, list[bytes]], cuts: list[int]) -> None:
    data, events = stream
    assert events_of(data, cuts) == events


@given(
    st.lists(st.sampled_from([b"data:", b"data: ", b"x", b"\r", b"\n", b"\r\n", b":", b" ", b"\xef\xbb\xbf"])),
    st.lists(st.integers(0, 100), max_size=20),
)
def test_events_agree_with_the_slow_reading(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces)
    assert events_of(data, cuts) == slow_events(data)


def test_data_of_several_lines_is_joined() -> None:
    assert events_of(b"data: {\ndata: }\n\n", [3]) == [b"{\n}"]


def test_a_huge_line_in_small_pieces_takes_linear_time() -> None:
    """A quarter of a million pieces: quadratic joining would take minutes."""
    stream, piece = EventStream(), b"x" * 16
    stream.feed(b"data: ")
    for _ in range(250_000):
        stream.feed(piece)
    assert [len(each) for each in stream.end()] == [4_000_000]


# Answers

STREAM = b"".join(
    (
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Grüße, "}),
        chunk({"content": "日本"}),
        chunk(call_delta(0, id="a", type="function", name="find", arguments="")),
        chunk(call_delta(0, arguments='{"x"')),
        chunk(call_delta(1, id="b", name="send", arguments="{}")),
        chunk(call_delta(0, arguments=":1}")),
        chunk({}, "tool_calls"),
        usage_chunk(),
        DONE,
    )
)


def read(data: bytes, cuts: list[int]) -> Answer:
    answer = Answer(streamed=True)
    for each in events_of(data, cuts):
        if each == DONE_EVENT:
            break
        answer.add(loads(each))
    return answer


@given(st.lists(st.integers(0, len(STREAM)), max_size=50))
def test_any_split_of_the_stream_gives_the_same_answer(cuts: list[int]) -> None:
    answer = read(STREAM, cuts)
    assert answer.message.content == "Grüße, 日本"
    assert calls_of(answer) == [("a", "find", '{"x":1}'), ("b", "send", "{}")]
    assert (answer.finish_reason, answer.served_model) == ("tool_calls", "served-1")
    assert answer.usage == Usage(input_tokens=11, output_tokens=5, cache_read=4, reasoning=2)


def calls_of(answer: Answer) -> list[tuple[str | None, str, str]]:
    return [(call.id, call.function.name, call.function.arguments) for call in answer.message.calls]


def answered(*deltas: dict[str, Any]) -> Answer:
    answer = Answer(streamed=True)
    for delta in deltas:
        answer.add({"choices": [{"index": 0, "delta": delta}]})
    return answer


def both(*calls: dict[str, Any]) -> dict[str, Any]:
    """One delta with several calls."""
    return {"tool_calls": [each for call in calls for each in call["tool_calls"]]}


@pytest.mark.parametrize(
    ("deltas", "calls"),
    [
        pytest.param(
            [call_delta(0, id="a", name="find", arguments=""), call_delta(0, id="a", name="find", arguments='{"x":1}')],
            [("a", "find", '{"x":1}')],
            id="id and name repeated with each chunk",
        ),
        pytest.param(
            [call_delta(0, id="a", name="find", arguments='{"x"'), call_delta(0, id="b", arguments=":1}")],
            [("a", "find", '{"x":1}')],
            id="a new id for each chunk",
        ),
        pytest.param(
            [call_delta(0, name="get_", arguments=""), call_delta(0, name="weather"), call_delta(0, arguments="{}")],
            [(None, "get_weather", "{}")],
            id="a name in pieces",
        ),
        pytest.param(
            [call_delta(0, id="a", name="find", arguments="{}"), call_delta(0, id="b", name="find", arguments="{}")],
            [("a", "find", "{}"), ("b", "find", "{}")],
            id="two whole calls under one index",
        ),
        pytest.param(
            [call_delta(0, id="", name="find", arguments='{"x":1}'), call_delta(0, id="", name="send", arguments="{}")],
            [(None, "find", '{"x":1}'), (None, "send", "{}")],
            id="two whole calls under one index, no ids",
        ),
        pytest.param(
            [call_delta(None, name="find", arguments='{"x":1}'), call_delta(None, name="find", arguments='{"x":2}')],
            [(None, "find", '{"x":1}'), (None, "find", '{"x":2}')],
            id="whole calls without index or id",
        ),
        pytest.param(
            [both(call_delta(None, id="0", name="a", arguments="{}"), call_delta(None, id="0", name="b"))],
            [("0", "a", "{}"), ("0", "b", "")],
            id="whole calls in one chunk that share an id",
        ),
        pytest.param(
            [
                call_delta(None, id="a", name="find", arguments='{"x"'),
                call_delta(None, id="b", name="send", arguments='{"y"'),
                call_delta(None, id="a", arguments=":1}"),
                call_delta(None, id="b", arguments=":2}"),
            ],
            [("a", "find", '{"x":1}'), ("b", "send", '{"y":2}')],
            id="interleaved by id",
        ),
        pytest.param(
            [call_delta(None, id="a", name="find", arguments='{"x"'), call_delta(None, arguments=":1}")],
            [("a", "find", '{"x":1}')],
            id="arguments without index or id",
        ),
        pytest.param(
            [call_delta(1, id="b", name="send", arguments="{}"), call_delta(0, id="a", name="find", arguments="{}")],
            [("a", "find", "{}"), ("b", "send", "{}")],
            id="out of order",
        ),
        pytest.param(
            [call_delta(0, name="find", arguments={"x": 12345678901234567890123, "y": None})],
            [(None, "find", '{"x":12345678901234567890123,"y":null}')],
            id="arguments as an object",
        ),
        pytest.param(
            [call_delta(0, id="a", name="find", arguments=None), call_delta(1)],
            [("a", "find", "")],
            id="no arguments, and a place never filled",
        ),
        pytest.param(
            [call_delta(-1, name="find", arguments="{}"), call_delta(10**30, name="send", arguments="{}")],
            [(None, "find", "{}"), (None, "send", "{}")],
            id="odd indexes",
        ),
    ],
)
def test_tool_calls_as_providers_stream_them(deltas: list[dict[str, Any]], calls: list[Any]) -> None:
    assert calls_of(answered(*deltas)) == calls


@given(st.data())
def test_calls_cut_anywhere_are_put_together(data: st.DataObject) -> None:
    """Names and arguments split at any place, calls interleaved, as long as each carries its index."""
    wanted = [("a", "find_order", '{"id": "1"}'), ("b", "refund", '{"amount": 7, "note": "ok"}')]
    queues = []
    for index, (call_id, name, arguments) in enumerate(wanted):
        deltas = [call_delta(index, id=call_id, name=part, arguments="") for part in pieces_of(data, name)]
        queues.append(deltas + [call_delta(index, arguments=part) for part in pieces_of(data, arguments)])
    deltas = []
    while any(queues):
        deltas.append(data.draw(st.sampled_from([queue for queue in queues if queue])).pop(0))
    assert calls_of(answered(*deltas)) == wanted


def pieces_of(data: st.DataObject, text: str) -> list[str]:
    cut = data.draw(st.integers(1, len(text)))
    return [text[:cut], text[cut:]] if cut < len(text) else [text]


@pytest.mark.parametrize(
    ("deltas", "content"),
    [
        ([{"content": None}], None),
        ([{"role": "assistant", "content": ""}], ""),
        ([{"role": "assistant", "content": ""}, call_delta(0, name="find", arguments="{}")], None),
        ([{"content": "I look."}, call_delta(0, name="find", arguments="{}")], "I look."),
        ([{"content": [{"type": "text", "text": "a"}, "b"]}, {"content": "c"}], "abc"),
        ([{"content": [{"type": "thinking", "thinking": []}]}], None),
        ([{"content": ""}, {"refusal": "I can"}, {"refusal": "not."}], "I cannot."),
        ([{"reasoning_content": "hm"}, {"content": "yes"}], "yes"),
    ],
)
def test_contents(deltas: list[dict[str, Any]], content: str | None) -> None:
    assert answered(*deltas).message.content == content


def test_a_second_choice_is_not_part_of_the_answer() -> None:
    answer = Answer(streamed=True)
    answer.add({"choices": [{"index": 1, "delta": {"content": "no"}}, {"index": 0, "delta": {"content": "yes"}}]})
    assert answer.message.content == "yes"


def test_reasoning_is_not_the_first_word() -> None:
    assert not answered().add({"choices": [{"delta": {"reasoning_content": "hm", "content": ""}}]})
    assert answered().add({"choices": [{"delta": {"content": "yes"}}]})


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        (None, None),
        ({}, None),
        ({"prompt_tokens": "3", "completion_tokens": -1, "total_tokens": True}, None),
        ({"prompt_tokens": 0, "completion_tokens": 3}, Usage(input_tokens=0, output_tokens=3)),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 8}, Usage(input_tokens=9, cache_read=8)),
        (
            {"prompt_tokens": 9, "prompt_tokens_details": None, "cache_creation_input_tokens": 2},
            Usage(input_tokens=9, cache_write=2),
        ),
        (
            {"prompt_tokens": 9, "prompt_tokens_details": {"cache_write_tokens": 2}},
            Usage(input_tokens=9, cache_write=2),
        ),
    ],
)
def test_usage(value: object, usage: Usage | None) -> None:
    assert usage_of(value) == usage


PROTOCOL_WORDS = (
    "choices delta message content tool_calls function name arguments id index finish_reason usage error code model "
    "refusal text object prompt_tokens prompt_tokens_details cached_tokens"
)
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(PROTOCOL_WORDS.split()), inner, max_size=4),
    ),
    max_leaves=25,
)


@settings(max_examples=400)
@given(st.lists(JSON_VALUES, max_size=4), st.booleans())
def test_no_json_raises_anything_but_a_provider_error(values: list[Any], streamed: bool) -> None:
    answer = Answer(streamed=streamed)
    try:
        for value in values:
            answer.add({"choices": [{"delta": value, "message": value}]})
            answer.add(value)
        answer.message, answer.usage, answer.finish_reason, answer.served_model  # noqa: B018 - reading may raise
    except (ProviderError, NoRecordingError):
        pass


@given(st.text(max_size=1000))
def test_quotes_are_short_and_printable(text: str) -> None:
    shown = quoted(text, secrets=())
    assert shown.isprintable()
    assert len(shown) <= MAX_QUOTE + 3


def test_every_row_of_the_tables_names_a_known_failure() -> None:
    assert {row.kind for row in STATUSES} | {kind for _, kind, _ in TRANSPORT_FAILURES} <= set(PROVIDER_FAILURES)


# What is sent


def test_parameters_cannot_replace_what_the_route_sets() -> None:
    spec = RouteSpec("openai", "model-1", {"model": "other", "messages": [], "stream": False, "temperature": 0})
    fields = request_fields(spec, REQUEST)
    assert (fields["model"], fields["messages"], fields["stream"]) == ("model-1", REQUEST.messages, True)


@pytest.mark.parametrize(
    ("params", "left", "sent"),
    [
        ({}, None, {}),
        ({}, 50, {"max_completion_tokens": 50}),
        ({"max_tokens": 40}, 50, {"max_tokens": 40}),
        ({"max_tokens": 60}, 50, {"max_tokens": 50}),
        ({"max_completion_tokens": 60}, 50, {"max_completion_tokens": 50}),
        ({"max_completion_tokens": 60, "max_tokens": 70}, 65, {"max_completion_tokens": 60, "max_tokens": 70}),
    ],
)
def test_the_smaller_token_limit_is_sent(params: dict[str, int], left: int | None, sent: dict[str, int]) -> None:
    fields = request_fields(RouteSpec("openai", "m", params), ModelRequest(messages=(), max_output_tokens=left))
    assert {name: value for name, value in fields.items() if name.startswith("max_")} == sent


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://host/v1", "https://host/v1/chat/completions"),
        ("https://host/v1/", "https://host/v1/chat/completions"),
        ("https://host", "https://host/chat/completions"),
        ("https://host/a%2Fb?api-version=3", "https://host/a%2Fb/chat/completions?api-version=3"),
        ("http://host:8000/v1/chat/completions", "http://host:8000/v1/chat/completions"),
    ],
)
def test_where_completions_are_asked_for(base: str, url: str) -> None:
    assert str(completions_url(base)) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host/v1",
        "ftp://host/v1",
        "http://",
        "http://host:port/v1",
        "https://u:p@host",
        "http://a..b",
        "http://xn--/v1",
    ],
)
def test_a_url_that_cannot_be_used_is_the_users_mistake(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        open_model(SPEC, Endpoint(url))
    assert "u:p" not in str(raised.value)


async def test_what_goes_over_the_wire() -> None:
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
    request = ModelRequest(messages=REQUEST.messages, tools=(tool,), headers=REQUEST.headers)
    spec = RouteSpec("openai", "model-1", {"temperature": 0.5, "seed": 12345678901234567890})
    async with (
        ScriptedServer(Reply(text_stream("yes"))) as server,
        route(server, spec, headers={"x-team": "payments"}) as opened,
    ):
        await opened.complete(request, timeout_seconds=5)
    (received,) = server.received
    assert received.path == "/v1/chat/completions"
    assert received.body == {
        "model": "model-1",
        "messages": [{"role": "user", "content": "Hello"}],
        "tools": [tool],
        "temperature": 0.5,
        "seed": 12345678901234567890,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    wanted = {"Authorization": f"Bearer {KEY}", "x-team": "payments", "x-shadow-replay": "a; b"}
    assert wanted.items() <= received.headers.items()
    assert received.headers["Content-Type"] == "application/json"


async def test_a_long_request_is_sent_without_a_warning() -> None:
    request = ModelRequest(messages=({"role": "user", "content": "x" * 3_000_000},))
    async with ScriptedServer(Reply(text_stream("yes"))) as server, route(server) as opened:
        await opened.complete(request, timeout_seconds=10)
    assert len(server.received[0].body["messages"][0]["content"]) == 3_000_000


@pytest.mark.parametrize(
    "request_",
    [
        ModelRequest(messages=({"role": "user", "content": "\ud800"},)),
        ModelRequest(messages=({"role": "user", "content": float("nan")},), headers={"x-shadow-replay": "a\r\nb: c"}),
    ],
)
async def test_what_cannot_be_sent_is_not(request_: ModelRequest) -> None:
    async with ScriptedServer(Reply(text_stream("yes"))) as server, route(server) as opened:
        with pytest.raises(ProviderError, match="was not sent") as raised:
            await opened.complete(request_, timeout_seconds=5)
    assert raised.value.kind == "refused_request"
    assert not server.received


async def test_cookies_are_not_kept() -> None:
    async with (
        ScriptedServer(Reply(text_stream("yes"), headers={**EVENTS, "Set-Cookie": "session=1"})) as server,
        route(server) as opened,
    ):
        for _ in range(2):
            await opened.complete(REQUEST, timeout_seconds=5)
    assert "Cookie" not in server.received[1].headers


async def test_proxies_and_netrc_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await reply_to(Reply(text_stream("yes")))).message.content == "yes"


# What comes back, over HTTP


async def test_a_streamed_answer() -> None:
    reply = await reply_to(Reply(text_stream("Hel", "lo"), headers={**EVENTS, "x-shadow-replay-prefix": "off-prefix"}))
    assert reply.message.content == "Hello"
    assert (reply.finish_reason, reply.served_model, reply.prefix) == ("stop", "served-1", "off-prefix")
    assert reply.usage == Usage(input_tokens=11, output_tokens=5, cache_read=4, reasoning=2)
    assert (reply.attempts, reply.waited_ns // 10**9) == (1, 0)


async def test_the_first_word_comes_before_the_last_byte() -> None:
    """Five pieces 30 ms apart: the first word is in the second."""
    reply = await reply_to(Reply(text_stream("Hel", "lo"), gap_seconds=0.03))
    assert reply.ttft_ns is not None
    assert reply.latency_ns is not None
    assert 0.025 < reply.ttft_ns / 1e9 < reply.latency_ns / 1e9 - 0.05


async def test_a_tool_call_is_a_first_word() -> None:
    pieces = (chunk({"content": ""}), chunk(call_delta(0, name="f", arguments="{}")), chunk({}, "tool_calls"), DONE)
    reply = await reply_to(Reply(pieces, gap_seconds=0.02))
    assert reply.ttft_ns is not None
    assert [call.function.name for call in reply.message.calls] == ["f"]


async def test_a_whole_answer() -> None:
    calls = [
        {"id": "0", "type": "function", "function": {"name": "find", "arguments": '{"x":1'}},
        {"id": "0", "type": "function", "function": {"name": "find", "arguments": ":2}"}},
    ]
    spec = RouteSpec("openai", "model-1", stream=False)
    async with ScriptedServer(whole({"content": None, "tool_calls": calls}, "tool_calls")) as server:
        reply = await ask(server, spec)
    assert [call.function.arguments for call in reply.message.calls] == ['{"x":1', ":2}"]  # never joined
    assert (reply.message.content, reply.ttft_ns, reply.finish_reason) == (None, None, "tool_calls")
    assert reply.usage == Usage(input_tokens=11, output_tokens=5, cache_read=4, reasoning=2)
    assert reply.latency_ns is not None
    assert "stream" not in server.received[0].body


async def test_a_server_that_does_not_stream_is_understood() -> None:
    reply = await reply_to(whole({"content": [{"type": "text", "text": "Hello"}]}))
    assert (reply.message.content, reply.ttft_ns) == ("Hello", None)


async def test_nothing_said_is_an_answer() -> None:
    reply = await reply_to(whole({"content": None}))
    assert (reply.message.content, reply.message.tool_calls) == (None, None)


@pytest.mark.parametrize("last", [b"data: [DONE]", b"data: [DONE]\n", b""])
async def test_a_stream_may_end_without_an_empty_line_or_without_done(last: bytes) -> None:
    assert (await reply_to(Reply((chunk({"content": "yes"}, "stop"), last)))).message.content == "yes"


async def test_the_connection_is_used_again() -> None:
    async with ScriptedServer(Reply(text_stream("yes"))) as server, route(server) as opened:
        for _ in range(3):
            await opened.complete(REQUEST, timeout_seconds=5)
    assert len({received.connection for received in server.received}) == 1


async def test_a_server_that_does_not_end_its_stream_does_not_hold_the_answer() -> None:
    began = time.monotonic_ns()
    reply = await reply_to(Reply(text_stream("yes"), ending="hang"))
    assert reply.message.content == "yes"
    assert reply.latency_ns is not None
    # The time spent waiting for the end of the stream is not the model's.
    assert reply.latency_ns < time.monotonic_ns() - began - 0.2e9


# Failures, over HTTP


@pytest.mark.parametrize(
    ("status", "kind", "attempts"),
    [
        (302, "refused_request", 1),
        (400, "refused_request", 1),
        (401, "refused_request", 1),
        (404, "refused_request", 1),
        (408, "timeout", 3),
        (409, "refused_request", 1),
        (422, "refused_request", 1),
        (425, "refused_request", 1),
        (429, "rate_limited", 5),
        (500, "unavailable", 5),
        (501, "refused_request", 1),
        (502, "unavailable", 5),
        (503, "unavailable", 5),
        (504, "unavailable", 5),
        (529, "unavailable", 5),
    ],
)
async def test_statuses(status: int, kind: str, attempts: int) -> None:
    """What each means, and how often it is asked for without a Retry-After."""
    async with ScriptedServer(error_reply(status, "the reason", Location="/v1/other")) as server:
        with pytest.raises(ProviderError, match=f"answered {status}") as raised:
            await ask(server)
    assert (raised.value.kind, raised.value.attempts, len(server.received)) == (kind, attempts, attempts)
    assert '"the reason"' in str(raised.value)


async def test_another_success_than_200_is_no_answer() -> None:
    error = await failure_of(Reply(status=204, headers={}))
    assert (error.kind, "answered 204" in str(error)) == ("bad_response", True)


async def test_a_recorded_model_without_a_recording() -> None:
    with pytest.raises(NoRecordingError, match="turn 3 was not recorded"):
        await reply_to(error_reply(404, "turn 3 was not recorded", code="no_recording"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": "in words"}', '"in words"'),
        (b'{"detail": "not found"}', '"not found"'),
        (b'{"message": "bad", "code": 3}', '"bad"'),
        (b"<html>502</html>", '"<html>502</html>"'),
        (b"\xff\x00\x1b[2J\xe2\x80\xae", r'"�\x00\x1b[2J\u202e"'),
        (b"[1,", '"[1,"'),
        (b"", '""'),
        (b"x" * 5000, '"' + "x" * MAX_QUOTE + '…"'),
    ],
)
async def test_a_refusal_is_quoted_safely(body: bytes, words: str) -> None:
    error = await failure_of(Reply((body,), status=500, headers={}))
    assert f"the provider answered 500: {words};" in str(error)


async def test_the_key_is_never_in_a_message() -> None:
    """Even where the provider sends it back, across the place where its words are cut."""
    for body in (f"wrong key: Bearer {KEY}", "x" * (MAX_QUOTE - 10) + KEY, f'{{"error": {{"message": "{KEY}"}}}}'):
        error = await failure_of(Reply((body.encode(),), status=401, headers=JSON))
        assert "sk-sec" not in str(error)
        assert "***" in str(error) or "x*" in str(error)
    error = await failure_of(Reply((event({"error": {"message": KEY}}),)))
    assert "sk-sec" not in str(error)
    assert "sk-sec" not in repr(Endpoint("https://h", KEY, headers={"api-key": KEY}))
    async with RawServer(b"no HTTP at all\r\n\r\n") as server:
        opened = OpenAIRoute(SPEC, Endpoint(f"{server.url}?key={KEY}"))
        with pytest.raises(ProviderError, match="not HTTP") as raised:
            await opened.complete(REQUEST, timeout_seconds=5)
        await opened.aclose()
    assert "sk-sec" not in str(raised.value)
    assert repr(Endpoint("https://me:pw@h/v1?key=abc")).startswith("Endpoint(url='https://***@h/v1?***', api_key=None")


async def test_a_refusal_with_retry_after_is_retried_inside_the_budget() -> None:
    busy = error_reply(429, "slow down", Retry_After="0.05")
    async with ScriptedServer(busy, error_reply(503, Retry_After="0"), Reply(text_stream("yes"))) as server:
        reply = await ask(server)
    assert (reply.attempts, len(server.received)) == (3, 3)
    assert reply.waited_ns >= 0.05e9
    assert reply.latency_ns is not None
    assert reply.latency_ns < reply.waited_ns


@pytest.mark.parametrize(("status", "kind"), [(429, "rate_limited"), (503, "unavailable")])
async def test_a_retry_after_beyond_the_budget_fails(status: int, kind: str) -> None:
    async with ScriptedServer(error_reply(status, Retry_After="30")) as server:
        with pytest.raises(ProviderError, match="asked to wait 30 s") as raised:
            await ask(server, timeout_seconds=1)
    assert (raised.value.kind, len(server.received)) == (kind, 1)


async def test_retry_after_may_be_a_date() -> None:
    now = 1_000_000.0
    async with ScriptedServer(error_reply(429, Retry_After="Mon, 12 Jan 1970 13:46:50 GMT")) as server:
        opened = OpenAIRoute(SPEC, Endpoint(server.url), wall_clock=lambda: now)
        with pytest.raises(ProviderError, match="asked to wait 10 s"):
            await opened.complete(REQUEST, timeout_seconds=5)
        await opened.aclose()


async def test_attempts_have_a_limit() -> None:
    async with ScriptedServer(error_reply(429, Retry_After="0")) as server:
        with pytest.raises(ProviderError, match="last attempt allowed") as raised:
            await ask(server, max_attempts=3)
    assert (raised.value.attempts, len(server.received)) == (3, 3)


@pytest.mark.parametrize("status", [400, 401, 409, 425, 501])
async def test_a_refusal_of_the_request_is_final_even_with_retry_after(status: int) -> None:
    async with ScriptedServer(error_reply(status, Retry_After="0")) as server:
        with pytest.raises(ProviderError):
            await ask(server)
    assert len(server.received) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529])
async def test_a_retry_after_is_waited_for_whatever_failed(status: int) -> None:
    async with ScriptedServer(error_reply(status, Retry_After="0.05"), Reply(text_stream("yes"))) as server:
        reply = await ask(server)
    assert (reply.attempts, reply.message.content) == (2, "yes")
    assert reply.waited_ns >= 0.05e9


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(error_reply(429), id="429"),
        pytest.param(error_reply(502), id="502"),
        pytest.param(Reply(ending="drop"), id="closed before an answer"),
        pytest.param(Reply((chunk({"content": "no "}),), ending="cut"), id="cut in the middle"),
        pytest.param(Reply((chunk({"content": "no "}),)), id="ended in the middle"),
        pytest.param(Reply((chunk({"content": "no "}), event({"error": "overloaded"}))), id="an error in the middle"),
    ],
)
async def test_a_bad_moment_costs_no_answer(bad: Reply) -> None:
    """The call is made again as a whole: nothing of a broken answer is in the one that counts."""
    async with ScriptedServer(bad, bad, Reply(text_stream("yes"))) as server:
        reply = await ask(server)
    assert (reply.message.content, reply.attempts, len(server.received)) == ("yes", 3, 3)
    assert server.received[0].body == server.received[2].body


async def test_the_latency_is_that_of_the_answered_attempt() -> None:
    slow, began = Reply((CUT_EVENT,), gap_seconds=0.15, ending="cut"), time.monotonic_ns()
    async with ScriptedServer(slow, Reply(text_stream("yes"))) as server:
        reply = await ask(server)
    assert reply.latency_ns is not None
    assert reply.latency_ns < time.monotonic_ns() - began - 0.15e9
    assert reply.waited_ns > 0.15e9


async def test_a_route_whose_calls_all_fail_stops_asking_again() -> None:
    async with ScriptedServer(error_reply(503)) as server, route(server, concurrency=4) as opened:
        errors = []
        for _ in range(60):
            with pytest.raises(ProviderError) as raised:
                await opened.complete(REQUEST, timeout_seconds=5)
            errors.append(raised.value)
    assert len(server.received) == sum(error.attempts for error in errors) <= 60 * 1.2 + 10
    assert "retry budget is spent" in str(errors[-1])
    assert {error.kind for error in errors} == {"unavailable"}


async def test_retries_end_with_the_time_budget() -> None:
    async with ScriptedServer(error_reply(503)) as server:
        where = Endpoint(server.url)
        opened = OpenAIRoute(SPEC, where, limiter=RouteLimiter(where, draw=lambda: 1.0))
        with pytest.raises(ProviderError, match="the next attempt was due in 0.5 s"):
            await opened.complete(REQUEST, timeout_seconds=0.4)
        assert len(server.received) == 1
        await opened.aclose()


async def test_a_connection_that_does_not_come_about_is_given_up_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that takes connections and stays silent where TLS should begin."""
    monkeypatch.setattr(openai_route, "CONNECT_SECONDS", 0.05)
    async with RawServer() as server:
        server.url = server.url.replace("http:", "https:")
        with pytest.raises(ProviderError, match="the connection timed out") as raised:
            await ask(server)
    assert (raised.value.kind, raised.value.attempts) == ("timeout", 3)


async def test_a_redirect_is_not_followed() -> None:
    async with ScriptedServer(error_reply(307, Location="/v1/other")) as server:
        with pytest.raises(ProviderError, match="redirects are not followed"):
            await ask(server)
    assert [received.path for received in server.received] == ["/v1/chat/completions"]


async def test_a_timeout_lets_the_connection_go() -> None:
    async with ScriptedServer(Reply((chunk({"content": "a"}),), ending="hang")) as server, route(server) as opened:
        with pytest.raises(ProviderError, match="no complete answer within") as raised:
            await opened.complete(REQUEST, timeout_seconds=0.1)
        await asyncio.wait_for(server.client_gone.wait(), 5)
    assert raised.value.kind == "timeout"


async def test_cancellation_passes_through_and_lets_the_connection_go() -> None:
    async with ScriptedServer(Reply((chunk({"content": "a"}),), ending="hang")) as server, route(server) as opened:
        task = asyncio.create_task(opened.complete(REQUEST, timeout_seconds=30))
        await asyncio.wait_for(server.asked.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.client_gone.wait(), 5)


async def test_calls_at_once_are_limited_on_the_wire() -> None:
    async with (
        ScriptedServer(Reply(text_stream("yes"), gap_seconds=0.005)) as server,
        route(server, concurrency=4) as opened,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(20):
            group.create_task(opened.complete(REQUEST, timeout_seconds=5))
    assert (server.most_at_once, len(server.received)) == (4, 20)


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        pytest.param(Reply((CUT_EVENT,)), "connection", "without a finish_reason", id="ends early"),
        pytest.param(Reply((CUT_EVENT,), ending="cut"), "connection", "the answer was cut", id="cut"),
        pytest.param(Reply(()), "connection", "without a finish_reason", id="empty"),
        pytest.param(Reply((b": keep\n\n",)), "connection", "without a finish_reason", id="comments only"),
        pytest.param(
            Reply((b"<html>", b"</html>"), headers={"Content-Type": "text/html"}), "bad_response", "html", id="html"
        ),
        pytest.param(Reply((b"data: {nope\n\n",)), "bad_response", '"{nope"', id="not JSON"),
        pytest.param(Reply((b"data: {}\n\n" + DONE,)), "bad_response", "no choice", id="no choice"),
        pytest.param(Reply((event([]),)), "bad_response", "list; expected an object", id="not an object"),
        pytest.param(Reply((event({"choices": [{"delta": {"content": 7}}]}),)), "bad_response", "int", id="wrong type"),
        pytest.param(
            Reply((event({"error": {"message": "boom", "code": 429}}),)), "rate_limited", "boom", id="error 429"
        ),
        pytest.param(Reply((event({"error": "boom"}),)), "unavailable", "boom", id="error in words"),
        pytest.param(Reply((event({"object": "error", "message": "boom"}),)), "unavailable", "boom", id="vllm error"),
        pytest.param(json_reply({"error": {"message": "boom"}}), "unavailable", "boom", id="error as 200"),
        pytest.param(json_reply([1]), "bad_response", "list", id="a list"),
        pytest.param(Reply((b"{",), headers=JSON), "bad_response", "not valid JSON", id="half a body"),
        pytest.param(
            Reply((b"no gzip at all",), headers={**EVENTS, "Content-Encoding": "gzip"}),
            "connection",
            "unpacked",
            id="not gzip",
        ),
    ],
)
async def test_answers_that_are_none(reply: Reply, kind: str, words: str) -> None:
    error = await failure_of(reply)
    assert (error.kind, words in str(error)) == (kind, True), str(error)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_without_end_is_given_up(stream: bool) -> None:
    pieces = (b"data: " if stream else b'"', *[b"x" * 2**20] * (MAX_ANSWER_BYTES // 2**20 + 1))
    reply = Reply(pieces, headers=EVENTS if stream else JSON)
    error = await failure_of(reply, RouteSpec("openai", "m", stream=stream), timeout_seconds=20)
    assert (error.kind, "longer than 16 MiB" in str(error)) == ("bad_response", True)


async def test_nobody_answers() -> None:
    async with RawServer() as server:
        pass
    with pytest.raises(ProviderError, match="could not connect") as raised:
        await ask(server)
    assert (raised.value.kind, raised.value.attempts) == ("connection", 5)


RAW_STARTS = st.sampled_from(
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n",
        b"HTTP/1.1 429 No\r\nRetry-After: 99\r\n",
        b"HTTP/1.1 404 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nSet-Cookie: ",
        b"HTTP/1.1 307 Go\r\nLocation: http://",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-shadow-replay-prefix: \xff\r\nContent-Type: ",
    ]
)
RAW_PARTS = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [
            b"data: ",
            b"\n\n",
            b"\r\n",
            b"5\r\n",
            b"0\r\n\r\n",
            b'{"choices":[',
            b"\xff",
            b"; charset=",
            DONE,
            CUT_EVENT,
            b"\x00",
        ]
    ),
)


def test_hostile_bytes_raise_nothing_but_named_failures() -> None:
    async def check(server: RawServer) -> None:
        with suppress(ProviderError, NoRecordingError):
            await ask(server, timeout_seconds=5, max_attempts=1)

    with asyncio.Runner() as runner:
        server = RawServer()
        runner.run(server.__aenter__())

        @settings(max_examples=300, deadline=None)
        @given(RAW_STARTS, st.lists(RAW_PARTS, max_size=8))
        def hostile(start: bytes, parts: list[bytes]) -> None:
            server.payload = start + b"".join(parts)
            runner.run(check(server))

        try:
            hostile()
        finally:
            runner.run(server.__aexit__(None, None, None))


async def test_a_closed_route_stays_closed() -> None:
    async with ScriptedServer(Reply(text_stream("yes"))) as server:
        async with route(server) as opened:
            await opened.complete(REQUEST, timeout_seconds=5)
        with pytest.raises(RuntimeError, match="closed"):
            await opened.complete(REQUEST, timeout_seconds=5)


# What a release may say


def test_parameters_that_pass() -> None:
    values = {"a number": 1.5, "a whole number": 1, "true or false": True, "text": "x", "an object": {}}
    for transport, table in (("openai", {**PARAMETERS, **OPEN_MODEL_PARAMETERS}), ("litellm", PARAMETERS)):
        params = {name: values.get(kind.words, "x") for name, kind in table.items()}
        assert check_params(RouteSpec(transport, "m", params)) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"temperature": "hot"}, "parameter 'temperature' is str; expected a number"),
        ({"temperature": True}, "parameter 'temperature' is bool; expected a number"),
        ({"seed": 1.5}, "expected a whole number"),
        ({"temprature": 1}, "is not one the openai transport passes; it passes temperature"),
        ({"n": 2}, "parameter 'n' must stay 1"),
        ({"web_search_options": {}}, "would let the provider act outside the stubs"),
        ({"api_key": "x"}, "is a setting of the endpoint"),
    ],
)
def test_parameters_that_do_not(params: dict[str, Any], words: str) -> None:
    (problem,) = check_params(RouteSpec("openai", "m", params))
    assert words in problem
    with pytest.raises(UsageError, match="cannot be opened"):
        open_model(RouteSpec("openai", "m", params), Endpoint("http://h/v1"))


def test_every_problem_is_named() -> None:
    assert len(check_params(RouteSpec("litellm", "m", {"top_k": 3, "n": 1, "fallbacks": [], "seed": 1}))) == 3


def test_no_name_is_both_passed_and_refused() -> None:
    assert not RESERVED.keys() & {**PARAMETERS, **OPEN_MODEL_PARAMETERS}.keys()


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"concurrency": 0}, "concurrency is 0"),
        ({"max_attempts": 0}, "max_attempts is 0"),
        ({"requests_per_minute": 0.0}, "requests_per_minute is 0"),
        ({"requests_per_minute": float("nan")}, "requests_per_minute is nan"),
        ({"api_key": "secret\nkey"}, "the api_key is not printable ASCII"),
        ({"headers": {"x-team": "é"}}, "header 'x-team'"),
    ],
)
def test_settings_that_cannot_be_used(settings_: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        open_model(SPEC, Endpoint("http://h/v1", **settings_))
    assert "secret" not in str(raised.value)


def test_the_check_of_a_release_imports_no_transport() -> None:
    import subprocess
    import sys

    code = "import replay.routes, sys; print(json.dumps([m for m in ('aiohttp', 'litellm') if m in sys.modules]))"
    out = subprocess.run([sys.executable, "-c", "import json; " + code], capture_output=True, text=True, check=True)
    assert json.loads(out.stdout) == []
