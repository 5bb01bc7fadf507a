"""One figure of a text, and in which other ways the same figure may be written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from comparators.figurewords import english_figures


class Figure(NamedTuple):
    """A number (`value` in plain decimal notation) or something else that `decimals` names, `value` its text.

    `decimals` counts the digits shown after the point; after "1.2 million" it is -5. From `NAME` on it says what the
    figure is: a name ("w-12/b"), a time of day ("15:30", `unit` says that "am" or "pm" was written), a day of a year
    ("05-24") or one of two ("4/5", written as it was), a month, a weekday, or a word that is a number only in the place
    of another ("one", "first").
    """

    value: str
    unit: str
    decimals: int


#: Value and unit: what two figures have in common that are the same.
Key: TypeAlias = tuple[str, str]

NAME, TIME, DATE, MONTH, WEEKDAY, WEAK = range(1_000, 1_006)
#: What is told of only where it stands in another's place.
FAINT = frozenset((MONTH, WEEKDAY, WEAK))
#: Longer tokens are names: nobody writes such numbers, and arithmetic on them takes long.
LONGEST_NUMBER = 64

_EXACT = Context(prec=4 * LONGEST_NUMBER)
_SEPARATORS = re.compile(r"[-_/.#:+() ]+")
_LETTERS_AND_DIGITS = re.compile(r"[a-z]+[-_#/]?([0-9]+)")
_TWO_PARTS = re.compile(r"([0-9]{1,2})/([0-9]{1,2})")
#: Digits of a telephone number without its country.
_NATIONAL = 10


def plain(number: Decimal) -> str:
    return "0" if not number else format(number.normalize(_EXACT), "f")


def scaled(number: Decimal, exponent: int) -> Decimal:
    return number.scaleb(exponent, _EXACT)


def rounded(value: str, decimals: int) -> str:
    return plain(Decimal(value).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, _EXACT))


def kind_of(figure: Figure) -> int:
    """What can stand in its place: a number in that of a number, a name in that of a name."""
    return 0 if figure.decimals < NAME or figure.decimals == WEAK else figure.decimals


def shown(figure: Figure) -> str:
    """A figure for a reader."""
    value, unit, decimals = figure
    if unit == "%":
        return f"{plain(scaled(Decimal(value), 2))}%"
    if unit == "$":
        return f"${value}".replace("$-", "-$")
    return f"{value} {unit}" if unit and decimals not in (MONTH, WEEKDAY, TIME) else value


def respelled(figure: Figure) -> Iterator[Key]:
    """Other ways to write the same: without its unit, in another unit, on the other clock, with fewer signs."""
    if kind_of(figure) == 0:
        yield from _other_units(figure)
    elif figure.decimals == TIME:
        yield from _other_clocks(figure)
    elif figure.decimals == DATE:
        yield from _both_days(figure)
    elif figure.decimals == NAME:
        yield from _fewer_signs(figure)


def otherwise(figure: Figure) -> Iterator[Key]:
    """`respelled`, and what tells a part of it: the day or the month alone, the digits alone."""
    yield from respelled(figure)
    if figure.decimals == DATE and "-" in figure.value:
        month, _, day = figure.value.partition("-")
        yield from ((str(int(day)), ""), (month, "month"))
    elif figure.decimals == NAME:
        digits = _LETTERS_AND_DIGITS.fullmatch(figure.value)
        if digits:
            yield digits[1], ""


@lru_cache(maxsize=4096)
def ways_to_write(figure: Figure) -> tuple[Key, ...]:
    """`otherwise`, remembered: the same few figures are asked for again and again."""
    return tuple(otherwise(figure))


@lru_cache(maxsize=4096)
def values_to_write(figure: Figure) -> frozenset[str]:
    """The values of `ways_to_write`."""
    return frozenset(value for value, _ in ways_to_write(figure))


def _other_units(figure: Figure) -> Iterator[Key]:
    value, unit, _ = figure
    if not unit:
        return
    yield value, ""
    words = english_figures()
    for wider in words.wider.get(unit, ()):
        yield value, wider
    number = Decimal(value)
    if unit == "%":
        yield plain(scaled(number, 2)), ""
    if unit == "m":  # a metre, or a million
        yield plain(scaled(number, 6)), ""
    for measure in words.measures:
        if unit in measure:
            base = _EXACT.multiply(number, measure[unit])
            yield from ((plain(_EXACT.divide(base, worth)), other) for other, worth in measure.items() if other != unit)


def _other_clocks(figure: Figure) -> Iterator[Key]:
    """A time without "am" or "pm" is read on the clock of 24 hours, and may be meant on that of 12."""
    if not figure.unit:
        return
    hour, _, rest = figure.value.partition(":")
    short = str((int(hour) - 1) % 12 + 1)
    yield figure.value, ""
    yield f"{short}:{rest}", ""
    if rest == "00":
        yield short, ""


def _both_days(figure: Figure) -> Iterator[Key]:
    """What "4/5" may be: either day of the year, or the fraction."""
    parts = _TWO_PARTS.fullmatch(figure.value)
    if parts is None:
        return
    first, second = int(parts[1]), int(parts[2])
    yield f"{first:02}-{second:02}", ""
    yield f"{second:02}-{first:02}", ""
    if second:
        part = fraction(first, second)
        yield from ((part, figure.unit), (part, ""))


def fraction(part: int, whole: int) -> str:
    """To four decimals, which tells all fractions apart that have a name."""
    return rounded(str(_EXACT.divide(Decimal(part), Decimal(whole))), 4)


def _fewer_signs(figure: Figure) -> Iterator[Key]:
    """Without separators; of a telephone number without its country."""
    joined = _SEPARATORS.sub("", figure.value)
    if joined != figure.value:
        yield joined, ""
    if joined.isdecimal() and len(joined) > _NATIONAL:
        yield joined[-_NATIONAL:], ""
