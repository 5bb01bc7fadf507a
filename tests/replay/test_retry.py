"""What is asked again, after what pause and out of what budget: tables and arithmetic, nothing waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import AsyncRetrying, Future, RetryCallState

from replay.errors import PROVIDER_FAILURES, NoRecordingError, ProviderError
from replay.retry import (
    CALLS_PER_RETRY,
    FREE_AFTER_SECONDS,
    RESERVE_PER_CALL_AT_ONCE,
    RETRIES,
    SMALLEST_RESERVE,
    Pauses,
    Retry,
    RetryBudget,
    is_free,
    may_be_retried,
    why_final,
)

RETRIED = {"rate_limited", "unavailable", "connection", "timeout"}


def after(error: BaseException, attempt: int = 1) -> RetryCallState:
    """What tenacity tells of an attempt that failed."""
    state = RetryCallState(AsyncRetrying(), None, (), {})
    state.attempt_number = attempt
    state.outcome = Future.construct(attempt, error, has_exception=True)
    return state


# Classes


def test_every_class_of_failure_has_a_row() -> None:
    assert set(RETRIES) == set(PROVIDER_FAILURES)


@pytest.mark.parametrize("kind", PROVIDER_FAILURES)
def test_what_is_worth_asking_again(kind: str) -> None:
    assert may_be_retried(ProviderError(kind, "no")) == (kind in RETRIED)


@pytest.mark.parametrize("error", [NoRecordingError("none"), ValueError("ours"), ProviderError("a new class", "no")])
def test_nothing_else_is(error: Exception) -> None:
    assert not may_be_retried(error)


@pytest.mark.parametrize("kind", sorted(RETRIED))
def test_the_rows_make_sense(kind: str) -> None:
    row = RETRIES[kind]
    assert row is not None
    assert 0 < row.first_seconds <= row.longest_seconds
    assert row.attempts > 1


# Pauses


@given(
    kind=st.sampled_from(sorted(RETRIED)),
    attempt=st.integers(1, 2000),
    drawn=st.floats(0, 1),
    asked=st.one_of(st.none(), st.floats(0, 100)),
)
def test_a_pause_is_full_jitter_and_never_less_than_was_asked_for(
    kind: str, attempt: int, drawn: float, asked: float | None
) -> None:
    row: Retry = RETRIES[kind]  # type: ignore[assignment]
    pause = Pauses(lambda: drawn)(after(ProviderError(kind, "no", retry_after_seconds=asked), attempt))
    ceiling = min(row.longest_seconds, row.first_seconds * 2 ** min(attempt - 1, 60))
    assert pause == pytest.approx(max(drawn * ceiling, asked or 0.0))
    assert (asked or 0.0) <= pause <= max(row.longest_seconds, asked or 0.0)


def test_pauses_of_calls_that_failed_together_are_spread() -> None:
    import random

    pauses = Pauses(random.Random(7).random)
    found = sorted(pauses(after(ProviderError("unavailable", "no"), 4)) for _ in range(1000))
    assert found[0] < 0.05
    assert found[-1] > 3.95
    assert found[500] == pytest.approx(2.0, abs=0.2)


# The last attempt


@pytest.mark.parametrize(
    ("kind", "asked", "attempts", "pause", "left", "reason"),
    [
        ("unavailable", None, 1, 2.0, 10.0, None),
        ("unavailable", None, 4, 2.0, 10.0, None),
        ("unavailable", None, 5, 2.0, 10.0, "this was the last attempt allowed"),
        ("timeout", None, 3, 2.0, 10.0, "this was the last attempt allowed"),
        ("rate_limited", 2.0, 1, 2.0, 10.0, None),
        ("rate_limited", 30.0, 1, 30.0, 10.0, "it asked to wait 30 s and 10 s were left"),
        ("rate_limited", 10.0, 1, 10.0, 10.0, "it asked to wait 10 s and 10 s were left"),  # no time for an answer
        ("connection", None, 1, 2.0, 1.5, "the next attempt was due in 2 s and 1.5 s were left"),
        ("connection", 0.0, 1, 2.0, -1.0, "the next attempt was due in 2 s and 0 s were left"),
        ("timeout", None, 1, 0.0, 0.0, "the next attempt was due in 0 s and 0 s were left"),
    ],
)
def test_when_a_failure_is_the_last(
    *, kind: str, asked: float | None, attempts: int, pause: float, left: float, reason: str | None
) -> None:
    failure = ProviderError(kind, "no", retry_after_seconds=asked)
    found = why_final(failure, attempts=attempts, max_attempts=9, pause_seconds=pause, left_seconds=left)
    assert found == reason


def test_the_endpoint_may_allow_fewer_attempts() -> None:
    failure = ProviderError("unavailable", "no")
    found = [why_final(failure, attempts=n, max_attempts=2, pause_seconds=0.1, left_seconds=9) for n in (1, 2)]
    assert found == [None, "this was the last attempt allowed"]


# The budget


@given(st.integers(1, 100), st.lists(st.sampled_from(["call", "retry"]), max_size=600))
def test_retries_stay_below_the_reserve_and_a_share_of_the_calls(calls_at_once: int, wishes: list[str]) -> None:
    """In any stretch of time, not only from the start on."""
    budget = RetryBudget(calls_at_once=calls_at_once)
    reserve = max(SMALLEST_RESERVE, RESERVE_PER_CALL_AT_ONCE * calls_at_once)
    calls, retries = [0], [0]
    for wish in wishes:
        if wish == "call":
            budget.earn()
        spent = wish == "retry" and budget.spend()
        calls.append(calls[-1] + (wish == "call"))
        retries.append(retries[-1] + spent)
    for start in range(0, len(calls), max(1, len(calls) // 20)):
        assert retries[-1] - retries[start] <= reserve + (calls[-1] - calls[start]) / CALLS_PER_RETRY


def test_a_spent_budget_is_earned_back_by_calls() -> None:
    budget = RetryBudget(calls_at_once=1)
    assert [budget.spend() for _ in range(SMALLEST_RESERVE + 1)] == [True] * SMALLEST_RESERVE + [False]
    for _ in range(CALLS_PER_RETRY - 1):
        budget.earn()
    assert not budget.spend()
    budget.earn()
    assert (budget.spend(), budget.spend()) == (True, False)


def test_good_days_are_saved_up_to_the_reserve_only() -> None:
    budget = RetryBudget(calls_at_once=16)
    for _ in range(100_000):
        budget.earn()
    assert sum(budget.spend() for _ in range(1000)) == 16 * RESERVE_PER_CALL_AT_ONCE


@pytest.mark.parametrize(
    ("asked", "free"), [(None, False), (0.0, False), (0.9, False), (FREE_AFTER_SECONDS, True), (60.0, True)]
)
def test_a_pause_that_the_provider_asked_for_is_free(asked: float | None, free: bool) -> None:
    assert is_free(ProviderError("rate_limited", "no", retry_after_seconds=asked)) == free
