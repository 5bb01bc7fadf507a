"""Production, played: the bundle in production works for a made-up company, and every request is recorded.

The assistant's own loop, its guardrails and its tools, as a team would have them. This is what a replay gets to see
of production; it shares no code with stubs or replays.

Times in the traces are those the script drew, not those that were measured: whoever makes the traces again, on
whatever machine, gets the same bytes. `python -m consumers.demo_data.production` makes the ones that are shipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import anyio
import msgspec

from consumers.demo_data import BUNDLES, SCRIPT, TRACES, WORLD
from consumers.demo_data.acting import DRAW_HEADER, Asked, Draw, Played, play
from consumers.demo_data.company import Company, draw_incident, load_company
from consumers.demo_data.dice import Dice
from consumers.demo_data.recorder import Visit, trace_of
from consumers.demo_data.script import Script, load_script
from consumers.demo_data.world import Done, World
from consumers.files import write_traces
from replay.bundle import Bundle
from replay.bundle_loader import load_bundle
from replay.exact_json import Json, dumps, loads
from replay.models import Model, ModelReply, ModelRequest
from replay.policy import Decision, Facts
from replay.trace import FunctionCall, Message, Trace

_CALL_SECONDS = 30.0
_CONVERSATIONS_AT_ONCE = 64
_MAX_STEPS = 20
_SECOND_NS = 1_000_000_000
_SECONDS_BETWEEN_REQUESTS = (20, 600)
_SECONDS_BEFORE_A_FOLLOW_UP = (60, 900)


async def produce(company: Company, bundle: Bundle, script: Script, model: Model) -> list[Trace]:
    """Play all conversations of the company; gives their traces in the order in which the requests came."""
    desk = Desk(company, bundle, script, model)
    found: list[Trace] = []
    arrivals = enumerate(_arrivals(company))

    async def serve_on() -> None:
        for number, at in arrivals:  # shared: each conversation is served once, by whoever is free
            found.extend(await desk.serve(number, at))

    async with anyio.create_task_group() as serving:
        for _ in range(_CONVERSATIONS_AT_ONCE):
            serving.start_soon(serve_on)
    return sorted(found, key=lambda trace: (trace.started_at or 0, trace.trace_id))


async def shipped_traces() -> list[Trace]:
    """The traces of the package, made anew, without a server."""
    bundle, script = load_bundle(BUNDLES / "v42"), load_script(SCRIPT)
    return await produce(load_company(WORLD), bundle, script, ScriptedRoute(script, bundle.route.model))


def _arrivals(company: Company) -> Iterator[int]:
    dice = Dice(company.seed, "arrivals")
    at = company.starts_at
    for number in range(company.conversations):
        at += dice.whole(str(number), *_SECONDS_BETWEEN_REQUESTS)
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
        pauses = Dice(self._company.seed, "pauses", number)
        said: tuple[Message, ...] = ()
        traces: list[Trace] = []
        for turn, (_, text) in enumerate(incident.messages):
            visit = Visit(incident, turn, (*said, Message(role="user", content=text)), arrives_at)
            await self._answer(visit, world)
            traces.append(trace_of(visit, self._bundle))
            said = tuple(visit.chat)
            arrives_at = visit.clock + pauses.whole(str(turn), *_SECONDS_BEFORE_A_FOLLOW_UP) * _SECOND_NS
        return traces

    async def _answer(self, visit: Visit, world: World) -> None:
        attributes, now = visit.incident.attributes, _iso(visit.started_at)
        visit.prompt = self._bundle.prompt.render(attributes, now=now, context=visit.context)
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
        drawn = _played(self._script, self._bundle.route.model, request)
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
            return Done(dumps(pending).decode(), is_error=False, duration_ns=0)
        return Done(decision.message, is_error=True, duration_ns=0)


@dataclass(frozen=True, slots=True)
class ScriptedRoute:
    """`replay.models.Model` without a network: what the script says, in this process, in no time."""

    script: Script
    model: str

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:  # noqa: ARG002
        played = _played(self.script, self.model, request)
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


def _played(script: Script, model: str, request: ModelRequest) -> Played:
    messages = msgspec.convert(request.messages, tuple[Message, ...])
    turns = sum(message.role == "assistant" for message in messages)
    return play(script, Asked(model, messages, request.tools), Draw(request.headers[DRAW_HEADER], turns))


def _wire(message: Message) -> dict[str, Json]:
    """A message as it is sent: how a call ended is for the recorder."""
    fields: dict[str, Json] = msgspec.to_builtins(message)
    return {name: value for name, value in fields.items() if name != "is_error" and value is not None}


def _iso(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // _SECOND_NS, UTC).isoformat()


if __name__ == "__main__":
    write_traces(str(TRACES), anyio.run(shipped_traces))
