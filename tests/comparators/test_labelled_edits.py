"""Similarity is not agreement: 80 labelled pairs of answers, half of them wrong edits, half true paraphrases.

On public sets (SummEdits, SemAntoNeg) every measure of wording ranks the factually wrong edit as the more similar one:
AUC 0.08 to 0.48, where 0.5 is chance. Those sets are not in this repository; `tests/data/labelled-edits.jsonl` is the
counterpart that can be: by hand, of five domains, ten edits each by a negation, an opposite, a figure and a name, and
as many paraphrases, some of which deny twice, turn a figure into words or bring another notation. Edits are near, and
three of four paraphrases far, as answers of models are: that makes the ranking worse than on the public sets, where
both are near.

Flags are precise before they are complete. By kind, of ten: negations 10, figures 10, opposites 9, names 1 (a weekday in
another's place), which no flag of words claims to find. Of 40 paraphrases none is flagged. The set is older than the
rules that find them, and none was written for it: before, they found 6 opposites, no name, and flagged one paraphrase.
"""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from rapidfuzz import fuzz

from replay.comparison import Comparison
from replay.contract import Tooling
from replay.divergence import compare_recordings
from replay.testing import a_trace, says
from tests.support.judged import compared

EDITS = Path(__file__).parent.parent / "data" / "labelled-edits.jsonl"
SAME = "paraphrase"
#: The flags that stand for a changed fact.
TELLING = {"number_substituted", "polarity_flip"}
FOUND = {"negation": 10, "number": 10, "antonym": 9, "entity": 1, SAME: 0}
LEAST_PRECISION, MOST_FALSE_ALARMS = 0.95, 0.03
CHANCE, GOOD = 0.5, 0.8


class Edit(NamedTuple):
    kind: str
    domain: str
    production: str
    replay: str

    @property
    def same(self) -> bool:
        return self.kind == SAME


@pytest.fixture(scope="module")
def edits() -> list[Edit]:
    return [Edit(**json.loads(line)) for line in EDITS.read_text().splitlines()]


@pytest.fixture(scope="module")
def comparisons(edits) -> list[Comparison]:
    sides = [(a_trace("?", [says(it.production)]), a_trace("?", [says(it.replay)])) for it in edits]
    return compare_recordings(sides, tooling=Tooling({}, {}), blanks=[compared(number) for number in range(len(sides))])


@pytest.fixture(scope="module")
def flagged(comparisons) -> list[bool]:
    return [not TELLING.isdisjoint(flag.rule for flag in it.flags) for it in comparisons]


def area(similarities: list[float], edits: list[Edit]) -> float:
    """Under the ROC curve: the chance that a paraphrase is more similar than a wrong edit, ties half."""
    same, changed = ([value for value, it in zip(similarities, edits, strict=True) if it.same is wanted] for wanted in (True, False))
    return sum((one > other) + (one == other) / 2 for one in same for other in changed) / (len(same) * len(changed))


def similarities(edits: list[Edit], comparisons: list[Comparison]) -> dict[str, list[float]]:
    found = {name: [getattr(fuzz, name)(it.production, it.replay) for it in edits] for name in ("ratio", "token_sort_ratio", "token_set_ratio")}
    if importlib.util.find_spec("sacrebleu"):
        from sacrebleu import sentence_chrf

        found["chrF"] = [sentence_chrf(it.replay, [it.production]).score for it in edits]
    return {**found, "answer.lexical": [1 - it.scores["answer.lexical"].value for it in comparisons]}


def test_the_set_is_what_it_is_said_to_be(edits):
    kinds, domains = (Counter(getattr(it, name) for it in edits) for name in ("kind", "domain"))
    assert kinds == {"negation": 10, "antonym": 10, "number": 10, "entity": 10, SAME: 40}
    assert domains == dict.fromkeys(("banking", "travel", "it support", "insurance", "retail"), 16)
    assert len(set(edits)) == 80


def test_every_measure_of_wording_ranks_the_wrong_edits_first_and_the_flags_do_not(edits, comparisons, flagged, capsys):
    areas = {name: area(of, edits) for name, of in similarities(edits, comparisons).items()}
    ours = area([float(not it) for it in flagged], edits)
    with capsys.disabled():
        print("\n  AUC:", ", ".join(f"{name} {value:.2f}" for name, value in areas.items()), f"- flags {ours:.2f}")  # noqa: T201 - figures are wanted, pass or fail
    assert max(areas.values()) < CHANCE
    assert ours > GOOD


def test_a_flag_is_nearly_always_right_and_paraphrases_are_left_alone(edits, flagged):
    changed = [not it.same for it, found in zip(edits, flagged, strict=True) if found]
    false_alarms = changed.count(False) / sum(it.same for it in edits)
    assert sum(changed) / len(changed) >= LEAST_PRECISION
    assert false_alarms <= MOST_FALSE_ALARMS


def test_what_is_found_of_each_kind(edits, flagged):
    """Exact, so that the words above stay true. More is welcome, and changes them."""
    found = Counter(it.kind for it, found in zip(edits, flagged, strict=True) if found)
    assert {kind: found[kind] for kind in FOUND} == FOUND


def test_control_calling_all_alike_what_is_most_alike_is_worse_than_chance(edits, comparisons):
    """The best threshold of our own distance: where a gate on wording would be set, it calls most pairs wrongly."""
    values = [it.scores["answer.lexical"].value for it in comparisons]
    right = max(sum((value <= at) is it.same for value, it in zip(values, edits, strict=True)) for at in values)
    assert right <= len(edits) / 2 + 1
