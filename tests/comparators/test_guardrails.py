"""Guardrail decisions: loosened and tightened, never netted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparators.guardrails import (
    DECISIONS,
    Decision,
    DecisionPair,
    compare_guardrails,
    explain_guardrails,
    transitions,
)
from comparators.spec import Evidence, Status
from tests.comparators.by_hand import bits, scores

WORDS = sorted(DECISIONS)
SIDES = st.lists(
    st.builds(Decision, st.sampled_from("ab"), st.sampled_from(WORDS), st.sampled_from([None, "r1", "r2"])), max_size=5
)
PAIRS = st.builds(DecisionPair, SIDES, SIDES, st.booleans())


def met(production: str, replay: str) -> DecisionPair:
    """Decisions written as "subject:decision:rule", the rule may be left out."""
    sides = [
        [Decision(*(part or None for part in item.split(":"))) for item in side.split()]
        for side in (production, replay)
    ]
    return DecisionPair(*sides)


def counts(pair: DecisionPair) -> list[float | str]:
    return list(scores(compare_guardrails([pair])).values())


@pytest.mark.parametrize("before", WORDS)
@pytest.mark.parametrize("after", WORDS)
def test_transitions(before, after):
    rise = DECISIONS[after] - DECISIONS[before]
    assert counts(met(f"wipe:{before}", f"wipe:{after}")) == [float(rise < 0), float(rise > 0), 0.0]


@pytest.mark.parametrize(
    ("production", "replay", "expected"),
    [
        ("", "", [0.0, 0.0, 0.0]),
        ("a:block:r1 b:allow", "a:allow b:block:r2", [1.0, 1.0, 2.0]),  # never netted
        ("a:block:r1", "", [0.0, 0.0, 1.0]),  # not called, so not let through
        ("", "a:block:r1", [0.0, 0.0, 1.0]),
        ("a:block", "a:block a:allow", [1.0, 0.0, 0.0]),  # one refusal does not excuse that it was let through
        ("a:block a:allow", "a:allow a:block", [0.0, 0.0, 0.0]),
        ("a:escalate:r1", "a:needs_approval:r1", [1.0, 0.0, 0.0]),
    ],
)
def test_counts(production, replay, expected):
    assert counts(met(production, replay)) == expected


def test_the_matrix_of_decisions():
    pair = met("a:block b:allow c:allow d:escalate", "a:allow b:block c:allow e:block")
    assert transitions(pair) == {("block", "allow"): 1, ("allow", "block"): 1, ("allow", "allow"): 1}
    assert not transitions(pair._replace(recorded=False))


@given(PAIRS)
def test_the_counts_are_the_two_triangles_of_the_matrix_and_not_their_difference(pair):
    rises = {key: DECISIONS[key[1]] - DECISIONS[key[0]] for key in transitions(pair)}
    milder, stricter = (sum(n for key, n in transitions(pair).items() if rises[key] * sign > 0) for sign in (-1, 1))
    assert not pair.recorded or counts(pair)[:2] == [milder, stricter]


def test_what_was_not_recorded_is_unknown():
    assert counts(DecisionPair([], [Decision("a", "block")], recorded=False)) == ["UNKNOWN"] * 3
    assert not explain_guardrails(DecisionPair([], [Decision("a", "block", "r")], recorded=False))


def test_a_decision_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="'maybe'"):
        compare_guardrails([met("a:maybe", "")])


@given(st.lists(PAIRS, min_size=1, max_size=6), st.randoms())
def test_rows_are_independent(pairs, random):
    whole = compare_guardrails(pairs)
    assert [bits(compare_guardrails([pair])) for pair in pairs] == [bits(whole, [row]) for row in range(len(pairs))]
    order = random.sample(range(len(pairs)), len(pairs))
    assert bits(compare_guardrails([pairs[row] for row in order])) == bits(whole, order)


@given(PAIRS)
def test_swapping_the_sides_swaps_the_counts(pair):
    loosened, tightened, rules = counts(pair)
    assert counts(DecisionPair(pair.replay, pair.production, pair.recorded)) == [tightened, loosened, rules]


@given(PAIRS)
def test_lines_are_there_exactly_when_the_score_fired(pair):
    kinds = {line.kind for line in explain_guardrails(pair)}
    for kind, count in zip(("guard_loosened", "guard_tightened", "guard_rule"), counts(pair), strict=True):
        assert (kind in kinds) == (count not in (0.0, "UNKNOWN"))


def test_lines():
    pair = DecisionPair(
        [Decision("4f", "block", "no-wipe", "wipe(id=1)")], [Decision("4f", "allow", words="wipe(id=1)")]
    )
    assert explain_guardrails(pair) == (
        Evidence("guard_loosened", "wipe(id=1): block by no-wipe", "wipe(id=1): allow"),
        Evidence("guard_rule", removed="no-wipe"),
    )


def test_edges():
    assert {column.value.shape for column in compare_guardrails([])} == {(0,)}
    given_statuses = np.array([Status.CENSORED], dtype=np.uint8)
    assert {column.status[0] for column in compare_guardrails([met("", "")], given=given_statuses)} == {Status.CENSORED}
