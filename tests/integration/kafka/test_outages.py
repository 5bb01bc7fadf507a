"""A model that is silent, a broker that is away, traces of a megabyte: the worker waits, remembers, and is no hog."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest

import many_traces
from kafka_service import Stand, eventually, judged
from processes import COMMAND

OUTAGE_SECONDS = 60
MEGABYTE = 1_000_000
BYTES_IN_FLIGHT = 32 << 20
#: Interpreter and libraries, what is in flight, parsed (a trace of one long text takes some five times its bytes),
#: and what the client fetches ahead.
MEMORY_BOUND_KB = (200 << 10) + 5 * (BYTES_IN_FLIGHT >> 10) + 2 * (16 << 10)


@pytest.fixture
def corpus(tmp_path):
    return many_traces.write(tmp_path / "corpus.jsonl", 1_000, "production", "candidate")


@pytest.fixture
def bundles(corpus, model_of, bundle_of):
    url = model_of(corpus, "candidate", "--latency", "0.02")
    return "--baseline", bundle_of(corpus, "production"), "--candidate", bundle_of(corpus, "candidate", url)


def test_a_model_that_is_silent_for_a_minute_costs_time_and_nothing_else(stand, corpus, bundle_of, tmp_path):
    stand = stand.having(call_seconds=120, unit_seconds=300)
    stand.create(partitions=2)
    stand.run("traces", "produce", many_traces.write(tmp_path / "traces.jsonl", 300))
    with stopped_at_will(corpus) as (model, url):
        bundles = ("--baseline", bundle_of(corpus, "production"), "--candidate", bundle_of(corpus, "candidate", url))
        with stand.member(tmp_path / "worker.log", *bundles, "--concurrency", "4") as worker:
            eventually(lambda: len(stand.compared) > 20, 60, alive=worker, every=0.05)
            os.kill(model.pid, signal.SIGSTOP)
            time.sleep(3)  # what had ended by then is written
            before = len(stand.compared)
            time.sleep(OUTAGE_SECONDS)
            assert len(stand.compared) <= before + 8
            os.kill(model.pid, signal.SIGCONT)
            eventually(lambda: stand.lag(*bundles)["lag"] == 0, 90, alive=worker)
            worker.terminate()
    assert len(worker.events("assigned")) == 1, "membership was kept"
    assert len(judged(stand.compared)) == len(stand.compared) == 600
    assert {item["disposition"] for item in stand.compared} == {"compared"}


@contextmanager
def stopped_at_will(corpus):
    """A recorded model whose process the test can stop and continue."""
    command = [*COMMAND, "recorded-model", "--corpus", corpus, "--bundle", "candidate", "--latency", "0.02"]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process, json.loads(process.stdout.readline())["listening"]
    finally:
        process.kill()
        process.wait(timeout=20)
        process.stdout.close()


def test_a_broker_that_is_away_for_a_minute_is_waited_for(local_kafka, bundles, tmp_path, record_property):
    kafka = local_kafka()
    stand = Stand(kafka.bootstrap, "traces", "comparisons", "dead-letters", "verdicts")
    stand.create(partitions=2)
    stand.run("traces", "produce", many_traces.write(tmp_path / "traces.jsonl", 1_000))
    with stand.member(tmp_path / "worker.log", *bundles, "--concurrency", "2") as worker:
        eventually(lambda: len(stand.compared) > 50, 60, alive=worker, every=0.05)
        kafka.kill()
        time.sleep(OUTAGE_SECONDS)
        assert worker.process.poll() is None
        assert worker.peak_kb < MEMORY_BOUND_KB
        kafka.restart()
        back = time.monotonic()
        eventually(lambda: stand.lag(*bundles)["lag"] == 0, 150, alive=worker, every=1)
        record_property("seconds_to_catch_up", round(time.monotonic() - back, 1))
        worker.terminate()
    assert len(judged(stand.compared)) == 2_000
    assert {item["disposition"] for item in stand.compared} == {"compared"}


def test_a_thousand_traces_of_a_megabyte_stay_within_bounds(stand, bundles, tmp_path, record_property):
    stand = stand.having(worker_bytes_in_flight=BYTES_IN_FLIGHT)
    stand.create(partitions=2)
    path = tmp_path / "traces.jsonl"
    many_traces.write(path, 1_000, pad=MEGABYTE)
    stand.run("traces", "produce", path)
    with stand.member(tmp_path / "worker.log", *bundles, "--mode", "free", "--concurrency", "64") as worker:
        eventually(lambda: stand.lag(*bundles, "--mode", "free")["lag"] == 0, 200, alive=worker, every=1)
        peak = worker.peak_kb
        worker.terminate()
    record_property("peak_kb", peak)
    assert peak < MEMORY_BOUND_KB
    assert len(judged(stand.compared)) == len(stand.compared) == 1_000
