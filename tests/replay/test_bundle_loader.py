"""A bundle with errors is refused with all of them, each with its file, its path and what was expected."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.bundle_checks import knows_path
from replay.bundle_files import MAX_FILE_BYTES
from replay.bundle_loader import load_bundle
from replay.bundle_yaml import YamlDocument
from replay.errors import BundleError
from replay.exact_json import Json

GOOD = {
    "bundle.yaml": """
schema: bundle/1
name: small
prompt_version: prompts/system.j2
model_route: {model: m}
tool_contracts: [tools/*.yaml]
guardrail_policy: policy.yaml
""",
    "prompts/system.j2": "Hello.",
    "tools/look.yaml": "name: look\neffect: read\nparameters:\n  type: object\n  properties:\n    id: {type: string}\n",
    "policy.yaml": "- id: r\n  on: {tool: look}\n  when: args.id == 'x'\n  then: {allow: true}\n",
}


def write(root: Path, files: dict[str, str | bytes | None]) -> Path:
    for name, text in {**GOOD, **files}.items():
        if text is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def issues(root: Path) -> list[tuple[str, str, str]]:
    with pytest.raises(BundleError) as caught:
        load_bundle(root)
    return [(str(issue.file.relative_to(root)), issue.path, issue.message) for issue in caught.value.issues]


def tool(text: str) -> dict[str, str | bytes | None]:
    return {"tools/look.yaml": "name: look\n" + text}


def manifest(old: str, new: str) -> dict[str, str | bytes | None]:
    assert old in GOOD["bundle.yaml"]
    return {"bundle.yaml": GOOD["bundle.yaml"].replace(old, new)}


SCHEMA = "parameters: {type: object, properties: {id: {type: string}}}\n"

#: What is written, and the one issue it must give: file, path, a part of the message.
ERRORS: dict[str, tuple[dict[str, str | bytes | None], str, str, str]] = {
    # the manifest
    "no manifest": ({"bundle.yaml": None}, "bundle.yaml", "", "bundle.yaml: cannot be found: No such file"),
    "empty manifest": ({"bundle.yaml": ""}, "bundle.yaml", "", "found null; expected a mapping"),
    "a list": ({"bundle.yaml": "- 1"}, "bundle.yaml", "", "line 1: found a list; expected a mapping"),
    "newer schema": (manifest("bundle/1", "bundle/2"), "bundle.yaml", "schema", "found 'bundle/2'; expected bundle/1"),
    "unknown key": (manifest("guardrail_policy", "guardrail_polcy"), "bundle.yaml", "guardrail_polcy", "line 7: unknown key; did you mean guardrail_policy?"),
    "no name": (manifest("name: small\n", ""), "bundle.yaml", "name", "is missing"),
    "empty name": (manifest("name: small", "name: ''"), "bundle.yaml", "name", "at least 1 character; found ''"),
    "number as a name": (manifest("name: small", "name: 7"), "bundle.yaml", "name", "valid string; found 7"),
    "missing surface": (manifest("model_route: {model: m}\n", ""), "bundle.yaml", "model_route", "is missing"),
    # YAML
    "syntax": ({"policy.yaml": "- id: r\n  on: [}\n"}, "policy.yaml", "", "line 2: not valid YAML: "),
    "tab": ({"policy.yaml": "- id: r\n\ton: x\n"}, "policy.yaml", "", "line 2: not valid YAML: "),
    "not UTF-8": ({"policy.yaml": b"- id: \xff"}, "policy.yaml", "", "not UTF-8: invalid start byte at byte 6"),
    "control character": ({"policy.yaml": "- id: \x07"}, "policy.yaml", "", "not valid YAML: unacceptable character"),
    "half a surrogate": ({"policy.yaml": '- id: "\\ud800"'}, "policy.yaml", "[0].id", "line 1: half of a surrogate pair"),
    "key twice": (tool("effect: read\neffect: write\n"), "tools/look.yaml", "effect", "line 3: the key appears twice"),
    "key twice, other quotes": (tool("example: {'1': a, 1: b}\n"), "tools/look.yaml", "example.1", "line 2: the key appears twice"),
    "key that is no text": (tool("? [a]\n: b\n"), "tools/look.yaml", "", "line 2: a key that is not plain text"),
    "alias": (tool("example: *a\n"), "tools/look.yaml", "example", "line 2: an alias"),
    "anchor": (tool("example: &a [1]\n"), "tools/look.yaml", "example", "line 2: an anchor or a tag"),
    "merge": (tool("example: {<<: {a: 1}}\n"), "tools/look.yaml", "example", "line 2: a merge key"),
    "tag": (tool("example: !!python/object/apply:os.system [ls]\n"), "tools/look.yaml", "example", "line 2: an anchor or a tag"),
    "two documents": ({"policy.yaml": "[]\n---\n[]\n"}, "policy.yaml", "", "line 2: holds a second document"),
    "deep": (tool("example: " + "[" * 100 + "]" * 100), "tools/look.yaml", "", "nested deeper than 64"),
    "very deep": (tool("example: " + "{a: " * 50_000), "tools/look.yaml", "", "nested deeper than 64"),
    "date": (tool("example: 2024-05-01\n"), "tools/look.yaml", "example", "line 2: YAML readers disagree about '2024-05-01'; put it in quotes"),
    "time": (tool("example: 2024-05-01T10:00:00Z\n"), "tools/look.yaml", "example", "put it in quotes"),
    "NaN": (tool("example: .nan\n"), "tools/look.yaml", "example", "put it in quotes"),
    "infinity": (tool("example: -.inf\n"), "tools/look.yaml", "example", "put it in quotes"),
    "too large": (tool("example: 1e999\n"), "tools/look.yaml", "example", "1e999 is too large a number"),
    "too long": (tool(f"example: {'9' * 5000}\n"), "tools/look.yaml", "example", "more than 4300 digits"),
    # files
    "missing file": ({"prompts/system.j2": None}, "bundle.yaml", "prompt_version", "line 4: prompts/system.j2: cannot be found"),
    "no match": (manifest("tools/*.yaml", "tols/*.yaml"), "bundle.yaml", "tool_contracts[0]", "line 6: tols/*.yaml: cannot be listed: No such"),
    "nothing matches": (manifest("tools/*.yaml", "tools/*.yml"), "bundle.yaml", "tool_contracts[0]", "tools/*.yml: 0 files match"),
    "pattern of folders": (manifest("[tools/*.yaml]", "['*/*.yaml']"), "bundle.yaml", "tool_contracts[0]", "only a file name may be a pattern"),
    "parent": (manifest("prompts/system.j2", "../secret"), "bundle.yaml", "prompt_version", "expected a relative path inside"),
    "hidden parent": (manifest("prompts/system.j2", "prompts/../../secret"), "bundle.yaml", "prompt_version", "expected a relative path inside"),
    "parent of a pattern": (manifest("tools/*.yaml", "../*.yaml"), "bundle.yaml", "tool_contracts[0]", "expected a relative path inside"),
    "absolute": (manifest("prompts/system.j2", "/etc/passwd"), "bundle.yaml", "prompt_version", "expected a relative path inside"),
    "backslash": (manifest("prompts/system.j2", "prompts\\system.j2"), "bundle.yaml", "prompt_version", "expected a relative path inside"),
    "folder": (manifest("prompts/system.j2", "prompts"), "bundle.yaml", "prompt_version", "prompts: not a regular file"),
    "too large a file": ({"prompts/system.j2": b"a" * (MAX_FILE_BYTES + 1)}, "bundle.yaml", "prompt_version", "has 1,048,577 bytes; expected at most 1,048,576"),
    # the prompt
    "prompt of no kind": (manifest("prompts/system.j2", "[a]"), "bundle.yaml", "prompt_version.file", "valid string; found a list"),
    "prompt without source": (manifest("prompts/system.j2", "{variables: [a]}"), "bundle.yaml", "prompt_version", "found none; expected exactly one of file, text"),
    "prompt with two sources": (manifest("prompts/system.j2", "{text: a, literal_text: b}"), "bundle.yaml", "prompt_version", "found text, literal_text; expected exactly one"),
    "literal with variables": (manifest("prompts/system.j2", "{literal: prompts/system.j2, variables: [a]}"), "bundle.yaml", "prompt_version", "a literal prompt has no variables"),
    "template that does not parse": ({"prompts/system.j2": "Hello\n{{ name"}, "prompts/system.j2", "", "line 2: not a template"),
    "undeclared variable": ({"prompts/system.j2": "{{ name }}"}, "prompts/system.j2", "", "uses the undeclared variable 'name'"),
    "inline template": (manifest("prompts/system.j2", "{text: '{{ name }}'}"), "bundle.yaml", "prompt_version", "line 4: uses the undeclared variable 'name'"),
    "odd variable": (manifest("prompts/system.j2", "{text: a, variables: [odd-name]}"), "bundle.yaml", "prompt_version.variables", "not an identifier"),
    "foreign construct": ({"prompts/system.j2": "{% include '/etc/passwd' %}"}, "prompts/system.j2", "", "line 1: Include is not available"),
    # the route
    "null route": (manifest("{model: m}", "null"), "bundle.yaml", "model_route", "found null; expected a mapping"),
    "route without model": (manifest("{model: m}", "{}"), "bundle.yaml", "model_route.model", "is missing"),
    "unknown transport": (manifest("{model: m}", "{model: m, transport: http}"), "bundle.yaml", "model_route.transport", "'openai' or 'litellm'; found 'http'"),
    "refused parameter": (manifest("{model: m}", "{model: m, params: {n: 2}}"), "bundle.yaml", "model_route.params", "parameter 'n' must stay 1"),
    "price as a number": (manifest("{model: m}", "{model: m, prices: {input_per_million: 1.5, output_per_million: '2'}}"), "bundle.yaml", "model_route.prices.input_per_million", "valid string; found 1.5"),
    "yes": (manifest("{model: m}", "{model: m, stream: yes}"), "bundle.yaml", "model_route.stream", "put it in quotes"),
    # tools
    "tools in no list": (manifest("[tools/*.yaml]", "tools/look.yaml"), "bundle.yaml", "tool_contracts", "found 'tools/look.yaml'; expected a list"),
    "tool of no kind": ({"tools/look.yaml": "7"}, "tools/look.yaml", "", "found 7; expected a mapping"),
    "misspelt field": (tool("aproval: required\n"), "tools/look.yaml", "aproval", "line 2: unknown key; did you mean approval?"),
    "unknown effect": (tool("effect: raed\n"), "tools/look.yaml", "effect", "'read', 'write' or 'handoff'; found 'raed'"),
    "misspelt rule": (tool(SCHEMA + "arguments: {id: {ignroe: true}}\n"), "tools/look.yaml", "arguments.id.ignroe", "unknown key"),
    "not a schema": (tool("parameters: {type: objekt}\n"), "tools/look.yaml", "parameters", "not a JSON Schema"),
    "schema on the network": (tool("parameters: {$ref: 'http://127.0.0.1:9/x.json'}\n"), "tools/look.yaml", "parameters", "'http://127.0.0.1:9/x.json' is outside the schema"),
    "schema on the disk": (tool("parameters: {properties: {id: {$ref: 'file:///etc/passwd'}}}\n"), "tools/look.yaml", "parameters", "'file:///etc/passwd' is outside"),
    "tool twice": ({"tools/more.yaml": "- name: look\n- name: other\n"}, "tools/more.yaml", "[0].name", "two contracts have the name 'look'; the other is in look.yaml"),
    "entity nowhere": (tool(SCHEMA + "entity: {device: ids}\n"), "tools/look.yaml", "entity.device", "line 3: the schema in `parameters` has no argument 'ids'"),
    "rule for nothing": (tool(SCHEMA + "arguments: {note: {ignore: true}}\n"), "tools/look.yaml", "arguments.note", "no argument 'note'"),
    "effect on nothing": (tool(SCHEMA + "entity: {device: id}\neffects: [{entity: user, set: {}}]\n"), "tools/look.yaml", "effects[0].entity", "unknown entity 'user'; expected one of `entity` (device)"),
    "effect of a read": (tool(SCHEMA + "effect: read\nentity: {a: id}\neffects: [{entity: a, set: {}}]\n"), "tools/look.yaml", "effects", "a read changes nothing"),
    "template of nothing": (tool(SCHEMA + "stub_result: {a: [{$arg: ids}]}\n"), "tools/look.yaml", "stub_result", "no argument 'ids'"),
    # the policy
    "rule of no kind": ({"policy.yaml": "{}"}, "policy.yaml", "", "found a mapping; expected a list"),
    "rule without action": ({"policy.yaml": "- {id: r, on: {tool: look}}"}, "policy.yaml", "[0].then", "is missing"),
    "rule with two actions": ({"policy.yaml": "- {id: r, on: {tool: look}, then: {block: a, allow: true}}"}, "policy.yaml", "[0].then", "exactly one of block"),
    "rule for no tool": ({"policy.yaml": "- {id: r, on: {tool: []}, then: {block: a}}"}, "policy.yaml", "[0].on.tool", "at least 1 item"),
    "rule for an unknown tool": ({"policy.yaml": "- {id: r, on: {tool: lok}, then: {block: a}}"}, "policy.yaml", "[0].on.tool", "no contract has the name 'lok'; expected one of look"),
    "condition that does not compile": ({"policy.yaml": "- {id: r, on: {tool: look}, when: args.id ==, then: {block: a}}"}, "policy.yaml", "[0].when", "line 1: not a CEL condition: line 1, column 11: Syntax error"),
    "condition on an unknown argument": ({"policy.yaml": "- {id: r, on: {tool: look}, when: args.ids == 'x', then: {block: a}}"}, "policy.yaml", "[0].when", "look has no argument 'ids'"),
    "rule twice": ({"policy.yaml": "- {id: r, on: {tool: look}, then: {block: a}}\n" * 2}, "policy.yaml", "[1].id", "line 2: two rules have the id 'r'"),
    # the other surfaces
    "snapshot kind": (manifest("name: small", "name: small\nretriever_snapshot: {kind: live, id: a}"), "bundle.yaml", "retriever_snapshot.kind", "'recorded'; found 'live'"),
    "case without request": (manifest("name: small", "name: small\neval_suite: [{id: a}]"), "bundle.yaml", "eval_suite[0].request", "is missing"),
    "case twice": (manifest("name: small", "name: small\neval_suite: [{id: a, request: x}, {id: a, request: y}]"), "bundle.yaml", "eval_suite[1].id", "two cases have the id 'a'"),
    "isolation": (manifest("name: small", "name: small\nrollout_policy: {minimum_isolation: some}"), "bundle.yaml", "rollout_policy.minimum_isolation", "'cooperative', 'container' or 'kernel'"),
    "stages that fall": (manifest("name: small", "name: small\nrollout_policy: {stages: [{name: a, share: 0.5}, {name: b, share: 0.1}]}"), "bundle.yaml", "rollout_policy.stages", "shares are [0.5, 0.1]; expected each to be larger"),
    "no gate": (manifest("name: small", "name: small\nrollout_policy: {gate: gate.yaml}"), "bundle.yaml", "rollout_policy.gate", "gate.yaml: cannot be found"),
    # the release
    "unknown release key": ({"release.yaml": "alias: [a]"}, "release.yaml", "alias", "did you mean aliases?"),
    "secret in the URL": ({"release.yaml": "endpoint: {url: 'https://me:key@host/v1'}"}, "release.yaml", "endpoint.url", "a URL may hold no user"),
    "no URL": ({"release.yaml": "endpoint: {url: host/v1}"}, "release.yaml", "endpoint.url", "expected a URL such as"),
    "a key in the file": ({"release.yaml": "endpoint: {api_key: abc}"}, "release.yaml", "endpoint.api_key", "unknown key"),
    "two keys": ({"release.yaml": "endpoint: {api_key_env: A, api_key_file: b}"}, "release.yaml", "endpoint", "not both"),
    "replaces a name": ({"release.yaml": "replaces: v41"}, "release.yaml", "replaces", "found 'v41'"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "file", "path", "message"), list(ERRORS.values()), ids=list(ERRORS))
def test_each_error_says_where_and_what(
    tmp_path: Path, files: dict[str, str | bytes | None], file: str, path: str, message: str
) -> None:
    if files.get("bundle.yaml", "") is None or files.get("prompts/system.j2", "") is None:
        root = write(tmp_path, {})
        (root / next(iter(files))).unlink()
    else:
        root = write(tmp_path, files)
    found = issues(root)
    assert [(issue[0], issue[1]) for issue in found if message in issue[2]], found
    matching = next(issue for issue in found if message in issue[2])
    assert matching[:2] == (file, path)
    assert len(found) == 1, found


def test_the_good_bundle_is_good(tmp_path: Path) -> None:
    assert load_bundle(write(tmp_path, {})).name == "small"


def test_all_errors_of_all_files_come_at_once(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            **manifest("{model: m}", "{params: {n: 1}, modle: m}"),
            "prompts/system.j2": "{{ a }}{{ b }}",
            "tools/look.yaml": "name: look\neffect: raed\nweight: -1\n",
            "tools/other.yaml": "name: look\nx: 1\n",
            "policy.yaml": "- {id: r, on: {tool: [a, b]}, then: {block: c}}\n- {id: r}\n",
            "release.yaml": "labels: {a: 1}\nwho: me\n",
        },
    )
    found = [(file, path) for file, path, _ in issues(root)]
    assert sorted(found) == sorted(
        [
            ("bundle.yaml", "model_route.model"),
            ("bundle.yaml", "model_route.modle"),
            ("prompts/system.j2", ""),
            ("prompts/system.j2", ""),
            ("tools/look.yaml", "effect"),
            ("tools/look.yaml", "weight"),
            ("tools/other.yaml", "name"),
            ("tools/other.yaml", "x"),
            ("policy.yaml", "[0].on.tool"),
            ("policy.yaml", "[0].on.tool"),
            ("policy.yaml", "[1].id"),
            ("policy.yaml", "[1].on"),
            ("policy.yaml", "[1].then"),
            ("release.yaml", "labels.a"),
            ("release.yaml", "who"),
        ]
    )


def test_surfaces_may_be_in_files_or_inline(tmp_path: Path) -> None:
    inline = write(
        tmp_path / "inline",
        manifest(
            "guardrail_policy: policy.yaml",
            "guardrail_policy: [{id: r, on: {tool: look}, then: {block: a}}]\nrollout_policy: {minimum_isolation: kernel, gate: {alpha: 0.1}}",
        ),
    )
    files = write(
        tmp_path / "files",
        {
            **manifest("policy.yaml", "policy.yaml\nrollout_policy: more/rollout.yaml"),
            "policy.yaml": "- {id: r, on: {tool: look}, then: {block: a}}",
            "more/rollout.yaml": "{minimum_isolation: kernel, gate: more/gate.yaml}",
            "more/gate.yaml": "{alpha: 0.1}",
        },
    )  # fmt: skip
    assert load_bundle(inline).digest == load_bundle(files).digest


def test_what_is_left_out_is_empty(tmp_path: Path) -> None:
    bundle = load_bundle(write(tmp_path, manifest("guardrail_policy: policy.yaml\n", "")))
    assert bundle.policy.rules == ()
    assert bundle.eval_suite == ()
    assert bundle.rollout_policy is None
    assert bundle.retriever_snapshot is None
    assert bundle.prices is None


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such directory; expected one with a bundle.yaml"):
        load_bundle(tmp_path / "nothing")


@pytest.mark.parametrize("target", ["../outside.j2", "/etc/passwd"])
def test_links_may_not_lead_out(tmp_path: Path, target: str) -> None:
    (tmp_path / "outside.j2").write_text("secret")
    root = write(tmp_path / "bundle", {})
    (root / "prompts/system.j2").unlink()
    (root / "prompts/system.j2").symlink_to(target if target.startswith("/") else Path("..") / target)
    assert "leads out of the bundle directory" in issues(root)[0][2]


def test_a_linked_folder_may_not_lead_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "look.yaml").write_text("name: look")
    root = write(tmp_path / "bundle", manifest("tools/*.yaml", "more/*.yaml"))
    (root / "more").symlink_to(outside)
    assert "leads out of the bundle directory" in issues(root)[0][2]


def test_links_inside_and_a_linked_directory_are_fine(tmp_path: Path) -> None:
    root = write(tmp_path / "bundle", {})
    (root / "prompts/system.j2").rename(root / "prompts/real.j2")
    (root / "prompts/system.j2").symlink_to("real.j2")
    (tmp_path / "link").symlink_to(root)
    assert load_bundle(tmp_path / "link").digest == load_bundle(root).digest


def test_a_loop_of_links_is_an_error(tmp_path: Path) -> None:
    root = write(tmp_path, {})
    (root / "prompts/system.j2").unlink()
    (root / "prompts/system.j2").symlink_to("system.j2")
    assert "cannot be found" in issues(root)[0][2]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    root = write(tmp_path, {})
    (root / "prompts/system.j2").unlink()
    os.mkfifo(root / "prompts/system.j2")
    assert "not a regular file" in issues(root)[0][2]


def test_a_release_file_that_leads_out_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "bundle", {})
    (tmp_path / "release.yaml").write_text("author: x")
    (root / "release.yaml").symlink_to("../release.yaml")
    assert "leads out" in issues(root)[0][2]


def test_an_empty_release_file_is_fine(tmp_path: Path) -> None:
    assert load_bundle(write(tmp_path, {"release.yaml": "# nothing yet\n"})).release.aliases == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("true", True),
        ("-0.5e-3", -0.0005),
        ("1e5", 100000.0),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("v1.2.3", "v1.2.3"),
        ("sha256:00", "sha256:00"),
        ("'2024-05-01'", "2024-05-01"),
        ('"yes"', "yes"),
        ("12:30 o'clock", "12:30 o'clock"),
        ('"\\ud83d\\ude00"', "😀"),
        ("{on: 1, no: 2, 1: 3, null: 4}", {"on": 1, "no": 2, "1": 3, "null": 4}),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("|\r\n  a\r\n  b\r\n", "a\nb\n"),
        ('"a\\r\\nb"', "a\r\nb"),
    ],
)
def test_yaml_is_json_with_comments(text: str, value: Json) -> None:
    document = YamlDocument(text)
    assert document.problems == []
    assert document.value == value
    assert type(document.value) is type(value)


@pytest.mark.parametrize(
    "text",
    ["yes", "On", "NO", "012", "0x1F", "0o17", "1_000", "1:30", "+1", ".5", "1.", "2001-12-14", "=", ".inf", "08"],
)
def test_what_yaml_readers_disagree_about_is_refused(text: str) -> None:
    assert "put it in quotes" in YamlDocument(text).problems[0].message


#: DEL is the one character that JSON writes as it is and YAML wants escaped. A key of YAML has 1,024 at most.
characters = st.characters(exclude_characters="\x7f", exclude_categories=["Cs"])
texts, keys = st.text(characters), st.text(characters, max_size=80)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=15,
)


@given(json_values, st.sampled_from([None, 2]))
def test_every_json_text_is_read_as_json(value: Json, indent: int | None) -> None:
    document = YamlDocument(json.dumps(value, indent=indent))
    assert document.problems == []
    assert document.value == value


@given(st.text(alphabet=st.sampled_from("ab:-?[]{},&*!|>'\"%@`#\n 0123456789.~<\t=\\u")))
def test_no_text_crashes_the_reader(text: str) -> None:
    document = YamlDocument(text)
    assert document.problems or json.dumps(document.value, allow_nan=False)


NESTED = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
        "open": {"type": "object"},
        "closed": {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
        "either": {"anyOf": [{"type": "string"}, {"type": "object"}]},
        "map": {"type": "object", "additionalProperties": {"properties": {"x": {}}}},
    },
    "$defs": {"Item": {"type": "object", "properties": {"id": {}, "next": {"$ref": "#/$defs/Item"}}}},
}


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("items", True),
        ("items.0.id", True),
        ("items.*.id", True),
        ("items.*.next.next.id", True),
        ("items.*.name", False),
        ("items.id", False),
        ("open.anything.at.all", True),
        ("closed.a", True),
        ("closed.b", False),
        ("either.whatever", True),
        ("map.key.x", True),
        ("map.key.y", False),
        ("*", True),
        ("other", False),
    ],
)
def test_paths_are_looked_up_in_the_schema(path: str, known: bool) -> None:
    assert knows_path(NESTED, path) is known


def test_a_schema_that_refers_to_itself_ends() -> None:
    assert knows_path({"$ref": "#"}, "a.b")
