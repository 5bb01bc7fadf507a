"""The same traces through `run`, `worker` and `window`: what is found does not depend on the way there."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from feed_process import Feed, feed_count, plain_count
from kafka_service import eventually, judged, repeated
from processes import CORPUS, comparisons, shadow_replay
from replay.verdict_words import NAMES

BANKING = CORPUS / "agentdojo-banking.jsonl.gz"
PRODUCTION = "agentdojo/banking/claude-3-5-sonnet-20240620"
CANDIDATE = "agentdojo/banking/claude-3-5-sonnet-20241022"


@pytest.fixture(scope="module")
def bundles(model_of, bundle_of):
    url = model_of(BANKING, CANDIDATE)
    return "--baseline", bundle_of(BANKING, PRODUCTION), "--candidate", bundle_of(BANKING, CANDIDATE, url)


@pytest.fixture(scope="module")
def by_run(bundles, tmp_path_factory):
    out = tmp_path_factory.mktemp("by-run") / "out"
    shadow_replay("run", BANKING, *bundles, "--out", out)
    return comparisons(out)


def test_worker_window_and_run_find_the_same(stand, bundles, by_run, tmp_path):
    stand.create(partitions=3)
    stand.run("traces", "produce", BANKING)
    with stand.member(tmp_path / "worker.log", *bundles) as worker:
        eventually(lambda: stand.lag(*bundles)["lag"] == 0, 90, alive=worker)
        worker.terminate()
    by_worker = stand.compared
    window = stand.run("window", *bundles, "--from", "1h ago", "--json")
    summary = json.loads(window.stdout)
    by_window = [item for item in stand.compared if item["run_id"] == summary["run_id"]]

    assert len(by_run) == len(by_worker) == len(by_window) == 2 * 32
    assert judged(by_run) == judged(by_worker) == judged(by_window)
    assert repeated(by_worker) == repeated(by_window) == 0
    assert (summary["traces"], summary["admitted"], summary["refused"]) == (544, 32, {"other_bundle": 512})
    assert watermarks(stand, summary["run_id"]) == stand.ends(stand.traces)
    assert watermarks(stand, by_worker[0]["run_id"]) == stand.ends(stand.traces)

    with Feed(stand, tmp_path) as feed:
        eventually(lambda: feed.folded > 0 and feed.caught_up, 30)
        told = feed.get("/api/summary")
        assert feed_count(told) == plain_count(stand)
        assert {run["run_id"]: sum(lane["comparisons"] for lane in run["lanes"]) for run in told["runs"]} == {
            by_worker[0]["run_id"]: 64, summary["run_id"]: 64,
        }  # fmt: skip


def watermarks(stand, run_id) -> dict[int, int]:
    marks = [mark for mark in stand.of_schema(stand.comparisons, "watermark/1") if mark["run_id"] == run_id]
    return {mark["partition"]: mark["offset"] for mark in marks}


def test_a_window_takes_what_was_recorded_between_its_times(stand, bundles, tmp_path):
    """From is in, to is out; and what a killed window has published is not made again."""
    stand.create(partitions=2)
    traces = tmp_path / "traces.jsonl"
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    with traces.open("wb") as file:
        for number, line in enumerate(banking_traces(tmp_path)):
            stamp = int((start + timedelta(minutes=number)).timestamp() * 1e9)
            file.write(json.dumps(json.loads(line) | {"started_at": stamp}).encode() + b"\n")
    stand.run("topics", "create", "--retention-hours", "1000000")
    stand.run("traces", "produce", traces, "--timestamps", "recorded")
    between = ("--from", "2026-03-01T12:05:00Z", "--to", "2026-03-01T12:15:00+00:00")
    window = stand.run("window", *bundles, *between, "--json")
    summary = json.loads(window.stdout)
    found = {(item["production_started_at"] // 10**9 - int(start.timestamp())) // 60 for item in stand.compared}
    assert found == set(range(5, 15))
    assert summary["traces"] == 10

    again = json.loads(stand.run("window", *bundles, "--resume", summary["run_id"], "--json").stdout)
    assert [lane["dispositions"] for lane in again["lanes"]] == [lane["dispositions"] for lane in summary["lanes"]]
    assert repeated(stand.compared) == 0
    refused = stand.run("window", *bundles, "--mode", "free", "--resume", summary["run_id"], check=3)
    assert "give the same ones to go on" in refused.stderr
    assert "there is no run" in stand.run("window", *bundles, "--resume", "window-none", check=3).stderr


def banking_traces(folder):
    """The production traces of the pair, as `trace/1`."""
    shadow_replay("traces", "convert", BANKING, folder / "all.jsonl")
    lines = (folder / "all.jsonl").read_bytes().splitlines()
    mine = [line for line in lines if json.loads(line)["bundle"]["id"] == PRODUCTION]
    assert len(mine) == 32
    return mine


def test_a_window_that_is_killed_goes_on_and_makes_nothing_twice(stand, model_of, bundle_of, tmp_path):
    stand.create(partitions=2)
    log = tmp_path / "requests.jsonl"
    url = model_of(BANKING, CANDIDATE, "--latency", "0.05", "--log", log)
    bundles = ("--baseline", bundle_of(BANKING, PRODUCTION), "--candidate", bundle_of(BANKING, CANDIDATE, url))
    stand.run("traces", "produce", BANKING)
    options = (*bundles, "--concurrency", "2")
    window = stand.start(tmp_path / "window.log", *options, "--from", "1h ago", command="window")
    eventually(lambda: len(stand.compared) > 15, 60, alive=window, every=0.05)
    window.kill()
    done = {item["comparison_id"] for item in stand.compared}
    run_id = stand.compared[0]["run_id"]
    before = log.stat().st_size
    summary = json.loads(stand.run("window", *options, "--resume", run_id, "--json").stdout)
    asked = {json.loads(line)["comparison_id"] for line in log.read_bytes()[before:].splitlines()}
    assert asked
    assert not asked & done, "finished work was paid for again"
    assert repeated(stand.compared) == 0
    assert len(judged(stand.compared)) == 64
    counted = Counter()
    for lane in summary["lanes"]:
        counted.update(lane["dispositions"])
    assert counted.total() == 64
    assert (summary["traces"], summary["admitted"]) == (544, 32)


def test_a_window_says_what_is_wrong_with_its_times(stand, bundles):
    stand.create(partitions=1)
    assert "is no time: expected ISO-8601" in stand.run("window", *bundles, "--from", "yesterday", check=3).stderr
    assert "--from is missing" in stand.run("window", *bundles, check=3).stderr
    refused = stand.run("window", *bundles, "--from", "1h ago", "--to", "2h ago", check=3)
    assert "the window is empty" in refused.stderr


def test_a_topic_that_is_not_there_is_said_before_anything_starts(stand, bundles, tmp_path):
    refused = stand.run("worker", *bundles, check=3)
    assert f"there is no topic {stand.traces}" in refused.stderr
    assert "topics create" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


GATE = """
gate:
  metrics:
    - {id: tool_mismatch, kind: paired_binary, margin: 0.2}
    - {id: escalation, kind: paired_binary, margin: 0.3}
    - {id: failed_calls, kind: paired_binary, margin: 0.3, dry_run: true}
"""


VOTED = ("id", "pairs", "mean", "unknown", "hits", "headroom", "exemplars")


def test_run_window_and_feed_come_to_the_same_verdict(stand, model_of, bundle_of, tmp_path):
    """With a lane that plays production's own recording again; and whoever folds the topic again agrees."""
    stand.create(partitions=3)
    traces = tmp_path / "traces.jsonl"
    requests = [json.loads(line) | {"conversation_id": None} for line in banking_traces(tmp_path)]
    traces.write_text("".join(f"{json.dumps(request)}\n" for request in requests))
    stand.run("traces", "produce", traces)
    (tmp_path / "gate.yaml").write_text(GATE)
    gate = ("--gate", tmp_path / "gate.yaml")
    lanes = (
        "--baseline", bundle_of(BANKING, PRODUCTION, model_of(BANKING, PRODUCTION)),
        "--candidate", bundle_of(BANKING, CANDIDATE, model_of(BANKING, CANDIDATE)), "--lane-share", "1",
    )  # fmt: skip
    with stand.member(tmp_path / "worker.log", *lanes) as worker:
        eventually(lambda: stand.lag(*lanes)["lag"] == 0, 90, alive=worker)
        worker.terminate()
    by_run = json.loads(shadow_replay("run", traces, *lanes, *gate, "--out", tmp_path / "out", "--json", check=1).stdout)
    by_window = json.loads(stand.run("window", *lanes, *gate, "--from", "1h ago", "--json", check=1).stdout)
    with Feed(stand, tmp_path, *gate) as feed:
        eventually(lambda: feed.folded > 0 and feed.caught_up, 30)
        runs = {run["run_id"] for run in feed.get("/api/summary")["runs"]}
        (worker_run,) = runs - {by_window["run_id"]}
        eventually(lambda: said(feed, worker_run)["conversations"] == 32, 30)
        by_feed = said(feed, worker_run)
    for name in ("decision", "reasons", "metrics", "placebo", "conversations", "calibrated", "gate_sha256"):
        assert by_window["verdict"][name] == by_run["verdict"][name], name
    for name in ("decision", "conversations", "calibrated", "gate_sha256"):
        assert by_feed[name] == by_run["verdict"][name], name
    # A worker is never at its end: beside the same votes stands what nobody has seen yet, one record of each partition.
    assert (by_feed["unseen"], by_run["verdict"].get("unseen", 0)) == (3, 0)
    for ours, theirs in zip(by_feed["metrics"], by_run["verdict"]["metrics"], strict=True):
        assert [ours.get(name) for name in VOTED] == [theirs.get(name) for name in VOTED]
        assert ours["log_e_harm"][0] < theirs["log_e_harm"][0]
        assert ours["log_e_safe"][1] < theirs["log_e_safe"][1]
    assert by_feed["calibrated"]
    assert [metric["pairs"] for metric in by_feed["metrics"]] == [32, 32, 32]
    told = [item["run_id"] for item in stand.of_schema(stand.verdicts, "verdict/1")]
    assert set(told) == {worker_run, by_window["run_id"]}
    for run_id in (worker_run, by_window["run_id"]):
        assert "found again from" in stand.run("gate", "refold", "--run", run_id).stdout
        stand.run("report", "--run", run_id, "--out", tmp_path / run_id)
        page, comment = ((tmp_path / run_id / f"report.{form}").read_text() for form in ("html", "md"))
        assert "the verdict is not the same" not in page
        assert comment.splitlines()[0].endswith(NAMES[by_run["verdict"]["decision"]])


def said(feed, run_id):
    return feed.get(f"/api/verdicts?run={run_id}&limit=1")["verdicts"][0]
