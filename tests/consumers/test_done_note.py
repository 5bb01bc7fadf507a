"""The note beside an offset: which records beyond it are done. It reads back what was written, and always fits."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.done_note import MOST_BYTES, Note, longest_span, read_note, write_note
from replay.errors import UsageError

NONCE = "0123456789abcdef"
spans = st.sets(st.integers(1, 3_000), max_size=200)


@given(
    spans, st.integers(0, 2**62), st.text(max_size=200).filter(lambda text: len(text.encode("utf-8", "ignore")) < 500)
)
def test_what_was_written_is_read(relative, offset, rest):
    rest = rest.encode("utf-8", "ignore").decode()
    note = Note(NONCE, tuple(sorted(offset + n for n in relative)), rest)
    assert read_note(write_note(note, offset), offset, whose="g") == note


@pytest.mark.parametrize("rest", ["", "x" * 300])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.98, 1.0])
def test_the_longest_span_fits_whatever_is_done(rest, share):
    chance = random.Random(7)
    span = longest_span(rest)
    done = [n for n in range(1, span) if chance.random() < share] + [span - 1]
    text = write_note(Note(NONCE, tuple(done), rest), 0)
    assert len(text) <= MOST_BYTES
    assert read_note(text, 0, whose="g").done == tuple(sorted(set(done)))


def test_the_span_of_the_settings_fits_without_compression():
    assert longest_span() >= 24_000


def test_more_does_not_fit_and_is_our_own_mistake():
    chance = random.Random(7)
    with pytest.raises(ValueError, match="is kept by no broker"):
        write_note(Note(NONCE, tuple(n for n in range(60_000) if chance.random() < 0.5)), 0)


@pytest.mark.parametrize("text", ["", "set by an operator", '{"schema":"window/1"}'])
def test_other_text_says_that_nothing_beyond_is_done(text):
    assert read_note(text, 5, whose="g") == Note("", (), text)


@pytest.mark.parametrize(
    "text", ["d2.0123456789abcdef.rAA==", f"d1.{NONCE}.rA", f"d1.{NONCE}.zAAAA", f"d1.{NONCE}.q", "d1.short.rAA=="]
)
def test_a_bitmap_that_cannot_be_read_is_refused(text):
    with pytest.raises(UsageError, match="group g: its offsets carry notes this version cannot read"):
        read_note(text, 5, whose="group g")
