"""Reads `agent-trajectory/1`: a recorded conversation of an agent, as research corpora publish it.

One trace per user request that a model answered. What came before it is history: a candidate gets the same
history production had, and is judged on this turn alone. Rules a caller cannot guess:

* A request that only the harness answered (`scripted`) has no model call to compare: it counts as unanswered.
* A `single_request` record is one trace; user messages that a defence put in later are steps of it. A
  `solo_ticket` record has no user: its ticket is the request.
* A tool call without a result is a step with a null result, named in `capture.missing`. It makes the capture
  partial only if a later step saw the gap: production's last calls stay without results when a conversation is
  handed over, and everything before them can still be replayed.
* The source's clocks are local and nameless, so no time is kept, only durations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple

from msgspec import structs

from replay.errors import RecordError
from replay.exact_json import Json
from replay.trace import BundleRef, Capture, Message, ModelCall, Request, Step, Trace, Usage
from replay.trajectory_record import FORMAT, Entry, TrajectoryRecord, entries_of, record_from
from replay.trajectory_steps import steps_of

_PROMPT_ROLES = ("system", "developer")

#: Each turn holds the history before it, so memory grows with turns x messages; no real record comes near this.
MAX_HISTORY = 2_000_000


class Conversation(NamedTuple):
    """The traces of one record, and how many of its user messages no model answered."""

    traces: tuple[Trace, ...]
    unanswered: int


def read_trajectory(value: Json) -> Conversation:
    """Take one record apart. Raises `RecordError` naming the field, `UnsupportedVersionError` for a newer major."""
    record = record_from(value)
    prompt, entries = _without_prompt(entries_of(record))
    turns = tuple(_TURNS[record.mode](record, entries))
    traces = [_trace(record, prompt, turn) for turn in turns if turn.answered]
    # An expectation speaks of the whole record: only the turn that ends it can be held to it.
    traces[-1:] = [structs.replace(trace, expected=record.expected) for trace in traces[-1:]]
    return Conversation(tuple(traces), unanswered=len(turns) - len(traces))


@dataclass(frozen=True, slots=True)
class _Turn:
    ordinal: int
    request: tuple[Message, ...]
    body: Sequence[Entry]

    @property
    def answered(self) -> bool:
        return any(entry.is_model_call for entry in self.body)


def _without_prompt(entries: tuple[Entry, ...]) -> tuple[str | None, tuple[Entry, ...]]:
    """Part the system prompt, which is the bundle's, from what was said."""
    count = next((i for i, entry in enumerate(entries) if entry.message.role not in _PROMPT_ROLES), len(entries))
    prompt = [entry.message.text or "" for entry in entries[:count]]
    return ("\n\n".join(prompt) if prompt else None), entries[count:]


def _conversation(_: TrajectoryRecord, entries: Sequence[Entry]) -> Iterator[_Turn]:
    starts = _user_positions(entries)
    if len(starts) * len(entries) > MAX_HISTORY:
        found = f"{len(starts)} user messages in {len(entries)}"
        raise RecordError(f"too long for one record: {found}; split it", field="$.messages")
    for ordinal, (start, end) in enumerate(pairwise([*starts, len(entries)])):
        yield _Turn(ordinal, _messages(entries[: start + 1]), entries[start + 1 : end])


def _single_request(_: TrajectoryRecord, entries: Sequence[Entry]) -> Iterator[_Turn]:
    start = _user_positions(entries)[0]
    yield _Turn(0, _messages(entries[: start + 1]), entries[start + 1 :])


def _solo_ticket(record: TrajectoryRecord, entries: Sequence[Entry]) -> Iterator[_Turn]:
    if record.request.text is None:
        raise RecordError("a solo ticket has its text here; found none", field="$.request.text")
    yield _Turn(0, (Message(role="user", content=record.request.text),), entries)


_TURNS: Mapping[str, Callable[[TrajectoryRecord, Sequence[Entry]], Iterator[_Turn]]] = {
    "conversation": _conversation,
    "single_request": _single_request,
    "solo_ticket": _solo_ticket,
}


def _user_positions(entries: Sequence[Entry]) -> list[int]:
    found = [index for index, entry in enumerate(entries) if entry.message.role == "user"]
    if not found:
        raise RecordError("no user message, so there is no request to replay", field="$.messages")
    return found


def _messages(entries: Iterable[Entry]) -> tuple[Message, ...]:
    return tuple(entry.message for entry in entries)


def _trace(record: TrajectoryRecord, prompt: str | None, turn: _Turn) -> Trace:
    steps, missing = steps_of(record, turn.body)
    calls = [step for step in steps if isinstance(step, ModelCall)]
    return Trace(
        trace_id=sha256(f"{record.id}/{turn.ordinal}".encode()).hexdigest()[:32],
        conversation_id=record.id,
        turn=turn.ordinal,
        bundle=_bundle_ref(record),
        request=Request(messages=turn.request, attributes=_attributes(record)),
        system_prompt=prompt,
        tools_ref=record.toolset_id or record.bundle.toolset_id,
        steps=tuple(steps),
        final_answer=_final_answer(turn.body),
        latency_ns=_total(step.duration_ns for step in steps),
        usage=_usage_of(calls),
        cost_usd=_cost_of(calls),
        capture=_capture(turn.request, steps, missing),
        labels=record.outcome or {},
        provenance={"format": FORMAT, "record": record.id, "turn": turn.ordinal, "source_ref": record.source_ref},
    )


def _bundle_ref(record: TrajectoryRecord) -> BundleRef:
    toolset = record.toolset_id or record.bundle.toolset_id
    known = [part for part in (record.bundle.system_prompt_sha256, toolset) if part]
    return BundleRef(id=record.bundle.id, source="record", fingerprint="+".join(known) or None)


def _attributes(record: TrajectoryRecord) -> dict[str, Json]:
    found: dict[str, Json] = {
        "domain": record.domain,
        "task_id": record.task_id,
        "trial": record.trial,
        "pair_key": record.pair_key,
        "mode": record.mode,
        "source": record.source,
        "defense": record.bundle.defense,
        "request_sha256": record.request.sha256,
    }
    return {name: value for name, value in found.items() if value is not None}


def _final_answer(body: Sequence[Entry]) -> str | None:
    """Take what the last assistant message says; one that asks for tools is no answer yet."""
    last = next(entry.message for entry in reversed(body) if entry.message.role in ("assistant", "tool"))
    return last.text if last.role == "assistant" and not last.calls else None


def _capture(request: Sequence[Message], steps: Sequence[Step], missing: Sequence[int]) -> Capture:
    last_call = max(index for index, step in enumerate(steps) if isinstance(step, ModelCall))
    history = _unanswered_calls(request)
    seen_later = bool(history) or any(index < last_call for index in missing)
    return Capture(
        content="partial" if seen_later else "full",
        missing=(*history, *(f"steps.{index}.result" for index in missing)),
    )


def _unanswered_calls(request: Sequence[Message]) -> tuple[str, ...]:
    """Messages of the history whose calls have too few results: a provider refuses such a request."""
    found = []
    for index, message in enumerate(request):
        following = request[index + 1 : index + 1 + len(message.calls)]
        if any(answer.role != "tool" for answer in following) or len(following) < len(message.calls):
            found.append(f"request.messages.{index}.tool_calls")
    return tuple(found)


def _usage_of(calls: Sequence[ModelCall]) -> Usage | None:
    known = [call.usage for call in calls if call.usage is not None]
    if len(known) < len(calls):
        return None
    return Usage(
        input_tokens=_total(usage.input_tokens for usage in known),
        output_tokens=_total(usage.output_tokens for usage in known),
    )


def _cost_of(calls: Sequence[ModelCall]) -> str | None:
    known = [Decimal(call.cost_usd) for call in calls if call.cost_usd is not None]
    return format(sum(known, Decimal(0)), "f") if len(known) == len(calls) else None


def _total(amounts: Iterable[int | None]) -> int | None:
    """Add up; null when one amount is unknown."""
    known = list(amounts)
    return None if None in known else sum(amount for amount in known if amount is not None)
