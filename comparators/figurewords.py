"""What a language contributes to reading figures: number words, calendars, units and what they are worth, as data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property
from importlib.resources import files


@dataclass(frozen=True)
class FigureWords:
    """Words in normal form (`text.normalise_all`)."""

    numbers: Mapping[str, int]
    ordinals: Mapping[str, int]
    #: "the nineties"
    decades: Mapping[str, int]
    #: Words for one that mostly count nothing: they are figures only in the place of another.
    ones: frozenset[str]
    #: Words around one of `ones` with which it is a pronoun.
    no_figure_after: frozenset[str]
    no_figure_before: frozenset[str]
    #: Parts of a whole, as "1/3", and what stands before them: *a third*.
    fractions: Mapping[str, str]
    a_part: tuple[str, ...]
    #: Powers of ten, and those that stand behind amounts of money only.
    scales: Mapping[str, int]
    money_scales: Mapping[str, int]
    #: Number of a month, 1 to 12, and a weekday's first name, by every name it has.
    months: Mapping[str, int]
    weekdays: Mapping[str, str]
    #: Names of months and weekdays that are other words as well.
    also_words: frozenset[str]
    meridiems: Mapping[str, str]
    ordinal_endings: tuple[str, ...]
    #: What stands between the ends of a range.
    between: tuple[str, ...]
    #: The unit or currency that each way of writing it means.
    units: Mapping[str, str]
    currencies: Mapping[str, str]
    #: Units that may be meant by another: a US dollar is a dollar.
    wider: Mapping[str, tuple[str, ...]]
    #: How many of the least one each unit of a measure is worth.
    measures: tuple[Mapping[str, Decimal], ...]

    @cached_property
    def small(self) -> Mapping[str, int]:
        """Every number word from two to ninety-nine, and its value."""
        tens = {word: value for word, value in self.numbers.items() if value >= 20}
        units = {"one": 1, **{word: value for word, value in self.numbers.items() if value < 10}}
        return {**self.numbers, **_compounds(tens, units)}

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Every ordinal from second to ninety-ninth, and its value."""
        tens = {word: value for word, value in self.numbers.items() if value >= 20}
        units = {word: value for word, value in self.ordinals.items() if value < 10}
        return {**self.ordinals, **_compounds(tens, units)}

    @cached_property
    def starts(self) -> frozenset[str]:
        """Words with which a figure may begin that no digit begins."""
        return frozenset(
            (*self.small, *self.places, *self.decades, *self.ones, *self.fractions, *self.months, *self.weekdays)
        ) | frozenset(word for word in self.currencies if word.isalpha())

    @cached_property
    def of_figures(self) -> frozenset[str]:
        """Every word that is part of a figure."""
        phrases = (*self.units, *self.currencies, *self.scales, *self.meridiems, *self.between, *self.a_part)
        return self.starts | frozenset(word for phrase in phrases for word in phrase.split()) | _SMALL


#: Words inside of figures: the 4th of March, half an hour.
_SMALL = frozenset(("of", "the", "an"))


def _compounds(tens: Mapping[str, int], units: Mapping[str, int]) -> dict[str, int]:
    return {
        f"{ten}{between}{unit}": value + more
        for ten, value in tens.items()
        for unit, more in units.items()
        for between in "- "
    }


def alternation(words: Iterable[str]) -> str:
    """A pattern for any of the words, the longest that fits."""
    return "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))


@cache
def english_figures() -> FigureWords:
    """English, from the file that ships with the package."""
    text = files("comparators").joinpath("data/english-figures.json").read_text(encoding="utf-8")
    fields = json.loads(text)
    return FigureWords(
        numbers=fields["numbers"],
        ordinals=fields["ordinals"],
        decades=fields["decades"],
        ones=frozenset(fields["ones"]),
        no_figure_after=frozenset(fields["no_figure_after"]),
        no_figure_before=frozenset(fields["no_figure_before"]),
        fractions=fields["fractions"],
        a_part=tuple(fields["a_part"]),
        scales=fields["scales"],
        money_scales=fields["money_scales"],
        months={name: month for month, names in enumerate(fields["months"], start=1) for name in names},
        weekdays={name: names[0] for names in fields["weekdays"] for name in names},
        also_words=frozenset(fields["also_words"]),
        meridiems=fields["meridiems"],
        ordinal_endings=tuple(fields["ordinal_endings"]),
        between=tuple(fields["between"]),
        units={written: unit for unit, names in fields["units"].items() for written in names},
        currencies={written: unit for unit, names in fields["currencies"].items() for written in names},
        wider={unit: tuple(others) for unit, others in fields["wider"].items()},
        measures=tuple(
            {unit: Decimal(worth) for unit, worth in measure.items()} for measure in fields["measures"]
        ),
    )
