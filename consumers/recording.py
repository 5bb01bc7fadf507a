"""What one bundle was recorded to do, ready to be played again.

A replay names the trace it works on. That trace may come from any bundle of the corpus: its pair key and turn say
which recorded turn of the *played* bundle answers it, and step k of the replay gets the k-th recorded model call
of that turn. Recorded answers are only true where the replay's messages equal the recorded ones, so every step
carries a digest of the messages that led to it: who compares it knows `prefix-match` from `off-prefix`.

The digest covers role, text, tool names and parsed arguments. It leaves out system prompts, which belong to the
bundle on trial, and call ids, which models reuse and leave empty. Null and empty text are one: clients mix them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

import msgspec

from replay.errors import RecordError, UsageError
from replay.exact_json import Json, dumps, loads
from replay.trace import InsertedMessage, Message, ModelCall, Step, ToolCall, Trace, Usage

PREFIX_MATCH = "prefix-match"
OFF_PREFIX = "off-prefix"


class TurnKey(NamedTuple):
    """A turn of a task: bundles and trials that worked on the same task share its `pair_key`."""

    pair_key: str
    turn: int
    trial: int


@dataclass(frozen=True, slots=True, eq=False)
class RecordedStep:
    """One recorded model call, and the digest of the messages it answered."""

    key: TurnKey
    index: int
    call: ModelCall
    prefix: bytes


@dataclass(frozen=True, slots=True)
class Missing:
    """There is nothing to play; `reason` says what was looked for and what there is."""

    reason: str


@dataclass(frozen=True, slots=True)
class Recording:
    """An index over a corpus; made by `record`."""

    bundle: str
    trial: int | None
    keys: Mapping[str, TurnKey]
    """Every trace of the corpus, of whichever bundle, by its id."""
    turns: Mapping[TurnKey, tuple[RecordedStep, ...]]
    trials: Mapping[str, tuple[int, ...]]
    """By pair key: which trials the played bundle has, lowest first."""
    repeated: int = 0
    """Turns of the played bundle that stand in the corpus more than once; the first one is played."""
    _by_prefix: Mapping[bytes, tuple[RecordedStep, ...]] = field(default_factory=dict, repr=False)

    def lookup(self, trace_id: str, step: int) -> RecordedStep | Missing:
        """Find what the played bundle did at this step of this turn."""
        key = self.keys.get(trace_id)
        if key is None:
            return Missing(f"the corpus has no trace {trace_id!r}")
        played = self._played(key)
        steps = self.turns.get(played)
        if steps is None:
            return Missing(f"{self.bundle} has no turn {played.turn} of {played.pair_key} in trial {played.trial}")
        if not 0 <= step < len(steps):
            return Missing(f"{self.bundle} made {len(steps)} model calls in that turn; step {step} is none of them")
        return steps[step]

    def match(self, prefix: bytes) -> RecordedStep | Missing:
        """Find the only step with this prefix: for requests that name no trace."""
        found = self._by_prefix.get(prefix, ())
        if len(found) == 1:
            return found[0]
        if not found:
            return Missing(f"no step of {self.bundle} was recorded after exactly these messages")
        first, second = found[0], found[1]
        return Missing(
            f"{len(found)} steps of {self.bundle} were recorded after these messages, such as step {first.index} of "
            f"{_where(first.key)} and step {second.index} of {_where(second.key)}"
        )

    def _played(self, key: TurnKey) -> TurnKey:
        """Trials are chosen for a whole task: a conversation is never continued from another trial."""
        if self.trial is not None:
            return key._replace(trial=self.trial)
        trials = self.trials.get(key.pair_key, ())
        return key if key.trial in trials or not trials else key._replace(trial=trials[0])


def record(traces: Iterable[Trace], *, bundle: str, trial: int | None = None) -> Recording:
    """Index a corpus for playing one of its bundles. Raises `UsageError` if it has no such bundle or trial."""
    keys: dict[str, TurnKey] = {}
    turns: dict[TurnKey, tuple[RecordedStep, ...]] = {}
    bundles: set[str] = set()
    repeated = 0
    for trace in traces:
        key = keys[trace.trace_id] = turn_key(trace)
        bundles.add(trace.bundle.id or "")
        if trace.bundle.id != bundle or trial not in (None, key.trial):
            continue
        repeated += key in turns
        turns.setdefault(key, tuple(recorded_steps(trace, key)))
    if not turns:
        raise _nothing_to_play(bundle, trial, bundles)
    return Recording(bundle, trial, keys, turns, _trials(turns), repeated, _by_prefix(turns))


def turn_key(trace: Trace) -> TurnKey:
    """Say which turn of which task a trace is. Without a pair key it is comparable with itself only."""
    attributes = trace.request.attributes
    pair_key = attributes.get("pair_key")
    trial = attributes.get("trial")
    return TurnKey(
        pair_key if isinstance(pair_key, str) else trace.record_key,
        trace.turn or 0,
        trial if isinstance(trial, int) and not isinstance(trial, bool) else 0,
    )


def recorded_steps(trace: Trace, key: TurnKey) -> Iterator[RecordedStep]:
    """Number the model calls of a trace, each with the digest of what was said before it."""
    said = sha256()
    for message in trace.request.messages:
        said.update(_normal(message))
    index = 0
    for step in trace.steps:
        if isinstance(step, ModelCall):
            yield RecordedStep(key, index, step, said.digest())
            index += 1
        for message in _messages(step):
            said.update(_normal(message))


def digest(messages: Iterable[Message]) -> bytes:
    """Digest a message list as prefixes are digested."""
    said = sha256()
    for message in messages:
        said.update(_normal(message))
    return said.digest()


def _messages(step: Step) -> Sequence[Message]:
    """List what a step adds to the conversation the model sees next. A null result was not recorded."""
    match step:
        case ModelCall():
            return (step.output,)
        case InsertedMessage():
            return (step.message,)
        case ToolCall() if step.result is not None:
            return (Message(role="tool", content=step.result_text),)
        case _:
            return ()


def _normal(message: Message) -> bytes:
    if message.role in ("system", "developer"):
        return b""
    calls = [[call.function.name, *_arguments(call.function.arguments)] for call in message.calls]
    return dumps([message.role, message.text or "", calls]) + b"\n"


def _arguments(text: str) -> tuple[str, Json]:
    """Arguments by value, so that spacing and key order do not count; text that is no JSON counts as it is."""
    try:
        return "value", dumps(_plain(loads(text or "{}")), sort_keys=True).decode()
    except (RecordError, RecursionError):
        return "text", text


def _plain(value: Json) -> Json:
    """Write `1.0` as `1`: JSON writers of other languages do."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _trials(turns: Iterable[TurnKey]) -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = defaultdict(set)
    for key in turns:
        found[key.pair_key].add(key.trial)
    return {pair_key: tuple(sorted(trials)) for pair_key, trials in found.items()}


def _by_prefix(turns: Mapping[TurnKey, Sequence[RecordedStep]]) -> dict[bytes, tuple[RecordedStep, ...]]:
    found: dict[bytes, list[RecordedStep]] = defaultdict(list)
    for steps in turns.values():
        for step in steps:
            found[step.prefix].append(step)
    return {prefix: tuple(steps) for prefix, steps in found.items()}


def _nothing_to_play(bundle: str, trial: int | None, bundles: set[str]) -> UsageError:
    if bundle in bundles:
        return UsageError(f"bundle {bundle!r} has no trial {trial} in this corpus")
    known = ", ".join(sorted(bundles - {""})) or "none"
    return UsageError(f"the corpus has no bundle {bundle!r}; it has: {known}")


def _where(key: TurnKey) -> str:
    return f"{key.pair_key}, turn {key.turn}, trial {key.trial}"


# -- a recorded step on the wire ----------------------------------------------------------------------------------


def completion(step: RecordedStep, *, bundle: str) -> bytes:
    """Write a step as a `chat.completion`."""
    output = step.call.output
    message: dict[str, Json] = {"role": "assistant", "content": output.text}
    if output.calls:
        message["tool_calls"] = [msgspec.to_builtins(call) for call in output.calls]
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(step.call)}
    whole = {**_envelope(step, bundle, "chat.completion"), "choices": [choice]}
    return dumps(whole if step.call.usage is None else {**whole, "usage": _usage(step.call.usage)})


def events(step: RecordedStep, *, bundle: str, piece_chars: int, include_usage: bool) -> tuple[bytes, ...]:
    """Write a step as server-sent events: the opening with the first piece, then everything else."""
    envelope = _envelope(step, bundle, "chat.completion.chunk")
    deltas = [{"index": 0, "delta": delta, "finish_reason": None} for delta in _deltas(step.call.output, piece_chars)]
    ending = {"index": 0, "delta": {}, "finish_reason": _finish_reason(step.call)}
    chunks = [{**envelope, "choices": [choice]} for choice in (*deltas, ending)]
    if include_usage and step.call.usage is not None:
        chunks.append({**envelope, "choices": [], "usage": _usage(step.call.usage)})
    lines = [b"data: " + dumps(chunk) + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]
    return (b"".join(lines[:2]), *lines[2:])


def _envelope(step: RecordedStep, bundle: str, kind: str) -> dict[str, Json]:
    call = step.call
    return {
        "id": "chatcmpl-" + sha256(dumps([*step.key, step.index])).hexdigest()[:24],
        "object": kind,
        "created": (call.started_at or 0) // 10**9,
        "model": call.model_responded or call.model_requested or bundle,
    }


def _deltas(output: Message, size: int) -> Iterator[dict[str, Json]]:
    text = output.text
    yield {"role": "assistant", "content": None if text is None else ""}
    for piece in _pieces(text or "", size):
        yield {"content": piece}
    for index, call in enumerate(output.calls):
        opening = {"name": call.function.name, "arguments": ""}
        yield {"tool_calls": [{"index": index, "id": call.id, "type": call.type, "function": opening}]}
        for piece in _pieces(call.function.arguments, size):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _pieces(text: str, size: int) -> Iterator[str]:
    return (text[start : start + size] for start in range(0, len(text), size))


def _finish_reason(call: ModelCall) -> str:
    return call.finish_reason or ("tool_calls" if call.output.calls else "stop")


def _usage(usage: Usage) -> dict[str, Json]:
    """Tokens in the words of chat completions; unknown ones are left out."""
    known = (usage.input_tokens, usage.output_tokens)
    found: dict[str, Json] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": None if None in known else sum(count for count in known if count is not None),
        "prompt_tokens_details": None if usage.cache_read is None else {"cached_tokens": usage.cache_read},
        "completion_tokens_details": None if usage.reasoning is None else {"reasoning_tokens": usage.reasoning},
    }
    return {name: value for name, value in found.items() if value is not None}
