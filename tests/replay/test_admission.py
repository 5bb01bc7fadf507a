"""Admission: who is replayed, and that a conversation is in or out as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from replay.admission import Admission, Admitted, Refused, Sampling
from replay.bundle import Bundle
from replay.testing import a_trace, says
from replay.trace import BundleRef, Capture, Request


@dataclass
class Production:
    """All that admission asks of a bundle."""

    def identifies(self, bundle_id: str) -> bool:
        return bundle_id == "production"


BASELINE = cast(Bundle, Production())
TRACE = a_trace("?", [says("x")])


def decide(trace=TRACE, **options):
    return Admission(BASELINE, **options).decide(trace)


def test_a_trace_of_the_baseline_is_admitted_with_its_probability():
    assert decide() == Admitted(1.0, "baseline")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bundle": BundleRef(id="canary")}, "other_bundle"),
        ({"bundle": BundleRef()}, "bundle_unknown"),
        ({"capture": Capture(mixed_bundle=True)}, "mixed_bundle"),
    ],
)
def test_other_traces_are_refused_under_a_name(changes, reason):
    assert decide(structs.replace(TRACE, **changes)) == Refused(reason)


@pytest.mark.parametrize("bundle", [BundleRef(id="canary"), BundleRef()])
def test_any_bundle_replays_them_but_never_as_the_baseline(bundle):
    admitted = decide(structs.replace(TRACE, bundle=bundle), any_bundle=True)
    assert admitted == Admitted(1.0, "any_bundle")


def test_a_mixed_bundle_is_never_replayed():
    trace = structs.replace(TRACE, capture=Capture(mixed_bundle=True))
    assert decide(trace, any_bundle=True) == Refused("mixed_bundle")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"capture": Capture(content="none")}, "no content"),
        ({"capture": Capture(content="partial", missing=("steps.3.result",))}, "steps.3.result"),
        ({"steps": ()}, "no model call"),
        ({"request": Request(messages=())}, "no user message"),
        ({"trace_id": "x" * 100_000}, "100,000 characters"),
    ],
)
def test_a_trace_that_cannot_be_replayed_is_admitted_and_says_why(changes, words):
    admitted = decide(structs.replace(TRACE, **changes))
    assert words in admitted.not_replayable


@given(st.text(), st.text(), st.floats(0, 1))
def test_sampling_depends_on_key_and_salt_only(key, salt, probability):
    assert Sampling(probability, salt).includes(key) == Sampling(probability, salt).includes(key)
    assert Sampling(1.0, salt).includes(key)
    assert not Sampling(0.0, salt).includes(key)


@given(st.text(min_size=1), st.integers(0, 50), st.integers(0, 50))
def test_a_conversation_is_in_or_out_as_a_whole(conversation, first, second):
    turns = [
        structs.replace(TRACE, trace_id=f"t{turn}", conversation_id=conversation, turn=turn) for turn in (first, second)
    ]
    decisions = [decide(turn, sampling=Sampling(0.5)) for turn in turns]
    assert type(decisions[0]) is type(decisions[1])


def test_a_share_of_the_keys_is_close_to_the_probability():
    """4 standard errors of a share of 0.3 over 4,000 keys are 2.9 points."""
    included = sum(Sampling(0.3).includes(f"key-{number}") for number in range(4000))
    assert abs(included / 4000 - 0.3) < 0.029


def test_a_larger_sample_holds_the_smaller_one():
    small = {key for key in range(500) if Sampling(0.2).includes(str(key))}
    large = {key for key in range(500) if Sampling(0.6).includes(str(key))}
    assert small < large
