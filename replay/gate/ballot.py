"""What the gate keeps of a comparison: who was replayed, how it ended, and what each signal says of both sides."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TypeGuard

from replay.comparison import Comparison, Lane
from replay.gate.signals import Reading, Signal
from replay.grade import CENSORING, FAITHFUL
from replay.trace import Record

#: Attributes of a trace by which slices are made: short texts, whole numbers, yes and no.
_LONGEST_ATTRIBUTE = 80
_MS_NS = 1_000_000
_END_OF_TIME = 2**63
MOST_SEVERE = 3
_MOST_ATTRIBUTES = 20
_MOST_TOOLS = 20
#: The attribute under which the tools of production stand.
TOOL = "production called"

_FAITHFUL_NAMES = frozenset(str(grade) for grade in FAITHFUL)
_ENDING_NAMES = frozenset(str(grade) for grade in CENSORING)
#: The replay came to something that was scored.
_SCORED = frozenset({"compared", "censored"})
#: The class of failure of a replay that took longer than the gate waits.
TIMED_OUT = "timed_out"
#: Failures that are none of the bundle's doing: the provider's, the trace's, the recording's, ours.
BLAMELESS = frozenset({"infra_error", "not_replayable", "no_recording", "internal_error"})


class Ballot(Record, frozen=True, kw_only=True, array_like=True):
    """One replay, ready to be counted. `values` and `production` go by the signals of the gate, null = unknown.

    `at`: when production served the request, or else when that was recorded, ns since the epoch. `failed`: the
    disposition of a replay that gave no scores, or `timed_out`. `guessed`: a stub had no true answer, so that from
    there on nothing is known for sure. `sure`: what was seen has happened, because no guess came before it.
    """

    offset: int
    comparison_id: str
    trace_id: str
    conversation: str | None
    at: int | None
    lane: Lane
    sample: int
    lane_probability: float
    failed: str | None
    guessed: bool
    severity: int
    values: tuple[float | None, ...]
    production: tuple[float | None, ...]
    cohort: tuple[tuple[str, str], ...] = ()
    sure: bool = True

    @property
    def key(self) -> str:
        """The unit that votes: as for the records of the traces topic."""
        return self.trace_id if self.conversation is None else self.conversation


def ballot_of(comparison: Comparison, signals: Sequence[Signal], timeout_ns: int | None = None) -> Ballot:
    """Read a comparison. Signals of a replay without scores, or that took longer than `timeout_ns`, are unknown."""
    failed = _failure(comparison, timeout_ns)
    scored = failed is None
    return Ballot(
        offset=comparison.source.offset,
        comparison_id=comparison.comparison_id,
        trace_id=comparison.trace_id,
        conversation=comparison.conversation_id,
        at=_served_at(comparison),
        lane=comparison.lane,
        sample=comparison.sample,
        lane_probability=comparison.lane_probability,
        failed=failed,
        guessed=scored and _is_guessed(comparison),
        severity=max(0, min(comparison.severity, MOST_SEVERE)),
        values=tuple(_measured(signal, signal.of_replay, comparison) if scored else None for signal in signals),
        production=tuple(_of_production(signal, comparison) for signal in signals),
        cohort=_cohort(comparison),
        sure=scored and _is_sure(comparison),
    )


def worst_of(signal: Signal) -> float:
    return inf if signal.nature == "quantity" else 1.0


def _failure(comparison: Comparison, timeout_ns: int | None) -> str | None:
    """Time inside the model only: tools are answered from recordings, and those who wait do so for the model."""
    if comparison.disposition not in _SCORED:
        return comparison.disposition
    took = comparison.replay.model_latency_ns
    return TIMED_OUT if timeout_ns is not None and took is not None and took > timeout_ns else None


def _served_at(comparison: Comparison) -> int | None:
    """Never later than its record was made, or than we replayed it. Null where no clock could have told the time."""
    told = (comparison.production_started_at, _nanoseconds(comparison.source.timestamp_ms))
    known = [time for time in told if _is_time(time)]
    replayed = [time for time in (comparison.replayed_at,) if _is_time(time)]
    return min((*known, *replayed)) if known else None


def _is_time(nanoseconds: int | None) -> TypeGuard[int]:
    return nanoseconds is not None and 0 < nanoseconds < _END_OF_TIME


def _nanoseconds(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds * _MS_NS


def _measured(signal: Signal, read: Reading | None, comparison: Comparison) -> float | None:
    """What a signal says; null when it says nothing, or what nothing could have measured."""
    value = None if read is None else read(comparison)
    if value is None or not 0 <= value <= worst_of(signal) or value == inf:
        return None
    return value


def _of_production(signal: Signal, comparison: Comparison) -> float | None:
    """Times are comparable where both sides are recordings, or both replays."""
    if signal.is_timed and comparison.mode != "recorded":
        return None
    return _measured(signal, signal.of_production, comparison)


def _is_guessed(comparison: Comparison) -> bool:
    """Forced replays go on from production's own prefix: what a stub answers changes nothing there."""
    if comparison.mode == "forced":
        return False
    return comparison.disposition == "censored" or not _FAITHFUL_NAMES.issuperset(comparison.coverage.grades)


def _is_sure(comparison: Comparison) -> bool:
    """A replay that is stopped is scored up to there: what ended it has misled nobody."""
    ended = _ENDING_NAMES if comparison.disposition == "censored" else frozenset[str]()
    return comparison.mode == "forced" or (_FAITHFUL_NAMES | ended).issuperset(comparison.coverage.grades)


def _cohort(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    """Short attributes of the trace, and the tools that production called."""
    given = sorted(comparison.cohort.items())
    plain = [(name, str(value)) for name, value in given if isinstance(value, bool | int | str)]
    tools = [(TOOL, tool) for tool in sorted({call.tool for call in comparison.production.calls})]
    return (*_short(plain)[:_MOST_ATTRIBUTES], *_short(tools)[:_MOST_TOOLS])


def _short(attributes: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [each for each in attributes if all(0 < len(text) <= _LONGEST_ATTRIBUTE for text in each)]
