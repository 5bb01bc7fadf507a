"""A diff says in words what changed, and nothing that was loosened goes unmarked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.bundle import SURFACES, Bundle
from replay.bundle_diff import BundleDiff, diff_bundles, findings
from replay.bundle_loader import load_bundle
from replay.exact_json import Json, dumps, loads
from replay.surface_changes import SURFACE_CHANGES

INCIDENT = Path(__file__).parent / "bundles" / "incident"

#: (file, old, new), the severity and the words of the one change it makes, after the surface.
CHANGES: dict[str, tuple[tuple[str, str, str], int, str]] = {
    # prompt
    "prompt": (("prompts/system.j2", "You talk to {{ user.name }}.", "Talk to {{ user.name }}.\nBe brief."), 2, "prompt_version: 2 lines added, 1 removed"),
    "no prompt": (("bundle.yaml", "\n  file: prompts/system.j2\n  variables: [company, user]", " null"), 2, "prompt_version: removed"),
    "variable": (("bundle.yaml", "[company, user]", "[company, user, mood]"), 1, "prompt_version: variable mood added"),
    # route
    "model": (("bundle.yaml", "small-chat-1", "small-chat-2"), 2, "model_route: model small-chat-1 -> small-chat-2"),
    "transport": (("bundle.yaml", "transport: openai", "transport: litellm"), 2, "model_route: transport openai -> litellm"),
    "stream": (("bundle.yaml", "  transport: openai", "  stream: false"), 1, "model_route: stream true -> false"),
    "param": (("bundle.yaml", "max_tokens: 400", "max_tokens: 500"), 2, "model_route: params.max_tokens 400 -> 500"),
    "param added": (("bundle.yaml", "max_tokens: 400", "max_tokens: 400, seed: 1"), 2, "model_route: params.seed added: 1"),
    "param removed": (("bundle.yaml", ", max_tokens: 400", ""), 2, "model_route: params.max_tokens removed (was 400)"),
    "price": (("bundle.yaml", '"1.5"', '"2"'), 1, "model_route: prices.output_per_million 1.5 -> 2"),
    # snapshot
    "snapshot": (("bundle.yaml", "runbooks-2024-05", "runbooks-2024-06"), 2, "retriever_snapshot: id runbooks-2024-05 -> runbooks-2024-06"),
    "no snapshot": (("bundle.yaml", "retriever_snapshot:\n  kind: recorded\n  id: runbooks-2024-05\n", ""), 2, "retriever_snapshot: removed (was runbooks-2024-05)"),
    # effects and approvals
    "write to handoff": (("tools/wipe_device.yaml", "effect: write", "effect: handoff"), 3, "wipe_device: effect write -> handoff (LOOSENED)"),
    "handoff to read": (("bundle.yaml", "effect: handoff", "effect: read"), 3, "page_security: effect handoff -> read (LOOSENED)"),
    "read to write": (("tools/lookup_device.yaml", "effect: read", "effect: write"), 2, "lookup_device: effect read -> write"),
    "approval dropped": (("tools/wipe_device.yaml", "approval: required", "approval: none"), 3, "wipe_device: approval required -> none (LOOSENED)"),
    "approval added": (("tools/lookup_device.yaml", "effect: read", "effect: read\napproval: required"), 2, "lookup_device: approval none -> required"),
    "weight of a write": (("tools/wipe_device.yaml", "effect: write", "effect: write\nweight: 0"), 3, "wipe_device: weight 1 -> 0 (LOOSENED)"),
    "weight of a read": (("tools/lookup_device.yaml", "effect: read", "effect: read\nweight: 0"), 2, "lookup_device: weight 1 -> 0"),
    # arguments
    "required argument of a write": (("tools/revoke_sessions.yaml", "  required: [user_id]\n", ""), 3, "revoke_sessions: argument user_id is no longer required (LOOSENED)"),
    "required argument of a read": (("tools/lookup_device.yaml", "  required: [id]\n", ""), 2, "lookup_device: argument id is no longer required"),
    "now required": (("tools/revoke_sessions.yaml", "[user_id]\nentity", "[user_id, note]\nentity"), 2, "revoke_sessions: argument note is now required"),
    "ignored argument of a write": (("tools/revoke_sessions.yaml", "user_id: {normalise: [lower]}", "user_id: {normalise: [lower], ignore: true}"), 3, "revoke_sessions: argument user_id is now ignored (LOOSENED)"),
    "ignored argument of a read": (("tools/lookup_device.yaml", "entity: {device: id}", "entity: {device: id}\narguments: {id: {ignore: true}}"), 2, "lookup_device: argument id is now ignored"),
    "no longer ignored": (("tools/revoke_sessions.yaml", "  note: {ignore: true}\n", ""), 1, "revoke_sessions: argument note is no longer ignored"),
    "looser comparison": (("tools/revoke_sessions.yaml", "{normalise: [lower]}", "{normalise: [lower], text: 0.5}"), 2, "revoke_sessions: argument user_id is compared by"),
    "type of an argument": (("tools/lookup_device.yaml", "id: {type: integer}", "id: {type: string}"), 2, 'lookup_device: argument id {"type":"integer"} -> {"type":"string"}'),
    "new argument": (("tools/lookup_device.yaml", "id: {type: integer}", "id: {type: integer}\n    site: {type: string}"), 2, 'lookup_device: argument site added: {"type":"string"}'),
    "closed schema": (("tools/lookup_device.yaml", "  required: [id]", "  required: [id]\n  additionalProperties: false"), 2, "lookup_device: parameters.additionalProperties added: false"),
    # other fields
    "description": (("tools/lookup_device.yaml", "Find a device", "Look up a device"), 1, "lookup_device: description: 1 line added, 1 removed"),
    "stub": (("tools/revoke_sessions.yaml", "{status: ok, user: {$arg: user_id}}", "{status: done}"), 2, 'revoke_sessions: stub_result {"status":"ok","user":{"$arg":"user_id"}} -> {"status":"done"}'),
    "claims": (("tools/revoke_sessions.yaml", "[revoked, ended]", "[revoked]"), 2, "revoke_sessions: claims"),
    "nouns of an action": (("tools/revoke_sessions.yaml", "  verbs: [revoked, ended]", "  verbs: [revoked, ended]\n  nominalisations: [log-out]\n  side_effects: [sign-in]"), 2, "revoke_sessions: claims"),
    "ends turn": (("bundle.yaml", "    ends_turn: true\n", ""), 2, "page_security: ends_turn true -> false"),
    "entity": (("tools/lookup_device.yaml", "entity: {device: id}", ""), 2, 'lookup_device: entity {"device":"id"} -> {}'),
    # tools
    "tool removed": (("bundle.yaml", "  - tools/lookup_device.yaml\n", ""), 2, "tool_contracts: lookup_device: removed (read)"),
    "tool added": (("bundle.yaml", "  - name: page_security", "  - {name: extra}\n  - name: page_security"), 2, "tool_contracts: extra: added (write)"),
    "order of tools": (("bundle.yaml", "  - tools/lookup_device.yaml\n  - tools/*_sessions.yaml", "  - tools/*_sessions.yaml\n  - tools/lookup_device.yaml"), 1, "tool_contracts: offered in another order"),
    # policy
    "rule removed": (("policy.yaml", "- id: wipe-after-revoke\n  on: {tool: wipe_device}\n  when: \"!calls.exists(c, c.tool == 'revoke_sessions')\"\n  then: {escalate: security}\n", ""), 3, "guardrail_policy: rule wipe-after-revoke removed (escalate security) (LOOSENED)"),
    "block to escalate": (("policy.yaml", 'then: {block: "nobody is there to help at night"}', "then: {escalate: night-shift}"), 3, "rule no-night-wipes: block nobody is there to help at night -> escalate night-shift (LOOSENED)"),
    "escalate to approval": (("policy.yaml", "then: {escalate: security}", "then: {require_approval: security}"), 3, "rule wipe-after-revoke: escalate security -> needs_approval security (LOOSENED)"),
    "approval to allow": (("policy.yaml", "then: {require_approval: manager}", "then: {allow: true}"), 3, "rule wipe-needs-manager: needs_approval manager -> allow (LOOSENED)"),
    "stricter": (("policy.yaml", "then: {escalate: security}", "then: {block: never}"), 2, "rule wipe-after-revoke: escalate security -> block never"),
    "another approver": (("policy.yaml", "then: {require_approval: manager}", "then: {require_approval: anyone}"), 2, "rule wipe-needs-manager: needs_approval manager -> needs_approval anyone"),
    "another reason": (("policy.yaml", "nobody is there to help at night", "it is night"), 1, "rule no-night-wipes: block nobody"),
    "fewer tools": (("policy.yaml", "[wipe_device, revoke_sessions]", "[wipe_device]"), 3, "rule no-night-wipes: no longer on revoke_sessions (LOOSENED)"),
    "more tools": (("policy.yaml", "[wipe_device, revoke_sessions]", "[wipe_device, revoke_sessions, lookup_device]"), 2, "rule no-night-wipes: now on lookup_device too"),
    "all tools": (("policy.yaml", "[wipe_device, revoke_sessions]", "'*'"), 2, "rule no-night-wipes: now on * too"),
    "another condition": (("policy.yaml", "args.value > 2000.0", "args.value > 9000.0"), 2, "rule wipe-needs-manager: another condition, which may be weaker"),
    "condition dropped": (("policy.yaml", "  when: has(args.value) && args.value > 2000.0\n", ""), 2, "rule wipe-needs-manager: applies always"),
    "rule added": (("policy.yaml", "- id: no-night-wipes", "- {id: new, on: {tool: '*'}, then: {block: a}}\n- id: no-night-wipes"), 2, "rule new added (block a on *)"),
    # evals and rollout
    "case removed": (("bundle.yaml", '  - {id: lost-badge, request: "I lost my badge."}\n', ""), 2, "eval_suite: case lost-badge removed"),
    "case changed": (("evals/stolen.yaml", "[revoke_sessions]", "[wipe_device]"), 2, "eval_suite: case stolen-laptop: expected changed"),
    "isolation lowered": (("bundle.yaml", "minimum_isolation: container", "minimum_isolation: cooperative"), 3, "rollout_policy: minimum_isolation container -> cooperative (LOOSENED)"),
    "isolation raised": (("bundle.yaml", "minimum_isolation: container", "minimum_isolation: kernel"), 2, "rollout_policy: minimum_isolation container -> kernel"),
    "gate changed": (("gate.yaml", "margin: 0.02", "margin: 0.2"), 3, "rollout_policy: gate changed, which may loosen it: 1 line added, 1 removed"),
    "gate removed": (("bundle.yaml", "  gate: gate.yaml\n", ""), 3, "rollout_policy: gate removed (LOOSENED)"),
    "stages": (("bundle.yaml", "share: 0.05", "share: 0.5"), 2, "rollout_policy: stages canary 5%, all 100% -> canary 50%, all 100%"),
}  # fmt: skip
#: Changes that, seen from the other side, are findings.
LOOSE_BACKWARDS = ("read to write", "approval added", "stricter", "more tools", "condition dropped", "isolation raised")


def edited(root: Path, file: str, old: str, new: str) -> Bundle:
    target = Path(shutil.copytree(INCIDENT, root / "edited"))
    text = (target / file).read_text(encoding="utf-8")
    assert old in text
    (target / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    return load_bundle(target)


def only_change(diff: BundleDiff) -> tuple[int, str]:
    found = [(it.severity, f"{surface}: {it.text}") for surface, changes in diff.changes.items() for it in changes]
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(("edit", "severity", "text"), list(CHANGES.values()), ids=list(CHANGES))
def test_a_change_is_said_in_words(tmp_path: Path, edit: tuple[str, str, str], severity: int, text: str) -> None:
    a, b = load_bundle(INCIDENT), edited(tmp_path, *edit)
    found = only_change(diff_bundles(a, b))
    assert found[0] == severity
    assert text in found[1]
    assert ("LOOSENED" in found[1] or "loosen" in found[1]) is (severity == 3)
    assert [it.text for it in findings(a, b)] == ([found[1].split(": ", 1)[1]] if severity == 3 else [])


def test_a_write_that_becomes_a_read_is_a_finding(tmp_path: Path) -> None:
    text = (INCIDENT / "tools/wipe_device.yaml").read_text(encoding="utf-8")
    effects = text[text.index("effects:") : text.index("error_price_usd")]
    b = edited(tmp_path, "tools/wipe_device.yaml", effects, "")
    (b.directory / "tools/wipe_device.yaml").write_text(
        text.replace(effects, "").replace("effect: write", "effect: read")
    )
    (finding,) = findings(load_bundle(INCIDENT), load_bundle(b.directory))
    assert finding == (3, "tool_contracts", "wipe_device: effect write -> read (LOOSENED)")


@pytest.mark.parametrize("name", LOOSE_BACKWARDS)
def test_tightened_one_way_is_loosened_the_other(tmp_path: Path, name: str) -> None:
    a, b = load_bundle(INCIDENT), edited(tmp_path, *CHANGES[name][0])
    assert findings(a, b) == ()
    assert len(findings(b, a)) == 1


def test_the_same_bundle_has_no_changes() -> None:
    bundle = load_bundle(INCIDENT)
    diff = diff_bundles(bundle, bundle)
    assert diff.changes == {}
    assert diff.lines()[-1] == "the same content"


def test_another_name_is_said(tmp_path: Path) -> None:
    other = edited(tmp_path, "bundle.yaml", "name: incident-assistant", "name: other")
    assert diff_bundles(load_bundle(INCIDENT), other).lines()[-1] == "the same content, another name"


def test_every_surface_has_its_words() -> None:
    assert tuple(SURFACE_CHANGES) == SURFACES


def test_what_a_replay_cannot_show_comes_first(tmp_path: Path) -> None:
    diff = diff_bundles(load_bundle(INCIDENT), edited(tmp_path, *CHANGES["snapshot"][0]))
    assert diff.not_exercised == ("retriever_snapshot",)
    assert diff.lines()[2] == "not exercised by a replay: retriever_snapshot"


def test_lines_mark_findings_and_show_the_text(tmp_path: Path) -> None:
    diff = diff_bundles(load_bundle(INCIDENT), edited(tmp_path, *CHANGES["prompt"][0]))
    lines = diff.lines()
    assert lines[2] == " * prompt_version: 2 lines added, 1 removed"
    assert "      -You talk to {{ user.name }}." in lines
    assert "      +Be brief." in lines
    loose = diff_bundles(load_bundle(INCIDENT), edited(tmp_path / "2", *CHANGES["write to handoff"][0]))
    assert loose.lines()[2] == "!! tool_contracts: wipe_device: effect write -> handoff (LOOSENED)"


def test_a_line_of_dashes_is_content(tmp_path: Path) -> None:
    diff = diff_bundles(
        load_bundle(INCIDENT), edited(tmp_path, "prompts/system.j2", "You talk", "++ note\n-- note\nYou talk")
    )
    assert diff.changes["prompt_version"][0].text == "2 lines added, 0 removed"


def test_a_script_gets_json(tmp_path: Path) -> None:
    found = diff_bundles(load_bundle(INCIDENT), edited(tmp_path, *CHANGES["gate changed"][0])).as_json()
    assert loads(dumps(found)) == found
    assert found["not_exercised"] == ["rollout_policy"]
    assert found["changes"][0]["severity"] == 3
    assert found["changes"][0]["details"]


values: st.SearchStrategy[Json] = st.sampled_from([1, "text", {"a": [1, 2]}, None, "x" * 500])


@settings(max_examples=25, deadline=None)
@given(values, values)
def test_any_changed_value_has_words(tmp_path_factory: pytest.TempPathFactory, one: Json, other: Json) -> None:
    """Whatever changes in a digest shows in the diff."""
    bundles = []
    for value in (one, other):
        text = dumps({"name": "page_security", "example": value, "stub_result": value}).decode()
        bundles.append(
            edited(
                tmp_path_factory.mktemp("b"),
                "bundle.yaml",
                "  - name: page_security\n    description: Hand the incident over to the security team.\n    effect: handoff\n    ends_turn: true",
                f"  - {text}",
            )
        )
    diff = diff_bundles(*bundles)
    assert bool(diff.changes) == (one != other)
    assert all(change.text for changes in diff.changes.values() for change in changes)
