"""Claims as a reader labelled them: in answers of many trades, in sentences by pattern, and over recorded conversations.

Of the 153 answers of `claims-corpus.yaml` that one reader says claim a completed action, 149 are flagged when their writes
are taken away or fail and production's answer stands beside them (0.97), 123 by themselves (0.80). Before words were added
that the misses showed to be wanting it was 133: the same words help with other tools ("upgraded" of what updates, "refund"
of what sends money), but on answers nobody has read yet the share will be lower. The 4 that are left, by reason:

- 2 say that bags were "added" by an update, which no name of a tool lends: its contract must;
- 1 lists what it sent under "I've completed both tasks", by the names of its objects;
- 1 says that a reservation "is confirmed", which may be a state.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.claims import CHANGES, FILES, Recorded, is_caught, recorded, unsupported, without_writes
from comparators.calls import Effect, Outcome
from comparators.claimform import Tier
from comparators.claims import ClaimPair, find
from comparators.claimscan import claims_in
from comparators.claimsupport import ClaimSide, Deed
from comparators.claimwords import Lexicon, ToolWords
from comparators.language import english

DATA = Path("tests/data")
#: Labelled answers of each file of the corpus, and what they are drawn with.
DRAWN, SEED = 40, 20
HANDOFFS = ("transfer_to_human", "page_oncall")


def read(name: str) -> Any:
    return yaml.safe_load((DATA / name).read_text(encoding="utf-8"))


def lexicon_of(tools: Iterable[str]) -> Lexicon:
    return Lexicon.of(map(ToolWords, tools), english())


def deeds(tools: Iterable[str], outcome: Outcome) -> list[Deed]:
    return [Deed(tool, Effect.HANDOFF if tool.startswith(HANDOFFS) else Effect.WRITE, outcome) for tool in tools]


def is_flagged(replay: ClaimSide, lexicon: Lexicon, production: ClaimSide | None = None) -> bool:
    found = find(ClaimPair(production or ClaimSide.of("Hello."), replay, lexicon))
    return bool(found and found.new)


# -- answers of many trades -------------------------------------------------------------------------------------------

TRADES = read("claims.yaml")
CLAIMS = [(trade, case) for trade, cases in TRADES.items() for case in cases["claims"]]
HONEST = [(trade, case) for trade, cases in TRADES.items() for case in cases["honest"]]
LEXICONS = {trade: lexicon_of(cases["tools"]) for trade, cases in TRADES.items()}


def first_tools(case: Mapping[str, Any]) -> list[str]:
    return [deed.split(" | ")[0] for deed in case["deeds"]]


def share_flagged(made: Sequence[Deed] | None, *, production: bool) -> float:
    """Of the answers that claim a deed, when their calls failed, or (null) were not made."""
    flagged = 0
    for trade, case in CLAIMS:
        text, tools = case["message"], first_tools(case)
        side = ClaimSide.of(text, deeds(tools, Outcome.FAILED) if made is None else made)
        beside = ClaimSide.of(text, deeds(tools, Outcome.SUCCEEDED)) if production else None
        flagged += is_flagged(side, LEXICONS[trade], beside)
    return flagged / len(CLAIMS)


def test_a_claim_without_its_call_is_flagged_by_itself():
    assert share_flagged((), production=False) >= 0.80


def test_a_claim_without_its_call_is_flagged_beside_production_that_made_it():
    assert share_flagged((), production=True) >= 0.94


def test_a_claim_whose_call_failed_is_flagged():
    assert share_flagged(None, production=False) >= 0.94


def test_what_was_done_may_be_claimed():
    flagged = [
        case["message"]
        for trade, case in CLAIMS
        if is_flagged(ClaimSide.of(case["message"], deeds(first_tools(case), Outcome.SUCCEEDED)), LEXICONS[trade])
    ]
    assert len(flagged) <= 0.015 * len(CLAIMS), flagged


def test_honest_answers_are_not_flagged():
    flagged = []
    for trade, case in HONEST:
        made = deeds(case.get("done", ()), Outcome.SUCCEEDED) + deeds(case.get("failed", ()), Outcome.FAILED)
        side = ClaimSide.of(case["message"], made, reads=case.get("read", ()))
        flagged += [case["message"]] if is_flagged(side, LEXICONS[trade]) else []
    assert len(HONEST) >= 150
    assert len(flagged) <= 0.015 * len(HONEST), flagged


# -- sentences by pattern ---------------------------------------------------------------------------------------------

PATTERNS = read("claim-patterns.yaml")


def filled(pattern: str, deed: Mapping[str, str]) -> str:
    verb, past, thing = deed["infinitive"], deed["participle"], deed["object"]
    return pattern.format(v=verb, pp=past, o=thing, V=verb.capitalize(), P=past.capitalize(), O=thing.capitalize(),
                          PU=past.upper(), OU=thing.upper())  # fmt: skip


def flags(kind: str, *, production: bool) -> list[bool]:
    lexicon = lexicon_of(deed["tool"] for deed in PATTERNS["deeds"])
    found = []
    for pattern in PATTERNS[kind].values():
        for deed in PATTERNS["deeds"]:
            said = filled("The {o} has been {pp}.", deed)
            beside = ClaimSide.of(said, deeds((deed["tool"],), Outcome.SUCCEEDED)) if production else None
            found.append(is_flagged(ClaimSide.of(filled(pattern, deed)), lexicon, beside))
    return found


@pytest.mark.parametrize(("production", "least"), [(False, 0.82), (True, 0.94)])
def test_sentences_that_claim_a_deed_are_flagged(production, least):
    found = flags("claims", production=production)
    assert len(found) >= 1000
    assert sum(found) >= least * len(found)


@pytest.mark.parametrize("production", [False, True])
def test_sentences_that_claim_nothing_are_not_flagged(production):
    found = flags("claims_nothing", production=production)
    assert len(found) >= 1000
    assert sum(found) <= 0.005 * len(found)


# -- names of tools ---------------------------------------------------------------------------------------------------

NAMES = read("claim-names.yaml")


def test_the_name_of_a_tool_lends_the_words_of_its_success():
    asked = [(tool, sentence) for tool, sentences in NAMES["named"].items() for sentence in sentences]
    found = [(tool, sentence) for tool, sentence in asked if any(claims_in(sentence, lexicon_of((tool,))))]
    sure = [each for each in found if any(it.tier is not Tier.LOOSE for it in claims_in(each[1], lexicon_of(each[:1])))]
    assert len(found) >= 0.95 * len(asked)
    assert len(sure) >= 0.85 * len(asked)


def test_the_names_alone_say_little_of_what_one_deed_brings_with_it():
    """Half of such answers stay flagged, as "other writes took effect": what a call was told to do, and what it
    answered, is not in these cases."""
    flagged = sum(
        is_flagged(ClaimSide.of(case["message"], deeds(case["done"], Outcome.SUCCEEDED)), lexicon_of(case["tools"]))
        for case in NAMES["implied"]
    )
    assert flagged <= 13 < len(NAMES["implied"])


# -- recorded conversations -------------------------------------------------------------------------------------------

LABELS = read("claims-corpus.yaml")


@pytest.fixture(scope="module")
def labelled() -> list[tuple[Recorded, bool]]:
    """The answers that were drawn, and whether they claim a completed action."""
    return [
        (answer, LABELS[name][answer.trace]["claims"])
        for name in FILES
        for answer in recorded(name)
        if answer.trace in LABELS[name]
    ]


@pytest.mark.parametrize("name", FILES)
def test_the_labelled_answers_are_those_that_chance_drew(name):
    """Of answers that follow a successful write of their own turn, by trace."""
    drawn = random.Random(SEED).sample(sorted(answer.trace for answer in recorded(name) if answer.wrote), DRAWN)
    assert drawn == list(LABELS[name])


@pytest.mark.parametrize("change", CHANGES)
def test_of_claims_that_a_reader_finds_most_are_caught_when_their_writes_are_gone(labelled, change):
    claiming = [answer for answer, claims in labelled if claims]
    assert len(claiming) >= 150
    assert sum(is_caught(answer, CHANGES[change]) for answer in claiming) >= 0.95 * len(claiming)


def test_most_of_them_are_caught_without_production_to_compare_with(labelled):
    claiming = [answer for answer, claims in labelled if claims]
    assert sum(bool(unsupported(without_writes(answer.side), answer)) for answer in claiming) >= 0.78 * len(claiming)


def test_answers_in_which_a_reader_finds_no_claim_are_never_flagged(labelled):
    silent = [answer for answer, claims in labelled if not claims]
    assert silent
    assert not any(is_caught(answer, change) for answer in silent for change in CHANGES.values())
    assert not any(unsupported(answer.side, answer) for answer in silent)
