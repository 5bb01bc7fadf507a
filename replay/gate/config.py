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

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from comparators.differences import STEPS
from replay.bundle import Bundle, digest_of
from replay.bundle_files import Piece
from replay.bundle_pieces import in_words
from replay.bundle_yaml import YamlDocument, dotted, short
from replay.errors import BundleError, BundleIssue, UsageError
from replay.exact_json import Json
from replay.gate.amounts import Duration, Margin, Rate, RelativeMargin, Share, seconds_of
from replay.gate.burden import EVENTS, STAFF_MINUTES
from replay.gate.signals import ALIASES, Nature, names_of_signals, signal_of

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
#: What a metric in a dry run does without: it is told only. A relative margin is a part of what is measured.
_OPTIONAL = frozenset({"margin", "max_rate"})
#: Spellings of a field that say its unit.
_IN_UNITS: Mapping[str, tuple[str, str]] = {"threshold_ms": ("threshold", "ms"), "cap_usd": ("cap", "USD")}
#: No mean can be proved to lie between this and 1: the next step of the scale is 1.
_LARGEST_MARGIN = 1.0 - 1.0 / STEPS

#: Minutes of staff that an event costs.
Minutes: TypeAlias = Annotated[float, Field(gt=0, le=10_000)]
#: A bundle by its digest. Dots in its place leave it open.
Digest: TypeAlias = Annotated[str, Field(pattern=r"^sha256:([0-9a-f]{64}|…|\.\.\.)$")]
#: Signals that see how an answer is worded, and never whether it is right.
WORDING = frozenset(
    {"answer_distance", "verbosity", "score:answer.lexical", "score:answer.length", "score:answer.semantic"}
)
_SECOND_NS = 1_000_000_000
#: The largest gate file that is read.
_MAX_BYTES = 1 << 20


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    #: Fields that came later. With their default they are left out, so that a gate keeps the digest it had.
    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        default = {name for name in self.later if getattr(self, name) == fields[name].get_default()}
        return {name: value for name, value in write(self).items() if name not in default}


class Alpha(_Model):
    """Chances of an error: rolling back a candidate that is no worse, promoting one that is."""

    rollback: Share = 0.05
    promote: Share = 0.05


class Metric(_Model):
    """One thing that must not get worse. `signal` names what is measured; by default it is called like the metric.

    `margin` is what is tolerated, in units of the signal's mean; `rel_margin` a share of the baseline's value.
    `threshold` and `cap` are in the signal's unit, and may be spelt with it: `threshold_ms`, `cap_usd`.
    `dry_run` metrics are reported and never vote; without a margin they are told, and never certified.
    """

    later = frozenset({"worse"})

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,63}$")]
    kind: Kind
    signal: str = ""
    worse: Literal["up"] = "up"
    margin: Margin | None = None
    rel_margin: RelativeMargin | None = None
    threshold: Annotated[float, Field(gt=0)] | None = None
    cap: Annotated[float, Field(gt=0)] | None = None
    max_rate: Share | None = None
    blocking: bool = True
    dry_run: bool = False
    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0

    @property
    def measured(self) -> str:
        name = self.signal or self.id
        return ALIASES.get(name, name)

    @property
    def votes(self) -> bool:
        return self.blocking and not self.dry_run

    @property
    def tolerated(self) -> float:
        """The mean difference that has to be ruled out. A relative margin is inside the difference already."""
        return min(self.margin or self.max_rate or 0.0, _LARGEST_MARGIN)

    @property
    def has_margin(self) -> bool:
        """Whether there is anything that it could be certified for."""
        return any(amount is not None for amount in (self.margin, self.rel_margin, self.max_rate))

    @model_validator(mode="before")
    @classmethod
    def _in_units(cls, value: Json) -> Json:
        if not isinstance(value, dict):
            return value
        plain = dict(value)
        for spelling, (field, unit) in _IN_UNITS.items():
            if spelling in plain:
                _agrees(plain, spelling, field, unit)
                plain[field] = plain.pop(spelling)
        return plain

    @field_validator("worse", mode="before")
    @classmethod
    def _more_is_worse(cls, value: Json) -> Json:
        if value != "up":
            raise ValueError(f"a signal says how bad something is, so more is worse; expected up; found {short(value)}")
        return value

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Metric:
        natures, needed = KINDS[self.kind]
        given = frozenset(name for name in _FIELDS if getattr(self, name) is not None)
        absent = needed - given - (_OPTIONAL if self.dry_run else frozenset())
        if absent:
            raise ValueError(f"{self.kind} needs {' and '.join(sorted(absent))}")
        if given - needed:
            raise ValueError(f"{self.kind} has no use for {' and '.join(sorted(given - needed))}")
        signal = signal_of(self.measured)
        if signal is None:
            raise ValueError(f"there is no signal {self.measured!r}; expected one of {names_of_signals()}")
        if signal.nature not in natures:
            raise ValueError(f"{self.kind} is about {_or(natures)}; {self.measured} is of kind {signal.nature}")
        return self


def _agrees(metric: Mapping[str, Json], spelling: str, field: str, unit: str) -> None:
    """A spelling that says a unit says the signal's, and says it alone. Raises `ValueError`."""
    if field in metric:
        raise ValueError(f"{spelling} and {field} are the same; expected one of them")
    name = metric.get("signal") or metric.get("id")
    signal = signal_of(ALIASES.get(name, name)) if isinstance(name, str) else None
    if signal is not None and signal.unit != unit:
        its = f"in {signal.unit}" if signal.unit else "no amount"
        raise ValueError(f"{spelling} is in {unit}; {signal.name} is {its}")


class Missing(_Model):
    """How much may be missing before the gate refuses to speak: replays that failed in both lanes alike, conversations
    in which a metric could not be measured (such as those of which the baseline's replay alone is missing), and those
    in which a stub had to guess (null = as long as guesses decide nothing). `pair`: the candidate's replay that is
    missing alone scores worst. `metric`: one that is missing holds.
    """

    later = frozenset({"pair", "metric", "max_unmatched_stub_rate"})

    pair: Literal["worst_case"] = "worst_case"
    metric: Literal["hold"] = "hold"
    max_failed_alike_rate: Rate = 0.05
    max_unknown_rate: Rate = 0.05
    max_unmatched_stub_rate: Rate | None = None


class RollbackTarget(_Model):
    """What to go back to, by default the baseline; and how old a verdict may be that has promoted it, null = any."""

    bundle: Digest | None = None
    require_certified_within: Duration | None = None

    @property
    def named(self) -> str | None:
        """Null where it is left open."""
        return self.bundle if self.bundle is not None and self.bundle[-1] not in "…." else None


class Slices(_Model):
    """`fdr`: the share of the slices that are told to be worse which may be so by chance."""

    fdr: Share = 0.1


class Gate(_Model):
    """A whole gate. Durations are texts such as "30m", and times are those at which production served its requests: the
    plan's `max_wait`, too, goes on with the traffic and never by the wall clock.

    `replay_timeout`: a replay that spends longer than this inside the model has failed.
    """

    later = frozenset({"replay_timeout", "rollback_target"})

    unit: Literal["conversation"] = "conversation"
    mode: Literal["free", "forced"] = "free"
    alpha: Alpha = Alpha()
    max_pairs: Annotated[int, Field(ge=1)] = 8000
    max_wait: Duration = "7d"
    idle: Duration = "30m"
    max_age: Duration = "24h"
    replay_timeout: Duration | None = None
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1, max_length=100, strict=False)]
    missing: Missing = Missing()
    minutes: dict[str, Minutes] = {}
    slices: Slices = Slices()
    on_inconclusive: Literal["hold", "rollback"] = "hold"
    rollback_target: RollbackTarget = RollbackTarget()

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
        dearest = max(self.minutes, key=self.minutes.__getitem__, default="")
        for metric in self.metrics:
            if metric.measured == STAFF_MINUTES and metric.cap is not None and metric.cap < self.minutes[dearest]:
                price = f"a single {dearest} costs {self.minutes[dearest]:g}"
                raise ValueError(f"{metric.id}: a cap of {metric.cap:g}, and {price}; expected a cap of at least that")
        return self

    @model_validator(mode="after")
    def _closes_by_silence_first(self) -> Gate:
        if seconds_of(self.idle) > seconds_of(self.max_age):
            raise ValueError(f"idle ({self.idle}) is longer than max_age ({self.max_age}); expected it to be shorter")
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
    def timeout_ns(self) -> int | None:
        return None if self.replay_timeout is None else int(seconds_of(self.replay_timeout) * _SECOND_NS)

    @property
    def signals(self) -> tuple[str, ...]:
        """What is measured, each once, in the order of the metrics."""
        return tuple(dict.fromkeys(metric.measured for metric in self.metrics))


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
        issues = tuple(piece.issue(_in_words(detail), *detail["loc"]) for detail in _causes(error))
        raise BundleError(issues, what="gate") from None


#: What stands where something else was found, by model.
_SUCH_AS: Mapping[str, str] = {
    "Gate": "{metrics: [{id: escalation, kind: paired_binary, margin: 0.02}]}",
    "Metric": "{id: escalation, kind: paired_binary, margin: 0.02}",
    "Alpha": "{rollback: 0.05, promote: 0.05}",
    "Missing": "{max_unknown_rate: 0.05}",
    "Slices": "{fdr: 0.1}",
    "RollbackTarget": "{require_certified_within: 30d}",
}


def _causes(error: ValidationError) -> Iterator[Mapping[str, Any]]:
    """Metrics that could not be read are no lack of metrics."""
    details = error.errors()
    faulty = any(detail["loc"][:1] == ("metrics",) and len(detail["loc"]) > 1 for detail in details)
    return (it for it in details if not (faulty and it["type"] == "too_short" and it["loc"] == ("metrics",)))


def _in_words(detail: Mapping[str, Any]) -> str:
    if detail["type"] in ("model_type", "model_attributes_type"):
        found = "nothing" if detail["input"] is None else short(detail["input"])
        return f"expected a mapping such as {_SUCH_AS[detail['ctx']['class_name']]}; found {found}"
    return in_words(detail, Gate)


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
