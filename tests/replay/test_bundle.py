"""The identity of a bundle: what changes its digest and what does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import rfc8785
import yaml
from hypothesis import given
from hypothesis import strategies as st

from replay.bundle import (
    EXECUTED_SURFACES,
    SURFACES,
    canonical,
    changed,
    check_lines,
    digest_of,
    not_exercised,
    show_json,
)
from replay.bundle_loader import load_bundle
from replay.exact_json import Json, dumps, loads

INCIDENT = Path(__file__).parent / "bundles" / "incident"

#: Written down once. If this changes, every identity ever recorded has changed with it.
INCIDENT_DIGEST = "sha256:f6c5b9671abb5e105e945e054984e206d73a97b61eb1bcdc8ace25bf052fcc30"
SURFACE_DIGESTS = {
    "prompt_version": "5cf9b6f5736cce9860e7eaaf05092366895d09864726fa28d999a99e7600aa6d",
    "model_route": "fe76f709ded4f13001d4acbf3c9ef23fe72bf863b48e8a978731fab43f413d7a",
    "retriever_snapshot": "cea3b516485451a0bca2067ef95f15193d01804196add04a9239432ce3c3bfee",
    "tool_contracts": "6c512abd92e752ea3c15b6be1ade3b5159221f4b94f897c4e3712335ed5d934f",
    "guardrail_policy": "0041d4497247249deceedc3ca1afb1fc85a8fe1e7def0c0e33c69e22abf4d440",
    "eval_suite": "107d845ab7c0d2cb945c920737e4fb3c7acb8de1775ee9facf3208154afa9bea",
}

Edit = Callable[[Path], object]


@pytest.fixture
def incident(tmp_path: Path) -> Path:
    return Path(shutil.copytree(INCIDENT, tmp_path / "incident"))


def swap(name: str, old: str, new: str) -> Edit:
    def edit(root: Path) -> None:
        text = (root / name).read_text(encoding="utf-8")
        assert old in text
        (root / name).write_text(text.replace(old, new), encoding="utf-8")

    return edit


def rewrite(name: str, change: Callable[[str], str]) -> Edit:
    def edit(root: Path) -> None:
        text = (root / name).read_bytes().decode()
        (root / name).write_bytes(change(text).encode())

    return edit


def rename(old: str, new: str) -> Edit:
    return lambda root: (root / old).rename(root / new)


def reversed_keys(text: str) -> str:
    def turned(value: Json) -> Json:
        if isinstance(value, dict):
            return {key: turned(child) for key, child in reversed(value.items())}
        return [turned(child) for child in value] if isinstance(value, list) else value

    return json.dumps(turned(yaml.safe_load(text)), indent=3)


def test_golden_digest() -> None:
    bundle = load_bundle(INCIDENT)
    found = {name: digest.removeprefix("sha256:") for name, digest in bundle.surfaces.items()}
    assert {name: found[name] for name in SURFACE_DIGESTS} == SURFACE_DIGESTS
    assert bundle.digest == INCIDENT_DIGEST


def test_the_lock_says_where_the_digest_comes_from() -> None:
    """Anyone with an RFC 8785 library can check it, once long integers are written as the docstring says."""
    bundle = load_bundle(INCIDENT)
    read = loads(dumps(bundle.lock))
    assert digest_of(read) == bundle.digest
    for name in SURFACES:
        assert digest_of(read["surfaces"][name]["content"]) == bundle.surfaces[name]


SAME: dict[str, Edit] = {
    "CRLF in YAML": rewrite("bundle.yaml", lambda text: text.replace("\n", "\r\n")),
    "CRLF in the prompt": rewrite("prompts/system.j2", lambda text: text.replace("\n", "\r\n")),
    "a byte order mark": rewrite("prompts/system.j2", lambda text: "\ufeff" + text),
    "comments": rewrite("policy.yaml", lambda text: "# why\n" + text + "\n# end\n"),
    "key order and JSON": rewrite("tools/wipe_device.yaml", reversed_keys),
    "key order of the manifest": rewrite("bundle.yaml", reversed_keys),
    "another file name": lambda root: (
        rename("prompts/system.j2", "prompts/other.j2")(root),
        swap("bundle.yaml", "prompts/system.j2", "prompts/other.j2")(root),
    ),
    "a default written out": swap(
        "tools/lookup_device.yaml", "effect: read", "effect: read\napproval: none\nweight: 1"
    ),
    "another spelling of a price": swap("bundle.yaml", '"0.50"', '"0.5"'),
    "another spelling of a number": swap("bundle.yaml", "temperature: 0,", "temperature: 0.0,"),
    "order and place of cases": lambda root: (
        swap("bundle.yaml", '  - {id: lost-badge, request: "I lost my badge."}', "")(root),
        rewrite("evals/stolen.yaml", lambda text: "- {request: I lost my badge., id: lost-badge}\n" + text)(root),
    ),
    "order of variables": swap("bundle.yaml", "[company, user]", "[user, company, user]"),
    "one tool without a list": swap("policy.yaml", "on: {tool: wipe_device}", "on: {tool: [wipe_device]}"),
    "release.yaml": swap("release.yaml", "author: someone", "author: somebody else"),
    "no release.yaml": lambda root: (root / "release.yaml").unlink(),
    "files nobody names": lambda root: (root / "README.md").write_text("hello"),
}

OTHER: dict[str, tuple[str, Edit]] = {
    "a word of the prompt": ("prompt_version", swap("prompts/system.j2", "assistant", "helper")),
    "composed letters of the prompt": ("prompt_version", rewrite("prompts/system.j2", lambda text: text + "e\u0301")),
    "template to literal": ("prompt_version", swap("bundle.yaml", "  file: prompts/system.j2\n  variables: [company, user]", "  literal: prompts/system.j2")),
    "the model": ("model_route", swap("bundle.yaml", "small-chat-1", "small-chat-2")),
    "a parameter": ("model_route", swap("bundle.yaml", "temperature: 0,", "temperature: 0.1,")),
    "a price": ("model_route", swap("bundle.yaml", '"1.5"', '"1.6"')),
    "the snapshot": ("retriever_snapshot", swap("bundle.yaml", "runbooks-2024-05", "runbooks-2024-06")),
    "the order of tools": ("tool_contracts", swap("bundle.yaml", "  - tools/lookup_device.yaml\n  - tools/*_sessions.yaml", "  - tools/*_sessions.yaml\n  - tools/lookup_device.yaml")),
    "a digit of a long integer": ("tool_contracts", swap("tools/wipe_device.yaml", "123456789012345678901234567890", "123456789012345678901234567891")),
    "the order of rules": ("guardrail_policy", rewrite("policy.yaml", lambda text: json.dumps(yaml.load(text.replace("on:", '"on":'), yaml.SafeLoader)[::-1]))),
    "a case": ("eval_suite", swap("evals/stolen.yaml", "found it", "found this")),
    "the gate": ("rollout_policy", swap("gate.yaml", "0.02", "0.03")),
}  # fmt: skip


@pytest.mark.parametrize("edit", list(SAME.values()), ids=list(SAME))
def test_form_does_not_change_the_digest(incident: Path, edit: Edit) -> None:
    edit(incident)
    assert load_bundle(incident).digest == INCIDENT_DIGEST


@pytest.mark.parametrize(("surface", "edit"), list(OTHER.values()), ids=list(OTHER))
def test_content_changes_the_digest_of_its_surface(incident: Path, surface: str, edit: Edit) -> None:
    edit(incident)
    before, after = load_bundle(INCIDENT), load_bundle(incident)
    assert changed(before, after) == (surface,)
    assert after.digest != before.digest
    assert not_exercised(before, after) == (() if surface in EXECUTED_SURFACES else (surface,))


def test_the_name_is_part_of_the_identity(incident: Path) -> None:
    swap("bundle.yaml", "name: incident-assistant", "name: other")(incident)
    after = load_bundle(incident)
    assert changed(load_bundle(INCIDENT), after) == ()
    assert after.digest != INCIDENT_DIGEST


def test_a_bundle_is_known_by_digest_and_aliases() -> None:
    bundle = load_bundle(INCIDENT)
    assert bundle.identifies(INCIDENT_DIGEST)
    assert bundle.identifies("v42")
    assert not bundle.identifies("v43")
    assert not bundle.identifies(bundle.name)


def test_what_a_bundle_holds() -> None:
    bundle = load_bundle(INCIDENT)
    assert list(bundle.contracts) == ["lookup_device", "revoke_sessions", "wipe_device", "page_security"]
    assert [rule.id for rule in bundle.policy.rules] == ["wipe-needs-manager", "wipe-after-revoke", "no-night-wipes"]
    assert bundle.route.model == "small-chat-1"
    assert bundle.prices is not None
    assert [case.id for case in bundle.eval_suite] == ["found-laptop", "lost-badge", "stolen-laptop"]
    assert bundle.rollout_policy is not None
    assert bundle.rollout_policy.gate["unit"] == "conversation"
    assert bundle.release.endpoint.url == "http://127.0.0.1:8080/v1"
    assert bundle.prompt.render({"company": "Acme", "user": {"name": "Ada"}}) == (
        "You are the incident assistant of Acme.\nYou talk to Ada.\n"
    )


def test_words_for_a_person_and_a_script() -> None:
    bundle = load_bundle(INCIDENT)
    lines = check_lines(bundle)
    assert lines[:2] == ["incident-assistant: no errors", INCIDENT_DIGEST]
    assert any("4 tools: 2 write, 1 handoff, 1 read" in line for line in lines)
    shown = show_json(bundle)
    assert loads(dumps(shown)) == shown
    assert shown["release"]["endpoint"]["api_key_env"] == "MODEL_KEY"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(["$integer", "$$integer", "$$", "integer"]), inner, max_size=4)
    ),
    max_leaves=15,
)


def shuffled(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: shuffled(child) for key, child in reversed(value.items())}
    return [shuffled(child) for child in value] if isinstance(value, list) else value


def decoded(value: Json) -> Json:
    """The inverse of `canonical`, which proves that nothing is lost. Plain numbers come as doubles."""
    if isinstance(value, list):
        return [decoded(child) for child in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"$integer"}:
        return ("integer", value["$integer"])
    return {unescaped(key): decoded(child) for key, child in value.items()}


def unescaped(key: str) -> str:
    return key[1:] if key.startswith("$") and key.lstrip("$") == "integer" else key


def kept(value: Json) -> Json:
    """What the bytes promise to keep: integers a double cannot hold as they are, other numbers as doubles."""
    if isinstance(value, dict):
        return {key: kept(child) for key, child in value.items()}
    if isinstance(value, list):
        return [kept(child) for child in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 2**53 else ("integer", str(value))
    return value


@given(json_values)
def test_canonical_bytes_do_not_depend_on_key_order(value: Json) -> None:
    assert canonical(value) == canonical(shuffled(value))


@given(json_values)
def test_canonical_bytes_lose_nothing(value: Json) -> None:
    assert decoded(json.loads(canonical(value), parse_int=float)) == kept(value)


@given(json_values.filter(lambda value: "$" not in repr(value)))
def test_canonical_is_plain_rfc_8785_where_it_has_a_form(value: Json) -> None:
    try:
        expected = rfc8785.dumps(value)
    except rfc8785.IntegerDomainError:
        return
    assert canonical(value) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (2**53, 2**53 + 1),
        (10**30, 10**30 + 1),
        (2**70, str(2**70)),
        (2**70, {"$integer": str(2**70)}),
        ({"$integer": "1"}, {"$$integer": "1"}),
        (2**70, float(2**70)),
    ],
)
def test_long_integers_stay_apart(one: Json, other: Json) -> None:
    assert canonical(one) != canonical(other)
