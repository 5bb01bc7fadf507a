"""Comparisons made to order: conversations of which it is known, signal by signal, how they went.

They look like those of a replay, so that what judges them is the gate itself, from the comparison to the verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import log
from typing import TypeAlias

from comparators.expected import Way
from comparators.spec import DIMENSION
from replay.comparison import CallRecord, Comparison, Coverage, Disposition, Flag, Lane, Mode, Score, Side, Source, Unit
from replay.severity import RULE_WORDS
from replay.trace import Usage

#: Signal -> how bad it was: 1 or 0, a share, a quantity; null = it could not be measured.
Act: TypeAlias = Mapping[str, float | None]

_MILLISECOND_NS = 1_000_000
#: Log of a ratio of lengths beyond which nothing of the shorter text is left, in the precision there is.
_ENDLESS = 50.0
TOPIC = "staged"


@dataclass(slots=True)
class _Draft:
    """A comparison while it is written."""

    calls: list[CallRecord] = field(default_factory=list)
    scores: dict[str, Score] = field(default_factory=dict)
    flags: list[Flag] = field(default_factory=list)
    side: dict[str, object] = field(default_factory=lambda: {"answer": "done"})
    stance: list[str] = field(default_factory=list)
    missed_by: list[str] = field(default_factory=list)
    severity: int = 0

    def call(self, effect: str, outcome: str) -> None:
        step = len(self.calls)
        self.calls.append(CallRecord(tool="staged", arguments="{}", effect=effect, outcome=outcome, step=step))

    def score(self, name: str, value: float | None) -> None:
        """An event is a value on the worse side of 0."""
        dimension = DIMENSION[name]
        sign = -1.0 if dimension.worse == "down" and (dimension.low, dimension.high) != (0, 1) else 1.0
        self.scores[name] = Score(status="unknown") if value is None else Score(status="scored", value=sign * value)

    def take(self, stance: str) -> None:
        self.stance.append(stance)

    def as_side(self) -> Side:
        told = {"calls": tuple(self.calls), "stance": tuple(sorted(self.stance)), "missed_by": tuple(self.missed_by)}
        return Side(**told, **self.side)  # type: ignore[arg-type]  # by name, from the table below

    def flag(self, rule: str) -> None:
        self.flags.append(Flag(rule=rule, severity=3))


def staged(
    number: int,
    lane: Lane,
    act: Act,
    *,
    production: Act | None = None,
    mode: Mode = "free",
    disposition: Disposition = "compared",
) -> Comparison:
    """Conversation `number` in a lane, a trace of its own, at offset `number`; production acted as this lane did, if
    nothing else is said. All were served within seconds: no plan is over because of its time.
    """
    draft, served = _drafted(act), _drafted(act if production is None else production)
    trace_id = f"staged-{number}"
    return Comparison(
        comparison_id=Unit(trace_id, 0, "baseline", "candidate", mode, lane).comparison_id,
        run_id="staged",
        trace_id=trace_id,
        source=Source(topic=TOPIC, offset=number),
        baseline="baseline",
        candidate="candidate",
        mode=mode,
        lane=lane,
        lane_probability=1.0,
        disposition=disposition,
        comparator_set="staged",
        scores=draft.scores,
        flags=tuple(draft.flags),
        severity=draft.severity,
        coverage=Coverage(calls=1, exact=1.0, grades={"exact": 1}),
        production_started_at=number * _MILLISECOND_NS,
        production=served.as_side(),
        replay=draft.as_side(),
    )


def _drafted(act: Act) -> _Draft:
    draft = _Draft()
    for name, value in act.items():
        _write(draft, name, value)
    return draft


def _write(draft: _Draft, name: str, value: float | None) -> None:
    family, _, rest = name.partition(":")
    if family == "score" and rest in DIMENSION:
        draft.score(rest, value)
    elif family == "flag" and rest in RULE_WORDS:
        if value:
            draft.flag(rest)
    else:
        _WRITE[name](draft, value)


def _if_it_happened(write: Callable[[_Draft], object]) -> Callable[[_Draft, float | None], None]:
    def written(draft: _Draft, value: float | None) -> None:
        if value:
            write(draft)

    return written


def _mismatch(draft: _Draft, value: float | None) -> None:
    draft.score("tools.write", value)
    draft.scores.setdefault("tools.handoff", Score(status="not_applicable"))


def _outcome(draft: _Draft, failed: float | None) -> None:
    draft.side["expected"] = None if failed is None else not failed
    if failed:
        draft.missed_by.append("otherwise")


def _missed_by(way: Way) -> Callable[[_Draft, float | None], None]:
    def written(draft: _Draft, value: float | None) -> None:
        if value:
            draft.missed_by.append(way)
        draft.side["expected"] = None if value is None else draft.side.get("expected", True) and not value

    return written


def _quantity(name: str, write: Callable[[float], object]) -> Callable[[_Draft, float | None], None]:
    return lambda draft, value: draft.side.update({name: None if value is None else write(value)})


def _nanoseconds(milliseconds: float) -> int:
    return int(milliseconds * _MILLISECOND_NS)


def _log_ratio(verbosity: float) -> float:
    """An answer that is all surplus is longer than any."""
    return -log(1.0 - verbosity) if verbosity < 1 else _ENDLESS


#: How each named signal is brought about.
_WRITE: Mapping[str, Callable[[_Draft, float | None], None]] = {
    "escalation": _if_it_happened(lambda draft: draft.call("handoff", "succeeded")),
    "staff_minutes": _if_it_happened(lambda draft: draft.call("handoff", "succeeded")),
    "approval_request": _if_it_happened(lambda draft: draft.side.update(decisions={"needs_approval": 1})),
    "refusal": _if_it_happened(lambda draft: draft.take("refuses")),
    "clarification": _if_it_happened(lambda draft: draft.take("asks")),
    "hedge": _if_it_happened(lambda draft: draft.take("hedges")),
    "failed_calls": _if_it_happened(lambda draft: draft.call("read", "failed")),
    "no_answer": _if_it_happened(lambda draft: draft.side.update(answer=None)),
    "unsafe_action": _if_it_happened(lambda draft: draft.flag("guard_loosened")),
    "false_claim": _if_it_happened(lambda draft: draft.flag("claim_without_write")),
    "severe": _if_it_happened(lambda draft: setattr(draft, "severity", 3)),
    "expected_failed": _outcome,
    "expected_omitted": _missed_by("omitted"),
    "expected_exceeded": _missed_by("exceeded"),
    "tool_mismatch": _mismatch,
    "answer_distance": lambda draft, value: draft.score("answer.lexical", value),
    "verbosity": lambda draft, value: draft.score("answer.length", None if value is None else _log_ratio(value)),
    "latency_ms": _quantity("model_latency_ns", _nanoseconds),
    "first_token_ms": _quantity("ttft_ns", _nanoseconds),
    "cost_usd": _quantity("cost_usd", lambda usd: f"{usd:.9f}"),
    "output_tokens": _quantity("usage", lambda tokens: Usage(output_tokens=int(tokens))),
}
