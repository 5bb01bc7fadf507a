"""Fakes and builders for tests: ours, and those of teams who test their own bundles.

    trace = a_trace("where is my laptop?", [calls(("lookup", {"id": 1}, {"state": "on"})), says("On your desk.")])
    model = ScriptedModel([asks(("lookup", {"id": 1})), says("On your desk.")])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

from replay.bundle import Bundle, Release, RetrieverSnapshot, Surface, digest_of, make_lock
from replay.contract import ToolContract
from replay.errors import NoRecordingError, RouteError
from replay.exact_json import Json, dumps
from replay.models import ModelReply, ModelRequest, RouteSpec
from replay.policy import Policy, Rule
from replay.prices import Prices
from replay.prompt import Prompt
from replay.trace import BundleRef, Function, FunctionCall, Message, ModelCall, Request, Step, ToolCall, Trace, Usage

#: (tool, arguments, result) of a recorded call; a fourth part true = it failed.
RecordedCallSpec: TypeAlias = tuple[str, Json, Json] | tuple[str, Json, Json, bool]


class Turn(NamedTuple):
    """What a model answered once, with the results production's calls had."""

    message: Message
    results: tuple[tuple[Json, bool], ...] = ()


def a_bundle(
    name: str = "production",
    *,
    tools: Sequence[ToolContract] = (),
    rules: Sequence[Rule] = (),
    prompt: str | None = "Help.",
    prices: Prices | None = None,
    snapshot: str | None = None,
    aliases: Sequence[str] = (),
) -> Bundle:
    """A bundle made in memory, known in production by its name. `snapshot` is the id of a recorded retriever."""
    retriever = None if snapshot is None else RetrieverSnapshot(kind="recorded", id=snapshot)
    contents: dict[Surface, Json] = {
        "prompt_version": {"kind": "literal", "text": prompt},
        "model_route": {"model": f"{name}-model"},
        "retriever_snapshot": snapshot,
        "tool_contracts": [tool.model_dump(exclude_defaults=True) for tool in tools],
        "guardrail_policy": [rule.model_dump(exclude_defaults=True) for rule in rules],
        "eval_suite": [],
        "rollout_policy": None,
    }
    lock = make_lock(name, contents)
    return Bundle(
        directory=Path(name),
        name=name,
        digest=digest_of(lock),
        surfaces={surface: lock["surfaces"][surface]["digest"] for surface in contents},
        prompt=Prompt(prompt, "literal"),
        route=RouteSpec(transport="openai", model=f"{name}-model"),
        prices=prices,
        contracts={tool.name: tool for tool in tools},
        policy=Policy(rules),
        eval_suite=(),
        rollout_policy=None,
        retriever_snapshot=retriever,
        release=Release(aliases=[name, *aliases]),
        lock=lock,
    )


def says(text: str | None) -> Turn:
    """An answer in words; null is an assistant message without content."""
    return Turn(Message(role="assistant", content=text))


def asks(*calls: tuple[str, Json], text: str | None = None) -> Turn:
    """Tool calls of one model reply, as (tool, arguments); arguments that are text are sent as they are."""
    return Turn(_assistant(calls, text))


def calls(*recorded: RecordedCallSpec, text: str | None = None) -> Turn:
    """Tool calls of one model reply with their recorded results."""
    message = _assistant([(spec[0], spec[1]) for spec in recorded], text)
    return Turn(message, tuple((spec[2], len(spec) == 4 and bool(spec[3])) for spec in recorded))


def a_trace(
    request: str,
    turns: Sequence[Turn],
    *,
    trace_id: str = "trace-1",
    history: Sequence[Message] = (),
    **changes: object,
) -> Trace:
    """A replayable trace of one request after `history`; `changes` are fields of `Trace`."""
    fields: dict[str, object] = {
        "bundle": BundleRef(id="production"),
        "request": Request(messages=(*history, Message(role="user", content=request))),
        "final_answer": turns[-1].message.text if turns and not turns[-1].message.calls else None,
        **changes,
    }
    return Trace(trace_id=trace_id, steps=tuple(_steps(turns)), **fields)  # type: ignore[arg-type]  # fields of Trace


def past(turns: Iterable[Turn], *, question: str = "before") -> tuple[Message, ...]:
    """Messages of an earlier turn, for `Request.messages`."""
    messages = [Message(role="user", content=question)]
    for turn in turns:
        messages.append(turn.message)
        for call, (result, failed) in zip(turn.message.calls, turn.results, strict=True):
            messages.append(
                Message(role="tool", tool_call_id=call.id, content=_text(result), is_error=failed)
            )
    return tuple(messages)


@dataclass(slots=True)
class ScriptedModel:
    """A model that plays a list of turns, or whatever a function makes of the request. Keeps what it was asked."""

    script: Sequence[Turn | RouteError] | Callable[[ModelRequest], Turn | RouteError]
    usage: Usage | None = None
    latency_ns: int | None = 1_000_000
    requests: list[ModelRequest] = field(default_factory=list)

    async def complete(
        self,
        request: ModelRequest,
        *,
        timeout_seconds: float,  # noqa: ARG002 - a script takes no time
    ) -> ModelReply:
        self.requests.append(request)
        turn = self._next(request)
        if isinstance(turn, RouteError):
            raise turn
        return ModelReply(message=turn.message, usage=self.usage, latency_ns=self.latency_ns, served_model="scripted")

    async def aclose(self) -> None:
        return None

    def _next(self, request: ModelRequest) -> Turn | RouteError:
        if callable(self.script):
            return self.script(request)
        played = len(self.requests) - 1
        if played >= len(self.script):
            return NoRecordingError(f"the script has {len(self.script)} turns, asked for number {played + 1}")
        return self.script[played]


def _assistant(calls: Iterable[tuple[str, Json]], text: str | None) -> Message:
    asked = [
        FunctionCall(id=f"recorded_{number}", function=Function(name=tool, arguments=_text(arguments)))
        for number, (tool, arguments) in enumerate(calls)
    ]
    return Message(role="assistant", content=text, tool_calls=tuple(asked))


def _steps(turns: Iterable[Turn]) -> Iterable[Step]:
    for turn in turns:
        yield ModelCall(output=turn.message)
        for call, (result, failed) in zip(turn.message.calls, turn.results, strict=False):
            yield ToolCall(
                name=call.function.name, arguments=call.function.arguments, result=_text(result), is_error=failed
            )


def _text(value: Json) -> str:
    return value if isinstance(value, str) else dumps(value).decode()
