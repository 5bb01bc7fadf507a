"""How a recording is played: what a request gets, and when its bytes go out. Pure; the recorded model performs it.

What a request gets is decided in `decide`, from the recording, the replay header and the body alone. When its parts
are due follows from the latency of a `Playback` and from a fault, if it has one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from consumers.faults import NO_FAULTS, Fault, FaultPlan
from consumers.recording import OFF_PREFIX, PREFIX_MATCH, Missing, RecordedStep, Recording, digest
from replay.errors import RecordError, UsageError
from replay.models import REPLAY_HEADER
from replay.trace import Message, ModelCall

#: A stream is written in at most so many parts after its first: spread over its time, yet cheap.
STREAM_PARTS = 4

_COUNT = re.compile("[0-9]{1,9}")


# -- how a recording is played ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Latency:
    """How long an answer takes. `seconds` null = as long as recorded, and nothing where that is unknown."""

    seconds: float | None = None
    time_scale: float = 1.0
    ttft_fraction: float = 0.3
    """When the first piece comes, as a share of the whole, where no time to first token was recorded."""

    def times(self, call: ModelCall) -> tuple[float, float]:
        """Say when the first piece and the end of an answer are due, in seconds after the request."""
        if self.seconds is not None:
            return self.seconds * self.time_scale * self.ttft_fraction, self.seconds * self.time_scale
        whole = (call.duration_ns or 0) / 1e9 * self.time_scale
        first = whole * self.ttft_fraction if call.ttft_ns is None else call.ttft_ns / 1e9 * self.time_scale
        return min(first, whole), whole


NO_LATENCY = Latency(0.0)


def parse_latency(text: str, *, time_scale: float = 1.0) -> Latency:
    """Parse `recorded`, `none` or a number of seconds. Raises `UsageError`."""
    if text == "recorded":
        return Latency(time_scale=time_scale)
    try:
        seconds = 0.0 if text == "none" else float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UsageError(f"--latency {text!r}: expected recorded, none, or a number of seconds")
    return Latency(seconds, time_scale)


@dataclass(frozen=True, slots=True)
class Playback:
    latency: Latency = NO_LATENCY
    faults: FaultPlan = NO_FAULTS
    piece_chars: int = 24
    """Length of the pieces a streamed text comes in."""
    max_request_bytes: int = 32 * 1024 * 1024


DEFAULT_PLAYBACK = Playback()


# -- what a request gets ------------------------------------------------------------------------------------------


class ReplayHeader(NamedTuple):
    """What a replay says of the request it makes."""

    comparison_id: str
    trace_id: str
    mode: str
    lane: str
    sample: int
    step: int

    @property
    def unit(self) -> tuple[str, ...]:
        return (self.comparison_id, self.trace_id, self.mode, str(self.step))


class Play(NamedTuple):
    """Play this step. `unit` is what attempts are counted by."""

    step: RecordedStep
    prefix: str
    unit: tuple[str, ...]
    stream: bool
    include_usage: bool


class Refusal(NamedTuple):
    status: int
    code: str
    message: str


def parse_header(text: str) -> ReplayHeader | Refusal:
    """Parse `comparison_id; trace_id; mode; lane; sample; step`, each percent-encoded."""
    parts = [unquote(part.strip()) for part in text.split(";")] if text.isascii() else []
    match parts:
        case [comparison_id, trace_id, mode, lane, sample, step] if _is_count(sample) and _is_count(step):
            return ReplayHeader(comparison_id, trace_id, mode, lane, int(sample), int(step))
    expected = "comparison_id; trace_id; mode; lane; sample; step, percent-encoded, the last two whole numbers"
    return Refusal(400, "bad_replay_header", f"{REPLAY_HEADER}: expected {expected}")


def decide(recording: Recording, header: ReplayHeader | None, body: bytes) -> Play | Refusal:
    """Choose the recorded step a request gets, or say why there is none."""
    try:
        chat = msgspec.json.decode(body, type=_Chat)
        said = digest(chat.messages)
    except (RecordError, ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        return Refusal(400, "bad_request", f"this is no chat completion request: {str(error)[:300]}")
    step = recording.match(said) if header is None else recording.lookup(header.trace_id, header.step)
    if isinstance(step, Missing):
        return Refusal(404, "no_recording", step.reason) if header else Refusal(409, "no_unique_match", step.reason)
    prefix = PREFIX_MATCH if said == step.prefix else OFF_PREFIX
    unit = header.unit if header else (said.hex(),)
    return Play(step, prefix, unit, chat.stream is True, chat.include_usage)


class _StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool = False


class _Chat(msgspec.Struct, frozen=True):
    """The part of a request that matters here. The model asked for does not: the recorded one answers."""

    messages: tuple[Message, ...]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


def _is_count(text: str) -> bool:
    return _COUNT.fullmatch(text) is not None


# -- when its bytes go out ----------------------------------------------------------------------------------------


class Part(NamedTuple):
    """Bytes, and how many seconds after the request they go out."""

    at: float
    data: bytes


def schedule(parts: Sequence[bytes], times: tuple[float, float], fault: Fault | None = None) -> list[Part]:
    """Spread the parts of an answer over its times (first piece, end), as far as a fault lets it come."""
    first, whole = times
    if fault is not None and fault.kind == "cut":
        parts = _first_half(parts)
    rest = _grouped(parts[1:], STREAM_PARTS)
    gap = (whole - first) / len(rest) if rest else 0.0
    plan = [Part(first if rest else whole, parts[0])]
    plan += [Part(first + gap * number, data) for number, data in enumerate(rest, start=1)]
    if fault is not None and fault.kind == "slow":
        middle = (len(plan) + 1) // 2 if rest else 0
        plan = [*plan[:middle], *(Part(at + fault.seconds, data) for at, data in plan[middle:])]
    return list(_merged(plan))


def _grouped(parts: Sequence[bytes], count: int) -> list[bytes]:
    size = -(-len(parts) // count) or 1
    return [b"".join(parts[start : start + size]) for start in range(0, len(parts), size)]


def _first_half(parts: Sequence[bytes]) -> list[bytes]:
    whole = b"".join(parts)
    half = whole[: len(whole) // 2]
    return [half[: len(parts[0])], half[len(parts[0]) :]]


def _merged(plan: Sequence[Part]) -> Iterator[Part]:
    """Join what goes out at the same time into one write."""
    held = plan[0]
    for part in plan[1:]:
        if part.at > held.at:
            yield held
            held = part
        else:
            held = Part(held.at, held.data + part.data)
    yield held
