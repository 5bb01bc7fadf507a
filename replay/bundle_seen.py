"""What the recorded traces of one bundle show: prompts, models, tools that were offered, and how they were called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple, TypeVar

from replay.errors import RecordError
from replay.exact_json import Json, dumps, loads
from replay.trace import Guardrail, ModelCall, Retrieval, ToolCall, Trace

T = TypeVar("T")

#: A shared beginning of failures is looked for in this many characters of a result.
_PREFIX_LENGTH = 80


class PromptSeen(NamedTuple):
    """A system prompt that was recorded under the id, and in how many traces."""

    traces: int
    sha256: str
    start: str


@dataclass(slots=True)
class Use:
    """How one tool was called."""

    calls: int = 0
    arguments: dict[str, set[str]] = field(default_factory=dict)
    failures: set[str] = field(default_factory=set)
    successes: set[str] = field(default_factory=set)
    followed: int = 0
    last: int = 0

    def add(self, call: ToolCall, *, followed: bool) -> None:
        self.calls += 1
        if call.is_error is not True:
            self.followed += followed
            self.last += not followed
        if call.result is not None:
            results = self.failures if call.is_error else self.successes
            results.add(call.result_text[:_PREFIX_LENGTH])
        for name, value in _arguments(call).items():
            self.arguments.setdefault(name, set()).add(_json_type(value))


@dataclass(slots=True)
class Seen:
    """Everything counted over the traces of one bundle."""

    traces: int = 0
    prompts: Counter[str | None] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    params: Counter[bytes] = field(default_factory=Counter)
    toolsets: Counter[str] = field(default_factory=Counter)
    offered: dict[str, Counter[bytes]] = field(default_factory=dict)
    uses: dict[str, Use] = field(default_factory=dict)
    rules: Counter[str] = field(default_factory=Counter)
    retrievals: int = 0

    def add(self, trace: Trace) -> None:
        self.traces += 1
        self.prompts[trace.system_prompt] += 1
        self.retrievals += bool(trace.request.context) or any(isinstance(step, Retrieval) for step in trace.steps)
        if trace.tools_ref is not None:
            self.toolsets[trace.tools_ref] += 1
        for tool in trace.tools or ():
            known = {"description": tool.description, "parameters": tool.parameters, "effect": tool.effect}
            self.offered.setdefault(tool.name, Counter())[dumps(known, sort_keys=True)] += 1
        self._add_steps(trace)

    def _add_steps(self, trace: Trace) -> None:
        last = max((index for index, step in enumerate(trace.steps) if isinstance(step, ModelCall)), default=-1)
        for index, step in enumerate(trace.steps):
            if isinstance(step, ModelCall):
                self._add_model_call(step)
            elif isinstance(step, ToolCall):
                self.uses.setdefault(step.name, Use()).add(step, followed=index < last)
            elif isinstance(step, Guardrail):
                self.rules[step.rule or step.decision] += 1

    def _add_model_call(self, call: ModelCall) -> None:
        model = call.model_requested or call.model_responded
        if model is not None:
            self.models[model] += 1
        self.params[dumps(call.params, sort_keys=True)] += 1


def _arguments(call: ToolCall) -> dict[str, Json]:
    if isinstance(call.arguments, dict):
        return call.arguments
    try:
        value = loads(call.arguments)
    except RecordError:
        return {}
    return value if isinstance(value, dict) else {}


def _json_type(value: Json) -> str:
    return _JSON_TYPES.get(type(value), "null")


_JSON_TYPES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def most_common(counts: Counter[T], key: Callable[[T], str]) -> T | None:
    """The most common one; of equals the first by `key`, so that the order of the traces does not matter."""
    return min(counts, key=lambda item: (-counts[item], key(item)), default=None)


def most_common_json(counts: Counter[bytes]) -> dict[str, Json]:
    text = most_common(counts, bytes.decode)
    found: dict[str, Json] = {} if text is None else loads(text)
    return found


def prompts_of(seen: Seen) -> Iterator[PromptSeen]:
    counts = {text: count for text, count in seen.prompts.items() if text is not None}
    for text, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        yield PromptSeen(count, digest, " ".join(text[:200].split())[:60])
