"""JSON with integers of any length."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.errors import RecordError
from replay.exact_json import MAX_INTEGER_DIGITS, dumps, loads

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_what_is_written_is_read_back(value):
    assert loads(dumps(value)) == value


@given(st.integers(10**15, 10**60))
def test_a_long_integer_stays_that_integer(number):
    found = loads(f'{{"account": {number}}}')["account"]
    assert found == number
    assert type(found) is int


def test_neighbouring_account_numbers_stay_different():
    assert loads("90071992547409930001") != loads("90071992547409930002")


@given(json_values)
def test_agrees_with_the_standard_library(value):
    assert loads(json.dumps(value)) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    "text",
    [
        b"NaN",
        b"[Infinity]",
        b"1e999",
        b'"\\ud800"',
        b'{"a": 12345678901234567890, "b": "\\udfff"}',
        b"\xff",
        b"",
        b"{",
        b"[" * 5000 + b"]" * 5000,
        b"12345678901234567890" + b"[" * 5000,
        b"9" * (MAX_INTEGER_DIGITS + 1),
    ],
)
def test_what_rfc_8259_or_the_bounds_forbid_is_a_record_error(text):
    with pytest.raises(RecordError):
        loads(text)


def test_a_lone_surrogate_cannot_be_written():
    with pytest.raises(RecordError):
        dumps("\ud800")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_beside_a_long_integer_must_be_finite(number):
    with pytest.raises(RecordError):
        dumps([2**70, number])
