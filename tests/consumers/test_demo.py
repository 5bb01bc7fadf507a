"""The demo: what it ships, what production recorded, and what a replay of it shows."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec
import pytest

from consumers.demo import demo_files, run_demo
from consumers.demo_data import BUNDLES, GATE, SCRIPT, TRACES, WORLD
from consumers.demo_data.acting import Asked, Draw, play
from consumers.demo_data.company import draw_incident, load_company
from consumers.demo_data.production import shipped_traces
from consumers.demo_data.script import load_script
from consumers.demo_data.world import World
from consumers.playback import Refusal, parse_header
from consumers.run_command import RunOrder, replay_file
from replay.admission import Admission, Admitted
from replay.bundle import Bundle, changed, not_exercised
from replay.bundle_diff import diff_bundles
from replay.bundle_loader import load_bundle
from replay.comparison import Comparison, Mode, Source
from replay.divergence import Comparer, Finished, Job
from replay.driver import drive
from replay.errors import UsageError
from replay.exact_json import loads
from replay.execution import replay
from replay.gate.config import load_gate
from replay.gate.drills import DRILLS, run_drill
from replay.models import REPLAY_HEADER, ModelReply, ModelRequest
from replay.planning import Planner
from replay.settings import Settings
from replay.summary import Summary, fold_all
from replay.trace import Guardrail, Message, Trace
from replay.wire import decode_trace, encode_trace

SCRIPTED = load_script(SCRIPT)
COMPANY = load_company(WORLD)
LINES = gzip.decompress(TRACES.read_bytes()).splitlines()
SHIPPED = [decode_trace(line) for line in LINES]
V42, V43 = (load_bundle(BUNDLES / name) for name in ("v42", "v43"))
#: Traces that the demo of these tests replays over HTTP; the whole of it is the demo.
FEW = 30


# -- bundles ------------------------------------------------------------------------------------------------------


def test_the_bundles_differ_in_prompt_and_route_alone_and_nothing_is_loosened() -> None:
    diff = diff_bundles(V42, V43)
    assert changed(V42, V43) == ("prompt_version", "model_route")
    assert not_exercised(V42, V43) == ()
    assert diff.findings == ()
    lost = [line for change in diff.changes["prompt_version"] for line in change.details if line.startswith("-")]
    assert "-Only say that something was done when the result of the tool says so." in lost


def test_v43_names_v42_as_the_release_it_replaces_and_is_cheaper() -> None:
    assert V43.release.replaces == V42.digest
    assert V42.prices is not None
    assert V43.prices is not None
    assert float(V43.prices.input_per_million) < float(V42.prices.input_per_million)


def test_the_script_plays_the_models_of_both_bundles_and_calls_only_their_tools() -> None:
    assert {V42.route.model, V43.route.model} == set(SCRIPTED.models)
    assert set(SCRIPTED.calls) == set(V42.contracts) == set(V43.contracts)


# -- production ---------------------------------------------------------------------------------------------------


def test_the_shipped_traces_are_what_production_records_byte_for_byte() -> None:
    assert [encode_trace(trace) for trace in anyio.run(shipped_traces)] == LINES


def test_the_shipped_traces_are_small_and_many_enough() -> None:
    assert TRACES.stat().st_size < 300_000
    assert 300 <= len(SHIPPED) <= 400


def test_every_trace_is_admitted_under_v42s_alias_and_can_be_replayed() -> None:
    decisions = [Admission(V42).decide(trace) for trace in SHIPPED]
    assert all(isinstance(it, Admitted) and it.not_replayable is None for it in decisions)
    assert {trace.bundle.id for trace in SHIPPED} <= set(V42.release.aliases)


def test_traces_hold_what_a_recorder_would_know() -> None:
    for trace in SHIPPED:
        assert trace.latency_ns == (trace.ended_at or 0) - (trace.started_at or 0)
        assert trace.latency_ns == sum(step.duration_ns or 0 for step in (*trace.model_calls, *trace.tool_calls))
        assert all(call.ttft_ns and call.usage and call.cost_usd for call in trace.model_calls)
        assert trace.cost_usd is not None
        assert trace.usage is not None
        assert all(call.is_error is not None for call in trace.tool_calls)
        assert trace.final_answer == trace.model_calls[-1].output.text != ""
        assert not trace.model_calls[-1].output.calls


def test_cohorts_and_intents_are_all_there() -> None:
    intents = Counter(str(trace.labels["intent"]) for trace in SHIPPED)
    known = {kind.name for kind in COMPANY.intents} | set(COMPANY.follow_ups)
    assert set(intents) == known
    assert min(intents.values()) >= 10
    for name, values in {"risk": 3, "device_class": 3, "region": 3}.items():
        assert len({str(trace.request.attributes[name]) for trace in SHIPPED}) == values


def test_some_conversations_have_a_second_turn_that_shows_the_first() -> None:
    first = {trace.conversation_id: trace for trace in SHIPPED if trace.turn == 0}
    second = [trace for trace in SHIPPED if trace.turn == 1]
    assert 40 <= len(second) <= 90
    for trace in second:
        before = first[trace.conversation_id]
        assert trace.request.messages[-2].text == before.final_answer
        assert (trace.started_at or 0) > (before.ended_at or 0)


def test_writes_fail_as_often_as_they_do_in_real_recordings() -> None:
    writes = [call for trace in SHIPPED for call in trace.tool_calls if V42.contracts[call.name].effect == "write"]
    stopped = sum(isinstance(step, Guardrail) for trace in SHIPPED for step in trace.steps)
    failed = sum(call.is_error is True for call in writes) - stopped
    assert 0.14 < failed / (len(writes) - stopped) < 0.2


def test_production_never_claims_a_revocation_that_failed() -> None:
    for trace in SHIPPED:
        ends = [call.is_error for call in trace.tool_calls if call.name == "revoke_sessions"]
        claimed = "sessions were revoked" in (trace.final_answer or "")
        assert not (ends and ends[-1] and claimed)


def test_guardrails_stopped_something() -> None:
    rules = {step.rule for trace in SHIPPED for step in trace.steps if isinstance(step, Guardrail)}
    assert rules == {rule.id for rule in V42.policy.rules}


def test_every_message_of_a_user_is_understood_as_what_it_is_about() -> None:
    messages = {kind.name: kind.messages for kind in COMPANY.intents} | COMPANY.follow_ups
    for name, texts in messages.items():
        for text in texts:
            assert next(it.name for it in SCRIPTED.intents if it.is_meant_by(text.lower())) == name


def test_a_system_that_is_out_stays_out_or_comes_back_on_the_second_attempt() -> None:
    """Over many companies: how often a write fails, and how often it fails again."""
    ends = []
    for number in range(2000):
        world = World(COMPANY, draw_incident(COMPANY, number))
        ends.append([world.call("revoke_sessions", '{"user_id": "u-1"}').is_error for _ in range(2)])
    first = [again for failed, again in ends if failed]
    assert not any(again for failed, again in ends if not failed)
    assert abs(len(first) / len(ends) - COMPANY.write_failure) < 0.03
    assert abs(sum(first) / len(first) - COMPANY.lasting_failure) < 0.1


def test_the_world_remembers_what_was_done() -> None:
    numbers = (number for number in range(200) if draw_incident(COMPANY, number).sessions)
    world = next(it for it in (World(COMPANY, draw_incident(COMPANY, number)) for number in numbers) if _locks(it))
    assert loads(world.call("lookup_device", '{"device_id": "lt-1"}').result)["state"] == "locked"
    assert world.call("explode", "{}").is_error
    assert world.call("lookup_user", "[]").is_error


def _locks(world: World) -> bool:
    return not world.call("lock_device", '{"device_id": "LT-1"}').is_error


# -- what a replay of it shows ----------------------------------------------------------------------------------


class InProcess:
    """The scripted model as replays reach it, without the socket."""

    def __init__(self, model: str) -> None:
        self._model = model

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        header = parse_header(request.headers[REPLAY_HEADER])
        assert not isinstance(header, Refusal)
        messages = msgspec.convert(request.messages, tuple[Message, ...])
        played = play(SCRIPTED, Asked(self._model, messages, request.tools), Draw(header.comparison_id, header.step))
        return ModelReply(
            message=played.message,
            usage=played.usage,
            served_model=self._model,
            latency_ns=played.latency_ns,
            ttft_ns=played.ttft_ns,
        )

    async def aclose(self) -> None:
        return None


def replayed(candidate: Bundle, mode: Mode) -> list[Comparison]:
    planner = Planner(V42, candidate)

    async def all_of_them() -> list[Finished]:
        model = InProcess(candidate.route.model)
        plans = [planner.plan(trace, mode) for trace in SHIPPED]
        return [Finished(Job(plan, Source(topic="t")), await drive(replay(plan), model)) for plan in plans]

    return Comparer(planner).compare(anyio.run(all_of_them), run_id="run", now=0)


@pytest.fixture(scope="module")
def free_v42() -> list[Comparison]:
    return replayed(V42, "free")


@pytest.fixture(scope="module")
def free_v43() -> list[Comparison]:
    return replayed(V43, "free")


def handed_over(side_calls: object) -> bool:
    return any(call.tool == "escalate_to_human" for call in side_calls)  # type: ignore[attr-defined]


def false_claim(comparison: Comparison) -> bool:
    """The answer says that sessions were revoked, and the last attempt in the replay failed."""
    ends = [call.outcome for call in comparison.replay.calls if call.tool == "revoke_sessions"]
    return bool(ends) and ends[-1] == "failed" and "sessions were revoked" in (comparison.replay.answer or "")


def test_two_runs_of_v42_differ_and_mostly_do_the_same(free_v42: list[Comparison]) -> None:
    compared = [it for it in free_v42 if it.disposition == "compared"]
    assert len(compared) / len(free_v42) > 0.9
    other_words = sum(it.production.answer != it.replay.answer for it in compared) / len(compared)
    other_writes = sum((it.scores["tools.write"].value or 0) > 0 for it in compared) / len(compared)
    other_handoffs = sum((it.scores["tools.handoff"].value or 0) > 0 for it in compared) / len(compared)
    assert other_words > 0.7
    assert other_writes < 0.06
    assert 0.02 < other_handoffs < 0.15
    assert not any(map(false_claim, free_v42))


def test_v42_hands_over_as_often_as_production_did_and_v43_clearly_more_often(
    free_v42: list[Comparison], free_v43: list[Comparison]
) -> None:
    production = sum(handed_over(it.production.calls) for it in free_v42) / len(free_v42)
    again = sum(handed_over(it.replay.calls) for it in free_v42) / len(free_v42)
    candidate = sum(handed_over(it.replay.calls) for it in free_v43) / len(free_v43)
    assert abs(again - production) < 0.06
    assert candidate > production + 0.1


def test_v43_claims_revocations_that_failed(free_v43: list[Comparison]) -> None:
    assert sum(map(false_claim, free_v43)) >= 4
    assert all(not handed_over(it.replay.calls) or it.severity for it in free_v43 if false_claim(it))


def test_v43_is_slower_and_cheaper(free_v43: list[Comparison]) -> None:
    compared = [it for it in free_v43 if it.disposition == "compared"]
    slower = sum((it.scores["latency.model"].value or 0) > 0 for it in compared) / len(compared)
    cheaper = sum((it.scores["cost.total"].value or 0) < 0 for it in compared) / len(compared)
    assert slower > 0.8
    assert cheaper > 0.95


def test_the_false_claim_is_the_worst_finding(free_v43: list[Comparison]) -> None:
    first = fold_all(Summary(), [*free_v43, *replayed(V43, "forced")]).worst(8)[0]
    assert false_claim(first.comparison)
    flag = first.comparison.flags[0]
    assert (flag.rule, flag.severity) == ("claim_refuted", 3)
    assert "sessions were revoked" in (flag.evidence[0].added or "")


def test_every_false_claim_of_v43_is_flagged_and_v42_makes_none(
    free_v42: list[Comparison], free_v43: list[Comparison]
) -> None:
    def flagged(comparison: Comparison) -> bool:
        return any(flag.rule.startswith("claim_") for flag in comparison.flags)

    assert all(flagged(it) for it in free_v43 if false_claim(it))
    assert not any(map(flagged, free_v42))


# -- the command --------------------------------------------------------------------------------------------------


class Shown(NamedTuple):
    out: Path
    orders: list[tuple[RunOrder, Settings]]
    text: str


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """The demo, played once over HTTP; of its traces a few are replayed."""
    out = tmp_path_factory.mktemp("demo") / "out"
    orders: list[tuple[RunOrder, Settings]] = []

    def few(order: RunOrder, settings: Settings) -> int:
        orders.append((order, settings))
        return replay_file(order._replace(limit=FEW), settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", stream := _Text())
        assert run_demo(out, replay=few) == 0
    return Shown(out, orders, stream.text)


class _Text:
    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        return None


def test_production_over_http_records_the_shipped_traces(shown: Shown) -> None:
    assert (shown.out / "traces.jsonl").read_bytes().splitlines() == LINES


def test_it_replays_what_production_recorded_in_both_modes(shown: Shown) -> None:
    (order, settings) = shown.orders[0]
    assert (order.traces, order.out) == (str(shown.out / "traces.jsonl"), shown.out / "results")
    assert settings.mode == "both"
    assert settings.route_url is not None
    lines = [json.loads(line) for line in (order.out / "comparisons.jsonl").read_text().splitlines()]
    assert len(lines) == 2 * 2 * FEW  # modes x lanes
    assert {line["disposition"] for line in lines} <= {"compared", "censored"}
    assert all(line["replay"]["model_latency_ns"] > 0 for line in lines)


def test_it_says_that_its_model_is_scripted_where_everything_is_and_what_to_type_next(shown: Shown) -> None:
    assert "THE MODEL IS SCRIPTED" in shown.text
    assert "VERDICT: " in shown.text
    for name in ("traces.jsonl", "bundles/v42", "bundles/v43", "gate.yaml", "script.yaml", "results/"):
        assert name in shown.text
    for command in ("bundle diff bundles/v42 bundles/v43", "consumers.scripted_model script.yaml", "--out mended"):
        assert command in shown.text


def test_what_it_copies_is_whole(shown: Shown) -> None:
    assert load_bundle(shown.out / "bundles" / "v42").digest == V42.digest
    assert load_bundle(shown.out / "bundles" / "v43").digest == V43.digest
    assert (shown.out / "script.yaml").read_bytes() == SCRIPT.read_bytes()


def test_what_somebody_changed_is_not_overwritten(shown: Shown, tmp_path: Path) -> None:
    prompt = tmp_path / "bundles" / "v43" / "prompts" / "system.j2"
    prompt.parent.mkdir(parents=True)
    prompt.write_text("mine")
    with pytest.raises(UsageError, match=r"bundles/v43/prompts/system\.j2 is not the demo's"):
        run_demo(tmp_path)
    assert prompt.read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [prompt]


def test_with_json_only_data_goes_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async def nothing(*_: object) -> list[Trace]:
        return SHIPPED[:1]

    monkeypatch.setattr("consumers.demo._produced", nothing)
    run_demo(tmp_path, as_json=True, replay=lambda order, _: int(not order.as_json))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "THE MODEL IS SCRIPTED" in captured.err


def test_its_gate_lets_no_hand_over_too_many_through() -> None:
    """What `gate test` stages, of the measure that the demo is about."""
    drill = next(drill for drill in DRILLS if drill.name == "escalation")
    assert run_drill(drill, load_gate(GATE)).result == "passed"


def test_every_file_of_the_bundles_ships() -> None:
    assert {name for name in demo_files() if name.endswith("bundle.yaml")} == {
        "bundles/v42/bundle.yaml",
        "bundles/v43/bundle.yaml",
    }
    assert not [name for name in demo_files() if "__pycache__" in name]
