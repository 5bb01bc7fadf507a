"""Production's recorder in the demo: notes what happens to one request, and writes it down as `trace/1`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from consumers.demo_data.company import Incident
from consumers.demo_data.world import Done
from replay.bundle import Bundle
from replay.exact_json import Json
from replay.models import ModelReply
from replay.policy import Decision
from replay.prices import plain, total_cost
from replay.trace import (
    BundleRef,
    Document,
    FunctionCall,
    Guardrail,
    Message,
    ModelCall,
    Outcome,
    Request,
    Step,
    ToolCall,
    Trace,
    Usage,
)

#: How production says which release it is; `release.yaml` of v42 has it among its aliases.
BUNDLE_ID = "incident-assistant@42"


@dataclass(slots=True)
class Visit:
    """One request while it is served, and what the recorder notes of it. `clock` is the time of the story."""

    incident: Incident
    turn: int
    request: tuple[Message, ...]
    started_at: int
    prompt: str | None = None
    clock: int = 0
    chat: list[Message] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = self.started_at
        self.chat = list(self.request)

    @property
    def conversation_id(self) -> str:
        return f"conv-{self.incident.number:04d}"

    @property
    def trace_id(self) -> str:
        return f"{self.conversation_id}.{self.turn}"

    @property
    def context(self) -> tuple[Document, ...]:
        runbook = self.incident.runbook
        return (Document(id=runbook.id, content=runbook.content),)

    def note_reply(self, reply: ModelReply, bundle: Bundle) -> None:
        began, self.clock = self.clock, self.clock + (reply.latency_ns or 0)
        cost = total_cost(bundle.prices, [reply.usage])
        self.chat.append(reply.message)
        self.steps.append(
            ModelCall(
                started_at=began,
                ended_at=self.clock,
                duration_ns=reply.latency_ns,
                output=reply.message,
                model_requested=bundle.route.model,
                model_responded=reply.served_model,
                params=dict(bundle.route.params),
                finish_reason=reply.finish_reason,
                usage=reply.usage,
                cost_usd=None if cost is None else plain(cost),
                ttft_ns=reply.ttft_ns,
            )
        )

    def note_call(self, call: FunctionCall, decision: Decision, done: Done) -> None:
        tool, arguments = call.function.name, call.function.arguments
        if decision.decision != "allow":
            self.steps.append(Guardrail(decision=decision.decision, rule=decision.rule, tool=tool, arguments=arguments))
        began, self.clock = self.clock, self.clock + done.duration_ns
        self.chat.append(Message(role="tool", tool_call_id=call.id, content=done.result, is_error=done.is_error))
        self.steps.append(
            ToolCall(
                started_at=began,
                ended_at=self.clock,
                duration_ns=done.duration_ns,
                name=tool,
                arguments=arguments,
                call_id=call.id,
                result=done.result,
                is_error=done.is_error,
            )
        )


def trace_of(visit: Visit, bundle: Bundle) -> Trace:
    """What the recorder sends when the request is answered."""
    usages = [call.usage for call in visit.steps if isinstance(call, ModelCall)]
    cost = total_cost(bundle.prices, usages)
    return Trace(
        trace_id=visit.trace_id,
        request=Request(messages=visit.request, context=visit.context, attributes=visit.incident.attributes),
        conversation_id=visit.conversation_id,
        turn=visit.turn,
        bundle=BundleRef(id=BUNDLE_ID, source="resource.attributes[service.version]"),
        started_at=visit.started_at,
        ended_at=visit.clock,
        latency_ns=visit.clock - visit.started_at,
        system_prompt=visit.prompt,
        steps=tuple(visit.steps),
        final_answer=visit.chat[-1].text,
        usage=_summed(usages),
        cost_usd=None if cost is None else plain(cost),
        outcome=Outcome(status="ok"),
        labels=_labels(visit),
        provenance={"produced_by": "the demo of shadow-replay: a scripted model, a made-up company"},
    )


def _labels(visit: Visit) -> dict[str, Json]:
    """What somebody who went over the traces by hand would note."""
    calls = [step for step in visit.steps if isinstance(step, ToolCall)]
    return {
        "intent": visit.incident.messages[visit.turn][0],
        "handed_over": any(call.name == "escalate_to_human" for call in calls),
        "failed_calls": sum(call.is_error is True for call in calls),
    }


def _summed(usages: Sequence[Usage | None]) -> Usage:
    known = [usage for usage in usages if usage is not None]
    return Usage(
        input_tokens=sum(usage.input_tokens or 0 for usage in known),
        output_tokens=sum(usage.output_tokens or 0 for usage in known),
    )
