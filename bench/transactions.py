"""What a transaction costs: results and an offset written by the exactly-once ledger, against the same records sent
and awaited by an idempotent producer, followed by a plain commit.

    python -m bench.transactions

Back to back on one partition, on a broker of this machine, in the same run. Times are medians; CPU is the client's.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import anyio

from consumers.kafka import KafkaCluster, KafkaLedger, KafkaSink, KafkaSource, NewStream, quiet_client
from consumers.stream import Committed, Outgoing, Partition
from consumers.topic_reader import Nobody
from replay.settings import KafkaSettings, Settings
from tests.support.local_kafka import LocalKafka

SIZES = (1, 10, 100, 1_000)
TIMES = 40
RECORD_BYTES = 1_500
TOPIC = "results"
SOURCE = Partition("traces", 0)

Write = Callable[[list[Outgoing], int], Awaitable[None]]


class Cost(NamedTuple):
    """Of one write with its offset, in milliseconds."""

    median: float
    p95: float
    cpu: float


def main() -> None:
    """Print a line per number of results."""
    quiet_client()
    with tempfile.TemporaryDirectory() as folder, LocalKafka(Path(folder) / "kafka") as kafka:
        anyio.run(_compare, Settings(kafka=KafkaSettings(bootstrap=kafka.bootstrap)))


async def _compare(settings: Settings) -> None:
    async with KafkaCluster.of(settings.kafka) as cluster:
        for name in (TOPIC, SOURCE.topic):
            await cluster.create(NewStream(name, 8, 1, {}))
    ledger, sink = KafkaLedger(settings.kafka, "exactly"), await KafkaSink(settings.kafka).start()
    source = KafkaSource(settings, SOURCE.topic, "plain", {SOURCE: 0})
    await source.start(Nobody())
    await ledger.claim(SOURCE)

    async def transaction(records: list[Outgoing], number: int) -> None:
        await ledger.append(SOURCE, records, Committed(number, "x" * 500))

    async def plain(records: list[Outgoing], number: int) -> None:
        await sink.send(records)
        await source.commit({SOURCE: Committed(number, "x" * 500)})

    print(f"transactions: {TIMES} back to back, results of {RECORD_BYTES} bytes over 8 partitions, and one offset")
    for size in SIZES:
        exactly, once = await _timed(transaction, size), await _timed(plain, size)
        print(
            f"  {size:5,} results: {exactly.median:6.1f} ms (p95 {exactly.p95:.1f}), {exactly.cpu:.1f} ms CPU; "
            f"send and commit {once.median:.1f} ms (p95 {once.p95:.1f}), {once.cpu:.1f} ms CPU; "
            f"ratio {exactly.median / once.median:.1f}, CPU {exactly.cpu / once.cpu:.2f}"
        )
    for closing in (ledger, sink, source):
        await closing.aclose()


async def _timed(write: Write, size: int) -> Cost:
    records = [Outgoing(TOPIC, b"%0*d" % (RECORD_BYTES, number), None, number % 8) for number in range(size)]
    seconds: list[float] = []
    cpu = time.process_time()
    for number in range(TIMES):
        began = time.perf_counter()
        await write(records, number)
        seconds.append(time.perf_counter() - began)
    used = time.process_time() - cpu
    seconds.sort()
    return Cost(seconds[TIMES // 2] * 1e3, seconds[TIMES * 95 // 100] * 1e3, used / TIMES * 1e3)


if __name__ == "__main__":
    main()
