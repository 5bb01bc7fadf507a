"""The script of a scripted model (`model-script/1`): what it is made of, read and checked.

`script.yaml` explains the language; `acting` plays it. A script is its author's own file, as a program is: its
patterns are run on what a chat holds, so do not serve one you have not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from replay.errors import UsageError

Value: TypeAlias = str | int | float | bool | None
#: Facts by name, and what each may be.
Conditions: TypeAlias = dict[str, Value | list[Value]]
Chance: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Span: TypeAlias = Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=2, max_length=2)]

#: Habits that `acting` itself knows, for the calls of loose steps.
ANY_ORDER = "any_order"
ONE_AT_A_TIME = "one_at_a_time"
HABIT = "habit."

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][\w.]*)\}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Slowness(_Part):
    chance: Chance
    factor: Annotated[float, Field(ge=1)]


class Habit(_Part):
    chance: Chance
    unless_told: Annotated[str, Field(min_length=1)] | None = None
    """Words of a system prompt that keep the model from it."""


class ActorModel(_Part):
    """How a model of this name answers: how fast, and with which habits of its own."""

    first_token_ms: Span
    per_token_ms: Span
    slow: Slowness = Slowness(chance=0, factor=1)
    habits: dict[str, Chance | Habit] = {}


class FactSource(_Part):
    """Where a fact is read: the first group of a pattern in the latest such message, or another fact."""

    name: str
    role: Literal["system", "user"] | None = None
    pattern: str | None = None
    same_as: str | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> FactSource:
        if (self.role is None) != (self.pattern is None) or (self.pattern is None) == (self.same_as is None):
            raise ValueError("expected role and pattern, or same_as")
        return self

    @field_validator("pattern")
    @classmethod
    def _has_one_group(cls, value: str | None) -> str | None:
        if value is not None and re.compile(value).groups != 1:
            raise ValueError("expected a pattern with one group")
        return value

    @cached_property
    def expression(self) -> re.Pattern[str]:
        return re.compile(self.pattern or "", re.IGNORECASE)


class Step(_Part):
    """Calls to make or sentences to say, when its conditions hold."""

    when: Conditions = {}
    call: list[str] = []
    times: Annotated[int, Field(ge=1)] = 1
    loose: bool = False
    """Its calls come in any order, and not always in one answer."""
    say: list[str] = []

    @model_validator(mode="after")
    def _does_one_thing(self) -> Step:
        if bool(self.call) == bool(self.say):
            raise ValueError("expected call or say")
        return self


class Phrase(_Part):
    when: Conditions = {}
    say: Annotated[list[str], Field(min_length=1)]


class Intent(_Part):
    name: str
    cues: list[str] = []
    facts: dict[str, str] = {}
    steps: list[str]

    def is_meant_by(self, text: str) -> bool:
        """Whether a message asks for this; without cues it takes every message."""
        return not self.cues or any(cue in text for cue in self.cues)


class Script(_Part):
    format: Literal["model-script/1"] = Field(alias="schema")
    seed: int
    models: dict[str, ActorModel]
    habits: dict[str, Chance]
    facts: list[FactSource] = []
    calls: dict[str, dict[str, Value | list[Value]]]
    steps: dict[str, Step]
    intents: Annotated[list[Intent], Field(min_length=1)]
    sentences: dict[str, list[Phrase]]

    def habit(self, model: str, name: str) -> Habit:
        own = self.models[model].habits.get(name, self.habits[name])
        return own if isinstance(own, Habit) else Habit(chance=own)

    @model_validator(mode="after")
    def _names_what_there_is(self) -> Script:
        problems = list(_unknown_names(self))
        if self.intents[-1].cues or any(not intent.cues for intent in self.intents[:-1]):
            problems.append("expected the last intent, and no other, to have no cues")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def load_script(path: Path) -> Script:
    """Read a script. Raises `UsageError` with everything that is wrong with it."""
    try:
        return Script.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not YAML: {error}") from None
    except ValidationError as error:
        found = (f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors())
        raise UsageError("\n  ".join((f"{path}: not a script:", *found))) from None


def filled(template: str, facts: Mapping[str, Value]) -> str | None:
    """The text with facts in place of their names; null when one of them is not known."""
    names = _PLACEHOLDER.findall(template)
    if any(facts.get(name) is None for name in names):
        return None
    return _PLACEHOLDER.sub(lambda found: str(facts[found[1]]), template)


def holds(conditions: Conditions, facts: Mapping[str, Value]) -> bool:
    return all(_is(facts.get(name), wanted) for name, wanted in conditions.items())


def _is(found: Value, wanted: Value | list[Value]) -> bool:
    allowed = wanted if isinstance(wanted, list) else [wanted]
    return any(type(found) is type(value) and found == value for value in allowed)  # true is no 1


def _unknown_names(script: Script) -> Iterator[str]:
    for name in (ANY_ORDER, ONE_AT_A_TIME):
        if name not in script.habits:
            yield f"habits: {name} is missing"
    for kind, used, known in _references(script):
        yield from (f"{kind} {name!r} is not there" for name in used if name not in known)


def _references(script: Script) -> Iterator[tuple[str, list[str], Mapping[str, object]]]:
    """(what is named, the names, where they must be)."""
    for actor in script.models.values():
        yield "habit", list(actor.habits), script.habits
    for intent in script.intents:
        yield "step", intent.steps, script.steps
    for step in script.steps.values():
        yield "call", step.call, script.calls
        yield "sentence", step.say, script.sentences
    conditions = [step.when for step in script.steps.values()]
    conditions += [phrase.when for group in script.sentences.values() for phrase in group]
    for when in conditions:
        yield "habit", [name.removeprefix(HABIT) for name in when if name.startswith(HABIT)], script.habits
