"""Numbers and ids in texts, and how many of them have no equal on the other side.

A figure is what a token that holds a digit says (`figuresense`), together with the unit, the month or the other half of
the day beside it; and a number word from two upwards. "One", an ordinal, a weekday or a month is a figure only where it
stands in another's place: mostly they count nothing. Two figures are equal if they are one figure written in two ways
(`figure.otherwise`), if one is the other rounded to the decimals it shows, or if they are the same digits cut apart
in another way. Two units that differ tell figures apart, a missing one does not.

Texts are expected in normal form (`text.normalise_all`): lower case, ASCII digits, single spaces.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from operator import itemgetter
from typing import TypeAlias, TypeVar

import numpy as np

from comparators.figure import FAINT, NAME, Figure, Key, kind_of, rounded, values_to_write, ways_to_write
from comparators.figureread import english_reader
from comparators.figurescan import english_scanner
from comparators.spec import Ints

#: Characters of an answer of which figures are read.
MAX_CHARACTERS = 250_000
_VALUE, _DECIMALS = itemgetter(0), itemgetter(2)
#: `Key` of a figure.
_KEY = itemgetter(0, 1)
#: Of how many numbers of decimals there must be numbers before one can be another rounded.
_ROUNDED_AND_EXACT = 2
#: The figures left of each value and unit.
_Left: TypeAlias = dict[Key, list[Figure]]
_Thing = TypeVar("_Thing", Key, Figure)


# -- matching ---------------------------------------------------------------------------------------------------


def unmatched(production: Sequence[Figure], replay: Sequence[Figure]) -> tuple[list[Figure], list[Figure]]:
    """Figures missing from the replay and figures added by it, as multisets."""
    if production == replay:
        return [], []
    if not production or not replay:
        return counted(production), counted(replay)
    missing, added = _left_over(production, replay)
    if len(missing) != len(added) and (digits := _digits(missing)) and digits == _digits(added):
        return [], []
    return _telling(missing, added), _telling(added, missing)


def counted(found: Iterable[Figure]) -> list[Figure]:
    """Those that count for themselves."""
    return [figure for figure in found if figure.decimals not in FAINT]


def _left_over(production: Sequence[Figure], replay: Sequence[Figure]) -> tuple[list[Figure], list[Figure]]:
    """What has no equal. Most texts that differ have no figure in common, nor one that could be another's."""
    if _are_unlike(production, replay):
        return list(production), list(replay)
    missing, added = _differences(production, replay)
    return _cancelled(missing, added) if missing and added else (missing, added)


def _differences(production: Sequence[Figure], replay: Sequence[Figure]) -> tuple[list[Figure], list[Figure]]:
    """Multiset differences by value and unit."""
    ours, theirs = list(map(_KEY, production)), list(map(_KEY, replay))
    return _beyond(production, ours, theirs), _beyond(replay, theirs, ours)


def _beyond(these: Sequence[Figure], keys: Sequence[Key], those: Sequence[Key]) -> list[Figure]:
    """The figures of which there are more than of those. Of equal values the later ones stay."""
    budget = _how_often(those)
    left = []
    for figure, key in zip(these, keys, strict=True):
        if remaining := budget.get(key, 0):
            budget[key] = remaining - 1
        else:
            left.append(figure)
    return left


def _how_often(things: Iterable[_Thing]) -> dict[_Thing, int]:
    """As a Counter does, which costs more than so few things."""
    found: dict[_Thing, int] = {}
    for thing in things:
        found[thing] = found.get(thing, 0) + 1
    return found


def _cancelled(missing: list[Figure], added: list[Figure]) -> tuple[list[Figure], list[Figure]]:
    """Take out pairs of which one is the other written otherwise, or rounded.

    What is left of a value and unit stands on one side only. Values are tried in an order of their own, finest first
    where they are rounded, so that swapping the sides changes nothing.
    """
    if _are_unlike(missing, added):
        return missing, added
    sides = _by_key(missing), _by_key(added)
    alike = [
        (key, written)
        for own, other in (sides, sides[::-1])
        for key, found in own.items()
        for written in ways_to_write(found[0])
        if written in other
    ]
    for key, written in sorted(alike):
        own, other = sides if key in sides[0] else sides[::-1]
        _cross_out(own[key], other[written])
    shown = sorted({decimals for _, _, decimals in (*missing, *added) if decimals < NAME}, reverse=True)
    if len(shown) >= _ROUNDED_AND_EXACT:
        _cancel_rounded(sides, shown)
    if sum(map(len, sides[0].values())) == len(missing):
        return missing, added
    return _kept(missing, sides[0]), _kept(added, sides[1])


def _are_unlike(these: Sequence[Figure], those: Sequence[Figure]) -> bool:
    """Whether no figure can be another one, written otherwise or rounded: by their values alone, without units."""
    ours, theirs = frozenset(map(_VALUE, these)), frozenset(map(_VALUE, those))
    return (
        ours.isdisjoint(theirs)
        and all(map(theirs.isdisjoint, map(values_to_write, these)))
        and all(map(ours.isdisjoint, map(values_to_write, those)))
        and not _may_be_rounded(these, those, ours, theirs)
    )


def _may_be_rounded(
    these: Sequence[Figure], those: Sequence[Figure], ours: frozenset[str], theirs: frozenset[str]
) -> bool:
    """Whether some figure, rounded to the decimals that another one shows, may have its value."""
    here, there = frozenset(map(_DECIMALS, these)), frozenset(map(_DECIMALS, those))
    if sum(map(NAME.__gt__, here | there)) < _ROUNDED_AND_EXACT:
        return False
    return any(
        rounded(value, coarse) in values
        for side, shown, values in ((these, there, theirs), (those, here, ours))
        for value, _, fine in side
        if fine < NAME
        for coarse in shown
        if coarse < fine
    )


def _by_key(found: Sequence[Figure]) -> _Left:
    """The finest last: they go first, for the coarse ones may still be another one rounded."""
    left: _Left = {}
    for figure in found:
        left.setdefault(figure[:2], []).append(figure)
    if len(left) < len(found):
        for alike in left.values():
            alike.sort(key=_DECIMALS)
    return left


def _cross_out(these: list[Figure], those: list[Figure]) -> None:
    both = min(len(these), len(those))
    if both:
        del these[-both:], those[-both:]


def _cancel_rounded(sides: tuple[_Left, _Left], shown: Sequence[int]) -> None:
    places = {(-figure.decimals, key) for side in sides for key, found in side.items() for figure in found}
    for fine, key in sorted(place for place in places if -place[0] < NAME):
        own, other = sides if key in sides[0] else sides[::-1]
        for decimals in shown:
            if decimals < -fine:
                value = rounded(key[0], decimals)
                for unit in dict.fromkeys((key[1], "")):
                    if those := other.get((value, unit)):
                        _cancel_shown(own[key], -fine, those, decimals)


def _cancel_shown(these: list[Figure], fine: int, those: list[Figure], coarse: int) -> None:
    """Cross out as many with so many decimals here as there are with so many there."""
    ours, theirs = _shown_so(these, fine), _shown_so(those, coarse)
    both = min(len(ours), len(theirs))
    del these[ours.start : ours.start + both], those[theirs.start : theirs.start + both]


def _shown_so(alike: Sequence[Figure], decimals: int) -> range:
    """Where those with so many decimals stand among figures of one value and unit, the finest last."""
    return range(bisect_left(alike, decimals, key=_DECIMALS), bisect_right(alike, decimals, key=_DECIMALS))


def _kept(found: Sequence[Figure], left: _Left) -> list[Figure]:
    """What is left, in the order of the text; of equal ones the first stay."""
    rest = _how_often(chain.from_iterable(left.values()))
    kept = []
    for figure in found:
        if remaining := rest.get(figure, 0):
            rest[figure] = remaining - 1
            kept.append(figure)
    return kept


def _digits(found: Sequence[Figure]) -> str:
    """All digits of figures that are nothing but digits, in order; nothing where one is more than that."""
    values = [figure.value for figure in found if figure.decimals not in FAINT]
    return "".join(values) if all(map(str.isdecimal, values)) else ""


def _telling(these: list[Figure], those: list[Figure]) -> list[Figure]:
    """Without the faint ones in whose place nothing stands."""
    if FAINT.isdisjoint(map(_DECIMALS, these)):
        return these
    kinds = frozenset(map(kind_of, those))
    return [figure for figure in these if figure.decimals not in FAINT or kind_of(figure) in kinds]


# -- finding ----------------------------------------------------------------------------------------------------


def figures(texts: Sequence[str]) -> list[list[Figure]]:
    """The figures of each normalised text."""
    return figures_of(len(texts), *english_scanner().passages(texts))


def figures_of(texts: int, rows: Ints, passages: Sequence[str]) -> list[list[Figure]]:
    """The figures of each of so many texts, by their passages and the rows of these, in order."""
    found = english_reader().read_all(passages)
    cuts = np.searchsorted(rows, np.arange(texts + 1)).tolist()
    return [list(chain.from_iterable(found[start:end])) for start, end in pairwise(cuts)]
