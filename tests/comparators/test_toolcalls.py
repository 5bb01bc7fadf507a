"""Tool calls against their slow twin, and the cases that other tools get wrong."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparators import path as path_module
from comparators.calls import CallEvent, CallPair, Effect, Leaf, LeafKind, Outcome
from comparators.spec import Status
from comparators.toolcalls import compare_calls
from tests.comparators.by_hand import (
    ASSUMED,
    FAILED,
    bits,
    call,
    handoff,
    in_steps,
    of_leaves,
    pair,
    read,
    scores,
    write,
)
from tests.comparators.slow_calls import NOTHING, slow

EFFECTS = {"pay": Effect.WRITE, "wipe": Effect.WRITE, "ask": Effect.HANDOFF, "look": Effect.READ, "list": Effect.READ}
WEIGHTS = {"pay": 2.0, "wipe": 1.0, "ask": 1.0, "look": 0.25, "list": 0.0}
ARGUMENTS = st.fixed_dictionaries({}, optional={"id": st.integers(0, 2), "by": st.sampled_from("ab"), "n": st.just(1)})


@st.composite
def events(draw: st.DrawFn, by_step: bool) -> tuple[CallEvent, ...]:
    made = []
    step = 0
    for _ in range(draw(st.integers(0, 6))):
        step += draw(st.integers(0, 1))
        tool = draw(st.sampled_from(sorted(EFFECTS)))
        made.append(
            CallEvent(
                call(tool, **draw(ARGUMENTS)),
                EFFECTS[tool],
                draw(st.sampled_from(Outcome)),
                step,
                step if by_step else 0,
                WEIGHTS[tool],
                draw(st.booleans()),
                draw(st.sampled_from(["", "a", "b"])),
            )
        )
    return tuple(made)


@st.composite
def pairs_of_calls(draw: st.DrawFn) -> CallPair:
    by_step = draw(st.booleans())
    return CallPair(draw(events(by_step)), draw(events(by_step)))


BATCHES = st.lists(pairs_of_calls(), max_size=5)


def approximately(expected: dict[str, float | str]) -> dict[str, Any]:
    return {name: value if value == NOTHING else pytest.approx(value, abs=1e-12) for name, value in expected.items()}


@given(BATCHES)
@settings(max_examples=300, deadline=None)
def test_twin(batch):
    columns = compare_calls(batch)
    for row, one in enumerate(batch):
        assert scores(columns, row) == approximately(slow(one))


@given(st.lists(pairs_of_calls(), min_size=1, max_size=8), st.randoms())
@settings(max_examples=100, deadline=None)
def test_a_row_scores_the_same_bits_in_any_batch(batch, random):
    whole = compare_calls(batch)
    for row, one in enumerate(batch):
        assert bits(compare_calls([one])) == bits(whole, [row])
    order = random.sample(range(len(batch)), len(batch))
    assert bits(compare_calls([batch[row] for row in order])) == bits(whole, order)


@given(pairs_of_calls(), st.integers(1, 40))
@settings(max_examples=80, deadline=None)
def test_chunks_of_the_alignment_do_not_show(one, cells):
    batch = [one, CallPair(one.replay, one.production), CallPair(one.production, one.production), one] * 2
    before = bits(compare_calls(batch))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_module, "_CELLS", cells)
        assert bits(compare_calls(batch)) == before


@given(pairs_of_calls())
@settings(max_examples=80, deadline=None)
def test_long_paths_align_equal_calls_only(one):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_module, "_LARGEST_TABLE", 0)
        assert scores(compare_calls([one]))["tools.path"] == pytest.approx(slow(one, arguments=False)["tools.path"])


@given(events(by_step=False))
def test_identity(side):
    found = scores(compare_calls([CallPair(side, side)]))
    assert found.pop("tools.write.assumed") in (
        NOTHING,
        sum(it.outcome == Outcome.ASSUMED for it in side if it.effect == 2),
    )
    duplicated = found.pop("tools.write.duplicated")
    assert duplicated in (NOTHING, 0.0)
    assert set(found.values()) <= {0.0, NOTHING}


@given(pairs_of_calls())
@settings(max_examples=100, deadline=None)
def test_symmetric_but_for_signs(one):
    there, back = (scores(compare_calls([each])) for each in (one, CallPair(one.replay, one.production)))
    for name in ("tools.write", "tools.handoff", "tools.read", "tools.path", "tools.write.changed"):
        assert there[name] == (back[name] if back[name] == NOTHING else pytest.approx(back[name], abs=1e-12))
    for effect in ("tools.write", "tools.handoff"):
        assert there[f"{effect}.missing"] == back[f"{effect}.extra"]
    for name in ("tools.invalid", "tools.invalid_write", "tools.failed", "tools.repeated"):
        assert there[name] == (back[name] if back[name] == NOTHING else -float(back[name]))


@given(st.permutations(range(5)), st.permutations(range(5)))
def test_calls_of_one_step_are_a_set(one, other):
    calls = [read("look", id=1), write("pay", id=1), read("look", id=2), write("wipe", id=1), handoff("ask")]
    found = scores(compare_calls([CallPair(tuple(calls[i] for i in one), tuple(calls[i] for i in other))]))
    assert set(found.values()) == {0.0}


def test_a_second_call_of_the_tolerant_contract_does_not_decide_for_another_row():
    """Digests say nothing of tolerances, so equal calls of two rows may have been read through unequal contracts."""

    def paid(amount: str, tolerance: float) -> tuple[CallEvent, ...]:
        return (CallEvent(of_leaves("pay", Leaf("x", LeafKind.DECIMAL, amount, tolerance)), Effect.WRITE),)

    strict = CallPair(paid("10.5", 1e-9), paid("10.6", 1e-9))
    loose = CallPair(paid("10.5", 0.5), paid("10.6", 0.5))
    whole = compare_calls([loose, strict, loose])
    assert whole[0].value.tolist() == [0.0, 1.0, 0.0]
    mixed = CallPair(paid("10.5", 1e-9), paid("10.6", 0.5))
    assert scores(compare_calls([mixed]))["tools.write"] == 1.0  # the stricter side decides


# -- edges ------------------------------------------------------------------------------------------------------


def test_no_rows():
    assert {column.value.shape for column in compare_calls([])} == {(0,)}


def test_no_calls_on_both_sides():
    found = scores(compare_calls([CallPair((), ())]))
    assert found.pop("tools.path") == 0.0
    assert set(found.values()) == {NOTHING}


def test_calls_on_one_side_only():
    found = scores(compare_calls([pair([], [write("pay", id=1), read("look", id=1), handoff("ask")])]))
    assert [found[name] for name in ("tools.write", "tools.handoff", "tools.read", "tools.path")] == [1.0] * 4


def test_given_statuses_win():
    given_statuses = np.array([Status.CENSORED, Status.SCORED], dtype=np.uint8)
    given_statuses.flags.writeable = False
    columns = compare_calls([pair([write("pay")], []), pair([], [])], given=given_statuses)
    assert {column.status[0] for column in columns} == {Status.CENSORED}
    assert {column.value[0] for column in columns} == {0.0}
    assert scores(columns, 1)["tools.write"] == NOTHING


def test_a_weight_of_nothing_leaves_the_value_out_and_keeps_the_counts():
    found = scores(compare_calls([pair([], [write("pay", of={"weight": 0.0})])]))
    assert (found["tools.write"], found["tools.write.extra"], found["tools.path"]) == (NOTHING, 1.0, 0.0)


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_a_weight_that_is_none_is_refused(weight):
    with pytest.raises(ValueError, match="weight"):
        compare_calls([pair([write("pay", of={"weight": weight})], [])])


def test_a_digest_of_another_length_is_refused():
    odd = write("pay")
    with pytest.raises(ValueError, match="digest"):
        compare_calls([pair([odd._replace(call=odd.call._replace(digest=b"short"))], [])])


def test_digests_that_agree_in_their_first_half_are_told_apart():
    one, other = (CallEvent(call("pay", id=i)._replace(digest=bytes(15) + bytes([i])), Effect.WRITE) for i in (1, 2))
    found = scores(compare_calls([CallPair((one, other, one), (other, one, one))]))
    assert (found["tools.write"], found["tools.repeated"]) == (0.0, 0.0)


def test_steps_and_groups_may_be_large_or_negative():
    far = [write("pay", of={"step": 2**40, "group": -5}), write("wipe", of={"step": 2**41, "group": 2**40})]
    assert set(scores(compare_calls([CallPair(tuple(far), tuple(far))])).values()) <= {0.0, NOTHING}
    moved = [item._replace(group=7) for item in far]
    assert scores(compare_calls([CallPair(tuple(far), tuple(moved))]))["tools.write"] == 1.0


# -- the cases of the peers -------------------------------------------------------------------------------------

#: production, replay, `tools.write` and the reason.
TRAPS: dict[str, tuple[list[CallEvent], list[CallEvent], Any, str]] = {
    "two identical calls on both sides": ([write("pay", n=1)] * 2, [write("pay", n=1)] * 2, 0.0, "a multiset"),
    "duplicated write": ([write("pay", n=1)], [write("pay", n=1)] * 2, 1 / 3, "the copy is paid in full"),
    "extra write": ([write("pay", n=1)], [write("pay", n=1), write("wipe", id=1)], 1 / 3, "never a superset"),
    "missing write": ([write("pay", n=1), write("wipe", id=1)], [write("pay", n=1)], 1 / 3, "never recall alone"),
    "5 and 5.0": ([write("pay", n=5)], [write("pay", n=5.0)], 0.0, "one number"),
    "True and 1": ([write("pay", n=True)], [write("pay", n=1)], 1.0, "a boolean is no number"),
    "5 and '5'": ([write("pay", n=5)], [write("pay", n="5")], 1.0, "a string is no number"),
    "1000 and 1001": ([write("pay", n=1000)], [write("pay", n=1001)], 1.0, "integers are exact"),
    "1000 and 1001 among nine right arguments": (
        [write("pay", n=1000, **{f"a{i}": i for i in range(9)})],
        [write("pay", n=1001, **{f"a{i}": i for i in range(9)})],
        0.55,
        "half at least, then a tenth of the rest",
    ),
    "digits of an account swapped": ([write("pay", to="DE12")], [write("pay", to="DE21")], 1.0, "no edit distance"),
    "0.1 + 0.2 and 0.3": ([write("pay", n=0.1 + 0.2)], [write("pay", n=0.3)], 0.0, "rounding of floats"),
    "0.3 and 0.31": ([write("pay", n=0.3)], [write("pay", n=0.31)], 1.0, "beyond the tolerance"),
    "1234567890 and 1234567891": (
        [write("pay", to=1234567890)],
        [write("pay", to=1234567891)],
        1.0,
        "a relative tolerance on integers would make them one account",
    ),
    "null and absent": ([write("pay", n=1, memo=None)], [write("pay", n=1)], 0.0, "both say nothing"),
    "list order": ([write("pay", to=[1, 2])], [write("pay", to=[2, 1])], 1.0, "order counts unless the contract says"),
    "composed and decomposed accents": ([write("pay", to="é")], [write("pay", to="e\u0301")], 0.0, "same text"),
    "a greedy choice fails": (
        [write("pay", a=1), write("pay", a=1, b=2)],
        [write("pay", a=1, b=2, c=3), write("pay", a=1, c=3)],
        pytest.approx((0.5 + 0.5 * (1 - 0.8) + 0.5 + 0.5 * (1 - 2 / 3)) / 2),
        "minimum cost: the pairs that agree most in sum",
    ),
    "other tool": ([write("pay", n=1)], [write("wipe", n=1)], 1.0, "tools never substitute"),
    "no arguments": ([write("wipe")], [write("wipe")], 0.0, "nothing differs"),
    "no calls": ([], [], NOTHING, "there is nothing to compare"),
}


@pytest.mark.parametrize("name", TRAPS)
def test_traps(name):
    production, replay, expected, why = TRAPS[name]
    assert scores(compare_calls([pair(production, replay)]))["tools.write"] == expected, why


@pytest.mark.parametrize(
    ("production", "replay", "fired"),
    [
        ([write("pay", n=1)], [write("pay", n=1)] * 3, {"extra": 2.0, "duplicated": 2.0}),
        ([], [write("pay", n=1)] * 2, {"extra": 2.0, "duplicated": 1.0}),
        ([write("pay", n=1)] * 2, [write("pay", n=1)], {"missing": 1.0}),
        ([write("pay", n=1), write("pay", n=2)], [write("pay", n=1)] * 2, {"changed": 1.0, "duplicated": 1.0}),
        ([write("pay", n=1)], [write("pay", n=1, of=FAILED)], {"outcome_changed": 1.0}),
        ([write("pay", n=1, of=FAILED)], [write("pay", n=1, of=ASSUMED)], {"assumed": 1.0}),
        ([write("pay", n=1), write("wipe")], [write("wipe"), write("pay", n=1)], {"reordered": 1.0}),
    ],
)
def test_counts_of_writes(production, replay, fired):
    found = scores(compare_calls([pair(production, replay)]))
    counts = {
        name.removeprefix("tools.write."): value for name, value in found.items() if name.startswith("tools.write.")
    }
    assert {name: value for name, value in counts.items() if value} == fired


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("a", "a", 1.0), ("a", "b", 0.0), ("", "b", 1.0), ("a", "", 1.0)],
)
def test_order_matters_on_one_resource(first, second, expected):
    one, other = write("pay", of={"resource": first}), write("wipe", of={"resource": second})
    assert scores(compare_calls([pair([one, other], [other, one])]))["tools.write.reordered"] == expected


def test_same_calls_in_one_message_or_two_are_the_same():
    one, other = write("pay", n=1), write("wipe", id=1)
    found = scores(compare_calls([CallPair((one, other), in_steps(other, one))]))
    assert set(found.values()) <= {0.0, NOTHING}


def test_reads_between_two_writes_commute_and_repeats_there_are_one():
    looked = [read("look", id=1), read("look", id=2), write("pay", n=1), read("look", id=3)]
    again = [read("look", id=2), read("look", id=1), read("look", id=2), write("pay", n=1), read("look", id=3)]
    assert scores(compare_calls([pair(looked, again)]))["tools.path"] == 0.0
    moved = [read("look", id=1), write("pay", n=1), read("look", id=2), read("look", id=3)]
    assert scores(compare_calls([pair(looked, moved)]))["tools.path"] == 0.25


def test_forced_steps_are_matched_one_by_one():
    """A write of step 0 is not the write of step 1."""
    early, late = (write("pay", n=1, of={"step": step, "group": step}) for step in (0, 1))
    found = scores(compare_calls([CallPair((early,), (late,))]))
    assert (found["tools.write"], found["tools.write.missing"], found["tools.write.extra"]) == (1.0, 1.0, 1.0)
    assert found["tools.path"] == 1.0


def test_free_text_within_its_tolerance_is_equal():
    def noted(text: str, tolerance: float) -> CallEvent:
        return CallEvent(of_leaves("note", Leaf("text", LeafKind.TEXT, text, tolerance)), Effect.WRITE)

    one, other = "The customer wants a refund for the broken lamp.", "the customer wants a refund for a broken lamp"
    assert scores(compare_calls([pair([noted(one, 0.4)], [noted(other, 0.4)])]))["tools.write"] == 0.0
    assert scores(compare_calls([pair([noted(one, 0.4)], [noted(other, 0.4)])]))["tools.write.changed"] == 0.0
    assert scores(compare_calls([pair([noted(one, 0.01)], [noted(other, 0.4)])]))["tools.write.changed"] == 1.0


# -- size -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one",
    [
        pair([write("pay", n=i) for i in range(3000)], [write("pay", n=-i) for i in range(3000)]),
        pair([write("pay", n=i, m=1) for i in range(100)], [write("pay", n=-i, m=1) for i in range(1, 120)]),
        pair([read("look", n=i) for i in range(3000)], [read("look", n=i) for i in range(1000, 4000)]),
        pair([write("pay", **{f"a{i}": i for i in range(9000)})], [write("pay", **{f"a{i}": -i for i in range(9000)})]),
        pair([write("pay", x=i + 0.5) for i in range(60)], [write("pay", x=i + 0.25) for i in range(60)]),
    ],
    ids=["3000 writes", "120 writes", "3000 reads", "9000 arguments", "decimals"],
)
def test_loops_and_large_calls_take_seconds_at_most(one):
    before = time.thread_time()
    found = scores(compare_calls([one]))
    assert 0 < found["tools.path"] <= 1
    assert time.thread_time() - before < 10
