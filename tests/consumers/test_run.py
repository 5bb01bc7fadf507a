"""A file run: everything is accounted for, limits stop the intake, a second start goes on."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import anyio
import pytest

from consumers.files import BadLine, TraceItem, Unanswered
from consumers.journal import Journal
from consumers.replays import Limits
from consumers.run import FileRun
from replay.admission import Admission, Sampling
from replay.comparison import MODES
from replay.contract import ToolContract
from replay.divergence import Comparer
from replay.errors import ProviderError, RecordError, UsageError
from replay.gate.config import Gate
from replay.gate.docket import Docket, Run
from replay.planning import Design, Planner
from replay.prices import Prices
from replay.testing import ScriptedModel, a_bundle, a_trace, asks, calls, says
from replay.trace import BundleRef, Usage

TOOLS = (ToolContract(name="lookup", effect="read"),)
PRICES = Prices(input_per_million="1000", output_per_million="0")
PRODUCTION = a_bundle(tools=TOOLS)
CANDIDATE = a_bundle("candidate", tools=TOOLS, prices=PRICES)
PLANNER = Planner(PRODUCTION, CANDIDATE)


def traces(count, **changes):
    return [TraceItem(a_trace("?", [says("x")], trace_id=f"t{n}", **changes), n + 1, 0) for n in range(count)]


def answering(**options):
    return ScriptedModel(lambda _: says("y"), **options)


def run(tmp_path, items, *, model=None, planner=PLANNER, **options):
    with Journal.open(tmp_path / "out", identity={}) as journal:
        run = FileRun(
            run_id="r",
            topic="t",
            items=items,
            admission=Admission(PRODUCTION),
            planner=planner,
            design=options.pop("design", Design(MODES)),
            comparer=Comparer(planner),
            model=model or answering(),
            journal=journal,
            **options,
        )
        summary = anyio.run(run.run)
        return summary, list(journal.comparisons()), list(journal.dead_lines())


def test_every_trace_gets_one_comparison_per_mode(tmp_path):
    summary, comparisons, _ = run(tmp_path, traces(50))
    assert Counter((item.trace_id, item.mode) for item in comparisons) == {(f"t{n}", m): 1 for n in range(50) for m in MODES}
    assert (summary.traces, summary.admitted) == (50, 50)


def test_everything_read_is_counted_somewhere(tmp_path):
    other = TraceItem(a_trace("?", [says("x")], trace_id="o", bundle=BundleRef(id="other")), 3, 0)
    bad = BadLine(4, "not JSON", "decode", "$", b"{", 1, "0" * 64)
    summary, comparisons, dead = run(tmp_path, [*traces(1), Unanswered(1, 2), other, bad])
    assert (summary.traces, summary.admitted, summary.no_response) == (2, 1, 2)
    assert summary.refused == {"other_bundle": 1}
    assert [(letter.line, letter.value, letter.source.offset) for letter in dead] == [(4, b"{", 3)]
    assert len(comparisons) == 2


def test_a_second_start_does_only_what_is_left(tmp_path):
    run(tmp_path, traces(5))
    model = answering()
    bad = BadLine(9, "not JSON", "decode", "$", b"{", 1, "0" * 64)
    _, comparisons, _ = run(tmp_path, [*traces(8), bad], model=model)
    assert len(model.requests) == 3 * len(MODES)
    assert len(comparisons) == 8 * len(MODES)
    summary, comparisons, dead = run(tmp_path, [*traces(8), bad], model=(silent := answering()))
    assert (len(silent.requests), len(comparisons), len(dead)) == (0, 16, 1)
    assert sum(fold.dispositions.total() for fold in summary.folds.values()) == 16


def test_a_limit_on_calls_stops_the_intake_and_says_what_was_left(tmp_path):
    model = answering()
    summary, comparisons, _ = run(tmp_path, traces(40), model=model, limits=Limits(max_model_calls=10), concurrency=2)
    assert "max_model_calls" in (summary.stopped_by or "")
    assert summary.left + len(comparisons) == 80
    assert len(model.requests) == 10  # one call each: nothing in flight had more to ask


def test_a_limit_holds_however_many_replays_run_at_once(tmp_path):
    model = answering()
    run(tmp_path, traces(40), model=model, limits=Limits(max_model_calls=3), concurrency=32)
    assert len(model.requests) == 3


def test_a_limit_on_money_counts_what_earlier_starts_have_spent(tmp_path):
    usage = Usage(input_tokens=1000, output_tokens=0)  # a dollar a call
    first, _, _ = run(tmp_path, traces(10), model=answering(usage=usage), limits=Limits(max_usd=Decimal(5)), concurrency=1)
    assert first.stopped_by is not None
    model = answering(usage=usage)
    again, _, _ = run(tmp_path, traces(10), model=model, limits=Limits(max_usd=Decimal(5)), concurrency=1)
    assert again.stopped_by is not None
    assert model.requests == []
    done, comparisons, _ = run(tmp_path, traces(10), model=answering(usage=usage), concurrency=1)
    assert (done.stopped_by, done.left, len(comparisons)) == (None, 0, 20)


def test_the_number_of_traces_can_be_limited(tmp_path):
    summary, comparisons, _ = run(tmp_path, traces(9), limit=4)
    assert (summary.traces, len(comparisons)) == (4, 8)


def test_a_provider_that_fails_leaves_a_record_per_unit(tmp_path):
    model = ScriptedModel(lambda _: ProviderError("unavailable", "503", attempts=3))
    summary, comparisons, _ = run(tmp_path, traces(3), model=model)
    assert {(item.disposition, item.attempts) for item in comparisons} == {("infra_error", 3)}
    assert summary.folds["candidate", "free"].dispositions == {"infra_error": 3}


def test_a_prompt_that_a_trace_cannot_fill_costs_no_model_call(tmp_path, monkeypatch):
    from replay.prompt import Prompt

    candidate = a_bundle("candidate", tools=TOOLS)
    needy = type(candidate)(**{name: getattr(candidate, name) for name in candidate.__slots__} | {"prompt": Prompt("{{ region }}", variables=("region",))})
    model = answering()
    _, comparisons, _ = run(tmp_path, traces(2), model=model, planner=Planner(PRODUCTION, needy))
    assert {item.disposition for item in comparisons} == {"not_replayable"}
    assert "region" in (comparisons[0].reason or "")
    assert model.requests == []


def test_results_are_written_while_the_run_goes_on(tmp_path):
    async def check() -> int:
        release = anyio.Event()

        class Stuck(ScriptedModel):
            async def complete(self, request, *, timeout_seconds):
                if len(self.requests) >= 6:
                    await release.wait()
                return await ScriptedModel.complete(self, request, timeout_seconds=timeout_seconds)

        with Journal.open(tmp_path / "out", identity={}) as journal:
            file_run = FileRun(
                run_id="r", topic="t", items=traces(10), admission=Admission(PRODUCTION), planner=PLANNER, design=Design(("free",)),
                comparer=Comparer(PLANNER), model=Stuck(lambda _: says("y")), journal=journal, concurrency=2,
            )
            async with anyio.create_task_group() as group:
                group.start_soon(file_run.run)
                with anyio.fail_after(10):
                    while not (early := len(list(journal.comparisons()))):
                        await anyio.sleep(0.01)
                release.set()
        return early

    assert anyio.run(check) > 0


def test_in_flight_replays_are_bounded(tmp_path):
    class Counting(ScriptedModel):
        now = most = 0

        async def complete(self, request, *, timeout_seconds):
            Counting.now += 1
            Counting.most = max(Counting.most, Counting.now)
            await anyio.sleep(0.001)
            Counting.now -= 1
            return await ScriptedModel.complete(self, request, timeout_seconds=timeout_seconds)

    trace = a_trace("?", [calls(("lookup", {}, "z")), says("x")])
    items = [TraceItem(type(trace)(trace_id=f"t{n}", request=trace.request, bundle=trace.bundle, steps=trace.steps), n + 1, 0) for n in range(30)]
    run(tmp_path, items, model=Counting(lambda request: says("y") if len(request.messages) > 2 else asks(("lookup", {}))), concurrency=7)
    assert 1 < Counting.most <= 7


def test_a_trace_that_is_read_twice_is_replayed_once(tmp_path):
    model = answering()
    summary, comparisons, _ = run(tmp_path, [*traces(3), *traces(3)], model=model)
    assert (len(comparisons), len(model.requests), summary.refused) == (6, 6, {"duplicate": 3})


def test_a_source_that_breaks_off_loses_nothing_that_was_begun(tmp_path):
    def broken():
        yield from traces(4)
        raise RecordError("the gzip data is damaged", stage="read")

    with pytest.raises(RecordError, match="damaged"):
        run(tmp_path, broken())
    model = answering()
    _, comparisons, _ = run(tmp_path, traces(4), model=model)
    assert (len(comparisons), model.requests) == (8, [])


def test_a_fault_of_ours_on_one_trace_is_a_record_and_not_the_end(tmp_path):
    def faulty(request):
        if "boom" in str(request.messages):
            raise ZeroDivisionError("a bug")
        return says("y")

    items = [*traces(3), TraceItem(a_trace("boom", [says("x")], trace_id="boom"), 4, 0)]
    _, comparisons, _ = run(tmp_path, items, model=ScriptedModel(faulty))
    by_trace = {item.trace_id: item.disposition for item in comparisons}
    assert by_trace == {"t0": "compared", "t1": "compared", "t2": "compared", "boom": "internal_error"}
    reason = next(item.reason for item in comparisons if item.trace_id == "boom")
    assert "ZeroDivisionError" in reason


def test_a_fault_on_every_trace_ends_the_run(tmp_path):
    def faulty(request):
        raise ZeroDivisionError("a bug")

    with pytest.raises(ExceptionGroup):
        run(tmp_path, traces(40), model=ScriptedModel(faulty))


def test_a_comparator_that_breaks_on_one_pair_leaves_the_others_scored(tmp_path, monkeypatch):
    from replay import divergence

    whole = divergence.measure

    def fragile(pairs, *rest):
        if any(pair.production_answer == "bad" for pair in pairs):
            raise ValueError("cannot score this")
        return whole(pairs, *rest)

    monkeypatch.setattr(divergence, "measure", fragile)
    items = [*traces(5), TraceItem(a_trace("?", [says("bad")], trace_id="bad"), 6, 0)]
    _, comparisons, _ = run(tmp_path, items)
    assert Counter(item.disposition for item in comparisons) == {"compared": 10, "internal_error": 2}


def test_two_processes_cannot_write_one_directory(tmp_path):
    with Journal.open(tmp_path / "out", identity={}), pytest.raises(UsageError, match="another process"):
        Journal.open(tmp_path / "out", identity={})


def test_the_baseline_lane_is_replayed_by_its_own_route_beside_the_candidate(tmp_path):
    candidate, baseline = answering(), ScriptedModel(lambda _: says("x"))
    design = Design(("free",), samples=2, lane=Sampling(1.0))
    summary, comparisons, _ = run(tmp_path, traces(4), model=candidate, lane_model=baseline, design=design)
    assert Counter((item.lane, item.sample) for item in comparisons) == {(lane, s): 4 for lane in ("candidate", "baseline") for s in (0, 1)}
    assert {(item.lane, item.replay.answer) for item in comparisons} == {("candidate", "y"), ("baseline", "x")}
    assert len({item.comparison_id for item in comparisons}) == 16
    assert {item.lane_probability for item in comparisons} == {1.0}
    assert summary.folds["baseline", "free"].rules == {}
    assert (len(candidate.requests), len(baseline.requests)) == (8, 8)


def test_a_line_that_holds_several_traces_is_judged_once_all_of_it_is_done(tmp_path):
    gate = Gate.model_validate({"metrics": [{"id": "no_answer", "kind": "paired_binary", "margin": 0.5}]})
    items = [TraceItem(item.trace, 1 + number // 3, 0) for number, item in enumerate(traces(9))]
    summary, comparisons, _ = run(tmp_path, items, docket=Docket(gate), concurrency=2)
    assert len(comparisons) == 18
    assert summary.verdict is not None
    assert (summary.verdict.conversations, [it.offset for it in summary.verdict.prefixes]) == (9, [3])


def test_a_gate_under_which_nothing_can_vote_holds(tmp_path):
    """An empty file, or one of another bundle: what nobody has tried is not done, and not promoted."""
    the_gate = Gate.model_validate({"metrics": [{"id": "escalation", "kind": "paired_binary", "margin": 0.05}]})
    others = TraceItem(a_trace("?", [says("x")], bundle=BundleRef(id="other")), 1, 0)
    for number, items in enumerate(([], [others])):
        docket = Docket(the_gate, Run.planned("r", PLANNER))
        verdict = run(tmp_path / str(number), items, docket=docket)[0].verdict
        assert (verdict.decision, [it.code for it in verdict.reasons]) == ("hold", ["no_evidence"])
        assert "no trace of this baseline" in verdict.reasons[0].words
