"""The verdict: promote, hold or roll back, and everything that it was made of (`verdict/1`).

A verdict can be audited alone: it names the gate, word for word, the prefix of the comparisons that was counted, and
what the evidence says of each metric. Whoever folds the same prefix again must come to the same verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from math import exp, log
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from replay.exact_json import Json, dumps
from replay.trace import Count, NonEmpty, Offset, Record

Decision: TypeAlias = Literal["promote", "hold", "roll_back"]
Standing: TypeAlias = Literal["within_margin", "beyond_margin", "open", "uncalibrated", "not_measured"]

#: ns since the epoch, in 2262.
_END_OF_TIME = 2**63 - 1

ReasonCode: TypeAlias = Literal[
    "proved_worse", "never_event", "inconclusive", "no_evidence", "underpowered", "uncalibrated", "blind_metric",
    "stub_gap", "missing_replays", "not_exercised", "placebo_fired", "stale_stream",
]  # fmt: skip
#: Why a verdict is a hold, or what else speaks against the candidate. The list is closed.
REASONS: Mapping[ReasonCode, str] = {
    "proved_worse": "a metric is proved to be worse than its margin",
    "never_event": "an event that must never happen has happened",
    "inconclusive": "no decision within the plan, and the gate says to roll back then",
    "no_evidence": "no conversation has voted yet",
    "underpowered": "more conversations are needed",
    "uncalibrated": "a metric can only be judged beside a baseline lane",
    "blind_metric": "a metric could not be measured often enough",
    "stub_gap": "stubs had to guess, and the verdict depends on what they guessed",
    "missing_replays": "too many replays failed for reasons that say nothing about the candidate",
    "not_exercised": "a changed surface was not executed by the replay",
    "placebo_fired": "the bundle in production differs from itself: stubs or provider are at fault",
    "stale_stream": "the plan's time is over and no decision was reached",
}


class Reason(Record, frozen=True, kw_only=True):
    """`words`: the reason, what was found, and what to do about it, as "reason: found. Next: advice"."""

    code: ReasonCode
    words: str
    metrics: tuple[str, ...] = ()


class MetricEvidence(Record, frozen=True, kw_only=True):
    """What is known of one metric. Of two figures the first is the candidate's best case, the second its worst.

    `mean`: the mean difference. `log_e_harm`, `log_e_safe`: natural logs of the e-values against "no worse than the
    margin" and "worse than the margin". `band`: where the mean lies, each end with confidence 1 - alpha at any time, of
    roll back the lower one and of promote the upper one. `certifiable`: the smallest margin that could be certified.
    `more_pairs`: still needed, as far as can be said. `uncalibrated`: conversations without the lane that it takes.
    `headroom`: the mean difference of a candidate that is at its worst everywhere: where production is at its worst
    already, no harm can show. Null in older records.
    """

    id: str
    kind: str
    signal: str
    standing: Standing
    votes: bool
    weight: float
    margin: float
    pairs: Count
    unknown: Count = 0
    uncalibrated: Count = 0
    mean: tuple[float, float] | None = None
    log_e_harm: tuple[float, float] = (0.0, 0.0)
    log_e_safe: tuple[float, float] = (0.0, 0.0)
    band: tuple[float, float] | None = None
    certifiable: float | None = None
    more_pairs: int | None = None
    hits: Count = 0
    lane_hits: Count = 0
    """Conversations in which production's own replay had an event that must never happen, and the candidate's not."""
    headroom: float | None = None
    exemplars: tuple[str, ...] = ()

    @property
    def has_happened(self) -> bool:
        """Whether what must never happen was seen, with the candidate alone: else it is judged by its rate."""
        return self.hits > 0 and not self.lane_hits


def stands_out(metric: MetricEvidence, alpha: float) -> bool:
    """Whether a metric would be proved to be worse than its margin if it were the only one."""
    return metric.log_e_harm[0] >= -log(alpha)


def odds_of(log_e: float) -> str:
    """An e-value as one reads a bet."""
    return "more than a million to one" if log_e > log(1e6) else f"{exp(log_e):,.0f} to one"


class SliceFinding(Record, frozen=True, kw_only=True):
    """Conversations among which a metric is worse than its margin. `log_e`: of the candidate's best case."""

    attribute: str
    value: str
    metric: str
    pairs: Count
    mean: tuple[float, float]
    log_e: float
    exemplars: tuple[str, ...] = ()


class Target(Record, frozen=True, kw_only=True):
    """The bundle to go back to. `certified_at`: when a verdict that can still be relied on has promoted it, ns since
    the epoch, as far as whoever wrote this could see; null = nothing is known.
    """

    bundle: NonEmpty
    certified_at: Annotated[int, Meta(ge=0, lt=_END_OF_TIME)] | None = None


class Prefix(Record, frozen=True, kw_only=True):
    """What was counted: everything of this partition below `offset`. `first`: where the first comparison of it stands;
    null when there is none, or the verdict is of a program that did not say.
    """

    topic: str
    partition: Offset
    offset: Offset
    first: Offset | None = None


class Verdict(Record, frozen=True, kw_only=True):
    verdict_id: NonEmpty
    run_id: NonEmpty
    decision: Decision
    reasons: tuple[Reason, ...] = ()
    rollback_target: Target | None = None
    """Of a verdict that says roll back."""
    baseline: NonEmpty
    candidate: NonEmpty
    comparator_set: str
    gate_sha256: NonEmpty
    gate: Json
    prefixes: tuple[Prefix, ...]
    complete: bool = False
    """Whether the run was over, so that conversations that were open have voted, too."""
    conversations: Count
    turns: Count = 0
    unseen: Count = 0
    """Records that have not ended, one for each partition: taken for that difference which proves least."""
    late_turns: Count = 0
    open_conversations: Count = 0
    failed: Count = 0
    failed_alike: Count = 0
    excused: Count = 0
    """Conversations whose replay failed through no doing of the candidate, beside no lane: they may be anything."""
    guessed: Count = 0
    not_exercised: tuple[str, ...] = ()
    calibrated: bool = False
    log_e_rollback: tuple[float, float] = (0.0, 0.0)
    rollback_metric: str | None = None
    metrics: tuple[MetricEvidence, ...] = ()
    placebo: tuple[MetricEvidence, ...] = ()
    slices: tuple[SliceFinding, ...] = ()
    """Where it is worse, the surest first; of all slices times metrics that were looked at, `slices_examined`."""
    slices_examined: Count = 0
    first_at: int | None = None
    last_at: int | None = None
    seconds_to_decision: float | None = None
    emitted_at: int | None = None


def verdict_id(run_id: str, gate_sha256: str, prefixes: Iterable[Prefix], *, complete: bool) -> str:
    """What was counted, by which gate: the same votes have the same verdict."""
    counted = sorted([prefix.topic, prefix.partition, prefix.offset] for prefix in prefixes)
    return sha256(dumps([run_id, gate_sha256, counted, complete])).hexdigest()
