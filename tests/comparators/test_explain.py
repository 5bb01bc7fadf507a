"""Evidence of tool calls: what a reader is shown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from comparators.calls import CallEvent, CallPair, Effect, Leaf, LeafKind
from comparators.explain import EXCERPT, MAX_LINES, explain_calls, shown
from comparators.spec import Evidence
from comparators.toolcalls import compare_calls
from tests.comparators.by_hand import FAILED, call, handoff, of_leaves, pair, read, scores, write
from tests.comparators.test_toolcalls import pairs_of_calls

#: Scores that have lines of their own when they are not 0.
KINDS = {
    "tools.write.missing": "write_missing",
    "tools.write.extra": "write_extra",
    "tools.write.changed": "write_changed",
    "tools.write.duplicated": "write_duplicated",
    "tools.write.reordered": "write_reordered",
    "tools.write.outcome_changed": "write_outcome",
    "tools.handoff.missing": "handoff_missing",
    "tools.handoff.extra": "handoff_extra",
}


@given(pairs_of_calls())
@settings(max_examples=200, deadline=None)
def test_lines_are_there_exactly_when_the_score_fired(one):
    kinds = {line.kind for line in explain_calls(one)}
    found = scores(compare_calls([one]))
    for name, kind in KINDS.items():
        assert (kind in kinds) == (found[name] not in (0.0, "NOT_APPLICABLE")), name
    assert ("read_missing" in kinds or "read_extra" in kinds) == (found["tools.read"] not in (0.0, "NOT_APPLICABLE"))
    for name, kind in (
        ("tools.invalid", "invalid_call"),
        ("tools.failed", "failed_call"),
        ("tools.repeated", "repeated_call"),
    ):
        assert kind in kinds or found[name] in (0.0, "NOT_APPLICABLE")


@given(pairs_of_calls())
def test_equal_sides_have_no_lines(one):
    assert not explain_calls(CallPair(one.production, one.production))


@pytest.mark.parametrize(
    ("production", "replay", "expected"),
    [
        (
            [read("lookup_device", id=1)],
            [write("wipe_device", id=1)],
            [
                Evidence("write_extra", added="wipe_device(id=1)"),
                Evidence("read_missing", removed="lookup_device(id=1)"),
            ],
        ),
        (
            [write("pay", amount=5, to="DE12")],
            [write("pay", amount=5, to="DE21", note="x")],
            [
                Evidence("write_changed", 'pay(to="DE12", amount=5)', 'pay(to="DE21", note="x", amount=5)'),
                Evidence("write_argument", 'to="DE12"', 'to="DE21"'),
                Evidence("write_argument", None, 'note="x"'),
            ],
        ),
        (
            [write("pay", n=1)],
            [write("pay", n=1), write("pay", n=1)],
            [
                Evidence("write_extra", added="pay(n=1)"),
                Evidence("write_duplicated", "1 x pay(n=1)", "2 x pay(n=1)"),
                Evidence("repeated_call", added="pay(n=1)"),
            ],
        ),
        (
            [write("pay", n=1), write("wipe")],
            [write("wipe"), write("pay", n=1)],
            [Evidence("write_reordered", "pay(n=1), then wipe()", "wipe(), then pay(n=1)")],
        ),
        (
            [write("pay", n=1)],
            [write("pay", n=1, of=FAILED)],
            [
                Evidence("write_outcome", "pay(n=1): succeeded", "pay(n=1): failed"),
                Evidence("failed_call", added="pay(n=1)"),
            ],
        ),
        (
            [handoff("transfer", to="desk")],
            [read("look", of={"valid": False})],
            [
                Evidence("handoff_missing", removed='transfer(to="desk")'),
                Evidence("invalid_call", added="look()"),
                Evidence("read_extra", added="look()"),
            ],
        ),
    ],
)
def test_lines(production, replay, expected):
    assert list(explain_calls(pair(production, replay))) == expected


def test_calls_are_cut_and_made_safe_to_print():
    text = shown(call("send", text="a\n\x00\u202e\ud800" + "x" * 500))
    assert len(text) == EXCERPT
    assert text.startswith('send(text="a\\n\\u0000\\u202e\\ud800xxx')
    text.encode()


def test_the_argument_that_differs_is_seen_in_a_long_call():
    many = {f"a{i}": i for i in range(5000)}
    lines = explain_calls(pair([write("pay", **many, z=1)], [write("pay", **many, z=2)]))
    assert [(line.removed or "")[:8] for line in lines] == ["pay(z=1,", "z=1"]


def test_raw_text_is_shown_as_it_came():
    raw = CallEvent(of_leaves("pay", Leaf("", LeafKind.UNPARSED, '{"n": ')), Effect.WRITE, valid=False)
    assert explain_calls(pair([], [raw]))[0] == Evidence("write_extra", added='pay({"n": )')


def test_a_loop_of_calls_gives_a_few_lines_of_each_kind():
    lines = explain_calls(pair([], [write("pay", n=i) for i in range(500)]))
    assert len(lines) == MAX_LINES
