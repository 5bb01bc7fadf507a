"""Comparisons as a gate sees them, made by hand: one escalates or does not, is slow, costs, fails."""

from __future__ import annotations

from replay.comparison import CallRecord, Comparison, Coverage, Score, Side, Source, Unit
from replay.gate.config import Gate

SECOND = 1_000_000_000
ESCALATION = {"id": "escalation", "kind": "paired_binary", "margin": 0.05}


def gate(*metrics: dict[str, object], **fields: object) -> Gate:
    return Gate.model_validate({"metrics": list(metrics) or [ESCALATION], "max_wait": "3000d", **fields})


def side(*, escalates: bool = False, ms: float | None = 100.0, usd: str | None = "0.01") -> Side:
    calls = (CallRecord(tool="page", arguments="{}", effect="handoff", outcome="succeeded", step=0),) if escalates else ()
    return Side(answer="done", calls=calls, model_latency_ns=None if ms is None else int(ms * 1e6), cost_usd=usd)


def compared(number: int, *, lane: str = "candidate", production: Side | None = None, replay: Side | None = None, **fields) -> Comparison:  # fmt: skip
    """Trace `number`: its own conversation, at offset `number` and second `number`, unless `fields` say otherwise."""
    trace_id = fields.pop("trace_id", f"t{number}")
    sample = fields.get("sample", 0)
    unit = Unit(trace_id, 0, "b", "c", "free", lane, sample)
    given = {
        "comparison_id": unit.comparison_id,
        "run_id": "run",
        "trace_id": trace_id,
        "source": Source(topic="traces", partition=0, offset=number),
        "baseline": "b",
        "candidate": "c",
        "mode": "free",
        "lane": lane,
        "lane_probability": 1.0,
        "disposition": "compared",
        "comparator_set": "comparators/2",
        "scores": {"tools.write": Score(status="scored", value=0.0), "tools.handoff": Score(status="not_applicable")},
        "coverage": Coverage(calls=1, exact=1.0, grades={"exact": 1}),
        "production_started_at": number * SECOND,
        "production": production or side(),
        "replay": replay or side(),
    }
    return Comparison(**{**given, **fields})


def pair(number: int, ours: Side | None = None, theirs: Side | None = None, **fields) -> list[Comparison]:
    """Both lanes of a trace."""
    return [compared(number, lane=lane, replay=it, **fields) for lane, it in (("candidate", ours), ("baseline", theirs))]
