"""What the service says about one replay (`comparison/1`), and the two records that travel beside it.

A comparison can be audited alone: it names what was compared, where the trace came from, what both sides did,
every score with its status, and why each flag was raised. `comparison_id` covers what was compared, not when or
where, so a record that is delivered twice carries the same id.
"""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import Annotated, Literal, NamedTuple, TypeAlias

import msgspec

from replay.exact_json import Json, dumps
from replay.trace import Count, Money, NonEmpty, Offset, Record, Usage

#: `recorded`: nothing was replayed, two recordings were compared.
Mode: TypeAlias = Literal["forced", "free", "recorded"]
Lane: TypeAlias = Literal["candidate", "baseline"]
#: The ways to replay.
MODES: tuple[Mode, ...] = ("forced", "free")

#: 3 stop and look, 2 important, 1 worth knowing, 0 nothing. Room for more.
Severity: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=9)]

#: How a unit (candidate x mode x lane x sample) of an admitted trace ended. Only the first two carry scores.
Disposition: TypeAlias = Literal[
    "compared", "censored", "over_budget", "infra_error", "no_recording", "not_replayable", "internal_error"
]
DISPOSITIONS: dict[Disposition, str] = {
    "compared": "scored to the end",
    "censored": "a stub had no answer; what came before it is scored",
    "over_budget": "the candidate used up its steps, tokens, time or money",
    "infra_error": "the provider gave no answer; says nothing about the candidate",
    "no_recording": "the recorded model has no such turn or step",
    "not_replayable": "the trace was not recorded in full, or cannot be rendered",
    "internal_error": "a fault of this program on this trace: please report it",
}

#: Why a trace was not admitted. Counted, never replayed, never evidence.
REFUSALS: dict[str, str] = {
    "other_bundle": "produced by another bundle than the baseline",
    "bundle_unknown": "names no bundle",
    "mixed_bundle": "its spans name two bundles",
    "not_sampled": "outside the sample",
    "filtered": "does not match --where",
    "duplicate": "the same trace and revision was read before",
    "unpaired": "the other recording has no conversation with this key",
}


class Source(Record, frozen=True, kw_only=True):
    """Where the trace was read. A file is a topic with one partition; its offset is the line, from 0.

    `timestamp_ms`: of the record, ms since the epoch; a line of a file has none.
    """

    topic: str
    partition: Offset = 0
    offset: Offset = 0
    timestamp_ms: int | None = None


class Score(Record, frozen=True, kw_only=True):
    """`value` is null unless `status` is "scored"."""

    status: str
    value: float | None = None


class EvidenceLine(Record, frozen=True, kw_only=True):
    kind: str
    removed: str | None = None
    added: str | None = None


class Flag(Record, frozen=True, kw_only=True):
    """A named rule that fired. `severity`: 3 stop and look, 2 important, 1 worth knowing."""

    rule: str
    severity: Severity
    evidence: tuple[EvidenceLine, ...] = ()


class CallRecord(Record, frozen=True, kw_only=True):
    """One attempted call. `grade` says how true the stub's answer was; null on production's own calls."""

    tool: str
    arguments: str
    effect: str
    outcome: str
    step: int
    grade: str | None = None
    violation: str | None = None
    result: str | None = None
    decision: str | None = None
    rule: str | None = None


class Side(Record, frozen=True, kw_only=True):
    """What one side did. `answer` null = none was produced.

    `expected`: whether it came to the outcome that the trace names; null = it names none, or it cannot be told.
    `missed_by`: in which ways it did not, "omitted" (not done, or not told) and "exceeded" (done beyond it).
    """

    answer: str | None = None
    answer_sha256: str | None = None
    calls: tuple[CallRecord, ...] = ()
    decisions: dict[str, int] = {}
    """What guardrails said of its calls, other than "allow": how often each."""
    stance: tuple[str, ...] = ()
    """What its answer does, in order: "answers", "asks", "escalates", "hedges", "refuses"."""
    model_calls: int = 0
    usage: Usage | None = None
    cost_usd: Money | None = None
    latency_ns: int | None = None
    model_latency_ns: int | None = None
    ttft_ns: int | None = None
    expected: bool | None = None
    missed_by: tuple[str, ...] = ()
    earlier: str | None = None
    """An answer before the last one of a recorded conversation, in which something is claimed that was not done."""

    @property
    def hands_over(self) -> bool:
        """Whether somebody else is put in charge: by a tool of its own, or because a guardrail says so."""
        return any(call.effect == "handoff" for call in self.calls) or self.decisions.get("escalate", 0) > 0


class Divergence(Record, frozen=True, kw_only=True):
    """The first step at which both sides part: `kind` is "tool", "arguments", "answer" or "guardrail"."""

    step: int
    kind: str


class SlowestStep(Record, frozen=True, kw_only=True):
    """The aligned steps between which most time was lost: their numbers on either side, and nanoseconds."""

    production: int
    replay: int
    production_ns: int
    replay_ns: int


class Coverage(Record, frozen=True, kw_only=True):
    """How many answers of each grade the replay got. `exact` = share of calls answered as well as by the real tool.

    `intended_actions` counts attempted writes: nothing was done, and this is how often something would have been.
    """

    calls: Count = 0
    exact: float | None = None
    grades: dict[str, int] = {}
    intended_actions: Count = 0
    halted_by: str | None = None


class Comparison(Record, frozen=True, kw_only=True):
    comparison_id: NonEmpty
    run_id: NonEmpty
    trace_id: NonEmpty
    revision: Count = 0
    conversation_id: str | None = None
    turn: int | None = None
    source: Source
    baseline: NonEmpty
    candidate: NonEmpty
    mode: Mode
    lane: Lane = "candidate"
    sample: Offset = 0
    sampling_probability: float = 1.0
    lane_probability: float = 0.0
    """With which this conversation was drawn for the baseline lane, whether it was or not."""
    admitted_as: Literal["baseline", "any_bundle"] = "baseline"
    disposition: Disposition
    reason: str | None = None
    comparator_set: str
    scores: dict[str, Score] = {}
    flags: tuple[Flag, ...] = ()
    severity: Severity = 0
    first_divergence: Divergence | None = None
    slowest_step: SlowestStep | None = None
    """Where `latency.step` comes from."""
    coverage: Coverage = Coverage()
    not_exercised: tuple[str, ...] = ()
    isolation: str = "cooperative"
    cohort: dict[str, Json] = {}
    production_started_at: int | None = None
    replayed_at: int | None = None
    model_requested: str | None = None
    served_model: str | None = None
    prefix: dict[str, int] = {}
    attempts: int = 0
    request: str | None = None
    """What both sides were asked: the text of the last message of the user, as far as content is kept."""
    production: Side = Side()
    replay: Side = Side()
    truncated: tuple[str, ...] = ()
    decisions: dict[str, int] = {}
    """What guardrails said of subjects that both sides met, as "block > allow": how often."""

    @property
    def outcome(self) -> str | None:
        """Which cell of the table of expected outcomes this is, as "met > missed"; null where a side is unknown."""
        sides = (self.production.expected, self.replay.expected)
        return None if None in sides else " > ".join("met" if met else "missed" for met in sides)


class Watermark(Record, frozen=True, kw_only=True):
    """Everything of a partition below `offset` has its comparisons on the topic before this record."""

    run_id: NonEmpty
    topic: str
    partition: Offset
    offset: Offset
    """The first offset that is not finished."""
    done: Offset = 0
    emitted_at: int | None = None


class DeadLetter(Record, frozen=True, kw_only=True):
    """A record that could not be used, with its bytes, so that it can be replayed once the cause is mended."""

    reason: NonEmpty
    stage: str
    field: str = ""
    source: Source
    line: int | None = None
    run_id: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    key_base64: str | None = None
    value_base64: str = ""
    value_sha256: str | None = None
    value_bytes: int | None = None

    @property
    def value(self) -> bytes:
        return base64.b64decode(self.value_base64)


class Unit(NamedTuple):
    """One replay to make of a trace: what makes a comparison that comparison."""

    trace_id: str
    revision: int
    baseline: str
    candidate: str
    mode: Mode
    lane: Lane = "candidate"
    sample: int = 0

    @property
    def comparison_id(self) -> str:
        """sha256 over the parts as a JSON list, so that no two lists of parts run together."""
        return sha256(dumps(list(self))).hexdigest()


def replace(record: Comparison, **changes: object) -> Comparison:
    """A copy with some fields changed."""
    return msgspec.structs.replace(record, **changes)
