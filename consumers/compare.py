"""`compare`: two recordings of the same tasks, conversation by conversation, without a model.

What a recorded conversation did is the sum of its turns: all calls in order, the last answer. A third recording,
a second run of production, gives the baseline lane: how far two runs of the same release are apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import structs

from comparators.semantic import Meanings
from consumers.files import BadLine, Item, TraceItem, Unanswered
from consumers.journal import Journal
from consumers.run import dead_letter
from consumers.where import Where, all_match
from replay.comparison import Comparison, Lane, Source, Unit
from replay.contract import ToolContract, Tooling
from replay.divergence import compare_recordings
from replay.exact_json import Json, dumps
from replay.summary import Summary
from replay.trace import InsertedMessage, Trace

#: Pairs scored at a time.
_BATCH = 256


class Conversation(NamedTuple):
    """A whole conversation as one trace, and the line it was read from."""

    key: str
    trace: Trace
    line: int

    @property
    def bundle(self) -> str:
        return self.trace.bundle.id or "unknown"


class Paired(NamedTuple):
    production: Conversation
    candidate: Conversation


@dataclass(slots=True)
class Recording:
    """The conversations of one file by pairing key, in file order."""

    name: str
    by_key: dict[str, list[Conversation]] = field(default_factory=lambda: defaultdict(list))
    no_response: int = 0
    traces: int = 0
    bad: list[BadLine] = field(default_factory=list)
    filtered: int = 0

    @property
    def conversations(self) -> int:
        return sum(map(len, self.by_key.values()))


def read_recording(name: str, items: Iterable[Item], *, key: tuple[str, ...], where: Sequence[Where]) -> Recording:
    """Put turns together to conversations. A record without the key pairs by its conversation or trace id."""
    recording = Recording(name)
    turns: dict[str, list[TraceItem]] = defaultdict(list)
    for item in items:
        match item:
            case BadLine():
                recording.bad.append(item)
            case Unanswered():
                recording.no_response += item.count
            case TraceItem():
                recording.traces += 1
                if all_match(where, item.trace):
                    turns[item.trace.record_key].append(item)
                else:
                    recording.filtered += 1
    for parts in turns.values():
        whole = whole_conversation([part.trace for part in parts])
        found = Conversation(pairing_key(whole, key), whole, parts[0].line)
        recording.by_key[found.key].append(found)
    return recording


def whole_conversation(turns: Sequence[Trace]) -> Trace:
    """All turns as one trace: the first one's request, everybody's steps, the last answer and expectation.

    It was recorded in full if every turn was.
    """
    ordered = sorted(turns, key=lambda trace: trace.turn or 0)
    first, last = ordered[0], ordered[-1]
    latencies = [trace.latency_ns for trace in ordered]
    return structs.replace(
        first,
        trace_id=first.record_key,
        turn=None,
        steps=tuple(step for trace in ordered for step in (*_asked(trace, first), *trace.steps)),
        final_answer=last.final_answer,
        usage=None,  # summed from the steps
        latency_ns=_sum(latencies),
        capture=next((trace.capture for trace in ordered if trace.capture.content != "full"), first.capture),
        expected=next((trace.expected for trace in reversed(ordered) if trace.expected is not None), None),
    )


def _asked(trace: Trace, first: Trace) -> Iterator[InsertedMessage]:
    """What the user said before a later turn: the first one's stands in the request."""
    last = trace.request.messages[-1:]
    if trace is not first and last and last[0].role == "user":
        yield InsertedMessage(message=last[0])


def pairing_key(trace: Trace, path: tuple[str, ...]) -> str:
    value: Json = structs.asdict(trace)
    for part in path:
        value = structs.asdict(value) if hasattr(value, "__struct_fields__") else value
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None:
        return trace.record_key
    return value if isinstance(value, str) else dumps(value).decode()


def pairs_of(production: Recording, candidate: Recording) -> Iterator[Paired]:
    """Conversations with equal keys; of several, the n-th with the n-th."""
    for key, ours in production.by_key.items():
        theirs = candidate.by_key.get(key, [])
        yield from (Paired(*pair) for pair in zip(ours, theirs, strict=False))


def given_to(candidate: Recording, production: Recording) -> Recording:
    """Production's conversations that the candidate has, too: a task it was never given is no failure of it."""
    kept = {key: ours[: len(candidate.by_key.get(key, ()))] for key, ours in production.by_key.items()}
    return Recording(production.name, {key: conversations for key, conversations in kept.items() if conversations})


def compare_lane(
    production: Recording,
    candidate: Recording,
    *,
    contracts: Mapping[str, ToolContract],
    lane: Lane,
    run_id: str,
    journal: Journal,
    observe: Callable[[Comparison], None],
    summary: Summary,
    laned: bool,
    meanings: Meanings | None = None,
) -> None:
    """Score every pair of one lane, write it and tell it. `laned`: there is a second recording of production."""
    tooling = Tooling(contracts, contracts)
    paired = list(pairs_of(production, candidate))
    if lane == "candidate":
        unpaired = production.conversations + candidate.conversations - 2 * len(paired)
        summary.refused["unpaired"] += unpaired
        summary.admitted += len(paired)
    for start in range(0, len(paired), _BATCH):
        batch = paired[start : start + _BATCH]
        comparisons = compare_recordings(
            [(pair.production.trace, pair.candidate.trace) for pair in batch],
            tooling=tooling,
            blanks=[_blank(pair, lane, run_id, production.name, laned=laned) for pair in batch],
            meanings=meanings,
        )
        journal.write(comparisons)
        for comparison in comparisons:
            observe(comparison)


def bury(recording: Recording, *, journal: Journal, run_id: str, summary: Summary) -> None:
    """Account for the lines that hold no record."""
    journal.bury([dead_letter(bad, run_id=run_id, topic=recording.name) for bad in recording.bad])
    for bad in recording.bad:
        summary.dead_letters[bad.stage] += 1
    summary.no_response += recording.no_response
    summary.refused["filtered"] += recording.filtered


def _blank(pair: Paired, lane: Lane, run_id: str, topic: str, *, laned: bool) -> Comparison:
    """A comparison without scores: who was compared with whom."""
    trace = pair.production.trace
    candidate = f"recorded:{pair.candidate.bundle}#{pair.candidate.trace.trace_id}"
    unit = Unit(trace.trace_id, trace.revision, f"recorded:{pair.production.bundle}", candidate, "recorded", lane)
    return Comparison(
        comparison_id=unit.comparison_id,
        run_id=run_id,
        trace_id=trace.trace_id,
        revision=trace.revision,
        conversation_id=trace.conversation_id,
        source=Source(topic=topic, offset=pair.production.line - 1),
        baseline=unit.baseline,
        candidate=candidate,
        mode="recorded",
        lane=lane,
        lane_probability=float(laned),
        disposition="compared",
        comparator_set="",
        isolation="recorded",
        cohort=trace.request.attributes,
        production_started_at=trace.started_at,
        request=trace.request.asked,
    )


def _sum(parts: Sequence[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None
