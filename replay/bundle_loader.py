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
      eval_suite: [evals/*.yaml]               # files, patterns and inline cases {id, request, expected};
                                               # a request {trace_id} holds that trace to it, see replay.expected
      rollout_policy: rollout.yaml             # or inline {stages, minimum_isolation, gate: file}
    release.yaml                               # outside the digest, may be absent
      {labels, author, replaces, aliases, endpoint: {url, api_key_env | api_key_file, ...}, review}

The last four surfaces may be left out. Paths are relative to the directory, whichever file they stand in.

A bundle may come from a stranger, in a pull request for one, so nothing in it is trusted: no path or link leads
out, no file is large, no schema pulls in another document. And nothing in it is ambiguous: YAML is read as JSON
with comments, and what YAML readers disagree about (`yes`, 2024-01-01, 012, 1:30) must be put in quotes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

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
from replay.bundle_checks import contract_problems, foreign_references
from replay.bundle_files import MANIFEST, RELEASE, BundleFiles, Piece
from replay.bundle_pieces import ABSENT, Pieces, in_words, unknown_key
from replay.bundle_yaml import short
from replay.contract import ToolContract
from replay.errors import BundleError, BundleIssue
from replay.exact_json import Json
from replay.policy import Policy, Rule, rule_problems
from replay.prompt import Prompt, template_problems, variable_problems
from replay.routes import check_params


def load_bundle(directory: Path) -> Bundle:
    """Load and check a bundle. Raises `BundleError` with everything that is wrong, in all files."""
    loading = _Loading(BundleFiles(directory))
    bundle = loading.bundle()
    if bundle is None:
        raise BundleError(tuple(loading.issues))
    return bundle


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

    def __init__(self, files: BundleFiles) -> None:
        self._files = files
        self._pieces = Pieces(files)
        self.issues = files.issues

    def bundle(self) -> Bundle | None:
        root = self._files.root
        if not root.is_dir():
            self.issues.append(BundleIssue(root, "", f"no such directory; expected one with a {MANIFEST}"))
            return None
        manifest = self._pieces.mapping(self._files.document(MANIFEST, Piece(root / MANIFEST, None)))
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
        snapshot = self._pieces.optional(RetrieverSnapshot, pieces["retriever_snapshot"])
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
                self.issues.append(manifest.issue(unknown_key(key, _KEYS), key))
        for key in _REQUIRED:
            if key not in manifest.value:
                self.issues.append(manifest.issue("is missing", key))
        schema = manifest.value.get("schema", BUNDLE_SCHEMA)
        if schema != BUNDLE_SCHEMA:
            self.issues.append(manifest.issue(f"found {short(schema)}; expected {BUNDLE_SCHEMA}", "schema"))
        try:
            _NAME.validate_python(manifest.value.get("name", "absent"), strict=True)
        except ValidationError as error:
            self.issues.append(manifest.issue(in_words(error.errors()[0], None), "name"))

    def _release(self) -> Release | None:
        if not self._files.has(RELEASE):
            return Release()
        piece = self._files.document(RELEASE, Piece(self._files.root / RELEASE, None))
        if piece is not None and piece.value is None:
            return Release()
        return self._pieces.valid(Release, piece)

    def _prompt(self, piece: Piece) -> Prompt | None:
        if piece.value in (None, ABSENT):
            return Prompt(None)
        inline = piece.value if isinstance(piece.value, dict) else {"file": piece.value}
        entry = self._pieces.valid(_PromptEntry, Piece(piece.file, inline, piece.path, piece.lines))
        if entry is None:
            return None
        kind: Any = "literal" if entry.literal is not None or entry.literal_text is not None else "template"
        name = entry.literal if kind == "literal" else entry.file
        text = self._files.text(name, piece) if name is not None else entry.text or entry.literal_text or ""
        if text is None:
            return None
        where = piece if name is None else Piece(self._files.root / name, None)
        problems = template_problems(text, entry.variables) if kind == "template" else ()
        self.issues += [where.issue(problem) for problem in problems]
        self.issues += [piece.issue(problem, "variables") for problem in variable_problems(entry.variables)]
        return Prompt(text, kind, tuple(sorted(set(entry.variables))))

    def _route(self, piece: Piece) -> ModelRoute | None:
        route = None if piece.value is ABSENT else self._pieces.valid(ModelRoute, piece)
        if route is not None:
            self.issues += [piece.issue(problem, "params") for problem in check_params(route.spec)]
        return route

    def _tools(self, piece: Piece) -> _Tools:
        before = len(self.issues)
        entries = self._pieces.entries(piece)
        complete = len(self.issues) == before
        self._pieces.refuse_twins(entries, "name", "two contracts have the name")
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
            message = f"{short(foreign[0])} is outside the schema; expected references that begin with #"
            self.issues.append(piece.issue(message, "parameters"))
            return None
        contract = self._pieces.valid(ToolContract, piece)
        if contract is not None:
            self.issues += [piece.issue(message, *path) for path, message in contract_problems(contract)]
        return contract

    def _rules(self, piece: Piece, tools: _Tools) -> list[Rule]:
        found = self._pieces.in_file(piece)
        if found is None or found.value is None:
            return []
        entries = self._pieces.listed(found)
        self._pieces.refuse_twins(entries, "id", "two rules have the id")
        rules = []
        for entry in entries:
            rule = self._pieces.valid(Rule, entry)
            if rule is not None:
                rules.append(rule)
                self.issues += [entry.issue(message, *path) for path, message in rule_problems(rule, tools.schemas)]
        return rules

    def _cases(self, piece: Piece) -> list[EvalCase]:
        entries = self._pieces.entries(piece) if piece.value is not None else []
        self._pieces.refuse_twins(entries, "id", "two cases have the id")
        cases = [case for entry in entries if (case := self._pieces.valid(EvalCase, entry)) is not None]
        return sorted(cases, key=lambda case: case.id)

    def _rollout(self, piece: Piece) -> RolloutPolicy | None:
        found = self._pieces.in_file(piece)
        if found is None or not isinstance(found.value, dict) or not isinstance(found.value.get("gate"), str):
            return self._pieces.optional(RolloutPolicy, found)
        gate = self._files.document(found.value["gate"], found.at("gate"))
        resolved = {**found.value, "gate": gate.value if gate is not None else None}
        return self._pieces.optional(RolloutPolicy, Piece(found.file, resolved, found.path, found.lines))


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
    return Piece(manifest.file, ABSENT if name in _REQUIRED else None, (name,), manifest.lines)


def _prompt_content(prompt: Prompt) -> Json:
    if prompt.text is None:
        return None
    found: dict[str, Json] = {"kind": prompt.kind, "text": prompt.text}
    return {**found, "variables": list(prompt.variables)} if prompt.variables else found
