"""Canonical calls: what makes two calls the same."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from comparators.calls import Effect, LeafKind
from comparators.claimscan import claims_in
from comparators.leaves import difference
from replay.contract import MAX_LEAVES, ArgumentRule, Claims, ContractReader, Entity, ToolContract, Tooling
from replay.exact_json import dumps

PAY = ToolContract(
    name="pay",
    parameters={
        "type": "object",
        "properties": {
            "account": {"type": "string"}, "amount": {"type": "number"}, "currency": {"default": "EUR"},
            "to": {"type": "object", "properties": {"floor": {"type": "integer", "default": 0}}},
            "legs": {"type": "array", "items": {"type": "object", "properties": {"bags": {"default": 1}}}},
        },
    },
    entity={"account": "account"},
    arguments={
        "request_id": ArgumentRule(ignore=True),
        "tags": ArgumentRule(unordered=True),
        "lines": ArgumentRule(unordered=True),
        "mail": ArgumentRule(normalise=["email"]),
        "phone": ArgumentRule(normalise=["e164"]),
        "lines.*.note": ArgumentRule(ignore=True),
    },
)


def digest(arguments: object, contract: ToolContract = PAY) -> bytes:
    text = arguments if isinstance(arguments, str) else dumps(arguments).decode()
    return ContractReader(contract).read(text).call.digest


SAME = {
    "key order": ('{"a":1,"b":2}', '{"b":2,"a":1}'),
    "integral floats": ('{"amount":5}', '{"amount":5.0}'),
    "null is absent": ('{"a":1,"b":null}', '{"a":1}'),
    "default is absent": ('{"currency":"EUR"}', "{}"),
    "ignored": ('{"a":1,"request_id":"x"}', '{"a":1,"request_id":"y"}'),
    "unordered scalars": ('{"tags":["a","b"]}', '{"tags":["b","a"]}'),
    "unordered objects": ('{"lines":[{"n":1},{"n":2}]}', '{"lines":[{"n":2},{"n":1}]}'),
    "ignored in members": ('{"lines":[{"n":1,"note":"x"}]}', '{"lines":[{"n":1}]}'),
    "unicode form": ('{"a":"caf\\u00e9"}', '{"a":"cafe\\u0301"}'),
    "outer whitespace": ('{"a":" x "}', '{"a":"x"}'),
    "normalised": ('{"mail":"A@B.org"}', '{"mail":"a@b.org"}'),
    "no arguments": ("", "{}"),
    "integral floats beyond 2**53": ('{"a":1e23}', '{"a":100000000000000000000000}'),
    "nested default": ('{"to":{"city":"Rome"}}', '{"to":{"city":"Rome","floor":0}}'),
    "default of a member": ('{"legs":[{"n":1}]}', '{"legs":[{"n":1,"bags":1.0}]}'),
    "international prefix": ('{"phone":"001 555 010 4477"}', '{"phone":"+1 (555) 010-4477"}'),
    "noise in unordered objects": ('{"lines":[{"p":0.1},{"p":0.3}]}', '{"lines":[{"p":0.30},{"p":0.1}]}'),
}
DIFFERENT = {
    "true is not 1": ('{"a":true}', '{"a":1}'),
    "5 is not '5'": ('{"a":5}', '{"a":"5"}'),
    "neighbouring accounts": ('{"a":1234567890}', '{"a":1234567891}'),
    "long neighbours": ('{"a":12345678901234567890123}', '{"a":12345678901234567890124}'),
    "case": ('{"a":"x"}', '{"a":"X"}'),
    "list order": ('{"a":[1,2]}', '{"a":[2,1]}'),
    "repeated member": ('{"tags":["a","a"]}', '{"tags":["a"]}'),
    "unordered objects keep their pairs": (
        '{"lines":[{"n":1,"m":1},{"n":2,"m":2}]}',
        '{"lines":[{"n":1,"m":2},{"n":2,"m":1}]}',
    ),
    "empty is not absent": ('{"a":[]}', "{}"),
    "empty list is not empty object": ('{"a":[]}', '{"a":{}}'),
    "path is not value": ('{"a":"b"}', '{"b":"a"}'),
    "unparsed text": ('{"a":1', '{"a":1}'),
    "a dot is part of a key": ('{"a":{"b":1}}', '{"a.b":1}'),
    "a key is no index": ('{"a":{"0":1}}', '{"a":[1]}'),
    "neighbours beyond 2**53": ('{"a":9007199254740993}', '{"a":9007199254740992.0}'),
    "a key named twice": ('{"a":1,"a":2}', '{"a":2}'),
    "unordered decimals keep their pairs": (
        '{"lines":[{"x":1.5,"y":2.5},{"x":3.5,"y":4.5}]}',
        '{"lines":[{"x":1.5,"y":4.5},{"x":3.5,"y":2.5}]}',
    ),
}


@pytest.mark.parametrize(("left", "right"), SAME.values(), ids=SAME)
def test_these_calls_are_the_same(left, right):
    assert digest(left) == digest(right)


@pytest.mark.parametrize(("left", "right"), DIFFERENT.values(), ids=DIFFERENT)
def test_these_calls_are_different(left, right):
    assert digest(left) != digest(right)


def test_a_key_that_stands_twice_is_a_violation_whatever_else_holds_colons():
    assert "twice" in (ContractReader(PAY).read('{"a":"x: y","b":{"c":1,"c":2}}').violation or "")
    assert ContractReader(PAY).read('{"a":"x: y","b":{"c":1,"d":2}}').violation is None


def test_one_changed_object_of_an_unordered_list_moves_no_other():
    reader = ContractReader(PAY)
    many = [{"n": number, "m": str(number)} for number in range(500)]
    ours, theirs = (reader.read(dumps({"lines": [*many, last]}).decode()).call for last in ({"n": 1}, {"n": 2}))
    apart = difference(ours.leaves, theirs.leaves)
    assert (apart.shared, len(apart.removed), len(apart.added)) == (1000, 1, 1)


def test_the_same_arguments_of_another_tool_are_another_call():
    assert digest("{}") != digest("{}", ToolContract(name="refund"))


@given(st.text())
def test_no_argument_text_raises(text):
    read = ContractReader(PAY).read(text)
    assert read.call.tool == "pay"


@given(st.recursive(st.integers() | st.text() | st.none() | st.booleans(), lambda s: st.lists(s) | st.dictionaries(st.text(), s), max_leaves=20))
def test_reading_does_not_depend_on_key_order(value):
    try:
        text = dumps({"x": value, "y": 1}).decode()
        other = dumps({"y": 1, "x": value}).decode()
    except Exception:  # a lone surrogate: not JSON
        return
    assert digest(text) == digest(other)


def test_deeply_nested_arguments_are_read_without_recursion():
    read = ContractReader(PAY).read('{"a":' * 900 + "1" + "}" * 900)
    assert len(read.call.leaves) == 1


def test_arguments_with_too_many_values_compare_by_their_text():
    read = ContractReader(PAY).read(dumps({"a": list(range(MAX_LEAVES + 1))}).decode())
    assert [leaf.kind for leaf in read.call.leaves] == [LeafKind.UNPARSED]
    assert read.violation is not None


def test_a_violation_names_the_argument():
    assert "account" in (ContractReader(PAY).read('{"account": 7}').violation or "")


def test_an_entity_that_is_not_given_may_be_any():
    assert ContractReader(PAY).read("{}").entities is None
    assert ContractReader(PAY).read('{"account":"A"}').entities == {Entity("account", "A")}


@pytest.mark.parametrize(
    ("baseline", "candidate", "effect"),
    [("read", "write", Effect.WRITE), ("write", "read", Effect.WRITE), ("read", "handoff", Effect.HANDOFF), ("read", "read", Effect.READ)],
)
def test_an_effect_is_the_more_dangerous_of_both(baseline, candidate, effect):
    tooling = Tooling({"t": ToolContract(name="t", effect=baseline)}, {"t": ToolContract(name="t", effect=candidate)})
    assert tooling.effect("t") is effect


def test_an_unknown_tool_is_a_write():
    assert Tooling({}, {}).effect("surprise") is Effect.WRITE


def test_a_contract_without_an_effect_is_a_write():
    assert ToolContract(name="t").danger is Effect.WRITE


def test_the_candidate_cannot_narrow_which_entity_a_call_concerns():
    baseline, candidate = ToolContract(name="t"), ToolContract(name="t", entity={"device": "id"})
    tooling = Tooling({"t": baseline}, {"t": candidate})
    assert tooling.entities("t", tooling.read_replay("t", '{"id": 1}')) is None


@pytest.mark.parametrize("field", ["efect", "run", "callable"])
def test_a_contract_has_no_other_fields_so_nothing_to_call(field):
    with pytest.raises(ValidationError):
        ToolContract(**{"name": "t", field: "x"})


def test_a_schema_that_is_none_is_refused():
    with pytest.raises(ValidationError, match="not a JSON Schema"):
        ToolContract(name="t", parameters={"type": "no such type"})


@pytest.fixture
def listener():
    """A server that would be asked, if anything asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def was_asked(listener):
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize("keyword", ["$ref", "$schema"])
def test_a_schema_on_the_network_is_refused_and_not_fetched(listener, keyword):
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/x.json"
    with pytest.raises(ValidationError, match="not a JSON Schema"):
        ToolContract(name="t", parameters={keyword: url})
    assert not was_asked(listener)


def test_a_schema_on_the_disk_is_refused(tmp_path):
    file = tmp_path / "schema.json"
    file.write_text('{"type": "object"}')
    with pytest.raises(ValidationError, match="may not refer outside itself"):
        ToolContract(name="t", parameters={"properties": {"a": {"$ref": file.as_uri()}}})


def test_a_contract_that_was_never_checked_fetches_nothing_either(listener):
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/x.json"
    contract = ToolContract.model_construct(name="t", parameters={"$ref": url})
    assert "may not refer outside itself" in (ContractReader(contract).read("{}").violation or "")
    assert not was_asked(listener)


def test_a_schema_may_refer_to_its_own_parts():
    contract = ToolContract(
        name="t", parameters={"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "string"}}}
    )
    assert ContractReader(contract).read('{"a": 1}').violation is not None


# -- claim words ------------------------------------------------------------------------------------------------------

LOCK = ToolContract(name="lock_device", claims={"verbs": ["secure"], "objects": ["laptop"]})


def claims(text: str, tooling: Tooling) -> set[str]:
    return {tool for claim in claims_in(text, tooling.lexicon) for tool in claim.tools}


def test_an_answer_claims_in_words_of_the_name_and_of_the_contract() -> None:
    tooling = Tooling({"lock_device": LOCK}, {})
    for text in ("I locked the device.", "I've secured the laptop."):
        assert claims(text, tooling) == {"lock_device"}


def test_reads_claim_nothing_and_handoffs_do() -> None:
    tools = [ToolContract(name="check_device", effect="read"), ToolContract(name="escalate_case", effect="handoff")]
    tooling = Tooling({tool.name: tool for tool in tools}, {})
    assert claims("I've checked the device and escalated the case.", tooling) == {"escalate_case"}


def test_a_tool_that_only_the_candidate_calls_a_read_still_claims() -> None:
    tooling = Tooling({"lock_device": LOCK}, {"lock_device": LOCK.model_copy(update={"effect": "read"})})
    assert claims("I locked the device.", tooling) == {"lock_device"}


def test_the_candidate_neither_drops_nor_adds_words_of_a_tool_that_production_knows() -> None:
    mute = LOCK.model_copy(update={"claims": Claims()})
    note = ToolContract(name="add_note")
    loud = note.model_copy(update={"claims": Claims(verbs=["secured"], objects=["laptop"])})
    tooling = Tooling({"lock_device": LOCK, "add_note": note}, {"lock_device": mute, "add_note": loud})
    assert claims("I've secured the laptop.", tooling) == {"lock_device"}


def test_the_words_are_looked_up_once() -> None:
    tooling = Tooling({"lock_device": LOCK}, {})
    assert tooling.lexicon is tooling.lexicon


@pytest.mark.parametrize("claims", [{"verb": ["lock"]}, {"verbs": "lock"}, {"objects": [""]}, {"side_effects": ["17"]}])
def test_claim_words_are_checked(claims: object) -> None:
    with pytest.raises(ValidationError):
        ToolContract(name="lock_device", claims=claims)
