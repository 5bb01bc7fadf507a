"""The gate's file: what must be proved of a candidate before it may be promoted.

    gate:
      alpha: {rollback: 0.05, promote: 0.05}
      max_pairs: 8000
      metrics:
        - {id: escalation, kind: paired_binary, margin: 0.02, weight: 2}
        - {id: slow, kind: paired_exceedance, signal: latency_ms, threshold: 4000, margin: 0.01}

It is the operator's, or stands in the baseline's rollout policy. A candidate cannot bring its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from replay.bundle import Bundle, digest_of
from replay.bundle_files import Piece
from replay.bundle_pieces import in_words
from replay.bundle_yaml import YamlDocument, dotted
from replay.errors import BundleError, BundleIssue, UsageError
from replay.exact_json import Json
from replay.gate.burden import EVENTS, STAFF_MINUTES
from replay.gate.signals import Nature, names_of_signals, signal_of

Kind: TypeAlias = Literal[
    "paired_binary", "paired_bounded", "paired_exceedance", "paired_mean_capped", "paired_sign", "zero_tolerance"
]
#: What each kind is about, and the fields it needs.
KINDS: Mapping[Kind, tuple[frozenset[Nature], frozenset[str]]] = {
    "paired_binary": (frozenset({"event"}), frozenset({"margin"})),
    "paired_bounded": (frozenset({"event", "share"}), frozenset({"margin"})),
    "paired_exceedance": (frozenset({"quantity"}), frozenset({"margin", "threshold"})),
    "paired_mean_capped": (frozenset({"quantity"}), frozenset({"rel_margin", "cap"})),
    "paired_sign": (frozenset({"quantity"}), frozenset({"rel_margin"})),
    "zero_tolerance": (frozenset({"event"}), frozenset({"max_rate"})),
}
_FIELDS = ("margin", "rel_margin", "threshold", "cap", "max_rate")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)", re.ASCII)
#: Minutes of staff that an event costs.
Minutes: TypeAlias = Annotated[float, Field(gt=0, le=10_000)]
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

Share: TypeAlias = Annotated[float, Field(gt=0, lt=1)]
#: Signals that see how an answer is worded, and never whether it is right.
WORDING = frozenset({"answer_distance", "score:answer.lexical", "score:answer.length", "score:answer.semantic"})
#: The largest gate file that is read.
_MAX_BYTES = 1 << 20


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Alpha(_Model):
    """Chances of an error: rolling back a candidate that is no worse, promoting one that is."""

    rollback: Share = 0.05
    promote: Share = 0.05


class Metric(_Model):
    """One thing that must not get worse. `signal` names what is measured; by default it is called like the metric.

    `margin` is what is tolerated, in units of the signal's mean; `rel_margin` a share of the baseline's value.
    `dry_run` metrics are reported and never vote.
    """

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,63}$")]
    kind: Kind
    signal: str = ""
    margin: Share | None = None
    rel_margin: Annotated[float, Field(gt=0, le=10)] | None = None
    threshold: Annotated[float, Field(gt=0)] | None = None
    cap: Annotated[float, Field(gt=0)] | None = None
    max_rate: Share | None = None
    blocking: bool = True
    dry_run: bool = False
    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0

    @property
    def measured(self) -> str:
        return self.signal or self.id

    @property
    def votes(self) -> bool:
        return self.blocking and not self.dry_run

    @property
    def tolerated(self) -> float:
        """The mean difference that has to be ruled out. A relative margin is inside the difference already."""
        return self.margin or self.max_rate or 0.0

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Metric:
        natures, needed = KINDS[self.kind]
        given = frozenset(name for name in _FIELDS if getattr(self, name) is not None)
        if needed - given:
            raise ValueError(f"{self.kind} needs {' and '.join(sorted(needed - given))}")
        if given - needed:
            raise ValueError(f"{self.kind} has no use for {' and '.join(sorted(given - needed))}")
        signal = signal_of(self.measured)
        if signal is None:
            raise ValueError(f"there is no signal {self.measured!r}; expected one of {names_of_signals()}")
        if signal.nature not in natures:
            raise ValueError(f"{self.kind} is about {_or(natures)}; {self.measured} is of kind {signal.nature}")
        return self


class Missing(_Model):
    """How much may be missing before the gate refuses to speak: replays that failed in both lanes alike, and
    conversations in which a metric could not be measured. A replay that is missing in one lane only scores worst.
    """

    max_failed_alike_rate: Annotated[float, Field(ge=0, le=1)] = 0.05
    max_unknown_rate: Annotated[float, Field(ge=0, le=1)] = 0.05


class Slices(_Model):
    """`fdr`: the share of the slices that are told to be worse which may be so by chance."""

    fdr: Share = 0.1


class Gate(_Model):
    """A whole gate. Durations are texts such as "30m", and times are those at which production served its requests: the
    plan's `max_wait`, too, goes on with the traffic and never by the wall clock.
    """

    unit: Literal["conversation"] = "conversation"
    mode: Literal["free", "forced"] = "free"
    alpha: Alpha = Alpha()
    max_pairs: Annotated[int, Field(ge=1)] = 8000
    max_wait: str = "7d"
    idle: str = "30m"
    max_age: str = "24h"
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1, max_length=100, strict=False)]
    missing: Missing = Missing()
    minutes: dict[str, Minutes] = {}
    slices: Slices = Slices()
    on_inconclusive: Literal["hold", "rollback"] = "hold"

    @field_validator("max_wait", "idle", "max_age")
    @classmethod
    def _is_duration(cls, value: str) -> str:
        if _DURATION.fullmatch(value) is None:
            raise ValueError('expected a duration such as "90s", "30m", "24h" or "7d"')
        return value

    @field_validator("minutes")
    @classmethod
    def _prices_events(cls, minutes: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(minutes) - set(EVENTS))
        if unknown:
            raise ValueError(f"there is no event {unknown[0]!r}; expected one of {', '.join(EVENTS)}")
        return minutes

    @model_validator(mode="after")
    def _knows_its_prices(self) -> Gate:
        if STAFF_MINUTES in self.signals and not self.minutes:
            raise ValueError(f"{STAFF_MINUTES} needs `minutes`, what each event costs, such as {{escalation: 12}}")
        return self

    @field_validator("on_inconclusive", mode="before")
    @classmethod
    def _never_promotes(cls, value: Json) -> Json:
        if value == "promote":
            raise ValueError("no evidence of harm is no evidence of safety; expected hold or rollback")
        return value

    @field_validator("metrics")
    @classmethod
    def _can_decide(cls, metrics: tuple[Metric, ...]) -> tuple[Metric, ...]:
        ids = [metric.id for metric in metrics]
        twins = sorted({name for name in ids if ids.count(name) > 1})
        if twins:
            raise ValueError(f"two metrics have the id {twins[0]}")
        voting = [metric for metric in metrics if metric.votes]
        if not voting:
            raise ValueError("no metric votes, so that nothing could stop a candidate; expected one that is blocking")
        if all(metric.measured in WORDING for metric in voting):
            raise ValueError("similar words may say the opposite; expected a voting metric of another kind beside them")
        return metrics

    @property
    def digest(self) -> str:
        return digest_of(self.model_dump(mode="json"))

    @property
    def wait_seconds(self) -> float:
        return seconds_of(self.max_wait)

    @property
    def signals(self) -> tuple[str, ...]:
        """What is measured, each once, in the order of the metrics."""
        return tuple(dict.fromkeys(metric.measured for metric in self.metrics))


def seconds_of(duration: str) -> float:
    """"90s", "30m", "24h" or "7d" in seconds."""
    found = _DURATION.fullmatch(duration)
    assert found is not None  # noqa: S101 - the model has checked it
    return float(found[1]) * _SECONDS[found[2]]


def load_gate(path: Path) -> Gate:
    """Read a gate's file: the gate itself, or a mapping with it under `gate`.

    Raises `UsageError` when it cannot be read, `BundleError` with every fault, its path and its line.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise UsageError(f"{path}: larger than a gate's file can be ({_MAX_BYTES:,} bytes)")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from None
    document = YamlDocument(text)
    if document.problems:
        issues = [BundleIssue(path, dotted(at), f"line {line}: {words}") for line, at, words in document.problems]
        raise BundleError(tuple(issues), what="gate")
    whole = Piece(path, document.value, (), document.lines)
    return gate_of(whole.at("gate") if isinstance(document.value, dict) and "gate" in document.value else whole)


def gate_of(piece: Piece) -> Gate:
    """A gate from parsed YAML or JSON. Raises `BundleError` with every fault."""
    try:
        return Gate.model_validate(piece.value)
    except ValidationError as error:
        issues = tuple(piece.issue(in_words(detail, None), *detail["loc"]) for detail in error.errors())
        raise BundleError(issues, what="gate") from None


def gate_from(document: Json) -> Gate:
    """A gate as a verdict carries it. Raises `BundleError`."""
    return gate_of(Piece(Path("verdict"), document, ("gate",)))


def gate_in(baseline: Bundle) -> Gate | None:
    """The gate in the baseline's rollout policy, if it has one."""
    policy = baseline.rollout_policy
    if policy is None or policy.gate is None:
        return None
    return gate_of(Piece(baseline.directory / "bundle.yaml", policy.gate, ("rollout_policy", "gate")))


def _or(natures: frozenset[Nature]) -> str:
    return " or ".join(sorted(natures))
