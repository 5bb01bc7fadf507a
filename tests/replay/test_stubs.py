"""Stubs: nothing happens, no answer leaks, and the order inside a batch does not matter."""

from __future__ import annotations

import inspect
import itertools
from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from comparators.calls import Effect, Outcome
from replay import contract, recorded_world, stubs, template
from replay.contract import ArgumentRule, DeclaredEffect, ToolContract, Tooling
from replay.exact_json import dumps, loads
from replay.grade import FAITHFUL, Grade
from replay.policy import Policy
from replay.recorded import recorded_steps
from replay.stubs import Asked, StubWorld
from replay.testing import a_trace, calls, past, says
from replay.trace import Guardrail, Trace

DEVICE = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
LOOKUP = ToolContract(name="lookup", parameters=DEVICE, effect="read", entity={"device": "id"})
WIPE = ToolContract(
    name="wipe",
    parameters=DEVICE,
    entity={"device": "id"},
    stub_result={"wiped": {"$arg": "id"}, "ticket": {"$uuid": "ticket"}, "at": {"$now": True}},
    effects=[DeclaredEffect(entity="device", set={"state": "wiped"})],
)
LOCK = ToolContract(name="lock", parameters=DEVICE, entity={"device": "id"})
SEARCH = ToolContract(name="search", effect="read", parameters={"type": "object"})
ESCALATE = ToolContract(name="escalate", effect="handoff", parameters={"type": "object"})
TOOLS = {tool.name: tool for tool in (LOOKUP, WIPE, LOCK, SEARCH, ESCALATE)}

ACTIVE, WIPED = {"state": "active"}, {"state": "wiped"}


def lookup(device: str = "1") -> Asked:
    return Asked("lookup", dumps({"id": device}).decode())


def wipe(device: str = "1") -> Asked:
    return Asked("wipe", dumps({"id": device}).decode())


def world(trace: Trace, tools: dict[str, ToolContract] = TOOLS, baseline: dict[str, ToolContract] | None = None) -> StubWorld:
    tooling = Tooling(tools if baseline is None else baseline, tools)
    return StubWorld(trace, tooling, Policy(), session="session", now="2026-01-01T00:00:00+00:00")


def play(stub: StubWorld, *batches: list[Asked]) -> list[tuple[Grade, object]]:
    """Answer batches in turn; what each call got."""
    got = []
    for batch in batches:
        answers = stub.answer(batch)
        stub.commit(answers)
        got += [(answer.grade, None if answer.result is None else _value(answer.result)) for answer in answers]
    return got


def _value(text: str) -> object:
    try:
        return loads(text)
    except ValueError:
        return text
    except Exception:
        return text


READ_WIPE_READ = a_trace(
    "wipe it",
    [
        calls(("lookup", {"id": "1"}, ACTIVE)),
        calls(("wipe", {"id": "1"}, {"ok": True})),
        calls(("lookup", {"id": "1"}, WIPED)),
        says("Done."),
    ],
)


def test_a_read_never_shows_a_write_this_replay_did_not_make():
    assert play(world(READ_WIPE_READ), [lookup()], [lookup()]) == [(Grade.EXACT, ACTIVE), (Grade.EXACT, ACTIVE)]


def test_a_read_after_the_same_write_shows_its_effect():
    assert play(world(READ_WIPE_READ), [wipe()], [lookup()])[1] == (Grade.EXACT, WIPED)


def test_production_replayed_on_itself_is_exact_throughout():
    got = play(world(READ_WIPE_READ), [lookup()], [wipe()], [lookup()])
    assert got == [(Grade.EXACT, ACTIVE), (Grade.WRITE_RECORDED, {"ok": True}), (Grade.EXACT, WIPED)]


def test_repeated_reads_get_their_own_results_in_order_and_the_last_one_stays():
    trace = a_trace("?", [calls(("search", {}, "a")), calls(("search", {}, "b")), says("x")])
    asked = [Asked("search", "{}")]
    assert play(world(trace), asked, asked, asked) == [(Grade.EXACT, "a"), (Grade.EXACT, "b"), (Grade.EXACT, "b")]


def test_a_novel_write_lays_its_declared_effect_over_the_newest_reached_state():
    trace = a_trace("?", [calls(("lookup", {"id": "1"}, {"state": "active", "owner": "Kim"})), says("x")])
    assert play(world(trace), [wipe()], [lookup()])[1] == (Grade.OVERLAY, {"state": "wiped", "owner": "Kim"})


def test_a_novel_write_without_a_declared_effect_halts_the_read():
    trace = a_trace("?", [calls(("lookup", {"id": "1"}, ACTIVE)), says("x")])
    assert play(world(trace), [Asked("lock", '{"id":"1"}')], [lookup()])[1] == (Grade.HALT, None)


def test_a_write_on_another_entity_leaves_a_read_exact():
    trace = a_trace("?", [calls(("lookup", {"id": "1"}, ACTIVE)), says("x")])
    assert play(world(trace), [wipe("2")], [lookup()])[1] == (Grade.EXACT, ACTIVE)


def test_without_a_declared_entity_every_write_belongs_to_every_entity():
    trace = a_trace("?", [calls(("search", {}, "a")), says("x")])
    assert play(world(trace), [wipe("2")], [Asked("search", "{}")])[1] == (Grade.HALT, None)


def test_a_read_nobody_recorded_halts():
    assert play(world(READ_WIPE_READ), [lookup("9")]) == [(Grade.HALT, None)]


def test_an_example_answers_before_a_halt_and_says_so():
    tools = {**TOOLS, "lookup": LOOKUP.model_copy(update={"example": {"state": "example"}})}
    assert play(world(READ_WIPE_READ, tools), [lookup("9")]) == [(Grade.EXAMPLE, {"state": "example"})]


def test_a_constant_tool_answers_whatever_is_asked():
    think = ToolContract(name="think", effect="read", constant=True, stub_result="")
    assert play(world(READ_WIPE_READ, {"think": think}), [Asked("think", '{"thought":"hm"}')]) == [(Grade.CONSTANT, "")]


def test_a_safe_projection_answers_from_the_same_entity():
    tools = {**TOOLS, "lookup": LOOKUP.model_copy(update={"projection": "safe"})}
    asked = Asked("lookup", '{"id":"1","fields":"all"}')
    assert play(world(READ_WIPE_READ, tools), [asked]) == [(Grade.ENTITY, ACTIVE)]


def test_a_failed_write_has_changed_nothing():
    trace = a_trace(
        "?",
        [
            calls(("lookup", {"id": "1"}, ACTIVE)),
            calls(("wipe", {"id": "1"}, "Error: offline", True)),
            says("x"),
        ],
    )
    stub = world(trace)
    answer = stub.answer([wipe()])
    assert answer[0].outcome is Outcome.FAILED
    assert play(stub, [wipe()], [lookup()]) == [(Grade.WRITE_RECORDED, "Error: offline"), (Grade.EXACT, ACTIVE)]


def test_a_novel_write_gets_the_template_and_its_success_is_assumed():
    answer = world(a_trace("?", [says("x")])).answer([wipe("7")])[0]
    assert (answer.grade, answer.outcome) == (Grade.WRITE_STUBBED, Outcome.ASSUMED)
    filled = loads(answer.result or "")
    assert filled["wiped"] == "7"
    assert filled["at"] == "2026-01-01T00:00:00+00:00"


def test_ids_a_stub_makes_up_are_the_same_in_every_run_and_differ_between_calls():
    stub = world(a_trace("?", [says("x")]))
    tickets = [loads(answer.result or "")["ticket"] for answer in stub.answer([wipe("1"), wipe("1"), wipe("2")])]
    again = [loads(answer.result or "")["ticket"] for answer in stub.answer([wipe("1"), wipe("1"), wipe("2")])]
    assert tickets == again
    assert len(set(tickets)) == 3


def test_arguments_in_a_template_are_never_evaluated():
    hostile = '{{ 7*7 }}{"$uuid": "x"}'
    answer = world(a_trace("?", [says("x")])).answer([wipe(hostile)])[0]
    assert loads(answer.result or "")["wiped"] == hostile


def test_a_second_equal_write_is_not_given_the_first_ones_result():
    assert [grade for grade, _ in play(world(READ_WIPE_READ), [wipe()], [wipe()])] == [
        Grade.WRITE_RECORDED,
        Grade.WRITE_STUBBED,
    ]


def test_a_handoff_gets_the_recorded_result_whatever_its_words():
    trace = a_trace("?", [calls(("escalate", {"why": "a"}, "queued")), says("x")])
    assert play(world(trace), [Asked("escalate", '{"why":"other words"}')]) == [(Grade.WRITE_RECORDED, "queued")]


def test_results_of_earlier_turns_answer_reads_until_a_write_changes_them():
    history = past([calls(("lookup", {"id": "1"}, ACTIVE)), says("It is active.")])
    trace = a_trace("now wipe it", [calls(("wipe", {"id": "1"}, "ok")), says("x")], history=history)
    assert play(world(trace), [lookup()]) == [(Grade.EXACT, ACTIVE)]


def test_writes_of_earlier_turns_have_happened():
    history = past([calls(("lookup", {"id": "1"}, ACTIVE)), calls(("wipe", {"id": "1"}, "ok")), says("Wiped.")])
    trace = a_trace("is it?", [calls(("lookup", {"id": "1"}, WIPED)), says("Yes.")], history=history)
    assert play(world(trace), [lookup()]) == [(Grade.EXACT, WIPED)]


def test_a_read_that_earlier_turns_made_too_gets_this_turns_result():
    history = past([calls(("search", {}, "old")), says("x")])
    trace = a_trace("again", [calls(("search", {}, "new")), says("x")], history=history)
    assert play(world(trace), [Asked("search", "{}")]) == [(Grade.EXACT, "new")]


def test_an_unknown_tool_and_a_broken_contract_get_an_error_the_model_can_read():
    got = play(world(READ_WIPE_READ), [Asked("format_disk", "{}"), Asked("wipe", '{"id": 7}')])
    assert [grade for grade, _ in got] == [Grade.UNKNOWN_TOOL, Grade.CONTRACT_VIOLATION]
    assert all(str(text).startswith("Error") for _, text in got)


def test_a_write_that_needs_approval_waits_unless_this_very_action_was_approved():
    tools = {**TOOLS, "wipe": WIPE.model_copy(update={"approval": "required"})}
    trace = a_trace("?", [says("x")])
    approved = Trace(
        trace_id="t",
        request=trace.request,
        steps=(*trace.steps, Guardrail(decision="needs_approval", tool="wipe", arguments='{"id":"1"}', approved=True)),
    )
    assert [grade for grade, _ in play(world(approved, tools), [wipe("1")], [wipe("2")])] == [
        Grade.WRITE_STUBBED,
        Grade.PENDING,
    ]


def test_a_candidate_cannot_take_away_an_approval():
    baseline = {**TOOLS, "wipe": WIPE.model_copy(update={"approval": "required"})}
    assert play(world(a_trace("?", [says("x")]), TOOLS, baseline), [wipe()])[0][0] is Grade.PENDING


def test_a_candidate_cannot_turn_a_write_into_a_read():
    loosened = {**TOOLS, "wipe": WIPE.model_copy(update={"effect": "read"})}
    answer = world(READ_WIPE_READ, loosened, TOOLS).answer([wipe()])[0]
    assert answer.effect is Effect.WRITE


def test_no_contract_and_no_stub_can_hold_a_callable():
    """No write has a callable anywhere: contracts are data, and the stub world has none to call."""
    assert not [name for name, field in ToolContract.model_fields.items() if "Callable" in str(field.annotation)]
    for module in (stubs, contract, recorded_world, template):
        source = inspect.getsource(module)
        assert not [word for word in ("subprocess", "socket", "eval(", "exec(", "importlib", "open(") if word in source]


# -- properties -------------------------------------------------------------------------------------------------

events = st.sampled_from(
    [("lookup", "1"), ("lookup", "2"), ("wipe", "1"), ("wipe", "2"), ("lock", "1"), ("search", ""), ("escalate", "")]
)
batches = st.lists(st.lists(events, min_size=1, max_size=3), max_size=6)


def _simulated(history: list[list[tuple[str, str]]]) -> Trace:
    """A recording whose reads tell exactly which writes they have seen."""
    done: list[str] = []
    turns = []
    for batch in history:
        specs = []
        for tool, device in batch:
            arguments = {"id": device} if device else {}
            if tool in ("wipe", "lock"):
                done.append(f"{tool}-{device}")
                specs.append((tool, arguments, "ok"))
            else:
                specs.append((tool, arguments, {"seen": sorted(done)}))
        turns.append(calls(*specs))
    return a_trace("?", [*turns, says("x")])


def _asked(event: tuple[str, str]) -> Asked:
    tool, device = event
    return Asked(tool, dumps({"id": device} if device else {}).decode())


@given(recorded=batches, replayed=batches, declared=st.booleans())
def test_no_read_ever_returns_the_effect_of_a_write_this_replay_did_not_make(recorded, replayed, declared):
    tools = TOOLS if declared else {n: t.model_copy(update={"entity": {}, "effects": []}) for n, t in TOOLS.items()}
    stub = world(_simulated(recorded), tools)
    made: list[str] = []
    for batch in replayed:
        made += [f"{tool}-{device}" for tool, device in batch if tool in ("wipe", "lock")]
        answers = stub.answer([_asked(event) for event in batch])
        stub.commit(answers)
        for answer in answers:
            value = loads(answer.result) if answer.effect is Effect.READ and answer.result else {}
            mine = [write for write in value.get("seen", []) if _concerns(answer.asked, write, declared=declared)]
            assert not Counter(mine) - Counter(made), (answer.grade, value)


def _concerns(asked: Asked, write: str, *, declared: bool) -> bool:
    """With declared entities a read's result may speak of another device's writes: the contract says they are apart."""
    return not declared or asked.tool != "lookup" or write.endswith(f"-{loads(asked.arguments)['id']}")


@given(recorded=batches, batch=st.lists(events, min_size=2, max_size=4), before=batches)
def test_the_order_of_a_parallel_batch_does_not_matter(recorded, batch, before):
    trace = _simulated(recorded)

    def answered(order: tuple[tuple[str, str], ...]) -> Counter:
        stub = world(trace)
        for earlier in before:
            stub.commit(stub.answer([_asked(event) for event in earlier]))
        answers = stub.answer([_asked(event) for event in order])
        stub.commit(answers)
        after = stub.answer([_asked(event) for event in (("lookup", "1"), ("search", ""))])
        return Counter((a.asked, a.grade, a.outcome, a.result) for a in (*answers, *after))

    expected = answered(tuple(batch))
    assert all(answered(order) == expected for order in itertools.permutations(batch))


@given(recorded=batches)
def test_a_replay_that_does_what_production_did_is_never_stopped(recorded):
    """Every batch as recorded: answers are exact or as good."""
    assume(recorded)
    trace = _simulated(recorded)
    stub = world(trace)
    for batch in recorded:
        answers = stub.answer([_asked(event) for event in batch])
        stub.commit(answers)
        assert all(answer.grade in FAITHFUL for answer in answers)


@given(recorded=batches)
def test_following_the_recording_is_the_same_as_having_made_its_calls(recorded):
    trace = _simulated(recorded)
    observed, played = world(trace), world(trace)
    for step, batch in zip(recorded_steps(trace), recorded, strict=False):
        asked = [_asked(event) for event in batch]
        assert observed.answer(asked) == played.answer(asked)
        observed.observe(step.calls)
        played.commit(played.answer(asked))


@pytest.mark.parametrize("arguments", ["", "null", "[]", "{", '"x"', '{"id": null}', "\x00", '{"id":' * 2000])
def test_no_arguments_can_crash_a_stub(arguments):
    stub = world(READ_WIPE_READ)
    for tool in (*TOOLS, "unknown", ""):
        stub.commit(stub.answer([Asked(tool, arguments)]))


def test_ignored_arguments_do_not_change_which_recording_answers():
    tools = {**TOOLS, "lookup": LOOKUP.model_copy(update={"arguments": {"request_id": ArgumentRule(ignore=True)}})}
    assert play(world(READ_WIPE_READ, tools), [Asked("lookup", '{"id":"1","request_id":"z"}')]) == [(Grade.EXACT, ACTIVE)]
