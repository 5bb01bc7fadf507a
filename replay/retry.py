"""Which failures of a provider are worth asking again, after what pause, and how many of them a route may.

`RETRIES` says it by class, `RetryBudget` by route; `Pauses` is the wait that tenacity is given. Nothing here waits or
reads a clock: `limiter` does.

A failed call is asked again as a whole, also when its answer was cut in the middle. That is safe here, and only
because of what a replay is: nothing of an answer is acted upon before it is complete, and then on stubs only. What it
costs is tokens of the cut answer that no usage tells of; the budget bounds them too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from tenacity import RetryCallState
from tenacity.wait import wait_base, wait_exponential

from replay.errors import ProviderError


@dataclass(frozen=True, slots=True)
class Retry:
    """How a class of failure is asked again."""

    first_seconds: float
    """The first pause is drawn from 0 to this (full jitter); the range doubles with every attempt."""
    longest_seconds: float
    """And ends here."""
    attempts: int
    """Of one call, the first included; `Endpoint.max_attempts` may be fewer."""


#: By class of failure; null: never asked again. The end of the call's own time budget is none of these.
RETRIES: Mapping[str, Retry | None] = {
    "rate_limited": Retry(1.0, 8.0, attempts=5),
    "unavailable": Retry(0.5, 4.0, attempts=5),
    "connection": Retry(0.5, 4.0, attempts=5),
    "timeout": Retry(0.5, 1.0, attempts=3),  # each of them has cost its seconds already
    "refused_request": None,  # the same request would be refused again
    "bad_response": None,  # who does not keep to the protocol will not keep to it in a second
}

#: A retry costs what so many calls earn: retries are a fifth of the calls at most, as in Finagle and linkerd.
CALLS_PER_RETRY = 5
#: Retries a route may make beyond that, per call at once: an outage of seconds fails all of them together.
RESERVE_PER_CALL_AT_ONCE = 2
SMALLEST_RESERVE = 10
#: A provider that asks for a pause of this long has spread the load itself. The whole route waits, so a retry only
#: takes the place of a first attempt, and costs nothing of the budget.
FREE_AFTER_SECONDS = 1.0

BUDGET_SPENT = "it was not asked again: too many calls of this route fail, its retry budget is spent"


class RetryBudget:
    """What a route may spend on retries: a reserve, and a share of its calls, which fills the reserve up again.

    There is no clock in it: `calls` calls have at most `reserve + calls / CALLS_PER_RETRY` retries, however long
    their provider is down and whatever the pauses are.
    """

    def __init__(self, *, calls_at_once: int) -> None:
        reserve = max(SMALLEST_RESERVE, RESERVE_PER_CALL_AT_ONCE * calls_at_once)
        # Counted in calls, to stay whole.
        self._saved = self._most = CALLS_PER_RETRY * reserve

    def earn(self) -> None:
        """A call begins."""
        self._saved = min(self._most, self._saved + 1)

    def spend(self) -> bool:
        """Take one retry; false when nothing is left."""
        if self._saved < CALLS_PER_RETRY:
            return False
        self._saved -= CALLS_PER_RETRY
        return True


class Pauses(wait_base):
    """How long a call waits after a failure: full jitter, and never less than the provider asked for."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._ceilings = {
            kind: wait_exponential(multiplier=row.first_seconds, max=row.longest_seconds)
            for kind, row in RETRIES.items()
            if row is not None
        }

    def __call__(self, retry_state: RetryCallState) -> float:
        failure = failure_of(retry_state)
        drawn = self._draw() * self._ceilings[failure.kind](retry_state)
        return max(drawn, failure.retry_after_seconds or 0.0)


def may_be_retried(error: BaseException) -> bool:
    """Whether the class of a failure allows another attempt."""
    return isinstance(error, ProviderError) and RETRIES.get(error.kind) is not None


def failure_of(state: RetryCallState) -> ProviderError:
    """What the attempt that tenacity asks about failed with, where `may_be_retried` has let it through."""
    return cast(ProviderError, state.outcome and state.outcome.exception())


def why_final(
    failure: ProviderError, *, attempts: int, max_attempts: int, pause_seconds: float, left_seconds: float
) -> str | None:
    """Why a failure that may be retried is the call's last; null when another attempt may follow the pause."""
    row = RETRIES[failure.kind]
    if row is None or attempts >= min(row.attempts, max_attempts):
        return "this was the last attempt allowed"
    if pause_seconds < left_seconds:
        return None
    due = "it asked to wait" if pause_seconds == failure.retry_after_seconds else "the next attempt was due in"
    return f"{due} {pause_seconds:.3g} s and {max(left_seconds, 0.0):.3g} s were left"


def is_free(failure: ProviderError) -> bool:
    """Whether a retry costs nothing of the route's budget."""
    return (failure.retry_after_seconds or 0.0) >= FREE_AFTER_SECONDS
