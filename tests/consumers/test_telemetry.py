"""One typed list of metrics: all of it is exported, documented, and nothing else is. Logs are one JSON object a line."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pytest
from msgspec.structs import replace

from consumers.telemetry import FEED_METRICS, METRICS, WORKER_METRICS, Telemetry, open_log
from made_comparisons import comparisons
from replay.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.parametrize("metrics", [WORKER_METRICS, FEED_METRICS])
def test_what_is_listed_is_what_is_exported(metrics):
    told = Telemetry(open_log(Settings(), io.StringIO()), metrics=metrics)
    exported = {line.split()[2] for line in told.exposition().decode().splitlines() if line.startswith("# TYPE")}
    assert {name for name in exported if not name.endswith("_created")} == {
        f"shadow_replay_{metric.name}" for metric in metrics
    }


def test_every_metric_is_documented():
    rows = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels) or '-'} | {metric.help} |" for metric in METRICS
    ]
    assert "\n".join(rows) in README, "put this into the README:\n" + "\n".join(rows)


def test_names_are_unique_and_follow_the_convention():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert (metric.kind == "counter") == metric.name.endswith("_total")


def test_comparisons_are_counted_as_they_are():
    told = Telemetry(open_log(Settings(), io.StringIO()))
    items = list(comparisons(50))
    for item in items:
        told.comparison(item)
    text = told.exposition().decode()
    free = sum(item.mode == "free" and item.disposition == "compared" for item in items)
    assert f'comparisons_total{{disposition="compared",lane="candidate",mode="free"}} {free}.0' in text
    assert f"model_calls_total {sum(item.replay.model_calls for item in items)}.0" in text
    assert "model_retries_total 0.0" in text
    unpriced = sum(item.replay.cost_usd is None and item.replay.model_calls > 0 for item in items)
    assert f"unpriced_comparisons_total {unpriced}.0" in text


@pytest.mark.parametrize(("attempts", "retries"), [(0, 0), (2, 0), (5, 3)])  # 0: the call could not be sent
def test_retries_are_what_is_beyond_one_attempt_a_call(attempts, retries):
    told = Telemetry(open_log(Settings(), io.StringIO()))
    item = next(comparisons(1))
    told.comparison(replace(item, attempts=attempts, replay=replace(item.replay, model_calls=2)))
    assert f"model_retries_total {retries}.0" in told.exposition().decode()


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\nb", "\ud800", "\u202e", "x" * 100_000, {"k": {1, 2}}])
def test_a_log_line_is_one_line_whatever_it_holds(hostile):
    out = io.StringIO()
    log = open_log(Settings(log="json"), out, run_id="r")
    log.info("event", value=hostile, number=random.Random(1).random())
    (line,) = out.getvalue().splitlines()
    assert line.isascii()
    assert "\x1b" not in line
    said = json.loads(line)
    assert (said["event"], said["run_id"], said["level"]) == ("event", "r", "info")


def test_the_level_is_a_setting():
    out = io.StringIO()
    log = open_log(Settings(log="json", log_level="warning"), out)
    log.info("quiet")
    log.warning("loud")
    assert json.loads(out.getvalue())["event"] == "loud"
