"""What a comparator is: columns in, one score and one status per row out.

A score never depends on the other rows of its batch, and no comparator writes into its input. "Could not be
judged" is a status, never 0 and never NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from math import inf
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: Travels with every comparison; any change to what a score means raises it.
COMPARATOR_SET = "comparators/5"

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Statuses: TypeAlias = NDArray[np.uint8]


class Status(IntEnum):
    """Why a score is there or is not. Only `SCORED` rows carry a value."""

    SCORED = 0
    NOT_APPLICABLE = 1  # there is nothing of this kind on either side
    UNKNOWN = 2  # one side did not record it: a time, a price, a token count
    DID_NOT_ANSWER = 3  # production answered here, the replay called a tool instead
    CENSORED = 4  # the replay was stopped by a stub that had no answer
    TOO_LARGE = 5  # a text is longer than can be judged in bounded time


class Column(NamedTuple):
    """Scores of one dimension. `value[i]` means something only where `status[i] == Status.SCORED`."""

    name: str
    value: Floats
    status: Statuses


class Evidence(NamedTuple):
    """Why a pair fired, in words a reader can check: a removed line, an added line, or both."""

    kind: str
    removed: str | None = None
    added: str | None = None


class Dimension(NamedTuple):
    """How to read a score: its range and which end is worse. `worse` is "up", "down" or "" (either way)."""

    name: str
    low: float
    high: float
    worse: str
    question: str


#: Every score there is, in the order in which comparators emit them.
DIMENSIONS: tuple[Dimension, ...] = (
    Dimension("answer.lexical", 0, 1, "", "How far do the wordings of the answers lie apart? Never a verdict alone."),
    Dimension("answer.length", -inf, inf, "", "Is the replay's answer longer (> 0) or shorter? ln of the ratio."),
    Dimension("answer.numbers", 0, 1, "up", "What share of the numbers and ids in the answers has no equal there?"),
    Dimension("answer.substituted", 0, inf, "up", "How many figures stand in another one's place in a sentence?"),
    Dimension("answer.polarity", 0, inf, "up", "How many sentences say the contrary of what production said?"),
    Dimension("answer.ungrounded", 0, 1, "up", "What share of the replay's numbers and ids stands in nothing it had?"),
    Dimension("answer.newly_refuses", 0, 1, "up", "Does the replay refuse where production did not?"),
    Dimension("answer.newly_answers", 0, 1, "", "Does the replay answer where production refused?"),
    Dimension("answer.stance", 0, 1, "", "What share of answering, asking, refusing, hedging, handing over differs?"),
    Dimension("answer.semantic", 0, 1, "", "How far do the answers lie apart in meaning, as an embedding tells it?"),
    Dimension("tools.write", 0, 1, "up", "What share of the attempted writes would have changed the world otherwise?"),
    Dimension("tools.write.missing", 0, inf, "up", "How many writes of production did the replay not attempt?"),
    Dimension("tools.write.extra", 0, inf, "up", "How many writes did the replay attempt that production did not?"),
    Dimension("tools.write.changed", 0, inf, "up", "How many writes were attempted with other arguments?"),
    Dimension("tools.write.duplicated", 0, inf, "up", "How many writes did the replay repeat that production did not?"),
    Dimension("tools.write.outcome_changed", 0, inf, "up", "How many equal writes succeeded here and failed there?"),
    Dimension("tools.write.assumed", 0, inf, "", "How many of the replay's writes are only assumed to succeed?"),
    Dimension("tools.write.reordered", 0, 1, "up", "Do equal writes to one resource come in another order?"),
    Dimension("tools.handoff", 0, 1, "up", "What share of the handoffs went otherwise?"),
    Dimension("tools.handoff.missing", 0, inf, "up", "How many handoffs of production did the replay not make?"),
    Dimension("tools.handoff.extra", 0, inf, "up", "How many handoffs did the replay make that production did not?"),
    Dimension("tools.read", 0, 1, "", "What share of the distinct reads was made by one side only?"),
    Dimension("tools.path", 0, 1, "", "How much of both call sequences cannot be aligned?"),
    Dimension("tools.invalid", -inf, inf, "up", "How many more calls of the replay broke their contract?"),
    Dimension("tools.invalid_write", -inf, inf, "up", "How many more writes of the replay broke their contract?"),
    Dimension("tools.failed", -inf, inf, "up", "How many more calls of the replay failed?"),
    Dimension("tools.repeated", -inf, inf, "up", "How many more identical repeats did the replay make?"),
    Dimension("claims.unsupported", -inf, inf, "up", "How many more deeds does the replay claim without support?"),
    Dimension("claims.refuted", 0, inf, "up", "How many claimed deeds had a call that failed or was stopped?"),
    Dimension("claims.without_write", 0, inf, "up", "How many deeds are claimed though no write took effect?"),
    Dimension("claims.unmatched", 0, inf, "up", "How many deeds are claimed beside writes that did something else?"),
    Dimension("claims.assumed", 0, inf, "", "How many claimed deeds are only assumed to have succeeded?"),
    Dimension("latency.total", -inf, inf, "up", "Is the replay slower (> 0)? ln of the ratio, whole request."),
    Dimension("latency.model", -inf, inf, "up", "Is the replay slower in the model's part? ln of the ratio."),
    Dimension("latency.ttft", -inf, inf, "up", "Does the first token come later? ln of the ratio."),
    Dimension("latency.step", -inf, inf, "up", "How much slower is the step that lost most? ln of the ratio."),
    Dimension("cost.total", -inf, inf, "up", "Is the replay dearer (> 0)? ln of the ratio."),
    Dimension("tokens.input", -inf, inf, "up", "Does the replay read more tokens? ln of the ratio."),
    Dimension("tokens.output", -inf, inf, "up", "Does the replay write more tokens? ln of the ratio."),
    Dimension("tokens.cached", -inf, inf, "down", "Does the replay read more from the cache? ln of the ratio."),
    Dimension("guard.loosened", 0, inf, "up", "How many subjects met a milder guardrail decision?"),
    Dimension("guard.tightened", 0, inf, "up", "How many subjects met a stricter guardrail decision?"),
    Dimension("guard.rules", 0, inf, "", "How many guardrail rules spoke on one side only?"),
    Dimension("expected.regressed", 0, 1, "up", "Does the replay miss the expected outcome that production met?"),
    Dimension("expected.improved", 0, 1, "", "Does the replay meet the expected outcome that production missed?"),
)

DIMENSION: Mapping[str, Dimension] = {dimension.name: dimension for dimension in DIMENSIONS}


def column(name: str, value: NDArray[np.generic], status: Statuses) -> Column:
    """Make a column. Values that mean nothing are stored as 0, so that no NaN can leave by accident."""
    return Column(name, np.where(status == Status.SCORED, value, 0.0).astype(np.float64), status)


def statuses(scored: Bools, otherwise: Status) -> Statuses:
    """`SCORED` where `scored`, else `otherwise`."""
    return np.where(scored, np.uint8(Status.SCORED), np.uint8(otherwise)).astype(np.uint8)


def overridden(scores: Column, given: Statuses | None) -> Column:
    """The column with the caller's statuses in place of its own wherever those are not `SCORED`."""
    if given is None:
        return scores
    return column(scores.name, scores.value, np.where(given != Status.SCORED, given, scores.status).astype(np.uint8))
