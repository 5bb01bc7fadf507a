import copy
import gzip
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.errors import RecordError, UnsupportedVersionError
from replay.exact_json import loads
from replay.trace import InsertedMessage, ModelCall, ToolCall, Trace
from replay.trajectory import MAX_HISTORY, Conversation, read_trajectory
from replay.wire import decode_trace, encode_trace

CORPUS = Path(__file__).parents[1] / "corpus"
FILES = {
    "agentdojo-banking": (544, 0),
    "tau-bench-airline": (1341, 149),
    "tau2-airline": (1224, 180),
    "tau2-retail": (526, 80),
}


def corpus(name: str) -> list[dict]:
    with gzip.open(CORPUS / f"{name}.jsonl.gz") as lines:
        return [loads(line) for line in lines]


def call(name: str, call_id: str | None = "", arguments: str = "{}") -> dict:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def says(text: str | None, *calls: dict) -> dict:
    return {"role": "assistant", "content": text, **({"tool_calls": list(calls)} if calls else {})}


def result(text: str, call_id: str | None = None) -> dict:
    return {"role": "tool", "content": text, "tool_call_id": call_id}


def user(text: str) -> dict:
    return {"role": "user", "content": text}


SYSTEM = {"role": "system", "content": "be brief"}


def record(*messages: dict, **changes: object) -> dict:
    """A good conversation of two turns, or the given messages in its place."""
    said = list(messages) or [
        SYSTEM,
        user("where is my order?"),
        says(None, call("find_order", "c1", '{"id": 7}')),
        result("shipped", "c1"),
        says("It is on its way."),
        user("thanks"),
        says("You are welcome."),
    ]
    fields = {
        "schema": "agent-trajectory/1",
        "id": "rec-1",
        "mode": "conversation",
        "messages": said,
        "message_meta": [{} for _ in said],
        "bundle": {"id": "shop/v1", "model": "m-1", "params": {"temperature": 0.0}, "system_prompt_sha256": "abc"},
        "request": {"text": "where is my order?", "sha256": "def"},
        "toolset_id": "shop:1",
        "domain": "shop",
        "trial": 2,
        "pair_key": "shop/7",
        "outcome": {"task_success": True},
        "expected": {"actions": []},
        "source_ref": {"path": "a.json"},
    }
    return {**fields, **changes}


def only(value: dict) -> Trace:
    (trace,) = read_trajectory(value).traces
    return trace


# -- the corpus


@pytest.mark.parametrize("name", FILES)
def test_the_corpus_gives_one_trace_per_answered_request(name: str) -> None:
    found = [read_trajectory(value) for value in corpus(name)]
    assert (sum(len(one.traces) for one in found), sum(one.unanswered for one in found)) == FILES[name]


@pytest.mark.parametrize("name", FILES)
def test_the_last_turn_ends_with_the_answer_the_corpus_names(name: str) -> None:
    values = corpus(name)
    assert [read_trajectory(value).traces[-1].final_answer for value in values] == [v["final_answer"] for v in values]


@pytest.mark.parametrize("name", FILES)
def test_no_call_of_the_corpus_is_lost_or_invented(name: str) -> None:
    for value in corpus(name):
        traces = read_trajectory(value).traces
        counts = value["counts"]
        assert sum(len(trace.model_calls) for trace in traces) == counts["model_calls"]
        assert sum(len(trace.tool_calls) for trace in traces) == counts["tool_calls"]
        assert sum(bool(step.is_error) for trace in traces for step in trace.tool_calls) == counts["tool_errors"]


@pytest.mark.parametrize("name", FILES)
def test_every_trace_of_the_corpus_survives_the_wire_and_can_be_replayed(name: str) -> None:
    for value in corpus(name)[::7]:
        for trace in read_trajectory(value).traces:
            assert decode_trace(encode_trace(trace)) == trace
            assert trace.capture.content == "full"


# -- turns and their history


def test_a_turn_has_the_history_before_it_without_the_system_prompt() -> None:
    first, second = read_trajectory(record()).traces
    assert [message.role for message in first.request.messages] == ["user"]
    assert [message.role for message in second.request.messages] == ["user", "assistant", "tool", "assistant", "user"]
    assert first.system_prompt == second.system_prompt == "be brief"


def test_a_record_without_system_prompt_has_none() -> None:
    assert only(record(user("hi"), says("hello"))).system_prompt is None


def test_a_trace_is_named_after_record_and_turn() -> None:
    traces = read_trajectory(record()).traces
    assert [trace.trace_id for trace in traces] == [sha256(f"rec-1/{n}".encode()).hexdigest()[:32] for n in (0, 1)]
    assert [(trace.conversation_id, trace.turn) for trace in traces] == [("rec-1", 0), ("rec-1", 1)]
    assert traces[1].provenance["turn"] == 1


def test_a_last_message_nobody_answered_is_counted() -> None:
    found = read_trajectory(record(user("hi"), says("hello"), user("bye")))
    assert (len(found.traces), found.unanswered) == (1, 1)


def test_a_message_nobody_answered_in_the_middle_keeps_its_ordinal() -> None:
    found = read_trajectory(record(user("hi"), user("anyone?"), says("hello")))
    assert ([trace.turn for trace in found.traces], found.unanswered) == ([1], 1)
    assert len(found.traces[0].request.messages) == 2


def test_a_request_that_only_the_harness_answered_is_unanswered() -> None:
    value = record(user("hi"), says("Please wait."), message_meta=[{}, {"scripted": True}])
    assert read_trajectory(value) == Conversation((), 1)


def test_a_scripted_greeting_is_history() -> None:
    value = record(says("How can I help?"), user("hi"), says("hello"), message_meta=[{"scripted": True}, {}, {}])
    trace = only(value)
    assert [message.text for message in trace.request.messages] == ["How can I help?", "hi"]
    assert len(trace.model_calls) == 1


def test_a_single_request_is_one_trace_and_later_user_messages_are_steps() -> None:
    value = record(
        user("pay it"),
        user("pay it, repeated by a defence"),
        says(None, call("pay")),
        result("done"),
        user("pay it, again"),
        says("Paid."),
        mode="single_request",
    )
    trace = only(value)
    assert [message.text for message in trace.request.messages] == ["pay it"]
    assert [type(step) for step in trace.steps] == [InsertedMessage, ModelCall, ToolCall, InsertedMessage, ModelCall]
    assert trace.final_answer == "Paid."


def test_a_solo_ticket_is_the_request() -> None:
    value = record(SYSTEM, says(None, call("done")), mode="solo_ticket", request={"text": "reset the router"})
    trace = only(value)
    assert [(message.role, message.text) for message in trace.request.messages] == [("user", "reset the router")]


def test_where_a_trace_came_from_travels_with_it() -> None:
    trace = read_trajectory(record()).traces[1]
    assert trace.bundle.id == "shop/v1"
    assert trace.bundle.fingerprint == "abc+shop:1"
    assert trace.tools_ref == "shop:1"
    assert trace.request.attributes == {
        "domain": "shop",
        "trial": 2,
        "pair_key": "shop/7",
        "mode": "conversation",
        "request_sha256": "def",
    }
    assert (trace.labels, trace.expected) == ({"task_success": True}, {"actions": []})


# -- steps


def test_a_model_call_says_what_was_asked_for_and_answered() -> None:
    meta = {"since_prev_s": 0.5, "prompt_tokens": 10, "completion_tokens": 3, "finish_reason": "stop"}
    (step,) = only(record(user("hi"), says("hello"), message_meta=[{}, meta])).model_calls
    assert (step.model_requested, step.params, step.finish_reason) == ("m-1", {"temperature": 0.0}, "stop")
    assert step.usage is not None
    assert (step.usage.input_tokens, step.usage.output_tokens, step.duration_ns) == (10, 3, 500_000_000)


def test_results_are_paired_by_id_where_ids_tell_calls_apart() -> None:
    asked = says(None, call("a", "1"), call("b", "2"))
    trace = only(record(user("go"), asked, result("of b", "2"), result("of a", "1"), says("ok")))
    assert [(step.name, step.result) for step in trace.tool_calls] == [("a", "of a"), ("b", "of b")]


@pytest.mark.parametrize("ids", [("", ""), (None, None), ("1", "1"), ("1", "")])
def test_results_are_paired_in_order_where_ids_are_empty_or_repeated(ids: tuple[str | None, str | None]) -> None:
    asked = says(None, call("a", ids[0]), call("b", ids[1]))
    trace = only(record(user("go"), asked, result("first", ids[1]), result("second", ids[0]), says("ok")))
    assert [(step.name, step.result) for step in trace.tool_calls] == [("a", "first"), ("b", "second")]


def test_a_result_with_an_unknown_id_goes_to_the_call_that_is_left() -> None:
    asked = says(None, call("a", "1"), call("b", "2"))
    trace = only(record(user("go"), asked, result("stray", "9"), result("of a", "1"), says("ok")))
    assert [(step.name, step.result) for step in trace.tool_calls] == [("a", "of a"), ("b", "stray")]


def test_an_id_used_again_in_a_later_message_pairs_with_the_result_right_after_it() -> None:
    trace = only(
        record(user("go"), says(None, call("a", "1")), result("A", "1"), says(None, call("b", "1")), result("B", "1"))
    )
    assert [(step.name, step.result) for step in trace.tool_calls] == [("a", "A"), ("b", "B")]


def test_a_call_without_a_result_makes_the_capture_partial() -> None:
    trace = only(record(user("go"), says(None, call("a", "1"), call("b", "2")), result("of b", "2"), says("ok")))
    assert trace.capture.content == "partial"
    assert trace.capture.missing == ("steps.1.result",)
    assert [step.result for step in trace.tool_calls] == [None, "of b"]


def test_last_calls_without_a_result_leave_the_capture_full() -> None:
    trace = only(record(user("go"), says(None, call("transfer_to_human"))))
    assert (trace.capture.content, trace.capture.missing) == ("full", ("steps.1.result",))


def test_a_call_without_a_result_in_the_history_makes_later_turns_partial() -> None:
    first, second = read_trajectory(record(user("go"), says(None, call("a")), user("well?"), says("ok"))).traces
    assert first.capture.content == "full"
    assert (second.capture.content, second.capture.missing) == ("partial", ("request.messages.1.tool_calls",))


def test_a_result_that_answers_nothing_is_refused() -> None:
    with pytest.raises(RecordError, match="answers no call") as caught:
        read_trajectory(record(user("go"), says("ok"), result("of what?")))
    assert caught.value.field == "$.messages[2]"


def test_tool_errors_are_known_where_the_source_describes_its_messages() -> None:
    said = [user("go"), says(None, call("a"), call("b")), result("A"), result("boom"), says("ok"), user("?"), says("!")]
    value = record(*said)
    value["message_meta"][3] = {"tool_error": True}
    first, second = read_trajectory(value).traces
    assert [step.is_error for step in first.tool_calls] == [False, True]
    assert [message.is_error for message in second.request.messages if message.role == "tool"] == [False, True]


def test_tool_errors_are_unknown_where_it_does_not() -> None:
    first, _ = read_trajectory(record(message_meta=None)).traces
    assert [step.is_error for step in first.tool_calls] == [None]


def test_content_may_be_a_list_of_parts() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    image = [{"type": "image_url", "image_url": {"url": "data:"}}]
    asked = says(None, call("a"), call("b"))
    value = record(
        {"role": "user", "content": parts},
        asked,
        {"role": "tool", "content": parts},
        {"role": "tool", "content": image},
        {"role": "assistant", "content": parts},
    )
    trace = only(value)
    assert trace.request.messages[0].content == parts
    assert [step.result for step in trace.tool_calls] == ["Hello", image]
    assert trace.final_answer == "Hello"


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ([says("yes")], "yes"),
        ([says("")], ""),
        ([says(None)], None),
        ([says("one moment", call("a")), result("A")], None),
        ([says("one moment", call("a"))], None),
        ([says("yes"), says("no")], "no"),
    ],
)
def test_the_final_answer(body: list[dict], answer: str | None) -> None:
    assert only(record(user("go"), *body)).final_answer == answer


# -- times, tokens, money


def test_local_clocks_are_no_times_but_durations_count() -> None:
    meta = [{"timestamp": "2025-12-02T14:04:03"}, {"since_prev_s": 1.5}, {"since_prev_s": 0.25}, {"since_prev_s": 2}]
    trace = only(record(user("go"), says(None, call("a")), result("A"), says("ok"), message_meta=meta))
    assert (trace.started_at, trace.ended_at, trace.latency_ns) == (None, None, 3_750_000_000)
    assert all(step.started_at is None for step in trace.steps)


def test_one_unknown_duration_makes_the_latency_unknown() -> None:
    trace = only(record(user("go"), says(None, call("a")), result("A"), says("ok"), message_meta=[{}, {}, {}, {}]))
    assert trace.latency_ns is None


@pytest.mark.parametrize(
    ("cost", "total", "expected"),
    [
        (0.00976525, 0.01, "0.00976525"),
        (5.5e-05, 1.0, "0.000055"),
        (0.0, None, None),
        (0.0, 0.0, "0.0"),
        (0.5, None, "0.5"),
        (None, 1.0, None),
    ],
)
def test_cost_is_a_decimal_string_and_a_harness_that_knows_no_price_writes_none(
    cost: float | None, total: float | None, expected: str | None
) -> None:
    meta = [{}, {"cost_usd": cost}]
    trace = only(record(user("hi"), says("hello"), message_meta=meta, usage={"cost_usd": total}))
    assert trace.model_calls[0].cost_usd == expected
    assert trace.cost_usd == expected


def test_totals_are_unknown_when_one_part_is() -> None:
    meta = [{}, {"prompt_tokens": 1, "completion_tokens": 2, "cost_usd": 0.1}, {}, {}]
    trace = only(
        record(user("go"), says(None, call("a")), result("A"), says("ok"), message_meta=meta, usage={"cost_usd": 1})
    )
    assert (trace.usage, trace.cost_usd) == (None, None)


# -- what is refused


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": 7}, "$.id"),
        ({"id": ""}, "$.id"),
        ({"mode": "batch"}, "$.mode"),
        ({"messages": "hello"}, "$.messages"),
        ({"messages": [{"role": "robot", "content": "x"}], "message_meta": None}, "$.messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}], "message_meta": None}, "$.messages[0].content"),
        ({"messages": [SYSTEM], "message_meta": [{}]}, "$.messages"),
        ({"message_meta": [{}]}, "$.message_meta"),
        ({"message_meta": {}}, "$.message_meta"),
        ({"bundle": []}, "$.bundle"),
        ({"bundle": {"params": [1]}}, "$.bundle.params"),
        ({"trial": "two"}, "$.trial"),
        ({"outcome": []}, "$.outcome"),
        ({"usage": {"cost_usd": "free"}}, "$.usage.cost_usd"),
        ({"mode": "solo_ticket", "request": {}}, "$.request.text"),
        ({"schema": "trace/1"}, "$.schema"),
        ({"schema": None}, "$.schema"),
    ],
)
def test_a_wrong_record_is_refused_by_the_name_of_its_field(changes: dict, field: str) -> None:
    with pytest.raises(RecordError) as caught:
        read_trajectory(record(**changes))
    assert caught.value.field == field


@pytest.mark.parametrize("value", [None, 1, "text", [], [{}], True])
def test_what_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(RecordError):
        read_trajectory(value)


@pytest.mark.parametrize("meta", [{"since_prev_s": -1}, {"since_prev_s": 1e300}, {"cost_usd": 1e300}])
def test_amounts_that_cannot_be_are_refused(meta: dict) -> None:
    with pytest.raises(RecordError):
        read_trajectory(record(user("hi"), says("hello"), message_meta=[{}, meta]))


def test_a_newer_major_is_refused_in_words() -> None:
    with pytest.raises(UnsupportedVersionError, match="agent-trajectory/2 is newer"):
        read_trajectory(record(schema="agent-trajectory/2"))


def test_a_record_whose_histories_would_fill_the_memory_is_refused() -> None:
    turns = int((MAX_HISTORY / 2) ** 0.5) + 1
    with pytest.raises(RecordError, match="split it"):
        read_trajectory(record(*[user("a"), says("b")] * turns))


# -- hostile structure

HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def places(value: object, path: tuple = ()) -> list[tuple]:
    """The path of every value inside a record."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


def mutate(value: dict, path: tuple, replacement: object, how: str) -> None:
    holder: object = value
    for key in path[:-1]:
        holder = holder[key]
    if how == "drop":
        del holder[path[-1]]
    elif how == "double" and isinstance(holder, list):
        holder.insert(path[-1], copy.deepcopy(holder[path[-1]]))
    else:
        holder[path[-1]] = replacement


REAL = [value for name in FILES for value in sorted(corpus(name), key=lambda value: len(value["messages"]))[5:60:18]]


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_a_real_record_with_its_structure_broken_is_read_or_refused(data: st.DataObject) -> None:
    value = copy.deepcopy(data.draw(st.sampled_from(REAL)))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(value)[1:]))
        mutate(value, path, data.draw(HOSTILE), data.draw(st.sampled_from(["replace", "drop", "double"])))
    try:
        found = read_trajectory(value)
    except RecordError:
        return
    for trace in found.traces:
        assert decode_trace(encode_trace(trace)).trace_id == trace.trace_id
