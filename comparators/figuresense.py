"""What a written figure means: a match of a pattern (`figureforms`) is read into figures.

A number loses thousands separators and keeps its unit or currency in one spelling; "50%" is 0.5 and "5 million"
5000000. A date falls apart into the day and the year, a range into its ends. What no clock and no calendar shows, a
telephone number, a version and an integer with leading zeros are names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TypeAlias

from comparators.figure import DATE, MONTH, NAME, TIME, WEAK, WEEKDAY, Figure, fraction, plain, scaled
from comparators.figureforms import AFTER, BEFORE, Form
from comparators.figurewords import FigureWords

#: Reads a match; its groups are those of the patterns of one form.
Reading: TypeAlias = Callable[["re.Match[str]"], Iterable[Figure]]

_MONTHS, _DAYS = range(1, 13), range(1, 32)
_HOURS, _MINUTES = range(25), range(60)
_SHORTEST_PHONE = 7
_HAS_DIGIT = re.compile("[0-9]")
_NO_DIGITS = re.compile("[^0-9]+")
_DECIMAL_COMMA = re.compile(r"(.*),([0-9]{1,2})")
_SEPARATORS = str.maketrans("", "", ",' ")


@dataclass(frozen=True)
class FigureSense:
    """Reads matches by the words of a language."""

    words: FigureWords

    @cached_property
    def readings(self) -> Mapping[Form, Reading]:
        """How each form is read."""
        return {
            Form.DATE: self._date,
            Form.DATE_IN_DIGITS: self._date_in_digits,
            Form.EITHER_DATE: _either_date,
            Form.TIME: self._time,
            Form.HOURS: self._hours,
            Form.AMOUNT: self._number,
            Form.LOW: _low,
            Form.WHOLES: _wholes,
            Form.PHONE: _phone,
            Form.DOTTED: _dotted,
            Form.STROKE: self._stroke,
            Form.PART: self._part,
            Form.WORD: self._word,
            Form.SAID: self._said,
        }

    # -- days and times ---------------------------------------------------------------------------------------------

    def _date(self, match: re.Match[str]) -> Iterable[Figure]:
        """Days of a month, or the month alone; then the year."""
        found = match.groupdict()
        month = self._month(found["month"])
        later = self._month(found.get("later") or found["month"])
        days = [_day(of, day) for of, day in ((month, found.get("day")), (later, found.get("last"))) if day]
        years = [_whole(found["year"])] if found["year"] else []
        return (*(days or [_month(month)]), *years)

    def _date_in_digits(self, match: re.Match[str]) -> Iterable[Figure]:
        """A day that a calendar shows, and the time of day if one stands behind it."""
        if int(match["month"]) not in _MONTHS or int(match["day"]) not in _DAYS:
            return named(match[0])
        return (*self._date(match), *(self._time(match) if match.groupdict().get("hour") else ()))

    def _month(self, written: str) -> int:
        return self.words.months.get(written) or int(written)

    def _time(self, match: re.Match[str]) -> Iterable[Figure]:
        found = match.groupdict()
        half = self._half(found.get("half"))
        return _clock(found["hour"], found.get("minute"), found.get("second"), half) or named(match[0])

    def _hours(self, match: re.Match[str]) -> Iterable[Figure]:
        """Of "9-10:30 am" both are meant to be in the morning."""
        first, last = self._half(match["p1"]), self._half(match["p2"])
        if not first and int(match["h1"]) <= int(match["h2"]):
            first = last
        ends = _clock(match["h1"], match["m1"], None, first), _clock(match["h2"], match["m2"], None, last)
        return ends[0] + ends[1] if all(ends) else named(match[0])

    def _half(self, written: str | None) -> str:
        return self.words.meridiems.get(written or "", "")

    # -- numbers ----------------------------------------------------------------------------------------------------

    def _number(self, match: re.Match[str]) -> Iterable[Figure]:
        """An integer with leading zeros is a name."""
        digits, measure = _plain_digits(match["digits"]), self._measure(match)
        padded = len(digits) > 1 and digits.startswith("0") and "." not in digits
        if padded or measure is None:
            return named(match[0])
        minus = "-" if "-" in (match["sign"], match["minus"]) else ""
        return (_amount(minus + digits, *measure),)

    def _measure(self, match: re.Match[str]) -> tuple[int, str] | None:
        """The power of ten and the unit behind digits; None for the "b" of "5b", which says billions of money only."""
        words, unit, letter = self.words, match["unit"] or "", match["money_scale"]
        currency = words.currencies.get(unit) or words.currencies.get(match["money"] or "")
        if not letter:
            return words.scales.get(match["scale"] or "", 0), currency or words.units.get(unit, "")
        if currency:
            return words.money_scales[letter], currency
        return (0, words.units[letter]) if letter in words.units else None

    def _unit(self, match: re.Match[str]) -> str:
        written = match["unit"] or ""
        return self.words.units.get(written) or self.words.currencies.get(written, "")

    def _stroke(self, match: re.Match[str]) -> Iterable[Figure]:
        return (Figure(match["parts"], self._unit(match), DATE),)

    # -- words ------------------------------------------------------------------------------------------------------

    def _part(self, match: re.Match[str]) -> Iterable[Figure]:
        part, _, whole = self.words.fractions[match["part"]].partition("/")
        count = self.words.numbers.get(match["count"] or "", 1)
        return (_weak(fraction(count * int(part), int(whole)), self._unit(match)),)

    def _word(self, match: re.Match[str]) -> Iterable[Figure]:
        """ "One" may be a pronoun, "one thousand" is none."""
        said, scale, unit = match["said"], match["scale"], self._unit(match)
        if said in self.words.ones and not scale:
            return (_weak("1", unit),)
        return (_amount(str(self.words.small.get(said, 1)), self.words.scales.get(scale or "", 0), unit),)

    def _said(self, match: re.Match[str]) -> Iterable[Figure]:
        return (self._meant[match["said"]],)

    @cached_property
    def _meant(self) -> Mapping[str, Figure]:
        """What each word that has no unit is. "The nineties" are those of the twentieth century."""
        words = self.words
        return {
            **{word: _month(month) for word, month in words.months.items()},
            **{word: Figure(day, "weekday", WEEKDAY) for word, day in words.weekdays.items()},
            **{word: Figure(f"19{years}", "", WEAK) for word, years in words.decades.items()},
            **{word: Figure(str(place), "", WEAK) for word, place in words.places.items()},
        }


def named(token: str) -> tuple[Figure, ...]:
    """The token as a name, if it holds a digit."""
    name = token.rstrip(AFTER).lstrip(BEFORE).removesuffix("'s")
    return (Figure(name, "", NAME),) if _HAS_DIGIT.search(name) else ()


def _whole(number: str) -> Figure:
    return Figure(str(int(number)), "", 0)


def _month(month: int) -> Figure:
    return Figure(f"{month:02}", "month", MONTH)


def _day(month: int, written: str) -> Figure:
    """A day of the month; a number that no month has for a day is nothing but a number."""
    day = int(_NO_DIGITS.sub("", written))
    return Figure(f"{month:02}-{day:02}", "", DATE) if day in _DAYS else _whole(str(day))


def _either_date(match: re.Match[str]) -> Iterable[Figure]:
    """Which of both numbers is the month is known where only one can be, or where they are equal."""
    first, second = int(match["a"]), int(match["b"])
    if first in _MONTHS and second in _MONTHS and first != second:
        day = Figure(f"{first}/{second}", "", DATE)
    elif first in _MONTHS and second in _DAYS:
        day = _day(first, match["b"])
    elif second in _MONTHS and first in _DAYS:
        day = _day(second, match["a"])
    else:
        return named(match[0])
    return day, _whole(match["year"] if len(match["year"]) > 2 else f"20{match['year']}")


def _clock(hour: str, minute: str | None, second: str | None, half: str) -> tuple[Figure, ...]:
    """A time of day; nothing if no clock shows it."""
    hours, minutes, seconds = int(hour), int(minute or 0), int(second or 0)
    if half and hours in _HOURS:
        hours = hours % 12 + 12 * (half == "pm") if hours <= 12 else hours
    if hours not in _HOURS or minutes not in _MINUTES or seconds not in _MINUTES:
        return ()
    return (Figure(f"{hours}:{minutes:02}" + (f":{seconds:02}" if seconds else ""), half, TIME),)


def _wholes(match: re.Match[str]) -> Iterable[Figure]:
    return map(_whole, match.groups())


def _low(match: re.Match[str]) -> Iterable[Figure]:
    return (_amount(match["low"], 0, ""),)


def _phone(match: re.Match[str]) -> Iterable[Figure]:
    """Its digits; "00" in front is a "+"."""
    phone = match["phone"]
    digits = _NO_DIGITS.sub("", phone)
    if len(digits) < _SHORTEST_PHONE:
        return named(match[0])
    return (Figure(digits.removeprefix("00") if phone.startswith("00") else digits, "", NAME),)


def _dotted(match: re.Match[str]) -> Iterable[Figure]:
    name = Figure(match["dotted"] or match["version"], "", NAME)
    return (name, _whole(match["port"])) if match["port"] else (name,)


def _plain_digits(written: str) -> str:
    """Digits and at most one point."""
    comma = _DECIMAL_COMMA.fullmatch(written)
    whole, _, part = (comma[1].replace(".", ""), "", comma[2]) if comma else written.partition(".")
    whole = whole.translate(_SEPARATORS) or "0"
    return f"{whole}.{part}" if part else whole


def _amount(digits: str, exponent: int, unit: str) -> Figure:
    exponent += _exponent(unit)
    shown = len(digits.partition(".")[2])
    return Figure(plain(scaled(Decimal(digits), exponent)), unit, shown - exponent)


def _weak(digits: str, unit: str) -> Figure:
    return Figure(plain(scaled(Decimal(digits), _exponent(unit))), unit, WEAK)


def _exponent(unit: str) -> int:
    return -2 if unit == "%" else 0
