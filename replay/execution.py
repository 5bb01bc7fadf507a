"""The replay itself, without I/O: a generator that asks for model calls and is sent their replies.

`forced` shows the model the recorded prefix of every step in turn and takes one answer each: valid for single
decisions, blind to compounding errors. `free` runs from the request to the end on stubs: valid up to the first
answer a stub cannot give. Both end in an `Attempt`; neither knows a socket, a clock or a task.

    drive(replay)                            the generator
        <- Ask(request, timeout)             wants a model call
        -> ModelReply                        or a RouteError is thrown in
        ...
        returns Attempt
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias
from urllib.parse import quote

from replay.comparison import Disposition, Mode, Unit
from replay.contract import Tooling
from replay.errors import NoRecordingError, ProviderError, RouteError
from replay.exact_json import Json
from replay.grade import CENSORING, Grade
from replay.models import REPLAY_HEADER, ModelReply, ModelRequest
from replay.policy import Policy
from replay.prices import Prices, total_cost
from replay.recorded import assistant_message, history, recorded_steps, tool_message, transcript
from replay.stubs import Asked, StubAnswer, StubWorld, ends_turn
from replay.trace import Trace, Usage

SECOND_NS = 1_000_000_000
#: A gateway that answers from a cache would let a replay look exactly like production.
_UNCACHED = {"Cache-Control": "no-cache, no-store"}


@dataclass(frozen=True, slots=True)
class Budget:
    """What one unit may use up. A unit that needs more ends as `over_budget`: that is the candidate's doing."""

    steps: int = 40
    tokens: int | None = 400_000
    seconds: float = 300.0
    usd: Decimal | None = None
    call_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a replay of one unit is made of; all of it decided before the first call."""

    unit: Unit
    trace: Trace
    system_prompt: str | None
    offered: tuple[dict[str, Json], ...]
    tooling: Tooling
    policy: Policy
    prices: Prices | None
    budget: Budget
    now: str | None = None
    impossible: str | None = None
    """Why this unit cannot be replayed at all; it gets its record and no model call."""

    @property
    def session(self) -> str:
        return self.unit.comparison_id


@dataclass(frozen=True, slots=True)
class Ask:
    """The replay wants this model call, answered within `timeout_seconds`."""

    request: ModelRequest
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Taken:
    """One step the replayed bundle took: the model's reply and how its calls were answered."""

    step: int
    reply: ModelReply
    answers: tuple[StubAnswer, ...]

    @property
    def answer(self) -> str | None:
        """The text of the reply if it is an answer: one with tool calls is not."""
        return None if self.answers else self.reply.message.text


Ending: TypeAlias = Literal["ended", "halted", "over_budget", "infra_error", "no_recording"]

#: How an ending is told on the wire.
ENDINGS: Mapping[Ending, Disposition] = {
    "ended": "compared",
    "halted": "censored",
    "over_budget": "over_budget",
    "infra_error": "infra_error",
    "no_recording": "no_recording",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a replay came to."""

    unit: Unit
    taken: tuple[Taken, ...]
    ending: Ending
    reason: str | None = None
    model_calls: int = 0
    attempts: int = 0
    usage: Usage | None = None
    cost: Decimal | None = None
    grades: Mapping[str, int] = field(default_factory=dict)

    @property
    def mode(self) -> Mode:
        return self.unit.mode

    @property
    def disposition(self) -> Disposition:
        if self.ending == "ended" and self.censored_by is not None and self.mode == "free":
            return "censored"
        return ENDINGS[self.ending]

    @property
    def censored_by(self) -> StubAnswer | None:
        """The first call whose answer was not one production could have given."""
        answers = (answer for taken in self.taken for answer in taken.answers)
        return next((answer for answer in answers if answer.grade in CENSORING), None)

    @property
    def answer(self) -> str | None:
        return self.taken[-1].answer if self.taken and self.ending == "ended" else None

    @property
    def latency_ns(self) -> int | None:
        """Time inside the model, all steps; null when one step is unknown."""
        known = [taken.reply.latency_ns for taken in self.taken if taken.reply.latency_ns is not None]
        return sum(known) if known and len(known) == len(self.taken) else None


Replay: TypeAlias = Generator[Ask, ModelReply, Attempt]


def replay(plan: Plan) -> Replay:
    """Start the replay of a unit in its mode."""
    return {"forced": _forced, "free": _free}[plan.unit.mode](plan)


def replay_header(unit: Unit, step: int) -> dict[str, str]:
    """The header every model request carries; ids are hostile content, so every part is percent-encoded."""
    parts = (unit.comparison_id, unit.trace_id, unit.mode, unit.lane, str(unit.sample), str(step))
    return {REPLAY_HEADER: "; ".join(quote(part, safe="", errors="replace") for part in parts)}


def _forced(plan: Plan) -> Replay:
    """One step per recorded model call, each from production's own prefix."""
    ledger = _Ledger(plan)
    world = _world(plan)
    steps = recorded_steps(plan.trace)
    for number, (recorded, prefix) in enumerate(zip(steps, transcript(plan.trace), strict=False)):
        reply = yield from _ask(plan, ledger, prefix, number)
        if reply is None:
            return ledger.close()
        ledger.take(number, reply, world.answer(_asked(reply)))
        world.observe(recorded.calls)
    return ledger.close()


def _free(plan: Plan) -> Replay:
    """From the request to an answer, a hand-over, or the first call no stub can answer."""
    ledger = _Ledger(plan)
    world = _world(plan)
    chat = list(history(plan.trace))
    number = 0
    while True:
        reply = yield from _ask(plan, ledger, tuple(chat), number)
        if reply is None:
            return ledger.close()
        answers = world.answer(_asked(reply))
        ledger.take(number, reply, answers)
        if not answers or _handed_over(plan, answers):
            return ledger.close()
        halted = next((answer for answer in answers if answer.grade is Grade.HALT), None)
        if halted is not None:
            return ledger.close("halted", f"no recorded answer to {halted.asked.tool}({halted.asked.arguments[:500]})")
        world.commit(answers)
        chat.append(assistant_message(reply.message.content, [answer.asked for answer in answers], number))
        chat.extend(tool_message(answer.result or "", number, index) for index, answer in enumerate(answers))
        number += 1


def _ask(
    plan: Plan, ledger: _Ledger, chat: tuple[dict[str, Json], ...], step: int
) -> Generator[Ask, ModelReply, ModelReply | None]:
    """One model call; null = the replay is over, and the ledger knows why."""
    spent = ledger.over_budget()
    if spent is not None:
        ledger.end("over_budget", spent)
        return None
    system = () if plan.system_prompt is None else ({"role": "system", "content": plan.system_prompt},)
    headers = {**replay_header(plan.unit, step), **_UNCACHED}
    request = ModelRequest((*system, *chat), plan.offered, headers, repeat=plan.unit.sample)
    timeout = min(plan.budget.call_seconds, ledger.seconds_left)
    try:
        ledger.model_calls += 1
        reply = yield Ask(request, timeout)
    except NoRecordingError as error:
        ledger.end("no_recording", str(error))
    except ProviderError as error:
        ledger.attempts += error.attempts
        unit_over = error.out_of_time and timeout < plan.budget.call_seconds
        ledger.end("over_budget" if unit_over else "infra_error", f"{error.kind}: {error}")
    except RouteError as error:
        ledger.end("infra_error", str(error))
    else:
        return reply
    return None


class _Ledger:
    """What a replay has used so far, and how it ended."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._taken: list[Taken] = []
        self._ending: Ending = "ended"
        self._reason: str | None = None
        self.model_calls = 0
        self.attempts = 0

    @property
    def seconds_left(self) -> float:
        spent = sum(taken.reply.latency_ns or 0 for taken in self._taken) / SECOND_NS
        return self._plan.budget.seconds - spent

    def take(self, step: int, reply: ModelReply, answers: tuple[StubAnswer, ...]) -> None:
        self.attempts += reply.attempts
        self._taken.append(Taken(step, reply, answers))

    def end(self, ending: Ending, reason: str) -> None:
        self._ending, self._reason = ending, reason[:2000]

    def over_budget(self) -> str | None:
        """Which limit the next call would break, in words."""
        budget = self._plan.budget
        usage, cost = self._usage(), self._cost()
        tokens = (usage.input_tokens or 0) + (usage.output_tokens or 0) if usage else 0
        if len(self._taken) >= budget.steps and self._plan.unit.mode == "free":
            return f"still calling tools after {budget.steps} steps"
        if budget.tokens is not None and tokens >= budget.tokens:
            return f"used {tokens:,} of {budget.tokens:,} tokens"
        if self.seconds_left <= 0:
            return f"used all of {budget.seconds:g} s"
        if budget.usd is not None and cost is not None and cost >= budget.usd:
            return f"spent ${cost} of ${budget.usd}"
        return None

    def close(self, ending: Ending | None = None, reason: str = "") -> Attempt:
        if ending is not None:
            self.end(ending, reason)
        grades: dict[str, int] = {}
        for taken in self._taken:
            for answer in taken.answers:
                grades[str(answer.grade)] = grades.get(str(answer.grade), 0) + 1
        return Attempt(
            unit=self._plan.unit,
            taken=tuple(self._taken),
            ending=self._ending,
            reason=self._reason,
            model_calls=self.model_calls,
            attempts=self.attempts,
            usage=self._usage(),
            cost=self._cost(),
            grades=grades,
        )

    def _usage(self) -> Usage | None:
        return add_usage([taken.reply.usage for taken in self._taken])

    def _cost(self) -> Decimal | None:
        return total_cost(self._plan.prices, [taken.reply.usage for taken in self._taken])


def add_usage(parts: list[Usage | None]) -> Usage | None:
    """Sum of token counts; a count one part does not know is unknown in the sum."""
    if not parts or any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    return Usage(**{name: _sum([getattr(part, name) for part in known]) for name in Usage.__struct_fields__})


def _sum(counts: list[int | None]) -> int | None:
    return None if any(count is None for count in counts) else sum(count or 0 for count in counts)


def _world(plan: Plan) -> StubWorld:
    return StubWorld(plan.trace, plan.tooling, plan.policy, session=plan.session, now=plan.now)


def _asked(reply: ModelReply) -> tuple[Asked, ...]:
    return tuple(Asked(call.function.name, call.function.arguments) for call in reply.message.calls)


def _handed_over(plan: Plan, answers: tuple[StubAnswer, ...]) -> bool:
    return any(ends_turn(plan.tooling.stubbing(answer.asked.tool), answer) for answer in answers)
