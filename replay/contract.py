"""Tool contracts: the one source for stubbing, comparing and risk.

A contract says what a tool's arguments look like, which of them mean the same, what the tool does to the world
and to which entity, and what a stub may answer in its place. No contract has an implementation: there is
nothing in this program that could carry out an action.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from hashlib import blake2b
from operator import itemgetter
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import jsonschema_rs
from pydantic import BaseModel, ConfigDict, Field, field_validator

from comparators.calls import CanonicalCall, Effect, Leaf, LeafKind
from comparators.claimwords import Lexicon, ToolWords
from comparators.language import english
from comparators.leaves import TOLERANT_KINDS
from replay.errors import RecordError
from replay.exact_json import Json, loads

EFFECTS: Mapping[str, Effect] = {"read": Effect.READ, "handoff": Effect.HANDOFF, "write": Effect.WRITE}

#: Arguments with more leaves than this are compared by their raw text: still exact, and linear in time.
MAX_LEAVES = 10_000
#: Relative tolerance of non-integers, unless the contract gives an absolute one.
DECIMAL_TOLERANCE = 1e-9
#: How many calls of one tool are remembered, and how long their arguments may be.
_REMEMBERED_CALLS, _REMEMBERED_LENGTH = 1024, 2048

Normalisation: TypeAlias = Literal["lower", "upper", "email", "e164"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ArgumentRule(_Model):
    """When two values of one argument mean the same. The key is a dotted path; `*` stands for any one part."""

    ignore: bool = False
    unordered: bool = False
    tolerance: Annotated[float, Field(ge=0)] | None = None  # relative, for non-integers only
    text: Annotated[float, Field(ge=0, le=1)] | None = None  # free text: trigram distance up to this is equal
    normalise: list[Normalisation] = []
    default: Json = None
    prose: bool = False  # an expectation is met by any wording that has its figures; two calls differ as ever


class DeclaredEffect(_Model):
    """What a successful write does to later reads of an entity: keys set in their JSON result."""

    entity: str
    set: dict[str, Json]


_ClaimWord: TypeAlias = Annotated[str, Field(pattern=r"[A-Za-z]")]


class Claims(_Model):
    """Words in which an answer claims that this tool's action has happened, beyond those its name lends.

        claims:
          verbs: [revoked, end]             # infinitives or participles; "We ended your sessions" is a claim
          objects: [session]                # what it acts on; of a phrase, the last word
          nominalisations: [log-out]        # nouns of the action: "the log-out has been completed"
          side_effects: [password reset]    # what its success brings about: "the password reset has been arranged"

    Singular or plural, all the same. `cancel_order` lends "cancelled", "cancellation" and "order" by its name.
    """

    verbs: list[_ClaimWord] = []
    objects: list[_ClaimWord] = []
    nominalisations: list[_ClaimWord] = []
    side_effects: list[_ClaimWord] = []

    def words_of(self, tool: str) -> ToolWords:
        return ToolWords(
            tool, tuple(self.verbs), tuple(self.objects), tuple(self.nominalisations), tuple(self.side_effects)
        )


class ToolContract(_Model):
    """One tool. Everything but the name may be left out; what is left out takes the safe reading.

    `effect` left out is a write. `entity` maps a kind of entity to the argument that names it; left out, every
    write may change what this tool reads. `stub_result` may hold `{"$arg": path}`, `{"$uuid": label}` and
    `{"$now": true}` in place of values: they are filled in structurally, never evaluated.
    """

    name: Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]
    description: str = ""
    parameters: dict[str, Json] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    effect: Literal["read", "write", "handoff"] = "write"
    weight: Annotated[float, Field(ge=0)] = 1.0
    ends_turn: bool = False  # nothing is asked of the model after it, say after a hand-over to a person
    entity: dict[str, str] = {}
    arguments: dict[str, ArgumentRule] = {}
    constant: bool = False  # the result is `stub_result` whatever is asked, say for a scratchpad
    projection: Literal["safe"] | None = None  # other arguments on the same entity give the same result
    stub_result: Json = None
    effects: list[DeclaredEffect] = []
    example: Json = None
    failure_prefixes: list[str] = []  # a result that starts so is a failure, where nothing better was recorded
    approval: Literal["none", "required"] = "none"
    pending_result: Json = None
    claims: Claims = Claims()
    error_price_usd: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?$")] | None = None

    @field_validator("parameters")
    @classmethod
    def _is_a_json_schema(cls, value: dict[str, Json]) -> dict[str, Json]:
        try:
            jsonschema_rs.validator_for(value, retriever=_refuse_to_fetch)
        except ValueError as error:  # jsonschema_rs.ValidationError is one
            raise ValueError(f"not a JSON Schema: {str(error).splitlines()[0]}") from None
        return value

    @property
    def danger(self) -> Effect:
        return EFFECTS[self.effect]

    def offered(self) -> dict[str, Json]:
        """The tool as it is offered to a model, in the chat-completions shape."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}


class _Place(NamedTuple):
    """Where a value stands: `path` tells every two places apart, `named` is what rules are held against."""

    path: str
    named: str

    def under(self, key: str) -> _Place:
        """A key that could be taken for two, or for an index, is quoted."""
        plain = key and key[0] not in '["' and "." not in key and not key.isdecimal()
        return self.at(key if plain else json.dumps(key, ensure_ascii=False), key)

    def at(self, part: str, named: str) -> _Place:
        return _Place(f"{self.path}.{part}" if self.path else part, f"{self.named}.{named}" if self.named else named)


_TOP = _Place("", "")


class Entity(NamedTuple):
    kind: str
    value: str


class ReadCall(NamedTuple):
    """A call read through a contract: normal form, arguments if they are an object, what broke the schema."""

    call: CanonicalCall
    arguments: dict[str, Json] | None
    violation: str | None
    entities: frozenset[Entity] | None  # null: not known, so it may be any


@dataclass(frozen=True)
class ContractReader:
    """Reads calls of one tool through its contract. Compiled once per contract, pure afterwards."""

    contract: ToolContract

    def read(self, arguments: str) -> ReadCall:
        """Canonicalise one call. Never raises: what cannot be read is a violation and compares as raw text.

        A call is read for the stub, for the score and for the record: short ones are remembered.
        """
        found = self._seen.get(arguments)
        if found is None:
            found = self._read(arguments)
            if len(arguments) <= _REMEMBERED_LENGTH:
                if len(self._seen) >= _REMEMBERED_CALLS:
                    self._seen.clear()
                self._seen[arguments] = found
        return found

    @cached_property
    def _seen(self) -> dict[str, ReadCall]:
        return {}

    def _read(self, arguments: str) -> ReadCall:
        try:
            value = loads(arguments) if arguments.strip() else {}
        except RecordError as error:
            return self._unreadable(arguments, str(error))
        if not isinstance(value, dict):
            return self._unreadable(arguments, f"arguments are {_json_type(value)}, expected an object")
        leaves = self._leaves(value)
        if leaves is None:
            return self._unreadable(arguments, f"arguments hold more than {MAX_LEAVES:,} values")
        if _names_a_key_twice(arguments, value):
            return self._unreadable(arguments, "arguments name a key twice: which value counts depends on the reader")
        call = CanonicalCall(self.contract.name, _digest(self.contract.name, leaves), leaves)
        return ReadCall(call, value, self._violation(value), self._entities(value))

    def prose(self, call: CanonicalCall) -> frozenset[str]:
        """Paths of the texts of a call that an expectation does not take at their word."""
        texts = (leaf.path for leaf in call.leaves if leaf.kind in _TEXTS and not leaf.path.endswith(".[]"))
        return frozenset(path for path in texts if self._rule(path).prose)

    def _unreadable(self, text: str, why: str) -> ReadCall:
        leaves = (Leaf("", LeafKind.UNPARSED, text),)
        call = CanonicalCall(self.contract.name, _digest(self.contract.name, leaves), leaves)
        return ReadCall(call, None, why, None)

    def _leaves(self, value: dict[str, Json]) -> tuple[Leaf, ...] | None:
        leaves = []
        for leaf in self._walk(value):
            leaves.append(leaf)
            if len(leaves) > MAX_LEAVES:
                return None
        return tuple(sorted(leaves))

    def _walk(self, value: Json, prefix: _Place | None = None) -> Iterator[Leaf]:
        # An explicit stack: hostile arguments nest deeper than Python recurses.
        stack: list[tuple[_Place, Json]] = [(prefix or _TOP, value)]
        while stack:
            place, node = stack.pop()
            inner = [child for child in self._children(place, node) if not self._is_absent(*child)]
            stack.extend(inner)
            if not inner and (place.path or not isinstance(node, dict)):
                yield _leaf(place.path, {} if isinstance(node, dict) else node, self._rule(place.named))

    def _children(self, place: _Place, node: Json) -> Iterable[tuple[_Place, Json]]:
        if isinstance(node, dict):
            return ((place.under(key), child) for key, child in node.items())
        return self._members(place, node) if isinstance(node, list) else ()

    def _is_absent(self, place: _Place, node: Json) -> bool:
        rule = self._rule(place.named)
        return rule.ignore or node is None or self._is_default(place.named, node, rule)

    def _members(self, place: _Place, items: list[Json]) -> Iterable[tuple[_Place, Json]]:
        if not self._rule(place.named).unordered:
            return ((place.at(str(index), str(index)), item) for index, item in enumerate(items))
        if all(not isinstance(item, dict | list) for item in items):
            return ((place.at("[]", "[]"), item) for item in items)
        return self._by_content(place, items)

    def _by_content(self, place: _Place, items: list[Json]) -> Iterator[tuple[_Place, Json]]:
        """Members that are no scalars are called by what they hold, so that one that changed moves no other.

        What agrees within a tolerance is left out of the name. Members of one name are numbered by it.
        """
        any_member = _Place(place.path, f"{place.named}.*")
        held = [(sorted(self._walk(item, any_member)), item) for item in items]
        named = [(_content(leaves), _tolerant(leaves), item) for leaves, item in held]
        again: Counter[str] = Counter()
        for index, (name, _, item) in enumerate(sorted(named, key=itemgetter(0, 1))):
            yield place.at(f"[{name}]" if not again[name] else f"[{name}#{again[name]}]", str(index)), item
            again[name] += 1

    @cached_property
    def _rules(self) -> dict[str, ArgumentRule]:
        return {}

    def _rule(self, path: str) -> ArgumentRule:
        found = self._rules.get(path)
        if found is None:
            parts = path.split(".")
            matching = (rule for key, rule in self.contract.arguments.items() if _matches(key, parts))
            found = next(matching, _NO_RULE)
            if len(self._rules) < MAX_LEAVES:  # paths come from hostile content
                self._rules[path] = found
        return found

    def _is_default(self, path: str, node: Json, rule: ArgumentRule) -> bool:
        default = rule.default if rule.default is not None else self._default(path)
        return default is not None and _is_same(default, node)

    def _default(self, path: str) -> Json:
        found = self._defaults.get(path)
        if found is None and self._defaults_of_members:
            parts = path.split(".")
            found = next((value for key, value in self._defaults_of_members.items() if _matches(key, parts)), None)
        return found

    @cached_property
    def _defaults(self) -> dict[str, Json]:
        return dict(_schema_defaults(self.contract.parameters))

    @cached_property
    def _defaults_of_members(self) -> dict[str, Json]:
        """Those of members of lists, which stand at any index."""
        return {path: value for path, value in self._defaults.items() if "*" in path.split(".")}

    @cached_property
    def _validator(self) -> Any:
        return jsonschema_rs.validator_for(self.contract.parameters, retriever=_refuse_to_fetch)

    def _violation(self, value: dict[str, Json]) -> str | None:
        try:
            error = next(iter(self._validator.iter_errors(value)), None)
        except (ValueError, OverflowError, RecursionError) as failure:
            return f"arguments cannot be checked: {failure}"
        if error is None:
            return None
        where = ".".join(str(part) for part in error.instance_path)
        return f"{where}: {error.message}"[:500] if where else str(error.message)[:500]

    def _entities(self, value: dict[str, Json]) -> frozenset[Entity] | None:
        if not self.contract.entity:
            return None
        named = [(kind, _at(value, path), path) for kind, path in self.contract.entity.items()]
        if any(node is None or isinstance(node, dict | list) for _, node, _ in named):
            return None
        return frozenset(Entity(kind, _leaf(path, node, self._rule(path)).token) for kind, node, path in named)


class Tooling:
    """The tools of a replay, seen through both bundles: the candidate does not write its own exam.

    Production's calls are read by the baseline's contract, replayed ones by the replayed bundle's. What a tool
    does to the world is the more dangerous of both; entities and what a stub may answer are the baseline's
    wherever it knows the tool.
    """

    def __init__(self, baseline: Mapping[str, ToolContract], replayed: Mapping[str, ToolContract]) -> None:
        self._production = {name: ContractReader(contract) for name, contract in baseline.items()}
        self._replay = {name: ContractReader(contract) for name, contract in replayed.items()}
        # Bounded: what a trace calls a tool is the trace's own choice.
        self._undeclared = lru_cache(maxsize=_UNDECLARED_KEPT)(_undeclared)

    def offers(self, tool: str) -> bool:
        """Whether the replayed bundle offers this tool."""
        return tool in self._replay

    def offered_in_production(self, tool: str) -> bool:
        return tool in self._production

    def weight(self, tool: str) -> float:
        """How much a call of this tool counts in distances."""
        return self.stubbing(tool).weight

    def read_production(self, tool: str, arguments: str) -> ReadCall:
        return self._reader(self._production, self._replay, tool).read(arguments)

    def read_replay(self, tool: str, arguments: str) -> ReadCall:
        return self._reader(self._replay, self._production, tool).read(arguments)

    def prose(self, tool: str, call: CanonicalCall) -> frozenset[str]:
        """As production's contract says: the candidate does not loosen what is expected of it."""
        return self._reader(self._production, self._replay, tool).prose(call)

    def effect(self, tool: str) -> Effect:
        known = [readers[tool].contract.danger for readers in (self._production, self._replay) if tool in readers]
        return max(known, default=Effect.WRITE)

    def needs_approval(self, tool: str) -> bool:
        both = (self._production.get(tool), self._replay.get(tool))
        return any(reader is not None and reader.contract.approval == "required" for reader in both)

    def demanded_approval(self, tool: str) -> bool:
        """Whether production ran under a contract that already required approval."""
        reader = self._production.get(tool)
        return reader is not None and reader.contract.approval == "required"

    def stubbing(self, tool: str) -> ToolContract:
        """The contract whose entity, template, example and declared effects are used in a stub's answer."""
        return self._reader(self._production, self._replay, tool).contract

    def entities(self, tool: str, call: ReadCall) -> frozenset[Entity] | None:
        """Which entities a call concerns, by the baseline's declaration; null = not known, so any."""
        if tool in self._production and tool in self._replay and call.arguments is not None:
            return self._production[tool]._entities(call.arguments)  # noqa: SLF001 - same module, same noun
        return call.entities

    @cached_property
    def lexicon(self) -> Lexicon:
        """In which words an answer claims that a tool has acted, by the same contracts that stubs go by."""
        known = dict.fromkeys((*self._production, *self._replay))
        acting = [name for name in known if self.effect(name) is not Effect.READ]
        return Lexicon.of((self.stubbing(name).claims.words_of(name) for name in acting), english())

    def _reader(self, first: dict[str, ContractReader], second: dict[str, ContractReader], tool: str) -> ContractReader:
        return first.get(tool) or second.get(tool) or self._undeclared(tool)


def _undeclared(tool: str) -> ContractReader:
    """A tool no bundle declares: any arguments, and a write."""
    return ContractReader(ToolContract.model_construct(name=tool))


_UNDECLARED_KEPT = 1_000
_TEXTS = frozenset((LeafKind.STRING, LeafKind.TEXT))
_NO_RULE = ArgumentRule()


def _refuse_to_fetch(uri: str) -> Any:
    """In place of the retriever of jsonschema_rs, which would ask the network or the disk."""
    raise ValueError(f"a contract's schema may not refer outside itself, found {uri}")


def _matches(key: str, parts: list[str]) -> bool:
    patterns = key.split(".")
    return len(patterns) == len(parts) and all(map(fnmatchcase, parts, patterns))


def _leaf(path: str, node: Json, rule: ArgumentRule) -> Leaf:
    if isinstance(node, bool):
        return Leaf(path, LeafKind.BOOLEAN, "true" if node else "false")
    if isinstance(node, int):
        return Leaf(path, LeafKind.INTEGER, str(node))
    if isinstance(node, float):
        if node.is_integer():  # the integer that was written, not the one nearest to it in binary
            return Leaf(path, LeafKind.INTEGER, str(int(Decimal(repr(node)))))
        return Leaf(path, LeafKind.DECIMAL, repr(node), rule.tolerance or DECIMAL_TOLERANCE)
    if isinstance(node, str):
        return _string_leaf(path, node, rule)
    return Leaf(path, LeafKind.EMPTY, "{}" if isinstance(node, dict) else "[]")


def _string_leaf(path: str, text: str, rule: ArgumentRule) -> Leaf:
    token = unicodedata.normalize("NFC", text).strip()
    for name in rule.normalise:
        token = _NORMALISATIONS[name](token)
    return Leaf(path, LeafKind.STRING, token) if rule.text is None else Leaf(path, LeafKind.TEXT, token, rule.text)


def _e164(text: str) -> str:
    digits = "".join(character for character in text if character.isascii() and character.isdigit())
    if text.startswith("+"):
        return f"+{digits}"
    return f"+{digits[2:]}" if text.startswith("00") else digits


_NORMALISATIONS: Mapping[Normalisation, Any] = {
    "lower": str.lower,
    "upper": str.upper,
    "email": str.casefold,
    "e164": _e164,
}


def _schema_defaults(parameters: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    """Path and value of every default of a schema's properties, at any depth; `*` stands for any index."""
    stack: list[tuple[str, Json]] = [("", parameters)]
    while stack:
        path, schema = stack.pop()
        if not isinstance(schema, dict):
            continue
        if path and "default" in schema:
            yield path, schema["default"]
        properties = schema.get("properties")
        inner = list(properties.items()) if isinstance(properties, dict) else []
        inner += [("*", schema["items"])] if "items" in schema else []
        stack += [(f"{path}.{key}" if path else key, child) for key, child in inner]


def _is_same(default: Json, node: Json) -> bool:
    """Equal, and of one JSON type."""
    both = (default, node)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in both)
    return (numbers or type(default) is type(node)) and bool(default == node)


def _names_a_key_twice(text: str, value: dict[str, Json]) -> bool:
    """Whether some object of a JSON text does. Each key has a colon, so most texts need no second reading."""
    colons = text.count(":")
    if colons in (len(value), _count_keys(value)):
        return False
    try:
        json.loads(text, object_pairs_hook=_without_twins)
    except _TwinError:
        return True
    except (ValueError, RecursionError):  # deeper than it reads
        return False
    return False


class _TwinError(Exception):
    """An object names a key twice."""


def _without_twins(members: list[tuple[str, object]]) -> None:
    if len(dict(members)) != len(members):
        raise _TwinError


def _count_keys(value: Json) -> int:
    count, stack = 0, [value]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            count += len(node)
            stack += node.values()
        elif isinstance(node, list):
            stack += node
    return count


def _content(leaves: Sequence[Leaf]) -> str:
    """A name for what is held that has to be equal."""
    return _digest("", tuple(leaf for leaf in leaves if leaf.kind not in TOLERANT_KINDS)).hex()


def _tolerant(leaves: Sequence[Leaf]) -> tuple[tuple[str, float, str], ...]:
    """What may differ within a tolerance, in an order that small differences keep."""
    return tuple(
        (leaf.path, float(leaf.token) if leaf.kind is LeafKind.DECIMAL else 0.0, leaf.token)
        for leaf in leaves
        if leaf.kind in TOLERANT_KINDS
    )


def _digest(tool: str, leaves: tuple[Leaf, ...]) -> bytes:
    state = blake2b(digest_size=16)
    for part in (tool, *(text for leaf in leaves for text in (leaf.path, str(int(leaf.kind)), leaf.token))):
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "little"))  # lengths, so that no two lists of parts run together
        state.update(data)
    return state.digest()


def _at(value: Json, path: str) -> Json:
    for part in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _json_type(value: Json) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return names.get(type(value), "null")
