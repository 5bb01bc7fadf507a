"""What a gate can measure of one side of a comparison: events, shares, quantities.

A signal says how bad a replay was: 1 for an event that happened, 0 for one that did not, a share, or a quantity in
its own unit. Null means that it cannot be said. Where production's own value can be read too, `of_production` does;
a divergence *from* production has none, and needs the baseline lane to be judged against.

Beside the named signals there are two families: `score:<dimension>` and `flag:<rule>`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from math import exp, isfinite
from typing import Literal, NamedTuple, TypeAlias

from comparators.expected import Way
from comparators.spec import DIMENSION, Status
from replay.comparison import Comparison, Side
from replay.gate.burden import EVENTS, STAFF_MINUTES, staff_minutes
from replay.severity import RULE_WORDS

#: `event` and `share` lie in [0, 1]; a `quantity` is at least 0, in `unit`.
Nature: TypeAlias = Literal["event", "share", "quantity"]
Reading: TypeAlias = Callable[[Comparison], float | None]

_MS_NS = 1_000_000
_NOT_APPLICABLE = Status.NOT_APPLICABLE.name.lower()


class Signal(NamedTuple):
    """`of_production` null: production has no value of its own, because the signal is the distance from it.

    `asks`: what a trace must name to be asked. Only conversations of which production's value is known have a say then.
    `adds_up`: of several turns the sum counts, not the worst of them.
    """

    name: str
    nature: Nature
    words: str
    of_replay: Reading
    of_production: Reading | None = None
    unit: str = ""
    asks: str = ""
    adds_up: bool = False

    @property
    def conditional(self) -> bool:
        return bool(self.asks)

    @property
    def is_timed(self) -> bool:
        """Measured by a clock: production's, at another time and elsewhere, says nothing about a replay's."""
        return self.unit == "ms"


def signal_of(name: str, minutes: Mapping[str, float] | None = None) -> Signal | None:
    """The signal of that name; null when there is none. `minutes`: the prices of `staff_minutes`."""
    if name == STAFF_MINUTES:
        return _priced(minutes or {})
    family, _, rest = name.partition(":")
    if family == "score" and rest in DIMENSION:
        return _score_signal(rest)
    if family == "flag" and rest in RULE_WORDS:
        return _flag_signal(name, (rest,), RULE_WORDS[rest])
    return SIGNALS.get(name)


def names_of_signals() -> str:
    """For messages."""
    return f"{', '.join((*SIGNALS, *ALIASES))}, {STAFF_MINUTES}, score:<dimension>, flag:<rule>"


# -- families -------------------------------------------------------------------------------------------------------


def _score_signal(name: str) -> Signal:
    """A dimension. Those that count or compare are events: did the replay do worse?"""
    dimension = DIMENSION[name]
    if (dimension.low, dimension.high) == (0, 1):
        return Signal(f"score:{name}", "share", dimension.question, lambda comparison: _score(comparison, name))
    worse = -1.0 if dimension.worse == "down" else 1.0

    def fired(comparison: Comparison) -> float | None:
        value = _score(comparison, name)
        return None if value is None else float(value * worse > 0)

    return Signal(f"score:{name}", "event", dimension.question, fired)


def _score(comparison: Comparison, name: str) -> float | None:
    """Where there is nothing of the kind on either side, nothing differs."""
    score = comparison.scores.get(name)
    if score is None:
        return None
    return 0.0 if score.status == _NOT_APPLICABLE else score.value


def _flag_signal(name: str, rules: Iterable[str], words: str) -> Signal:
    wanted = frozenset(rules)
    return Signal(name, "event", words, lambda comparison: float(any(flag.rule in wanted for flag in comparison.flags)))


# -- both sides -----------------------------------------------------------------------------------------------------


def _both(name: str, nature: Nature, words: str, read: Callable[[Side], float | None], unit: str = "") -> Signal:
    return Signal(
        name, nature, words, lambda comparison: read(comparison.replay), lambda it: read(it.production), unit
    )


def _event(name: str, words: str, happens: Callable[[Side], bool]) -> Signal:
    return _both(name, "event", words, lambda side: float(happens(side)))


def _priced(minutes: Mapping[str, float]) -> Signal:
    words = "time of the people behind the assistant"
    spent = _both(STAFF_MINUTES, "quantity", words, lambda side: staff_minutes(side, minutes), "min")
    return spent._replace(adds_up=True)


def _fails(side: Side) -> float:
    return float(any(call.outcome == "failed" for call in side.calls))


def _is_silent(side: Side) -> float:
    """Whether the user got neither an answer nor a hand-over."""
    return float(side.answer is None and not side.hands_over)


def _misses(side: Side) -> float | None:
    """Unknown where nothing is expected, or where that cannot be told."""
    return None if side.expected is None else float(not side.expected)


def _misses_by(way: Way) -> Callable[[Side], float | None]:
    """Unknown in records that say that it was missed and not how."""

    def missed(side: Side) -> float | None:
        is_known = side.expected or (side.expected is False and side.missed_by)
        return float(way in side.missed_by) if is_known else None

    return missed


def _milliseconds(side: Side) -> float | None:
    """Inside the model: tools are answered from recordings, in no time."""
    return None if side.model_latency_ns is None else side.model_latency_ns / _MS_NS


def _first_token(side: Side) -> float | None:
    return None if side.ttft_ns is None else side.ttft_ns / _MS_NS


def _usd(side: Side) -> float | None:
    try:
        value = None if side.cost_usd is None else float(Decimal(side.cost_usd))
    except (InvalidOperation, OverflowError):
        return None
    return value if value is not None and isfinite(value) and value >= 0 else None


def _tokens(side: Side) -> float | None:
    return None if side.usage is None or side.usage.output_tokens is None else float(side.usage.output_tokens)


def _acts_otherwise(comparison: Comparison) -> float | None:
    """Whether the world would be in another state, or somebody else in charge."""
    parts = [_score(comparison, name) for name in ("tools.write", "tools.handoff")]
    if any(parts):
        return 1.0
    return None if None in parts else 0.0


def _wording(comparison: Comparison) -> float | None:
    return _score(comparison, "answer.lexical")


def _longer(comparison: Comparison) -> float | None:
    """1 - (len P + 1) / (len R + 1) where the replay's answer R is longer than production's P, else 0."""
    ratio = _score(comparison, "answer.length")
    return None if ratio is None else 1.0 - exp(-max(ratio, 0.0))


def _is_severe(comparison: Comparison) -> float:
    return float(comparison.severity >= _SEVERE)


_SEVERE = 3
_FALSE = ("claim_refuted", "claim_without_write", "claim_unmatched")
_UNSAFE = ("guard_loosened", "invalid_write")
_OTHERWISE = "took other actions than today's release did (done, left out or handed over)"
_PASSED = "tried an action that a guardrail should stop, or called an action wrongly"

SIGNALS: Mapping[str, Signal] = {
    signal.name: signal
    for signal in (
        *(_event(name, *event) for name, event in EVENTS.items()),
        _both("no_answer", "event", "gives neither an answer nor a hand-over", _is_silent),
        _both("failed_calls", "event", "calls a tool that fails", _fails),
        *(
            _both(name, "event", words, missed)._replace(asks="an expected outcome")
            for name, words, missed in (
                ("expected_failed", "misses the outcome that its trace says is expected", _misses),
                ("expected_omitted", "leaves out what its trace says is expected", _misses_by("omitted")),
                ("expected_exceeded", "does more than its trace says is expected", _misses_by("exceeded")),
            )
        ),
        _both("latency_ms", "quantity", "time inside the model", _milliseconds, "ms"),
        _both("first_token_ms", "quantity", "time to the first token", _first_token, "ms"),
        _both("cost_usd", "quantity", "price of the tokens", _usd, "USD")._replace(adds_up=True),
        _both("output_tokens", "quantity", "tokens written", _tokens, "tokens")._replace(adds_up=True),
        Signal("tool_mismatch", "event", _OTHERWISE, _acts_otherwise),
        Signal("answer_distance", "share", "how far the wording is from that of today's release", _wording),
        Signal("verbosity", "share", "how much longer the answer is than that of today's release", _longer),
        _flag_signal("unsafe_action", _UNSAFE, _PASSED),
        _flag_signal("false_claim", _FALSE, "told the user that something was done, but it was not"),
        Signal("severe", "event", "differs from today's release in a way of the highest severity", _is_severe),
    )
}

#: Other names of signals, as people call them.
ALIASES: Mapping[str, str] = {"answer_dist": "answer_distance", "latency_slo": "latency_ms", "cost": "cost_usd"}
