"""Figures as they are written: a short passage of a text is read into numbers, times, dates and names.

A number loses thousands separators and keeps its unit or currency in one spelling; "50%" is 0.5 and "5 million"
5000000. A date falls apart into the day and the year, a range into its ends. What is none of these (a telephone number,
a version, "W-12/b", an integer with leading zeros) is a name and equals only itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property
from itertools import chain
from typing import NamedTuple, TypeAlias

from comparators.figure import (
    DATE,
    LONGEST_NUMBER,
    MONTH,
    NAME,
    TIME,
    WEAK,
    WEEKDAY,
    Figure,
    fraction,
    plain,
    scaled,
)
from comparators.figurewords import FigureWords, alternation, english_figures

_BEFORE = "([{<\"'`*_~#=:;,!?"
_AFTER = ")]}>\"'`*_~=:;,.!?"
_OPEN = rf"[{re.escape(_BEFORE)}]*"
_CLOSE = rf"[{re.escape(_AFTER)}]*(?: |$)"
#: Where a figure may end: with its token, before a stroke ("$55/month"), before the rest of a compound ("5-star").
_END = rf"(?={_CLOSE}|/[a-z]|-[a-z]{{3,}}(?:-[a-z]+)*{_CLOSE})"
_DIGITS = (
    r"[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]{1,2}|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]+)?"
    r"|[0-9]{1,3}(?:[,'][0-9]{3})+(?:\.[0-9]+)?|[0-9]+,[0-9]{1,2}|[0-9]*\.[0-9]+|[0-9]+"
)
_SPACED = r"[0-9]{1,3}(?: [0-9]{3})+(?:[,.][0-9]{1,2})?"
_DECIMAL_COMMA = re.compile(r"(.*),([0-9]{1,2})")
_CLOCK = r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.[0-9]+)?)?"
_ZONE = r"(?: ?(?:z|utc|[-+][0-9]{2}:?[0-9]{2}))?"
_PHONE = (
    r"(?P<phone>(?:\+|00)[0-9](?:[ .-]?\(?[0-9]\)?){6,}+"
    r"|(?:[0-9]{1,3}[ .-]?)?\([0-9]{2,4}\)[ .-]?[0-9]{2,4}(?:[ .-][0-9]{2,5})*"
    r"|[0-9]{1,4}(?:-[0-9]{2,5}){2,}|[0-9]{2,4}(?: [0-9]{3,5}){2,})"
)
_DOTTED = r"v?(?P<dotted>[0-9]+(?:\.[0-9]+){2,})(?::(?P<port>[0-9]{1,5}))?|v(?P<version>[0-9]+\.[0-9]+)"
_DECADE = r"(?P<years>(?:1[5-9]|20)[0-9]0)'?s"
_IN_DIGITS = frozenset("0123456789")
_HAS_DIGIT = re.compile("[0-9]")
_NO_DIGITS = re.compile("[^0-9]+")
_SHORTEST_PHONE = 7
#: Passages that a reader remembers.
_REMEMBERED = 8192

_Read: TypeAlias = Callable[["re.Match[str]"], Iterable[Figure]]


class _Way(NamedTuple):
    """A way to write figures: found by a pattern at the begin of a token, then read."""

    pattern: re.Pattern[str]
    read: _Read


@dataclass(frozen=True)
class FigureReader:
    """Reads passages in normal form by the words of a language."""

    words: FigureWords

    def read(self, passage: str) -> tuple[Figure, ...]:
        """The figures of a passage of a few words, in order. Short ones are remembered: many answers hold the same."""
        found = self._seen.get(passage)
        if found is None:
            found = tuple(self._figures(passage))
            if len(passage) <= LONGEST_NUMBER:
                if len(self._seen) >= _REMEMBERED:
                    self._seen.clear()
                self._seen[passage] = found
        return found

    def read_all(self, passages: Iterable[str]) -> list[tuple[Figure, ...]]:
        """The figures of each passage."""
        seen, read = self._seen.get, self.read
        return [seen(passage) or read(passage) for passage in passages]

    @cached_property
    def _seen(self) -> dict[str, tuple[Figure, ...]]:
        return {}

    def _figures(self, passage: str) -> Iterator[Figure]:
        at = 0
        while at < len(passage):
            space = passage.find(" ", at)
            end = len(passage) if space < 0 else space
            match, read = self._way(passage, at) if end - at <= LONGEST_NUMBER else (None, None)
            if match is None or read is None:
                yield from _named(passage[at:end])
                at = end + 1
            else:
                yield from read(match)
                at = _next(passage, match.end())

    def _way(self, passage: str, at: int) -> tuple[re.Match[str] | None, _Read | None]:
        first = at
        while passage[first] in _BEFORE and first + 1 < len(passage):
            first += 1
        for pattern, read in self._ways[_begins(passage[first])]:
            match = pattern.match(passage, at)
            if match is not None:
                return match, read
        return None, None

    @cached_property
    def _ways(self) -> Mapping[str, tuple[_Way, ...]]:
        """By what they begin with, tried in this order: what is longer and tells more stands in front."""
        low = _Way(re.compile(self._low_end), _low)
        signs, amounts = _compiled(self._signs()), _compiled(self._amounts())
        return {
            "digit": (*_compiled(self._dates()), *_compiled(self._times()), *signs, low, *amounts),
            "letter": (*_compiled(self._named_days()), *signs, *amounts, *_compiled(self._said())),
            "sign": (*signs, low, *amounts),
        }

    def _dates(self) -> Iterator[tuple[str, str, _Read]]:
        month, day, year, to = self._month_name, self._day_number, r"(?:,? (?P<year>[0-9]{4}))?", self._to
        iso = r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
        yield _OPEN, rf"{iso}(?:[t ]{_CLOCK}{_ZONE})?", self._iso
        yield _OPEN, r"(?P<year>[0-9]{4})-(?P<month>0[1-9]|1[0-2])", self._month
        yield _OPEN, rf"(?P<a>{day}){to}(?P<b>{day}) (?:of )?{month}{year}", self._days
        yield _OPEN, rf"(?P<a>{day})[ -](?:of )?{month}(?:[ ,-]{{1,2}}(?P<year>[0-9]{{4}}))?", self._days
        yield _OPEN, r"(?P<year>[0-9]{4})/(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})", self._iso
        yield _OPEN, r"(?P<a>[0-9]{1,2})/(?P<b>[0-9]{1,2})/(?P<year>[0-9]{4}|[0-9]{2})", _day_of_year
        yield _OPEN, r"(?P<day>[0-9]{1,2})\.(?P<month>[0-9]{1,2})\.(?P<year>[0-9]{4})", self._iso
        yield _OPEN, r"(?P<month>0?[1-9]|1[0-2])/(?P<year>[0-9]{4})", self._month
        yield _OPEN, _DECADE, _decade

    def _named_days(self) -> Iterator[tuple[str, str, _Read]]:
        month, day, year, to = self._month_name, self._day_number, r"(?:,? (?P<year>[0-9]{4}))?", self._to
        again = rf"(?:(?P<later>{alternation(self.words.months)})\.? )?"
        yield _OPEN, rf"{month} (?P<a>{day}){to}{again}(?P<b>{day}){year}", self._days
        yield _OPEN, rf"{month} (?:the )?(?P<a>{day}){year}", self._days
        yield _OPEN, rf"{month},? (?P<year>[0-9]{{4}})", self._month

    def _times(self) -> Iterator[tuple[str, str, _Read]]:
        half = rf"(?:{alternation(self.words.meridiems)})(?!\w)"
        first, last = (rf"(?P<h{n}>[0-9]{{1,2}})" for n in (1, 2))
        past, later = (rf":(?P<m{n}>[0-9]{{2}})" for n in (1, 2))
        one, other = (rf"(?: ?(?P<p{n}>{half}))" for n in (1, 2))
        yield _OPEN, f"{first}(?:{past})?{one}?{self._to}{last}(?:{later})?{other}", self._hours
        yield _OPEN, f"{first}{past}{one}?-{last}{later}{other}?", self._hours
        yield _OPEN, rf"{_CLOCK}(?: ?(?P<half>{half}))?", self._time
        yield _OPEN, rf"(?P<hour>[0-9]{{1,2}}) ?(?P<half>{half})", self._time

    def _signs(self) -> Iterator[tuple[str, str, _Read]]:
        money = rf"(?P<money>{alternation(self.words.currencies)})"
        spaced = rf"(?P<sign>[-+]?)(?P<minus>)(?P<digits>{_SPACED})(?P<scale>)(?P<money_scale>)"
        yield _OPEN, rf"{money} ?{spaced}(?P<unit>)", self._number
        yield _OPEN, rf"(?P<money>){spaced} ?(?P<unit>{alternation(self.words.currencies)})(?!\w)", self._number
        yield "", _PHONE, _phone
        yield _OPEN, _PHONE, _phone
        yield _OPEN, _DOTTED, _dotted
        yield _OPEN, rf"(?P<parts>[0-9]{{1,2}}/[0-9]{{1,2}})(?:{self._unit})?", self._parts
        yield _OPEN, "(?P<a>[0-9]{1,6})[x:](?P<b>[0-9]{1,6})", _two_numbers

    def _amounts(self) -> Iterator[tuple[str, str, _Read]]:
        money = rf"(?P<money>{alternation(self.words.currencies)})?"
        ordinal = rf"(?:{alternation(self.words.ordinal_endings)})"
        yield (
            _OPEN,
            rf"(?P<sign>[-+]?){money} ?(?P<minus>-?)(?P<digits>{_DIGITS})(?:{self._scale}?(?:{self._unit})?|{ordinal})",
            self._number,
        )

    def _said(self) -> Iterator[tuple[str, str, _Read]]:
        words, unit = self.words, self._unit
        part, count = alternation(words.fractions), alternation(words.a_part)
        of = rf"(?: (?:of )?(?:an?|the)(?= (?:{alternation(words.units)})(?!\w)))?"
        yield _OPEN, rf"(?:(?P<count>{count})[ -])?(?P<part>half)(?!\w){of}(?:{unit})?", self._part
        yield _OPEN, rf"(?P<count>{count})[ -](?P<part>{part})(?!\w){of}(?:{unit})?", self._part
        yield _OPEN, rf"(?P<said>{alternation(words.places)})", self._place
        yield _OPEN, rf"(?P<said>{alternation(words.small)})(?:{self._scale})?(?:{unit})?", self._word
        yield _OPEN, rf"(?P<said>{alternation(words.decades)})", self._decade
        yield _OPEN, rf"(?P<said>{alternation(words.ones)})(?:{unit})?", self._one
        yield _OPEN, rf"(?P<said>{alternation(self._alone(words.weekdays))})", self._weekday
        yield _OPEN, rf"(?P<month>{alternation(self._alone(words.months))})", self._month

    @property
    def _low_end(self) -> str:
        """The lower end of a range, with its dash, where the upper one follows."""
        sign = rf"(?:{alternation(word for word in self.words.currencies if not word.isalpha())})?"
        low = rf"{sign}(?P<low>(?:[1-9][0-9]{{0,2}}|0|[12][0-9]{{3}})(?:\.[0-9]+)?)%?-"
        return rf"{_OPEN}{low}(?={sign}[0-9]{{1,4}}(?:\.[0-9]+)?{self._scale}?(?:{self._unit}|%)?{_END})"

    @property
    def _month_name(self) -> str:
        return rf"(?P<month>{alternation(self.words.months)})\.?"

    @property
    def _day_number(self) -> str:
        return rf"[0-9]{{1,2}}(?:{alternation(self.words.ordinal_endings)})?"

    @property
    def _to(self) -> str:
        return rf" ?(?:-|{alternation(self.words.between)}) ?"

    @property
    def _unit(self) -> str:
        return rf"[ -]?(?P<unit>{alternation((*self.words.units, *self.words.currencies))})(?!\w)"

    @property
    def _scale(self) -> str:
        scale, money = alternation(self.words.scales), alternation(self.words.money_scales)
        return rf"(?:(?:[ -]?(?P<scale>{scale})|(?P<money_scale>{money}))(?!\w))"

    def _alone(self, names: Iterable[str]) -> list[str]:
        """Names that are no other words."""
        return [name for name in names if name not in self.words.also_words]

    # -- what was found ---------------------------------------------------------------------------------------------

    def _iso(self, match: re.Match[str]) -> Iterator[Figure]:
        month, day = int(match["month"]), int(match["day"])
        if month not in _MONTHS or day not in _DAYS:
            yield from _named(match[0])
            return
        yield _date(month, day)
        yield _whole(match["year"])
        if match.groupdict().get("hour"):
            yield from self._time(match)

    def _days(self, match: re.Match[str]) -> Iterator[Figure]:
        found = match.groupdict()
        month = self.words.months[match["month"]]
        for day, of in ((found["a"], month), (found.get("b"), self.words.months.get(found.get("later") or "", month))):
            if day:
                number = int(_NO_DIGITS.sub("", day))
                yield _date(of, number) if number in _DAYS else _whole(str(number))
        if found["year"]:
            yield _whole(found["year"])

    def _month(self, match: re.Match[str]) -> Iterator[Figure]:
        name = match["month"]
        yield Figure(f"{self.words.months.get(name) or int(name):02}", "month", MONTH)
        if match.groupdict().get("year"):
            yield _whole(match["year"])

    def _time(self, match: re.Match[str]) -> Iterable[Figure]:
        found = match.groupdict()
        half = self.words.meridiems.get(found.get("half") or "", "")
        return _clock(found["hour"], found.get("minute"), found.get("second"), half) or _named(match[0])

    def _hours(self, match: re.Match[str]) -> Iterable[Figure]:
        """Of "9-10:30 am" both are meant to be in the morning."""
        first, last = (self.words.meridiems.get(match[half] or "", "") for half in ("p1", "p2"))
        if not first and int(match["h1"]) <= int(match["h2"]):
            first = last
        ends = _clock(match["h1"], match["m1"], None, first), _clock(match["h2"], match["m2"], None, last)
        return chain(*ends) if all(ends) else _named(match[0])

    def _number(self, match: re.Match[str]) -> Iterator[Figure]:
        found = match.groupdict()
        money, unit = self.words.currencies.get(found["money"] or ""), self._unit_of(found["unit"])
        is_money = money is not None or found["unit"] in self.words.currencies
        if found["money_scale"] and not is_money:
            unit = self.words.units.get(found["money_scale"], "")
            if not unit:
                return _named(match[0])
        digits = _plain_digits(found["digits"])
        if len(digits) > 1 and digits.startswith("0") and "." not in digits:
            return _named(match[0])
        exponent = self.words.scales.get(found["scale"] or "", 0)
        if is_money and found["money_scale"]:
            exponent = self.words.money_scales[found["money_scale"]]
        minus = "-" if "-" in (found["sign"], found["minus"]) else ""
        named = unit if found["unit"] in self.words.currencies else money or unit
        return iter((_amount(f"{minus}{digits}", exponent, named),))

    def _unit_of(self, written: str | None) -> str:
        return self.words.units.get(written or "") or self.words.currencies.get(written or "", "")

    def _parts(self, match: re.Match[str]) -> Iterator[Figure]:
        yield Figure(match["parts"], self._unit_of(match["unit"]), DATE)

    def _part(self, match: re.Match[str]) -> Iterator[Figure]:
        part, _, whole = self.words.fractions[match["part"]].partition("/")
        count = self.words.numbers.get(match["count"] or "", 1)
        yield Figure(fraction(count * int(part), int(whole)), self._unit_of(match["unit"]), WEAK)

    def _word(self, match: re.Match[str]) -> Iterator[Figure]:
        exponent = self.words.scales.get(match["scale"] or "", 0)
        yield _amount(str(self.words.small[match["said"]]), exponent, self._unit_of(match["unit"]))

    def _place(self, match: re.Match[str]) -> Iterator[Figure]:
        yield Figure(str(self.words.places[match["said"]]), "", WEAK)

    def _decade(self, match: re.Match[str]) -> Iterator[Figure]:
        yield Figure(f"19{self.words.decades[match['said']]}", "", WEAK)

    def _one(self, match: re.Match[str]) -> Iterator[Figure]:
        yield Figure("1", self._unit_of(match["unit"]), WEAK)

    def _weekday(self, match: re.Match[str]) -> Iterator[Figure]:
        yield Figure(self.words.weekdays[match["said"]], "weekday", WEEKDAY)


_MONTHS, _DAYS = range(1, 13), range(1, 32)
_HOURS, _MINUTES = range(25), range(60)


def _compiled(ways: Iterable[tuple[str, str, _Read]]) -> list[_Way]:
    return [_Way(re.compile(rf"{opening}(?:{pattern}){_END}"), read) for opening, pattern, read in ways]


def _begins(character: str) -> str:
    if character in _IN_DIGITS:
        return "digit"
    return "letter" if character.isalpha() else "sign"


def _next(passage: str, end: int) -> int:
    """Where the next token begins, or the other end of a range, or what a stroke sets apart."""
    if passage[end - 1] == "-":
        return end
    if passage[end : end + 1] == "/":
        return end + 1
    space = passage.find(" ", end)
    return len(passage) if space < 0 else space + 1


def _named(token: str) -> Iterator[Figure]:
    """The token as a name, if it holds a digit."""
    name = token.rstrip(_AFTER).lstrip(_BEFORE).removesuffix("'s")
    if _HAS_DIGIT.search(name):
        yield Figure(name, "", NAME)


def _whole(number: str) -> Figure:
    return Figure(str(int(number)), "", 0)


def _date(month: int, day: int) -> Figure:
    return Figure(f"{month:02}-{day:02}", "", DATE)


def _clock(hour: str, minute: str | None, second: str | None, half: str) -> tuple[Figure, ...]:
    """A time of day; nothing if no clock shows it."""
    hours, minutes, seconds = int(hour), int(minute or 0), int(second or 0)
    if half and hours in _HOURS:
        hours = hours % 12 + 12 * (half == "pm") if hours <= 12 else hours
    if hours not in _HOURS or minutes not in _MINUTES or seconds not in _MINUTES:
        return ()
    return (Figure(f"{hours}:{minutes:02}" + (f":{seconds:02}" if seconds else ""), half, TIME),)


def _day_of_year(match: re.Match[str]) -> Iterator[Figure]:
    """Which of both numbers is the month is known where only one can be, or where they are equal."""
    first, second = int(match["a"]), int(match["b"])
    if first in _MONTHS and second in _MONTHS and first != second:
        yield Figure(f"{first}/{second}", "", DATE)
    elif first in _MONTHS and second in _DAYS:
        yield _date(first, second)
    elif second in _MONTHS and first in _DAYS:
        yield _date(second, first)
    else:
        yield from _named(match[0])
        return
    yield _whole(match["year"] if len(match["year"]) > 2 else f"20{match['year']}")


def _decade(match: re.Match[str]) -> Iterator[Figure]:
    yield _whole(match["years"])


def _phone(match: re.Match[str]) -> Iterator[Figure]:
    digits = _NO_DIGITS.sub("", match["phone"])
    international = match["phone"].startswith("00")
    if len(digits) < _SHORTEST_PHONE:
        yield from _named(match[0])
    else:
        yield Figure(digits.removeprefix("00") if international else digits, "", NAME)


def _dotted(match: re.Match[str]) -> Iterator[Figure]:
    yield Figure(match["dotted"] or match["version"], "", NAME)
    if match["port"]:
        yield _whole(match["port"])


def _two_numbers(match: re.Match[str]) -> Iterator[Figure]:
    yield from map(_whole, (match["a"], match["b"]))


def _low(match: re.Match[str]) -> Iterator[Figure]:
    yield _amount(match["low"], 0, "")


def _plain_digits(written: str) -> str:
    """Digits and at most one point."""
    comma = _DECIMAL_COMMA.fullmatch(written)
    whole, _, part = (comma[1].replace(".", ""), "", comma[2]) if comma else written.partition(".")
    whole = whole.replace(",", "").replace("'", "").replace(" ", "") or "0"
    return f"{whole}.{part}" if part else whole


def _amount(digits: str, exponent: int, unit: str) -> Figure:
    if unit == "%":
        exponent -= 2
    shown = len(digits.partition(".")[2])
    return Figure(plain(scaled(Decimal(digits), exponent)), unit, shown - exponent)


@cache
def english_reader() -> FigureReader:
    return FigureReader(english_figures())
