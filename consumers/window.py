"""A time window of the traces topic as offsets: resolved once, kept by the broker, so that any machine can go on.

The plan of a window stands in the notes beside the committed offsets of its own group: where each partition starts
and ends, when it was made, and for which request. Reading it back needs nothing but the run's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from consumers.done_note import read_note
from consumers.kafka import KafkaCluster
from consumers.stream import Committed, Partition
from replay.errors import RecordError, UsageError
from replay.exact_json import Json, dumps, loads

_SCHEMA = "window/1"


@dataclass(frozen=True, slots=True)
class Window:
    """Per partition from `starts` to before `ends`. Times in ms since the epoch, UTC."""

    run_id: str
    request: str
    made_ms: int
    from_ms: int
    to_ms: int
    starts: Mapping[Partition, int]
    ends: Mapping[Partition, int]

    @property
    def records(self) -> int:
        """Offsets between start and end; some may hold no record."""
        return sum(max(0, end - self.starts[partition]) for partition, end in self.ends.items())

    def note(self, partition: Partition) -> str:
        """What is kept beside the offset of a partition: well below the broker's limit of 4,096 bytes."""
        kept: dict[str, Json] = {
            "schema": _SCHEMA,
            "request": self.request,
            "made_ms": self.made_ms,
            "from_ms": self.from_ms,
            "to_ms": self.to_ms,
            "start": self.starts[partition],
            "end": self.ends[partition],
        }
        return dumps(kept).decode()


def request_of(identity: Mapping[str, Json]) -> str:
    """A short name of what is replayed, to see that a resumed run asks for the same."""
    return sha256(dumps(dict(identity), sort_keys=True)).hexdigest()[:24]


async def resolve(cluster: KafkaCluster, topic: str, *, from_ms: int, to_ms: int, made_ms: int, request: str) -> Window:
    """Ask the broker where the window begins and ends. Raises `UsageError` for one that ends before it begins."""
    if to_ms <= from_ms:
        raise UsageError("--to is not after --from: the window is empty")
    partitions = await cluster.partitions(topic)
    starts = await cluster.offsets_at(partitions, from_ms)
    ends = await cluster.offsets_at(partitions, to_ms)
    whole = {partition: max(starts[partition], ends[partition]) for partition in partitions}
    named = f"{topic}\x00{made_ms}\x00{from_ms}\x00{to_ms}\x00{request}"
    run_id = f"window-{sha256(named.encode()).hexdigest()[:24]}"
    return Window(run_id, request, made_ms, from_ms, to_ms, starts, whole)


async def keep(cluster: KafkaCluster, window: Window) -> None:
    """Store the plan, with nothing done yet."""
    marks = {partition: Committed(start, window.note(partition)) for partition, start in window.starts.items()}
    await cluster.commit(window.run_id, marks)


async def recall(cluster: KafkaCluster, topic: str, *, run_id: str, request: str) -> Window:
    """The plan of a run that was begun before. Raises `UsageError` when there is none, or it asked for other things."""
    partitions = await cluster.partitions(topic)
    kept = await cluster.group_offsets(run_id, partitions)
    if not kept:
        raise UsageError(f"there is no run {run_id} on this cluster, or its offsets have expired")
    notes = {partition: _read(committed.note, run_id) for partition, committed in kept.items()}
    first = next(iter(notes.values()))
    if first["request"] != request:
        raise UsageError(f"{run_id} replayed other bundles, modes or conditions; give the same ones to go on with it")
    starts = {partition: note["start"] for partition, note in notes.items()}
    ends = {partition: note["end"] for partition, note in notes.items()}
    return Window(run_id, request, first["made_ms"], first["from_ms"], first["to_ms"], starts, ends)


def _read(note: str, run_id: str) -> dict[str, Json]:
    try:
        found = loads(read_note(note, 0, whose=run_id).rest)
    except RecordError:
        found = None
    if not isinstance(found, dict) or found.get("schema") != _SCHEMA:
        raise UsageError(f"{run_id} is a group, but not a window of this version of shadow-replay")
    return found
