"""A worker that is stopped past its session and goes on, and a partition that is added while workers run."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter

import anyio
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

import many_traces
from copier import asked_after_publishing
from kafka_service import eventually, repeated

TRACES = 1_500
SESSION_SECONDS = 6


@pytest.fixture
def log(tmp_path):
    return tmp_path / "model.log"


@pytest.fixture
def bundles(tmp_path, log, model_of, bundle_of):
    corpus = many_traces.write(tmp_path / "corpus.jsonl", TRACES, "production", "candidate")
    url = model_of(corpus, "candidate", "--latency", "0.1", "--log", log)
    baseline, candidate = bundle_of(corpus, "production"), bundle_of(corpus, "candidate", url)
    return "--baseline", baseline, "--candidate", candidate, "--mode", "free", "--concurrency", "8"


def everything_once(stand, log):
    compared = stand.compared
    assert Counter(item["trace_id"] for item in compared) == {f"trace-{n}": 1 for n in range(TRACES)}
    assert repeated(compared) == 0
    written = {
        json.loads(record.value).get("comparison_id"): record.timestamp for record in stand.records(stand.comparisons)
    }
    return asked_after_publishing(log, written)


def test_a_member_stopped_past_its_session_publishes_nothing_twice(stand, bundles, log, tmp_path):
    stand = stand.having(kafka_session_seconds=SESSION_SECONDS, worker_group=f"{stand.traces}-g")
    stand.create(partitions=4)
    stand.run("traces", "produce", many_traces.write(tmp_path / "traces.jsonl", TRACES))
    with (
        stand.member(tmp_path / "zombie.log", *bundles) as zombie,
        stand.member(tmp_path / "owner.log", *bundles) as owner,
    ):
        eventually(lambda: zombie.events("assigned") and owner.events("assigned"), 60, alive=owner)
        eventually(lambda: len(zombie.events("replayed")) > 50, 60, alive=zombie)
        os.kill(zombie.process.pid, signal.SIGSTOP)
        time.sleep(SESSION_SECONDS + 6)
        before = stand.committed(f"{stand.traces}-g")
        os.kill(zombie.process.pid, signal.SIGCONT)
        began = time.monotonic()
        eventually(lambda: stand.lag(*bundles)["lag"] == 0, 120, alive=owner)
        print(f"caught up {time.monotonic() - began:.1f} s after it went on")  # noqa: T201 - a figure to be seen
        after = stand.committed(f"{stand.traces}-g")
        assert all(after[partition] >= offset for partition, offset in before.items())
        zombie.terminate()
        owner.terminate()
    # The zombie asks once more for what was in flight when it was stopped, before it hears that it has lost it.
    assert len(everything_once(stand, log)) <= 8


def test_a_partition_that_is_added_is_worked_on(stand, bundles, log, tmp_path):
    """The client looks for new partitions every five minutes, unless it is told otherwise."""
    stand = stand.having(kafka_metadata_seconds=5)
    stand.create(partitions=2)
    lines = many_traces.write(tmp_path / "all.jsonl", TRACES).read_text().splitlines(keepends=True)
    (tmp_path / "first.jsonl").write_text("".join(lines[:500]))
    (tmp_path / "second.jsonl").write_text("".join(lines[500:]))
    stand.run("traces", "produce", tmp_path / "first.jsonl")
    with stand.member(tmp_path / "worker.log", *bundles) as worker:
        eventually(lambda: len(worker.events("replayed")) > 50, 60, alive=worker)
        anyio.run(grow, stand.bootstrap, stand.traces, 4)
        stand.run("traces", "produce", tmp_path / "second.jsonl")
        assert all(stand.ends(stand.traces)[number] > 0 for number in range(4))
        eventually(lambda: len(stand.compared) == TRACES, 120, alive=worker, every=1)
        worker.terminate()
    assert everything_once(stand, log) == []


async def grow(bootstrap, topic, partitions):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_partitions({topic: NewPartitions(total_count=partitions)})
    finally:
        await admin.close()
