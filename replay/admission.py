"""Which traces are replayed, and with what probability: pure decisions, counted under closed names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from replay.bundle import Bundle
from replay.recorded import recorded_steps
from replay.trace import Trace

_HASH_RANGE = 2**64
#: Every model request names its trace in a header, percent-encoded; servers take about 8 kB of headers.
MAX_ID_LENGTH = 512


@dataclass(frozen=True, slots=True)
class Sampling:
    """A share of record keys, the same ones on every machine: a conversation is in or out as a whole."""

    probability: float = 1.0
    salt: str = ""

    def includes(self, record_key: str) -> bool:
        digest = sha256(f"{self.salt}\x00{record_key}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") < self.probability * _HASH_RANGE


@dataclass(frozen=True, slots=True)
class Admitted:
    """`not_replayable` says why an admitted trace cannot be replayed: it gets its records all the same."""

    probability: float
    admitted_as: Literal["baseline", "any_bundle"]
    not_replayable: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    reason: str


@dataclass(frozen=True, slots=True)
class Admission:
    """The rule. Evidence is only what the baseline produced; `any_bundle` replays the rest without calling it that."""

    baseline: Bundle
    sampling: Sampling = Sampling()
    any_bundle: bool = False
    matches: Callable[[Trace], bool] | None = None

    def decide(self, trace: Trace) -> Admitted | Refused:
        if self.matches is not None and not self.matches(trace):
            return Refused("filtered")
        if trace.capture.mixed_bundle:
            return Refused("mixed_bundle")
        foreign = self._foreign(trace)
        if foreign is not None and not self.any_bundle:
            return Refused(foreign)
        if not self.sampling.includes(trace.record_key):
            return Refused("not_sampled")
        admitted_as: Literal["baseline", "any_bundle"] = "any_bundle" if foreign else "baseline"
        return Admitted(self.sampling.probability, admitted_as, why_not_replayable(trace))

    def _foreign(self, trace: Trace) -> str | None:
        if trace.bundle.id is None:
            return "bundle_unknown"
        return None if self.baseline.identifies(trace.bundle.id) else "other_bundle"


def why_not_replayable(trace: Trace) -> str | None:
    """Null when the trace holds all that a replay needs."""
    if trace.capture.content != "full":
        missing = ", ".join(trace.capture.missing[:5]) or "content"
        return f"recorded {trace.capture.content}ly: {missing}" if trace.capture.content == "partial" else "no content"
    if len(trace.trace_id) > MAX_ID_LENGTH:
        return f"its trace_id has {len(trace.trace_id):,} characters; a request header holds {MAX_ID_LENGTH:,}"
    if not any(message.role == "user" for message in trace.request.messages):
        return "the request has no user message"
    if not recorded_steps(trace):
        return "no model call was recorded"
    return None
