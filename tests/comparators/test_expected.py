"""Expected outcomes: what meets an expectation, against a twin that tries every assignment, and what does not."""

from __future__ import annotations

import re
import time
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from comparators import expected
from comparators.calls import CallEvent, Effect, Leaf, LeafKind, Outcome
from comparators.expected import (
    Conduct,
    Expectation,
    ExpectedCall,
    compare_expected,
    explain_expected,
    shortfall,
)
from comparators.spec import Evidence, Status
from comparators.text import normalise_all
from tests.comparators.by_hand import ASSUMED, FAILED, bits, call, handoff, of_leaves, read, scores, write

REFUSED = {"outcome": Outcome.REFUSED}


def wants(*events: CallEvent, counted: frozenset[str] | None = None) -> tuple[ExpectedCall, ...]:
    return tuple(ExpectedCall(event.call, event.effect, counted) for event in events)


def is_met(expectation: Expectation, conduct: Conduct) -> bool:
    return not shortfall(expectation, conduct).ways


def met(expected: tuple[ExpectedCall, ...] | None, *made: CallEvent) -> bool:
    return is_met(Expectation(expected), Conduct(made, ()))


def told(output: str, *answers: str) -> bool:
    return is_met(Expectation(None, (output,)), Conduct((), answers))


PAY, WIPE, ASK, LOOK = write("pay", to="a", sum=5), write("wipe", id=1), handoff("ask"), read("look", id=1)


# -- calls


@pytest.mark.parametrize(
    ("expected", "made", "is_as_expected"),
    [
        ((PAY,), (PAY,), True),
        ((PAY,), (LOOK, PAY, LOOK), True),  # reads are free
        ((PAY, WIPE), (WIPE, PAY), True),  # so is the order
        ((), (), True),
        ((), (LOOK,), True),
        ((LOOK,), (), True),
        ((PAY,), (), False),
        ((PAY,), (PAY, PAY), False),  # exactly as often
        ((PAY, PAY), (PAY, PAY), True),
        ((PAY, PAY), (PAY,), False),
        ((PAY,), (PAY, WIPE), False),  # no other write
        ((), (WIPE,), False),
        ((), (write("wipe", of=FAILED, id=1),), True),  # it took no effect
        ((), (write("wipe", of=REFUSED, id=1),), True),
        ((PAY,), (write("pay", of=FAILED, to="a", sum=5),), False),
        ((PAY,), (write("pay", of=FAILED, to="a", sum=5), PAY), True),  # tried again
        ((PAY,), (write("pay", of=ASSUMED, to="a", sum=5),), True),
        ((PAY,), (write("pay", to="a", sum=5.0),), True),
        ((PAY,), (write("pay", to="a", sum=6),), False),
        ((PAY,), (write("pay", to="a", sum=5, cc="me"),), False),  # an argument nobody expected
        ((PAY,), (write("pay", to="a"),), False),
        ((PAY,), (write("pay", to="a", sum=5, cc=None),), True),  # null is absent
        ((ASK,), (), False),
        ((ASK,), (ASK,), True),
        ((ASK,), (ASK, ASK), False),
        ((), (ASK,), True),  # hand-offs are judged where one is expected
        ((ASK,), (handoff("ask", of=FAILED),), False),
    ],
)
def test_what_meets_an_expectation(expected, made, is_as_expected):
    wanted = tuple(item for item in wants(*expected) if item.effect is not Effect.READ)
    assert met(wanted, *made) is is_as_expected


@pytest.mark.parametrize(
    ("expected", "made", "ways"),
    [
        ((PAY,), (PAY,), ()),
        ((PAY, WIPE), (PAY,), ("omitted",)),
        ((PAY,), (PAY, WIPE), ("exceeded",)),
        ((PAY,), (WIPE,), ("omitted", "exceeded")),
        ((PAY,), (write("pay", to="a", sum=6),), ("omitted", "exceeded")),  # a wrong argument is both
        ((PAY,), (write("pay", of=FAILED, to="a", sum=5),), ("omitted",)),
        ((), (WIPE,), ("exceeded",)),
    ],
)
def test_what_was_left_out_and_what_was_done_beyond_are_told_apart(expected, made, ways):
    assert shortfall(Expectation(wants(*expected)), Conduct(made, ())).ways == ways


def test_what_was_not_told_was_left_out():
    assert shortfall(Expectation((), ("1250",)), Conduct((WIPE,), ("Done.",))).ways == ("omitted", "exceeded")


def test_nothing_said_about_actions_allows_any():
    assert met(None, WIPE, PAY)


@pytest.mark.parametrize(("counted", "fulfilled"), [({"to"}, True), ({"to", "sum"}, False), ({"to", "note"}, True), (set(), True)])
def test_an_expectation_may_say_which_arguments_count(counted, fulfilled):
    assert met(wants(PAY, counted=frozenset(counted)), write("pay", to="a", sum=9)) is fulfilled


def test_an_argument_that_counts_brings_all_that_is_inside_it():
    wanted = wants(write("book", legs=[{"no": 1}], price=3), counted=frozenset({"legs"}))
    assert met(wanted, write("book", legs=[{"no": 1}], price=4))
    assert not met(wanted, write("book", legs=[{"no": 1}, {"no": 2}], price=3))


MAIL = write("mail", to="a", body="Order W-12 is late: 2 days, 1,250 km.")


@pytest.mark.parametrize(
    ("made", "fulfilled"),
    [
        ({"body": "Sorry! W-12 needs two more days for its 1250 km."}, True),
        ({"body": "Sorry! W-12 needs two more days."}, False),  # a figure is not told
        ({"body": "W-13 needs two more days for its 1250 km."}, False),
        ({"body": "Order W-12 is late: 2 days, 1,250 km.", "to": "b"}, False),  # what is no prose is taken at its word
        ({"body": ""}, False),
        ({"body": 12}, False),
        ({}, False),
        ({"body": "W-12 is 2 days late for its 1250 km", "cc": "me"}, False),
    ],
)
def test_prose_may_be_worded_in_any_way_that_has_its_figures(made, fulfilled):
    (mail,) = wants(MAIL)
    assert met((mail._replace(prose=frozenset({"body"})),), write("mail", **{"to": "a", **made})) is fulfilled
    assert not met((mail,), write("mail", **{"to": "a", **made}))


def test_prose_that_an_expectation_does_not_name_is_an_argument_nobody_expected():
    (wanted,) = wants(write("mail", to="a"))
    assert not met((wanted._replace(prose=frozenset({"body"})),), MAIL)


def test_an_expectation_may_leave_prose_out_of_what_counts():
    (mail,) = wants(MAIL, counted=frozenset({"to"}))
    assert met((mail._replace(prose=frozenset({"body"})),), write("mail", to="a"))


def test_calls_are_matched_by_assignment_and_not_greedily():
    """The first expected call is content with either call, the second with one of them."""
    any_pay, only_a = wants(write("pay", to="x"), counted=frozenset())[0], wants(write("pay", to="a"))[0]
    assert met((any_pay, only_a), write("pay", to="a"), write("pay", to="b"))
    assert not met((any_pay, only_a), write("pay", to="b"), write("pay", to="c"))


def near(value: float) -> CallEvent:
    leaf = Leaf("sum", LeafKind.DECIMAL, repr(value), 0.1)
    return CallEvent(of_leaves("pay", leaf), Effect.WRITE)


TOOLS = {"pay": Effect.WRITE, "wipe": Effect.WRITE, "ask": Effect.HANDOFF, "look": Effect.READ}
MADE = st.one_of(
    st.builds(
        lambda tool, number, outcome: CallEvent(call(tool, id=number), TOOLS[tool], outcome),
        st.sampled_from(sorted(TOOLS)),
        st.integers(0, 2),
        st.sampled_from(Outcome),
    ),
    st.builds(near, st.sampled_from([1.05, 1.12, 1.2, 1.3])),
)
WANTED = st.builds(
    lambda event, counted: ExpectedCall(event.call, event.effect, counted),
    MADE.filter(lambda event: event.effect is not Effect.READ),
    st.sampled_from([None, None, frozenset(), frozenset({"id"})]),
)


def fulfils(event: CallEvent, wanted: ExpectedCall) -> bool:
    if event.call.tool != wanted.call.tool:
        return False
    ours, theirs = (
        {leaf.path: leaf for leaf in it.leaves if wanted.counted is None or leaf.path in wanted.counted}
        for it in (wanted.call, event.call)
    )
    return set(ours) == set(theirs) and all(alike(leaf, theirs[path]) for path, leaf in ours.items())


def alike(one: Leaf, other: Leaf) -> bool:
    if LeafKind.DECIMAL in (one.kind, other.kind):
        left, right = float(one.token), float(other.token)
        tolerance = min(leaf.tolerance for leaf in (one, other) if leaf.kind is LeafKind.DECIMAL)
        return abs(left - right) <= tolerance * max(left, right)
    return (one.kind, one.token) == (other.kind, other.token)


def slow(wanted: list[ExpectedCall], made: list[CallEvent]) -> bool:
    """Whether some order of what took effect is, one by one, what was expected."""
    tools = {item.call.tool for item in wanted}
    done = [
        event
        for event in made
        if event.outcome in (Outcome.SUCCEEDED, Outcome.ASSUMED)
        and (event.effect is Effect.WRITE or (event.effect is Effect.HANDOFF and event.call.tool in tools))
    ]
    return len(done) == len(wanted) and any(
        all(map(fulfils, order, wanted)) for order in permutations(done, len(wanted))
    )


@given(st.lists(WANTED, max_size=4), st.lists(MADE, max_size=5))
@settings(max_examples=300, deadline=None)
def test_as_by_the_slow_twin(wanted, made):
    assert met(tuple(wanted), *made) is slow(wanted, made)


@given(st.lists(MADE.filter(lambda event: event.effect is not Effect.READ), max_size=5), st.randoms())
@settings(deadline=None)
def test_what_took_effect_meets_itself_in_any_order(events, random):
    done = [event._replace(outcome=Outcome.SUCCEEDED) for event in events]
    assert met(wants(*done), *random.sample(done, len(done)))
    assert not met(wants(*done), *done, WIPE, write("wipe", id=99))


# -- answers


@pytest.mark.parametrize(
    ("output", "answer", "found"),
    [
        ("1250", "That comes to $1,250.", True),
        ("1,250", "1250 it is", True),
        ("1250.00", "**1,250**", True),
        ("481.5", "a total of $481.50", True),
        ("1250", "1,520", False),
        ("1250", "12500", False),
        ("4", "rounded from 3.6", False),
        ("4", "four", True),
        ("50%", "half (0.5)", True),
        ("mastercard", "Your Mastercard ending in 1234", True),
        ("art", "the party", False),
        ("W12", "order #W123", False),
        ("#W123", "order #W123.", True),
        ("20 hours", "about 20  HOURS of battery", True),
        ("caf\u00e9", "the cafe\u0301 is open", True),
        ("done", "", False),
    ],
)
def test_what_is_told(output, answer, found):
    assert told(output, "Hello.", answer) is found


SPOKEN = st.lists(st.sampled_from(["a", "b", "a_", "\u00e9", "not", "-", ". ", " ", "  ", "_", "\ud800"]), max_size=12).map("".join)


@given(SPOKEN.filter(str.strip), SPOKEN)
@settings(max_examples=300, deadline=None)
def test_words_are_told_where_a_slow_pattern_finds_them(output, answer):
    text, said = normalise_all([output, answer])
    assume(text)
    words = re.findall(r"[^\W_]+", text)
    wanted = r"[\W_]+".join(map(re.escape, words))
    found = [it.start() for it in re.finditer(rf"(?<![^\W_]){wanted}(?![^\W_])", said)] if words else []
    denied = [expected._is_denied(said[max(start - expected._BEFORE, 0) : start]) for start in found]
    assert told(output, answer) is (not all(denied) if words else text in said)


def test_without_an_answer_nothing_was_told():
    assert not told("1250")


def test_every_output_must_be_told_and_any_answer_may():
    outputs = Expectation(None, ("12", "visa"))
    assert is_met(outputs, Conduct((), ["It is 12.", "By Visa.", "Bye."]))
    assert shortfall(outputs, Conduct((), ["It is 12."])).untold == ("visa",)


# -- columns


OUTCOMES = st.sampled_from([True, False, None])


def table(before: bool | None, after: bool | None) -> list[float | str]:
    return list(scores(compare_expected([before], [after])).values())


def test_the_table_of_both_sides():
    assert table(before=True, after=True) == table(before=False, after=False) == [0.0, 0.0]
    assert table(before=True, after=False) == [1.0, 0.0]
    assert table(before=False, after=True) == [0.0, 1.0]


@pytest.mark.parametrize("sides", [(None, True), (True, None), (None, None), (False, None)])
def test_a_side_that_cannot_be_told_makes_both_unknown(sides):
    assert table(*sides) == ["UNKNOWN", "UNKNOWN"]


@given(st.lists(st.tuples(OUTCOMES, OUTCOMES), min_size=1, max_size=8))
@settings(deadline=None)
def test_regressions_and_improvements_are_counted_apart_and_row_by_row(rows):
    before, after = zip(*rows, strict=True)
    whole = compare_expected(before, after)
    assert [bits(compare_expected([b], [a])) for b, a in rows] == [bits(whole, [row]) for row in range(len(rows))]
    assert scores_of(whole[0]) == scores_of(compare_expected(after, before)[1])
    counted = Counter(rows)
    assert (whole[0].value.sum(), whole[1].value.sum()) == (counted[True, False], counted[False, True])


def scores_of(found) -> list[tuple[float, int]]:
    return list(zip(found.value.tolist(), found.status.tolist(), strict=True))


def test_given_statuses_come_first():
    given_statuses = np.array([Status.CENSORED, Status.NOT_APPLICABLE, Status.SCORED], dtype=np.uint8)
    for found in compare_expected([True, None, None], [None, None, True], given=given_statuses):
        assert found.status.tolist() == [Status.CENSORED, Status.NOT_APPLICABLE, Status.UNKNOWN]


def test_edges():
    assert {found.value.shape for found in compare_expected([], [])} == {(0,)}
    with pytest.raises(ValueError, match="2 outcomes"):
        compare_expected([True, False], [True])


# -- evidence


def test_lines_say_what_was_expected_and_what_was_done_instead():
    expectation = Expectation(wants(PAY, WIPE, write("mail", to="b")), ("7",))
    made = (write("pay", to="c", sum=5), write("mail", of=FAILED, to="b"), write("drop"))
    assert explain_expected(expectation, Conduct(made, ["Hm.", "Done."])) == (
        Evidence("expected_call", 'pay(sum=5, to="a")', 'pay(sum=5, to="c")'),
        Evidence("expected_call", "wipe(id=1)"),
        Evidence("expected_call", 'mail(to="b")', 'failed: mail(to="b")'),
        Evidence("expected_call", added="drop()"),
        Evidence("expected_output", "7", "Done."),
    )


@given(st.lists(WANTED, max_size=3), st.lists(MADE, max_size=4), st.lists(st.text(max_size=5), max_size=2))
@settings(deadline=None)
def test_lines_are_there_exactly_when_it_is_not_met(wanted, made, outputs):
    expectation, conduct = Expectation(tuple(wanted), tuple(outputs)), Conduct(made, ["a b c 1"])
    assert bool(explain_expected(expectation, conduct)) is not is_met(expectation, conduct)


# -- hostile content


def test_thousands_of_calls_and_outputs_take_bounded_time():
    many = [write("pay", n=number, note="x" * 200) for number in range(3000)]
    start = time.process_time()
    assert met(wants(*many), *reversed(many))
    assert not met(wants(*many[:-1], write("pay", n=-1)), *many)
    assert not is_met(Expectation(None, ("a" * 10_000,) * 100), Conduct((), ["a" * 9_999 + "b", "a" * 500_000]))
    assert not is_met(Expectation(None, ("a " * 4_999 + "b",) * 20), Conduct((), ["a " * 499_999]))
    assert time.process_time() - start < 5


@pytest.mark.parametrize("text", ["\ud800", "\x00", "\u202e", "(" * 5_000, "\\", "[0-9", "💥", "a\0b"])
def test_hostile_texts_are_only_texts(text):
    assert told(text, f"so: {text}") or not text.strip("\x00\u202e")
    assert not is_met(Expectation(wants(write("pay", to=text))), Conduct([write("pay", to=text + "x")], ()))
    explain_expected(Expectation(wants(write("pay", to=text)), (text,)), Conduct([write("wipe", to=text)], [text]))
