"""Workers are killed, join and leave in the middle of 2,000 traces; nothing is lost, nothing is committed too early."""

from __future__ import annotations

import json
import threading
from collections import Counter
from urllib.request import urlopen

import pytest
from aiokafka.errors import KafkaError

import many_traces
from kafka_service import eventually, judged
from local_kafka import free_ports

TRACES = 2_000
GRACE_SECONDS = 15


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return many_traces.write(tmp_path_factory.mktemp("many") / "corpus.jsonl", TRACES, "production", "candidate")


@pytest.fixture(scope="module")
def bundles(corpus, model_of, bundle_of):
    url = model_of(corpus, "candidate", "--latency", "0.1")
    return "--baseline", bundle_of(corpus, "production"), "--candidate", bundle_of(corpus, "candidate", url)


class Checker:
    """Reads committed offsets, then the topic: everything below an offset must be there already."""

    def __init__(self, stand, group, units):
        self._stand, self._group, self._units = stand, group, units
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.looks, self.broken, self.went_back = 0, [], []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(timeout=60)

    def _run(self):
        before = {}
        while not self._over.wait(0.3):
            try:
                committed = self._stand.committed(self._group)
            except (KafkaError, OSError):
                continue  # the first group of a broker has to wait for its coordinator
            self._look(committed)
            self.went_back += [p for p, offset in committed.items() if offset < before.get(p, 0)]
            before = committed

    def _look(self, committed):
        records = [json.loads(record.value) for record in self._stand.records(self._stand.comparisons)]
        done = Counter()
        for item in {item["comparison_id"]: item for item in records if item["schema"] == "comparison/1"}.values():
            done[item["source"]["partition"], item["source"]["offset"]] += 1
        marks = [item for item in records if item["schema"] == "watermark/1"]
        for partition, offset in [*committed.items(), *((mark["partition"], mark["offset"]) for mark in marks)]:
            self.broken += [(partition, n) for n in range(offset) if done[partition, n] < self._units]
        self.looks += 1


def test_killed_and_rebalanced_workers_lose_nothing(stand, bundles, corpus, tmp_path):
    stand = stand.having(worker_group=f"{stand.traces}-g", worker_grace_seconds=GRACE_SECONDS, concurrency=16)
    stand.create(partitions=4)
    stand.run("traces", "produce", many_traces.write(tmp_path / "traces.jsonl", TRACES))

    def published() -> int:
        return sum(stand.ends(stand.comparisons).values())

    with Checker(stand, f"{stand.traces}-g", units=2) as checker:
        with stand.member(tmp_path / "joins.log", *bundles) as joins:
            with stand.member(tmp_path / "first.log", *bundles) as first:
                eventually(lambda: joins.events("assigned") and first.events("assigned"), 60, alive=joins)
                eventually(lambda: published() > 1_000, 90, alive=joins)
            with stand.member(tmp_path / "second.log", *bundles) as second:
                eventually(lambda: second.events("assigned"), 60, alive=second)
                eventually(lambda: published() > 2_000, 90, alive=second)
                assert joins.terminate() < GRACE_SECONDS
        with stand.member(tmp_path / "third.log", *bundles) as third:
            eventually(lambda: stand.lag(*bundles)["lag"] == 0, 120, alive=third)
            assert third.terminate() < GRACE_SECONDS
            assert third.events("stopped")[-1]["drained"]
    compared = stand.compared
    found = judged(compared)
    assert Counter((item["trace_id"], item["mode"]) for item in found.values()) == {
        (f"trace-{number}", mode): 1 for number in range(TRACES) for mode in ("forced", "free")
    }
    assert {item["disposition"] for item in compared} == {"compared"}
    for item in compared:  # a comparison that was made twice says the same twice
        assert judged([item])[item["comparison_id"]] == found[item["comparison_id"]]
    assert checker.looks > 5
    assert not checker.broken
    assert not checker.went_back
    assert {mark["run_id"] for mark in stand.of_schema(stand.comparisons, "watermark/1")} == {compared[0]["run_id"]}


@pytest.fixture(scope="module")
def slow(corpus, bundles, model_of, bundle_of):
    """The same bundles, with a model that takes a minute."""
    return *bundles[:3], bundle_of(corpus, "candidate", model_of(corpus, "candidate", "--latency", "60"))


def test_a_second_signal_kills(stand, slow, tmp_path):
    stand = stand.having(worker_http_port=free_ports(1)[0])
    stand.create(partitions=1)
    stand.run("traces", "produce", many_traces.write(tmp_path / "traces.jsonl", 5))
    with stand.member(tmp_path / "worker.log", *slow) as worker:
        eventually(lambda: worker.events("status"), 60, alive=worker)
        metrics = worker.events("status")[0]["url"]
        eventually(lambda: b"replays_in_flight 10.0" in urlopen(metrics).read(), 60, alive=worker)
        worker.process.terminate()
        eventually(lambda: worker.events("stopping"), 20)
        worker.process.terminate()
        assert worker.process.wait(timeout=10) == -15
    assert stand.compared == []
