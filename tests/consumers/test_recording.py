from pathlib import Path

import msgspec
import pytest

from consumers.files import TraceItem, read_items
from consumers.recording import Missing, RecordedStep, Recording, TurnKey, completion, digest, events, record, turn_key
from replay.errors import UsageError
from replay.exact_json import loads
from replay.trace import (
    BundleRef,
    Function,
    FunctionCall,
    Guardrail,
    InsertedMessage,
    Message,
    ModelCall,
    Request,
    Retrieval,
    ToolCall,
    Trace,
    Usage,
)

CORPUS = Path(__file__).parents[1] / "corpus"


def call(name: str, arguments: str = "{}", call_id: str | None = "c1") -> FunctionCall:
    return FunctionCall(id=call_id, function=Function(name=name, arguments=arguments))


def asks(text: str | None, *calls: FunctionCall) -> ModelCall:
    return ModelCall(output=Message(role="assistant", content=text, tool_calls=calls or None), model_requested="m-1")


def user(text: str) -> Message:
    return Message(role="user", content=text)


def trace(trace_id: str, bundle: str, answer: str, *, turn: int = 0, trial: int | None = 0, pair: str = "p") -> Trace:
    attributes = {"pair_key": pair, "trial": trial}
    return Trace(
        trace_id=trace_id,
        turn=turn,
        bundle=BundleRef(id=bundle),
        request=Request(messages=(user(f"question {pair}"),), attributes=attributes),
        steps=(asks(None, call("find", '{"id": 1}')), ToolCall(name="find", result="found"), asks(answer)),
    )


def answer_of(found: RecordedStep | Missing) -> str | None:
    assert isinstance(found, RecordedStep)
    return found.call.output.text


def reason_of(found: RecordedStep | Missing) -> str:
    assert isinstance(found, Missing)
    return found.reason


# -- lookup


def test_a_trace_of_any_bundle_finds_the_played_bundles_turn() -> None:
    recording = record([trace("a1", "a", "A says"), trace("b1", "b", "B says")], bundle="b")
    assert answer_of(recording.lookup("a1", 1)) == "B says"
    assert answer_of(recording.lookup("b1", 1)) == "B says"


def test_steps_count_the_model_calls_of_the_turn() -> None:
    recording = record([trace("b1", "b", "B says")], bundle="b")
    steps = [recording.lookup("b1", index) for index in (0, 1)]
    assert [step.index for step in steps if isinstance(step, RecordedStep)] == [0, 1]
    assert [bool(step.call.output.calls) for step in steps if isinstance(step, RecordedStep)] == [True, False]


def test_a_step_beyond_the_recording_is_missing() -> None:
    recording = record([trace("b1", "b", "B says")], bundle="b")
    assert reason_of(recording.lookup("b1", 2)) == "b made 2 model calls in that turn; step 2 is none of them"
    assert isinstance(recording.lookup("b1", -1), Missing)


def test_a_turn_the_played_bundle_never_had_is_missing() -> None:
    recording = record([trace("a1", "a", "A", turn=1), trace("b1", "b", "B")], bundle="b")
    assert reason_of(recording.lookup("a1", 0)) == "b has no turn 1 of p in trial 0"


def test_a_trace_outside_the_corpus_is_missing() -> None:
    recording = record([trace("b1", "b", "B")], bundle="b")
    assert reason_of(recording.lookup("z", 0)) == "the corpus has no trace 'z'"


def test_a_trace_gets_its_own_trial_if_the_bundle_has_it() -> None:
    traces = [trace("a1", "a", "A", trial=1), trace("b0", "b", "B0"), trace("b1", "b", "B1", trial=1)]
    assert answer_of(record(traces, bundle="b").lookup("a1", 1)) == "B1"


def test_a_trace_gets_the_lowest_trial_if_the_bundle_has_not_its_own() -> None:
    traces = [trace("a9", "a", "A", trial=9), trace("b3", "b", "B3", trial=3), trace("b2", "b", "B2", trial=2)]
    assert answer_of(record(traces, bundle="b").lookup("a9", 1)) == "B2"


def test_a_conversation_is_never_continued_from_another_trial() -> None:
    traces = [
        trace("a1", "a", "A", trial=1, turn=1),
        trace("b0", "b", "B0"),
        trace("b0'", "b", "B0", turn=1),
        trace("b1", "b", "B1", trial=1),
    ]
    assert reason_of(record(traces, bundle="b").lookup("a1", 0)) == "b has no turn 1 of p in trial 1"


def test_a_given_trial_is_played_for_every_trace() -> None:
    traces = [trace("b0", "b", "B0"), trace("b1", "b", "B1", trial=1), trace("q0", "b", "Q0", pair="q")]
    recording = record(traces, bundle="b", trial=1)
    assert answer_of(recording.lookup("b0", 1)) == "B1"
    assert reason_of(recording.lookup("q0", 0)) == "b has no turn 0 of q in trial 1"


def test_traces_without_a_pair_key_are_found_by_conversation_or_by_themselves() -> None:
    bare = Trace(trace_id="t", request=Request(messages=(user("hi"),)))
    assert turn_key(bare) == TurnKey("t", 0, 0)
    assert turn_key(msgspec.structs.replace(bare, conversation_id="c", turn=3)) == TurnKey("c", 3, 0)
    odd = Request(messages=(user("hi"),), attributes={"pair_key": 7, "trial": True})
    assert turn_key(msgspec.structs.replace(bare, request=odd)) == TurnKey("t", 0, 0)


def test_the_first_of_two_recordings_of_a_turn_is_played_and_the_other_counted() -> None:
    recording = record([trace("b1", "b", "first"), trace("b2", "b", "second")], bundle="b")
    assert answer_of(recording.lookup("b2", 1)) == "first"
    assert recording.repeated == 1


def test_a_bundle_the_corpus_has_not_is_the_users_mistake() -> None:
    with pytest.raises(UsageError, match="it has: a, b"):
        record([trace("a", "a", "A"), trace("b", "b", "B")], bundle="c")


def test_a_trial_the_bundle_has_not_is_the_users_mistake() -> None:
    with pytest.raises(UsageError, match="no trial 5"):
        record([trace("a", "a", "A")], bundle="a", trial=5)


# -- prefixes


def chat(*, arguments: str = '{"id": 1}', call_id: str = "minted", text: str | None = None) -> list[Message]:
    asked = Message(role="assistant", content=text, tool_calls=(call("find", arguments, call_id),))
    found = Message(role="tool", content="found", tool_call_id=call_id)
    return [Message(role="system", content="any prompt"), user("question p"), asked, found]


def prefix(index: int) -> bytes:
    found = record([trace("b1", "b", "B")], bundle="b").lookup("b1", index)
    assert isinstance(found, RecordedStep)
    return found.prefix


def test_the_first_prefix_is_the_request_under_any_system_prompt() -> None:
    assert digest([user("question p")]) == prefix(0)
    assert digest([Message(role="developer", content="x"), user("question p")]) == prefix(0)


def test_a_later_prefix_holds_outputs_and_results_under_any_call_ids() -> None:
    assert digest(chat()) == digest(chat(call_id="other")) == prefix(1)


@pytest.mark.parametrize("arguments", ['{"id":1}', '{ "id" : 1.0 }'])
def test_arguments_are_compared_by_value(arguments: str) -> None:
    assert digest(chat(arguments=arguments)) == prefix(1)


@pytest.mark.parametrize("arguments", ['{"id": 2}', '{"id": "1"}', '{"id": true}', '{"id": 1', "[1]", ""])
def test_other_arguments_are_another_prefix(arguments: str) -> None:
    assert digest(chat(arguments=arguments)) != prefix(1)


def test_null_and_empty_text_are_one() -> None:
    assert digest(chat(text="")) == digest(chat(text=None))


def test_long_integers_are_compared_exactly() -> None:
    one, other = ('{"id": 123456789012345678901234567890}', '{"id": 123456789012345678901234567891}')
    assert digest(chat(arguments=one)) != digest(chat(arguments=other))


def test_arguments_nested_beyond_reading_are_compared_as_text() -> None:
    deep = '{"id": ' + "[" * 1020 + "]" * 1020 + "}"
    assert digest(chat(arguments=deep)) == digest(chat(arguments=deep))
    assert digest(chat(arguments=deep)) != digest(chat(arguments=deep + " "))


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [user("question q")],
        [user("question p"), user("question p")],
        [Message(role="assistant", content="question p")],
    ],
)
def test_other_messages_are_another_prefix(messages: list[Message]) -> None:
    assert digest(messages) != prefix(0)


def test_inserted_messages_belong_to_the_prefix_and_lost_results_and_decisions_do_not() -> None:
    steps = (
        asks(None, call("a"), call("b")),
        ToolCall(name="a", result={"n": 1}),
        ToolCall(name="b", result=None),
        Guardrail(decision="allow"),
        Retrieval(query="q"),
        InsertedMessage(message=user("again")),
        asks("done"),
    )
    source = msgspec.structs.replace(trace("b1", "b", "B"), steps=steps)
    last = record([source], bundle="b").lookup("b1", 1)
    asked = Message(role="assistant", tool_calls=(call("a"), call("b")))
    expected = [user("question p"), asked, Message(role="tool", content='{"n":1}'), user("again")]
    assert isinstance(last, RecordedStep)
    assert last.prefix == digest(expected)


def test_messages_without_a_trace_find_the_only_step_they_fit() -> None:
    recording = record([trace("b1", "b", "B"), trace("q1", "b", "Q", pair="q")], bundle="b")
    assert answer_of(recording.match(digest(chat()))) == "B"


def test_messages_that_fit_no_step_or_several_say_so() -> None:
    recording = record([trace("b0", "b", "B0"), trace("b1", "b", "B1", trial=1)], bundle="b")
    assert "no step of b was recorded" in reason_of(recording.match(digest([])))
    assert "step 1 of p, turn 0, trial 1" in reason_of(recording.match(digest(chat())))
    assert answer_of(record([trace("b0", "b", "B0")], bundle="b").match(digest(chat()))) == "B0"


def corpus(name: str, bundle: str, **options: int) -> tuple[list[Trace], Recording]:
    traces = [item.trace for item in read_items(str(CORPUS / f"{name}.jsonl.gz")) if isinstance(item, TraceItem)]
    return traces, record(traces, bundle=bundle, **options)


def test_every_banking_trace_finds_its_request_in_every_bundle() -> None:
    traces, recording = corpus("agentdojo-banking", "agentdojo/banking/claude-3-5-sonnet-20241022")
    assert len(recording.keys) == 544
    assert len(recording.turns) == 32
    assert all(isinstance(recording.lookup(one.trace_id, 0), RecordedStep) for one in traces)


def test_every_model_call_of_a_bundle_is_one_step_in_its_place() -> None:
    traces, recording = corpus("tau-bench-airline", "tau-bench/airline/tool-calling/gpt-4o")
    for one in traces:
        found = [recording.lookup(one.trace_id, index) for index in range(len(one.model_calls))]
        assert [step.call for step in found if isinstance(step, RecordedStep)] == list(one.model_calls)
    assert {len(trials) for trials in recording.trials.values()} == {4}


# -- on the wire


def played(model_call: ModelCall) -> RecordedStep:
    return RecordedStep(TurnKey("p", 0, 0), 0, model_call, b"")


def chunks(step: RecordedStep, *, piece_chars: int = 4, include_usage: bool = False) -> list[dict]:
    lines = b"".join(events(step, bundle="b", piece_chars=piece_chars, include_usage=include_usage)).split(b"\n\n")
    assert lines[-2:] == [b"data: [DONE]", b""]
    return [loads(line.removeprefix(b"data: ")) for line in lines[:-2]]


def deltas(step: RecordedStep) -> list[dict]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(step)]


def test_a_stream_opens_with_the_role_and_ends_with_the_reason() -> None:
    found = chunks(played(asks("hello there")))
    assert found[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [chunk["choices"][0]["finish_reason"] for chunk in found] == [None, None, None, None, "stop"]
    assert "".join(delta.get("content", "") for delta in deltas(played(asks("hello there")))) == "hello there"


def test_a_stream_tells_no_text_from_empty_text() -> None:
    assert deltas(played(asks("")))[0]["content"] == ""
    assert deltas(played(asks(None, call("a"))))[0]["content"] is None


def test_calls_stream_by_index_with_their_recorded_ids() -> None:
    step = played(asks(None, call("a", '{"x": 1}', ""), call("b", "", None)))
    parts = [delta["tool_calls"][0] for delta in deltas(step) if "tool_calls" in delta]
    assert [(part["index"], part["id"]) for part in parts if "id" in part] == [(0, ""), (1, None)]
    assert "".join(part["function"]["arguments"] for part in parts if part["index"] == 0) == '{"x": 1}'
    assert chunks(step)[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_usage_comes_last_and_only_if_asked_for_and_known() -> None:
    known = played(msgspec.structs.replace(asks("hi"), usage=Usage(input_tokens=5, output_tokens=2, cache_read=1)))
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 1},
    }
    last = chunks(known, include_usage=True)[-1]
    assert (last["choices"], last["usage"]) == ([], usage)
    assert not any("usage" in chunk for chunk in chunks(known))
    assert not any("usage" in chunk for chunk in chunks(played(asks("hi")), include_usage=True))


def test_a_whole_answer_holds_the_same() -> None:
    body = loads(completion(played(asks("hi", call("a", "{}", "c9"))), bundle="b"))
    assert body["model"] == "m-1"
    assert body["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "hi",
                "tool_calls": [{"function": {"name": "a", "arguments": "{}"}, "id": "c9", "type": "function"}],
            },
            "finish_reason": "tool_calls",
        }
    ]
    assert "usage" not in body


def test_unknown_tokens_are_left_out() -> None:
    step = played(msgspec.structs.replace(asks("hi"), usage=Usage(output_tokens=2)))
    assert loads(completion(step, bundle="b"))["usage"] == {"completion_tokens": 2}
