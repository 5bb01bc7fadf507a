"""Dead letters hold a record whole; too many of them stop the service, in a row or by share."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.dead_letters import SHARE_OF, BadRecords, dead_letter
from consumers.stream import Partition, Received
from replay.comparison import DeadLetter
from replay.errors import RecordError
from replay.wire import decode, encode

P, Q = Partition("t", 0), Partition("t", 1)


@given(st.binary(), st.none() | st.binary(), st.lists(st.tuples(st.text(), st.binary()), max_size=3))
def test_a_letter_holds_every_byte(value, key, headers):
    record = Received(P, 7, value, key, 1, tuple(headers))
    letter = decode(DeadLetter, encode(dead_letter(record, RecordError("why", field="$.x"), run_id="r")))
    assert letter.value == value
    assert letter.value_sha256 == sha256(value).hexdigest()
    assert (None if letter.key_base64 is None else base64.b64decode(letter.key_base64)) == key
    assert tuple((name, base64.b64decode(held)) for name, held in letter.headers) == tuple(headers)
    assert (letter.source.partition, letter.source.offset, letter.reason, letter.field) == (0, 7, "why", "$.x")


def test_a_run_is_counted_by_partition():
    bad = BadRecords(max_run=3, max_share=None)
    for partition in (P, Q, P, Q, P, Q):
        assert bad.count(partition, bad=True) is None
    assert "4 bad records in a row on t/1" in bad.count(Q, bad=True)
    assert bad.count(Q, bad=False) is None
    assert bad.count(Q, bad=True) is None


def test_a_share_is_that_of_the_last_thousand():
    bad = BadRecords(max_run=None, max_share=0.5)
    for number in range(SHARE_OF - 1):
        assert bad.count(P, bad=number % 2 == 0) is None
    assert bad.count(P, bad=True) == "worker_max_bad_share: 50.1% of the last 1,000 records are bad"
    for _ in range(SHARE_OF):
        bad.count(P, bad=False)
    assert bad.count(P, bad=True) is None


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5))
def test_without_limits_nothing_stops_it_and_with_one_it_stops_at_the_first_run(outcomes, most):
    endless, bounded = BadRecords(None, None), BadRecords(most, None)
    run = 0
    for bad in outcomes:
        run = run + 1 if bad else 0
        assert endless.count(P, bad=bad) is None
        assert (bounded.count(P, bad=bad) is not None) == (run > most)


def test_few_records_have_no_share():
    bad = BadRecords(max_run=None, max_share=0.01)
    assert all(bad.count(P, bad=True) is None for _ in range(SHARE_OF - 1))
    assert bad.count(P, bad=True) is not None


@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_the_ends_of_a_share(limit):
    bad = BadRecords(max_run=None, max_share=limit)
    found = [bad.count(P, bad=True) for _ in range(SHARE_OF)][-1]
    assert (found is None) == (limit == 1.0)
