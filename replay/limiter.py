"""How hard a route is pressed: calls at once, requests per minute, and what follows a failure.

`Pace` decides when, on a clock it is given, and `replay.retry` whether again; `RouteLimiter` waits. A Retry-After
pauses the whole route, for the other calls would be refused too; without one a call that failed waits alone.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Never, TypeAlias

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from replay.errors import ProviderError
from replay.models import Endpoint, ModelReply
from replay.retry import BUDGET_SPENT, Pauses, RetryBudget, failure_of, is_free, may_be_retried, why_final

#: A provider that asks for more is asked again after this long: a mistaken header must not stop a route for a day.
LONGEST_PAUSE_SECONDS = 300.0
#: Clocks and sleeps are not finer than this; waiting for less would only spin.
_TICK_SECONDS = 1e-6


#: Makes one attempt, given its number. Raises `ProviderError`, whose class says what follows, or `NoRecordingError`.
Attempt: TypeAlias = Callable[[int], Awaitable[ModelReply]]


class Pace:
    """A token bucket that holds one second's worth of requests, at least one; and a pause.

    Kept as the time at which the bucket would be full again, so that nothing has to be refilled.
    """

    def __init__(self, requests_per_minute: float | None = None) -> None:
        self._interval = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._slack = max(0.0, 1.0 - self._interval)
        self._full_at = float("-inf")
        self._paused_until = float("-inf")

    def take(self, now: float) -> float:
        """Take a request at `now` and give 0, or give the seconds after which to ask again."""
        wait = max(self._full_at - self._slack, self._paused_until) - now
        if wait > _TICK_SECONDS:
            return wait
        self._full_at = max(self._full_at, now) + self._interval
        return 0.0

    def pause(self, until: float) -> None:
        """Let nothing through before `until`. A pause is never shortened."""
        self._paused_until = max(self._paused_until, until)


class RouteLimiter:
    """One per route, shared by all its calls; first come, first served. `draw` gives jitter, from 0 to 1."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._slots = asyncio.Semaphore(endpoint.concurrency)
        self._max_attempts = endpoint.max_attempts
        self._pace = Pace(endpoint.requests_per_minute)
        self._pauses = Pauses(draw)
        self._retry_budget = RetryBudget(calls_at_once=endpoint.concurrency)
        self._head_of_queue = asyncio.Lock()
        self._clock = clock
        self._sleep = sleep

    async def run(self, attempt: Attempt, *, timeout_seconds: float) -> ModelReply:
        """Make attempts until one is answered, inside the time budget, which starts when the first is let through.

        Raises what `attempt` raises; where another attempt might have helped, the message says why there was none.
        """
        if timeout_seconds <= 0:
            message = "nothing is left of the time budget; the request was not sent"
            raise ProviderError("timeout", message, attempts=0, out_of_time=True)
        queued_at = self._clock()
        async with self._slots:
            await self._admit()
            self._retry_budget.earn()
            call = _Call(attempt, queued_at=queued_at, deadline=self._clock() + timeout_seconds)
            try:
                async with asyncio.timeout(timeout_seconds):
                    return await self._until_answered(call)
            except TimeoutError:
                raise call.out_of_time(timeout_seconds) from None
            except ProviderError as error:
                error.attempts = call.number
                raise

    async def _until_answered(self, call: _Call) -> ModelReply:
        # One for each call: tenacity keeps its state in the object. It asks in this order after a failure.
        retrying = AsyncRetrying(
            retry=retry_if_exception(may_be_retried),
            after=self._pause_route,
            wait=self._pauses,
            stop=partial(self._is_last, call),
            retry_error_callback=call.fail,
            sleep=self._sleep,
        )
        reply: ModelReply = await retrying(self._attempt, call)
        return reply

    async def _attempt(self, call: _Call) -> ModelReply:
        if call.number:
            await self._admit()
        started_at = self._clock()
        reply = await call.next_attempt()
        return replace(reply, attempts=call.number, waited_ns=int((started_at - call.queued_at) * 1e9))

    def _pause_route(self, state: RetryCallState) -> None:
        asked = failure_of(state).retry_after_seconds or 0.0
        self._pace.pause(self._clock() + min(asked, LONGEST_PAUSE_SECONDS))

    def _is_last(self, call: _Call, state: RetryCallState) -> bool:
        failure = failure_of(state)
        call.reason = why_final(
            failure,
            attempts=call.number,
            max_attempts=self._max_attempts,
            pause_seconds=state.upcoming_sleep,
            left_seconds=call.deadline - self._clock(),
        )
        if call.reason is None and not is_free(failure) and not self._retry_budget.spend():
            call.reason = BUDGET_SPENT
        return call.reason is not None

    async def _admit(self) -> None:
        async with self._head_of_queue:
            while (seconds := self._pace.take(self._clock())) > 0.0:
                await self._sleep(seconds)


def retry_after_seconds(value: str | None, *, now: float) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date. `now` is the wall clock. What cannot be read is absent."""
    text = (value or "").strip()[:64]
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


class _Call:
    """The bookkeeping of one call: how often it was tried, and how the attempt before failed."""

    def __init__(self, attempt: Attempt, *, queued_at: float, deadline: float) -> None:
        self.queued_at = queued_at
        self.deadline = deadline
        self.number = 0
        self.reason: str | None = None
        self._attempt = attempt
        self._failure: ProviderError | None = None
        self._under_way = False

    async def next_attempt(self) -> ModelReply:
        self.number += 1
        self._under_way = True
        try:
            return await self._attempt(self.number)
        except ProviderError as error:
            self._failure = error
            self._under_way = False
            raise

    def fail(self, state: RetryCallState) -> Never:
        """Raise the failure of the last attempt, with the reason why it was the last."""
        failure = failure_of(state)
        raise ProviderError(failure.kind, f"{failure} ({self.reason})")

    def out_of_time(self, timeout_seconds: float) -> ProviderError:
        """The time budget has ended. Where an attempt had failed in it, that is the provider's doing, by its class."""
        seconds = f"{timeout_seconds:.3g} s"
        if self._failure is None:
            message = f"no complete answer within {seconds}; raise the timeout or lower the concurrency"
            return ProviderError("timeout", message, attempts=self.number, out_of_time=True)
        how = "while it was asked again" if self._under_way else "while the route was paused"
        message = f"{self._failure} (the budget of {seconds} ended {how})"
        return ProviderError(self._failure.kind, message, attempts=self.number)
