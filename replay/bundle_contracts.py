"""Tool contracts inferred from what traces show and what a toolset says, with the reason for every guess.

A tool that nobody describes is a write, and a schema that cannot be used is left open, which refuses no call.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from os.path import commonprefix
from typing import NamedTuple

from pydantic import ValidationError

from replay.bundle_checks import foreign_references, knows_path
from replay.bundle_seen import Seen, Use, most_common_json
from replay.bundle_yaml import MAX_YAML_DEPTH
from replay.contract import EFFECTS, ArgumentRule, ToolContract
from replay.errors import RecordError, UsageError
from replay.exact_json import Json, dumps

_SHORTEST_PREFIX = 3
_USABLE_NAME = re.compile(r"[^\x00-\x1f\x7f]+")
_HANDOFF_NAMES = ("transfer_", "escalate_", "handoff_")
_ANY_WORDING = ArgumentRule(text=1.0)
_PROSE = ArgumentRule(prose=True)
#: Arguments of a write that somebody reads, by the last word of their names. A title may be what a thing is found by,
#: and a content may be a file: those are taken at their word.
_PROSE_NAMES = frozenset({"body", "comment", "description", "message", "note", "notes", "reason", "subject", "summary"})
#: Keywords that make a text more than free words.
_LIMITS = frozenset({"enum", "format", "pattern", "const"})
#: Ends of names whose values are looked up or reached, so that one character matters. `_id` ends in `id`.
_EXACT_NAMES = ("id", "number", "code", "email")
#: In a rule's key a dot and these characters mean more than themselves.
_LITERAL_PATH = re.compile(r"[^.*?\[\]]+")


class Guess(NamedTuple):
    """Something a person should look at: the file and key it is in, and why it is as it is."""

    place: str
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.why}"


class Offer(NamedTuple):
    """A tool as some source describes it. `effect` null: it does not say."""

    description: str
    parameters: Json
    effect: str | None


class Offers(NamedTuple):
    """The tools that were offered, in order; null = nobody says, so the calls have to. And where that was read."""

    tools: Mapping[str, Offer] | None
    guesses: tuple[Guess, ...]


class InferredTool(NamedTuple):
    contract: ToolContract
    guesses: Mapping[str, str]
    """Field of the contract to why it was guessed."""


def offered(seen: Seen, toolsets: Mapping[str, Json] | None) -> Offers:
    """From the toolset the traces name, else from the tools they carry."""
    chosen, why = _chosen_toolset(seen, toolsets or {})
    if chosen is not None:
        return Offers(dict(offers_of(chosen)), why)
    if not seen.offered:
        nobody = Guess("tool_contracts", "no trace says which tools were offered; these are the tools that were called")
        return Offers(None, (*why, nobody))
    variants = [name for name, kinds in seen.offered.items() if len(kinds) > 1]
    several = tuple(
        Guess("tool_contracts", f"{name} was offered in {len(seen.offered[name])} forms; this is the most common")
        for name in variants
    )
    return Offers({name: _recorded_offer(kinds) for name, kinds in seen.offered.items()}, (*why, *several))


def _chosen_toolset(seen: Seen, toolsets: Mapping[str, Json]) -> tuple[Json, tuple[Guess, ...]]:
    if isinstance(toolsets.get("tools"), list):
        return toolsets, ()
    named = [name for name, _ in sorted(seen.toolsets.items(), key=lambda item: (-item[1], item[0]))]
    known = [name for name in named if name in toolsets]
    if known:
        others = len(named) - 1
        text = f"the traces name {others} other toolsets too; this is {known[0]}"
        return toolsets[known[0]], (Guess("tool_contracts", text),) if others else ()
    if not named and len(toolsets) == 1:
        name, only = next(iter(toolsets.items()))
        return only, (Guess("tool_contracts", f"the traces name no toolset; this is {name}, the only one there"),)
    missing = tuple(Guess("tool_contracts", f"the toolset {name} was not found") for name in named)
    return None, missing


def offers_of(toolset: Json) -> Iterator[tuple[str, Offer]]:
    effects, tools = (toolset.get(key) if isinstance(toolset, dict) else None for key in ("effects", "tools"))
    if not isinstance(tools, list) or not isinstance(effects, dict):
        raise UsageError("a toolset is an object with `tools`, a list, and `effects`, by name; this one is not")
    for tool in tools:
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise UsageError(
                f"a toolset holds functions with a name; found {dumps(tool)[:80].decode(errors='replace')}"
            )
        name = function["name"]
        yield name, Offer(_text(function.get("description")), function.get("parameters"), _text(effects.get(name)))


def _recorded_offer(kinds: Counter[bytes]) -> Offer:
    found = most_common_json(kinds)
    return Offer(_text(found.get("description")), found.get("parameters"), found.get("effect"))


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def inferred_tools(seen: Seen, offers: Offers) -> list[InferredTool]:
    if offers.tools is None:
        return [_tool(name, None, seen.uses[name]) for name in sorted(seen.uses) if _USABLE_NAME.fullmatch(name)]
    return [_tool(name, offer, seen.uses.get(name, Use())) for name, offer in offers.tools.items()]


def _tool(name: str, offer: Offer | None, use: Use) -> InferredTool:
    """A contract, and what of it was guessed."""
    guesses: dict[str, str] = {}
    fields: dict[str, Json] = {"name": name}
    if offer is not None and offer.description:
        fields["description"] = offer.description
    fields["parameters"] = _parameters(offer, use, guesses)
    fields |= _effect(name, (offer.effect if offer else None) or None, guesses)
    if fields["effect"] == "handoff" and use.last and not use.followed:
        fields["ends_turn"] = True
        guesses["ends_turn"] = f"no model call ever followed it ({use.last} seen)"
    prefix = _failure_prefix(use)
    if prefix is not None:
        fields["failure_prefixes"] = [prefix]
        guesses["failure_prefixes"] = "all recorded failures begin so, and no success does"
    contract = _contract(fields, guesses)
    words, rule, why = _worded(contract)
    if words:
        contract = contract.model_copy(update={"arguments": dict.fromkeys(words, rule)})
        guesses["arguments"] = f"{why}: {', '.join(words)}"
    return InferredTool(contract, guesses)


def _worded(contract: ToolContract) -> tuple[list[str], ArgumentRule, str]:
    """Arguments that are words, what is made of them, and why.

    What a write tells somebody is part of what it does, so two calls that tell it in other words differ; but who writes
    down what is expected does not mean its every letter.
    """
    words = _free_words(contract)
    if contract.effect == "handoff":
        return words, _ANY_WORDING, "words for a colleague, so any wording is equal"
    prose = [name for name in words if name.lower().rpartition("_")[2] in _PROSE_NAMES]
    return (
        prose if contract.effect == "write" else [],
        _PROSE,
        "words for a reader, so an expectation is met by any wording that has its figures",
    )


def _free_words(contract: ToolContract) -> list[str]:
    """The arguments that hold free text: nothing limits them, and their names promise no identifier."""
    properties = contract.parameters.get("properties")
    return [
        name
        for name, schema in (properties.items() if isinstance(properties, dict) else ())
        if _is_free_text(schema)
        and not name.lower().endswith(_EXACT_NAMES)
        and _LITERAL_PATH.fullmatch(name)
        and knows_path(contract.parameters, name)
    ]


def _is_free_text(schema: Json) -> bool:
    if not isinstance(schema, dict) or not _LIMITS.isdisjoint(schema):
        return False
    kinds = schema.get("type")
    return set(kinds if isinstance(kinds, list) else [kinds]) - {"null"} == {"string"}


def _contract(fields: dict[str, Json], guesses: dict[str, str]) -> ToolContract:
    """The contract; a schema that cannot be used is left open, which refuses no call."""
    schema = fields["parameters"]
    usable = isinstance(schema, dict) and not any(foreign_references(schema)) and _depth(schema) < MAX_YAML_DEPTH - 1
    try:
        if usable:
            return ToolContract.model_validate(fields)
    except ValidationError as error:
        if any(detail["loc"][:1] != ("parameters",) for detail in error.errors()):
            raise RecordError(f"the tool {fields['name']!r} cannot be written: {error}", field="$.tools") from None
    guesses["parameters"] = "the recorded schema cannot be used, so any arguments are accepted"
    return ToolContract.model_validate({**fields, "parameters": {"type": "object"}})


def _depth(value: Json) -> int:
    depth, layer = 0, [value]
    while layer and depth < MAX_YAML_DEPTH:
        children = [
            list(node.values()) if isinstance(node, dict) else node for node in layer if isinstance(node, dict | list)
        ]
        layer = [child for nodes in children for child in nodes]
        depth += 1
    return depth


def _parameters(offer: Offer | None, use: Use, guesses: dict[str, str]) -> Json:
    if offer is not None:
        return {"type": "object", "properties": {}} if offer.parameters is None else offer.parameters
    guesses["parameters"] = f"the arguments of recorded calls ({use.calls}); nothing says which are required"
    properties = {name: {"type": _types(use.arguments[name])} for name in sorted(use.arguments)}
    return {"type": "object", "properties": properties, "additionalProperties": True}


def _types(kinds: set[str]) -> Json:
    wider = kinds - {"integer"} if "number" in kinds else kinds
    return next(iter(wider)) if len(wider) == 1 else sorted(wider)


#: What a toolset says, and what that makes of a contract.
_STATED: Mapping[str, dict[str, Json]] = {
    "read": {"effect": "read"},
    "write": {"effect": "write"},
    "handoff": {"effect": "handoff"},
    "generic": {"effect": "read", "weight": 0},
    "think": {"effect": "read", "weight": 0, "constant": True, "stub_result": ""},
}
_WHY_STATED: Mapping[str, str] = {
    "generic": "the toolset calls it generic: it looks nothing up and changes nothing",
    "think": "the toolset calls it a scratchpad",
}


def _effect(name: str, stated: str | None, guesses: dict[str, str]) -> dict[str, Json]:
    """What the source says, unless the name says that it is more dangerous."""
    found = _STATED.get(stated or "")
    if name.startswith(_HANDOFF_NAMES) and (found is None or EFFECTS[found["effect"]] < EFFECTS["handoff"]):
        guesses["effect"] = f"its name says so; the source says {stated or 'nothing'}"
        return {"effect": "handoff"}
    if found is None:
        guesses["effect"] = f"the source says {stated or 'nothing'}, and a write is the safe reading"
        return {"effect": "write"}
    why = _WHY_STATED.get(stated or "")
    if why is not None:
        guesses["effect"] = why
    return found


def _failure_prefix(use: Use) -> str | None:
    """The shared beginning of all failures, if no success begins so. One failure is cut after its first colon."""
    prefix = commonprefix(sorted(use.failures))  # noqa: RUF071 - texts, not paths
    pattern = r"(.*\W)?" if len(use.failures) > 1 else r"[^:]*(: ?)?"
    prefix = re.match(pattern, prefix, re.DOTALL)[0]  # type: ignore[index]  # both match every text
    if len(prefix.strip()) < _SHORTEST_PREFIX or any(text.startswith(prefix) for text in use.successes):
        return None
    return prefix
