"""How hard a route is pressed: the decisions on a fake clock, the waiting on a fake sleep."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.errors import PROVIDER_FAILURES, NoRecordingError, ProviderError
from replay.limiter import LONGEST_PAUSE_SECONDS, Attempt, Pace, RouteLimiter, retry_after_seconds
from replay.models import Endpoint, ModelReply
from replay.retry import CALLS_PER_RETRY, RESERVE_PER_CALL_AT_ONCE, RETRIES
from replay.trace import Message

REPLY = ModelReply(message=Message(role="assistant", content="yes"))


def busy(asked: float) -> ProviderError:
    return ProviderError("rate_limited", "the provider answered 429", retry_after_seconds=asked)


def down() -> ProviderError:
    return ProviderError("unavailable", "the provider answered 503")


def no_jitter() -> float:
    return 0.0


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


def limiter(clock: Clock, draw: Callable[[], float] = no_jitter, **settings: object) -> RouteLimiter:
    return RouteLimiter(Endpoint(**settings), clock=clock, sleep=clock.sleep, draw=draw)  # type: ignore[arg-type]


def script(*outcomes: ModelReply | Exception) -> Attempt:
    """An attempt that has these outcomes, one after the other."""
    left = list(outcomes)

    async def attempt(_number: int) -> ModelReply:
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


# The limiter


async def test_a_call_is_asked_again_after_the_pause_the_provider_wants() -> None:
    clock = Clock()
    reply = await limiter(clock).run(script(busy(2.0), busy(2.0), REPLY), timeout_seconds=60)
    assert (reply.attempts, reply.waited_ns) == (3, 4_000_000_000)
    assert clock.slept == [2.0, 2.0]


async def test_without_its_wish_the_pauses_are_drawn_from_ranges_that_double() -> None:
    clock = Clock()
    drawn = iter([1.0, 0.5, 0.0, 1.0])
    reply = await limiter(clock, lambda: next(drawn)).run(script(*[down()] * 4, REPLY), timeout_seconds=60)
    assert (reply.attempts, clock.slept) == (5, [0.5, 0.5, 0.0, 4.0])


async def test_the_providers_wish_is_the_least() -> None:
    clock = Clock()
    await limiter(clock, lambda: 1.0).run(script(busy(0.25), busy(9.0), REPLY), timeout_seconds=60)
    assert clock.slept == [1.0, 9.0]


@pytest.mark.parametrize("kind", PROVIDER_FAILURES)
async def test_each_class_has_its_attempts(kind: str) -> None:
    tried = 0

    async def attempt(number: int) -> ModelReply:
        nonlocal tried
        tried += 1
        raise ProviderError(kind, f"attempt {number}")

    row = RETRIES[kind]
    allowed = row.attempts if row else 1
    with pytest.raises(ProviderError, match=f"attempt {allowed}") as raised:
        await limiter(Clock()).run(attempt, timeout_seconds=60)
    assert (raised.value.kind, raised.value.attempts, tried) == (kind, allowed, allowed)
    assert ("last attempt allowed" in str(raised.value)) == (row is not None)


async def test_attempts_are_limited() -> None:
    with pytest.raises(ProviderError, match="last attempt allowed") as raised:
        await limiter(Clock(), max_attempts=2).run(script(busy(2.0), busy(2.0)), timeout_seconds=60)
    assert (raised.value.kind, raised.value.attempts) == ("rate_limited", 2)


async def test_a_wait_beyond_the_time_budget_fails_at_once() -> None:
    clock = Clock()
    with pytest.raises(ProviderError, match="asked to wait 2 s and 1 s were left"):
        await limiter(clock).run(script(busy(2.0)), timeout_seconds=1)
    with pytest.raises(ProviderError, match=r"the next attempt was due in 0\.5 s and 0\.4 s were left"):
        await limiter(clock, lambda: 1.0).run(script(down()), timeout_seconds=0.4)
    assert clock.slept == []


@given(
    outcomes=st.lists(
        st.tuples(
            st.sampled_from([kind for kind, row in RETRIES.items() if row]),
            st.floats(0, 20),
            st.one_of(st.none(), st.floats(0, 20)),
        ),
        min_size=5,
        max_size=5,
    ),
    timeout_seconds=st.floats(0.1, 60),
    seed=st.integers(),
)
def test_no_attempt_begins_beyond_the_time_budget(
    outcomes: list[tuple[str, float, float | None]], timeout_seconds: float, seed: int
) -> None:
    """Whatever fails, however long each attempt takes and whatever is drawn."""
    clock, begun = Clock(), []

    async def attempt(number: int) -> ModelReply:
        kind, seconds, asked = outcomes[number - 1]
        begun.append(clock.now)
        clock.now += seconds
        raise ProviderError(kind, "no", retry_after_seconds=asked)

    with pytest.raises(ProviderError):
        asyncio.run(limiter(clock, random.Random(seed).random).run(attempt, timeout_seconds=timeout_seconds))
    assert begun[-1] <= 1000.0 + timeout_seconds + 1e-9  # sums of floats


async def test_a_refusal_pauses_the_other_calls_of_the_route() -> None:
    clock = Clock()
    shared = limiter(clock)
    with pytest.raises(ProviderError):
        await shared.run(script(busy(2.0)), timeout_seconds=1)
    reply = await shared.run(script(REPLY), timeout_seconds=1)  # waiting for the pause is not in the budget
    assert reply.waited_ns == 2_000_000_000


async def test_without_the_providers_wish_a_call_waits_alone() -> None:
    meanwhile: list[ModelReply] = []

    async def sleep(_seconds: float) -> None:
        meanwhile.append(await shared.run(script(REPLY), timeout_seconds=1))

    shared = RouteLimiter(Endpoint(), clock=lambda: 1000.0, sleep=sleep, draw=lambda: 1.0)
    assert (await shared.run(script(down(), REPLY), timeout_seconds=9)).attempts == 2
    assert [reply.waited_ns for reply in meanwhile] == [0]


async def test_a_wish_of_what_is_not_asked_again_pauses_nobody() -> None:
    clock = Clock()
    shared = limiter(clock)
    with pytest.raises(ProviderError):
        await shared.run(script(ProviderError("refused_request", "no", retry_after_seconds=60.0)), timeout_seconds=90)
    assert (await shared.run(script(REPLY), timeout_seconds=1)).waited_ns == 0


async def test_a_mistaken_header_does_not_stop_a_route_for_a_day() -> None:
    clock = Clock()
    shared = limiter(clock)
    with pytest.raises(ProviderError):
        await shared.run(script(busy(86_400.0)), timeout_seconds=30)
    await shared.run(script(REPLY), timeout_seconds=30)
    assert clock.slept == [LONGEST_PAUSE_SECONDS]


# The retry budget


async def many(shared: RouteLimiter, attempt: Attempt, calls: int) -> list[ModelReply | ProviderError]:
    """That many calls, as many at once as the route lets through."""

    async def one() -> ModelReply | ProviderError:
        try:
            return await shared.run(attempt, timeout_seconds=60)
        except ProviderError as error:
            return error

    return await asyncio.gather(*(one() for _ in range(calls)))


@pytest.mark.parametrize("kind", [kind for kind, row in RETRIES.items() if row])
async def test_a_dead_provider_is_not_hammered(kind: str) -> None:
    attempts = 0

    async def attempt(_number: int) -> ModelReply:
        nonlocal attempts
        attempts += 1
        raise ProviderError(kind, "dead")

    ended = await many(limiter(Clock(), random.Random(1).random, concurrency=16), attempt, 1000)
    most = 1000 + 1000 // CALLS_PER_RETRY + 16 * RESERVE_PER_CALL_AT_ONCE
    assert most - 5 < attempts <= most  # what the very first calls earn does not fit into a full reserve
    assert sum(error.attempts for error in ended) == attempts
    assert {error.kind for error in ended if isinstance(error, ProviderError)} == {kind}
    assert sum("its retry budget is spent" in str(error) for error in ended) > 700


async def test_a_provider_that_fails_now_and_then_costs_no_call() -> None:
    chance = random.Random(2)

    async def attempt(_number: int) -> ModelReply:
        if chance.random() < 0.1:
            raise ProviderError("unavailable", "a bad moment")
        return REPLY

    ended = await many(limiter(Clock(), chance.random, concurrency=16), attempt, 1000)
    assert sum(isinstance(reply, ModelReply) for reply in ended) >= 999


async def test_after_an_outage_calls_are_asked_again() -> None:
    dead = True

    async def attempt(number: int) -> ModelReply:
        if dead or (number == 1 and next(turns) % 10 == 0):
            raise ProviderError("connection", "no")
        return REPLY

    turns = count()
    shared = limiter(Clock(), random.Random(3).random, concurrency=4)
    await many(shared, attempt, 200)
    dead = False
    ended = await many(shared, attempt, 200)
    assert sum(isinstance(reply, ModelReply) for reply in ended[50:]) == 150


async def test_a_provider_that_says_when_is_asked_again_out_of_no_budget() -> None:
    """It has paused the whole route: what would be retries are the only attempts there are."""

    async def attempt(number: int) -> ModelReply:
        if number < 4:
            raise busy(2.0)
        return REPLY

    ended = await many(limiter(Clock(), concurrency=4), attempt, 100)
    assert all(isinstance(reply, ModelReply) and reply.attempts == 4 for reply in ended)


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
    shared = RouteLimiter(Endpoint(), draw=no_jitter)

    async def attempt(_number: int) -> ModelReply:
        shared._pace.pause(asyncio.get_running_loop().time() + 3600)
        raise down()

    with pytest.raises(ProviderError, match="answered 503 .*ended while the route was paused") as raised:
        await shared.run(attempt, timeout_seconds=0.02)
    assert (raised.value.kind, raised.value.attempts) == ("unavailable", 1)


async def test_a_budget_that_ends_after_a_failure_is_not_called_a_timeout() -> None:
    """What the provider's failure and the pause after it have cost is no fault of a slow model."""

    async def attempt(number: int) -> ModelReply:
        if number == 1:
            raise down()
        await asyncio.Event().wait()
        return REPLY

    with pytest.raises(ProviderError, match="answered 503 .*ended while it was asked again") as raised:
        await RouteLimiter(Endpoint(), draw=no_jitter).run(attempt, timeout_seconds=0.02)
    assert (raised.value.kind, raised.value.attempts) == ("unavailable", 2)


async def test_without_a_budget_nothing_is_sent() -> None:
    with pytest.raises(ProviderError, match="was not sent") as raised:
        await limiter(Clock()).run(script(), timeout_seconds=0)
    assert (raised.value.kind, raised.value.attempts) == ("timeout", 0)


async def test_what_no_retry_would_change_passes_through() -> None:
    shared = limiter(Clock())
    with pytest.raises(NoRecordingError):
        await shared.run(script(NoRecordingError("none")), timeout_seconds=1)
    with pytest.raises(ProviderError) as raised:
        await shared.run(script(busy(2.0), ProviderError("bad_response", "what?")), timeout_seconds=60)
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


async def test_a_call_that_waits_to_be_asked_again_can_be_cancelled() -> None:
    pausing = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        pausing.set()
        await asyncio.Event().wait()

    shared = RouteLimiter(Endpoint(concurrency=1), sleep=sleep)
    task = asyncio.create_task(shared.run(script(down()), timeout_seconds=5))
    await pausing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await shared.run(script(REPLY), timeout_seconds=5)).attempts == 1
