"""Traps that fool comparators of tool calls in use elsewhere: what they say, what we say, and why.

What the peers say was measured on these cases with agentevals 0.0.9, deepeval 4.3.1, ragas 0.4.3, autoevals 0.4.1 and
BFCL's `ast_checker`, or follows from their code where a row has only a rule. 1 = the same. agentevals and DeepDiff 9.1.0
are asked again in `test_peers_on_traps`. Traps in texts are in `test_traps_in_texts`.

Calls are read by the product's own contract reader, without a contract unless the row brings one.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from comparators.calls import CallEvent, CallPair, Effect
from comparators.toolcalls import compare_calls
from replay.contract import ArgumentRule, ContractReader, ToolContract
from tests.comparators.by_hand import scores

NOTHING = "NOT_APPLICABLE"

#: (tool, arguments); a list of them is one message.
Called = tuple[str, dict[str, Any]]
Message = Called | list[Called]


class Trap(NamedTuple):
    """`same`: whether both sides did the same. `ours` are scores by name, `peers` similarities by peer."""

    production: list[Message]
    replay: list[Message]
    same: bool
    ours: dict[str, float | str]
    peers: dict[str, float]
    why: str
    contract: dict[str, ArgumentRule] = {}  # noqa: RUF012 - never written


PEERS = (
    "agentevals strict", "agentevals unordered", "agentevals superset", "DeepEval", "DeepEval LCS", "Ragas F1", "Ragas accuracy",
    "autoevals JSONDiff",
)  # fmt: skip


def seen(*similarities: float) -> dict[str, float]:
    """The same case as each of `PEERS` sees it."""
    return dict(zip(PEERS, similarities, strict=True))


def pay(**arguments: Any) -> Called:
    return "pay", arguments


SAME = {"tools.write": 0.0, "tools.write.extra": 0.0, "tools.write.missing": 0.0, "tools.write.changed": 0.0, "tools.path": 0.0}
CHANGED = {"tools.write": 1.0, "tools.write.changed": 1.0, "tools.write.extra": 0.0, "tools.write.missing": 0.0}

CALLS: dict[str, Trap] = {
    "two identical calls on both sides": Trap(
        [pay(n=1), pay(n=1)], [pay(n=1), pay(n=1)], True, SAME, seen(1, 1, 1, 0.5, 1, 1, 1, 1.0),
        "calls are a multiset; a set of matched calls loses the second one",
    ),
    "duplicated write": Trap(
        [pay(n=1)], [pay(n=1), pay(n=1)], False, {"tools.write": 1 / 3, "tools.write.extra": 1.0, "tools.write.duplicated": 1.0},
        seen(0, 0, 1, 1, 1, 1, 0, 0.5) | {"DeepDiff ignore_order": 1},
        "who is paid twice is not paid once; recall and sets of calls cannot see it",
    ),
    "extra write": Trap(
        [pay(n=1)], [pay(n=1), ("delete", {"id": 1})], False, {"tools.write": 1 / 3, "tools.write.extra": 1.0},
        seen(0, 0, 1, 1, 1, 0.67, 0, 0.5), "a superset of the right calls is not right if one of them deletes",
    ),
    "no call where there was one": Trap(
        [pay(n=1)], [], False, {"tools.write": 1.0, "tools.write.missing": 1.0}, {"DeepEval ArgumentCorrectness": 1},
        "who does nothing gets no argument wrong, and is not paid either",
    ),
    "5 and 5.0": Trap(
        [pay(n=5)], [pay(n=5.0)], True, SAME, seen(1, 1, 1, 1, 1, 1, 0, 1.0) | {"DeepDiff": 0.917},
        "one number, two spellings",
    ),
    "20 and 20.0, declared an integer": Trap(
        [pay(n=20)], [pay(n=20.0)], True, SAME, {"BFCL": 0}, "JSON has one type of number; a 20.0 is an integer by JSON Schema too",
    ),
    "True and 1": Trap([pay(n=True)], [pay(n=1)], False, CHANGED, seen(1, 1, 1, 1, 1, 1, 0, 1.0), "a truth is no amount, though Python says True == 1"),
    '5 and "5"': Trap([pay(n=5)], [pay(n="5")], False, CHANGED, seen(0, 0, 0, 0, 0, 0, 1, 0.67), "a tool that takes a number may refuse a text, or join it"),
    "amount 1000 and 1001": Trap(
        [pay(n=1000)], [pay(n=1001)], False, CHANGED, seen(0, 0, 0, 0, 0, 0, 0, 1.000),
        "another amount is another payment; a relative distance rounds it away",
    ),
    "account 1234567890 and 1234567891": Trap(
        [pay(to=1234567890)], [pay(to=1234567891)], False, CHANGED, {"autoevals JSONDiff": 1 - 1 / 2469135781},
        "integers are compared exactly: a relative tolerance makes neighbours of accounts one account",
    ),
    "digits of an account id swapped": Trap(
        [pay(to="DE89370400440532013000", n=5)], [pay(to="DE89370400440532010300", n=5)], False,
        {"tools.write": 0.75, "tools.write.changed": 1.0},
        {"agentevals strict": 0, "agentevals unordered": 0, "agentevals superset": 0, "DeepEval": 0.5, "Ragas F1": 0,
         "Ragas accuracy": 0.5, "autoevals JSONDiff": 0.944, "DeepDiff": 0.938},
        "an id has no distance; one wrong argument of a write costs half at least",
    ),
    "0.1 + 0.2 and 0.3": Trap([pay(n=0.1 + 0.2)], [pay(n=0.3)], True, SAME, seen(0, 0, 0, 0, 0, 0, 0, 1.0), "rounding of floats is nobody's decision"),
    "null and absent": Trap(
        [pay(n=1, memo=None)], [pay(n=1)], True, SAME,
        {"agentevals strict": 0, "agentevals unordered": 0, "agentevals superset": 0, "DeepEval": 0.5, "Ragas F1": 0, "Ragas accuracy": 1, "autoevals JSONDiff": 1.0},
        "both say nothing",
    ),
    "list in another order": Trap(
        [pay(to=[1, 2])], [pay(to=[2, 1])], False, {"tools.write": 1.0}, {"DeepDiff ignore_order": 1},
        "the order of a list may mean something, as of legs of a journey",
    ),
    "list in another order, which the contract says is none": Trap(
        [pay(to=[1, 2])], [pay(to=[2, 1])], True, SAME, seen(0, 0, 0, 0, 0, 0, 0, 0.5),
        "only a contract can know; no global switch can", {"to": ArgumentRule(unordered=True)},
    ),
    "composed and decomposed accents": Trap(
        [pay(to="caf\u00e9")], [pay(to="cafe\u0301")], True, SAME, seen(0, 0, 0, 0, 0, 0, 0, 0.8), "canonically equivalent texts are one text",
    ),
    "no calls on both sides": Trap(
        [], [], True, {"tools.write": NOTHING, "tools.path": 0.0}, seen(1, 1, 1, 1, 1, 0, 1, 1.0),
        "nothing to compare is a status; two empty paths are one path; F1 has nothing to divide by and says 0",
    ),
    '"1.5" and "15"': Trap([pay(n="1.5")], [pay(n="15")], False, CHANGED, {"BFCL": 1}, "a full stop that is dropped multiplies by ten"),
    "an address without its dots": Trap(
        [pay(to="192.120.45.67")], [pay(to="1921204567")], False, CHANGED, {"BFCL": 1}, "punctuation is part of an id",
    ),
    "another case of letters": Trap([pay(to="Ab-1")], [pay(to="aB1")], False, CHANGED, {"BFCL": 1}, "case is part of an id, unless the contract says `lower`"),
    "another case of letters, where the contract says none": Trap(
        [pay(to="Ann@x.org")], [pay(to="ann@X.ORG")], True, SAME, {"agentevals strict": 0}, "as of mail addresses",
        {"to": ArgumentRule(normalise=["email"])},
    ),
    "the second of two calls differs": Trap(
        [pay(n=1), pay(n=2)], [pay(n=1), pay(n=3)], False, {"tools.write": 0.5, "tools.write.changed": 1.0}, {"BFCL multiple": 1},
        "every call counts, not their number and the first",
    ),
    "a difference two levels down": Trap(
        [pay(to={"bank": {"id": 1}})], [pay(to={"bank": {"id": 2}})], False, CHANGED, {"BFCL": 1}, "arguments are compared to the leaves",
    ),
    "a greedy choice finds no match where there is one": Trap(
        [pay(a=1), pay(a=1, b=2)], [pay(a=1, b=2), pay(a=1)], True, SAME | {"tools.path": 0.5},
        {"agentevals arguments superset": 0, "BFCL parallel": 0},
        "calls are matched at minimum cost over all of them; the path says that the order is another",
    ),
    "parallel calls one after the other": Trap(
        [[pay(n=1), ("wipe", {"id": 1})]], [pay(n=1), ("wipe", {"id": 1})], True, SAME,
        {"agentevals strict": 0}, "in how many messages a model asks for them changes nothing in the world",
    ),
    "the same tools with other arguments": Trap(
        [pay(n=1, to="a")], [pay(n=900, to="b")], False, CHANGED, {"promptfoo tool-call-f1": 1}, "a set of names is not what was done",
    ),
    "an argument added": Trap(
        [pay(n=1)], [pay(n=1, cc="eve")], False, {"tools.write.changed": 1.0, "tools.write": pytest.approx(0.5 + 0.5 / 3)},
        {"Ragas accuracy": 1}, "an argument nobody expected does something, too",
    ),
    "an argument left out": Trap(
        [pay(n=1, cc="bob")], [pay(n=1)], False, {"tools.write.changed": 1.0, "tools.write": pytest.approx(0.5 + 0.5 / 3)},
        {"tau2 without compare_args": 1}, "what was not sent was not done",
    ),
    "an argument left empty": Trap(
        [pay(n=1, cc="")], [pay(n=1)], False, {"tools.write.changed": 1.0, "tools.write": pytest.approx(0.5 + 0.5 / 3)},
        {"BFCL": 1}, 'an empty text may clear what stood there; where it does not, the contract says `default: ""`',
    ),
    "an argument left empty, which the contract says is its default": Trap(
        [pay(n=1, cc="")], [pay(n=1)], True, SAME, {"agentevals strict": 0}, "then both say the same", {"cc": ArgumentRule(default="")},
    ),
    "an argument equal to its default left out": Trap(
        [pay(n=1, cc="none")], [pay(n=1)], True, SAME, {"agentevals strict": 0}, "the contract's default says the same",
        {"cc": ArgumentRule(default="none")},
    ),
    "another idempotency key": Trap(
        [pay(n=1, key="8c1")], [pay(n=1, key="f07")], True, SAME, {"agentevals strict": 0, "BFCL": 0}, "the contract ignores it",
        {"key": ArgumentRule(ignore=True)},
    ),
}  # fmt: skip


def event(called: Called, step: int, contract: dict[str, ArgumentRule]) -> CallEvent:
    tool, arguments = called
    reader = ContractReader(ToolContract(name=tool, arguments=contract))
    return CallEvent(reader.read(json.dumps(arguments)).call, Effect.WRITE, step=step)


def side(messages: list[Message], contract: dict[str, ArgumentRule]) -> tuple[CallEvent, ...]:
    batches = [message if isinstance(message, list) else [message] for message in messages]
    return tuple(event(called, step, contract) for step, batch in enumerate(batches) for called in batch)


def our_scores(trap: Trap) -> dict[str, float | str]:
    return scores(compare_calls([CallPair(side(trap.production, trap.contract), side(trap.replay, trap.contract))]))


def misled(trap: Trap) -> set[str]:
    """Peers that see a difference where there is none, or next to none where there is one."""
    return {name for name, score in trap.peers.items() if (score < 1 if trap.same else score >= 0.9)}


@pytest.mark.parametrize("name", CALLS)
def test_our_scores_of_calls(name):
    trap = CALLS[name]
    found = our_scores(trap)
    assert {score: found[score] for score in trap.ours} == trap.ours, trap.why


@pytest.mark.parametrize("name", CALLS)
def test_we_see_a_difference_exactly_where_there_is_one_and_some_peer_does_not(name):
    trap = CALLS[name]
    assert (our_scores(trap)["tools.write"] in (0.0, NOTHING)) is trap.same, trap.why
    assert misled(trap)


def test_control_one_rule_for_all_contracts_would_be_wrong_both_ways():
    """The same calls, once the same and once not: no score without a contract can be right on both."""
    ordered, unordered = (CALLS[name] for name in CALLS if name.startswith("list in another order"))
    assert (ordered.production, ordered.replay) == (unordered.production, unordered.replay)
    assert ordered.same is not unordered.same
