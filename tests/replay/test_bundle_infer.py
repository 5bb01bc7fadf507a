"""A bundle made from traces loads at once, is never narrower than what was seen, and says what it guessed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from comparators.leaves import agree
from replay.bundle import Bundle
from replay.bundle_draft import UNKNOWN_MODEL
from replay.bundle_infer import InferReport, contracts_of, infer_bundle
from replay.bundle_loader import load_bundle
from replay.bundle_yaml import YamlDocument, dump_yaml
from replay.contract import ArgumentRule, ContractReader
from replay.errors import UsageError
from replay.exact_json import Json, dumps, loads
from replay.trace import (
    BundleRef,
    Document,
    Guardrail,
    Message,
    ModelCall,
    Request,
    Tool,
    ToolCall,
    Trace,
)
from replay.trajectory import read_trajectory

CORPUS = Path(__file__).parents[1] / "corpus"
SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}


def call(name: str, arguments: Json = None, result: Json = "fine", *, failed: bool | None = None) -> ToolCall:
    return ToolCall(name=name, arguments=arguments if arguments is not None else {}, result=result, is_error=failed)


def model(requested: str | None = "m", **params: Json) -> ModelCall:
    return ModelCall(output=Message(role="assistant", content="x"), model_requested=requested, params=params)


def trace(*steps: Json, **changes: Json) -> Trace:
    known: dict[str, Json] = {
        "trace_id": "t",
        "request": Request(messages=(Message(role="user", content="hi"),)),
        "bundle": BundleRef(id="v1"),
        "system_prompt": "Be kind.",
        "steps": steps or (model(),),
    }
    return Trace(**{**known, **changes})


def toolset(effects: dict[str, str], **schemas: Json) -> dict[str, Json]:
    tools = [
        {
            "type": "function",
            "function": {"name": name, "description": f"About {name}.", "parameters": schemas.get(name, SCHEMA)},
        }
        for name in effects
    ]
    return {"effects": effects, "tools": tools}


def infer(out: Path, traces: Iterable[Trace], **options: Json) -> tuple[Bundle, InferReport]:
    report = infer_bundle(traces, **{"bundle_id": "v1", "out": out / "bundle", **options})
    return load_bundle(report.directory), report


def reviewed(report: InferReport, *words: str) -> bool:
    return any(all(word in line for word in words) for line in report.review)


# -- prompt and route -----------------------------------------------------------------------------------------------


def test_it_loads_and_knows_its_traces(tmp_path: Path) -> None:
    bundle, report = infer(tmp_path, [trace()], route_url="http://127.0.0.1:1/v1")
    assert bundle.identifies("v1")
    assert bundle.digest == report.digest
    assert bundle.name == "v1"
    assert bundle.release.endpoint.url == "http://127.0.0.1:1/v1"
    assert bundle.route.model == "m"
    assert report.traces == 1
    assert report.lines()[0].endswith("a bundle inferred from 1 traces")


@pytest.mark.parametrize(
    "prompt", ["Be kind.", "{{ 7*7 }} {% raw %}", "a\r\nb\n", "\ufeffa", "", "\n", "é\x00\u2028", "  x  ", "a\rb"]
)
def test_the_prompt_is_sent_as_it_was_recorded(tmp_path: Path, prompt: str) -> None:
    bundle, _ = infer(tmp_path, [trace(system_prompt=prompt)])
    assert bundle.prompt.kind == "literal"
    assert bundle.prompt.render({}) == prompt


def test_no_recorded_prompt_is_no_prompt_and_said(tmp_path: Path) -> None:
    bundle, report = infer(tmp_path, [trace(system_prompt=None)])
    assert bundle.prompt.render({}) is None
    assert reviewed(report, "prompt_version", "no system prompt was recorded")


def test_several_prompts_are_reported_with_counts(tmp_path: Path) -> None:
    prompts = ["b", "a", "b", "c", "b", "a", None]
    bundle, report = infer(tmp_path, [trace(system_prompt=text) for text in prompts])
    assert bundle.prompt.text == "b"
    assert [(it.traces, it.start) for it in report.prompts] == [(3, "b"), (2, "a"), (1, "c")]
    assert reviewed(report, "most common of 3 recorded prompts", "3 of 7", "1 have none")
    assert "3 system prompts were recorded under this id; the first is used:" in report.lines()
    assert "# guessed: the most common of 3" in (report.directory / "bundle.yaml").read_text()


def test_model_and_params(tmp_path: Path) -> None:
    bundle, report = infer(
        tmp_path,
        [trace(model("a", temperature=0.5, n=3)), trace(model("a", temperature=0.5, n=3)), trace(model("b", seed=1))],
    )
    assert bundle.route.model == "a"
    assert bundle.route.params == {"temperature": 0.5}
    assert reviewed(report, "model_route.model", "a (2), b (1)")
    assert reviewed(report, "model_route.params", "'n' must stay 1")


def test_the_model_that_answered_stands_in(tmp_path: Path) -> None:
    step = ModelCall(output=Message(role="assistant"), model_responded="served")
    assert infer(tmp_path, [trace(step)])[0].route.model == "served"


def test_an_unknown_model_is_marked(tmp_path: Path) -> None:
    bundle, report = infer(tmp_path, [trace(model(None))])
    assert bundle.route.model == UNKNOWN_MODEL
    assert reviewed(report, "model_route.model", "no trace names its model")


# -- tools ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "stated", "effect", "weight", "guessed"),
    [
        ("get", "read", "read", 1, False),
        ("set", "write", "write", 1, False),
        ("calculate", "generic", "read", 0, True),
        ("think", "think", "read", 0, True),
        ("other", "unheard-of", "write", 1, True),
        ("transfer_to_human", "generic", "handoff", 1, True),
        ("escalate_case", "read", "handoff", 1, True),
        ("handoff_now", "unheard-of", "handoff", 1, True),
        ("transfer_money", "write", "write", 1, False),
    ],
)
def test_effects_of_a_toolset(
    tmp_path: Path, *, name: str, stated: str, effect: str, weight: float, guessed: bool
) -> None:
    bundle, report = infer(tmp_path, [trace(tools_ref="x")], toolset={"x": toolset({name: stated})})
    contract = bundle.contracts[name]
    assert (contract.effect, contract.weight) == (effect, weight)
    assert contract.parameters == SCHEMA
    assert contract.description == f"About {name}."
    assert reviewed(report, f"tools/{name}.yaml effect") is guessed
    assert ("# guessed" in (report.directory / f"tools/{name}.yaml").read_text()) is guessed


def test_a_scratchpad_always_answers_nothing(tmp_path: Path) -> None:
    bundle, _ = infer(tmp_path, [trace(tools_ref="x")], toolset={"x": toolset({"think": "think"})})
    assert bundle.contracts["think"].constant
    assert bundle.contracts["think"].stub_result == ""


def test_the_order_of_the_offer_is_kept(tmp_path: Path) -> None:
    names = {"zeta": "read", "alpha": "read", "Mid": "read"}
    bundle, _ = infer(tmp_path, [trace(tools_ref="x")], toolset={"x": toolset(names)})
    assert list(bundle.contracts) == list(names)


def test_one_toolset_may_be_given_alone(tmp_path: Path) -> None:
    bundle, _ = infer(tmp_path, [trace()], toolset=toolset({"get": "read"}))
    assert list(bundle.contracts) == ["get"]


def test_the_only_toolset_is_used_and_said(tmp_path: Path) -> None:
    bundle, report = infer(tmp_path, [trace()], toolset={"x": toolset({"get": "read"})})
    assert list(bundle.contracts) == ["get"]
    assert reviewed(report, "name no toolset", "x")


def test_a_missing_toolset_is_said(tmp_path: Path) -> None:
    _, report = infer(tmp_path, [trace(call("get"), model(), tools_ref="y")], toolset={"x": toolset({})})
    assert reviewed(report, "the toolset y was not found")


def test_several_toolsets_are_said(tmp_path: Path) -> None:
    sets = {"x": toolset({"get": "read"}), "y": toolset({"set": "write"})}
    bundle, report = infer(tmp_path, [trace(tools_ref="x"), trace(tools_ref="y"), trace(tools_ref="y")], toolset=sets)
    assert list(bundle.contracts) == ["set"]
    assert reviewed(report, "1 other toolsets")


def test_tools_of_the_traces(tmp_path: Path) -> None:
    tools = (Tool(name="get", parameters=SCHEMA, effect="read"), Tool(name="set", description="Set it."))
    other = (Tool(name="get", parameters={"type": "object"}, effect="read"),)
    bundle, report = infer(tmp_path, [trace(tools=tools), trace(tools=tools), trace(tools=other)])
    assert {name: it.effect for name, it in bundle.contracts.items()} == {"get": "read", "set": "write"}
    assert bundle.contracts["get"].parameters == SCHEMA
    assert bundle.contracts["set"].description == "Set it."
    assert reviewed(report, "get was offered in 2 forms")
    assert reviewed(report, "tools/set.yaml effect", "a write is the safe reading")


def test_a_called_tool_that_was_not_offered_is_left_out(tmp_path: Path) -> None:
    steps = (model(), call("ghost"), call("ghost"), call("get", {"id": "1"}))
    bundle, report = infer(tmp_path, [trace(*steps, tools_ref="x")], toolset={"x": toolset({"get": "read"})})
    assert list(bundle.contracts) == ["get"]
    assert report.not_offered == {"ghost": 2}
    assert reviewed(report, "ghost was called 2 times and never offered")
    assert any("ghost" in line for line in report.lines())


def test_tools_known_from_calls_only(tmp_path: Path) -> None:
    calls = [
        call("set", {"id": 1, "tags": ["a"], "deep": {"a": None}}),
        call("set", '{"id": 1.5, "note": "x"}'),
        call("set", {"id": 2, "note": None}),
        call("set", "not JSON"),
        call("transfer_call"),
    ]
    bundle, report = infer(tmp_path, [trace(model(), *calls)])
    assert {name: it.effect for name, it in bundle.contracts.items()} == {"set": "write", "transfer_call": "handoff"}
    properties = bundle.contracts["set"].parameters["properties"]
    assert properties == {
        "deep": {"type": "object"},
        "id": {"type": "number"},
        "note": {"type": ["null", "string"]},
        "tags": {"type": "array"},
    }
    assert "required" not in bundle.contracts["set"].parameters
    assert reviewed(report, "tools/set.yaml parameters", "nothing says which are required")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
argument_objects = st.dictionaries(st.text(max_size=5), json_values, max_size=4)


@given(st.lists(argument_objects, min_size=1, max_size=6), argument_objects)
def test_an_inferred_schema_is_never_narrower_than_what_was_seen(seen: list[Json], new: Json) -> None:
    contract = contracts_of([trace(*(call("set", it) for it in seen))], None)["set"]
    reader = ContractReader(contract)
    assert all(reader.read(dumps(it).decode()).violation is None for it in seen)
    unknown = {name: value for name, value in new.items() if not any(name in it for it in seen)}
    assert reader.read(dumps(unknown).decode()).violation is None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"$ref": "http://127.0.0.1:9/x.json"},
        "not a schema",
        {"properties": {"a": {"pattern": "("}}},
        loads('{"a":' * 100 + "1" + "}" * 100),
    ],
    ids=["invalid", "elsewhere", "text", "pattern", "deep"],
)
def test_a_schema_that_cannot_be_used_is_left_open(tmp_path: Path, schema: Json) -> None:
    sets = {"x": toolset({"get": "read"}, get=schema)}
    bundle, report = infer(tmp_path, [trace(tools_ref="x")], toolset=sets)
    assert bundle.contracts["get"].parameters == {"type": "object"}
    assert reviewed(report, "tools/get.yaml parameters", "any arguments are accepted")


@pytest.mark.parametrize(
    ("failures", "successes", "prefix"),
    [
        (["Error: no such user", "Error: no money"], ["fine"], "Error: no "),
        (["Error: nothing", "Error: nobody"], ["fine"], "Error: "),
        (["Error: the only one 123"], [], "Error: "),
        (["failed"], ["fine"], "failed"),
        (["Error: a", "Error: b"], ["Error: but fine"], None),
        (["Error: a", "Oops"], [], None),
        (["a", "b"], [], None),
        (["x1"], [], None),
        ([], ["fine"], None),
        (['{"error": "a"}', '{"error": "b"}'], ['{"ok": 1}'], '{"error": "'),
    ],
)
def test_failure_prefixes(tmp_path: Path, failures: list[str], successes: list[str], prefix: str | None) -> None:
    steps = [call("set", result=text, failed=True) for text in failures]
    steps += [call("set", result=text, failed=False) for text in successes]
    bundle, report = infer(tmp_path, [trace(model(), *steps)])
    assert bundle.contracts["set"].failure_prefixes == ([] if prefix is None else [prefix])
    assert reviewed(report, "failure_prefixes") is (prefix is not None)


def test_a_handoff_that_nothing_follows_ends_the_turn(tmp_path: Path) -> None:
    steps = (model(), call("transfer_a"), model(), call("transfer_b"))
    bundle, report = infer(tmp_path, [trace(*steps)])
    assert {name: it.ends_turn for name, it in bundle.contracts.items()} == {"transfer_a": False, "transfer_b": True}
    assert reviewed(report, "tools/transfer_b.yaml ends_turn")


BRIEFING = {
    "type": "object",
    "properties": {
        "summary": {"type": "string"},
        "note": {"type": ["string", "null"]},
        "queue": {"type": "string", "enum": ["a", "b"]},
        "due": {"type": "string", "format": "date"},
        "site": {"type": "string", "pattern": "^[A-Z]+$"},
        "kind": {"type": "string", "const": "call"},
        "id": {"type": "string"},
        "user_id": {"type": "string"},
        "userId": {"type": "string"},
        "phone_number": {"type": "string"},
        "zip_code": {"type": "string"},
        "email": {"type": "string"},
        "urgency": {"type": "integer"},
        "either": {"type": ["string", "integer"]},
        "a.b": {"type": "string"},
        "*": {"type": "string"},
        "deep": {"type": "object", "properties": {"text": {"type": "string"}}},
        "anything": True,
    },
}
ANY_WORDING = {"summary": ArgumentRule(text=1.0), "note": ArgumentRule(text=1.0)}


def briefing(effect: str) -> dict[str, Json]:
    return {"x": toolset({"brief": effect}, brief=BRIEFING)}


def test_any_wording_of_a_handoff_is_equal(tmp_path: Path) -> None:
    bundle, _ = infer(tmp_path, [trace(tools_ref="x")], toolset=briefing("handoff"))
    assert bundle.contracts["brief"].arguments == ANY_WORDING


def test_the_free_words_of_a_handoff_are_marked_as_a_guess(tmp_path: Path) -> None:
    bundle, report = infer(tmp_path, [trace(tools_ref="x")], toolset=briefing("handoff"))
    text = (bundle.directory / "tools/brief.yaml").read_text()
    assert "# guessed: words for a colleague, so any wording is equal: summary, note\narguments:\n" in text
    assert reviewed(report, "tools/brief.yaml arguments", "any wording is equal: summary, note")


def test_recordings_are_compared_with_any_wording_of_a_handoff() -> None:
    assert contracts_of([trace(tools_ref="x")], briefing("handoff"))["brief"].arguments == ANY_WORDING


def test_free_words_are_known_from_calls_too() -> None:
    step = call("transfer_call", {"summary": "She waits.", "user_id": "u1", "minutes": 5})
    assert list(contracts_of([trace(step)], None)["transfer_call"].arguments) == ["summary"]


def test_a_read_is_free_in_no_words(tmp_path: Path) -> None:
    bundle, report = infer(tmp_path, [trace(tools_ref="x")], toolset=briefing("read"))
    assert bundle.contracts["brief"].arguments == {}
    assert contracts_of([trace(tools_ref="x")], briefing("read"))["brief"].arguments == {}
    assert not reviewed(report, "tools/brief.yaml arguments")


@pytest.mark.parametrize("effect", ["write", "unheard-of"])
def test_the_words_of_a_write_are_prose_to_an_expectation_and_marked_as_a_guess(tmp_path: Path, effect: str) -> None:
    bundle, report = infer(tmp_path, [trace(tools_ref="x")], toolset=briefing(effect))
    prose = {"summary": ArgumentRule(prose=True), "note": ArgumentRule(prose=True)}
    assert bundle.contracts["brief"].arguments == prose
    assert contracts_of([trace(tools_ref="x")], briefing(effect))["brief"].arguments == prose
    assert reviewed(report, "tools/brief.yaml arguments", "any wording that has its figures: summary, note")


def test_but_two_writes_that_differ_in_them_differ() -> None:
    reader = ContractReader(contracts_of([trace(tools_ref="x")], briefing("write"))["brief"])
    one, other = (reader.read(f'{{"summary": "{text}"}}').call for text in ("It is open.", "It is closed."))
    assert one.digest != other.digest
    assert not agree(one.leaves[0], other.leaves[0])


@pytest.mark.parametrize(
    ("name", "is_prose"),
    [("body", True), ("Subject", True), ("ticket_description", True), ("title", False), ("content", False),
     ("password", False), ("city", False), ("date", False), ("subject_id", False), ("note_number", False)],
)  # fmt: skip
def test_which_words_of_a_write_are_prose(name: str, is_prose: bool) -> None:
    parameters = {"type": "object", "properties": {name: {"type": "string"}}}
    found = contracts_of([trace(tools_ref="x")], {"x": toolset({"send": "write"}, send=parameters)})["send"]
    assert bool(found.arguments) is is_prose


def test_a_handoff_whose_schema_cannot_be_used_stays_exact(tmp_path: Path) -> None:
    schema = {"type": "objekt", "properties": {"summary": {"type": "string"}}}
    bundle, _ = infer(tmp_path, [trace(tools_ref="x")], toolset={"x": toolset({"brief": "handoff"}, brief=schema)})
    assert bundle.contracts["brief"].arguments == {}


def test_odd_names_get_files_of_their_own(tmp_path: Path) -> None:
    names = dict.fromkeys(["a/b", "a:b", "A_B", "../up", ".hidden", "é"], "read")
    bundle, report = infer(tmp_path, [trace(tools_ref="x")], toolset={"x": toolset(names)})
    assert list(bundle.contracts) == list(names)
    files = [path.name for path in (report.directory / "tools").iterdir()]
    assert len({name.lower() for name in files}) == len(names)


def test_guardrails_and_documents_are_left_to_a_person(tmp_path: Path) -> None:
    request = Request(messages=(Message(role="user", content="hi"),), context=(Document(id="d"),))
    found = trace(model(), Guardrail(decision="block", rule="no-wipes"), request=request)
    bundle, report = infer(tmp_path, [found])
    assert bundle.policy.rules == ()
    assert reviewed(report, "guardrail_policy", "no-wipes (1)")
    assert reviewed(report, "retriever_snapshot", "1 traces")


def test_every_guess_is_in_the_release_file(tmp_path: Path) -> None:
    bundle, report = infer(tmp_path, [trace(model("a"), call("set", {"a": 1})), trace(model("b"), system_prompt="x")])
    assert tuple(bundle.release.review) == report.review
    assert len(report.review) >= 6


# -- the directory --------------------------------------------------------------------------------------------------


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_same_traces_give_the_same_bytes(tmp_path: Path) -> None:
    traces = [trace(model(), call("b", {"x": 1}), call("a", {"y": "z"}), system_prompt=text) for text in "abcab"]
    one, _ = infer(tmp_path / "1", traces)
    other, _ = infer(tmp_path / "2", iter(traces))
    turned, _ = infer(tmp_path / "3", reversed(traces))
    assert tree(one.directory) == tree(other.directory) == tree(turned.directory)


def test_a_directory_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="is not empty"):
        infer(tmp_path, [trace()])
    assert tree(tmp_path / "bundle") == {"mine.txt": b"x"}


def test_a_file_in_its_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("x")
    with pytest.raises(UsageError, match="is not empty"):
        infer(tmp_path, [trace()])


def test_no_trace_of_the_bundle(tmp_path: Path) -> None:
    traces = [trace(bundle=BundleRef(id="v2")), trace(bundle=BundleRef(id=None))]
    with pytest.raises(UsageError, match="no trace was produced by 'v1'; found 'v2', 'None'"):
        infer(tmp_path, traces)
    assert not (tmp_path / "bundle").exists()


def test_a_url_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a URL such as"):
        infer(tmp_path, [trace()], route_url="host:80")


@pytest.mark.parametrize("broken", [{"x": 1}, {"x": {"tools": []}}, {"x": {"tools": [1], "effects": {}}}])
def test_a_toolset_that_is_none(tmp_path: Path, broken: dict[str, Json]) -> None:
    with pytest.raises(UsageError, match="a toolset"):
        infer(tmp_path, [trace(tools_ref="x")], toolset=broken)


yaml_texts = st.text() | st.sampled_from(
    [
        "yes",
        "on",
        "1e5",
        "08",
        "0o17",
        "2024-05-01",
        "1:30",
        "~",
        "",
        "null",
        "- a",
        "a: b",
        "a #b",
        " a",
        "a ",
        "a\n\nb\n",
        "\n a",
    ]
)
yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | yaml_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(yaml_texts, inner, max_size=3),
    max_leaves=10,
)


@given(yaml_values)
def test_what_is_written_is_read_back_the_same(value: Json) -> None:
    document = YamlDocument(dump_yaml({"key": value}))
    assert document.problems == []
    assert document.value == {"key": value}


# -- the corpus -----------------------------------------------------------------------------------------------------


@cache
def corpus(name: str) -> tuple[Trace, ...]:
    with gzip.open(CORPUS / f"{name}.jsonl.gz") as lines:
        return tuple(found for line in lines for found in read_trajectory(loads(line)).traces)


TOOLSETS = loads((CORPUS / "toolsets.json").read_bytes())


@pytest.mark.parametrize("name", ["agentdojo-banking", "tau-bench-airline", "tau2-airline", "tau2-retail"])
def test_every_bundle_of_the_corpus_can_be_inferred(tmp_path: Path, name: str) -> None:
    traces = corpus(name)
    for number, bundle_id in enumerate(sorted({str(it.bundle.id) for it in traces})):
        bundle, report = infer(tmp_path / str(number), traces, bundle_id=bundle_id, toolset=TOOLSETS)
        assert bundle.identifies(bundle_id)
        assert len(report.prompts) <= 1
        (ref,) = {it.tools_ref for it in traces if it.bundle.id == bundle_id}
        effects = TOOLSETS[ref]["effects"]
        assert set(bundle.contracts) == set(effects)
        stated = {"read": "read", "write": "write", "generic": "read", "think": "read"}
        for tool, effect in effects.items():
            expected = "handoff" if tool.startswith("transfer_") else stated[effect]
            assert bundle.contracts[tool].effect == expected


def test_a_corpus_bundle_is_the_same_every_time(tmp_path: Path) -> None:
    bundle, _ = infer(
        tmp_path, corpus("tau-bench-airline"), bundle_id="tau-bench/airline/tool-calling/gpt-4o", toolset=TOOLSETS
    )
    assert bundle.contracts["transfer_to_human_agents"].ends_turn
    assert bundle.contracts["think"].constant
    text = (bundle.directory / "tools/transfer_to_human_agents.yaml").read_text()
    assert "# guessed: its name says so; the source says generic\neffect: handoff\n" in text
    assert json.loads(json.dumps(yaml.safe_load(text)))["effect"] == "handoff"


def test_contracts_for_comparing_recordings(tmp_path: Path) -> None:
    traces = [*corpus("tau2-retail")[:5], *corpus("tau2-airline")[:5]]
    contracts = contracts_of(traces, TOOLSETS)
    assert contracts["get_order_details"].effect == "read"
    assert contracts["book_reservation"].effect == "write"
    assert contracts_of([trace(call("set"))], None)["set"].effect == "write"
