"""Wire records: one golden file per version stays for ever, and newer ones are refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.comparison import Comparison, DeadLetter, Watermark
from replay.errors import RecordError, UnsupportedVersionError
from replay.exact_json import dumps, loads
from replay.trace import InsertedMessage, ModelCall, ToolCall, Trace
from replay.wire import SCHEMAS, decode, encode, from_json, schema_name

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.mark.parametrize("kind", SCHEMAS, ids=lambda kind: kind.__name__)
def test_what_the_golden_record_says_is_read_and_written_back_unchanged(kind):
    data = (GOLDEN / f"{schema_name(kind).replace('/', '-')}.json").read_bytes()
    value = loads(data)
    record = from_json(kind, value)
    assert said_by(value, loads(encode(record))) == value
    assert decode(kind, encode(record)) == record


def said_by(value, written):
    """`written`, without fields that came later: these have their defaults."""
    if isinstance(value, dict) and isinstance(written, dict):
        return {name: said_by(value[name], written.get(name)) for name in value}
    if isinstance(value, list) and isinstance(written, list) and len(value) == len(written):
        return [said_by(*both) for both in zip(value, written, strict=True)]
    return written


@pytest.mark.parametrize("kind", SCHEMAS, ids=lambda kind: kind.__name__)
def test_a_newer_major_is_refused_in_words(kind):
    name, major = SCHEMAS[kind]
    with pytest.raises(UnsupportedVersionError, match="newer than this program.*upgrade"):
        from_json(kind, {"schema": f"{name}/{major + 1}"})


@pytest.mark.parametrize("schema", [None, 1, "trace", "trace/", "trace/0", "trace/x", "trace/١", "comparison/1", "trace/1/2", ""])
def test_another_schema_is_refused(schema):
    with pytest.raises(RecordError, match="schema"):
        decode(Trace, dumps({"schema": schema, "trace_id": "t", "request": {"messages": []}}))


def test_an_older_major_is_lifted_before_it_is_read():
    """The seam, with tables of its own: were watermarks at major 2, a major 1 record would be lifted."""
    tables = {
        "schemas": {Watermark: ("watermark", 2)},
        "upcasters": {("watermark", 1): lambda value: {**value, "offset": value["position"]}},
    }
    value = {"schema": "watermark/1", "run_id": "r", "topic": "t", "partition": 0, "position": 7}
    assert from_json(Watermark, value, **tables).offset == 7


def test_unknown_fields_are_ignored_within_a_major():
    assert decode(Watermark, b'{"schema":"watermark/1","run_id":"r","topic":"t","partition":0,"offset":1,"new":2}').offset == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"trace_id": ""}, "$.trace_id"),
        ({"trace_id": 7}, "$.trace_id"),
        ({"started_at": 1.5}, "$.started_at"),
        ({"started_at": -1}, "$.started_at"),
        ({"cost_usd": 0.1}, "$.cost_usd"),
        ({"cost_usd": "1e3"}, "$.cost_usd"),
        ({"request": {"messages": [{"role": "robot"}]}}, "$.request.messages[0].role"),
        ({"steps": [{"kind": "magic"}]}, "$.steps[0].kind"),
        ({"steps": [{"kind": "tool_call", "name": "x", "arguments": 7}]}, "$.steps[0].arguments"),
        ({"labels": []}, "$.labels"),
    ],
)
def test_a_bad_field_is_named(change, field):
    value = {"schema": "trace/1", "trace_id": "t", "request": {"messages": []}, **change}
    with pytest.raises(RecordError) as caught:
        decode(Trace, dumps(value))
    assert caught.value.field == field


def test_integers_beyond_64_bits_survive_the_wire():
    number = 2**200 + 1
    trace = decode(Trace, dumps({"schema": "trace/1", "trace_id": "t", "request": {"messages": [], "attributes": {"n": number}}}))
    assert loads(encode(trace))["request"]["attributes"]["n"] == number


def test_null_and_empty_answers_are_kept_apart():
    base = {"schema": "trace/1", "trace_id": "t", "request": {"messages": []}}
    assert decode(Trace, dumps({**base, "final_answer": ""})).final_answer == ""
    assert decode(Trace, dumps(base)).final_answer is None


def test_arguments_may_be_an_object_or_text():
    base = {"schema": "trace/1", "trace_id": "t", "request": {"messages": []}}
    step = {"kind": "tool_call", "name": "x", "arguments": {"a": 1}}
    trace = decode(Trace, dumps({**base, "steps": [step]}))
    assert trace.tool_calls[0].arguments_text == '{"a":1}'


def test_the_record_key_is_the_conversation_if_there_is_one():
    base = {"schema": "trace/1", "trace_id": "t", "request": {"messages": []}}
    assert decode(Trace, dumps(base)).record_key == "t"
    assert decode(Trace, dumps({**base, "conversation_id": "c"})).record_key == "c"


def test_every_kind_of_step_is_in_the_golden_trace():
    trace = decode(Trace, (GOLDEN / "trace-1.json").read_bytes())
    kinds = {type(step) for step in trace.steps}
    assert kinds >= {ModelCall, ToolCall, InsertedMessage}
    assert len(kinds) == 6


def test_a_dead_letter_gives_the_bytes_back():
    letter = decode(DeadLetter, (GOLDEN / "dead-letter-1.json").read_bytes())
    assert letter.value == b'{"schema": "trace/1", \xff'


def test_the_golden_comparison_names_what_was_compared():
    comparison = decode(Comparison, (GOLDEN / "comparison-1.json").read_bytes())
    assert comparison.comparison_id == "3d4f1a"
    assert comparison.scores["answer.lexical"].value == 0.25
