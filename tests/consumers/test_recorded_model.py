import asyncio
import io
import json
import logging
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest

from consumers.faults import Fault, FaultInjector, FaultPlan, FaultRule, parse_faults
from consumers.playback import Latency, Playback, Refusal, ReplayHeader, parse_header, parse_latency, schedule
from consumers.recorded_model import ServeOptions, load_recording, recorded_model, serve
from consumers.recording import Recording, record
from replay.errors import UsageError
from replay.models import PREFIX_HEADER, REPLAY_HEADER
from replay.trace import BundleRef, Function, FunctionCall, Message, ModelCall, Request, ToolCall, Trace, Usage
from replay.wire import encode_trace

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "corpus"

ASKED = Message(role="assistant", tool_calls=(FunctionCall(id="", function=Function(name="find", arguments="{}")),))
TRACE = Trace(
    trace_id="t/1; x",
    bundle=BundleRef(id="shop/v1"),
    request=Request(messages=(Message(role="user", content="where is my order?"),)),
    steps=(
        ModelCall(output=ASKED, model_requested="m-1", usage=Usage(input_tokens=5, output_tokens=1)),
        ToolCall(name="find", result="shipped"),
        ModelCall(
            output=Message(role="assistant", content="It is on its way. " * 20),
            duration_ns=400_000_000,
            ttft_ns=100_000_000,
        ),
    ),
)
MESSAGES = [{"role": "system", "content": "any"}, {"role": "user", "content": "where is my order?"}]
RECORDING = record([TRACE], bundle="shop/v1")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def header(step: int = 0, *, comparison: str = "cmp", trace_id: str = TRACE.trace_id, mode: str = "forced") -> dict:
    parts = (comparison, trace_id, mode, "candidate", "0", str(step))
    return {REPLAY_HEADER: "; ".join(quote(part, safe="") for part in parts)}


class Client:
    """Asks a recorded model as a replay does."""

    def __init__(self, session: aiohttp.ClientSession, url: str, log: io.BytesIO) -> None:
        self.session = session
        self.url = url
        self.log = log

    @property
    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    async def ask(
        self, headers: dict | None = None, *, path: str = "/chat/completions", **fields: object
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        body = {"model": "any", "messages": MESSAGES, **fields}
        async with self.session.post(self.url + path, json=body, headers=headers) as response:
            return response, await response.read()


class Server:
    """Starts recorded models and ends them with the test."""

    def __init__(self) -> None:
        self._contexts: list = []

    async def start(self, playback: Playback | None = None, recording: Recording = RECORDING) -> Client:
        log = io.BytesIO()
        context = recorded_model(recording, playback or Playback(), log=log)
        url = await context.__aenter__()
        session = aiohttp.ClientSession()
        self._contexts += [context, session]
        return Client(session, url, log)

    async def stop(self) -> None:
        for context in reversed(self._contexts):
            await context.__aexit__(None, None, None)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    yield found
    await found.stop()


# -- playing


@pytest.mark.parametrize("path", ["/chat/completions", "/../chat/completions"])
async def test_a_named_step_is_played_whole(path: str, server: Server) -> None:
    client = await server.start()
    response, body = await client.ask(header(0), path=path)
    message = json.loads(body)["choices"][0]["message"]
    assert response.status == 200
    assert message["tool_calls"][0]["function"]["name"] == "find"
    assert message["tool_calls"][0]["id"] == ""


async def test_a_named_step_is_streamed(server: Server) -> None:
    client = await server.start()
    response, body = await client.ask(header(1), stream=True)
    chunks = [json.loads(line[6:]) for line in body.decode().split("\n\n")[:-2]]
    assert response.headers["Content-Type"] == "text/event-stream"
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "It is on its way. " * 20
    assert body.endswith(b"data: [DONE]\n\n")


async def test_usage_is_streamed_if_asked_for(server: Server) -> None:
    client = await server.start()
    _, body = await client.ask(header(0), stream=True, stream_options={"include_usage": True})
    assert json.loads(body.decode().split("\n\n")[-3][6:])["usage"]["total_tokens"] == 6


async def test_the_same_request_gets_the_same_bytes(server: Server) -> None:
    client = await server.start()
    bodies = {(await client.ask(header(1), stream=True))[1] for _ in range(3)}
    assert len(bodies) == 1


async def test_a_request_with_the_recorded_prefix_is_told_from_others(server: Server) -> None:
    client = await server.start()
    on, _ = await client.ask(header(0))
    off, _ = await client.ask(header(1))
    assert (on.headers[PREFIX_HEADER], off.headers[PREFIX_HEADER]) == ("prefix-match", "off-prefix")


async def test_a_later_step_matches_with_minted_call_ids(server: Server) -> None:
    client = await server.start()
    calls = [{"id": "call_0_0", "type": "function", "function": {"name": "find", "arguments": "{ }"}}]
    said = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_0_0", "content": "shipped"},
    ]
    response, _ = await client.ask(header(1), messages=said)
    assert response.headers[PREFIX_HEADER] == "prefix-match"


async def test_without_a_header_the_messages_find_their_step(server: Server) -> None:
    client = await server.start()
    response, body = await client.ask()
    assert (response.status, response.headers[PREFIX_HEADER]) == (200, "prefix-match")
    assert json.loads(body)["choices"][0]["finish_reason"] == "tool_calls"
    assert client.lines[0]["step"] == 0


async def test_without_a_header_messages_that_fit_nothing_are_a_conflict(server: Server) -> None:
    client = await server.start()
    response, body = await client.ask(messages=[{"role": "user", "content": "something else"}])
    error = json.loads(body)["error"]
    assert (response.status, error["code"]) == (409, "no_unique_match")
    assert "no step of shop/v1 was recorded" in error["message"]


@pytest.mark.parametrize("headers", [header(7), header(0, trace_id="unknown")])
async def test_what_was_not_recorded_is_not_found(headers: dict, server: Server) -> None:
    client = await server.start()
    response, body = await client.ask(headers)
    assert (response.status, json.loads(body)["error"]["code"]) == (404, "no_recording")
    assert PREFIX_HEADER not in response.headers


async def test_models_and_health(server: Server) -> None:
    client = await server.start()
    async with client.session.get(client.url + "/models") as response:
        assert [model["id"] for model in (await response.json())["data"]] == ["shop/v1"]
    async with client.session.get(client.url.removesuffix("/v1") + "/healthz") as response:
        assert (await response.json())["status"] == "ok"


async def test_each_request_is_one_line_of_the_log(server: Server) -> None:
    client = await server.start()
    await client.ask(header(0, comparison="a b;c"))
    await client.ask(header(9))
    lines = client.lines
    times = [line.pop("at") for line in lines]
    assert times == sorted(times)
    assert lines == [
        {
            "comparison_id": "a b;c",
            "trace_id": "t/1; x",
            "mode": "forced",
            "lane": "candidate",
            "sample": 0,
            "step": 0,
            "status": 200,
            "prefix": "prefix-match",
            "fault": None,
            "error": None,
        },
        {
            "comparison_id": "cmp",
            "trace_id": "t/1; x",
            "mode": "forced",
            "lane": "candidate",
            "sample": 0,
            "step": 9,
            "status": 404,
            "prefix": None,
            "fault": None,
            "error": "no_recording",
        },
    ]


# -- what is refused


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"messages": "hello"}',
        b'{"messages": [{"role": "robot", "content": "x"}]}',
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"messages": [{"role": "user", "content": "\xff"}]}',
        b'{"messages": [{"role": "user", "content": ' + b"[" * 5000 + b"]" * 5000 + b"}]}",
        b'{"messages": [], "stream": "yes"}',
        b'{"messages": [NaN]}',
    ],
)
async def test_a_body_that_is_no_request_is_refused(body: bytes, server: Server) -> None:
    client = await server.start()
    async with client.session.post(client.url + "/chat/completions", data=body, headers=header()) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (400, "bad_request")


async def test_a_request_beyond_the_limit_is_refused(server: Server) -> None:
    client = await server.start(Playback(max_request_bytes=1000))
    response, body = await client.ask(header(), messages=[{"role": "user", "content": "x" * 2000}])
    assert (response.status, json.loads(body)["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize("text", ["", "a; b", "a; b; c; d; x; 0", "a; b; c; d; 0; -1", "a;b;c;d;0;1;2", "a;b;c;d;0;٣"])
def test_a_header_of_another_form_is_refused(text: str) -> None:
    found = parse_header(text)
    assert isinstance(found, Refusal)
    assert (found.status, found.code) == (400, "bad_replay_header")


async def test_a_bad_header_is_refused_over_http(server: Server) -> None:
    client = await server.start()
    response, body = await client.ask({REPLAY_HEADER: "what?"})
    assert (response.status, json.loads(body)["error"]["code"]) == (400, "bad_replay_header")


def test_header_values_may_hold_anything() -> None:
    parts = ("a;b", "c d/é%", "free", "candidate", "3", "12")
    text = "; ".join(quote(part, safe="") for part in parts)
    assert parse_header(text) == ReplayHeader("a;b", "c d/é%", "free", "candidate", 3, 12)


# -- time


@pytest.mark.parametrize(
    ("text", "expected"),
    [("none", Latency(0.0)), ("recorded", Latency()), ("1.5", Latency(1.5)), ("0", Latency(0.0))],
)
def test_latency_is_parsed(text: str, expected: Latency) -> None:
    assert parse_latency(text) == expected


@pytest.mark.parametrize("text", ["", "fast", "-1", "inf", "nan"])
def test_latency_of_another_form_is_the_users_mistake(text: str) -> None:
    with pytest.raises(UsageError, match="recorded, none, or a number"):
        parse_latency(text)


def test_recorded_times_are_played_scaled_and_unknown_ones_are_none() -> None:
    first, last = TRACE.model_calls
    assert Latency().times(first) == (0.0, 0.0)
    assert Latency().times(last) == (0.1, 0.4)
    assert Latency(time_scale=0.5).times(last) == (0.05, 0.2)
    assert Latency(2.0, ttft_fraction=0.25).times(last) == (0.5, 2.0)


def test_an_answer_is_spread_from_its_first_piece_to_its_end() -> None:
    plan = schedule([b"a", *[b"b"] * 8], (1.0, 3.0))
    assert [part.at for part in plan] == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert [part.data for part in plan] == [b"a", b"bb", b"bb", b"bb", b"bb"]


def test_an_answer_without_latency_is_one_write() -> None:
    assert schedule([b"a", b"b", b"c"], (0.0, 0.0)) == [(0.0, b"abc")]


def test_a_whole_answer_comes_at_its_end() -> None:
    assert schedule([b"abc"], (1.0, 3.0)) == [(3.0, b"abc")]


async def test_recorded_latency_is_waited_for(server: Server) -> None:
    client = await server.start(Playback(latency=parse_latency("recorded")))
    started = time.perf_counter()
    async with client.session.post(
        client.url + "/chat/completions", json={"messages": MESSAGES, "stream": True}, headers=header(1)
    ) as response:
        await response.content.readany()
        first = time.perf_counter() - started
        await response.read()
    whole = time.perf_counter() - started
    assert 0.1 <= first < whole
    assert whole >= 0.4


# -- faults


async def statuses(client: Client, count: int) -> list[int]:
    return [(await client.ask(header(0)))[0].status for _ in range(count)]


async def test_a_refusal_carries_its_retry_after(server: Server) -> None:
    client = await server.start(Playback(faults=parse_faults("429:1:retry_after=1.5")))
    response, body = await client.ask(header(0))
    assert (response.status, response.headers["Retry-After"]) == (429, "1.5")
    assert json.loads(body)["error"]["code"] == "injected_fault"
    assert (client.lines[0]["status"], client.lines[0]["fault"]) == (429, "429")


async def test_the_first_attempts_fail_and_an_answer_starts_over(server: Server) -> None:
    client = await server.start(Playback(faults=parse_faults("503:first=2")))
    assert await statuses(client, 6) == [503, 503, 200, 503, 503, 200]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_cut_answer_breaks_off_in_its_middle(
    stream: bool, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    client = await server.start(Playback(faults=parse_faults("cut:first=1")))
    with caplog.at_level(logging.WARNING), pytest.raises(aiohttp.ClientPayloadError):
        await client.ask(header(1), stream=stream)
    response, _ = await client.ask(header(1), stream=stream)
    assert response.status == 200
    assert [line["fault"] for line in client.lines] == ["cut", None]
    assert not caplog.records


@pytest.mark.parametrize("stream", [True, False])
async def test_a_slow_answer_stands_still_and_comes_whole(stream: bool, server: Server) -> None:
    client = await server.start(Playback(faults=parse_faults("slow:1:seconds=0.3")))
    started = time.perf_counter()
    response, body = await client.ask(header(1), stream=stream)
    assert response.status == 200
    assert b"It is on its way." in body
    assert time.perf_counter() - started >= 0.3


async def test_a_silent_model_waits_for_the_client_to_give_up(server: Server) -> None:
    client = await server.start(Playback(faults=parse_faults("silence:1")))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await client.ask(header(0))
    for _ in range(100):
        if client.lines:
            break
        await asyncio.sleep(0.01)
    assert (client.lines[0]["status"], client.lines[0]["fault"]) == (None, "silence")


async def test_silence_may_end_by_itself(server: Server) -> None:
    client = await server.start(Playback(faults=parse_faults("silence:1:seconds=0.05")))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.ask(header(0))


async def test_the_server_stops_though_a_client_still_waits() -> None:
    plan = Playback(faults=parse_faults("silence:1"))
    async with aiohttp.ClientSession() as session:
        async with recorded_model(RECORDING, plan) as url:
            waiting = asyncio.create_task(Client(session, url, io.BytesIO()).ask(header(0)))
            await asyncio.sleep(0.05)
            started = time.perf_counter()
        assert time.perf_counter() - started < 15
        with pytest.raises(aiohttp.ClientError):
            await waiting


def units(count: int) -> list[tuple[str, ...]]:
    return [("cmp", f"trace-{number}", "free", "0") for number in range(count)]


def test_faults_depend_on_seed_unit_and_attempt_alone() -> None:
    plan = parse_faults("429:0.2,cut:0.1", seed=3)
    forwards = [plan.draw(unit, 0) for unit in units(200)]
    backwards = [plan.draw(unit, 0) for unit in reversed(units(200))]
    assert forwards == backwards[::-1]
    assert forwards != [plan.draw(unit, 1) for unit in units(200)]
    assert forwards != [FaultPlan(plan.rules, seed=4).draw(unit, 0) for unit in units(200)]


def test_faults_come_in_the_shares_asked_for() -> None:
    plan = parse_faults("429:0.2,500:0.1,cut:0.05")
    drawn = Counter(fault.name if fault else None for fault in (plan.draw(unit, 0) for unit in units(20_000)))
    shares = {name: count / 20_000 for name, count in drawn.items()}
    assert shares == pytest.approx({"429": 0.2, "500": 0.1, "cut": 0.05, None: 0.65}, abs=0.01)


def test_a_run_that_is_started_again_meets_the_same_faults() -> None:
    injector = FaultInjector(parse_faults("500:0.5", seed=1))

    def attempts(unit: tuple[str, ...]) -> int:
        return 1 + next(number for number in range(100) if injector.next(unit) is None)

    first = [attempts(unit) for unit in units(50)]
    assert [attempts(unit) for unit in units(50)] == first
    assert max(first) > 1


def test_faults_are_parsed() -> None:
    plan = parse_faults("429:0.05:retry_after=1, slow:first=2:0.5:seconds=3", seed=7)
    assert plan == FaultPlan(
        (
            FaultRule(Fault("429", "status", 429, retry_after=1.0), probability=0.05),
            FaultRule(Fault("slow", "slow", seconds=3.0), probability=0.5, first=2),
        ),
        seed=7,
    )
    assert parse_faults("") == FaultPlan()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("boom:0.5", "'boom' is no fault"),
        ("200:0.5", "'200' is no fault"),
        ("429", "expected a share"),
        ("429:1.5", "expected a share"),
        ("429:first=1.5", "expected a share"),
        ("429:often", "'often' is no number"),
        ("429:-1", "'-1' is no number"),
        ("429:nan", "'nan' is no number"),
        ("cut:0.5:seconds=1", "cut has no 'seconds'; it has first"),
        ("429:0.6,500:0.6", "add up to 1.2"),
    ],
)
def test_faults_of_another_form_are_the_users_mistake(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_faults(text)


# -- many at once


async def test_hundreds_of_requests_wait_side_by_side(server: Server) -> None:
    client = await server.start(Playback(latency=Latency(0.5)))
    started = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        many = Client(session, client.url, client.log)
        found = await asyncio.gather(*(many.ask(header(1), stream=True) for _ in range(300)))
    assert {response.status for response, _ in found} == {200}
    assert time.perf_counter() - started < 20  # one after the other they take 150 s


async def test_one_played_bundle_answers_the_traces_of_another(server: Server) -> None:
    path = str(CORPUS / "agentdojo-banking.jsonl.gz")
    recording = load_recording(path, bundle="agentdojo/banking/claude-3-5-sonnet-20241022")
    client = await server.start(recording=recording)
    for trace_id in list(recording.keys)[:64]:
        response, _ = await client.ask(header(0, trace_id=trace_id))
        assert response.status == 200
    assert len(client.lines) == 64


# -- as a program

PROGRAM = """
import sys, anyio
from consumers.recorded_model import ServeOptions, serve
anyio.run(serve, ServeOptions(corpus=sys.argv[1], bundle="shop/v1", log=sys.argv[2]))
"""


@pytest.fixture
def corpus_file(tmp_path: Path) -> Path:
    path = tmp_path / "traces.jsonl"
    path.write_bytes(encode_trace(TRACE) + b"\n{bad\n")
    return path


def post(url: str) -> int:
    body = json.dumps({"messages": MESSAGES}).encode()
    request = urllib.request.Request(f"{url}/chat/completions", body, {**header(0), "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as response:
        return response.status


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_program_says_where_it_listens_and_stops_on_a_signal(
    stop: signal.Signals, corpus_file: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    command = [sys.executable, "-c", PROGRAM, str(corpus_file), str(log)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        url = json.loads(program.stdout.readline())["listening"]
        status = post(url)
        program.send_signal(stop)
        rest, words = program.communicate(timeout=10)
    assert (status, program.returncode, rest) == (200, 0, b"")
    assert url.startswith("http://127.0.0.1:")
    assert words.decode().startswith(f"{corpus_file}, line 2: not valid JSON")
    assert json.loads(log.read_bytes())["status"] == 200


async def test_a_log_that_cannot_be_written_is_the_users_mistake(corpus_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        await serve(ServeOptions(str(corpus_file), "shop/v1", log=str(tmp_path)))


async def test_a_port_in_use_is_the_users_mistake() -> None:
    async with recorded_model(RECORDING) as url:
        port = int(url.rsplit(":", 1)[1].split("/")[0])
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1, port {port}"):
            async with recorded_model(RECORDING, port=port):
                pass


async def test_an_error_inside_the_context_is_the_callers_own() -> None:
    with pytest.raises(OSError, match="mine"):
        async with recorded_model(RECORDING):
            raise OSError("mine")
