"""The release bundle: everything that makes an assistant behave as it does, under one digest.

A bundle has seven surfaces. Resolving it replaces each one by its content: the lock document. The digest is the
SHA-256 of the lock's canonical JSON (RFC 8785), so it is the same on every machine and says nothing about files,
formatting, line endings or key order. Fields left at their defaults are not in the lock: a later version of this
program can add a field without changing the identity of what exists. `release.yaml` (labels, aliases, endpoint) is
not in it either. The name is: two releases that differ in something no surface holds are not one release.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from replay.contract import ToolContract
from replay.exact_json import Json
from replay.models import RouteSpec, Transport
from replay.policy import Policy
from replay.prices import Prices
from replay.prompt import Prompt

BUNDLE_SCHEMA = "bundle/1"
LOCK_SCHEMA = "bundle-lock/1"

Surface: TypeAlias = Literal[
    "prompt_version",
    "model_route",
    "retriever_snapshot",
    "tool_contracts",
    "guardrail_policy",
    "eval_suite",
    "rollout_policy",
]
SURFACES: tuple[Surface, ...] = (
    "prompt_version",
    "model_route",
    "retriever_snapshot",
    "tool_contracts",
    "guardrail_policy",
    "eval_suite",
    "rollout_policy",
)
#: What a replay runs. A change in any other surface cannot show in a comparison, so it can never promote.
EXECUTED_SURFACES: tuple[Surface, ...] = ("prompt_version", "model_route", "tool_contracts", "guardrail_policy")

Digest: TypeAlias = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Isolation: TypeAlias = Literal["cooperative", "container", "kernel"]
#: From a promise to a wall.
ISOLATION_LEVELS: tuple[Isolation, ...] = ("cooperative", "container", "kernel")

#: Integers every JSON reader holds exactly; RFC 8785 has no form for others.
_SAFE_INTEGER = 2**53 - 1
_INTEGER_KEY = "$integer"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def content(self) -> dict[str, Json]:
        """The lock's view: what differs from the defaults."""
        return self.model_dump(exclude_defaults=True)


class ModelRoute(_Model):
    transport: Transport = "openai"
    model: Name
    params: dict[str, Json] = {}
    stream: bool = True
    prices: Prices | None = None

    @property
    def spec(self) -> RouteSpec:
        return RouteSpec(self.transport, self.model, self.params, self.stream)

    def content(self) -> dict[str, Json]:
        found = super().content()
        return found if self.prices is None else {**found, "prices": self.prices.normal()}


class RetrieverSnapshot(_Model):
    """`recorded`: the documents a trace holds. The id and digest say which snapshot they came from."""

    kind: Literal["recorded"]
    id: Name
    digest: Digest | None = None
    embedder: str | None = None
    config: dict[str, Json] = {}


class EvalCase(_Model):
    id: Name
    request: Json
    expected: Json = None


class Stage(_Model):
    name: Name
    share: Annotated[float, Field(gt=0, le=1)]
    hold_hours: Annotated[float, Field(ge=0)] | None = None
    conversations: Annotated[int, Field(ge=1)] | None = None


class RolloutPolicy(_Model):
    """How a promoted bundle goes out. `gate`: the gate document, carried and digested; it judges no one's own exam."""

    stages: list[Stage] = []
    minimum_isolation: Isolation = "cooperative"
    gate: Json = None

    @field_validator("stages")
    @classmethod
    def _rises(cls, stages: list[Stage]) -> list[Stage]:
        shares = [stage.share for stage in stages]
        if shares != sorted(set(shares)):
            raise ValueError(f"shares are {shares}; expected each to be larger than the one before")
        return stages


class EndpointSettings(_Model):
    """Where the route goes. Names a key's variable or file, never the key."""

    url: str | None = None
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    api_key_file: str | None = None
    concurrency: Annotated[int, Field(ge=1)] = 16
    requests_per_minute: Annotated[float, Field(gt=0)] | None = None

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "http://none")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError("expected a URL such as https://host/v1")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("a URL may hold no user, query or fragment; name the key with api_key_env or api_key_file")
        return value

    @model_validator(mode="after")
    def _has_one_key(self) -> EndpointSettings:
        if self.api_key_env is not None and self.api_key_file is not None:
            raise ValueError("expected api_key_env or api_key_file, not both")
        return self


class Release(_Model):
    """What may change without making another bundle. `review`: what `bundle infer` guessed."""

    labels: dict[str, str] = {}
    author: str | None = None
    replaces: Digest | None = None
    aliases: list[Annotated[str, Field(min_length=1)]] = []
    endpoint: EndpointSettings = EndpointSettings()
    review: list[str] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A loaded bundle. `contracts` keeps the order in which tools are offered to the model."""

    directory: Path
    name: str
    digest: str
    surfaces: Mapping[Surface, str]
    """Digest of each surface's content."""
    prompt: Prompt
    route: RouteSpec
    prices: Prices | None
    contracts: Mapping[str, ToolContract]
    policy: Policy
    eval_suite: tuple[EvalCase, ...]
    rollout_policy: RolloutPolicy | None
    retriever_snapshot: RetrieverSnapshot | None
    release: Release
    lock: Json

    def identifies(self, bundle_id: str) -> bool:
        """Whether an id seen in production means this bundle."""
        return bundle_id == self.digest or bundle_id in self.release.aliases

    def content(self, surface: Surface) -> Json:
        """A surface as it stands in the lock."""
        return self.lock["surfaces"][surface]["content"]


def not_exercised(baseline: Bundle, candidate: Bundle) -> tuple[str, ...]:
    """Surfaces that changed and that a replay does not execute."""
    return tuple(surface for surface in changed(baseline, candidate) if surface not in EXECUTED_SURFACES)


def changed(baseline: Bundle, candidate: Bundle) -> tuple[Surface, ...]:
    return tuple(name for name in SURFACES if baseline.surfaces[name] != candidate.surfaces[name])


def make_lock(name: str, contents: Mapping[Surface, Json]) -> Json:
    """The lock document: every surface resolved, each with its own digest."""
    surfaces = {surface: {"digest": digest_of(contents[surface]), "content": contents[surface]} for surface in SURFACES}
    return {"schema": LOCK_SCHEMA, "name": name, "surfaces": surfaces}


def digest_of(value: Json) -> str:
    return "sha256:" + sha256(canonical(value)).hexdigest()


def canonical(value: Json) -> bytes:
    """RFC 8785 bytes of a JSON value whose integers may be of any length.

    RFC 8785 writes numbers as IEEE doubles, so 1 and 1.0 are the same bytes, and 2**53 + 1 has none. An integer
    beyond ±(2**53 - 1) becomes {"$integer": "<digits>"}. So that no other value has that form, every object key
    "$integer", "$$integer", ... gets one more "$". Values that differ (1 and 1.0 aside) have different bytes.
    """
    return rfc8785.dumps(_encodable(value))


def _encodable(value: Json) -> Json:
    if isinstance(value, dict):
        return {_escaped(key): _encodable(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(child) for child in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _SAFE_INTEGER:
        return {_INTEGER_KEY: str(value)}
    return value


def _escaped(key: str) -> str:
    return f"${key}" if key.startswith("$") and key.lstrip("$") == _INTEGER_KEY[1:] else key


# -- words ----------------------------------------------------------------------------------------------------


def check_lines(bundle: Bundle) -> list[str]:
    """What `bundle check` prints about a bundle without errors."""
    lines = [f"{bundle.name}: no errors", bundle.digest]
    lines += [f"  {surface:<18}  {_SUMMARY[surface](bundle)}" for surface in SURFACES]
    if bundle.release.review:
        lines += ["", "guessed, to be checked by a person (`review` in release.yaml):"]
        lines += [f"  - {item}" for item in bundle.release.review]
    return lines


def show_json(bundle: Bundle) -> dict[str, Json]:
    """What `bundle show --json` prints. Secrets cannot be in it: a bundle only names where its key is."""
    release = bundle.release.model_dump(exclude_defaults=True)
    return {"digest": bundle.digest, "directory": str(bundle.directory), "lock": bundle.lock, "release": release}


def _prompt_summary(bundle: Bundle) -> str:
    if bundle.prompt.text is None:
        return "no system prompt"
    needs = f", needs {', '.join(bundle.prompt.variables)}" if bundle.prompt.variables else ""
    return f"{bundle.prompt.kind}, {len(bundle.prompt.text):,} characters{needs}"


def _route_summary(bundle: Bundle) -> str:
    prices = "with prices" if bundle.prices else "no prices, so costs are unknown"
    return f"{bundle.route.model} over {bundle.route.transport}, {prices}"


def _tools_summary(bundle: Bundle) -> str:
    effects = [contract.effect for contract in bundle.contracts.values()]
    counts = [f"{effects.count(effect)} {effect}" for effect in ("write", "handoff", "read") if effect in effects]
    return f"{len(effects)} tools" + (f": {', '.join(counts)}" if counts else "")


def _snapshot_summary(bundle: Bundle) -> str:
    return bundle.retriever_snapshot.id if bundle.retriever_snapshot else "none"


def _policy_summary(bundle: Bundle) -> str:
    return f"{len(bundle.policy.rules)} rules"


def _evals_summary(bundle: Bundle) -> str:
    return f"{len(bundle.eval_suite)} cases"


def _rollout_summary(bundle: Bundle) -> str:
    return f"{len(bundle.rollout_policy.stages)} stages" if bundle.rollout_policy else "none"


_SUMMARY: Mapping[Surface, Callable[[Bundle], str]] = {
    "prompt_version": _prompt_summary,
    "model_route": _route_summary,
    "retriever_snapshot": _snapshot_summary,
    "tool_contracts": _tools_summary,
    "guardrail_policy": _policy_summary,
    "eval_suite": _evals_summary,
    "rollout_policy": _rollout_summary,
}
