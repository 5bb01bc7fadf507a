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
    read: dict[tuple[str, str], Figure] = {}
    for first, part in _parts(texts):
        for row, token, scale in _tokens(part):
            figure = read.get((token, scale)) or _figure(token, scale)
            if len(token) <= LONGEST_NUMBER:
                read[token, scale] = figure
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


def _tokens(texts: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Row, token and scale word of every figure. Python runs for tokens that hold a digit only."""
    joined = "\n".join((*texts, ""))
    codes = np.frombuffer(joined.encode("ascii", "replace"), dtype=np.uint8)  # one byte each, others are "?"
    row_ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
    gaps = np.flatnonzero((codes == ord(" ")) | (codes == ord("\n")) | (codes == ord("|")))
    ends_with = _distinct(np.searchsorted(gaps, np.flatnonzero(_is_digit(codes))))
    starts = np.where(ends_with > 0, gaps[ends_with - 1] + 1, 0)
    rows = np.searchsorted(row_ends, starts, side="right")
    for row, start, end in zip(rows.tolist(), starts.tolist(), gaps[ends_with].tolist(), strict=True):
        yield row, *_with_scale(joined, start, end)
    words = _word_starts(codes)
    words = words[~np.isin(np.searchsorted(gaps, words), ends_with)]
    yield from _number_words(joined, words, np.searchsorted(row_ends, words, side="right"))


def _is_digit(codes: NDArray[np.uint8]) -> Bools:
    return codes - np.uint8(ord("0")) < 10  # wraps below "0"


def _distinct(ascending: Ints) -> Ints:
    return ascending[np.flatnonzero(np.diff(ascending, prepend=-1))]


def _with_scale(joined: str, start: int, end: int) -> tuple[str, str]:
    raw = joined[start:end]
    token = raw.rstrip(_AFTER)
    scale = _SCALE.match(joined, end) if len(token) == len(raw) else None
    return token.lstrip(_BEFORE), scale[1] if scale else ""


def _word_starts(codes: NDArray[np.uint8]) -> Ints:
    """Where a run of letters starts with the first three letters of some number word."""
    letters = np.minimum(codes - np.uint8(ord("a")), 26)
    inside = (letters < 26) | _is_digit(codes)
    starts = np.flatnonzero(inside[:-2] & ~np.concatenate(([False], inside[:-3]))) if len(codes) > 2 else _NONE
    starts = starts[_FIRST[letters[starts]]]
    found: Ints = starts[_PREFIXES[letters[starts], letters[starts + 1], letters[starts + 2]]]
    return found


def _number_words(joined: str, starts: Ints, rows: Ints) -> Iterator[tuple[int, str, str]]:
    done = 0
    for start, row in zip(starts.tolist(), rows.tolist(), strict=True):
        word = _NUMBER_WORD.match(joined, start) if start >= done else None
        if word is not None:
            done = word.end()
            scale = _SCALE.match(joined, done)
            yield row, str(_WORDS[word[0]]), scale[1] if scale else ""


def _prefixes() -> Bools:
    """Table of the first three letters of number words, shape (27, 27, 27); 26 stands for any other character."""
    table = np.zeros((27, 27, 27), dtype=np.bool_)
    for word in _WORDS:
        table[tuple(ord(letter) - ord("a") for letter in word[:3])] = True
    return table


_PREFIXES = _prefixes()
_FIRST: Bools = np.any(_PREFIXES, axis=(1, 2), keepdims=True).ravel()
_NONE: Ints = np.zeros(0, np.int64)


# -- reading tokens ---------------------------------------------------------------------------------------------


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
