"""The litellm route, against a scripted server: one call is one call, and nothing is made up.

litellm is part of the development lock. Without it these tests fail; they do not skip, since a route that nobody
tested is no route.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from replay.errors import NoRecordingError, ProviderError, UsageError
from replay.limiter import RouteLimiter
from replay.litellm_route import NAMED_FAILURES, LiteLLMRoute, failure_of
from replay.models import Endpoint, Model, ModelReply, ModelRequest, RouteSpec
from replay.routes import open_model
from replay.trace import Usage
from tests.replay.scripted_server import (
    DONE,
    EVENTS,
    JSON,
    Reply,
    ScriptedServer,
    call_delta,
    chunk,
    error_reply,
    text_stream,
    usage_chunk,
    whole,
)

# litellm's own use of pydantic; ours stays strict.
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")

KEY = "sk-secret-0123456789"
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
REQUEST = ModelRequest(
    messages=({"role": "user", "content": "Hello"},), tools=(TOOL,), headers={"x-shadow-replay": "a; b"}
)
SPEC = RouteSpec("litellm", "openai/model-1", {"temperature": 0.5, "seed": 7, "tool_choice": "auto"})
WHOLE = RouteSpec("litellm", "openai/model-1", stream=False)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def route(server: ScriptedServer, spec: RouteSpec = SPEC, **endpoint: Any) -> AsyncIterator[Model]:
    where = Endpoint(server.url, KEY, **endpoint)
    opened = open_model(spec, where, limiter=RouteLimiter(where, draw=lambda: 0.0))  # retries follow at once
    try:
        yield opened
    finally:
        await opened.aclose()


async def ask(server: ScriptedServer, spec: RouteSpec = SPEC, *, timeout_seconds: float = 10.0) -> ModelReply:
    async with route(server, spec) as opened:
        return await opened.complete(REQUEST, timeout_seconds=timeout_seconds)


async def reply_to(reply: Reply, spec: RouteSpec = SPEC) -> ModelReply:
    async with ScriptedServer(reply) as server:
        return await ask(server, spec)


async def refused(reply: Reply, spec: RouteSpec = SPEC, **arguments: Any) -> ProviderError:
    async with ScriptedServer(reply) as server:
        with pytest.raises(ProviderError) as raised:
            await ask(server, spec, **arguments)
    return raised.value


# One call is one call


async def test_what_goes_over_the_wire() -> None:
    async with ScriptedServer(Reply(text_stream("yes"))) as server:
        await ask(server)
    (received,) = server.received
    assert received.body == {
        "model": "model-1",
        "messages": [{"role": "user", "content": "Hello"}],
        "tools": [TOOL],
        "temperature": 0.5,
        "seed": 7,
        "tool_choice": "auto",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert received.headers["Authorization"] == f"Bearer {KEY}"
    assert received.headers["x-shadow-replay"] == "a; b"


@pytest.mark.parametrize(
    ("status", "kind", "attempts"),
    [
        (400, "refused_request", 1),
        (401, "refused_request", 1),
        (404, "refused_request", 1),
        (408, "timeout", 3),
        (409, "refused_request", 1),
        (422, "refused_request", 1),
        (429, "rate_limited", 5),
        (500, "unavailable", 5),
        (501, "refused_request", 1),
        (502, "unavailable", 5),
        (503, "unavailable", 5),
        (529, "unavailable", 5),
    ],
)
async def test_a_status_is_named_and_asked_again_by_its_class(status: int, kind: str, attempts: int) -> None:
    async with ScriptedServer(error_reply(status, "the reason")) as server:
        with pytest.raises(ProviderError, match="the reason") as raised:
            await ask(server)
    assert (raised.value.kind, raised.value.attempts, len(server.received)) == (kind, attempts, attempts)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(error_reply(429), id="429"),
        pytest.param(error_reply(502), id="502"),
        pytest.param(Reply(ending="drop"), id="closed before an answer"),
        pytest.param(Reply((chunk({"content": "no "}),), ending="cut"), id="cut in the middle"),
        pytest.param(Reply((chunk({"content": "no "}),)), id="ended in the middle"),
    ],
)
async def test_a_bad_moment_costs_no_answer(bad: Reply) -> None:
    async with ScriptedServer(bad, bad, Reply(text_stream("yes"))) as server:
        reply = await ask(server)
    assert (reply.message.content, reply.attempts, len(server.received)) == ("yes", 3, 3)


async def test_a_retry_after_is_waited_for() -> None:
    async with ScriptedServer(error_reply(503, Retry_After="0.05"), Reply(text_stream("yes"))) as server:
        reply = await ask(server)
    assert (reply.attempts, len(server.received)) == (2, 2)
    assert reply.waited_ns >= 0.05e9
    async with ScriptedServer(error_reply(503, Retry_After="60")) as server:
        with pytest.raises(ProviderError, match="asked to wait 60 s"):
            await ask(server)
    assert len(server.received) == 1


async def test_a_recorded_model_without_a_recording() -> None:
    async with ScriptedServer(error_reply(404, "turn 3 was not recorded", code="no_recording")) as server:
        with pytest.raises(NoRecordingError, match="turn 3 was not recorded"):
            await ask(server)


# What comes back


async def test_a_streamed_answer() -> None:
    pieces = (
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "I look."}),
        chunk(call_delta(0, id="a", type="function", name="find", arguments="")),
        chunk(call_delta(0, arguments='{"x"')),
        chunk(call_delta(0, arguments=":1}")),
        chunk({}, "tool_calls"),
        usage_chunk(),
        DONE,
    )
    headers = {**EVENTS, "x-shadow-replay-prefix": "prefix-match"}
    reply = await reply_to(Reply(pieces, headers=headers, gap_seconds=0.02))
    assert reply.message.content == "I look."
    assert [(call.id, call.function.name, call.function.arguments) for call in reply.message.calls] == [
        ("a", "find", '{"x":1}')
    ]
    assert (reply.finish_reason, reply.served_model, reply.prefix) == ("tool_calls", "served-1", "prefix-match")
    assert reply.usage == Usage(input_tokens=11, output_tokens=5, cache_read=4, reasoning=2)
    assert reply.ttft_ns is not None
    assert reply.latency_ns is not None
    assert 0.015e9 < reply.ttft_ns < reply.latency_ns - 0.05e9


async def test_a_whole_answer() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    reply = await reply_to(whole({"content": None, "tool_calls": [call]}, "tool_calls"), WHOLE)
    assert reply.message.content is None
    assert [(call.id, call.function.name) for call in reply.message.calls] == [("a", "find")]
    assert (reply.finish_reason, reply.served_model, reply.ttft_ns) == ("tool_calls", "served-1", None)
    assert reply.usage == Usage(input_tokens=11, output_tokens=5, cache_read=4, reasoning=2)


async def test_token_counts_are_not_invented() -> None:
    """Where the provider counts nothing, litellm hands out an estimate or zeros."""
    silent = tuple(piece for piece in text_stream("yes") if b"prompt_tokens" not in piece)
    assert (await reply_to(Reply(silent))).usage is None
    assert (await reply_to(whole({"content": "yes"}, usage={}), WHOLE)).usage is None


async def test_a_price_is_not_invented() -> None:
    """litellm knows prices of models by name; ours are the release's. A reply has no room for another's."""
    reply = await reply_to(Reply(text_stream("yes")), RouteSpec("litellm", "openai/gpt-4o"))
    assert reply.usage is not None
    assert not [field.name for field in dataclasses.fields(reply) if "cost" in field.name]


async def test_a_finish_is_not_invented() -> None:
    """A stream that ends early is cut, though litellm would close it with `stop`."""
    error = await refused(Reply((chunk({"role": "assistant", "content": "y"}),)))
    assert (error.kind, "without a finish_reason" in str(error)) == ("connection", True)


async def test_a_model_that_repeats_itself_is_no_outage() -> None:
    reply = await reply_to(Reply(text_stream(*["again "] * 150)))
    assert reply.message.content == "again " * 150


@pytest.mark.parametrize(
    ("reply", "spec", "kind"),
    [
        pytest.param(Reply((chunk({"content": "y"}),), ending="cut"), SPEC, "connection", id="cut"),
        pytest.param(Reply((b"data: {nope\n\n",)), SPEC, "bad_response", id="not JSON"),
        pytest.param(Reply((b"{nope",), headers=JSON), WHOLE, "bad_response", id="whole, not JSON"),
    ],
)
async def test_answers_that_are_none(reply: Reply, spec: RouteSpec, kind: str) -> None:
    error = await refused(reply, spec)
    assert error.kind == kind, str(error)


async def test_nobody_answers() -> None:
    async with ScriptedServer(Reply()) as server:
        pass
    with pytest.raises(ProviderError) as raised:
        await ask(server)
    assert raised.value.kind == "connection", str(raised.value)


async def test_a_timeout_lets_the_connection_go() -> None:
    async with ScriptedServer(Reply((chunk({"content": "a"}),), ending="hang")) as server, route(server) as opened:
        with pytest.raises(ProviderError) as raised:
            await opened.complete(REQUEST, timeout_seconds=0.3)
        await asyncio.wait_for(server.client_gone.wait(), 5)
    assert raised.value.kind == "timeout"


async def test_cancellation_passes_through() -> None:
    async with ScriptedServer(Reply((chunk({"content": "a"}),), ending="hang")) as server, route(server) as opened:
        task = asyncio.create_task(opened.complete(REQUEST, timeout_seconds=30))
        await asyncio.wait_for(server.asked.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.client_gone.wait(), 5)


async def test_the_key_is_in_no_message_and_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    error = await refused(error_reply(401, f"wrong key: {KEY}"))
    assert "sk-sec" not in str(error)
    assert "***" in str(error)
    assert capsys.readouterr().out == ""


async def test_a_key_of_the_environment_goes_to_no_url_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with ScriptedServer(Reply(text_stream("yes"))) as server:
        opened = open_model(SPEC, Endpoint(server.url))
        await opened.complete(REQUEST, timeout_seconds=10)
        await opened.aclose()
    assert KEY not in server.received[0].headers["Authorization"]


async def test_closing_one_route_does_not_close_another() -> None:
    """litellm keeps its clients for the whole process; two lanes may share one of them."""
    async with ScriptedServer(Reply(text_stream("yes"))) as server, route(server) as other:
        await other.complete(REQUEST, timeout_seconds=10)
        await ask(server)
        assert (await other.complete(REQUEST, timeout_seconds=10)).message.content == "yes"
    assert (await reply_to(Reply(text_stream("yes")))).message.content == "yes"


# The package


def test_importing_the_route_imports_no_litellm_and_a_dot_env_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PLANTED=1\n")
    code = """
import asyncio, json, os, sys
import replay.litellm_route, replay.routes
from replay.models import Endpoint, RouteSpec
before = "litellm" in sys.modules
route = replay.routes.open_model(RouteSpec("litellm", "openai/x"), Endpoint("http://127.0.0.1:9"))
asyncio.run(route._start())
print(json.dumps([before, "litellm" in sys.modules, os.environ.get("PLANTED")]))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [False, True, None]


def test_without_litellm_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r"pip install shadow-replay\[litellm\]"):
        LiteLLMRoute(SPEC, Endpoint())


def test_named_failures_still_exist() -> None:
    """The table names classes of others; a name that is gone would match nothing and say nothing."""
    import httpx
    import litellm
    import openai

    names = {name for module in (litellm, openai, httpx) for name in vars(module)} | {"JSONDecodeError"}
    assert {name for name, _ in NAMED_FAILURES} <= names


def test_an_error_without_a_status_is_a_bad_response() -> None:
    failure = failure_of(KeyError("usage"), secrets=())
    assert isinstance(failure, ProviderError)
    assert failure.kind == "bad_response"
