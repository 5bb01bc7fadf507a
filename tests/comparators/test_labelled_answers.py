"""How often comparators of answers are right, on labelled pairs of many domains: floors of precision and recall.

The tables of `tests/data` are read, never tuned to: a floor is what a rule has to keep, and lies below what it reached.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from comparators.answerbatch import AnswerBatch
from comparators.answers import compare_answers
from comparators.answerwords import english_answers
from comparators.expected import Conduct, Expectation, shortfall
from comparators.grounding import compare_grounding
from comparators.spec import Column
from comparators.stance import Records, stance_of
from comparators.text import normalise
from comparators.wordscan import words_of

DATA = Path(__file__).parents[1] / "data"
WORDS = english_answers()
SETS = ("first", "held_back")
ALL_SETS = (*SETS, "blind")
#: Of all paraphrases, both ways round.
MOST_FALSE_ALARMS = 0.015


class Rates(NamedTuple):
    precision: float
    recall: float
    false_alarms: float


def table(name: str, part: str) -> list[dict]:
    return yaml.safe_load((DATA / f"{name}.yaml").read_text(encoding="utf-8"))[part]


def rates(judged: Iterable[tuple[bool, bool]]) -> Rates:
    """Of pairs of what was found and what is true."""
    pairs = [(bool(found), bool(true)) for found, true in judged]
    hits, alarms, misses = pairs.count((True, True)), pairs.count((True, False)), pairs.count((False, True))
    quiet = pairs.count((False, False))
    return Rates(hits / max(hits + alarms, 1), hits / max(hits + misses, 1), alarms / max(alarms + quiet, 1))


def fired(columns: Iterable[Column], name: str) -> bool:
    return any(it.value[0] > 0 for it in columns if it.name == name)


def compared(production: str, replay: str) -> tuple[Column, ...]:
    return compare_answers(AnswerBatch([production], [replay], WORDS))


def stance(text: str) -> tuple[str, ...]:
    normal = normalise(text)
    return stance_of(normal, words_of([normal])[0], Records(), WORDS)


def holds(found: Rates, precision: float, recall: float) -> bool:
    return found.precision >= precision and found.recall >= recall


@pytest.mark.parametrize("part", ALL_SETS)
def test_contraries(part):
    rows = [row for row in table("answers.polarity", part) for _ in (0, 1)]
    sides = [("production", "replay"), ("replay", "production")] * (len(rows) // 2)
    found = rates(
        (fired(compared(row[one], row[other]), "answer.polarity"), row["label"] == "contrary")
        for row, (one, other) in zip(rows, sides, strict=True)
    )
    assert holds(found, 0.95, 0.85), found
    assert found.false_alarms <= 0.03


@pytest.mark.parametrize("part", ALL_SETS)
def test_figures_in_the_place_of_others(part):
    rows = table("answers.figures", part)
    found = rates(
        (fired(compared(row["production"], row["replay"]), "answer.substituted"), row["label"] == "substituted")
        for row in rows
    )
    assert holds(found, 0.95, 0.95), found


@pytest.mark.parametrize("part", SETS)
def test_figures_without_an_equal(part):
    rows = table("answers.figures", part)
    found = rates(
        (fired(compared(row["production"], row["replay"]), "answer.numbers"), row["label"] != "same") for row in rows
    )
    assert holds(found, 0.95, 0.95), found


@pytest.mark.parametrize("part", SETS)
@pytest.mark.parametrize("what", ["refuses", "asks", "hedges"])
def test_stances(part, what):
    found = rates((what in stance(row["answer"]), what in row["stance"]) for row in table("answers.stance", part))
    assert holds(found, 0.94, 0.9), found


def test_refusals_in_words_of_no_list_are_missed_and_none_is_made_up():
    found = rates(("refuses" in stance(row["answer"]), "refuses" in row["stance"]) for row in table("answers.stance", "blind"))
    assert holds(found, 0.95, 0.7), found


@pytest.mark.parametrize("part", SETS)
def test_figures_out_of_nowhere(part):
    found = rates(
        (
            compare_grounding(AnswerBatch([row["production"]], [row["replay"]], WORDS), [lambda row=row: row["grounds"]])
            .value[0] > 0,
            row["label"] == "ungrounded",
        )
        for row in table("answers.grounding", part)
    )
    assert holds(found, 0.8, 1.0), found


@pytest.mark.parametrize("part", SETS)
def test_outputs_that_are_told(part):
    found = rates(
        (not shortfall(Expectation(None, (row["output"],)), Conduct((), (row["answer"],))).untold, row["told"])
        for row in table("expected.outputs", part)
    )
    assert holds(found, 0.97, 0.94), found


def test_nothing_fires_on_good_answers_in_other_words():
    pairs = [row for part in SETS for row in table("answers.paraphrases", part)]
    both_ways = [(row[one], row[other]) for row in pairs for one, other in (("one", "other"), ("other", "one"))]
    alarmed = [pair for pair in both_ways if _alarms(*pair)]
    assert len(alarmed) <= MOST_FALSE_ALARMS * len(both_ways), alarmed


def _alarms(production: str, replay: str) -> bool:
    columns = compared(production, replay)
    refuses = ("refuses" in stance(production)) != ("refuses" in stance(replay))
    return refuses or any(fired(columns, name) for name in ("answer.polarity", "answer.substituted"))


def test_control_what_always_fires_is_under_every_floor():
    for part in SETS:
        rows = table("answers.polarity", part)
        assert not holds(rates((True, row["label"] == "contrary") for row in rows), 0.95, 0.85)
        assert not holds(rates((False, row["label"] == "contrary") for row in rows), 0.95, 0.85)
