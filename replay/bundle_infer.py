"""Makes a bundle directory from recorded traces, so that a replay can run at once.

What was recorded is taken over; what was not is guessed on the safe side (a tool nobody describes is a write) and
marked: `# guessed: ...` in the file, and a line under `review` in release.yaml. The same traces in the same order
give the same bytes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from os.path import commonprefix
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import ValidationError

from replay.bundle import BUNDLE_SCHEMA, EndpointSettings
from replay.bundle_loader import MANIFEST, MAX_YAML_DEPTH, RELEASE, foreign_references, load_bundle, reads_as_text
from replay.contract import EFFECTS, ToolContract
from replay.errors import RecordError, UsageError
from replay.exact_json import Json, dumps, loads
from replay.models import RouteSpec
from replay.routes import check_params
from replay.trace import Guardrail, ModelCall, Retrieval, ToolCall, Trace

T = TypeVar("T")

UNKNOWN_MODEL = "unknown"
#: A shared beginning of failures is looked for in this many characters of a result.
_PREFIX_LENGTH = 80
_SHORTEST_PREFIX = 3
_NO_PRICES = "they are not recorded, and without them costs are unknown"
_USABLE_NAME = re.compile(r"[^\x00-\x1f\x7f]+")
_HANDOFF_NAMES = ("transfer_", "escalate_", "handoff_")


class Guess(NamedTuple):
    """Something a person should look at: the file and key it is in, and why it is as it is."""

    place: str
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.why}"


class PromptSeen(NamedTuple):
    """A system prompt that was recorded under the id, and in how many traces."""

    traces: int
    sha256: str
    start: str


@dataclass(frozen=True, slots=True)
class InferReport:
    """What was written and what is to be checked. `not_offered`: tools that were called and that nobody offered."""

    directory: Path
    digest: str
    traces: int
    prompts: tuple[PromptSeen, ...]
    not_offered: Mapping[str, int]
    review: tuple[str, ...]

    def lines(self) -> list[str]:
        """The report for a person."""
        lines = [f"{self.directory}: a bundle inferred from {self.traces} traces", self.digest]
        if len(self.prompts) > 1:
            lines.append(f"{len(self.prompts)} system prompts were recorded under this id; the first is used:")
            lines += [f"  {it.traces} traces  sha256:{it.sha256[:12]}  {it.start}" for it in self.prompts]
        lines += [f"{name}: called {count} times, never offered; left out" for name, count in self.not_offered.items()]
        lines += ["to be checked by a person:", *(f"  - {item}" for item in self.review)] if self.review else []
        return lines


def infer_bundle(
    traces: Iterable[Trace],
    *,
    bundle_id: str,
    toolset: Mapping[str, Json] | None = None,
    route_url: str | None = None,
    out: Path,
) -> InferReport:
    """Write a bundle for the traces that name `bundle_id`, and load it.

    `toolset` is a `toolsets.json` (toolsets by id) or one toolset of it. Raises `UsageError` when `out` is not
    empty, when no trace names the id, or when the URL is none.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty; expected a new or empty directory")
    endpoint = _endpoint(route_url)
    seen, others = _Seen(), Counter[str]()
    for trace in traces:
        if trace.bundle.id == bundle_id:
            seen.add(trace)
        else:
            others[str(trace.bundle.id)] += 1
    if not seen.traces:
        found = ", ".join(repr(name) for name, _ in others.most_common(8)) or "no traces at all"
        raise UsageError(f"no trace was produced by {bundle_id!r}; found {found}")
    draft = _Draft(seen, bundle_id, _offered(seen, toolset))
    draft.write(out, endpoint)
    return InferReport(
        directory=out,
        digest=load_bundle(out).digest,
        traces=seen.traces,
        prompts=tuple(_prompts(seen)),
        not_offered=draft.not_offered,
        review=tuple(str(guess) for guess in draft.guesses),
    )


def contracts_of(traces: Iterable[Trace], toolsets: Mapping[str, Json] | None) -> dict[str, ToolContract]:
    """Contracts as they would be inferred, for comparing recordings without a bundle."""
    seen = _Seen()
    for trace in traces:
        seen.add(trace)
    named = [toolsets[name] for name in sorted(seen.toolsets) if name in toolsets] if toolsets else []
    offers = {name: offer for toolset in reversed(named) for name, offer in _offers_of(toolset)}
    found = _Offers(offers, ()) if offers else _offered(seen, toolsets)
    return {tool.contract.name: tool.contract for tool in _tools(seen, found)}


# -- what the traces show -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Use:
    """How one tool was called."""

    calls: int = 0
    arguments: dict[str, set[str]] = field(default_factory=dict)
    failures: set[str] = field(default_factory=set)
    successes: set[str] = field(default_factory=set)
    followed: int = 0
    last: int = 0

    def add(self, call: ToolCall, *, followed: bool) -> None:
        self.calls += 1
        if call.is_error is not True:
            self.followed += followed
            self.last += not followed
        if call.result is not None:
            results = self.failures if call.is_error else self.successes
            results.add(call.result_text[:_PREFIX_LENGTH])
        for name, value in _arguments(call).items():
            self.arguments.setdefault(name, set()).add(_json_type(value))


@dataclass(slots=True)
class _Seen:
    """Everything counted over the traces of one bundle."""

    traces: int = 0
    prompts: Counter[str | None] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    params: Counter[bytes] = field(default_factory=Counter)
    toolsets: Counter[str] = field(default_factory=Counter)
    offered: dict[str, Counter[bytes]] = field(default_factory=dict)
    uses: dict[str, _Use] = field(default_factory=dict)
    rules: Counter[str] = field(default_factory=Counter)
    retrievals: int = 0

    def add(self, trace: Trace) -> None:
        self.traces += 1
        self.prompts[trace.system_prompt] += 1
        self.retrievals += bool(trace.request.context) or any(isinstance(step, Retrieval) for step in trace.steps)
        if trace.tools_ref is not None:
            self.toolsets[trace.tools_ref] += 1
        for tool in trace.tools or ():
            known = {"description": tool.description, "parameters": tool.parameters, "effect": tool.effect}
            self.offered.setdefault(tool.name, Counter())[dumps(known, sort_keys=True)] += 1
        self._add_steps(trace)

    def _add_steps(self, trace: Trace) -> None:
        last = max((index for index, step in enumerate(trace.steps) if isinstance(step, ModelCall)), default=-1)
        for index, step in enumerate(trace.steps):
            if isinstance(step, ModelCall):
                self._add_model_call(step)
            elif isinstance(step, ToolCall):
                self.uses.setdefault(step.name, _Use()).add(step, followed=index < last)
            elif isinstance(step, Guardrail):
                self.rules[step.rule or step.decision] += 1

    def _add_model_call(self, call: ModelCall) -> None:
        model = call.model_requested or call.model_responded
        if model is not None:
            self.models[model] += 1
        self.params[dumps(call.params, sort_keys=True)] += 1


def _arguments(call: ToolCall) -> dict[str, Json]:
    if isinstance(call.arguments, dict):
        return call.arguments
    try:
        value = loads(call.arguments)
    except RecordError:
        return {}
    return value if isinstance(value, dict) else {}


def _json_type(value: Json) -> str:
    return _JSON_TYPES.get(type(value), "null")


_JSON_TYPES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def _most_common(counts: Counter[T], key: Callable[[T], str]) -> T | None:
    """The most common one; of equals the first by `key`, so that the order of the traces does not matter."""
    return min(counts, key=lambda item: (-counts[item], key(item)), default=None)


def _most_common_json(counts: Counter[bytes]) -> dict[str, Json]:
    text = _most_common(counts, bytes.decode)
    found: dict[str, Json] = {} if text is None else loads(text)
    return found


def _prompts(seen: _Seen) -> Iterator[PromptSeen]:
    counts = {text: count for text, count in seen.prompts.items() if text is not None}
    for text, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        yield PromptSeen(count, digest, " ".join(text[:200].split())[:60])


# -- tools ----------------------------------------------------------------------------------------------------------


class _Offer(NamedTuple):
    """A tool as some source describes it. `effect` null: it does not say."""

    description: str
    parameters: Json
    effect: str | None


class _Offers(NamedTuple):
    """The tools that were offered, in order; null = nobody says, so the calls have to. And where that was read."""

    tools: Mapping[str, _Offer] | None
    guesses: tuple[Guess, ...]


class _Tool(NamedTuple):
    contract: ToolContract
    guesses: Mapping[str, str]
    """Field of the contract to why it was guessed."""


def _offered(seen: _Seen, toolsets: Mapping[str, Json] | None) -> _Offers:
    """From the toolset the traces name, else from the tools they carry."""
    chosen, why = _chosen_toolset(seen, toolsets or {})
    if chosen is not None:
        return _Offers(dict(_offers_of(chosen)), why)
    if not seen.offered:
        nobody = Guess("tool_contracts", "no trace says which tools were offered; these are the tools that were called")
        return _Offers(None, (*why, nobody))
    variants = [name for name, kinds in seen.offered.items() if len(kinds) > 1]
    several = tuple(
        Guess("tool_contracts", f"{name} was offered in {len(seen.offered[name])} forms; this is the most common")
        for name in variants
    )
    return _Offers({name: _recorded_offer(kinds) for name, kinds in seen.offered.items()}, (*why, *several))


def _chosen_toolset(seen: _Seen, toolsets: Mapping[str, Json]) -> tuple[Json, tuple[Guess, ...]]:
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


def _offers_of(toolset: Json) -> Iterator[tuple[str, _Offer]]:
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
        yield name, _Offer(_text(function.get("description")), function.get("parameters"), _text(effects.get(name)))


def _recorded_offer(kinds: Counter[bytes]) -> _Offer:
    found = _most_common_json(kinds)
    return _Offer(_text(found.get("description")), found.get("parameters"), found.get("effect"))


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _tools(seen: _Seen, offers: _Offers) -> list[_Tool]:
    if offers.tools is None:
        return [_tool(name, None, seen.uses[name]) for name in sorted(seen.uses) if _USABLE_NAME.fullmatch(name)]
    return [_tool(name, offer, seen.uses.get(name, _Use())) for name, offer in offers.tools.items()]


def _tool(name: str, offer: _Offer | None, use: _Use) -> _Tool:
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
    return _Tool(_contract(fields, guesses), guesses)


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


def _parameters(offer: _Offer | None, use: _Use, guesses: dict[str, str]) -> Json:
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


def _failure_prefix(use: _Use) -> str | None:
    """The shared beginning of all failures, if no success begins so. One failure is cut after its first colon."""
    prefix = commonprefix(sorted(use.failures))  # noqa: RUF071 - texts, not paths
    pattern = r"(.*\W)?" if len(use.failures) > 1 else r"[^:]*(: ?)?"
    prefix = re.match(pattern, prefix, re.DOTALL)[0]  # type: ignore[index]  # both match every text
    if len(prefix.strip()) < _SHORTEST_PREFIX or any(text.startswith(prefix) for text in use.successes):
        return None
    return prefix


# -- the files ------------------------------------------------------------------------------------------------------


class _Draft:
    """The bundle that is being written, and everything that was guessed on the way."""

    def __init__(self, seen: _Seen, bundle_id: str, offers: _Offers) -> None:
        self._seen = seen
        self._bundle_id = bundle_id
        self._tools = _tools(seen, offers)
        self._prompt_text = _most_common(+Counter({k: n for k, n in seen.prompts.items() if k is not None}), str)
        self.guesses: list[Guess] = []
        self._prompt_guess()
        self.guesses += offers.guesses
        known = {tool.contract.name for tool in self._tools}
        self.not_offered = {name: use.calls for name, use in sorted(seen.uses.items()) if name not in known}
        self.guesses += [
            Guess("tool_contracts", f"{name} was called {count} times and never offered; it is left out")
            for name, count in self.not_offered.items()
        ]

    def write(self, out: Path, endpoint: EndpointSettings) -> None:
        files: dict[str, str] = {}
        names = self._tool_files(files)
        files[MANIFEST] = self._manifest(files, names)
        files[RELEASE] = self._release(endpoint)
        for name, text in files.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())

    def _tool_files(self, files: dict[str, str]) -> list[str]:
        names: list[str] = []
        for tool in self._tools:
            name = _file_name(tool.contract.name, taken=[it.lower() for it in names])
            names.append(name)
            fields = tool.contract.model_dump(exclude_defaults=True)
            fields.setdefault("effect", tool.contract.effect)  # a reader should not have to know the default
            fields.setdefault("parameters", tool.contract.parameters)
            ordered = {key: fields[key] for key in ToolContract.model_fields if key in fields}
            self.guesses += [Guess(f"{name} {key}", why) for key, why in tool.guesses.items()]
            files[name] = _block(ordered, tool.guesses)
        return names

    def _manifest(self, files: dict[str, str], tools: Sequence[str]) -> str:
        spec, why = self._route()
        self.guesses += [Guess(f"{MANIFEST} model_route.{key}", text) for key, text in why.items()]
        self._notes()
        route = {"transport": spec.transport, "model": spec.model, "params": dict(spec.params)}
        head = {"schema": BUNDLE_SCHEMA, "name": _name(self._bundle_id)}
        prompt = {guess.place: guess.why for guess in self.guesses if guess.place == "prompt_version"}
        return (
            f"# Inferred from {self._seen.traces} recorded traces. What is marked `guessed` is for a person to check.\n"
            + _block(head)
            + _block({"prompt_version": self._prompt(files)}, prompt)
            + "model_route:\n"
            + _indented(_block(route, why))
            + f"  # guessed: no prices; {_NO_PRICES}\n"
            + _block({"tool_contracts": list(tools)}, _joined(self.guesses, "tool_contracts"))
            + _block({"guardrail_policy": []}, _joined(self.guesses, "guardrail_policy"))
            + _block({"retriever_snapshot": None}, _joined(self.guesses, "retriever_snapshot"))
        )

    def _prompt(self, files: dict[str, str]) -> Json:
        text = self._prompt_text
        if text is None:
            return None
        if "\r\n" in text or text.startswith("\ufeff"):  # a file would lose them
            return {"literal_text": text}
        files["prompts/system.txt"] = text
        return {"literal": "prompts/system.txt"}

    def _prompt_guess(self) -> None:
        counts = [(count, text) for text, count in self._seen.prompts.items() if text is not None]
        without = self._seen.prompts[None]
        if not counts:
            self.guesses.append(Guess("prompt_version", "no system prompt was recorded; write it, or leave it out"))
        elif len(counts) > 1 or without:
            used = self._seen.prompts[self._prompt_text]
            text = f"the most common of {len(counts)} recorded prompts: {used} of {self._seen.traces} traces have it"
            self.guesses.append(Guess("prompt_version", f"{text}, {without} have none" if without else text))

    def _route(self) -> tuple[RouteSpec, dict[str, str]]:
        """The route, and why each guessed key of it is as it is."""
        why: dict[str, str] = {}
        model = _most_common(self._seen.models, str)
        if model is None:
            why["model"] = "no trace names its model"
        elif len(self._seen.models) > 1:
            why["model"] = f"the most common of {_listed(self._seen.models)}"
        params = _most_common_json(self._seen.params)
        spec = RouteSpec("openai", model or UNKNOWN_MODEL, {})
        refused = {name: check_params(RouteSpec("openai", "any", {name: value})) for name, value in params.items()}
        notes = [f"left out: {problems[0]}" for problems in refused.values() if problems]
        if len(self._seen.params) > 1:
            notes.insert(0, f"the most common of {len(self._seen.params)} recorded sets")
        if not params:
            notes.append("no trace says which were used")
        if notes:
            why["params"] = "; ".join(notes)
        taken = {name: value for name, value in params.items() if not refused[name]}
        return RouteSpec(spec.transport, spec.model, taken), why

    def _notes(self) -> None:
        self.guesses.append(Guess(f"{MANIFEST} model_route.prices", _NO_PRICES))
        if self._seen.rules:
            text = f"guardrails decided {self._seen.rules.total()} times ({_listed(self._seen.rules)}); write the rules"
            self.guesses.append(Guess("guardrail_policy", text))
        if self._seen.retrievals:
            text = f"{self._seen.retrievals} traces hold retrieved documents; name the snapshot they came from"
            self.guesses.append(Guess("retriever_snapshot", text))

    def _release(self, endpoint: EndpointSettings) -> str:
        found: dict[str, Json] = {"aliases": [self._bundle_id]}
        if endpoint.url is not None:
            found["endpoint"] = {"url": endpoint.url}
        return _block(found) + _block({"review": [str(guess) for guess in self.guesses]})


def _endpoint(url: str | None) -> EndpointSettings:
    try:
        return EndpointSettings(url=url)
    except ValidationError as error:
        raise UsageError(f"--route {url!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def _name(bundle_id: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", "", bundle_id)[:200] or "inferred"


def _file_name(tool: str, *, taken: Sequence[str]) -> str:
    """A name every file system takes, also those that do not tell upper case from lower."""
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", tool)[:80]
    numbered = (f"tools/{stem}{'' if number == 1 else f'-{number}'}.yaml" for number in range(1, len(taken) + 2))
    return next(name for name in numbered if name.lower() not in taken)


def _joined(guesses: Iterable[Guess], place: str) -> dict[str, str]:
    texts = [guess.why for guess in guesses if guess.place == place]
    return {place: "; ".join(texts)} if texts else {}


def _listed(counts: Counter[str]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} ({count})" for name, count in ordered[:8])


# -- YAML -----------------------------------------------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):
    """Block style, no aliases, and quotes wherever some reader might see something else than text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - as in the base
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    block = "\n" in text
    quoted = not text.replace("\n", "").isprintable() or not (block or reads_as_text(text))
    style = '"' if quoted else "|" if block else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _block(fields: Mapping[str, Json], guesses: Mapping[str, str] | None = None) -> str:
    """The fields as YAML, each guess in a comment above its own."""
    parts = []
    for key, value in fields.items():
        why = (guesses or {}).get(key)
        if why is not None:
            parts.append(f"# guessed: {' '.join(why.split())}\n")
        parts.append(dump_yaml({key: value}))
    return "".join(parts)


def dump_yaml(value: Json) -> str:
    """YAML that the strict reader reads back as the same value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" if line else "\n" for line in text.removesuffix("\n").split("\n"))
