"""Expected outcomes of traces: how they are read, on which replays they can be told, and what the record says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from comparators.calls import Effect
from comparators.expected import Expectation
from consumers.compare import whole_conversation
from replay.bundle import EvalCase
from replay.comparison import Source
from replay.contract import ArgumentRule, ToolContract, Tooling
from replay.divergence import Job, Unscored, compare_recordings
from replay.errors import ProviderError
from replay.expected import Unreadable, expectation_of, recorded_misses
from replay.gate.signals import SIGNALS
from replay.planning import Planner
from replay.testing import a_bundle, a_trace, asks, calls, past, says
from replay.trace import Capture
from replay.trajectory import read_trajectory
from replay.wire import decode, encode
from tests.replay.test_divergence import compare, finish
from tests.support.judged import compared

LOOKUP = ToolContract(name="lookup", effect="read")
WIPE = ToolContract(name="wipe", stub_result="ok")
ESCALATE = ToolContract(name="escalate", effect="handoff", stub_result="ok")
TOOLS = {tool.name: tool for tool in (LOOKUP, WIPE, ESCALATE)}
TOOLING = Tooling(TOOLS, TOOLS)
PLANNER = Planner(a_bundle(tools=tuple(TOOLS.values())), a_bundle("candidate", tools=tuple(TOOLS.values())))

WIPED = {"actions": [{"name": "lookup", "arguments": {"id": 1}}, {"name": "wipe", "arguments": {"id": 1}}]}
DOES, DENIES = [asks(("wipe", {"id": 1})), says("Wiped.")], [says("No.")]
DID, DENIED = [calls(("wipe", {"id": 1}, "ok")), says("Wiped.")], [says("No.")]


def one(script, turns, *, expected=WIPED, mode="free", **trace):
    found = a_trace("wipe 1", turns, expected=expected, **trace)
    return compare(finish(script, trace=found, mode=mode, planner=PLANNER), planner=PLANNER)[0]


def outcome(comparison):
    sides = comparison.production.expected, comparison.replay.expected
    return sides, [comparison.scores[f"expected.{name}"].value for name in ("regressed", "improved")]


def statuses(comparison):
    return {comparison.scores[f"expected.{name}"].status for name in ("regressed", "improved")}


def signal(comparison):
    expected_failed = SIGNALS["expected_failed"]
    return expected_failed.of_production(comparison), expected_failed.of_replay(comparison)


@pytest.mark.parametrize(
    ("script", "turns", "found", "fails"),
    [
        (DOES, DID, ((True, True), [0, 0]), (0, 0)),
        (DENIES, DID, ((True, False), [1, 0]), (0, 1)),
        (DOES, DENIED, ((False, True), [0, 1]), (1, 0)),
        (DENIES, DENIED, ((False, False), [0, 0]), (1, 1)),
    ],
)
def test_both_sides_are_held_to_the_same_expectation(script, turns, found, fails):
    comparison = one(script, turns)
    assert (outcome(comparison), signal(comparison)) == (found, fails)
    ways = {0: (), 1: ("omitted",)}
    assert (comparison.production.missed_by, comparison.replay.missed_by) == (ways[fails[0]], ways[fails[1]])


def test_a_regression_is_severe_and_says_what_was_expected_and_what_was_done():
    comparison = one([asks(("wipe", {"id": 2})), says("Wiped.")], DID)
    (flag,) = (flag for flag in comparison.flags if flag.rule == "outcome_regressed")
    assert (flag.severity, comparison.severity) == (3, 3)
    assert (flag.evidence[0].removed, flag.evidence[0].added) == ("wipe(id=1)", "wipe(id=2)")


def test_an_improvement_is_no_finding():
    assert not {flag.rule for flag in one(DOES, DENIED).flags} & {"outcome_regressed", "outcome_unknown"}


def test_without_an_expectation_it_is_not_applicable():
    for expected in (None, {}, {"actions": None}, {"outputs": []}, {"user_instruction": "be nice"}):
        comparison = one(DOES, DID, expected=expected)
        assert (statuses(comparison), signal(comparison)) == ({"not_applicable"}, (None, None))


def test_a_forced_replay_follows_productions_path_and_cannot_be_told():
    comparison = one([says("hm"), says("Wiped.")], DID, mode="forced")
    assert (statuses(comparison), signal(comparison)) == ({"not_applicable"}, (0, None))


def test_a_replay_that_was_stopped_is_censored():
    comparison = one([asks(("lookup", {"id": 404})), says("never")], DID)
    assert (comparison.disposition, statuses(comparison), signal(comparison)) == ("censored", {"censored"}, (0, None))


def test_how_production_fared_is_known_where_no_replay_came_to_an_end():
    assert one([ProviderError("timeout", "silent")], DID).production.expected is True
    trace = a_trace("wipe 1", DENIED, expected=WIPED)
    job = Job(PLANNER.plan(trace, "free"), Source(topic="t"))
    (comparison,) = compare(type(finish(DOES))(job, Unscored("not_replayable", "no")), planner=PLANNER)
    assert (comparison.production.expected, comparison.replay.expected) == (False, None)


def test_a_recording_that_is_not_whole_is_unknown_and_says_so():
    trace = a_trace("wipe 1", DID, expected=WIPED)
    broken = structs.replace(trace, capture=Capture(content="partial"))
    (comparison,) = compare_recordings([(trace, broken)], tooling=TOOLING, blanks=[compared(0)])
    assert statuses(comparison) == {"unknown"}
    (flag,) = (flag for flag in comparison.flags if flag.rule == "outcome_unknown")
    assert "not recorded in full" in flag.evidence[0].removed


def test_recordings_are_held_to_productions_expectation():
    ours = a_trace("wipe 1", DID, expected=WIPED)
    theirs = a_trace("wipe 1", DENIED, expected={"actions": []})
    (comparison,) = compare_recordings([(ours, theirs)], tooling=TOOLING, blanks=[compared(0)])
    assert outcome(comparison) == ((True, False), [1, 0])


def test_an_outcome_survives_the_wire_and_older_records_have_none():
    comparison = one(DENIES, DID)
    assert outcome(decode(type(comparison), encode(comparison))) == ((True, False), [1, 0])
    assert compared(0).replay.expected is None


def suite(expected, **request):
    return (EvalCase(id="case", request=request, expected=expected),)


def test_a_case_of_the_baselines_eval_suite_holds_the_trace_it_names_to_its_expectation():
    trace = a_trace("wipe 1", DENIED, expected={"actions": []})
    for named, missed in (("trace-1", True), ("another", False)):
        examined = replace(PLANNER.baseline, eval_suite=suite(WIPED, trace_id=named))
        planner = Planner(examined, PLANNER.candidate)
        (comparison,) = compare(finish(DENIES, trace=trace, planner=planner), planner=planner)
        assert outcome(comparison)[0] == (not missed, not missed)


def test_a_candidate_brings_no_expectation_of_its_own():
    examined = replace(PLANNER.candidate, eval_suite=suite({"actions": []}, trace_id="trace-1"))
    assert Planner(PLANNER.baseline, examined).plan(a_trace("wipe 1", DID), "free").trace.expected is None


def test_a_case_that_names_no_trace_is_for_other_readers():
    for request in ({"trace_id": 7}, {"messages": []}):
        examined = replace(PLANNER.baseline, eval_suite=suite(WIPED, **request))
        assert Planner(examined, PLANNER.candidate).plan(a_trace("wipe 1", DID), "free").trace.expected is None


# -- the whole conversation counts


def test_what_was_done_and_told_in_earlier_turns_counts_on_both_sides():
    history = past([calls(("wipe", {"id": 1}, "ok")), says("Ticket 77 is closed.")])
    trace = a_trace("thanks", [says("Bye.")], history=history, expected={**WIPED, "outputs": [77]})
    assert recorded_misses(trace, TOOLING) == ()
    (comparison,) = compare(finish([says("Bye!")], trace=trace, planner=PLANNER), planner=PLANNER)
    assert outcome(comparison) == ((True, True), [0, 0])
    again = compare(finish(DOES, trace=trace, planner=PLANNER), planner=PLANNER)[0]
    assert outcome(again) == ((True, False), [1, 0])


def trajectory(*messages, expected=WIPED):
    return {"schema": "agent-trajectory/1", "id": "c", "mode": "conversation", "messages": messages, "expected": expected}


USER, SAYS = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "ok"}


def test_only_the_turn_that_ends_a_conversation_is_held_to_its_expectation():
    traces = read_trajectory(trajectory(USER, SAYS, USER, SAYS, USER)).traces
    assert [trace.expected for trace in traces] == [None, WIPED]


def test_turns_put_together_have_the_expectation_of_the_last():
    whole = whole_conversation(read_trajectory(trajectory(USER, SAYS, USER, SAYS)).traces)
    assert (whole.expected, whole.capture.content) == (WIPED, "full")


def test_turns_put_together_are_whole_only_if_each_is():
    first, last = read_trajectory(trajectory(USER, SAYS, USER, SAYS)).traces
    parts = [first, structs.replace(last, capture=Capture(content="none"))]
    assert whole_conversation(parts).capture.content == "none"


# -- reading


def test_writes_and_hand_offs_are_required_and_reads_are_not():
    expected = {"actions": [{"name": name} for name in ("lookup", "wipe", "escalate", "unheard_of")]}
    found = expectation_of(expected, TOOLING)
    assert [(it.call.tool, it.effect) for it in found.calls] == [
        ("wipe", Effect.WRITE),
        ("escalate", Effect.HANDOFF),
        ("unheard_of", Effect.WRITE),
    ]


def test_what_somebody_else_is_to_do_is_not_expected_of_the_assistant():
    assert expectation_of({"actions": [{"name": "wipe", "requestor": "user"}]}, TOOLING) == Expectation((), ())


def test_arguments_are_read_through_the_baselines_contract():
    """A candidate whose contract looks away from an argument is held to it all the same."""
    lax = {**TOOLS, "wipe": ToolContract(name="wipe", arguments={"id": ArgumentRule(ignore=True)})}
    trace = a_trace("wipe 1", [calls(("wipe", {"id": 9}, "ok")), says("Wiped.")], expected=WIPED)
    assert recorded_misses(trace, Tooling(lax, lax)) == ()
    assert recorded_misses(trace, Tooling(TOOLS, lax))


def test_prose_is_what_productions_contract_calls_so():
    """A candidate whose contract takes everything for prose is held to every letter all the same."""
    exact, lax = ({"mail": ToolContract(name="mail", arguments={"b*": ArgumentRule(prose=prose)})} for prose in (False, True))
    expected = {"actions": [{"name": "mail", "arguments": {"body": "It is late.", "days": 2}}]}
    trace = a_trace("mail", [calls(("mail", {"body": "Late, sorry.", "days": 2}, "ok")), says("Sent.")], expected=expected)
    assert recorded_misses(trace, Tooling(lax, exact)) == ()
    assert recorded_misses(trace, Tooling(exact, lax))
    assert recorded_misses(trace, Tooling({}, lax)) == ()  # a tool that only the candidate knows


def test_expected_arguments_may_come_as_text_as_in_a_call():
    text = {"actions": [{"name": "wipe", "arguments": '{"id": 1.0}'}]}
    assert expectation_of(text, TOOLING) == expectation_of({"actions": [{"name": "wipe", "arguments": {"id": 1}}]}, TOOLING)


@pytest.mark.parametrize(
    ("expected", "where"),
    [
        ("wipe", "expected is str"),
        ([], "expected is list"),
        ({"actions": {}}, "expected.actions is dict"),
        ({"actions": ["wipe"]}, "expected.actions[0] is str"),
        ({"actions": [{"name": "wipe"}, {"arguments": {}}]}, "expected.actions[1].name is NoneType"),
        ({"actions": [{"name": "wipe", "arguments": [1]}]}, "expected.actions[0].arguments is list"),
        ({"actions": [{"name": "wipe", "compare_args": "id"}]}, "expected.actions[0].compare_args is str"),
        ({"actions": [{"name": "wipe"}] * 1001}, "1,001 entries"),
        ({"outputs": "7"}, "expected.outputs is str"),
        ({"outputs": [None]}, "expected.outputs[0] is NoneType"),
        ({"outputs": [True]}, "expected.outputs[0] is bool"),
        ({"outputs": [" "]}, "1 to 10,000"),
        ({"outputs": ["x" * 10_001]}, "10,001 characters"),
    ],
)
def test_an_expectation_that_cannot_be_read_costs_its_score_and_nothing_else(expected, where):
    assert where in expectation_of(expected, TOOLING).reason
    comparison = one(DENIES, DID, expected=expected)
    assert (comparison.disposition, statuses(comparison), signal(comparison)) == ("compared", {"unknown"}, (None, None))
    (flag,) = (flag for flag in comparison.flags if flag.rule == "outcome_unknown")
    assert (flag.severity, where in flag.evidence[0].removed) == (1, True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*"ab", "name", "arguments"]), inner, max_size=3),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional={"actions": JSON | st.lists(JSON, max_size=3), "outputs": JSON}) | JSON)
@settings(deadline=None)
def test_any_json_is_read_or_refused(expected):
    found = expectation_of(expected, TOOLING)
    assert found is None or isinstance(found, Expectation | Unreadable)
    missed = recorded_misses(a_trace("?", DID, expected=expected), TOOLING)
    assert missed is None or {*missed} <= {"omitted", "exceeded"}


def test_deep_and_strange_content_is_refused_or_only_text():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert isinstance(expectation_of({"actions": [{"name": "wipe", "arguments": {"id": deep}}]}, TOOLING), Unreadable)
    lone = {"actions": [{"name": "wipe", "arguments": {"id": "\ud800"}}]}
    assert isinstance(expectation_of(lone, TOOLING), Unreadable | Expectation)
