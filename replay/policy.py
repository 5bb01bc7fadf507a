"""The guardrail policy of a bundle: rules over one tool call, decided before the call is answered.

A rule names tools, may have a condition in CEL (Common Expression Language), and says what happens when it
applies. The most restrictive rule that applies decides; none applies = allow. A condition that cannot be
evaluated applies as a block (fail closed): a missing key or a value CEL cannot hold must not open a gate.

What a condition sees:

    tool, effect    name of the tool; "read", "handoff" or "write"
    args            arguments of the call
    request, user   attributes of the request; its attribute `user`, empty if there is none
    approvals       who has approved this very call
    calls           earlier calls of this replay: [{tool, args, outcome}]
    now             when the request came in, ISO 8601: timestamp(now) makes it a time; null if unknown
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from replay.exact_json import Json

DecisionName: TypeAlias = Literal["allow", "needs_approval", "escalate", "block"]

#: The more restrictive decision wins.
STRENGTH: Mapping[DecisionName, int] = {"allow": 0, "needs_approval": 1, "escalate": 2, "block": 3}

#: Stands for every tool in `on`.
EVERY_TOOL = "*"

#: The C++ evaluator recurses through values on its own stack and overflows it near 10,000.
MAX_DEPTH = 100
#: Values in all facts of one decision. CEL reads all of them, so this bounds its time.
MAX_VALUES = 100_000


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class On(_Model):
    """Which calls a rule is about."""

    tool: list[str] = Field(min_length=1)
    """Names, or "*" for every tool. One name may stand without a list."""

    @field_validator("tool", mode="before")
    @classmethod
    def _in_a_list(cls, value: Json) -> Json:
        return [value] if isinstance(value, str) else value


class Then(_Model):
    """What happens; exactly one of them. The text is shown: why, who approves, where to."""

    block: str | None = None
    escalate: str | None = None
    require_approval: str | None = None
    allow: Literal[True] | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Then:
        if len(self.model_fields_set) != 1 or getattr(self, next(iter(self.model_fields_set))) is None:
            raise ValueError("expected exactly one of block, escalate, require_approval, allow: true")
        return self

    @property
    def decision(self) -> DecisionName:
        return _DECISIONS[next(iter(self.model_fields_set))]

    @property
    def word(self) -> str:
        """Why, who or where to; empty for allow."""
        found = self.block or self.escalate or self.require_approval
        return found or ""


class Rule(_Model):
    id: str = Field(min_length=1, max_length=200)
    on: On
    when: str | None = Field(default=None, min_length=1, max_length=10_000)
    """CEL; left out, the rule always applies."""
    then: Then

    def concerns(self, tool: str) -> bool:
        return EVERY_TOOL in self.on.tool or tool in self.on.tool


@dataclass(frozen=True, slots=True)
class Facts:
    """One tool call, and what is known when it is asked for. All of it is data of a trace or of a candidate."""

    tool: str
    effect: str
    args: Mapping[str, Json]
    attributes: Mapping[str, Json]
    approvals: Sequence[str] = ()
    calls: Sequence[Mapping[str, Json]] = ()
    now: str | None = None

    def activation(self) -> dict[str, Json]:
        """The values a condition sees, by name."""
        user = self.attributes.get("user")
        return {
            "tool": self.tool,
            "effect": self.effect,
            "args": dict(self.args),
            "request": dict(self.attributes),
            "user": user if isinstance(user, dict) else {},
            "approvals": list(self.approvals),
            "calls": [dict(call) for call in self.calls],
            "now": self.now,
        }


class Decision(NamedTuple):
    """What the policy says about one call. `message` is fit for a model to read.

    `policy_error`: why the rule's condition could not be evaluated; then the decision is "block".
    """

    decision: DecisionName
    rule: str | None = None
    message: str = ""
    policy_error: str | None = None


class ConditionError(ValueError):
    """A condition does not compile, or cannot be evaluated on these facts."""


class Condition(Protocol):
    """A compiled condition. `holds` raises `ConditionError`, and nothing else, when there is no yes or no."""

    def holds(self, activation: Mapping[str, Json]) -> bool: ...


class Policy:
    """Compiled rules. Compiles on first use; raises `ConditionError` then if a rule was never checked."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.rules = tuple(rules)

    @cached_property
    def _conditions(self) -> tuple[Condition | None, ...]:
        return tuple(None if rule.when is None else compile_condition(rule.when) for rule in self.rules)

    def decide(self, facts: Facts) -> Decision:
        """The most restrictive decision of the rules that apply; of equals, the first."""
        verdict = Decision("allow")
        for decision in self._applying(facts):
            if verdict.rule is None or STRENGTH[decision.decision] > STRENGTH[verdict.decision]:
                verdict = decision
        return verdict

    def _applying(self, facts: Facts) -> Iterator[Decision]:
        concerned = [
            (rule, condition)
            for rule, condition in zip(self.rules, self._conditions, strict=True)
            if rule.concerns(facts.tool)
        ]
        if not concerned:
            return
        activation = facts.activation()
        unfit = _unfit(activation) if any(condition is not None for _, condition in concerned) else None
        for rule, condition in concerned:
            decision = _apply(rule, condition, activation, unfit)
            if decision is not None:
                yield decision


def compile_condition(text: str) -> Condition:
    """Compile CEL. Raises `ConditionError` with what was found and where."""
    environment, truths = _cel()
    try:
        expression = environment.compile(text)
    except Exception as error:  # noqa: BLE001 - the binding raises RuntimeError and whatever C++ threw
        raise ConditionError(_compiler_message(str(error))) from None
    if not any(expression.return_type() == truth for truth in truths):
        raise ConditionError(f"is of type {expression.return_type().name()}; expected bool")
    return _CelCondition(expression)


def rule_problems(
    rule: Rule, parameters: Mapping[str, Mapping[str, Json]] | None
) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path in the rule, what is wrong) for everything that can be known at load.

    `parameters` are the schemas of the offered tools; null = not known. An argument no schema knows is a missing
    key, and would block every call.
    """
    if parameters is not None:
        known = ", ".join(parameters) or "none"
        unknown = (tool for tool in rule.on.tool if tool not in (EVERY_TOOL, *parameters))
        yield from ((("on", "tool"), f"no contract has the name {tool!r}; expected one of {known}") for tool in unknown)
    if rule.when is None:
        return
    try:
        compile_condition(rule.when)
    except ConditionError as error:
        yield ("when",), f"not a CEL condition: {error}"
        return
    for tool in rule.on.tool:
        for name in _unknown_arguments(rule.when, (parameters or {}).get(tool)):
            yield ("when",), f"{tool} has no argument {name!r}"


_DECISIONS: Mapping[str, DecisionName] = {
    "block": "block",
    "escalate": "escalate",
    "require_approval": "needs_approval",
    "allow": "allow",
}
_MESSAGES: Mapping[DecisionName, str] = {
    "block": "{}",
    "escalate": "escalated to {}",
    "needs_approval": "needs the approval of {}",
    "allow": "",
}


def _apply(
    rule: Rule, condition: Condition | None, activation: Mapping[str, Json], unfit: str | None
) -> Decision | None:
    decision, word = rule.then.decision, rule.then.word
    if decision == "needs_approval" and word in activation["approvals"]:
        return None
    if condition is not None and unfit is not None:
        return _cannot_tell(rule, unfit)
    try:
        applies = condition is None or condition.holds(activation)
    except ConditionError as error:
        return _cannot_tell(rule, str(error))
    return Decision(decision, rule.id, _MESSAGES[decision].format(word)) if applies else None


def _cannot_tell(rule: Rule, why: str) -> Decision:
    return Decision("block", rule.id, f"the rule {rule.id} cannot be evaluated on this call", why)


def _unfit(activation: Mapping[str, Json]) -> str | None:
    """Why these facts must not be handed to the evaluator, which would not survive them."""
    stack: list[tuple[Json, int]] = [(value, 1) for value in activation.values()]
    seen = 0
    while stack:
        node, depth = stack.pop()
        seen += 1
        if depth > MAX_DEPTH:
            return f"the facts are nested deeper than {MAX_DEPTH}"
        if seen > MAX_VALUES:
            return f"the facts hold more than {MAX_VALUES:,} values"
        if isinstance(node, Mapping):
            stack.extend((child, depth + 1) for child in node.values())
        elif isinstance(node, list | tuple):
            stack.extend((child, depth + 1) for child in node)
    return None


class _CelCondition:
    def __init__(self, expression: Any) -> None:
        self._expression = expression

    def holds(self, activation: Mapping[str, Json]) -> bool:
        try:
            result = self._expression.eval(data=activation)
            value = result.value()
        except Exception as error:  # noqa: BLE001 - the binding raises RuntimeError and whatever C++ threw
            raise ConditionError(_first_line(str(error))) from None
        if not isinstance(value, bool):
            raise ConditionError(_first_line(str(value)))  # an error value, such as a key that is not there
        return value


@cache
def _cel() -> tuple[Any, tuple[Any, ...]]:
    """The environment conditions are compiled in, and the types a condition may have."""
    from cel_expr_python import cel  # noqa: PLC0415 - 13 MB that an empty policy does not need

    kinds = cel.Type
    variables = {
        "tool": kinds.STRING,
        "effect": kinds.STRING,
        "args": kinds.DYN,
        "request": kinds.DYN,
        "user": kinds.DYN,
        "approvals": kinds.List(kinds.STRING),
        "calls": kinds.List(kinds.Map(kinds.STRING, kinds.DYN)),
        "now": kinds.DYN,
    }
    return cel.NewEnv(variables=variables), (kinds.BOOL, kinds.DYN)


_TEXT_IN_CEL = re.compile(r"""[rR]?("([^"\\]|\\.)*"|'([^'\\]|\\.)*')""")
_ARGUMENT_IN_CEL = re.compile(r"(?<![\w.])args\.([A-Za-z_]\w*)")
#: Keywords that let a schema have arguments its `properties` do not list.
_OPEN_SCHEMA = frozenset({"$ref", "allOf", "anyOf", "oneOf", "if", "patternProperties", "$dynamicRef"})


def _unknown_arguments(condition: str, schema: Mapping[str, Json] | None) -> Sequence[str]:
    """Arguments a condition names and a schema does not, if the schema lists all it has."""
    properties = schema.get("properties") if schema is not None else None
    if schema is None or not isinstance(properties, dict) or not _OPEN_SCHEMA.isdisjoint(schema):
        return ()
    if schema.get("additionalProperties") not in (None, False):
        return ()
    named = _ARGUMENT_IN_CEL.findall(_TEXT_IN_CEL.sub("''", condition))
    return [name for name in dict.fromkeys(named) if name not in properties]


def _compiler_message(text: str) -> str:
    """cel-cpp writes "INVALID_ARGUMENT: ERROR: <input>:1:5: what\\n | text\\n | ....^"; keep place and what."""
    found = re.search(r"<input>:(-?\d+):(-?\d+): (.*)", text)
    if found is None:
        return _first_line(text)
    line, column, what = found.groups()
    return f"line {line}, column {column}: {what[:300]}"


def _first_line(text: str) -> str:
    return text.splitlines()[0][:300] if text else "no reason given"
