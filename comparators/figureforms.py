"""How figures are written: patterns of dates, times, amounts, names and number words, in the order they are tried.

What a match means, `figuresense` says by its form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property
from typing import NamedTuple

from comparators.figurewords import FigureWords, alternation

#: Signs around a token that are no part of it.
BEFORE = "([{<\"'`*_~#=:;,!?"
AFTER = ")]}>\"'`*_~=:;,.!?"

_OPEN = rf"[{re.escape(BEFORE)}]*"
_CLOSE = rf"[{re.escape(AFTER)}]*(?: |$)"
#: Where a figure may end: with its token, before a stroke ("$55/month"), before the rest of a compound ("5-star").
_END = rf"(?={_CLOSE}|/[a-z]|-[a-z]{{3,}}(?:-[a-z]+)*{_CLOSE})"
_DIGITS = (
    r"[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]{1,2}|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]+)?"
    r"|[0-9]{1,3}(?:[,'][0-9]{3})+(?:\.[0-9]+)?|[0-9]+,[0-9]{1,2}|[0-9]*\.[0-9]+|[0-9]+"
)
_SPACED = r"[0-9]{1,3}(?: [0-9]{3})+(?:[,.][0-9]{1,2})?"
_YEAR = r"(?P<year>[0-9]{4})"
_PERHAPS_YEAR = rf"(?:,? {_YEAR})?"
_CLOCK = r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.[0-9]+)?)?"
_ZONE = r"(?: ?(?:z|utc|[-+][0-9]{2}:?[0-9]{2}))?"
_PHONE = (
    r"(?P<phone>(?:\+|00)[0-9](?:[ .-]?\(?[0-9]\)?){6,}+"
    r"|(?:[0-9]{1,3}[ .-]?)?\([0-9]{2,4}\)[ .-]?[0-9]{2,4}(?:[ .-][0-9]{2,5})*"
    r"|[0-9]{1,4}(?:-[0-9]{2,5}){2,}|[0-9]{2,4}(?: [0-9]{3,5}){2,})"
)
_DOTTED = r"v?(?P<dotted>[0-9]+(?:\.[0-9]+){2,})(?::(?P<port>[0-9]{1,5}))?|v(?P<version>[0-9]+\.[0-9]+)"
_DECADE = r"((?:1[5-9]|20)[0-9]0)'?s"
_IN_DIGITS = frozenset("0123456789")


class Form(Enum):
    """What is written: ways to write that are read alike have one form."""

    #: A month with its days or its year; a day in digits alone; one of which either may be the month ("4/5/2024").
    DATE = auto()
    DATE_IN_DIGITS = auto()
    EITHER_DATE = auto()
    #: A time of day, and a time from one hour to another.
    TIME = auto()
    HOURS = auto()
    #: A number with what stands around it: a sign, a currency, a scale, a unit.
    AMOUNT = auto()
    #: The lower end of a range; whole numbers, one ("1990s") or two ("30x40").
    LOW = auto()
    WHOLES = auto()
    PHONE = auto()
    #: A version, an address of the network.
    DOTTED = auto()
    #: "4/5", and "a third".
    STROKE = auto()
    PART = auto()
    #: A number word, and a word for what has no unit: a place, a decade, a weekday, a month.
    WORD = auto()
    SAID = auto()


class Written(NamedTuple):
    """A way to write figures: the pattern that finds it at the begin of a token, and its form."""

    pattern: re.Pattern[str]
    form: Form


@dataclass(frozen=True)
class FigureForms:
    """The ways to write figures in normal form by the words of a language."""

    words: FigureWords

    @cached_property
    def by_begin(self) -> Mapping[str, tuple[Written, ...]]:
        """Every way by what it `begins` with, tried in this order: what is longer and tells more stands in front."""
        signs, amounts = tuple(self._signs()), (self._amount(),)
        return {
            "digit": (*self._dates(), *self._times(), *signs, self._low(), *amounts),
            "letter": (*self._named_months(), *signs, *amounts, *self._said()),
            "sign": (*signs, self._low(), *amounts),
        }

    def _dates(self) -> Iterator[Written]:
        month, day = self._month, self._day
        yield _written(
            Form.DATE_IN_DIGITS, rf"{_YEAR}-(?P<month>[0-9]{{2}})-(?P<day>[0-9]{{2}})(?:[t ]{_CLOCK}{_ZONE})?"
        )
        yield _written(Form.DATE, rf"{_YEAR}-(?P<month>0[1-9]|1[0-2])")
        yield _written(Form.DATE, rf"(?P<day>{day}){self._to}(?P<last>{day}) (?:of )?{month}{_PERHAPS_YEAR}")
        yield _written(Form.DATE, rf"(?P<day>{day})[ -](?:of )?{month}(?:[ ,-]{{1,2}}{_YEAR})?")
        yield _written(Form.DATE_IN_DIGITS, rf"{_YEAR}/(?P<month>[0-9]{{1,2}})/(?P<day>[0-9]{{1,2}})")
        yield _written(Form.EITHER_DATE, r"(?P<a>[0-9]{1,2})/(?P<b>[0-9]{1,2})/(?P<year>[0-9]{4}|[0-9]{2})")
        yield _written(Form.DATE_IN_DIGITS, rf"(?P<day>[0-9]{{1,2}})\.(?P<month>[0-9]{{1,2}})\.{_YEAR}")
        yield _written(Form.DATE, rf"(?P<month>0?[1-9]|1[0-2])/{_YEAR}")
        yield _written(Form.WHOLES, _DECADE)

    def _named_months(self) -> Iterator[Written]:
        month, day = self._month, self._day
        again = rf"(?:(?P<later>{alternation(self.words.months)})\.? )?"
        yield _written(Form.DATE, rf"{month} (?P<day>{day}){self._to}{again}(?P<last>{day}){_PERHAPS_YEAR}")
        yield _written(Form.DATE, rf"{month} (?:the )?(?P<day>{day}){_PERHAPS_YEAR}")
        yield _written(Form.DATE, rf"{month},? {_YEAR}")

    def _times(self) -> Iterator[Written]:
        half = rf"(?:{alternation(self.words.meridiems)})(?!\w)"
        first, last = (rf"(?P<h{n}>[0-9]{{1,2}})" for n in (1, 2))
        past, later = (rf":(?P<m{n}>[0-9]{{2}})" for n in (1, 2))
        one, other = (rf"(?: ?(?P<p{n}>{half}))" for n in (1, 2))
        yield _written(Form.HOURS, f"{first}(?:{past})?{one}?{self._to}{last}(?:{later})?{other}")
        yield _written(Form.HOURS, f"{first}{past}{one}?-{last}{later}{other}?")
        yield _written(Form.TIME, rf"{_CLOCK}(?: ?(?P<half>{half}))?")
        yield _written(Form.TIME, rf"(?P<hour>[0-9]{{1,2}}) ?(?P<half>{half})")

    def _signs(self) -> Iterator[Written]:
        currencies = alternation(self.words.currencies)
        spaced = rf"(?P<sign>[-+]?)(?P<minus>)(?P<digits>{_SPACED})(?P<scale>)(?P<money_scale>)"
        yield _written(Form.AMOUNT, rf"(?P<money>{currencies}) ?{spaced}(?P<unit>)")
        yield _written(Form.AMOUNT, rf"(?P<money>){spaced} ?(?P<unit>{currencies})(?!\w)")
        yield _written(Form.PHONE, _PHONE, opening="")  # its bracket may belong to it
        yield _written(Form.PHONE, _PHONE)
        yield _written(Form.DOTTED, _DOTTED)
        yield _written(Form.STROKE, rf"(?P<parts>[0-9]{{1,2}}/[0-9]{{1,2}})(?:{self._unit})?")
        yield _written(Form.WHOLES, "([0-9]{1,6})[x:]([0-9]{1,6})")

    def _low(self) -> Written:
        """The lower end of a range, with its dash, where the upper one follows."""
        sign = rf"(?:{alternation(word for word in self.words.currencies if not word.isalpha())})?"
        low = rf"{sign}(?P<low>(?:[1-9][0-9]{{0,2}}|0|[12][0-9]{{3}})(?:\.[0-9]+)?)%?-"
        high = rf"{sign}[0-9]{{1,4}}(?:\.[0-9]+)?{self._scale}?(?:{self._unit}|%)?"
        return Written(re.compile(rf"{_OPEN}{low}(?={high}{_END})"), Form.LOW)

    def _amount(self) -> Written:
        money = rf"(?P<money>{alternation(self.words.currencies)})?"
        behind = rf"{self._scale}?(?:{self._unit})?|(?:{alternation(self.words.ordinal_endings)})"
        return _written(Form.AMOUNT, rf"(?P<sign>[-+]?){money} ?(?P<minus>-?)(?P<digits>{_DIGITS})(?:{behind})")

    def _said(self) -> Iterator[Written]:
        words, unit = self.words, rf"(?:{self._unit})?"
        part, count = alternation(words.fractions), alternation(words.a_part)
        of = rf"(?: (?:of )?(?:an?|the)(?= (?:{alternation(words.units)})(?!\w)))?"
        yield _written(Form.PART, rf"(?:(?P<count>{count})[ -])?(?P<part>half)(?!\w){of}{unit}")
        yield _written(Form.PART, rf"(?P<count>{count})[ -](?P<part>{part})(?!\w){of}{unit}")
        alone = (*words.places, *words.decades, *self._alone(words.weekdays), *self._alone(words.months))
        yield _written(Form.SAID, rf"(?P<said>{alternation(alone)})")
        number = alternation((*words.small, *words.ones))
        yield _written(Form.WORD, rf"(?P<said>{number})(?:{self._power})?{unit}")

    def _alone(self, names: Iterable[str]) -> Iterator[str]:
        """Names that are no other words."""
        return (name for name in names if name not in self.words.also_words)

    # -- parts of patterns ------------------------------------------------------------------------------------------

    @property
    def _month(self) -> str:
        return rf"(?P<month>{alternation(self.words.months)})\.?"

    @property
    def _day(self) -> str:
        return rf"[0-9]{{1,2}}(?:{alternation(self.words.ordinal_endings)})?"

    @property
    def _to(self) -> str:
        return rf" ?(?:-|{alternation(self.words.between)}) ?"

    @property
    def _unit(self) -> str:
        return rf"[ -]?(?P<unit>{alternation((*self.words.units, *self.words.currencies))})(?!\w)"

    @property
    def _scale(self) -> str:
        return rf"(?:{self._power}|(?P<money_scale>{alternation(self.words.money_scales)})(?!\w))"

    @property
    def _power(self) -> str:
        return rf"[ -]?(?P<scale>{alternation(self.words.scales)})(?!\w)"


def begins(character: str) -> str:
    """What kind of character it is for `FigureForms.by_begin`."""
    if character in _IN_DIGITS:
        return "digit"
    return "letter" if character.isalpha() else "sign"


def _written(form: Form, pattern: str, opening: str = _OPEN) -> Written:
    return Written(re.compile(rf"{opening}(?:{pattern}){_END}"), form)
