"""What the gate keeps of a comparison: who was replayed, how it ended, and what each signal says of both sides."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple, TypeGuard

from replay.comparison import Comparison, Lane
from replay.gate.signals import Reading, Signal
from replay.grade import FAITHFUL
from replay.trace import Record

#: Attributes of a trace by which slices are made: short texts, whole numbers, yes and no.
_LONGEST_ATTRIBUTE = 80
_MS_NS = 1_000_000
_END_OF_TIME = 2**63
_MOST_SEVERE = 3
_MOST_ATTRIBUTES = 20
_MOST_TOOLS = 20
#: The attribute under which the tools of production stand.
TOOL = "production called"

_FAITHFUL_NAMES = frozenset(str(grade) for grade in FAITHFUL)
#: The replay came to something that was scored.
_SCORED = frozenset({"compared", "censored"})
#: Failures that are none of the bundle's doing: the provider's, the trace's, the recording's, ours.
BLAMELESS = frozenset({"infra_error", "not_replayable", "no_recording", "internal_error"})


class Ballot(Record, frozen=True, kw_only=True, array_like=True):
    """One replay, ready to be counted. `values` and `production` go by the signals of the gate, null = unknown.

    `at`: when production served the request, or else when that was recorded, ns since the epoch. `failed`: the
    disposition of a replay that gave no scores. `guessed`: a stub had no true answer, so that from there on nothing
    is known for sure.
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

    @property
    def key(self) -> str:
        """The unit that votes: as for the records of the traces topic."""
        return self.trace_id if self.conversation is None else self.conversation


def ballot_of(comparison: Comparison, signals: Sequence[Signal]) -> Ballot:
    """Read a comparison. Signals of a replay without scores are unknown."""
    scored = comparison.disposition in _SCORED
    return Ballot(
        offset=comparison.source.offset,
        comparison_id=comparison.comparison_id,
        trace_id=comparison.trace_id,
        conversation=comparison.conversation_id,
        at=_served_at(comparison),
        lane=comparison.lane,
        sample=comparison.sample,
        lane_probability=comparison.lane_probability,
        failed=None if scored else comparison.disposition,
        guessed=scored and _is_guessed(comparison),
        severity=max(0, min(comparison.severity, _MOST_SEVERE)),
        values=tuple(_measured(signal, signal.of_replay, comparison) if scored else None for signal in signals),
        production=tuple(_of_production(signal, comparison) for signal in signals),
        cohort=_cohort(comparison),
    )


class Bounds(NamedTuple):
    """What a side's signal may have been: both ends are the same where it is known."""

    low: float
    high: float

    def worst_of(self, other: Bounds) -> Bounds:
        return Bounds(max(self.low, other.low), max(self.high, other.high))


def bounds_of(value: float | None, ballot: Ballot, worst: float, *, twinned: bool) -> Bounds:
    """What is known of a signal. A replay that failed scores worst; what a stub has guessed may be anything.

    So may one that failed through no doing of its bundle, where it has no twin in the lane that would have met the
    same: an outage of the provider is no proof against a candidate.
    """
    if ballot.failed is not None:
        return Bounds(0.0 if ballot.failed in BLAMELESS and not twinned else worst, worst)
    return Bounds(0.0, worst) if ballot.guessed else known_or_not(value, worst)


def known_or_not(value: float | None, worst: float) -> Bounds:
    return Bounds(0.0, worst) if value is None else Bounds(value, value)


def worst_of(signal: Signal) -> float:
    return inf if signal.nature == "quantity" else 1.0


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


def _cohort(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    """Short attributes of the trace, and the tools that production called."""
    given = sorted(comparison.cohort.items())
    plain = [(name, str(value)) for name, value in given if isinstance(value, bool | int | str)]
    tools = [(TOOL, tool) for tool in sorted({call.tool for call in comparison.production.calls})]
    return (*_short(plain)[:_MOST_ATTRIBUTES], *_short(tools)[:_MOST_TOOLS])


def _short(attributes: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [each for each in attributes if all(0 < len(text) <= _LONGEST_ATTRIBUTE for text in each)]
