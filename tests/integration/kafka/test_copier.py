"""The copier matrix: three brokers, workers or brokers bounced cleanly or hard; every trace compared exactly once.

`REPLAY_COPIER_TRACES` sets how many traces a cell has; `make copier` runs it with 100,000.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import astuple
from itertools import count

import pytest

import many_traces
from copier import Bouncer, Checker, asked_after_publishing, stopped
from kafka_service import Stand, eventually
from local_kafka import LocalKafka

TRACES = int(os.environ.get("REPLAY_COPIER_TRACES", "3000"))
PARTITIONS = 6
GRACE_SECONDS = 10
#: A trace takes some milliseconds of two cores that brokers, model and checker use too; a bounce some seconds.
LIMIT_SECONDS = 150 + TRACES / 50


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    reassigned = {"group.initial.rebalance.delay.ms": "0"}
    with LocalKafka(tmp_path_factory.mktemp("three"), nodes=3, properties=reassigned) as kafka:
        yield kafka


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return many_traces.write(tmp_path_factory.mktemp("c") / "corpus.jsonl", TRACES, "production", "candidate")


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    return many_traces.write(tmp_path_factory.mktemp("t") / "traces.jsonl", TRACES)


@pytest.fixture
def log(tmp_path):
    """What the model was asked, and when."""
    return tmp_path / "model.log"


@pytest.fixture
def bundles(corpus, log, model_of, bundle_of):
    url = model_of(corpus, "candidate", "--latency", "0.05", "--log", log)
    return "--baseline", bundle_of(corpus, "production"), "--candidate", bundle_of(corpus, "candidate", url)


@pytest.fixture
def stand(kafka, topic_names, traces):
    stand = Stand(kafka.bootstrap, *astuple(topic_names)).having(
        worker_group=f"group-{topic_names.traces}",
        worker_grace_seconds=GRACE_SECONDS,
        kafka_session_seconds=6,
        mode="free",
        concurrency=16,  # slow enough for some bounces
    )
    stand.create(partitions=PARTITIONS, replication=3)
    stand.run("traces", "produce", traces)
    return stand


@pytest.mark.parametrize("target", ["worker", "broker"])
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_every_trace_is_compared_once_whoever_is_bounced(cell, log, kind, target):
    found, bounces, seconds = cell(kind, target)
    told = (
        f"{target} {kind.name}: {TRACES} traces, {bounces} bounces, {seconds:.0f} s, {found.looks} looks at offsets\n"
    )
    sys.stderr.write(told)
    assert bounces > 1
    assert sum(map(len, found.seen.values())) == len(found.published) == TRACES
    assert not found.repeated
    assert not found.wrong_marks
    assert not found.wrong_offsets
    assert found.looks > 5
    assert asked_after_publishing(log, found.published) == []


@pytest.fixture
def cell(kafka, stand, bundles, tmp_path):
    """Run one cell to its end; gives what the checker has found, how many bounces there were, and seconds."""
    numbers = count()

    def start(number: int):
        return stand.start(tmp_path / f"worker-{number}-{next(numbers)}.log", *bundles)

    def run(kind, target):
        bouncer, began = Bouncer(kind, seed=TRACES), time.monotonic()
        checker = Checker(stand, dict(stand.more)["worker_group"])
        with checker as found:

            def done() -> bool:
                assert checker.alive, "the checker has failed"
                assert time.monotonic() - began < LIMIT_SECONDS, f"{len(found.published)} of {TRACES} after that long"
                return len(found.published) >= TRACES

            members = [start(0), start(1)]
            with stopped(members):
                if target == "worker":
                    bouncer.workers(start, members, done)
                else:
                    bouncer.brokers(kafka, 3, done)
                for member in members:
                    eventually(lambda one=member: one.events("assigned"), 30, alive=member)
                    member.terminate()
        return found, bouncer.bounces, time.monotonic() - began

    return run
