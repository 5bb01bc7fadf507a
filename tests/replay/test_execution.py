"""The replay as a generator: what it asks, when it ends, and what it says about its end."""

from __future__ import annotations

from decimal import Decimal

import anyio
import pytest

from replay.comparison import Unit
from replay.contract import ToolContract, Tooling
from replay.driver import drive
from replay.errors import NoRecordingError, ProviderError
from replay.execution import Attempt, Budget, Plan, replay
from replay.models import REPLAY_HEADER
from replay.policy import Policy
from replay.prices import Prices
from replay.testing import ScriptedModel, a_trace, asks, calls, past, says
from replay.trace import InsertedMessage, Message, Trace, Usage

LOOKUP = ToolContract(name="lookup", effect="read")
WIPE = ToolContract(name="wipe")
ESCALATE = ToolContract(name="escalate", effect="handoff", ends_turn=True)
TOOLS = {tool.name: tool for tool in (LOOKUP, WIPE, ESCALATE)}
PRICES = Prices(input_per_million="2", output_per_million="10")

TRACE = a_trace(
    "where is it?",
    [calls(("lookup", {"id": 1}, "desk")), calls(("lookup", {"id": 2}, "bag")), says("On the desk.")],
)


def plan(trace: Trace = TRACE, mode: str = "free", budget: Budget = Budget()) -> Plan:
    return Plan(
        unit=Unit(trace.trace_id, 0, "sha256:a", "sha256:b", mode),  # type: ignore[arg-type]
        trace=trace,
        system_prompt="Be brief.",
        offered=tuple(tool.offered() for tool in TOOLS.values()),
        tooling=Tooling(TOOLS, TOOLS),
        policy=Policy(),
        prices=PRICES,
        budget=budget,
    )


def run(model: ScriptedModel, **options) -> Attempt:
    return anyio.run(drive, replay(plan(**options)), model)


def test_free_ends_with_the_answer():
    attempt = run(ScriptedModel([asks(("lookup", {"id": 2})), says("In the bag.")]))
    assert (attempt.ending, attempt.answer, attempt.model_calls) == ("ended", "In the bag.", 2)


def test_free_shows_the_model_its_own_path_with_minted_ids():
    model = ScriptedModel([asks(("lookup", {"id": 2})), says("In the bag.")])
    run(model)
    assert [message["role"] for message in model.requests[1].messages] == ["system", "user", "assistant", "tool"]
    assert model.requests[1].messages[2]["tool_calls"][0]["id"] == "call_0_0"
    assert model.requests[1].messages[3] == {"role": "tool", "tool_call_id": "call_0_0", "content": "bag"}


def test_free_stops_where_a_stub_has_no_answer_and_names_the_call():
    attempt = run(ScriptedModel([asks(("lookup", {"id": 9})), says("never asked")]))
    assert (attempt.ending, attempt.disposition, attempt.model_calls) == ("halted", "censored", 1)
    assert 'lookup({"id":9})' in (attempt.reason or "")
    assert attempt.answer is None


def test_free_ends_at_a_hand_over():
    attempt = run(ScriptedModel([asks(("escalate", {"why": "x"})), says("never asked")]))
    assert (attempt.ending, attempt.model_calls) == ("ended", 1)


def test_forced_shows_every_step_the_recorded_prefix_whatever_the_model_does():
    model = ScriptedModel([asks(("wipe", {"id": 1})), says("early"), asks(("lookup", {"id": 1}))])
    attempt = run(model, mode="forced")
    assert [len(request.messages) for request in model.requests] == [2, 4, 6]
    assert [message["content"] for message in model.requests[2].messages[1:] if message["role"] == "tool"] == ["desk", "bag"]
    assert [taken.answer for taken in attempt.taken] == [None, "early", None]
    assert attempt.ending == "ended"


def test_messages_that_production_inserted_are_part_of_the_forced_prefix_only():
    steps = (*TRACE.steps[:2], InsertedMessage(message=Message(role="user", content="remember")), *TRACE.steps[2:])
    trace = Trace(trace_id="t", request=TRACE.request, steps=steps, final_answer="x")
    model = ScriptedModel(lambda _: says("x"))
    run(model, trace=trace, mode="forced")
    assert [m["content"] for m in model.requests[1].messages if m["role"] == "user"] == ["where is it?", "remember"]
    run(free := ScriptedModel([asks(("lookup", {"id": 1})), says("x")]), trace=trace)
    assert [m["content"] for m in free.requests[1].messages if m["role"] == "user"] == ["where is it?"]


def test_history_is_sent_without_labels_expectations_or_recorded_ids():
    history = past([calls(("lookup", {"id": 1}, "desk")), says("On the desk.")])
    trace = a_trace("and now?", [says("Still.")], history=history, labels={"secret_label": 1}, expected={"actions": "secret"})
    model = ScriptedModel([says("x")])
    run(model, trace=trace)
    sent = str(model.requests[0])
    assert "secret" not in sent
    assert "recorded_0" not in sent
    assert "is_error" not in sent
    assert "call_h1_0" in sent


def test_every_request_names_its_unit_and_step():
    model = ScriptedModel([asks(("lookup", {"id": 2})), says("x")])
    attempt = run(model, trace=a_trace("?", [calls(("lookup", {"id": 2}, "b")), says("x")], trace_id="a; b\nç"))
    first, second = (request.headers[REPLAY_HEADER] for request in model.requests)
    assert first == f"{attempt.unit.comparison_id}; a%3B%20b%0A%C3%A7; free; candidate; 0; 0"
    assert second.endswith("; 1")


@pytest.mark.parametrize("mode", ["free", "forced"])
@pytest.mark.parametrize(
    ("error", "disposition"),
    [
        (ProviderError("unavailable", "503"), "infra_error"),
        (ProviderError("timeout", "silent"), "infra_error"),
        (NoRecordingError("no step 1"), "no_recording"),
    ],
)
def test_a_failed_call_ends_the_unit_and_keeps_what_was_spent(mode, error, disposition):
    model = ScriptedModel([asks(("lookup", {"id": 1})), error], usage=Usage(input_tokens=500_000, output_tokens=0))
    attempt = run(model, mode=mode, budget=Budget(tokens=None))
    assert (attempt.disposition, attempt.model_calls, attempt.cost) == (disposition, 2, Decimal(1))


@pytest.mark.parametrize(
    ("budget", "word"),
    [
        (Budget(steps=3), "3 steps"),
        (Budget(tokens=25), "30 of 25 tokens"),
        (Budget(seconds=2.5), "2.5 s"),
        (Budget(usd=Decimal("0.0001")), "$0.0001"),
    ],
)
def test_a_replay_that_goes_on_and_on_is_over_budget(budget, word):
    usage = Usage(input_tokens=5, output_tokens=5)
    model = ScriptedModel(lambda _: asks(("lookup", {"id": 1})), usage=usage, latency_ns=1_000_000_000)
    attempt = run(model, budget=budget)
    assert attempt.disposition == "over_budget"
    assert word in (attempt.reason or "")


@pytest.mark.parametrize(("out_of_time", "disposition"), [(True, "over_budget"), (False, "infra_error")])
def test_only_a_call_that_uses_up_the_units_last_second_is_the_candidates_doing(out_of_time, disposition):
    """A provider that cannot be connected to in time is not."""
    silence = ProviderError("timeout", "x", out_of_time=out_of_time)
    model = ScriptedModel([asks(("lookup", {"id": 1})), silence], latency_ns=59_000_000_000)
    attempt = run(model, budget=Budget(seconds=60, call_seconds=60))
    assert attempt.disposition == disposition


def test_unknown_usage_makes_cost_unknown_not_zero():
    attempt = run(ScriptedModel([says("x")]))
    assert (attempt.usage, attempt.cost) == (None, None)


def test_an_answer_without_text_is_no_answer_and_the_empty_text_is_one():
    assert run(ScriptedModel([says(None)])).answer is None
    assert run(ScriptedModel([says("")])).answer == ""


def test_cancellation_closes_the_replay():
    async def cancelled() -> bool:
        generator = replay(plan())

        class Silent(ScriptedModel):
            async def complete(self, request, *, timeout_seconds):
                await anyio.sleep_forever()

        with anyio.move_on_after(0.01):
            await drive(generator, Silent([]))
        return generator.gi_frame is None

    assert anyio.run(cancelled)
