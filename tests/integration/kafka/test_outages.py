"""A model that is silent, fails or never answers, a broker that is away, traces of a megabyte: the worker waits,
remembers, and is no hog. All outages last a minute, and the same one: a test of each looks at what came of it.
"""

from __future__ import annotations

import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

import many_traces
from copier import Checker, Findings, asked_after_publishing
from kafka_service import Member, Stand, eventually, judged
from local_kafka import LocalKafka
from model_process import ModelProcess, deaf_model

OUTAGE_SECONDS = 60
MEGABYTE = 1_000_000
BYTES_IN_FLIGHT = 32 << 20
#: As the README has it: interpreter and libraries, what is in flight, parsed (a trace of one long text takes up to eight
#: times its bytes), what waits to be committed, and what the client fetches ahead.
MEMORY_BOUND_KB = (250 << 10) + 8 * (BYTES_IN_FLIGHT >> 10) + 6 * (8 << 10) + 2 * (16 << 10)
#: What is not idle in an outage is bounded by less: no trace here is large.
OUTAGE_MEMORY_BOUND_KB = 300 << 10


@dataclass
class Scene:
    """One worker in one outage. `traces`: of each of the three lots that come before, within, and after it."""

    stand: Stand
    folder: Path
    traces: int
    bundles: tuple[object, ...]
    log: Path | None = None
    findings: Findings | None = None
    peak_kb: int = 0
    recovery_seconds: float = 0.0
    assignments: int = 0

    def prepare(self, stack: ExitStack) -> Member:
        self.folder.mkdir()
        group = f"{self.stand.traces}-group"
        self.stand = self.stand.having(worker_group=group, mode="free", worker_bytes_in_flight=BYTES_IN_FLIGHT)
        self.stand.create(partitions=2)
        self.produce(0)
        self.findings = stack.enter_context(Checker(self.stand, group))
        return stack.enter_context(self.stand.member(self.folder / "worker.log", *self.bundles))

    def produce(self, lot: int) -> None:
        path, first = self.folder / f"lot-{lot}.jsonl", lot * self.traces
        many_traces.write(path, self.traces, first=first)
        self.stand.run("traces", "produce", path)

    @property
    def published(self) -> int:
        assert self.findings is not None
        return len(self.findings.published)

    def recover(self, worker: Member, lots: int, since: float) -> None:
        eventually(lambda: self.published >= lots * self.traces, 180, alive=worker)
        self.recovery_seconds = time.monotonic() - since
        self.peak_kb, self.assignments = worker.peak_kb, len(worker.events("assigned"))
        worker.terminate()

    def holds(self, lots: int) -> None:
        """What holds of every service, whatever was away."""
        found = self.findings
        assert found is not None
        total = lots * self.traces
        assert sum(map(len, found.seen.values())) == len(found.published) == len(self.compared) == total
        assert not found.repeated
        assert not found.wrong_marks
        assert not found.wrong_offsets
        assert self.log is None or asked_after_publishing(self.log, found.published) == []
        assert self.peak_kb < OUTAGE_MEMORY_BOUND_KB

    @property
    def compared(self) -> dict[str, dict]:
        return judged(self.stand.compared)

    def dispositions(self, lot: int) -> set[str]:
        names = {f"trace-{number}" for number in range(lot * self.traces, (lot + 1) * self.traces)}
        return {item["disposition"] for item in self.compared.values() if item["trace_id"] in names}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return many_traces.write(tmp_path_factory.mktemp("c") / "corpus.jsonl", 1_000, "production", "candidate")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    with LocalKafka(tmp_path_factory.mktemp("away")) as kafka:
        yield kafka


@pytest.fixture(scope="module")
def outages(kafka, kafka_bootstrap, corpus, bundle_of, tmp_path_factory):
    """Four scenes: their minute begins and ends together. By name."""
    folder = tmp_path_factory.mktemp("outages")

    def scene(name, url, traces, *options, bootstrap=kafka_bootstrap, log=None):
        topics = (f"{topic}-{uuid4().hex[:12]}" for topic in ("traces", "comparisons", "dead-letters", "verdicts"))
        bundles = ("--baseline", bundle_of(corpus, "production"), "--candidate", bundle_of(corpus, "candidate", url))
        return Scene(Stand(bootstrap, *topics), folder / name, traces, (*bundles, *options), log)

    with ExitStack() as stack:
        silent, failing, other = (
            stack.enter_context(ModelProcess(corpus, folder / f"{name}.log", latency=0.02))
            for name in ("silent", "failing", "other")
        )
        scenes = {
            "silent": scene("silent", silent.url, 150, "--concurrency", "4", log=silent.log),
            "failing": scene("failing", failing.url, 100, "--concurrency", "4", log=failing.log),
            "deaf": scene("deaf", stack.enter_context(deaf_model()), 24, "--concurrency", "8"),
            "broker": scene("broker", other.url, 300, "--concurrency", "2", bootstrap=kafka.bootstrap, log=other.log),
        }
        scenes["silent"].stand = scenes["silent"].stand.having(call_seconds=120, unit_seconds=300)
        scenes["deaf"].stand = scenes["deaf"].stand.having(call_seconds=5, unit_seconds=60)
        run_all(scenes, kafka, silent, failing)
    for name, one in scenes.items():
        sys.stderr.write(f"{name}: caught up after {one.recovery_seconds:.1f} s, peak {one.peak_kb:,} kB\n")
    return scenes


def run_all(scenes, kafka, silent, failing):
    with ExitStack() as stack:
        workers = {name: one.prepare(stack) for name, one in scenes.items()}
        for name in ("silent", "broker"):
            eventually(lambda one=scenes[name]: one.published > 20, 60, alive=workers[name], every=0.05)
        eventually(lambda: scenes["failing"].published == scenes["failing"].traces, 60, alive=workers["failing"])
        silent.send(signal.SIGSTOP)
        failing.kill()
        kafka.kill()
        over = time.monotonic() + OUTAGE_SECONDS
        for name in ("silent", "failing", "deaf"):
            scenes[name].produce(1)
        time.sleep(max(0.0, over - time.monotonic()))
        assert not any(worker.gone for worker in workers.values())
        silent.send(signal.SIGCONT)
        failing.start()
        kafka.restart()
        back = time.monotonic()
        for name in ("broker", "silent", "failing", "deaf"):
            if name in ("silent", "failing"):
                scenes[name].produce(2)
        lots = {"silent": 3, "failing": 3, "deaf": 2, "broker": 1}
        for name, one in scenes.items():
            one.recover(workers[name], lots[name], back)


def test_a_model_that_is_silent_for_a_minute_costs_time_and_nothing_else(outages):
    silent = outages["silent"]
    silent.holds(lots=3)
    assert silent.assignments == 1, "membership was kept"
    assert {item["disposition"] for item in silent.compared.values()} == {"compared"}


def test_a_model_that_fails_for_a_minute_costs_the_traces_of_that_minute_at_most(outages):
    failing = outages["failing"]
    failing.holds(lots=3)
    assert failing.dispositions(0) == {"compared"}
    assert "infra_error" in failing.dispositions(1)
    assert failing.dispositions(1) <= {"compared", "infra_error"}
    assert failing.dispositions(2) <= {"compared", "infra_error"}


def test_a_model_that_never_answers_leaves_a_record_of_every_trace(outages):
    deaf = outages["deaf"]
    deaf.holds(lots=2)
    assert {item["disposition"] for item in deaf.compared.values()} == {"infra_error"}


def test_a_broker_that_is_away_for_a_minute_is_waited_for(outages):
    broker = outages["broker"]
    broker.holds(lots=1)
    assert {item["disposition"] for item in broker.compared.values()} == {"compared"}


@pytest.fixture
def bundles(corpus, model_of, bundle_of):
    url = model_of(corpus, "candidate", "--latency", "0.02")
    return "--baseline", bundle_of(corpus, "production"), "--candidate", bundle_of(corpus, "candidate", url)


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
