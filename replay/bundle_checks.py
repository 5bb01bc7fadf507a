"""What the parts of a contract say about each other, and what its schema may not refer to."""

from __future__ import annotations

from collections.abc import Iterator

from replay.bundle_yaml import KeyPath
from replay.contract import ToolContract
from replay.exact_json import Json

#: Keywords that pull in another document. jsonschema_rs would fetch it over HTTP or from the disk.
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
#: Keywords whose branches may know arguments that `properties` does not list.
_BRANCHES = frozenset({"allOf", "anyOf", "oneOf", "if", "patternProperties", "$dynamicRef", "dependentSchemas"})
_MAX_HOPS = 32


def foreign_references(schema: Json) -> Iterator[str]:
    """References of a schema that leave the document. None may: a schema is data of this bundle."""
    stack = [schema]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            found = (node.get(keyword) for keyword in _REFERENCES)
            yield from (text for text in found if isinstance(text, str) and not text.startswith("#"))
            stack.extend(node.values())


def contract_problems(contract: ToolContract) -> Iterator[tuple[KeyPath, str]]:
    """(path in the contract, what is wrong) for what its parts say about each other."""
    for where, path in _named_arguments(contract):
        if not knows_path(contract.parameters, path):
            yield where, f"the schema in `parameters` has no argument {path!r}"
    for index, effect in enumerate(contract.effects):
        if effect.entity not in contract.entity:
            known = ", ".join(contract.entity) or "none is declared"
            message = f"unknown entity {effect.entity!r}; expected one of `entity` ({known})"
            yield ("effects", index, "entity"), message
    if contract.effects and contract.effect == "read":
        yield ("effects",), "a read changes nothing; expected effect: write, or no effects"


def _named_arguments(contract: ToolContract) -> Iterator[tuple[KeyPath, str]]:
    yield from ((("entity", kind), path) for kind, path in contract.entity.items())
    yield from ((("arguments", path), path) for path in contract.arguments)
    yield from ((("stub_result",), path) for path in _template_arguments(contract.stub_result))


def knows_path(schema: Json, path: str) -> bool:
    """Whether an argument can be at a dotted path. True also where the schema leaves it open."""
    node = schema
    for part in path.split("."):
        node = _followed(node, schema)
        if not isinstance(node, dict) or not _BRANCHES.isdisjoint(node):
            return True
        node = _child(node, part)
        if node is False:
            return False
    return True


def _child(node: dict[str, Json], part: str) -> Json:
    """The schema of one part of a path; false = there is no such part, true = anything may be there."""
    properties = node.get("properties")
    if isinstance(properties, dict) and part in properties:
        return properties[part]
    if "items" in node or node.get("type") == "array":
        return node.get("items", True) if part.isdigit() or part in ("*", "[]") else False
    if part == "*" and properties:
        return True
    return node.get("additionalProperties", not isinstance(properties, dict))


def _followed(node: Json, root: Json) -> Json:
    for _ in range(_MAX_HOPS):
        reference = node.get("$ref") if isinstance(node, dict) else None
        if not isinstance(reference, str):
            return node
        node = root
        for part in reference.removeprefix("#").strip("/").split("/"):
            node = node.get(part, True) if isinstance(node, dict) and part else node
    return True


def _template_arguments(template: Json) -> Iterator[str]:
    stack = [template]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict) and set(node) == {"$arg"} and isinstance(node["$arg"], str):
            yield node["$arg"]
        elif isinstance(node, dict):
            stack.extend(node.values())
