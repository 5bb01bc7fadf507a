"""The trace: one recorded production request, as it travels on the wire (`trace/1`).

Times are integers in nanoseconds since the epoch, UTC. Unknown is null, never 0. Money is a decimal string.
Tool-call ids are provenance only: real models reuse them and leave them empty, so nothing is keyed by them.
Labels and `expected` may travel with a trace; nothing that talks to a model reads them.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from replay.exact_json import Json, dumps

NonEmpty: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
Nanoseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
#: A whole number as logs and databases hold it.
Offset: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
#: A decimal string such as "0.00125". Parsed with `decimal`, never with float.
Money: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$")]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all wire records. Unknown fields are ignored, so a minor version may add some.

    msgspec does not inherit `kw_only`, and a type checker no `frozen`: each record says both again.
    """


class Function(Record, frozen=True, kw_only=True):
    name: str
    arguments: str = ""
    """The argument text as the model wrote it; it need not be JSON."""


class FunctionCall(Record, frozen=True, kw_only=True):
    """A tool call inside an assistant message, in the chat-completions shape."""

    function: Function
    id: str | None = None
    type: str = "function"


class Message(Record, frozen=True, kw_only=True):
    """One chat message. `is_error` on a tool message says how the call ended; it is never sent to a model."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Json] | None = None
    tool_calls: tuple[FunctionCall, ...] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    is_error: bool | None = None

    @property
    def text(self) -> str | None:
        """The text of the message; null when it has none, which is not the same as the empty text."""
        if self.content is None or isinstance(self.content, str):
            return self.content
        parts = [part.get("text") for part in self.content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))

    @property
    def calls(self) -> tuple[FunctionCall, ...]:
        return self.tool_calls or ()


class Document(Record, frozen=True, kw_only=True):
    id: str
    content: str | None = None
    score: float | None = None


class BundleRef(Record, frozen=True, kw_only=True):
    """The release that produced a trace, and where that was read."""

    id: str | None = None
    source: str | None = None
    fingerprint: str | None = None


class Request(Record, frozen=True, kw_only=True):
    """What entered the application before any model call. The system prompt is not part of it: it is the bundle's."""

    messages: tuple[Message, ...]
    context: tuple[Document, ...] = ()
    attributes: dict[str, Json] = {}

    @property
    def asked(self) -> str | None:
        """The text of the last message of the user; null when there is none."""
        return next((message.text for message in reversed(self.messages) if message.role == "user"), None)


class Usage(Record, frozen=True, kw_only=True):
    """Tokens. `cache_read` is a part of `input_tokens`, as in the OpenTelemetry conventions."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read: Count | None = None
    cache_write: Count | None = None
    reasoning: Count | None = None


class Tool(Record, frozen=True, kw_only=True):
    """A tool as it was offered to the model."""

    name: NonEmpty
    description: str | None = None
    parameters: Json = None
    effect: str | None = None


class Failure(Record, frozen=True, kw_only=True):
    type: str | None = None
    message: str | None = None


class _Step(Record, frozen=True, kw_only=True, tag_field="kind"):
    id: str | None = None
    parent: str | None = None
    started_at: Nanoseconds | None = None
    ended_at: Nanoseconds | None = None
    duration_ns: Nanoseconds | None = None


class ModelCall(_Step, frozen=True, kw_only=True, tag="model_call"):
    """One call of the model and what it answered: text, tool calls, or both."""

    output: Message
    model_requested: str | None = None
    model_responded: str | None = None
    provider: str | None = None
    params: dict[str, Json] = {}
    finish_reason: str | None = None
    usage: Usage | None = None
    cost_usd: Money | None = None
    ttft_ns: Nanoseconds | None = None
    error: Failure | None = None


class ToolCall(_Step, frozen=True, kw_only=True, tag="tool_call"):
    """An executed tool call. It answers the next unanswered call of the model call before it, in order."""

    name: str
    arguments: str | dict[str, Json] = ""
    call_id: str | None = None
    result: Json = None
    is_error: bool | None = None

    @property
    def arguments_text(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else dumps(self.arguments).decode()

    @property
    def result_text(self) -> str:
        """The result as the model saw it: text stays, any other value is written as JSON."""
        return self.result if isinstance(self.result, str) else dumps(self.result).decode()


class InsertedMessage(_Step, frozen=True, kw_only=True, tag="message"):
    """A message the production harness put in after the request, say by a defence that repeats the prompt."""

    message: Message


class Guardrail(_Step, frozen=True, kw_only=True, tag="guardrail"):
    """A decision of a guardrail. `tool` and `arguments` name the call it was about; both null = the answer."""

    decision: Literal["allow", "needs_approval", "escalate", "block"]
    rule: str | None = None
    tool: str | None = None
    arguments: str | None = None
    approved: bool | None = None


class Retrieval(_Step, frozen=True, kw_only=True, tag="retrieval"):
    query: str | None = None
    documents: tuple[Document, ...] = ()


class Other(_Step, frozen=True, kw_only=True, tag="other"):
    name: str | None = None
    input: Json = None
    output: Json = None


Step: TypeAlias = ModelCall | ToolCall | InsertedMessage | Guardrail | Retrieval | Other


class Outcome(Record, frozen=True, kw_only=True):
    status: Literal["ok", "error", "truncated", "refused", "unknown"] = "unknown"
    error: Failure | None = None


class Capture(Record, frozen=True, kw_only=True):
    """How much of the request was recorded."""

    content: Literal["full", "partial", "none"] = "full"
    missing: tuple[str, ...] = ()
    mixed_bundle: bool = False


class Trace(Record, frozen=True, kw_only=True):
    """One production request. `final_answer` null = none was produced; "" is an answer.

    `system_prompt` is what production rendered: provenance, from which a bundle can be inferred. A replay
    renders its own bundle's prompt and never sends this one. `tools_ref` names a toolset kept elsewhere.
    """

    trace_id: NonEmpty
    request: Request
    revision: Count = 0
    conversation_id: NonEmpty | None = None
    turn: Count | None = None
    bundle: BundleRef = BundleRef()
    started_at: Nanoseconds | None = None
    ended_at: Nanoseconds | None = None
    latency_ns: Nanoseconds | None = None
    ttft_ns: Nanoseconds | None = None
    system_prompt: str | None = None
    tools: tuple[Tool, ...] | None = None
    tools_ref: str | None = None
    steps: tuple[Step, ...] = ()
    final_answer: str | None = None
    usage: Usage | None = None
    cost_usd: Money | None = None
    outcome: Outcome = Outcome()
    capture: Capture = Capture()
    labels: dict[str, Json] = {}
    expected: Json = None
    provenance: dict[str, Json] = {}

    @property
    def record_key(self) -> str:
        """Kafka key, sampling hash and dedupe scope: a conversation is admitted or left out as a whole."""
        return self.conversation_id if self.conversation_id is not None else self.trace_id

    @property
    def model_calls(self) -> tuple[ModelCall, ...]:
        return tuple(step for step in self.steps if isinstance(step, ModelCall))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(step for step in self.steps if isinstance(step, ToolCall))
