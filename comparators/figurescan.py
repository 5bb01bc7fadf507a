"""Where figures may stand in many texts: passages of a few tokens, found in one vectorised pass over all of them.

A token is a run without white space or a table's bar. One that holds a digit, or a word with which a figure begins,
begins a passage; tokens with digits or words of figures behind it, each behind a single space, belong to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from comparators.figurewords import FigureWords, english_figures
from comparators.spec import Bools, Ints
from comparators.wordscan import WORDS
from comparators.wordsearch import MARGIN, SLOT_BITS, Words, in_a_row, in_ascii, portions, slots, slots_of

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
_LONGEST_SIGN, _LONGEST_MARKER = 3, 3
#: Before the first marker of a list.
_BEFORE_LIST = ":.!?)*_;\n"
_WORD = re.compile(r"[\w']+")
#: Characters around a word in which its neighbours stand.
_AROUND = 16


#: Texts in a row, a byte for each character, and their words.
Row: TypeAlias = tuple[bytes, Words]


class _Tokens(NamedTuple):
    """Tokens that are something to figures: where they begin and end, and what they are.

    `follows`: the token before is one of them as well, and a space alone stands between. `marked`: it ends as the
    marker of a list does.
    """

    starts: Ints
    ends: Ints
    kinds: NDArray[np.uint8]
    follows: Bools
    marked: Bools


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

    def passages(
        self, texts: Sequence[str], in_row: Callable[[Sequence[str]], Row] | None = None
    ) -> tuple[Ints, list[str]]:
        """The row of every passage, and the passage, in order.

        `in_row` puts a portion of the texts in a row, as `row_of` does. The few tokens of all portions are looked at
        once, and Python runs for passages only.
        """
        if not texts:
            return np.zeros(0, np.int64), []
        portioned: list[_Tokens] = []
        begin = 0
        for raw, words in map(in_row or row_of, portions(texts)):
            portioned.append(self._tokens(raw, words, begin))
            begin += len(raw) - MARGIN
        tokens, rows = _placed(texts, portioned)
        _leave_out_markers(texts, tokens, rows)
        self._leave_out_pronouns(texts, tokens, rows)
        first, last = _runs(tokens)
        where = (rows[first], tokens.starts[first], tokens.ends[last])
        found = zip(*(each.tolist() for each in where), strict=True)
        return where[0], [texts[row][start:end] for row, start, end in found]

    def _tokens(self, raw: bytes, words: Words, first: int) -> _Tokens:
        """The tokens of a portion.

        The places of tokens are those in all texts with a character behind each; `first` is that of the portion.
        """
        classes = np.frombuffer(raw.translate(_CLASSES), np.uint8)
        gaps = np.flatnonzero(classes == _GAP)
        kinds = self._kinds(classes, gaps, words)
        some = np.flatnonzero(kinds != _NOTHING)
        before, ends = gaps[some - 1], gaps[some]
        follows = np.zeros(len(some), np.bool_)
        follows[1:] = some[1:] - some[:-1] == 1
        follows &= np.frombuffer(raw, np.uint8)[before] == ord(" ")
        marked = classes[ends - 1] == _MARK
        at = first - MARGIN
        return _Tokens(before + (at + 1), ends + at, kinds[some], follows, marked)

    def _kinds(self, classes: NDArray[np.uint8], gaps: Ints, words: Words) -> NDArray[np.uint8]:
        """What each token is, by the gap behind it: of a digit, a word and a sign the first one says it."""
        kinds = np.zeros(len(gaps), np.uint8)
        signs = np.searchsorted(gaps, np.flatnonzero(classes == _SIGN))
        kinds[signs[gaps[signs] - gaps[signs - 1] <= _LONGEST_SIGN + 1]] = _PART
        found = self.table[slots(words.keys)]
        hits = np.flatnonzero(found != _NOTHING)
        hits = hits[np.argsort(found[hits], kind="stable")]  # of a token's words the last one says what it is
        kinds[np.searchsorted(gaps, words.starts[hits])] = found[hits]
        kinds[np.searchsorted(gaps, np.flatnonzero(classes == _DIGIT))] = _BEGIN
        return kinds

    def _leave_out_pronouns(self, texts: Sequence[str], tokens: _Tokens, rows: Ints) -> None:
        """ "The one that failed" counts nothing."""
        places = np.flatnonzero(tokens.kinds == _ONE)
        where = (places, rows[places], tokens.starts[places], tokens.ends[places])
        for place, row, start, end in zip(*(each.tolist() for each in where), strict=True):
            tokens.kinds[place] = _BEGIN if self._counts(texts[row], start, end) else _NOTHING

    def _counts(self, text: str, start: int, end: int) -> bool:
        """Whether the word for one at this place is a number."""
        if not text[end - 1].isalpha() or text[end : end + 1] != " ":
            return False
        after = _WORD.match(text, end + 1)
        if after is None or after[0] in self.words.no_figure_before:
            return False
        before = _WORD.findall(text[max(start - _AROUND, 0) : start])
        return not before or before[-1] not in self.words.no_figure_after


def row_of(texts: Sequence[str]) -> Row:
    raw = in_a_row(in_ascii(texts))
    return raw, Words.of(raw.translate(WORDS))


def _placed(texts: Sequence[str], portioned: Sequence[_Tokens]) -> tuple[_Tokens, Ints]:
    """The tokens of all portions, with their places in their texts; and the rows of these."""
    starts, ends, kinds, follows, marked = map(np.concatenate, zip(*portioned, strict=True))
    sizes = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
    behind = np.cumsum(sizes)
    rows = np.searchsorted(behind, starts, side="right")
    first = (behind - sizes)[rows]
    follows[1:] &= rows[1:] == rows[:-1]
    return _Tokens(starts - first, ends - first, kinds, follows, marked), rows


def _leave_out_markers(texts: Sequence[str], tokens: _Tokens, rows: Ints) -> None:
    """The numbers of a list count nothing: 1., 2., 3. in order, the first one where a sentence may begin."""
    short = tokens.ends - tokens.starts <= _LONGEST_MARKER
    markers = np.flatnonzero(tokens.marked & (tokens.kinds == _BEGIN) & short)
    current, expected = -1, 1
    where = (markers, rows[markers], tokens.starts[markers], tokens.ends[markers])
    for place, row, start, end in zip(*(each.tolist() for each in where), strict=True):
        if row != current:
            current, expected = row, 1
        text = texts[row]
        if text[start : end - 1] != str(expected):
            continue
        front = text[max(start - 2, 0) : start].strip(" ")
        if expected > 1 or not front or front[-1] in _BEFORE_LIST:
            tokens.kinds[place] = _NOTHING
            expected += 1


def _runs(tokens: _Tokens) -> tuple[Ints, Ints]:
    """The first and the last token of every passage."""
    kinds = tokens.kinds
    some = np.flatnonzero(kinds != _NOTHING)
    follows = np.zeros(len(some), np.bool_)
    follows[1:] = (some[1:] - some[:-1] == 1) & tokens.follows[some[1:]]
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
