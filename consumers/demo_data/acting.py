"""Playing a script: a chat and a draw in, one answer of the model out. Pure: no clock, no state, no socket.

The model knows what the chat shows, and nothing else: the system prompt, what the user wrote, how its calls ended.
All of it is data, matched and copied into places the script has for it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from consumers.demo_data.dice import Dice
from consumers.demo_data.script import ANY_ORDER, HABIT, ONE_AT_A_TIME, Intent, Script, Step, Value, filled, holds
from replay.errors import RecordError
from replay.exact_json import Json, dumps, loads
from replay.trace import Function, FunctionCall, Message, Usage

#: Stands for the outcome of a call whose result is no JSON object with a status: a refusal in words.
REFUSED = "refused"
#: Facts of the turn that the latest message of the user began.
NOW = "now."
#: Names what a request is drawn by that is no replay.
DRAW_HEADER = "x-scripted-draw"
#: Characters of a token, and tokens around each message: about what tokenizers make of English.
_CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4


class Draw(NamedTuple):
    """What an answer is drawn by: `unit` for habits, which last, and `step` for wording, order and pace."""

    unit: str
    step: int


class Asked(NamedTuple):
    """A request to the model. `tools` are the tools offered, in the chat-completions shape."""

    model: str
    messages: tuple[Message, ...]
    tools: Sequence[Json] = ()


class Played(NamedTuple):
    message: Message
    usage: Usage
    ttft_ns: int
    latency_ns: int


def play(script: Script, asked: Asked, draw: Draw) -> Played:
    """What the model answers, and how long it takes. Raises `KeyError` for a model the script does not have."""
    steady, moment = Dice(script.seed, draw.unit), Dice(script.seed, draw.unit, draw.step)
    chat = _read(script, asked, steady)
    message = _Actor(script, chat, moment, _offered(asked.tools), draw.step).answer()
    usage = Usage(input_tokens=_input_tokens(asked), output_tokens=_output_tokens(message))
    ttft_ns, latency_ns = _pace(script, asked.model, usage.output_tokens or 0, moment)
    return Played(message, usage, ttft_ns, latency_ns)


# -- what the chat shows ------------------------------------------------------------------------------------------


class _Chat(NamedTuple):
    intent: Intent
    facts: Mapping[str, Value]
    made: Mapping[str, int]
    """How often each tool was called in this turn."""


def _read(script: Script, asked: Asked, steady: Dice) -> _Chat:
    facts, made = _outcomes(asked.messages)
    said = {role: [m.text or "" for m in asked.messages if m.role == role] for role in ("system", "user")}
    latest = said["user"][-1].lower() if said["user"] else ""
    intent = next(intent for intent in script.intents if intent.is_meant_by(latest))
    facts |= intent.facts
    facts |= {HABIT + name: has for name, has in _habits(script, asked.model, "\n".join(said["system"]), steady)}
    for source in script.facts:
        found = facts.get(source.same_as) if source.same_as else _latest(source.expression, said[source.role or "user"])
        if found is not None:
            facts.setdefault(source.name, found)
    return _Chat(intent, facts, made)


def _outcomes(messages: Iterable[Message]) -> tuple[dict[str, Value], Counter[str]]:
    """How the calls of the chat ended, the latest of each tool; and which were made in this turn."""
    facts: dict[str, Value] = {}
    made: Counter[str] = Counter()
    tools: dict[str | None, str] = {}
    for message in messages:
        if message.role == "user":
            made.clear()
            facts = {name: value for name, value in facts.items() if not name.startswith(NOW)}
        for call in message.calls:
            tools[call.id] = call.function.name
            made[call.function.name] += 1
        tool = tools.get(message.tool_call_id) if message.role == "tool" else None
        if tool is not None:
            facts = {name: value for name, value in facts.items() if not name.startswith(f"{tool}.")}
            facts |= _result_facts(tool, message.text or "")
    return facts, made


def _result_facts(tool: str, text: str) -> dict[str, Value]:
    try:
        result = loads(text)
    except RecordError:
        result = None
    fields = result if isinstance(result, dict) else {}
    status = fields.get("status")
    outcome = status if isinstance(status, str) else REFUSED
    plain = {f"{tool}.{key}": value for key, value in fields.items() if not isinstance(value, dict | list)}
    return {**plain, tool: outcome, NOW + tool: outcome}


def _habits(script: Script, model: str, prompt: str, steady: Dice) -> Iterator[tuple[str, bool]]:
    told = prompt.lower()
    for name in script.habits:
        habit = script.habit(model, name)
        kept = habit.unless_told is not None and habit.unless_told.lower() in told
        yield name, not kept and steady.chance(HABIT + name, habit.chance)


def _latest(expression: re.Pattern[str], texts: Sequence[str]) -> str | None:
    found = [match for text in texts for match in expression.findall(text)]
    return found[-1] if found else None


# -- what the model does ------------------------------------------------------------------------------------------


class _Actor(NamedTuple):
    script: Script
    chat: _Chat
    moment: Dice
    offered: frozenset[str]
    number: int

    def answer(self) -> Message:
        """The first step that can be taken. A script in which none can says nothing."""
        for name in self.chat.intent.steps:
            step = self.script.steps[name]
            if holds(step.when, self.chat.facts):
                message = self._calling(step) if step.call else self._saying(step)
                if message is not None:
                    return message
        return Message(role="assistant", content="")

    def _calling(self, step: Step) -> Message | None:
        tools = [tool for tool in step.call if tool in self.offered and self.chat.made.get(tool, 0) < step.times]
        found = [(tool, self._arguments(tool)) for tool in tools]
        calls = [(tool, arguments) for tool, arguments in found if arguments is not None]
        if not calls:
            return None
        if step.loose and self.chat.facts[HABIT + ANY_ORDER]:
            calls = self.moment.shuffled("order", calls)
        if step.loose and self.chat.facts[HABIT + ONE_AT_A_TIME]:
            del calls[1:]
        asked = tuple(
            FunctionCall(id=f"call_{self.number}_{index}", function=Function(name=tool, arguments=arguments))
            for index, (tool, arguments) in enumerate(calls)
        )
        return Message(role="assistant", tool_calls=asked)

    def _arguments(self, tool: str) -> str | None:
        """The arguments as the model writes them; null when it does not know one of them."""
        values: dict[str, Json] = {}
        for name, template in self.script.calls[tool].items():
            value = self.moment.pick(f"{tool}.{name}", template) if isinstance(template, list) else template
            if isinstance(value, str):
                value = filled(value, self.chat.facts)
                if value is None:
                    return None
            if value is not None:
                values[name] = value
        return dumps(values).decode()

    def _saying(self, step: Step) -> Message | None:
        said = [text for name in step.say if (text := self._sentence(name)) is not None]
        return Message(role="assistant", content=" ".join(said)) if said else None

    def _sentence(self, name: str) -> str | None:
        for phrase in self.script.sentences[name]:
            if holds(phrase.when, self.chat.facts):
                texts = [text for say in phrase.say if (text := filled(say, self.chat.facts)) is not None]
                return self.moment.pick(name, texts) if texts else None
        return None


def _offered(tools: Sequence[Json]) -> frozenset[str]:
    functions = (tool.get("function") for tool in tools if isinstance(tool, dict))
    names = (function.get("name") for function in functions if isinstance(function, dict))
    return frozenset(name for name in names if isinstance(name, str))


# -- what it costs ------------------------------------------------------------------------------------------------


def _pace(script: Script, model: str, tokens: int, moment: Dice) -> tuple[int, int]:
    """Time to the first token and to the last one, in whole microseconds of nanoseconds."""
    actor = script.models[model]
    factor = actor.slow.factor if moment.chance("slow", actor.slow.chance) else 1.0
    first = moment.between("first token", *actor.first_token_ms) * factor
    whole = first + tokens * moment.between("per token", *actor.per_token_ms) * factor
    return round(first * 1000) * 1000, round(whole * 1000) * 1000


def _input_tokens(asked: Asked) -> int:
    """Call ids do not count: they are as long as whoever mints them makes them."""
    characters = len(dumps(asked.tools)) if asked.tools else 0
    characters += sum(_length(message) for message in asked.messages)
    return characters // _CHARACTERS_PER_TOKEN + _TOKENS_PER_MESSAGE * len(asked.messages)


def _output_tokens(message: Message) -> int:
    return _length(message) // _CHARACTERS_PER_TOKEN + 1


def _length(message: Message) -> int:
    calls = sum(len(call.function.name) + len(call.function.arguments) for call in message.calls)
    return len(message.text or "") + calls
