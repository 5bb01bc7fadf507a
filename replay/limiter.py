"""How hard a route is pressed: calls at once, requests per minute, and waiting when the provider asks for it.

`Pace` decides, on a clock it is given; `RouteLimiter` waits. A retry happens only where a provider asked for one
in words (429 or 503 with Retry-After), for then it pauses the whole route: the other calls would be refused too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeAlias

from replay.errors import ProviderError
from replay.models import Endpoint, ModelReply

#: A provider that asks for more is asked again after this long: a mistaken header must not stop a route for a day.
LONGEST_PAUSE_SECONDS = 300.0
#: Clocks and sleeps are not finer than this; waiting for less would only spin.
_TICK_SECONDS = 1e-6


@dataclass(frozen=True, slots=True)
class Refusal:
    """An attempt was refused in a way that may allow another. `retry_after_seconds` null: it was not asked for."""

    kind: str
    message: str
    retry_after_seconds: float | None = None


#: Makes one attempt, given its number. Raises `ProviderError` or `NoRecordingError` for what no retry would change.
Attempt: TypeAlias = Callable[[int], Awaitable[ModelReply | Refusal]]


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
    """One per route, shared by all its calls; first come, first served."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._slots = asyncio.Semaphore(endpoint.concurrency)
        self._max_attempts = endpoint.max_attempts
        self._pace = Pace(endpoint.requests_per_minute)
        self._head_of_queue = asyncio.Lock()
        self._clock = clock
        self._sleep = sleep

    async def run(self, attempt: Attempt, *, timeout_seconds: float) -> ModelReply:
        """Make attempts until one is answered, inside the budget, which starts when the first is let through.

        Raises what `attempt` raises, and `ProviderError` when the budget or the attempts are used up.
        """
        if timeout_seconds <= 0:
            raise ProviderError("timeout", "nothing is left of the time budget; the request was not sent", attempts=0)
        queued_at = self._clock()
        async with self._slots:
            await self._admit()
            call = _Call(attempt, queued_at=queued_at, deadline=self._clock() + timeout_seconds)
            try:
                async with asyncio.timeout(timeout_seconds):
                    return await self._attempts(call)
            except TimeoutError:
                raise call.out_of_time(timeout_seconds) from None
            except ProviderError as error:
                error.attempts = call.number
                raise

    async def _attempts(self, call: _Call) -> ModelReply:
        while True:
            started_at = self._clock()
            outcome = await call.next_attempt()
            if isinstance(outcome, ModelReply):
                return replace(outcome, attempts=call.number, waited_ns=int((started_at - call.queued_at) * 1e9))
            self._pause_or_fail(call, outcome)
            await self._admit()

    def _pause_or_fail(self, call: _Call, refusal: Refusal) -> None:
        now = self._clock()
        reason = why_not_retried(
            refusal, attempts_left=self._max_attempts - call.number, budget_seconds=call.deadline - now
        )
        asked = refusal.retry_after_seconds or 0.0
        self._pace.pause(now + (asked if reason is None else min(asked, LONGEST_PAUSE_SECONDS)))
        if reason is not None:
            raise ProviderError(refusal.kind, f"{refusal.message} ({reason})")

    async def _admit(self) -> None:
        async with self._head_of_queue:
            while (seconds := self._pace.take(self._clock())) > 0.0:
                await self._sleep(seconds)


def why_not_retried(refusal: Refusal, *, attempts_left: int, budget_seconds: float) -> str | None:
    """Why a refused attempt is the last one; null when another may follow."""
    asked = refusal.retry_after_seconds
    if asked is None:
        return "it gave no Retry-After, so it was not asked again"
    if attempts_left <= 0:
        return "this was the last attempt allowed"
    if asked >= budget_seconds:
        return f"it asked to wait {asked:.3g} s and {max(budget_seconds, 0.0):.3g} s were left"
    return None


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
    """The bookkeeping of one call: how often it was tried and what the last refusal said."""

    def __init__(self, attempt: Attempt, *, queued_at: float, deadline: float) -> None:
        self.queued_at = queued_at
        self.deadline = deadline
        self.number = 0
        self._attempt = attempt
        self._waiting_after: Refusal | None = None

    async def next_attempt(self) -> ModelReply | Refusal:
        self.number += 1
        self._waiting_after = None
        outcome = await self._attempt(self.number)
        self._waiting_after = outcome if isinstance(outcome, Refusal) else None
        return outcome

    def out_of_time(self, timeout_seconds: float) -> ProviderError:
        refusal = self._waiting_after
        if refusal is not None:
            message = f"{refusal.message} (the budget of {timeout_seconds:.3g} s ended while the route was paused)"
            return ProviderError(refusal.kind, message, attempts=self.number)
        message = f"no complete answer within {timeout_seconds:.3g} s; raise the timeout or lower the concurrency"
        return ProviderError("timeout", message, attempts=self.number)
