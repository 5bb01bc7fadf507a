"""Traps in texts that fool comparators in use elsewhere: what they say, what we say, and why.

Two texts are compared as answers to one request, through the product's own comparison, with tools that nobody called.
Similarities of the peers: 1 = the same; all six are measured here again. Models that need weights (BERTScore,
sentence embeddings) and judges that need a model are no part of the table: of the first it is published that they
hardly see a negation (Anschuetz et al. 2023, arXiv 2307.13989), of the second that they change their word with the
order of the two texts (Zheng et al. 2023, MT-Bench). What of that can be held against ours, the last tests do.
"""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

import pytest
from rapidfuzz import fuzz
from rapidfuzz.distance import LCSseq

from comparators.spec import DIMENSION
from replay.comparison import Comparison, Score
from replay.contract import ToolContract, Tooling
from replay.divergence import compare_recordings
from replay.severity import RULES, fired
from replay.testing import a_trace, calls, says
from replay.trace import Trace
from tests.support.judged import compared

NOTHING = "NOT_APPLICABLE"
TOOLS = {name: ToolContract(name=name) for name in ("revoke_sessions", "send_refund", "find_account", "disable_account", "reset_password")}

# -- the table ------------------------------------------------------------------------------------------------------------

PEERS = ("ratio", "token_set", "char-3 cosine", "q-gram", "chrF", "ROUGE-L")
OURS = ("answer.lexical", "answer.numbers", "answer.substituted", "answer.polarity", "answer.newly_refuses", "answer.stance", "claims.unsupported")


class Texts(NamedTuple):
    """`same`: whether both tell the user the same. `peers` and `ours` in the order of `PEERS` and `OURS`.

    `told_by`: the scores that tell that they do not; the tense is told by a claim the less (-1).
    """

    production: str
    replay: str
    same: bool
    peers: tuple[float, float, float, float, float, float]
    ours: tuple[float | str, ...]
    told_by: tuple[str, ...]
    why: str


TEXTS: dict[str, Texts] = {
    "negation flip": Texts(
        "All active sessions of the account were revoked.", "All active sessions of the account were not revoked.", False,
        (0.96, 1.00, 0.94, 0.94, 0.92, 0.94), (0.06, NOTHING, 0, 1, 0, 0, 0), ("answer.polarity",),
        "one word turns the sentence round",
    ),
    "amount": Texts(
        "Your refund of $1,250 was sent to your card.", "Your refund of $1,520 was sent to your card.", False,
        (0.98, 0.98, 0.91, 0.90, 0.87, 0.90), (0.08, 1, 1, 0, 0, 0, 0), ("answer.substituted",), "two digits change places",
    ),
    "account id and surname": Texts(
        "I found account AC-10482 of Maria Keller for you.", "I found account AC-10428 of Maria Kessler for you.", False,
        (0.95, 0.95, 0.85, 0.84, 0.79, 0.80), (0.16, 1, 1, 0, 0, 0, NOTHING), ("answer.substituted",),
        "somebody else's account; the id tells it, the surname alone would not",
    ),
    "tense": Texts(
        "I have disabled the account of the former employee.", "I will disable the account of the former employee.", False,
        (0.91, 0.90, 0.84, 0.82, 0.80, 0.78), (0.14, NOTHING, 0, 0, 0, 0, -1), ("claims.unsupported",),
        "what will be done is not done: no claim any more, which is no harm unless it was true",
    ),
    "answer and refusal": Texts(
        "You can reset the password under Settings, Security.", "I am sorry, but I can't help with resetting passwords.", False,
        (0.45, 0.48, 0.33, 0.33, 0.36, 0.11), (0.65, NOTHING, 0, 0, 1, 1, NOTHING), ("answer.newly_refuses", "answer.stance"),
        "the user is left without an answer",
    ),
    "true paraphrase": Texts(
        "Your laptop will arrive on Friday.", "On Friday we deliver the notebook you ordered.", True,
        (0.35, 0.45, 0.19, 0.18, 0.25, 0.29), (0.80, NOTHING, 0, 0, 0, 0, NOTHING), (),
        "other words, the same content: the least similar pair of all",
    ),
    "list in another order": Texts(
        "You have three devices: a laptop, a phone, and a tablet.", "You have three devices: a tablet, a laptop, and a phone.", True,
        (0.79, 0.96, 0.95, 0.94, 0.80, 0.73), (0.05, 0, 0, 0, 0, 0, NOTHING), (), "a list of things has no order",
    ),
    "markdown and plain": Texts(
        "**Status:** active\n\n- **Owner:** Kim\n- **Seats:** 12", "Status: active\nOwner: Kim\nSeats: 12", True,
        (0.80, 0.83, 0.46, 0.55, 0.42, 1.00), (0.47, 0, 0, 0, 0, 0, NOTHING), (), "marks are not words",
    ),
}  # fmt: skip
SAME = [name for name, texts in TEXTS.items() if texts.same]
CHANGED = [name for name, texts in TEXTS.items() if not texts.same]


def compared_traces(production: Trace, replay: Trace) -> Comparison:
    return compare_recordings([(production, replay)], tooling=Tooling(TOOLS, {}), blanks=[compared(0)])[0]


def compared_texts(production: str, replay: str) -> Comparison:
    return compared_traces(a_trace("?", [says(production)]), a_trace("?", [says(replay)]))


def of_table(name: str) -> Comparison:
    return compared_texts(TEXTS[name].production, TEXTS[name].replay)


def score(comparison: Comparison, name: str) -> float | str:
    found = comparison.scores[name]
    return found.status.upper() if found.value is None else found.value


def rules(comparison: Comparison) -> set[str]:
    return {flag.rule for flag in comparison.flags}


@pytest.mark.parametrize("name", TEXTS)
def test_our_scores_of_texts(name):
    found = of_table(name)
    for dimension, wanted in zip(OURS, TEXTS[name].ours, strict=True):
        got = score(found, dimension)
        assert got == (wanted if isinstance(wanted, str) else pytest.approx(wanted, abs=0.005)), (dimension, TEXTS[name].why)


# -- the peers, by their definitions or their packages --------------------------------------------------------------------


def trigrams(text: str) -> Counter[str]:
    return Counter(text[at : at + 3] for at in range(len(text) - 2))


def char3_cosine(one: str, other: str) -> float:
    ours, theirs = trigrams(one), trigrams(other)
    return sum(ours[it] * theirs[it] for it in ours) / sqrt(sum(n * n for n in ours.values()) * sum(n * n for n in theirs.values()))


def q_gram(one: str, other: str) -> float:
    ours, theirs = trigrams(one), trigrams(other)
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())


def rouge_l(one: str, other: str) -> float:
    ours, theirs = (re.findall(r"[a-z0-9]+", text.lower()) for text in (one, other))
    return 2 * LCSseq.similarity(ours, theirs) / (len(ours) + len(theirs))


def chrf(one: str, other: str) -> float:
    from sacrebleu import sentence_chrf

    return sentence_chrf(other, [one]).score / 100


MEASURES: dict[str, Callable[[str, str], float]] = {
    "ratio": lambda one, other: fuzz.ratio(one, other) / 100,
    "token_set": lambda one, other: fuzz.token_set_ratio(one, other) / 100,
    "char-3 cosine": char3_cosine,
    "q-gram": q_gram,
    "chrF": chrf,
    "ROUGE-L": rouge_l,
}  # fmt: skip
SACREBLEU = pytest.mark.skipif(importlib.util.find_spec("sacrebleu") is None, reason="sacrebleu is not installed")


@SACREBLEU
@pytest.mark.parametrize("name", TEXTS)
def test_the_peers_say_what_the_table_says(name):
    production, replay = TEXTS[name][:2]
    said = [MEASURES[peer](production, replay) for peer in PEERS]
    assert said == pytest.approx(TEXTS[name].peers, abs=0.006)


# -- what tells a wrong edit, and what must not ---------------------------------------------------------------------------


def test_every_score_that_tells_is_one_that_exists():
    assert {name for texts in TEXTS.values() for name in texts.told_by} <= set(OURS) <= set(DIMENSION)


@pytest.mark.parametrize("name", CHANGED)
def test_a_wrong_edit_is_told_by_its_own_scores_and_by_no_others(name):
    """Figures, polarity, stance and claims: wording apart, which differs everywhere."""
    found, texts = of_table(name), TEXTS[name]
    telling = [it for it in OURS if it not in ("answer.lexical", "answer.numbers")]
    assert {it for it in telling if score(found, it) not in (0.0, NOTHING)} == set(texts.told_by), texts.why


@pytest.mark.parametrize("name", SAME)
def test_the_same_in_other_words_is_told_by_none_and_is_no_finding(name):
    found = of_table(name)
    assert all(score(found, dimension) in (0.0, NOTHING) for dimension in OURS[1:]), TEXTS[name].why
    assert found.flags == ()


@pytest.mark.parametrize("name", ["negation flip", "amount", "account id and surname", "tense"])
def test_similarity_is_fooled_by_a_small_wrong_edit_ours_too(name):
    """More alike than the true paraphrase by every measure: so that no measure of wording may gate alone."""
    wrong, right = TEXTS[name], TEXTS["true paraphrase"]
    assert all(fooled > honest for fooled, honest in zip(wrong.peers, right.peers, strict=True))
    assert score(of_table(name), "answer.lexical") < 0.3 < score(of_table("true paraphrase"), "answer.lexical")


def test_an_edit_distance_takes_another_order_for_more_than_a_negation():
    reordered, negated = TEXTS["list in another order"], TEXTS["negation flip"]
    assert fuzz.ratio(*reordered[:2]) < fuzz.ratio(*negated[:2])
    assert score(of_table("list in another order"), "answer.lexical") < score(of_table("negation flip"), "answer.lexical")


def test_a_distance_of_wording_raises_no_flag_whatever_it_is():
    assert not fired({"answer.lexical": Score(status="scored", value=1.0)})
    assert all(rule.status is not None for rule in RULES if rule.score == "answer.lexical")


@pytest.mark.parametrize("done", [True, False])
def test_a_tense_is_told_by_what_stands_behind_it(done):
    """"I have disabled" is a claim, "I will disable" is none; whether it is true, the calls say."""
    have, will = TEXTS["tense"][:2]
    theirs = [*([calls(("disable_account", {"id": 1}, "ok"))] if done else []), says(have)]
    assert ("claim_without_write" in rules(compared_traces(a_trace("?", [says(will)]), a_trace("?", theirs)))) is not done


# -- what else is known of peers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEXTS)
def test_the_order_of_the_two_sides_changes_no_finding_of_ours(name):
    """BLEU takes one side for the reference, and a judge has a favourite place."""
    one, other = TEXTS[name][:2]
    there, back = compared_texts(one, other), compared_texts(other, one)
    for dimension in ("answer.lexical", "answer.numbers", "answer.substituted", "answer.polarity", "answer.stance"):
        assert score(there, dimension) == score(back, dimension)
    assert score(there, "answer.newly_refuses") == score(back, "answer.newly_answers")


@SACREBLEU
def test_control_bleu_says_another_thing_the_other_way_round():
    from sacrebleu import sentence_bleu

    short, long = "The refund was sent.", "The refund was sent. It takes five days to arrive on your card."
    assert abs(sentence_bleu(short, [long]).score - sentence_bleu(long, [short]).score) > 5
    assert score(compared_texts(short, long), "answer.lexical") == score(compared_texts(long, short), "answer.lexical")


@pytest.mark.parametrize(
    ("result", "told", "rule"),
    [
        (({"refund": 20}, False), "Your refund is $75.", "ungrounded_numbers"),
        (("the card has expired", True), "I have sent the refund.", "claim_refuted"),
        (None, "I have sent the refund.", "claim_without_write"),
    ],
    ids=["made up data", "an ignored error", "nothing was called"],
)
def test_how_a_tools_result_is_handled_is_told_without_a_judge(result, told, rule):
    """A rubric for a judge elsewhere (Phoenix, response handling); word lists call a claim without any call only."""
    made = [] if result is None else [calls(("send_refund", {"id": 1}, *result))]
    honest = a_trace("Send it!", [says("Let me see.")])
    assert rule in rules(compared_traces(honest, a_trace("Send it!", [*made, says(told)])))
