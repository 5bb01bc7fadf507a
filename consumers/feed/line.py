"""What a dashboard needs to know of a comparison at once: who, what, how bad. The whole record is asked for apart."""

from __future__ import annotations

from typing import Literal

from consumers.feed.tally import bounded
from consumers.stream import Received
from replay.comparison import Comparison
from replay.trace import Record


class Line(Record, frozen=True, kw_only=True):
    """`seq` counts up in the feed's own order; `at` is the record's timestamp, ms since the epoch, UTC."""

    seq: int
    at: int
    run_id: str
    comparison_id: str
    trace_id: str
    conversation_id: str | None
    turn: int | None
    baseline: str
    candidate: str
    lane: str
    mode: str
    disposition: str
    severity: int
    flags: tuple[str, ...]
    tools: tuple[str, ...]
    first_divergence: str | None
    not_exercised: tuple[str, ...]
    scores: dict[str, float | None]
    partition: int
    offset: int


class Mark(Record, frozen=True, kw_only=True):
    """How far a run is with a partition of its source: everything below `offset` is told."""

    run_id: str
    topic: str
    partition: int
    offset: int
    emitted_at: int | None


class Event(Record, frozen=True, kw_only=True):
    """One event of the live feed. `seq` is null for events that are not told again to who comes back."""

    kind: Literal["comparison", "watermark", "verdict", "missed"]
    seq: int | None
    data: bytes
    line: Line | None = None
    run_id: str | None = None


def line_of(comparison: Comparison, record: Received, seq: int) -> Line:
    """A comparison as one line. Texts are cut to what fits an index."""
    calls = (*comparison.production.calls, *comparison.replay.calls)
    first = comparison.first_divergence
    return Line(
        seq=seq,
        at=record.timestamp_ms,
        run_id=bounded(comparison.run_id),
        comparison_id=bounded(comparison.comparison_id),
        trace_id=bounded(comparison.trace_id),
        conversation_id=None if comparison.conversation_id is None else bounded(comparison.conversation_id),
        turn=comparison.turn,
        baseline=bounded(comparison.baseline),
        candidate=bounded(comparison.candidate),
        lane=comparison.lane,
        mode=comparison.mode,
        disposition=comparison.disposition,
        severity=comparison.severity,
        flags=tuple(sorted({bounded(flag.rule) for flag in comparison.flags})),
        tools=tuple(sorted({bounded(call.tool) for call in calls})),
        first_divergence=None if first is None else bounded(first.kind),
        not_exercised=tuple(map(bounded, comparison.not_exercised)),
        scores={bounded(name): score.value for name, score in comparison.scores.items()},
        partition=record.partition.number,
        offset=record.offset,
    )
