"""Reads a bundle directory: strict YAML, files inside the directory only, and every error at once.

    bundle.yaml
      schema: bundle/1
      name: incident-assistant
      prompt_version: prompts/system.j2        # or {file | text: template, variables: [attribute]},
                                               # {literal: file}, {literal_text: text}, null
      model_route: {transport, model, params, stream, prices: {input_per_million: "0.5", ...}}
      tool_contracts: [tools/*.yaml]           # files, patterns and inline contracts, in the order they are offered
      guardrail_policy: policy.yaml            # or an inline list of rules
      retriever_snapshot: {kind: recorded, id, digest}
      eval_suite: [evals/*.yaml]               # files, patterns and inline cases {id, request, expected}
      rollout_policy: rollout.yaml             # or inline {stages, minimum_isolation, gate: file}
    release.yaml                               # outside the digest, may be absent
      {labels, author, replaces, aliases, endpoint: {url, api_key_env | api_key_file, ...}, review}

The last four surfaces may be left out. Paths are relative to the directory, whichever file they stand in.

A bundle may come from a stranger, in a pull request for one, so nothing in it is trusted: no path or link leads
out, no file is large, no schema pulls in another document. And nothing in it is ambiguous: YAML is read as JSON
with comments, and what YAML readers disagree about (`yes`, 2024-01-01, 012, 1:30) must be put in quotes.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from replay.bundle import (
    BUNDLE_SCHEMA,
    SURFACES,
    Bundle,
    EvalCase,
    ModelRoute,
    Name,
    Release,
    RetrieverSnapshot,
    RolloutPolicy,
    Surface,
    digest_of,
    make_lock,
)
from replay.contract import ToolContract
from replay.errors import BundleError, BundleIssue
from replay.exact_json import MAX_INTEGER_DIGITS, Json
from replay.policy import Policy, Rule, rule_problems
from replay.prompt import Prompt, template_problems, variable_problems
from replay.routes import check_params

_PATTERN = re.compile(r"[*?\[]")

MANIFEST = "bundle.yaml"
RELEASE = "release.yaml"

MAX_FILE_BYTES = 1 << 20
MAX_FILES = 1000
#: Nothing a person writes is nested deeper; readers recurse.
MAX_YAML_DEPTH = 64

KeyPath: TypeAlias = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)


def load_bundle(directory: Path) -> Bundle:
    """Load and check a bundle. Raises `BundleError` with everything that is wrong, in all files."""
    loading = _Loading(_Directory(directory))
    bundle = loading.bundle()
    if bundle is None:
        raise BundleError(tuple(loading.issues))
    return bundle


# -- a value and where it stands --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Piece:
    """A value of a bundle, and the file, path and line it was read from."""

    file: Path
    value: Json
    path: KeyPath = ()
    lines: Mapping[KeyPath, int] = field(default_factory=dict)

    def at(self, key: str | int) -> Piece:
        return Piece(self.file, self.value[key], (*self.path, key), self.lines)

    def items(self) -> Iterator[Piece]:
        return (self.at(index) for index in range(len(self.value)))

    def issue(self, message: str, *more: str | int) -> BundleIssue:
        """An issue at this value, or at a path below it. The line is the nearest one that is known."""
        path = (*self.path, *more)
        known = (self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines)
        line = next(known, None)
        return BundleIssue(self.file, dotted(path), message if line is None else f"line {line}: {message}")


def dotted(path: KeyPath) -> str:
    """("tools", 0, "name") as `tools[0].name`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


# -- strict YAML --------------------------------------------------------------------------------------------------

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
#: Numbers to some readers, or to some eyes, and text to others.
_NUMERIC = re.compile(r"[-+]?[0-9][0-9_]*|0[xob][0-9a-fA-F_]+|[-+]?(\.[0-9]+|[0-9]+\.)([eE][-+]?[0-9]+)?|[+][0-9].*")
_YAML_1_1: Mapping[str | None, Sequence[tuple[str, re.Pattern[str]]]] = yaml.SafeLoader.yaml_implicit_resolvers


def reads_as_text(text: str) -> bool:
    """Whether a scalar without quotes is text to every reader of YAML."""
    if text in _NULLS or text in _BOOLEANS or _NUMBER.fullmatch(text) or _NUMERIC.fullmatch(text):
        return False
    return not any(pattern.match(text) for _, pattern in (*_YAML_1_1.get(text[0], ()), *_YAML_1_1.get(None, ())))


class Problem(NamedTuple):
    line: int
    path: KeyPath
    message: str


class YamlDocument:
    """One YAML text, read. `problems` is empty, or `value` is not to be used."""

    def __init__(self, text: str) -> None:
        self.value: Json = None
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []
        # The pure Python reader, which gives the same result on every machine; libyaml is not everywhere.
        self._events = yaml.parse(text, Loader=yaml.SafeLoader)
        try:
            self._read()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._refuse(mark, (), f"not valid YAML: {error.problem or error.context}")
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            self._refuse(None, (), f"not valid YAML: {str(error).splitlines()[0]}")

    def _read(self) -> None:
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return
        self.value = self._value(next(self._events), ())
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._refuse(after.start_mark, (), "holds a second document; expected one")

    def _value(self, event: Any, path: KeyPath) -> Json:
        self.lines[path] = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            return self._refuse(event.start_mark, path, "an alias; write the value out")
        if event.anchor is not None or event.tag is not None:
            self._refuse(event.start_mark, path, "an anchor or a tag; expected a plain value")
        if len(path) > MAX_YAML_DEPTH:
            raise ValueError(f"nested deeper than {MAX_YAML_DEPTH}")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        text = self._text(event, path)
        return self._plain(event, text, path) if event.style is None else text

    def _mapping(self, path: KeyPath) -> dict[str, Json]:
        found: dict[str, Json] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path)
            value = self._value(next(self._events), (*path, key))
            if key in found:
                self._refuse(event.start_mark, (*path, key), "the key appears twice")
            found[key] = value
        return found

    def _key(self, event: Any, path: KeyPath) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.anchor is not None or event.tag is not None:
            raise ValueError(f"line {event.start_mark.line + 1}: a key that is not plain text")
        if event.value == "<<" and event.style is None:
            self._refuse(event.start_mark, path, "a merge key; write the values out")
        return self._text(event, path)

    def _sequence(self, path: KeyPath) -> list[Json]:
        found: list[Json] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event, (*path, len(found))))
        return found

    def _text(self, event: Any, path: KeyPath) -> str:
        text: str = event.value
        try:
            # JSON in YAML writes characters beyond 16 bits as two escapes.
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._refuse(event.start_mark, path, "half of a surrogate pair, which no text can hold")
            return ""

    def _plain(self, event: Any, text: str, path: KeyPath) -> Json:
        if text in _NULLS:
            return None
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        if _NUMBER.fullmatch(text):
            return self._number(event, text, path)
        if reads_as_text(text):
            return text
        message = f"YAML readers disagree about {_short(text)}; put it in quotes, or write a plain JSON value"
        return self._refuse(event.start_mark, path, message)

    def _number(self, event: Any, text: str, path: KeyPath) -> Json:
        if len(text) > MAX_INTEGER_DIGITS:
            return self._refuse(event.start_mark, path, f"a number of more than {MAX_INTEGER_DIGITS} digits")
        if text.lstrip("-").isdigit():
            return int(text)
        value = float(text)
        return value if math.isfinite(value) else self._refuse(event.start_mark, path, f"{text} is too large a number")

    def _refuse(self, mark: Any, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(mark.line + 1 if mark is not None else 0, path, message))


# -- the directory ------------------------------------------------------------------------------------------------


class _Directory:
    """The files of a bundle. Every method reports what is wrong and returns null, or nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.issues: list[BundleIssue] = []
        self._documents: dict[str, Piece | None] = {}

    def has(self, name: str) -> bool:
        return (self.root / name).exists() or (self.root / name).is_symlink()

    def text(self, name: str, asked: Piece) -> str | None:
        """A file as text: UTF-8, a byte order mark dropped, CRLF as LF."""
        found = self._locate(name)
        if isinstance(found, str):
            self.issues.append(asked.issue(f"{name}: {found}"))
            return None
        try:
            text = found.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.issues.append(BundleIssue(self.root / name, "", f"not UTF-8: {error.reason} at byte {error.start}"))
            return None
        except OSError as error:
            self.issues.append(asked.issue(f"{name}: cannot be read: {error.strerror}"))
            return None
        return text.replace("\r\n", "\n")

    def document(self, name: str, asked: Piece) -> Piece | None:
        """A YAML file."""
        if name not in self._documents:
            text = self.text(name, asked)
            self._documents[name] = None if text is None else self._parsed(name, text)
        return self._documents[name]

    def expand(self, asked: Piece) -> list[str]:
        """The file, or the files that match a pattern, in the order of their names."""
        name = str(asked.value)
        if not _PATTERN.search(name):
            return [name]
        folder, _, pattern = name.rpartition("/")
        entries = self._entries_of(name, folder)
        if isinstance(entries, str):
            self.issues.append(asked.issue(f"{name}: {entries}"))
            return []
        found = [f"{folder}/{entry}" if folder else entry for entry in entries if fnmatchcase(entry, pattern)]
        if not found or len(found) > MAX_FILES:
            self.issues.append(asked.issue(f"{name}: {len(found)} files match; expected 1 to {MAX_FILES}"))
            return []
        return found

    def _entries_of(self, name: str, folder: str) -> list[str] | str:
        """The names in a folder, sorted, hidden ones left out; or why there are none."""
        if _not_inside(name) is not None or _PATTERN.search(folder):
            return _not_inside(name) or "only a file name may be a pattern, not a folder's"
        try:
            real = (self.root / folder).resolve(strict=True)
            if not real.is_relative_to(self.root.resolve(strict=True)):
                return "leads out of the bundle directory"
            return sorted(entry.name for entry in real.iterdir() if not entry.name.startswith("."))
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            return f"cannot be listed: {getattr(error, 'strerror', None) or error}"

    def _parsed(self, name: str, text: str) -> Piece | None:
        document = YamlDocument(text)
        for line, path, message in document.problems:
            where = f"line {line}: " if line else ""
            self.issues.append(BundleIssue(self.root / name, dotted(path), where + message))
        return None if document.problems else Piece(self.root / name, document.value, (), document.lines)

    def _locate(self, name: str) -> Path | str:
        """Where a file is, or why it is not to be read."""
        problem = _not_inside(name)
        if problem is not None:
            return problem
        try:
            real = (self.root / name).resolve(strict=True)
            if not real.is_relative_to(self.root.resolve(strict=True)):
                return "leads out of the bundle directory"
            if not real.is_file():
                return "not a regular file"
            size = real.stat().st_size
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            return f"cannot be found: {getattr(error, 'strerror', None) or error}"
        return real if size <= MAX_FILE_BYTES else f"has {size:,} bytes; expected at most {MAX_FILE_BYTES:,}"


def _not_inside(name: str) -> str | None:
    path = PurePosixPath(name)
    odd = not name or "\\" in name or "\0" in name or path.is_absolute() or ".." in path.parts
    return "expected a relative path inside the bundle directory, such as prompts/system.j2" if odd else None


# -- the seven surfaces -------------------------------------------------------------------------------------------


class _PromptEntry(BaseModel):
    """`prompt_version` as it is written. A plain text stands for {file: ...}."""

    model_config = ConfigDict(extra="forbid", strict=True)

    file: str | None = None
    text: str | None = None
    literal: str | None = None
    literal_text: str | None = None
    variables: list[str] = []

    @model_validator(mode="after")
    def _has_one_source(self) -> _PromptEntry:
        given = [name for name in _PROMPT_SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"found {', '.join(given) or 'none'}; expected exactly one of {', '.join(_PROMPT_SOURCES)}"
            )
        if self.variables and given[0].startswith("literal"):
            raise ValueError("a literal prompt has no variables")
        return self


_PROMPT_SOURCES = ("file", "text", "literal", "literal_text")
_REQUIRED = ("schema", "name", "prompt_version", "model_route", "tool_contracts")
_KEYS = ("schema", "name", *SURFACES)
#: Stands for a required surface that is not there, which is reported once and for all.
_ABSENT = object()
_NAME: TypeAdapter[str] = TypeAdapter(Name)


class _Tools(NamedTuple):
    contracts: list[ToolContract]
    schemas: Mapping[str, Json] | None
    """The arguments of each offered tool; null when one is missing, since a rule may mean that one."""


class _Surfaces(NamedTuple):
    """Everything a bundle holds, checked."""

    prompt: Prompt
    route: ModelRoute
    snapshot: RetrieverSnapshot | None
    contracts: list[ToolContract]
    rules: list[Rule]
    cases: list[EvalCase]
    rollout: RolloutPolicy | None

    def contents(self) -> dict[Surface, Json]:
        """Each surface as it stands in the lock."""
        return {
            "prompt_version": _prompt_content(self.prompt),
            "model_route": self.route.content(),
            "retriever_snapshot": self.snapshot and self.snapshot.content(),
            "tool_contracts": [contract.model_dump(exclude_defaults=True) for contract in self.contracts],
            "guardrail_policy": [rule.model_dump(exclude_defaults=True) for rule in self.rules],
            "eval_suite": [case.content() for case in self.cases],
            "rollout_policy": self.rollout and self.rollout.content(),
        }


class _Loading:
    """One pass over a bundle. What cannot be used is reported and left out, and the rest is still checked."""

    def __init__(self, directory: _Directory) -> None:
        self._directory = directory
        self.issues = directory.issues

    def bundle(self) -> Bundle | None:
        root = self._directory.root
        if not root.is_dir():
            self.issues.append(BundleIssue(root, "", f"no such directory; expected one with a {MANIFEST}"))
            return None
        manifest = self._mapping(self._directory.document(MANIFEST, Piece(root / MANIFEST, None)))
        release = self._release()
        if manifest is None:
            return None
        self._head(manifest)
        surfaces = self._surfaces({name: _surface(manifest, name) for name in SURFACES})
        if self.issues or surfaces is None or release is None:
            return None
        return _assembled(root, manifest.value["name"], surfaces, release)

    def _surfaces(self, pieces: Mapping[Surface, Piece]) -> _Surfaces | None:
        prompt = self._prompt(pieces["prompt_version"])
        route = self._route(pieces["model_route"])
        snapshot = self._optional(RetrieverSnapshot, pieces["retriever_snapshot"])
        tools = self._tools(pieces["tool_contracts"])
        rules = self._rules(pieces["guardrail_policy"], tools)
        cases = self._cases(pieces["eval_suite"])
        rollout = self._rollout(pieces["rollout_policy"])
        if prompt is None or route is None:
            return None
        return _Surfaces(prompt, route, snapshot, tools.contracts, rules, cases, rollout)

    def _head(self, manifest: Piece) -> None:
        for key in manifest.value:
            if key not in _KEYS:
                self.issues.append(manifest.issue(_unknown_key(key, _KEYS), key))
        for key in _REQUIRED:
            if key not in manifest.value:
                self.issues.append(manifest.issue("is missing", key))
        schema = manifest.value.get("schema", BUNDLE_SCHEMA)
        if schema != BUNDLE_SCHEMA:
            self.issues.append(manifest.issue(f"found {_short(schema)}; expected {BUNDLE_SCHEMA}", "schema"))
        try:
            _NAME.validate_python(manifest.value.get("name", "absent"), strict=True)
        except ValidationError as error:
            self.issues.append(manifest.issue(_words(error.errors()[0], None), "name"))

    def _release(self) -> Release | None:
        if not self._directory.has(RELEASE):
            return Release()
        piece = self._directory.document(RELEASE, Piece(self._directory.root / RELEASE, None))
        if piece is not None and piece.value is None:
            return Release()
        return self._valid(Release, piece)

    def _prompt(self, piece: Piece) -> Prompt | None:
        if piece.value in (None, _ABSENT):
            return Prompt(None)
        inline = piece.value if isinstance(piece.value, dict) else {"file": piece.value}
        entry = self._valid(_PromptEntry, Piece(piece.file, inline, piece.path, piece.lines))
        if entry is None:
            return None
        kind: Any = "literal" if entry.literal is not None or entry.literal_text is not None else "template"
        name = entry.literal if kind == "literal" else entry.file
        text = self._directory.text(name, piece) if name is not None else entry.text or entry.literal_text or ""
        if text is None:
            return None
        where = piece if name is None else Piece(self._directory.root / name, None)
        problems = template_problems(text, entry.variables) if kind == "template" else ()
        self.issues += [where.issue(problem) for problem in problems]
        self.issues += [piece.issue(problem, "variables") for problem in variable_problems(entry.variables)]
        return Prompt(text, kind, tuple(sorted(set(entry.variables))))

    def _route(self, piece: Piece) -> ModelRoute | None:
        route = None if piece.value is _ABSENT else self._valid(ModelRoute, piece)
        if route is not None:
            self.issues += [piece.issue(problem, "params") for problem in check_params(route.spec)]
        return route

    def _tools(self, piece: Piece) -> _Tools:
        before = len(self.issues)
        entries = self._entries(piece)
        complete = len(self.issues) == before
        self._refuse_twins(entries, "name", "two contracts have the name")
        contracts: list[ToolContract] = []
        schemas: dict[str, Json] = {}
        for entry in entries:
            contract = self._contract(entry)
            if contract is not None:
                contracts.append(contract)
            name = entry.value.get("name") if isinstance(entry.value, dict) else None
            complete = complete and isinstance(name, str)
            schemas.setdefault(str(name), contract.parameters if contract is not None else {})
        return _Tools(contracts, schemas if complete else None)

    def _contract(self, piece: Piece) -> ToolContract | None:
        schema = piece.value.get("parameters") if isinstance(piece.value, dict) else None
        foreign = list(foreign_references(schema))
        if foreign:
            # Before the contract is made: checking the schema would fetch them.
            message = f"{_short(foreign[0])} is outside the schema; expected references that begin with #"
            self.issues.append(piece.issue(message, "parameters"))
            return None
        contract = self._valid(ToolContract, piece)
        if contract is not None:
            self.issues += [piece.issue(message, *path) for path, message in contract_problems(contract)]
        return contract

    def _rules(self, piece: Piece, tools: _Tools) -> list[Rule]:
        found = self._in_file(piece)
        if found is None or found.value is None:
            return []
        entries = self._listed(found)
        self._refuse_twins(entries, "id", "two rules have the id")
        rules = []
        for entry in entries:
            rule = self._valid(Rule, entry)
            if rule is not None:
                rules.append(rule)
                self.issues += [entry.issue(message, *path) for path, message in rule_problems(rule, tools.schemas)]
        return rules

    def _cases(self, piece: Piece) -> list[EvalCase]:
        entries = self._entries(piece) if piece.value is not None else []
        self._refuse_twins(entries, "id", "two cases have the id")
        cases = [case for entry in entries if (case := self._valid(EvalCase, entry)) is not None]
        return sorted(cases, key=lambda case: case.id)

    def _rollout(self, piece: Piece) -> RolloutPolicy | None:
        found = self._in_file(piece)
        if found is None or not isinstance(found.value, dict) or not isinstance(found.value.get("gate"), str):
            return self._optional(RolloutPolicy, found)
        gate = self._directory.document(found.value["gate"], found.at("gate"))
        resolved = {**found.value, "gate": gate.value if gate is not None else None}
        return self._optional(RolloutPolicy, Piece(found.file, resolved, found.path, found.lines))

    # -- pieces ---------------------------------------------------------------------------------------------------

    def _entries(self, piece: Piece) -> list[Piece]:
        """The members of a list whose texts name files, each with one member or a list of them."""
        found: list[Piece] = []
        for item in self._listed(piece):
            if not isinstance(item.value, str):
                found.append(item)
                continue
            documents = (self._directory.document(name, item) for name in self._directory.expand(item))
            for document in documents:
                if document is not None:
                    found += document.items() if isinstance(document.value, list) else [document]
        return found

    def _in_file(self, piece: Piece) -> Piece | None:
        return self._directory.document(piece.value, piece) if isinstance(piece.value, str) else piece

    def _listed(self, piece: Piece) -> list[Piece]:
        if isinstance(piece.value, list):
            return list(piece.items())
        if piece.value is not _ABSENT:
            self.issues.append(piece.issue(f"found {_short(piece.value)}; expected a list"))
        return []

    def _mapping(self, piece: Piece | None) -> Piece | None:
        if piece is not None and not isinstance(piece.value, dict):
            self.issues.append(piece.issue(f"found {_short(piece.value)}; expected a mapping"))
            return None
        return piece

    def _optional(self, model: type[ModelT], piece: Piece | None) -> ModelT | None:
        return None if piece is None or piece.value is None else self._valid(model, piece)

    def _valid(self, model: type[ModelT], piece: Piece | None) -> ModelT | None:
        if self._mapping(piece) is None or piece is None:
            return None
        try:
            return model.model_validate(piece.value)
        except ValidationError as error:
            self.issues += [piece.issue(_words(detail, model), *detail["loc"]) for detail in error.errors()]
            return None

    def _refuse_twins(self, entries: Iterable[Piece], key: str, words: str) -> None:
        seen: dict[str, Piece] = {}
        for entry in entries:
            name = entry.value.get(key) if isinstance(entry.value, dict) else None
            if isinstance(name, str) and name in seen:
                first = seen[name]
                self.issues.append(entry.issue(f"{words} {_short(name)}; the other is in {first.file.name}", key))
            elif isinstance(name, str):
                seen[name] = entry


def _assembled(root: Path, name: str, surfaces: _Surfaces, release: Release) -> Bundle:
    lock = make_lock(name, surfaces.contents())
    return Bundle(
        directory=root,
        name=name,
        digest=digest_of(lock),
        surfaces={surface: lock["surfaces"][surface]["digest"] for surface in SURFACES},
        prompt=surfaces.prompt,
        route=surfaces.route.spec,
        prices=surfaces.route.prices,
        contracts={contract.name: contract for contract in surfaces.contracts},
        policy=Policy(surfaces.rules),
        eval_suite=tuple(surfaces.cases),
        rollout_policy=surfaces.rollout,
        retriever_snapshot=surfaces.snapshot,
        release=release,
        lock=lock,
    )


def _surface(manifest: Piece, name: Surface) -> Piece:
    if name in manifest.value:
        return manifest.at(name)
    return Piece(manifest.file, _ABSENT if name in _REQUIRED else None, (name,), manifest.lines)


def _prompt_content(prompt: Prompt) -> Json:
    if prompt.text is None:
        return None
    found: dict[str, Json] = {"kind": prompt.kind, "text": prompt.text}
    return {**found, "variables": list(prompt.variables)} if prompt.variables else found


# -- what a contract says about itself ------------------------------------------------------------------------------

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


# -- words ----------------------------------------------------------------------------------------------------------


def _words(detail: Mapping[str, Any], model: type[BaseModel] | None) -> str:
    """One pydantic error in our words: what was expected, then what was found."""
    kind, where = detail["type"], detail["loc"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return _unknown_key(str(where[-1]), tuple(model.model_fields) if model is not None and len(where) == 1 else ())
    expected = str(detail["msg"]).removeprefix("Value error, ").replace("Input should be", "expected", 1)
    return expected if kind == "value_error" else f"{expected}; found {_short(detail['input'])}"


def _unknown_key(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; expected one of {', '.join(known)}" if known else ""
    return f"unknown key{hint}"


def _short(value: Json) -> str:
    text = repr(value) if isinstance(value, str) else _JSON_WORDS.get(type(value)) or repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


_JSON_WORDS = {dict: "a mapping", list: "a list", type(None): "null"}
