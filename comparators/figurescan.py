"""Where figures may stand in many texts: passages of a few tokens, found in one vectorised pass over all of them.

A token is a run without white space or a table's bar. One that holds a digit, or a word with which a figure begins,
begins a passage; tokens with digits or words of figures behind it, each behind a single space, belong to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from comparators.figurewords import FigureWords, english_figures
from comparators.spec import Bools, Ints
from comparators.wordscan import WORDS
from comparators.wordsearch import MARGIN, SLOT_BITS, bounds, slots, slots_of, tails

#: Tokens of a passage.
LONGEST_PASSAGE = 16
#: What a token is to a figure: nothing, a part, its begin, a part of a whole ("a third"), a word for one.
_NOTHING, _PART, _BEGIN, _FRACTION, _ONE = range(5)
#: What a byte is: white space or a bar, a digit, the end of a list's marker, a sign of a unit or currency ("?" is what
#: lies beyond ASCII); a token of signs is short.
_GAP, _DIGIT, _MARK, _SIGN = range(1, 5)
_CLASS_OF = {
    **dict.fromkeys(" \n|", _GAP),
    **dict.fromkeys("0123456789", _DIGIT),
    **dict.fromkeys(".)", _MARK),
    **dict.fromkeys("%$?", _SIGN),
}
_CLASSES = bytes(_CLASS_OF.get(chr(byte), 0) for byte in range(256))
_LONGEST_SIGN = 3
#: Before the first marker of a list.
_BEFORE_LIST = ":.!?)*_;\n"
_WORD = re.compile(r"[\w']+")
#: Characters around a word in which its neighbours stand.
_AROUND = 16


class _Tokens(NamedTuple):
    """Where tokens begin and end, what they are to figures, and whether a space alone stands in front."""

    starts: Ints
    ends: Ints
    kinds: NDArray[np.uint8]
    spaced: Bools
    markers: Ints


@dataclass(frozen=True)
class FigureScanner:
    """Finds passages in texts in normal form by the words of a language."""

    words: FigureWords

    @cached_property
    def table(self) -> NDArray[np.uint8]:
        """uint8[2**16]: what the words of each slot are to figures."""
        table = np.zeros(1 << SLOT_BITS, np.uint8)
        words = self.words
        for kind, those in (
            (_PART, words.of_figures),
            (_BEGIN, words.starts),
            (_FRACTION, words.fractions),
            (_ONE, words.ones),
        ):
            table[slots_of(those)] = kind
        return table

    def passages(self, texts: Sequence[str]) -> Iterator[tuple[int, str]]:
        """The row of every passage, and the passage, in order. Python runs for passages only."""
        joined = "\n".join((*texts, ""))
        tokens = self._tokens(joined)
        row_ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
        _leave_out_markers(joined, tokens, row_ends)
        self._leave_out_pronouns(joined, tokens)
        first, last = _runs(tokens)
        starts, ends = tokens.starts[first], tokens.ends[last]
        rows = np.searchsorted(row_ends, starts, side="right")
        for row, start, end in zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True):
            yield row, joined[start:end]

    def _tokens(self, joined: str) -> _Tokens:
        text = joined.encode("ascii", "replace")  # one byte each, others are "?"
        classes = np.frombuffer(text.translate(_CLASSES), np.uint8)
        ends = np.flatnonzero(classes == _GAP)
        starts = np.zeros_like(ends)
        np.add(ends[:-1], 1, out=starts[1:])
        kinds = np.zeros(len(ends), np.uint8)
        found, kind = self._words(text)
        kinds[np.searchsorted(ends, found)] = kind
        digits = np.searchsorted(ends, np.flatnonzero(classes == _DIGIT))
        kinds[digits] = _BEGIN
        length = ends - starts
        signs = np.searchsorted(ends, np.flatnonzero(classes == _SIGN))
        signs = signs[(length[signs] <= _LONGEST_SIGN) & (kinds[signs] == _NOTHING)]
        kinds[signs] = _PART
        spaced = np.zeros(len(ends), np.bool_)
        spaced[1:] = np.frombuffer(text, np.uint8)[ends[:-1]] == ord(" ")
        short = np.flatnonzero((length == 2) | (length == 3))
        marked = (classes[starts[short]] == _DIGIT) & (classes[ends[short] - 1] == _MARK)
        markers = short[marked]
        return _Tokens(starts, ends, kinds, spaced, markers)

    def _words(self, text: bytes) -> tuple[Ints, NDArray[np.uint8]]:
        """Where words of figures begin, and what they are, the least first."""
        low = b" " * MARGIN + text.translate(WORDS)[:-1] + b" "
        starts, ends = bounds(low)
        kinds = self.table[slots(tails(low, starts, ends))]
        hits = np.flatnonzero(kinds)
        hits = hits[np.argsort(kinds[hits], kind="stable")]  # of a token's words the last one says what it is
        return starts[hits] - MARGIN, kinds[hits]

    def _leave_out_pronouns(self, joined: str, tokens: _Tokens) -> None:
        """ "The one that failed" counts nothing."""
        places = np.flatnonzero(tokens.kinds == _ONE)
        where = (places, tokens.starts[places], tokens.ends[places])
        for place, start, end in zip(*(each.tolist() for each in where), strict=True):
            before = _WORD.findall(joined[max(start - _AROUND, 0) : start])
            after = _WORD.match(joined, end + 1)
            counts = (
                joined[end - 1].isalpha()
                and joined[end] == " "
                and after is not None
                and after[0] not in self.words.no_figure_before
                and (not before or before[-1] not in self.words.no_figure_after)
            )
            tokens.kinds[place] = _BEGIN if counts else _NOTHING


def _leave_out_markers(joined: str, tokens: _Tokens, row_ends: Ints) -> None:
    """The numbers of a list count nothing: 1., 2., 3. in order, the first one where a sentence may begin."""
    rows = np.searchsorted(row_ends, tokens.starts[tokens.markers], side="right").tolist()
    current, expected = -1, 1
    for row, place in zip(rows, tokens.markers.tolist(), strict=True):
        if row != current:
            current, expected = row, 1
        start, end = int(tokens.starts[place]), int(tokens.ends[place])
        written = joined[start : end - 1]
        if written != str(expected):
            continue
        front = joined[:start][-2:].strip(" ") if start < 2 else joined[start - 2 : start].strip(" ")
        if expected > 1 or not front or front[-1] in _BEFORE_LIST:
            tokens.kinds[place] = _NOTHING
            expected += 1


def _runs(tokens: _Tokens) -> tuple[Ints, Ints]:
    """The first and the last token of every passage."""
    kinds = tokens.kinds
    some = np.flatnonzero(kinds)
    follows = np.zeros(len(some), np.bool_)
    follows[1:] = (np.diff(some) == 1) & tokens.spaced[some[1:]]
    place = np.arange(len(some))
    begin = np.maximum.accumulate(np.where(follows, 0, place))
    run = np.cumsum((place - begin) % LONGEST_PASSAGE == 0)
    last = np.append(np.flatnonzero(np.diff(run)), len(some) - 1) if len(some) else place
    heads = np.flatnonzero(kinds[some] >= _BEGIN)
    heads = heads[np.diff(run[heads], prepend=0) != 0]
    # What part of a whole it is, the word before tells.
    earlier = (kinds[some[heads]] == _FRACTION) & follows[heads]
    return some[heads - earlier], some[last[run[heads] - 1]]


@cache
def english_scanner() -> FigureScanner:
    return FigureScanner(english_figures())
