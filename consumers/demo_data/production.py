"""Production, played: the bundle in production works for a made-up company, and every request is recorded.

The assistant's own loop, its guardrails and its tools, as a team would have them, and the recorder beside it that
writes `trace/1`. This is what a replay gets to see of production; it shares no code with stubs or replays.

Times in the traces are those the script drew, not those that were measured: whoever makes the traces again, on
whatever machine, gets the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import anyio
import msgspec
from anyio.abc import ObjectReceiveStream

from consumers.demo_data.acting import DRAW_HEADER, Asked, Draw, Played, play
from consumers.demo_data.company import Company, Incident, draw_incident
from consumers.demo_data.dice import Dice
from consumers.demo_data.script import Script
from consumers.demo_data.world import Done, World
from replay.bundle import Bundle
from replay.exact_json import Json, loads
from replay.models import Model, ModelReply, ModelRequest
from replay.policy import Decision, Facts
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

_CALL_SECONDS = 30.0
_IN_FLIGHT = 24
_SECOND_NS = 1_000_000_000
_BETWEEN_REQUESTS = (20, 600)  # seconds
_BEFORE_A_FOLLOW_UP = (60, 900)
_MAX_STEPS = 20


@dataclass(frozen=True, slots=True)
class ScriptedRoute:
    """`replay.models.Model` without a network: the script itself, in this process, in no time."""

    script: Script
    model: str

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:  # noqa: ARG002
        played = played_for(self.script, self.model, request)
        return ModelReply(
            message=played.message,
            finish_reason="tool_calls" if played.message.calls else "stop",
            usage=played.usage,
            served_model=self.model,
            latency_ns=played.latency_ns,
            ttft_ns=played.ttft_ns,
        )

    async def aclose(self) -> None:
        return None


def played_for(script: Script, model: str, request: ModelRequest) -> Played:
    """What the script plays for a request of production."""
    messages = msgspec.convert(request.messages, tuple[Message, ...])
    turns = sum(message.role == "assistant" for message in messages)
    return play(script, Asked(model, messages, request.tools), Draw(request.headers[DRAW_HEADER], turns))


async def produce(company: Company, bundle: Bundle, script: Script, model: Model) -> list[Trace]:
    """Play all conversations of the company; gives their traces in the order in which the requests came."""
    found: list[Trace] = []
    to_play, numbers = anyio.create_memory_object_stream[tuple[int, int]](company.conversations)
    with to_play:
        for item in enumerate(_arrivals(company)):
            to_play.send_nowait(item)
    desk = Desk(company, bundle, script, model)
    async with anyio.create_task_group() as playing:
        for _ in range(_IN_FLIGHT):
            playing.start_soon(_play, desk, numbers.clone(), found)
        numbers.close()
    return sorted(found, key=lambda trace: (trace.started_at or 0, trace.trace_id))


async def _play(desk: Desk, numbers: ObjectReceiveStream[tuple[int, int]], found: list[Trace]) -> None:
    async with numbers:
        async for number, arrives_at in numbers:
            found.extend(await desk.serve(number, arrives_at))


def _arrivals(company: Company) -> Iterator[int]:
    dice = Dice(company.seed, "arrivals")
    at = company.starts_at
    for number in range(company.conversations):
        at += dice.whole(str(number), *_BETWEEN_REQUESTS)
        yield at * _SECOND_NS


class Desk:
    """The assistant in production."""

    def __init__(self, company: Company, bundle: Bundle, script: Script, model: Model) -> None:
        self._company = company
        self._bundle = bundle
        self._script = script
        self._model = model
        self._offered = tuple(contract.offered() for contract in bundle.contracts.values())

    async def serve(self, number: int, arrives_at: int) -> list[Trace]:
        """One conversation, turn after turn."""
        incident = draw_incident(self._company, number)
        world = World(self._company, incident)
        dice = Dice(self._company.seed, "pauses", number)
        said: tuple[Message, ...] = ()
        traces: list[Trace] = []
        at = arrives_at
        for turn, (_, text) in enumerate(incident.messages):
            visit = Visit(incident, turn, (*said, Message(role="user", content=text)), at)
            await self._answer(visit, world)
            traces.append(trace_of(visit, self._bundle))
            said = tuple(visit.chat)
            at = visit.clock + dice.whole(str(turn), *_BEFORE_A_FOLLOW_UP) * _SECOND_NS
        return traces

    async def _answer(self, visit: Visit, world: World) -> None:
        visit.prompt = self._bundle.prompt.render(
            visit.incident.attributes, now=_iso(visit.started_at), context=visit.context
        )
        for _ in range(_MAX_STEPS):
            reply = await self._ask(visit)
            visit.note_reply(reply, self._bundle)
            if not reply.message.calls:
                return
            for call in reply.message.calls:
                decision = self._decide(visit, call)
                visit.note_call(call, decision, self._carried_out(world, call, decision))
        raise RuntimeError(f"{visit.trace_id}: no answer after {_MAX_STEPS} steps; the script does not end")

    async def _ask(self, visit: Visit) -> ModelReply:
        system: dict[str, Json] = {"role": "system", "content": visit.prompt}
        messages = (system, *map(_wire, visit.chat))
        request = ModelRequest(messages, self._offered, {DRAW_HEADER: visit.trace_id})
        reply = await self._model.complete(request, timeout_seconds=_CALL_SECONDS)
        drawn = played_for(self._script, self._bundle.route.model, request)
        return replace(reply, latency_ns=drawn.latency_ns, ttft_ns=drawn.ttft_ns)

    def _decide(self, visit: Visit, call: FunctionCall) -> Decision:
        """The guardrails of the bundle, as production runs them."""
        contract = self._bundle.contracts[call.function.name]
        return self._bundle.policy.decide(
            Facts(
                tool=contract.name,
                effect=contract.effect,
                args=loads(call.function.arguments),
                attributes=visit.incident.attributes,
                now=_iso(visit.started_at),
            )
        )

    def _carried_out(self, world: World, call: FunctionCall, decision: Decision) -> Done:
        if decision.decision == "allow":
            return world.call(call.function.name, call.function.arguments)
        if decision.decision == "needs_approval":  # nobody has approved when the answer is due
            pending = self._bundle.contracts[call.function.name].pending_result
            return Done(msgspec.json.encode(pending).decode(), False, 0)
        return Done(decision.message, True, 0)


def _wire(message: Message) -> dict[str, Json]:
    """A message as it is sent: how a call ended is for the recorder."""
    fields: dict[str, Json] = msgspec.to_builtins(message)
    return {name: value for name, value in fields.items() if name != "is_error" and value is not None}


def _iso(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // _SECOND_NS, UTC).isoformat()
