"""Figures: which tokens are numbers, which are names, and when two of them are equal."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparators import wordsearch
from comparators.figure import DATE, NAME, TIME, WEAK, Figure, otherwise, rounded
from comparators.figureread import english_reader
from comparators.figurewords import english_figures
from comparators.numbers import counted, figures, unmatched
from comparators.text import normalise

READER, WORDS = english_reader(), english_figures()


def compare_figures(production, replay):
    """Share of figures without an equal on the other side, and where there is any figure at all."""
    sides = list(zip(figures(production), figures(replay), strict=True))
    alone = np.array([sum(map(len, unmatched(left, right))) for left, right in sides])
    total = np.maximum([len(counted(left)) + len(counted(right)) for left, right in sides], alone)
    return alone / np.maximum(total, 1), total > 0


def read(text: str) -> list[Figure]:
    return figures([normalise(text)])[0]


def score(production: str, replay: str) -> float | None:
    value, applicable = compare_figures([normalise(production)], [normalise(replay)])
    return float(value[0]) if applicable[0] else None


def number(value: str, unit: str = "", decimals: int = 0) -> Figure:
    return Figure(value, unit, decimals)


def name(text: str) -> Figure:
    return Figure(text, "", NAME)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no figure at all", []),
        ("one of them", []),  # mostly a pronoun
        ("**$1,250.00**, please", [number("1250", "$", 2)]),
        ("-€5 and +5", [number("-5", "eur"), number("5")]),
        ("5kg (12gb) .5", [number("5", "kg"), number("12", "gb"), number("0.5", decimals=1)]),
        ("50% 12.5 % 3 percent", [number("0.5", "%", 2), number("0.125", "%", 3), number("0.03", "%", 2)]),
        ("1.2 million, 3 hundred", [number("1200000", decimals=-5), number("300", decimals=-2)]),
        ("2024-05-17 at 10:30", [Figure("05-17", "", DATE), number("2024"), Figure("10:30", "", TIME)]),
        ("May 5th, 2024", [Figure("05-05", "", DATE), number("2024")]),
        ("the 4th of March", [Figure("03-04", "", DATE)]),
        ("9:00-10:30 AM", [Figure("9:00", "am", TIME), Figure("10:30", "am", TIME)]),
        ("3-5 days, $5-10", [number("3"), number("5", "day"), number("5"), number("10")]),
        ("(555) 010-4477", [name("5550104477")]),
        ("v2.13.4 on 10.2.3.4:8080", [name("2.13.4"), name("10.2.3.4"), number("8080")]),
        ("1. Open it 2. Close it", []),
        ("You have one message", [Figure("1", "", WEAK)]),
        ("a third, half an hour", [Figure("0.3333", "", WEAK), Figure("0.5", "h", WEAK)]),
        ("1.250,00 \u20ac", [number("1250", "eur", 2)]),
        ("order #W-123/b; 0042", [name("w-123/b"), name("0042")]),
        ("the 3rd of 21st", [number("3"), number("21")]),
        ("m³ x²", [name("m3"), name("x2")]),
        ("|7|8|", [number("7"), number("8")]),
        ("Twelve, twenty-five and forty two", [number("12"), number("25"), number("42")]),
        ("two million", [number("2000000", decimals=-6)]),
        ("one thousand, one percent", [number("1000", decimals=-3), Figure("0.01", "%", WEAK)]),
        ("5 tent/half", [number("5")]),
        ("often tender forward twofold someone", []),
        ("9" * 65, [name("9" * 65)]),
        ("٣٤ devices", [number("34")]),
        ("1,25,0 1.2.3", [name("1,25,0"), name("1.2.3")]),
        ("\ud8001 \x005", [name("\ud8001"), number("5")]),
        ("-0 0.00", [number("0"), number("0", decimals=2)]),
    ],
)
def test_figures(text, expected):
    assert sorted(read(text)) == sorted(expected)


@pytest.mark.parametrize(
    ("production", "replay", "expected"),
    [
        ("a", "b", None),
        ("$1,250", "1250.00 USD", 0.0),
        ("$1,250", "$1,520", 1.0),
        ("1000", "1001", 1.0),
        ("1234567890", "1234567891", 1.0),
        ("3.14159", "3.14", 0.0),
        ("3.14", "3.15", 1.0),
        ("49.99", "50", 0.0),
        ("0.5", "50%", 0.0),
        ("1.25 million", "1,250,000", 0.0),
        ("1,250,000", "1.3 million", 0.0),
        ("5 million", "5 billion", 1.0),
        ("5kg", "5lb", 1.0),
        ("twenty-five", "25", 0.0),
        ("one percent", "1%", 0.0),
        ("half a percent", "0.5%", 0.0),
        ("one hundred kg", "100 kg", 0.0),
        ("5 5", "5", 1 / 3),
        ("5 6", "6 5", 0.0),
        ("5", "none", 1.0),
        ("W123", "w123", 0.0),
        ("W123", "W132", 1.0),
        ("0042", "42", 1.0),
        ("3.14 3.1", "3.1 3.14159", 0.0),
        ("5 GB", "5 MB", 1.0),
        ("5 GB", "5", 0.0),
        ("1.5 GB", "1500 MB", 0.0),
        ("72 hours", "three days", 0.0),
        ("EUR 40", "$40", 1.0),
        ("$40", "US$40", 0.0),
        ("3 PM", "15:00", 0.0),
        ("3 PM", "3 AM", 1.0),
        ("10:30", "22:30", 1.0),
        ("05/04/2024", "4 May 2024", 0.0),
        ("Monday", "Tuesday", 1.0),
        ("Monday", "soon", None),
        ("first", "third", 1.0),
        ("912 4456 7781", "91244567781", 0.0),
    ],
)
def test_score(production, replay, expected):
    assert score(production, replay) == expected
    assert score(replay, production) == expected


TOKENS = st.sampled_from(["1", "1.0", "1.04", "1.2", "2", "two", "1.5%", "0.015", "1k", "w-1", "x", "007", "5 gb", "5 mb", "5"])
TEXTS = st.lists(TOKENS, max_size=6).map(" ".join)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=6))
@settings(max_examples=200, deadline=None)
def test_twin_batch_and_symmetry(pairs):
    """Alone, in a batch and with the sides swapped; and as many have no partner as a slow twin finds."""
    production, replay = ([pair[side] for pair in pairs] for side in (0, 1))
    value, applicable = compare_figures(production, replay)
    swapped, _ = compare_figures(replay, production)
    assert swapped.tobytes() == value.tobytes()
    for row, (one, other) in enumerate(pairs):
        alone, there = compare_figures([one], [other])
        assert (alone[0], there[0]) == (value[row], applicable[row])
        left, right = read(one), read(other)
        missing, added = unmatched(left, right)
        assert len(left) - len(missing) == len(right) - len(added)
        assert sum(map(len, (missing, added))) == slow(left, right)
        assert (value[row] == 0) == (not missing and not added)


def slow(left: list[Figure], right: list[Figure]) -> int:
    """How many figures have no partner, by comparing all with all: equal ones first, then the other ways to write one."""
    ours, theirs = list(left), list(right)
    for figure in left:  # of equal ones the later stay
        alike = [[each for each in side if each[:2] == figure[:2]] for side in (ours, theirs)]
        if all(alike):
            ours.remove(alike[0][0])
            theirs.remove(alike[1][0])
    for same in (
        lambda one, other: other[:2] in tuple(otherwise(one)) or one[:2] in tuple(otherwise(other)),
        lambda one, other: is_rounded(one, other) or is_rounded(other, one),
    ):
        for one in sorted(ours, key=lambda figure: (-figure.decimals, figure)):
            other = next((other for other in sorted(theirs, key=lambda it: -it.decimals) if same(one, other)), None)
            if other is not None:
                ours.remove(one)
                theirs.remove(other)
    return len(ours) + len(theirs)


def is_rounded(fine: Figure, coarse: Figure) -> bool:
    if fine.decimals >= NAME or coarse.decimals >= fine.decimals:
        return False
    return rounded(fine.value, coarse.decimals) == coarse.value and coarse.unit in (fine.unit, "")


PIECES = st.sampled_from(
    (
        *("may", "5", "kg", "to", "of", "the", "x", "$5", "12:30", "am", "third", "a", "half", "\u20ac", "twenty-two", "%"),
        *("|", "|7|", "w-5,", "friday", "and", "add", "inc", "\n", "2024", "(555)", "010-4477", "\ud800", "\u00f1o"),
        *("million", "per", "cent"),
    )
)


@given(st.lists(st.lists(PIECES, max_size=12).map(" ".join), max_size=5))
@settings(max_examples=150, deadline=None)
def test_what_the_scanner_finds_is_what_a_slow_walk_over_tokens_finds(texts):
    normal = [normalise(text) for text in texts]
    assert figures(normal) == [[figure for passage in slow_passages(text) for figure in READER.read(passage)] for text in normal]


def slow_passages(text: str) -> list[str]:
    """Token by token: runs of those that hold a digit, a sign or a word of figures, from the first that begins one."""
    runs: list[list[str]] = [[]]
    for gap, token in re.findall(r"(^|[ |])([^ |]*)", text):
        part = _begins(token) or bool(WORDS.of_figures.intersection(_words(token))) or _is_sign(token)
        if gap != " " or not part:
            runs.append([])
        if part:
            runs[-1].append(token)
    return [" ".join(run[_first(run) :]) for run in runs if any(map(_begins, run))]


def _first(run: list[str]) -> int:
    """Where the first figure of a run begins; a part of a whole with the word before."""
    first = next(place for place, token in enumerate(run) if _begins(token))
    part = not re.search("[0-9]", run[first]) and (_words(run[first]) or [""])[-1] in WORDS.fractions
    return first - 1 if part and first else first


def _begins(token: str) -> bool:
    return bool(re.search("[0-9]", token)) or bool(WORDS.starts.intersection(_words(token)))


def _is_sign(token: str) -> bool:
    return len(token) <= 3 and any(sign in "%$?" or not sign.isascii() for sign in token)


def _words(token: str) -> list[str]:
    return re.findall("[a-z0-9']+", token)


def test_parts_of_a_batch_do_not_show(monkeypatch):
    texts = ["1 two 3.5", "", "x", "5%", "six hundred w-1"] * 4
    whole = figures(texts)
    monkeypatch.setattr(wordsearch, "_CHARACTERS", 8)
    assert figures(texts) == whole


@pytest.mark.parametrize(
    "text", ["7" * 5_000_000, "7 " * 300_000, "two " * 300_000, "a1" * 2_000_000, "1." * 2_000_000]
)
def test_megabytes_take_seconds_at_most(text):
    before = time.thread_time()
    compare_figures([text], [text[1:]])
    assert time.thread_time() - before < 10


@pytest.mark.parametrize(
    ("production", "replay"),
    [
        ("0.5 x " + "1.00 " * 20_000 + "1.0 " * 20_000, "50% x 7"),
        ("3.14 " * 20_000 + "3.140 " * 20_000, "3.1 " * 40_000),
    ],
)
def test_one_figure_many_times_takes_no_longer_than_many_figures(production, replay):
    before = time.thread_time()
    compare_figures([production], [replay])
    assert time.thread_time() - before < 5
