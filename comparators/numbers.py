"""Numbers and ids in texts, and how many of them have no equal on the other side.

A figure is a token that holds a digit, or a number word from two upwards ("one" is mostly a pronoun). Numbers
lose currency signs and thousands separators and keep their unit; "50%" is 0.5 and "5 million" 5000000. What is
not plainly a number (a date, a phone number, "W-12/b", an integer with leading zeros) is a name and equals only
itself. Two numbers are equal if their values are, or if one is the other rounded to the decimals it shows.

Texts are expected in normal form (`text.normalise_all`): lower case, ASCII digits, single spaces.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from comparators.spec import Bools, Ints


class Figure(NamedTuple):
    """A number (`value` in plain decimal notation) or a name (`decimals` is `NAME`, `value` its text).

    `decimals` counts the digits shown after the point; after "1.2 million" it is -5.
    """

    value: str
    unit: str
    decimals: int


NAME = 1_000
#: Longer tokens are names: nobody writes such numbers, and arithmetic on them takes long.
LONGEST_NUMBER = 64
#: Characters searched at once, which bounds memory.
_CHARACTERS = 1 << 20

_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12, "percent": -2, "%": -2}
_UNITS = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {
    **{word: value for value, word in enumerate(_UNITS) if value > 1},
    **{word: value for value, word in enumerate(_TEENS, start=10)},
    **{word: 10 * value for value, word in enumerate(_TENS, start=2)},
    **{
        f"{tens}{between}{word}": 10 * value + unit
        for value, tens in enumerate(_TENS, start=2)
        for unit, word in enumerate(_UNITS)
        if unit
        for between in "- "
    },
}
_NUMBER_WORD = re.compile(rf"(?<!\w)({'|'.join(sorted(_WORDS, key=len, reverse=True))})\b(?!['-])")
_SCALE = re.compile(r" (hundred|thousand|million|billion|trillion|percent|%)(?![\w%])")
_NUMBER = re.compile(
    r"(?P<sign>[-+]?)[$€£¥₹₽₩₺₪₫฿]?(?P<more_sign>-?)"
    r"(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+|(?=\.[0-9]))(?:\.(?P<fraction>[0-9]+))?(?P<unit>%|[^\W\d_]{0,12})"
)
_ORDINALS = frozenset(("st", "nd", "rd", "th"))
_BEFORE = "([{<\"'`*_~#=:;,!?"
_AFTER = ")]}>\"'`*_~=:;,.!?"

_EXACT = Context(prec=4 * LONGEST_NUMBER)


def unmatched(production: Sequence[Figure], replay: Sequence[Figure]) -> tuple[list[Figure], list[Figure]]:
    """Figures missing from the replay and figures added by it, as multisets."""
    if production == replay:
        return [], []
    missing, added = _beyond(production, replay), _beyond(replay, production)
    shown = {figure.decimals for figure in (*missing, *added)} - {NAME}
    if len(shown) < 2 or not missing or not added:
        return missing, added
    return _cancel_rounded(Counter(missing), Counter(added), sorted(shown, reverse=True))


def figures(texts: Sequence[str]) -> list[list[Figure]]:
    """The figures of each normalised text."""
    result: list[list[Figure]] = [[] for _ in texts]
    read: dict[str, Figure] = {}
    for first, part in _parts(texts):
        for row, written in _written(part):
            figure = read.get(written)
            if figure is None:
                figure = _figure(*_token_and_scale(written))
                if len(written) <= LONGEST_NUMBER:
                    read[written] = figure
            result[first + row].append(figure)
    return result


def _beyond(these: Sequence[Figure], those: Sequence[Figure]) -> list[Figure]:
    """Multiset difference by value and unit. Of equal values the later ones stay."""
    budget: dict[tuple[str, str], int] = {}
    for value, unit, _ in those:
        budget[value, unit] = budget.get((value, unit), 0) + 1
    left = []
    for figure in these:
        value, unit, _ = figure
        if remaining := budget.get((value, unit), 0):
            budget[value, unit] = remaining - 1
        else:
            left.append(figure)
    return left


def _cancel_rounded(
    missing: Counter[Figure], added: Counter[Figure], shown: Sequence[int]
) -> tuple[list[Figure], list[Figure]]:
    """Take out pairs of which one is the other rounded, finest first, so that swapping the sides changes nothing."""
    sides = [(figure, missing, added) for figure in missing] + [(figure, added, missing) for figure in added]
    for figure, own, other in sorted(sides, key=lambda side: _by_decimals(side[0])):
        for decimals in () if figure.decimals == NAME else shown:
            if decimals < figure.decimals:
                coarse = Figure(rounded(figure.value, decimals), figure.unit, decimals)
                cancelled = min(own[figure], other[coarse])
                own[figure] -= cancelled
                other[coarse] -= cancelled
    return list(missing.elements()), list(added.elements())


def _by_decimals(figure: Figure) -> tuple[int, str, str]:
    return -figure.decimals, figure.value, figure.unit


def rounded(value: str, decimals: int) -> str:
    return _plain(Decimal(value).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, _EXACT))


def _plain(number: Decimal) -> str:
    return "0" if not number else format(number.normalize(_EXACT), "f")


# -- finding tokens ---------------------------------------------------------------------------------------------


def _parts(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Runs of texts of about `_CHARACTERS` characters, each with the row of its first text."""
    first, size = 0, 0
    for row, text in enumerate(texts):
        size += len(text)
        if size > _CHARACTERS and row > first:
            yield first, texts[first:row]
            first, size = row, len(text)
    if first < len(texts):
        yield first, texts[first:]


def _written(texts: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Row of every figure, and what stands there: a run without gaps, and its scale word behind a space.

    Python runs for runs that hold a digit only.
    """
    joined = "\n".join((*texts, ""))
    text = joined.encode("ascii", "replace")  # one byte each, others are "?"
    codes = np.frombuffer(text, dtype=np.uint8)
    row_ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
    gaps = np.flatnonzero((codes == ord(" ")) | (codes == ord("\n")) | (codes == ord("|")))
    ends_with = _distinct(np.searchsorted(gaps, np.flatnonzero(_is_digit(codes))))
    starts, ends = np.where(ends_with > 0, gaps[ends_with - 1] + 1, 0), gaps[ends_with]
    places = (np.searchsorted(row_ends, starts, side="right"), starts, ends, _may_have_scale(codes, ends))
    for row, start, end, scaled in zip(*(each.tolist() for each in places), strict=True):
        yield row, joined[start : _end_of_scale(joined, start, end) if scaled else end]
    words = _word_starts(text)
    elsewhere = np.ones(len(gaps), np.bool_)
    elsewhere[ends_with] = False
    words = words[elsewhere[np.searchsorted(gaps, words)]]
    yield from _number_words(joined, words, np.searchsorted(row_ends, words, side="right"))


def _may_have_scale(codes: NDArray[np.uint8], ends: Ints) -> Bools:
    """Whether a space follows, and the first letter of a scale word."""
    following = codes[np.minimum(ends + 1, len(codes) - 1)]
    found: Bools = (codes[ends] == ord(" ")) & _SCALE_STARTS[following]
    return found


def _end_of_scale(joined: str, start: int, end: int) -> int:
    """A scale word belongs to a number that no punctuation ends."""
    scale = _SCALE.match(joined, end) if joined[end - 1] not in _AFTER and end > start else None
    return scale.end() if scale else end


def _is_digit(codes: NDArray[np.uint8]) -> Bools:
    return codes - np.uint8(ord("0")) < 10  # wraps below "0"


def _distinct(ascending: Ints) -> Ints:
    return ascending[np.flatnonzero(np.diff(ascending, prepend=-1))]


def _word_starts(text: bytes) -> Ints:
    """Where a run of letters and digits starts as some number word does. The text ends with a line's end."""
    kinds = np.frombuffer(text.translate(_KINDS), np.uint8)
    begins = kinds == _BEGINS
    begins[1:] &= kinds[:-1] == _APART
    starts = np.flatnonzero(begins[:-3])
    letters = np.frombuffer(text, np.uint8)[starts + np.arange(4)[:, np.newaxis]] - np.uint8(ord("a"))
    found: Ints = starts[_BEGINNINGS[tuple(np.minimum(letters, _NO_LETTER))]]
    return found


def _number_words(joined: str, starts: Ints, rows: Ints) -> Iterator[tuple[int, str]]:
    done = 0
    for start, row in zip(starts.tolist(), rows.tolist(), strict=True):
        word = _NUMBER_WORD.match(joined, start) if start >= done else None
        if word is not None:
            done = word.end()
            scale = _SCALE.match(joined, done)
            yield row, f"{_WORDS[word[0]]}{scale[0] if scale else ''}"


def _beginnings() -> Bools:
    """Table of the first four letters of number words, shape (27, 27, 27, 27); of shorter ones their end is a part."""
    table = np.zeros((_NO_LETTER + 1,) * 4, dtype=np.bool_)
    for word in _WORDS:
        letters = [ord(letter) - ord("a") for letter in word[:4]]
        table[(*letters, _NO_LETTER)[:4]] = True
    return table


#: What a byte is: the first letter of some number word, another letter or a digit, anything else.
_APART, _INSIDE, _BEGINS = range(3)
_KINDS = bytes(
    _BEGINS if chr(code) in {word[0] for word in _WORDS} else _INSIDE if chr(code).isalnum() and code < 128 else _APART
    for code in range(256)
)
_NO_LETTER = 26
_BEGINNINGS = _beginnings()
_SCALE_STARTS: Bools = np.isin(np.arange(256), [ord(scale[0]) for scale in _SCALES])


# -- reading tokens ---------------------------------------------------------------------------------------------


def _token_and_scale(written: str) -> tuple[str, str]:
    token, _, scale = written.partition(" ")
    return token.rstrip(_AFTER).lstrip(_BEFORE), scale


def _figure(token: str, scale: str) -> Figure:
    match = _NUMBER.fullmatch(token) if len(token) <= LONGEST_NUMBER else None
    whole = match["whole"].replace(",", "") if match else ""
    if match is None or (len(whole) > 1 and whole.startswith("0")):
        return Figure(f"{token} {scale}".rstrip(), "", NAME)
    fraction = match["fraction"] or ""
    unit = "" if match["unit"] in _ORDINALS else match["unit"]
    exponent = _SCALES.get(scale, 0)
    if unit == "%":
        unit, exponent = "", exponent + _SCALES["%"]
    minus = "-" if "-" in (match["sign"], match["more_sign"]) else ""
    number = Decimal(f"{minus}{whole or 0}.{fraction or 0}").scaleb(exponent, _EXACT)
    return Figure(_plain(number), unit, len(fraction) - exponent)
