"""`topics create`, `traces produce` and `lag`: what a person needs around the service."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict

import anyio

from consumers.files import BadLine, TraceItem, Unanswered, read_items, read_lines
from consumers.kafka import KafkaCluster, KafkaSink, NewStream
from consumers.run_command import COULD_NOT_RUN, DONE, print_json, print_lines
from consumers.service import group_of, service_settings
from consumers.stream import Committed, Outgoing
from replay.settings import KafkaSettings, Settings
from replay.trace import Trace
from replay.wire import encode_trace

_HOUR_MS = 3_600_000
#: Around the base64 of a dead letter there is its reason, its key and its headers.
_LETTER_MARGIN = 64 << 10
_PRODUCED_AT_A_TIME = 500
_BYTES_AT_A_TIME = 4 << 20


def create(arguments: argparse.Namespace) -> int:
    """`topics create`: make the four topics that are not there; those that are, are left as they are."""
    settings = service_settings(arguments)
    made = anyio.run(_create, settings.kafka, streams(settings.kafka, arguments))
    words = {True: "made", False: "is there already, left as it is"}
    if arguments.json:
        print_json(made)
    else:
        print_lines(f"{name}: {words[new]}" for name, new in made.items())
    return DONE


def streams(kafka: KafkaSettings, arguments: argparse.Namespace) -> list[NewStream]:
    """The topics as asked for. A dead letter holds its record in base64, so its topic takes a third more."""
    trace_bytes = arguments.max_message_bytes
    sizes: Mapping[str, tuple[int, int | None]] = {
        kafka.traces: (arguments.partitions, trace_bytes),
        kafka.comparisons: (arguments.comparison_partitions or arguments.partitions, None),
        kafka.dead_letters: (1, 4 * trace_bytes // 3 + _LETTER_MARGIN),
        kafka.verdicts: (1, None),
    }
    retention = {"retention.ms": str(round(arguments.retention_hours * _HOUR_MS)), "cleanup.policy": "delete"}
    return [
        NewStream(name, partitions, arguments.replication, retention | _limit(limit))
        for name, (partitions, limit) in sizes.items()
    ]


def produce(arguments: argparse.Namespace) -> int:
    """`traces produce`: a file's traces to the traces topic, keyed so that a conversation stays in order."""
    settings = service_settings(arguments)
    counts: Counter[str] = Counter()
    anyio.run(_produce, settings.kafka, _records(arguments, settings, counts))
    if arguments.json:
        print_json(dict(counts))
    else:
        print_lines(f"{count:,} {what}" for what, count in counts.items())
    return COULD_NOT_RUN if counts[_BAD] else DONE


def lag(arguments: argparse.Namespace) -> int:
    """`lag`: how far the group's committed offsets are behind the end of the topic."""
    settings = service_settings(arguments)
    group = group_of(settings, arguments.where)
    rows = anyio.run(_lag, settings.kafka, group)
    total = sum(row["lag"] for row in rows)
    if arguments.json:
        print_json({"group": group, "lag": total, "partitions": [dict(row) for row in rows]})
        return DONE
    table = [_LAG_ROW.format("partition", "committed", "end", "lag")]
    table += [_LAG_ROW.format(row["partition"], _shown(row["committed"]), row["end"], row["lag"]) for row in rows]
    table += [_LAG_ROW.format("total", "", "", total)]
    print_lines([f"group {group}", *table])
    return DONE


_LAG_ROW = "{:<40} {:>12} {:>12} {:>12}"
_NOTHING = Committed(0)
_BAD = "lines left out, named above"


class LagRow(TypedDict):
    """`lag` counts from the first record there is when nothing was committed."""

    partition: str
    committed: int | None
    end: int
    lag: int


def _limit(most: int | None) -> dict[str, str]:
    return {} if most is None else {"max.message.bytes": str(most)}


async def _create(kafka: KafkaSettings, wanted: list[NewStream]) -> dict[str, bool]:
    async with KafkaCluster.of(kafka) as cluster:
        return {stream.name: await cluster.create(stream) for stream in wanted}


async def _produce(kafka: KafkaSettings, records: Iterator[Outgoing]) -> None:
    async with KafkaCluster.of(kafka) as cluster:
        await cluster.partitions(kafka.traces)
    sink = await KafkaSink(kafka).start()
    try:
        for batch in _batches(records):
            await sink.send(batch)
    finally:
        await sink.aclose()


def _batches(records: Iterator[Outgoing]) -> Iterator[list[Outgoing]]:
    batch: list[Outgoing] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record.value)
        if len(batch) == _PRODUCED_AT_A_TIME or size >= _BYTES_AT_A_TIME:
            yield batch
            batch, size = [], 0
    yield batch


def _records(arguments: argparse.Namespace, settings: Settings, counts: Counter[str]) -> Iterator[Outgoing]:
    topic, limit = settings.kafka.traces, arguments.limit
    made = _raw(arguments.traces, topic) if arguments.raw else _checked(arguments, settings, counts)
    for record in made:
        yield record
        counts[f"records to {topic}"] += 1
        if limit is not None and counts[f"records to {topic}"] >= limit:
            return


def _raw(path: str, topic: str) -> Iterator[Outgoing]:
    """Lines as they are, good or not, without a key."""
    return (Outgoing(topic, line) for line in read_lines(path))


def _checked(arguments: argparse.Namespace, settings: Settings, counts: Counter[str]) -> Iterator[Outgoing]:
    for item in read_items(arguments.traces, max_line_bytes=settings.max_line_bytes):
        match item:
            case TraceItem():
                yield _outgoing(item.trace, settings.kafka.traces, recorded=arguments.timestamps == "recorded")
            case BadLine():
                counts[_BAD] += 1
                sys.stderr.write(f"shadow-replay: {Path(arguments.traces).name} line {item.line}: {item.reason}\n")
            case Unanswered():
                counts["user messages without an answer"] += item.count


def _outgoing(trace: Trace, topic: str, *, recorded: bool) -> Outgoing:
    at = trace.started_at // 1_000_000 if recorded and trace.started_at is not None else None
    return Outgoing(topic, encode_trace(trace), trace.record_key.encode(), timestamp_ms=at)


async def _lag(kafka: KafkaSettings, group: str) -> list[LagRow]:
    async with KafkaCluster.of(kafka) as cluster:
        partitions = await cluster.partitions(kafka.traces)
        committed = await cluster.group_offsets(group, partitions)
        ends, first = await cluster.ends(partitions), await cluster.beginnings(partitions)
        return [
            {
                "partition": str(partition),
                "committed": committed[partition].offset if partition in committed else None,
                "end": ends[partition],
                "lag": ends[partition] - max(first[partition], committed.get(partition, _NOTHING).offset),
            }
            for partition in partitions
        ]


def _shown(value: object) -> str:
    return "-" if value is None else str(value)
