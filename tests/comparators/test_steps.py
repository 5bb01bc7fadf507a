"""Latency step by step, against a twin that tries every alignment."""

from __future__ import annotations

import time
from itertools import combinations, pairwise
from math import inf, log, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparators.spec import Status
from comparators.steps import Slowest, Step, StepPair, align, compare_steps, slowest_steps
from tests.comparators.by_hand import bits, scores

MS = 1e6


def step(asked: str, ms: float | None = 100) -> Step:
    """A step written as "lookup:1 wipe:2"; nothing = an answer."""
    calls = sorted(asked.split())
    tools = tuple(call.partition(":")[0] for call in calls)
    return Step(tools, tuple(call.encode() for call in calls), None if ms is None else ms * MS)


def steps(*asked: tuple[str, float | None]) -> list[Step]:
    return [step(*one) for one in asked]


def one(production: list[Step], replay: list[Step], **options: bool) -> tuple[float | str, Slowest | None]:
    pair = StepPair(production, replay, **options)
    (score,) = scores([compare_steps([pair])]).values()
    return score, slowest_steps([pair])[0]


def aligned(production: str, replay: str) -> list[tuple[int, int]]:
    """Which steps are aligned; steps are written with commas between."""
    found = align([StepPair([step(it) for it in production.split(",")], [step(it) for it in replay.split(",")])])
    return list(zip(found.production.tolist(), found.replay.tolist(), strict=True))


@pytest.mark.parametrize(
    ("production", "replay", "found"),
    [
        ("a:1,b:1,", "a:1,b:1,", [(0, 0), (1, 1), (2, 2)]),
        ("a:1,", "a:1,a:2,", [(0, 0), (1, 2)]),  # one step more
        ("a:1,a:2,", "a:2,", [(1, 0), (2, 1)]),  # equal calls before equal tools
        ("a:1,b:1,", "b:1,a:1,", [(1, 0), (2, 2)]),  # the order is kept
        ("a:1", "b:1", []),
        ("a:1,", "b:1,", [(1, 1)]),
        ("a:1,a:2", "a:2,a:3", [(0, 0), (1, 1)]),  # two alike outweigh one equal
        ("a:1 b:1", "b:2 a:2", [(0, 0)]),  # the calls of a step are a set
        ("a:1 a:2", "a:1", []),
    ],
)
def test_alignment(production, replay, found):
    assert aligned(production, replay) == found


def test_the_score_is_the_worst_step_and_says_which():
    production = steps(("a:1", 100), ("b:1", 50), ("", 200))
    replay = steps(("a:1", 120), ("x:1", 900), ("b:1", 400), ("", 100))
    assert one(production, replay) == (pytest.approx(log(8)), Slowest(1, 2, 50 * MS, 400 * MS))


def test_a_replay_that_is_faster_everywhere_is_below_zero():
    assert one(steps(("a:1", 100), ("", 100)), steps(("a:1", 50), ("", 25)))[0] == pytest.approx(-log(2))


def test_forced_steps_are_aligned_by_number_whatever_they_asked_for():
    production, replay = steps(("a:1", 100), ("", 100)), steps(("b:1", 100), ("a:1", 300))
    assert one(production, replay, by_number=True) == (pytest.approx(log(3)), Slowest(1, 1, 100 * MS, 300 * MS))


@pytest.mark.parametrize(
    ("production", "replay", "found"),
    [
        ([], [], "NOT_APPLICABLE"),
        ([("", 1)], [], "NOT_APPLICABLE"),
        ([("a:1", 1)], [("b:1", 1)], "NOT_APPLICABLE"),
        ([("", None)], [("", 1)], "UNKNOWN"),
        ([("", nan)], [("", 1)], "UNKNOWN"),
        ([("", 1)], [("", inf)], "UNKNOWN"),
        ([("", -1)], [("", 1)], "UNKNOWN"),
        ([("a:1", None), ("", 1)], [("a:1", 9), ("", 1)], 0.0),  # of the steps with a time
        ([("", 0)], [("", 0.0005)], 0.0),  # less than clocks agree on
    ],
)
def test_what_cannot_be_told(production, replay, found):
    score, slowest = one(steps(*production), steps(*replay))
    assert (score, slowest is None) == (found, isinstance(found, str))


# -- against the slow twin

STEPS = st.lists(
    st.builds(step, st.sampled_from(["", "a:1", "a:2", "b:1", "a:1 b:1"]), st.sampled_from([None, 1, 2, 3, 50])), max_size=5
)
PAIRS = st.builds(StepPair, STEPS, STEPS, st.booleans())


def worth(one: Step, other: Step) -> int:
    return 0 if one.tools != other.tools else 3 if one.calls == other.calls else 2


def slow(pair: StepPair) -> list[tuple[int, int]]:
    """Every alignment; the best, then the one whose first pairs come earliest."""
    left, right = range(len(pair.production)), range(len(pair.replay))
    if pair.by_number:
        return list(zip(left, right, strict=False))
    options = (
        list(zip(ours, theirs, strict=True))
        for size in range(min(len(left), len(right)) + 1)
        for ours in combinations(left, size)
        for theirs in combinations(right, size)
    )
    possible = [option for option in options if all(worth(pair.production[i], pair.replay[j]) for i, j in option)]
    return max(possible, key=lambda option: total(pair, option))


def total(pair: StepPair, option: list[tuple[int, int]]) -> int:
    return sum(worth(pair.production[i], pair.replay[j]) for i, j in option)


@given(PAIRS)
@settings(max_examples=400, deadline=None)
def test_as_good_as_the_slow_twin_and_the_score_is_its_largest_ratio(pair):
    found = align([pair])
    option = list(zip(found.production.tolist(), found.replay.tolist(), strict=True))
    assert option == sorted(option)
    assert all(later[0] > earlier[0] and later[1] > earlier[1] for earlier, later in pairwise(option))
    if pair.by_number:
        assert option == slow(pair)
    else:
        assert all(worth(pair.production[i], pair.replay[j]) for i, j in option)
        assert total(pair, option) == total(pair, slow(pair))
    times = [(pair.production[i].ns, pair.replay[j].ns) for i, j in option]
    ratios = [log(after / before) for before, after in times if before is not None and after is not None]
    score, slowest = one(list(pair.production), list(pair.replay), by_number=pair.by_number)
    if ratios:
        assert score == pytest.approx(max(ratios))
        assert slowest is not None
        assert log(slowest.replay_ns / slowest.production_ns) == pytest.approx(max(ratios))
    else:
        assert score == ("UNKNOWN" if option else "NOT_APPLICABLE")


@given(st.lists(PAIRS, min_size=1, max_size=6), st.randoms())
@settings(deadline=None)
def test_rows_are_independent(pairs, random):
    whole, where = [compare_steps(pairs)], slowest_steps(pairs)
    assert [bits([compare_steps([pair])]) for pair in pairs] == [bits(whole, [row]) for row in range(len(pairs))]
    assert [slowest_steps([pair])[0] for pair in pairs] == where
    order = random.sample(range(len(pairs)), len(pairs))
    assert bits([compare_steps([pairs[row] for row in order])]) == bits(whole, order)


@given(STEPS)
@settings(deadline=None)
def test_a_side_is_as_fast_as_itself(side):
    score, _ = one(side, side)
    assert score in (0.0, "UNKNOWN", "NOT_APPLICABLE")
    assert len(align([StepPair(side, side)]).row) == len(side)


# -- edges


def test_control_without_alignment_another_step_would_be_blamed():
    """By number, the step that was put in would stand against the answer."""
    production, replay = steps(("a:1", 100), ("", 10)), steps(("a:1", 100), ("b:1", 900), ("", 10))
    assert one(production, replay)[0] == 0.0
    assert one(production, replay, by_number=True)[0] == pytest.approx(log(90))


def test_empty_batch_and_given_statuses():
    assert compare_steps([]).value.shape == (0,)
    assert slowest_steps([]) == []
    censored = np.array([Status.CENSORED], dtype=np.uint8)
    assert compare_steps([StepPair(steps(("", 1)), steps(("", 2)))], given=censored).status[0] == Status.CENSORED


def test_thousands_of_steps_are_too_large_and_a_thousand_are_not():
    start = time.process_time()
    many = [step(f"t{number % 7}:{number % 3}") for number in range(4000)]
    assert one(many, many[1:]) == ("TOO_LARGE", None)
    assert one(many, many)[0] == one(many, many[1:], by_number=True)[0] == 0.0
    assert one(many[:1000], many[1000:2000])[0] == 0.0
    assert time.process_time() - start < 5
