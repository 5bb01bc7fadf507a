"""The normal form of texts, against a twin that goes character by character."""

from __future__ import annotations

import json
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparators import text as module
from comparators.text import excerpt, normalise, normalise_all

#: Any code point, lone surrogates and NUL too, with those that matter made likely.
LIKELY = 'aAzZ09 \t\n\x00\x1c\x7f\x85\xa0\u200b\u2019\u201c\u2014\u0301\u0327ß\u0130\ufeff\ud800\udfff\u0663\xff{}[]",'
TEXTS = st.text(st.one_of(st.sampled_from(LIKELY), st.characters(exclude_categories=())), max_size=40)
QUOTES = dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc", "'") | dict.fromkeys("\u201c\u201d\u201e\u201f«»", '"')
DASHES = dict.fromkeys("\u2010\u2012\u2013\u2014\u2015\u2212", "-")


def slow(text: str) -> str:
    """The definition, for texts that are no JSON."""
    visible = "".join(char for char in text if not module._INVISIBLE.match(char))
    folded = unicodedata.normalize("NFKC", visible).casefold()
    plain = ""
    for char in folded:
        if module._INVISIBLE.match(char):
            continue
        digit = str(unicodedata.decimal(char)) if char.isdecimal() else char
        plain += (QUOTES | DASHES).get(char, digit)
    return " ".join(plain.split())


def is_json(text: str) -> bool:
    return text.strip().startswith(("{", "["))


@given(st.lists(TEXTS, max_size=8))
@settings(max_examples=300, deadline=None)
def test_twin_and_batch(texts):
    """The same normal form alone and in a batch, and the one the definition gives."""
    expected = [normalise(text) if is_json(text) else slow(text) for text in texts]
    assert normalise_all(texts) == expected
    assert normalise_all(texts[::-1]) == expected[::-1]


def test_more_texts_than_are_folded_at_once():
    numbers = range(2 * module._TOGETHER + 1)
    assert normalise_all([f" Text  {number}\n" for number in numbers]) == [f"text {number}" for number in numbers]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Café", "Cafe\u0301"),
        ("“Done” — it\u2019s", '"done" - it\'s'),
        ("a\u200bb\u00ad", "ab"),
        ("  a\r\n\tb\u00a0c ", "A b C"),
        ("１２３", "123"),
        ("٣٤", "34"),
        ("Straße", "STRASSE"),
        ("a\x00b", "ab"),
        ('{"b": 1, "a": [2]}', ' {"a":[2],"b":1}\n'),
    ],
)
def test_same(one, other):
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("not done", "done"),
        ("résumé", "resume"),
        ('{"a": 1, "a": 2}', '{"a": 2}'),  # which of two equal keys counts depends on the reader
        ('{"a": 1}', '{"a": "1"}'),
        ("[1]", "[2]"),
    ],
)
def test_different(one, other):
    assert normalise(one) != normalise(other)


@pytest.mark.parametrize(
    "text", ["{", "[}", "[" * 100_000 + "]" * 100_000, '{"a": ' + "9" * 5000 + "}", "[NaN]", "[1e999]"]
)
def test_what_cannot_be_read_as_json_stays_text(text):
    assert normalise(text) == " ".join(text.lower().split())


def test_json_beyond_the_limit_is_text():
    text = json.dumps({"b": "x" * module.MAX_JSON_CHARS, "a": 1})
    assert normalise(text).startswith('{"b"')


@pytest.mark.parametrize(
    "text",
    [
        "\u0315\u0300" * 1_000_000,  # sorting these marks is quadratic in a plain NFKC
        "é" * 2_000_000,
        " " * 5_000_000 + "a",
        "a b" * 1_500_000,
        "\ud800" * 2_000_000,
        "\u200b" * 2_000_000,
        "{" * 5_000_000,
        "[" + "[]," * 1_500_000 + "[]]",
    ],
    ids=["marks", "accents", "spaces", "words", "surrogates", "invisible", "braces", "lists"],
)
def test_megabytes_take_seconds_at_most(text):
    before = time.thread_time()
    normalise(text)
    assert time.thread_time() - before < 10


def test_long_and_short_runs_of_marks_are_told_apart_only_beyond_thirty():
    assert normalise("a" + "\u0300\u0315" * 10 + "é" * 2000) == normalise("a" + "\u0300\u0315" * 10) + "é" * 2000


@given(TEXTS, st.integers(2, 30))
def test_excerpt_is_printable_and_short(text, limit):
    shown = excerpt(text, limit)
    assert len(shown) <= limit
    shown.encode("utf-8")
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in shown)


def test_excerpt_escapes_what_could_not_be_seen():
    assert excerpt("a\n\x00\u202e\ud800", 40) == "a\\n\\u0000\\u202e\\ud800"
    assert excerpt("abcdef", 4) == "abc…"
