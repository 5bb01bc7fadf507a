"""A provider's bad moments cost a run nothing; one that is down leaves one record per unit, and is not hammered."""

from __future__ import annotations

import io
import json
from collections import Counter

import anyio
import pytest

from consumers.faults import parse_faults
from consumers.files import TraceItem
from consumers.journal import Journal
from consumers.playback import Playback
from consumers.recorded_model import recorded_model
from consumers.recording import record
from consumers.run import FileRun
from replay.admission import Admission
from replay.comparison import MODES
from replay.divergence import Comparer
from replay.limiter import RouteLimiter
from replay.models import Endpoint
from replay.planning import Design, Planner
from replay.retry import CALLS_PER_RETRY, RESERVE_PER_CALL_AT_ONCE
from replay.routes import open_model
from replay.testing import a_bundle, a_trace, says

PRODUCTION = a_bundle()
PLANNER = Planner(PRODUCTION, a_bundle("candidate"))
AT_ONCE = 8


def run(tmp_path, faults, count):
    """A run against a recorded model with these faults: its comparisons, and what the model was asked.

    Retries follow at once, for no jitter is drawn.
    """
    traces = [a_trace("?", [says("x")], trace_id=f"t{n}") for n in range(count)]
    items = [TraceItem(trace, n + 1, 0) for n, trace in enumerate(traces)]
    log = io.BytesIO()

    async def against(journal):
        recording = record(traces, bundle="production")
        async with recorded_model(recording, Playback(faults=parse_faults(faults)), log=log) as url:
            endpoint = Endpoint(url, concurrency=AT_ONCE)
            model = open_model(PLANNER.candidate.route, endpoint, limiter=RouteLimiter(endpoint, draw=lambda: 0.0))
            file_run = FileRun(
                run_id="r", topic="t", items=items, admission=Admission(PRODUCTION), planner=PLANNER, design=Design(MODES),
                comparer=Comparer(PLANNER), model=model, journal=journal,
            )  # fmt: skip
            try:
                await file_run.run()
            finally:
                await model.aclose()

    with Journal.open(tmp_path / "out", identity={}) as journal:
        anyio.run(against, journal)
        return list(journal.comparisons()), [json.loads(line) for line in log.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("faults", "kind"), [("500:1", "unavailable"), ("429:1", "rate_limited"), ("cut:1", "connection")]
)
def test_a_provider_that_is_down_leaves_one_comparison_per_unit(faults, kind, tmp_path):
    comparisons, requests = run(tmp_path, faults, 60)
    units = Counter((item.trace_id, item.mode) for item in comparisons)
    assert units == {(f"t{n}", mode): 1 for n in range(60) for mode in MODES}
    assert {item.disposition for item in comparisons} == {"infra_error"}
    assert all((item.reason or "").startswith(f"{kind}: ") for item in comparisons)
    assert any("retry budget is spent" in (item.reason or "") for item in comparisons)
    most = 120 + 120 // CALLS_PER_RETRY + AT_ONCE * RESERVE_PER_CALL_AT_ONCE
    assert 120 < sum(item.attempts for item in comparisons) == len(requests) <= most


def test_a_provider_with_bad_moments_costs_no_comparison(tmp_path):
    comparisons, requests = run(tmp_path, "503:first=1:0.01,cut:0.02", 5)
    assert Counter(item.disposition for item in comparisons) == {"compared": 10}
    assert sum(item.attempts for item in comparisons) == len(requests) >= 20
    assert sum(item.replay.model_calls for item in comparisons) == 10


def test_a_request_that_is_refused_is_not_asked_again(tmp_path):
    comparisons, requests = run(tmp_path, "400:1", 5)
    assert {(item.disposition, item.attempts) for item in comparisons} == {("infra_error", 1)}
    assert len(requests) == 10
