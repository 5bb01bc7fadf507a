"""What the feed answers, as records: the same types make the JSON and its description."""

from __future__ import annotations

import msgspec

from consumers.feed.line import Line, Mark
from replay.trace import Record


class DimensionSums(Record, frozen=True, kw_only=True):
    """One score over all judged comparisons. Quantiles are off by at most 1 % of their value.

    `fired` counts values other than 0; values are null when nothing was scored. `excess`: how many more of the
    candidate's than of the baseline lane's lie beyond 95 % of the lane's, as a share; null without a lane.
    """

    statuses: dict[str, int]
    scored: int
    fired: int
    mean: float | None
    p50: float | None
    p95: float | None
    excess: float | None


class ToolSums(Record, frozen=True, kw_only=True):
    """Calls of one tool. `intended`: writes the replay attempted, none of which was carried out.

    `differs` counts comparisons in which both sides called it unequally often; `grades`: how true its answers were.
    """

    production: int
    replay: int
    differs: int
    intended: int
    grades: dict[str, int]


class Coverage(Record, frozen=True, kw_only=True):
    """`faithful`: share of stub answers as good as the real ones; null when no tool was called."""

    faithful: float | None
    grades: dict[str, int]
    halted_by: dict[str, int]


class LaneSums(Record, frozen=True, kw_only=True):
    """Everything that was folded of one lane and mode of a run, within the time that was asked for.

    `calibrated`: a baseline lane stands beside the candidate's, so that its noise is known.
    """

    lane: str
    mode: str
    comparator_set: str
    calibrated: bool
    not_exercised: dict[str, int]
    comparisons: int
    dispositions: dict[str, int]
    severities: dict[str, int]
    rules: dict[str, int]
    first_divergence: dict[str, int]
    coverage: Coverage
    reasons: dict[str, int]
    prefix: dict[str, int]
    model_calls: int
    intended_actions: int
    usd: str
    unpriced: int
    tools: dict[str, ToolSums]
    dimensions: dict[str, DimensionSums]


class RunSums(Record, frozen=True, kw_only=True):
    """One run against one candidate. A surface in `not_exercised` was changed and is not tested by this at all."""

    run_id: str
    baseline: str
    candidate: str
    not_exercised: tuple[str, ...]
    watermarks: tuple[Mark, ...]
    lanes: tuple[LaneSums, ...]


class Position(Record, frozen=True, kw_only=True):
    """What is folded of a partition of the comparison topic. `end` is null while the broker does not answer."""

    partition: int
    offset: int
    end: int | None


class Window(Record, frozen=True, kw_only=True):
    """The time that was summed, in ms since the epoch, UTC: as asked for, on whole minutes or hours. Null = open."""

    since: int | None
    until: int | None


class RefusedRecord(Record, frozen=True, kw_only=True):
    """A record of the topic that is neither comparison nor watermark. It is still on the topic."""

    partition: int
    offset: int
    at: int
    reason: str
    bytes: int
    sha256: str


class Summary(Record, frozen=True, kw_only=True):
    """Rolling sums by run. They state divergence; `verdicts` are the decisions of the gate by run, if there is one."""

    verdicts: dict[str, str]
    topic: str
    window: Window
    positions: tuple[Position, ...]
    records: dict[str, int]
    refused: tuple[RefusedRecord, ...]
    runs: tuple[RunSums, ...]


class Kept(Record, frozen=True, kw_only=True):
    """One comparison: its line, and the record as it stands on the topic."""

    line: Line
    comparison: msgspec.Raw


class Page(Record, frozen=True, kw_only=True):
    """Comparisons, newest first. `next`: give it as `before` for the page behind; null when there is none."""

    comparisons: tuple[Kept, ...]
    next: int | None


class Verdicts(Record, frozen=True, kw_only=True):
    """Verdicts as they stand on their topic, newest first; one for each time a run's decision or reasons changed."""

    verdicts: tuple[msgspec.Raw, ...]


class Refusal(Record, frozen=True, kw_only=True):
    """Why a request was not answered, and what to do."""

    error: str
