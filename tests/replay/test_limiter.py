"""How hard a route is pressed: the decisions on a fake clock, the waiting on a fake sleep."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.errors import NoRecordingError, ProviderError
from replay.limiter import (
    LONGEST_PAUSE_SECONDS,
    Attempt,
    Pace,
    Refusal,
    RouteLimiter,
    retry_after_seconds,
    why_not_retried,
)
from replay.models import Endpoint, ModelReply
from replay.trace import Message

REPLY = ModelReply(message=Message(role="assistant", content="yes"))
BUSY = Refusal("rate_limited", "the provider answered 429", retry_after_seconds=2.0)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    """Stands still until somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def limiter(clock: Clock, **settings: object) -> RouteLimiter:
    return RouteLimiter(Endpoint(**settings), clock=clock, sleep=clock.sleep)  # type: ignore[arg-type]


def script(*outcomes: ModelReply | Refusal | Exception) -> Attempt:
    """An attempt that has these outcomes, one after the other."""
    left = list(outcomes)

    async def attempt(_number: int) -> ModelReply | Refusal:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return attempt


# The bucket


@given(
    rate=st.floats(min_value=0.1, max_value=100_000),
    gaps=st.lists(st.floats(min_value=0, max_value=90), min_size=1, max_size=60),
)
def test_no_window_holds_more_than_its_share(rate: float, gaps: list[float]) -> None:
    """In any stretch of time there are at most a second's worth of requests more than the rate allows."""
    pace, now = Pace(rate), 0.0
    taken: list[float] = []
    for gap in gaps:
        now += gap
        while pace.take(now) == 0.0 and len(taken) < 2000:
            taken.append(now)
    burst = max(1.0, rate / 60.0)
    for first in range(0, len(taken), max(1, len(taken) // 20)):
        span = taken[-1] - taken[first]
        assert len(taken) - first <= burst + span * rate / 60.0 + 1e-3 * len(taken)


@given(rate=st.floats(min_value=0.1, max_value=100_000), start=st.floats(min_value=0, max_value=1e9))
def test_after_the_wait_it_named_the_bucket_lets_one_through(rate: float, start: float) -> None:
    pace, now = Pace(rate), start
    for _ in range(50):
        wait = pace.take(now)
        if wait:
            now += wait
            assert pace.take(now) == 0.0


@given(st.lists(st.tuples(st.floats(0, 100), st.one_of(st.none(), st.floats(0, 200))), max_size=40))
def test_nothing_passes_a_pause(steps: list[tuple[float, float | None]]) -> None:
    """The bucket agrees with a twin that remembers the latest end of all pauses."""
    pace, now, paused_until = Pace(), 0.0, 0.0
    for gap, pause in steps:
        now += gap
        if pause is not None:
            pace.pause(now + pause)
            paused_until = max(paused_until, now + pause)
        wait = pace.take(now)
        assert wait == pytest.approx(max(0.0, paused_until - now), abs=1e-5)


def test_without_a_rate_nothing_waits() -> None:
    pace = Pace()
    assert [pace.take(5.0) for _ in range(1000)] == [0.0] * 1000


# Retry-After


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 1.5 ", 1.5),
        (format_datetime(datetime.fromtimestamp(1_000_030, UTC), usegmt=True), 30.0),
        ("Mon, 12 Jan 1970 13:47:10 -0000", 30.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),  # in the past
        (None, None),
        ("", None),
        ("-3", None),
        ("soon", None),
        ("1e9", None),
        ("nan", None),
        ("٣", None),  # a digit, in Arabic
        ("Mon, 99 Foo 1970 99:99:99 GMT", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, now=1_000_000.0) == seconds


@given(st.one_of(st.text(), st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ .{0,6}")))
def test_no_retry_after_header_raises(header: str) -> None:
    seconds = retry_after_seconds(header, now=1_000_000.0)
    assert seconds is None or seconds >= 0.0


@pytest.mark.parametrize(
    ("asked", "attempts_left", "budget", "reason"),
    [
        (2.0, 3, 10.0, None),
        (None, 3, 10.0, "it gave no Retry-After, so it was not asked again"),
        (2.0, 0, 10.0, "this was the last attempt allowed"),
        (30.0, 3, 10.0, "it asked to wait 30 s and 10 s were left"),
        (10.0, 3, 10.0, "it asked to wait 10 s and 10 s were left"),  # no time for an answer
    ],
)
def test_when_a_refused_attempt_is_the_last(
    asked: float | None, attempts_left: int, budget: float, reason: str | None
) -> None:
    refusal = Refusal("rate_limited", "no", asked)
    assert why_not_retried(refusal, attempts_left=attempts_left, budget_seconds=budget) == reason


# The limiter


async def test_a_refused_call_is_retried_after_the_pause() -> None:
    clock = Clock()
    reply = await limiter(clock).run(script(BUSY, BUSY, REPLY), timeout_seconds=60)
    assert (reply.attempts, reply.waited_ns) == (3, 4_000_000_000)
    assert clock.slept == [2.0, 2.0]


async def test_attempts_are_limited() -> None:
    with pytest.raises(ProviderError, match="last attempt allowed") as raised:
        await limiter(Clock(), max_attempts=2).run(script(BUSY, BUSY), timeout_seconds=60)
    assert (raised.value.kind, raised.value.attempts) == ("rate_limited", 2)


async def test_a_wait_beyond_the_budget_fails_at_once() -> None:
    clock = Clock()
    with pytest.raises(ProviderError, match="asked to wait 2 s and 1 s were left"):
        await limiter(clock).run(script(BUSY), timeout_seconds=1)
    assert clock.slept == []


async def test_a_refusal_pauses_the_other_calls_of_the_route() -> None:
    clock = Clock()
    shared = limiter(clock)
    with pytest.raises(ProviderError):
        await shared.run(script(BUSY), timeout_seconds=1)
    reply = await shared.run(script(REPLY), timeout_seconds=1)  # waiting for the pause is not in the budget
    assert reply.waited_ns == 2_000_000_000


async def test_a_mistaken_header_does_not_stop_a_route_for_a_day() -> None:
    clock = Clock()
    shared = limiter(clock)
    with pytest.raises(ProviderError):
        await shared.run(script(Refusal("unavailable", "no", 86_400.0)), timeout_seconds=30)
    await shared.run(script(REPLY), timeout_seconds=30)
    assert clock.slept == [LONGEST_PAUSE_SECONDS]


async def test_requests_per_minute_space_the_calls() -> None:
    clock = Clock()
    shared = limiter(clock, requests_per_minute=30, concurrency=8)
    sent: list[float] = []

    async def attempt(_number: int) -> ModelReply:
        sent.append(clock.now)
        return REPLY

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(shared.run(attempt, timeout_seconds=1))
    assert sent == [1000.0, 1002.0, 1004.0, 1006.0]


async def test_calls_at_once_are_limited() -> None:
    running = most = 0
    release = asyncio.Event()

    async def attempt(_number: int) -> ModelReply:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1
        return REPLY

    shared = RouteLimiter(Endpoint(concurrency=3))
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(shared.run(attempt, timeout_seconds=5))
        await asyncio.sleep(0)
        release.set()
    assert most == 3


async def test_an_attempt_without_end_is_a_timeout() -> None:
    async def attempt(_number: int) -> ModelReply:
        await asyncio.Event().wait()
        return REPLY

    with pytest.raises(ProviderError, match=r"no complete answer within 0\.01 s") as raised:
        await RouteLimiter(Endpoint()).run(attempt, timeout_seconds=0.01)
    assert (raised.value.kind, raised.value.attempts) == ("timeout", 1)


async def test_a_budget_that_ends_in_a_pause_is_not_called_a_timeout() -> None:
    """Another call may lengthen the pause; what the provider said last is why there is no answer."""
    shared = RouteLimiter(Endpoint())

    async def attempt(_number: int) -> Refusal:
        shared._pace.pause(asyncio.get_running_loop().time() + 3600)
        return Refusal("unavailable", "the provider answered 503", 0.0)

    with pytest.raises(ProviderError, match="ended while the route was paused") as raised:
        await shared.run(attempt, timeout_seconds=0.02)
    assert raised.value.kind == "unavailable"


async def test_without_a_budget_nothing_is_sent() -> None:
    with pytest.raises(ProviderError, match="was not sent") as raised:
        await limiter(Clock()).run(script(), timeout_seconds=0)
    assert (raised.value.kind, raised.value.attempts) == ("timeout", 0)


async def test_what_no_retry_would_change_passes_through() -> None:
    shared = limiter(Clock())
    with pytest.raises(NoRecordingError):
        await shared.run(script(NoRecordingError("none")), timeout_seconds=1)
    with pytest.raises(ProviderError) as raised:
        await shared.run(script(BUSY, ProviderError("bad_response", "what?")), timeout_seconds=60)
    assert raised.value.attempts == 2


async def test_cancellation_gives_the_place_back() -> None:
    shared = RouteLimiter(Endpoint(concurrency=1))

    async def attempt(_number: int) -> ModelReply:
        await asyncio.Event().wait()
        return REPLY

    task = asyncio.create_task(shared.run(attempt, timeout_seconds=5))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await shared.run(script(REPLY), timeout_seconds=5)).attempts == 1
