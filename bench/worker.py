"""The worker on a real broker with a model that answers at once, against a bare consume-decode-encode-produce loop.

    python -m bench.worker

The reference reads the same records from the same topic with the bare client, decodes and encodes them with orjson
and produces them again, in the same run: what a pipeline that compares nothing costs. The broker is a process on
the same machine, and competes for the same cores.
"""

from __future__ import annotations

import cProfile
import io
import json
import multiprocessing
import pstats
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import anyio
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from consumers.assembly import Routes
from consumers.kafka import KafkaCluster, KafkaSink, KafkaSource, NewStream, quiet_client
from consumers.service import Bounds, Service, writer_of
from consumers.stream import Ledger, Outgoing, Partition, Received, Sink
from consumers.telemetry import Telemetry, open_log
from consumers.topic_reader import Nobody
from consumers.worker import Worker
from replay.comparison import Comparison, Source
from replay.divergence import Comparer, Finished, Job
from replay.driver import drive
from replay.execution import Attempt, Plan, replay
from replay.models import ModelReply, ModelRequest
from replay.planning import Planner
from replay.settings import KafkaSettings, Settings
from replay.testing import a_bundle
from replay.trace import Message
from replay.wire import decode_trace, encode
from tests.support.local_kafka import LocalKafka

T = TypeVar("T")

RECORDS = 4_000
#: Two processes need some seconds to share the partitions; what comes before that is not counted.
MANY = 24_000
PARTITIONS = 4
SIZES = (2_000, 8_000)
ROUNDS = 3
TOGETHER = 500
PLANNER = Planner(a_bundle(), a_bundle("candidate"))
_WORDS = tuple("".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=3 + n % 8)) for n in range(2_000))


class Cost(NamedTuple):
    """Records per second, and CPU of this process per record in microseconds."""

    rate: float
    cpu_us: float


def main() -> None:
    """Print rates and ratios per size, CPU by stage with a profile, and two workers against one."""
    quiet_client()
    with tempfile.TemporaryDirectory() as folder, LocalKafka(Path(folder) / "kafka") as kafka:
        settings = Settings(kafka=KafkaSettings(bootstrap=kafka.bootstrap))
        for size in SIZES:
            topic = f"traces-{size}"
            anyio.run(_fill, settings, topic, size)
            _against_reference(settings, topic, size)
        _stages(SIZES[0])
        _profile(settings, f"traces-{SIZES[0]}")
        anyio.run(_fill, settings, "many", SIZES[0], MANY)
        _two_against_one(settings, "many")


# -- the same records, both ways ----------------------------------------------------------------------------------


def _against_reference(settings: Settings, topic: str, size: int) -> None:
    costs: dict[str, list[Cost]] = {}
    for number in range(ROUNDS):
        for kind, work in (("bare", _bare), ("at_least_once", _worker), ("exactly_once", _worker)):
            out = f"{topic}-{kind}-{number}"
            costs.setdefault(kind, []).append(_timed(work, _into(settings, out, kind), topic, out))
    bare, once, exactly = (Cost(*map(_median, zip(*found, strict=True))) for found in costs.values())
    print(f"worker: {RECORDS} traces of {size / 1000:g} KB, model at once, one mode, median of {ROUNDS}")
    print(f"  bare aiokafka + orjson loop  {bare.rate:8,.0f}/s {bare.cpu_us:8,.0f} us CPU per record")
    print(f"  worker, at least once        {once.rate:8,.0f}/s {once.cpu_us:8,.0f} us CPU per record")
    print(f"  worker, exactly once         {exactly.rate:8,.0f}/s {exactly.cpu_us:8,.0f} us CPU per record")
    print(f"  worker / bare: rate {exactly.rate / bare.rate:.3f}, CPU {exactly.cpu_us / bare.cpu_us:.1f}x")
    print(f"  exactly / at least once: rate {exactly.rate / once.rate:.3f}, CPU {exactly.cpu_us / once.cpu_us:.2f}x")


def _into(settings: Settings, out: str, delivery: str = "exactly_once") -> Settings:
    """Settings of a worker that writes to a topic of its own, which is made."""
    anyio.run(_make, settings, [out])
    kafka = replace(settings.kafka, traces=out, comparisons=out, dead_letters=out)
    worker = replace(settings.worker, delivery=delivery if delivery != "bare" else "at_least_once")
    return replace(settings, mode="free", concurrency=256, batch=128, kafka=kafka, worker=worker)


def _timed(work: Callable[[Settings, str, str], Awaitable[None]], settings: Settings, topic: str, out: str) -> Cost:
    began, cpu = time.perf_counter(), time.process_time()
    anyio.run(work, settings, topic, out)
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    return Cost(RECORDS / seconds, used / RECORDS * 1e6)


async def _bare(settings: Settings, topic: str, out: str) -> None:
    bootstrap = settings.kafka.bootstrap
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=out, auto_offset_reset="earliest", enable_auto_commit=False
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=5, max_batch_size=900_000,
        compression_type="zstd",
    )  # fmt: skip
    await consumer.start()
    await producer.start()
    done = 0
    while done < RECORDS:
        batches = await consumer.getmany(timeout_ms=1000, max_records=TOGETHER)
        sent = [
            await producer.send(out, orjson.dumps(orjson.loads(record.value)), key=record.key)
            for records in batches.values()
            for record in records
        ]
        for future in sent:
            await future
        done += len(sent)
        await consumer.commit()
    await producer.stop()
    await consumer.stop()


async def _worker(settings: Settings, topic: str, out: str) -> None:
    """To the end the topic has now, delivered as the settings say."""
    starts = {Partition(topic, number): 0 for number in range(PARTITIONS)}
    async with KafkaCluster.of(settings.kafka) as cluster:
        until = await cluster.ends(list(starts))
    source = KafkaSource(settings, topic, group=out, positions=starts)
    async with writer_of(settings, out) as writer:
        await _a_worker(settings, source, writer, until).run()


def _a_worker(
    settings: Settings, source: KafkaSource, writer: Sink | Ledger, until: Mapping[Partition, int] | None = None
) -> Worker:
    telemetry = Telemetry(open_log(Settings(log="json"), io.StringIO()))
    service = Service(settings, PLANNER, (), "bench", source.group or "bench", telemetry)
    bounds = None if until is None else Bounds(until, lambda _: "", lambda _: False, lambda _: None, lambda _: None)
    return service.worker(source, writer, Routes(_AtOnce(), None), bounds)


class _AtOnce:
    """Another answer than production's, so that everything is compared; no time passes."""

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:  # noqa: ARG002
        text = str(request.messages[-1]["content"])[:400]
        return ModelReply(message=Message(role="assistant", content=text), latency_ns=1_000_000, served_model="bench")

    async def aclose(self) -> None:
        return None


# -- stages and profile -------------------------------------------------------------------------------------------


def _stages(size: int) -> None:
    values = [record.value for record in _traces("t", size, 1_000)]
    comparer = Comparer(PLANNER)
    table: dict[str, float] = {}
    read = _clocked(table, "decode", lambda: [decode_trace(value) for value in values])
    plans = _clocked(table, "plan", lambda: [PLANNER.plan(trace, "free") for trace in read])
    attempts = _clocked(table, "replay", lambda: anyio.run(_drive_all, plans))
    ended = [Finished(Job(plan, Source(topic="t")), attempt) for plan, attempt in zip(plans, attempts, strict=True)]
    batches = [ended[first : first + 128] for first in range(0, len(ended), 128)]
    compared: list[Comparison] = _clocked(
        table, "compare", lambda: [c for batch in batches for c in comparer.compare(batch, run_id="b", now=0)]
    )
    _clocked(table, "encode", lambda: [encode(comparison) for comparison in compared])
    sizes = sum(len(encode(comparison)) for comparison in compared) / len(compared)
    print(f"worker stages: CPU per trace of {size / 1000:g} KB (a comparison has {sizes:,.0f} bytes)")
    for stage, seconds in table.items():
        print(f"  {stage:<10} {seconds / len(values) * 1e6:7.0f} us")
    print(f"  {'all':<10} {sum(table.values()) / len(values) * 1e6:7.0f} us")


async def _drive_all(plans: list[Plan]) -> list[Attempt]:
    return [await drive(replay(plan), _AtOnce()) for plan in plans]


def _clocked(table: dict[str, float], stage: str, work: Callable[[], T]) -> T:
    began = time.process_time()
    result = work()
    table[stage] = time.process_time() - began
    return result


def _profile(settings: Settings, topic: str) -> None:
    out = f"{topic}-profile"
    profile = cProfile.Profile()
    profile.runcall(anyio.run, _worker, _into(settings, out), topic, out)
    printed = io.StringIO()
    pstats.Stats(profile, stream=printed).sort_stats("tottime").print_stats(14)
    print("worker profile, own time (calls, total, per call, cumulative, per call, where):")
    for row in (line.split(maxsplit=5) for line in printed.getvalue().splitlines() if line[:1] == " "):
        if len(row) == 6 and ":" in row[5]:
            print(f"  {' '.join(f'{part:>10}' for part in row[:5])}  {_place(row[5])}")


def _place(where: str) -> str:
    return "/".join(where.rsplit("/", 2)[-2:])


# -- two against one ----------------------------------------------------------------------------------------------


def _two_against_one(settings: Settings, topic: str) -> None:
    rates = {}
    for members in (1, 2):
        out = f"{topic}-{members}-members"
        mine = _into(settings, out)
        processes = [_spawned(mine, topic, out) for _ in range(members)]
        stamps = anyio.run(_stamps, settings, out)
        for process in processes:
            process.terminate()
            process.join(20)
        stamps.sort()
        first = len(stamps) // 2  # while members join, one works alone
        rates[members] = (len(stamps) - first) / max((stamps[-1] - stamps[first]) / 1000, 1e-3)
    print("worker, processes of one group (the broker has the same cores):")
    print(f"  one {rates[1]:,.0f}/s, two {rates[2]:,.0f}/s, ratio {rates[2] / rates[1]:.2f}")


def _spawned(settings: Settings, topic: str, out: str) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=_member, args=(settings, topic, out), daemon=True)
    process.start()
    return process


def _member(settings: Settings, topic: str, out: str) -> None:
    quiet_client()

    async def work() -> None:
        async with writer_of(settings, out) as writer:
            await _a_worker(settings, KafkaSource(settings, topic, group=out), writer).run()

    anyio.run(work)


async def _stamps(settings: Settings, out: str) -> list[int]:
    """Timestamps of the comparisons, once all are there; bounded by three minutes."""
    starts = {Partition(out, number): 0 for number in range(PARTITIONS)}
    source = KafkaSource(settings, out, positions=starts)
    await source.start(Nobody())
    found: list[Received] = []
    with anyio.fail_after(180):
        while len(found) < MANY:
            records = await source.poll(max_records=1_000, seconds=0.5)
            found += [record for record in records if b'"comparison/1"' in record.value[:40]]
    await source.aclose()
    return [record.timestamp_ms for record in found]




# -- input --------------------------------------------------------------------------------------------------------


async def _make(settings: Settings, names: list[str]) -> None:
    async with KafkaCluster.of(settings.kafka) as cluster:
        for name in names:
            await cluster.create(NewStream(name, PARTITIONS, 1, {}))


async def _fill(settings: Settings, topic: str, size: int, count: int = RECORDS) -> None:
    await _make(settings, [topic])
    sink = await KafkaSink(settings.kafka).start()
    records = list(_traces(topic, size, count))
    for first in range(0, count, TOGETHER):
        await sink.send(records[first : first + TOGETHER])
    await sink.aclose()


def _traces(topic: str, size: int, count: int) -> Iterator[Outgoing]:
    """One-step traces of about `size` bytes, of words that do not repeat from trace to trace."""
    dice = random.Random(size)
    for number in range(count):
        answer = " ".join(dice.choices(_WORDS, k=60))
        question = " ".join(dice.choices(_WORDS, k=(size - 700) // 7))
        trace = {
            "schema": "trace/1",
            "trace_id": f"t{number}",
            "bundle": {"id": "production"},
            "request": {"messages": [{"role": "user", "content": question}]},
            "steps": [{"kind": "model_call", "output": {"role": "assistant", "content": answer}}],
            "final_answer": answer,
        }
        yield Outgoing(topic, json.dumps(trace).encode(), f"t{number}".encode(), number % PARTITIONS)


def _median(values: tuple[float, ...]) -> float:
    return sorted(values)[len(values) // 2]


if __name__ == "__main__":
    main()
