"""Numbers and ids out of nowhere: figures of an answer that stand in nothing the assistant had before it.

What it had is the request with its history and context, the results of the replay's own calls, and whatever production
told the user. This is precise before it is complete. A date or a time may be written another way, so a name of digits
and signs is grounded when all its numbers are; whole numbers up to twelve may count anything. What was worked out from
grounded numbers (a sum, a difference) is called ungrounded all the same: it is information, not yet an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import TypeAlias

import numpy as np

from comparators.answerbatch import AnswerBatch
from comparators.figure import LONGEST_NUMBER, NAME, Figure, otherwise, plain, rounded, scaled, shown
from comparators.numbers import MAX_CHARACTERS as LONGEST_ANSWER
from comparators.numbers import counted, figures
from comparators.spec import Column, Evidence, Status, column, overridden
from comparators.text import excerpt, normalise_all

#: The texts that a replay had before it answered, asked for only where its answer holds a figure of its own.
Grounds: TypeAlias = Callable[[], Iterable[str]]

#: Characters of grounds that are read.
MAX_CHARACTERS = 1_000_000
#: Whole numbers up to this count things.
_COUNTS = 12
_DIGITS = re.compile("[0-9]+")
_LETTER = re.compile("[a-z]")
#: Digits at the end of a long number by which it is called; and those of a telephone number without its country.
_LAST, _NATIONAL = 4, 10
MAX_SHOWN, EXCERPT = 12, 300


def compare_grounding(batch: AnswerBatch, grounds: Sequence[Grounds]) -> Column:
    """`answer.ungrounded`: the share of the replay's figures that stand nowhere, 0 to 1.

    `NOT_APPLICABLE` where one side has no answer or the replay's holds no figure; `TOO_LARGE` where there is too much
    to look through.
    """
    value = np.zeros(len(grounds))
    status = np.full(len(grounds), Status.NOT_APPLICABLE, np.uint8)
    production, replay = batch.figures
    wanted = [_counted(found) for found in replay]
    open_yet = [_unknown(these, ours) for these, ours in zip(wanted, production, strict=True)]
    asked = [place for place, these in enumerate(open_yet) if these]
    known = dict(zip(asked, _known([grounds[batch.both[place]] for place in asked]), strict=True))
    for place, row in enumerate(batch.both):
        if not batch.fits[place]:
            status[row] = Status.TOO_LARGE
        elif wanted[place]:
            alone = _ungrounded(open_yet[place], known.get(place, _NOTHING))
            status[row] = Status.TOO_LARGE if alone is None else Status.SCORED
            value[row] = 0.0 if alone is None else len(alone) / len(wanted[place])
    return overridden(column("answer.ungrounded", value, status), batch.given)


def explain_grounding(production: str | None, replay: str | None, grounds: Grounds) -> tuple[Evidence, ...]:
    """The figures that stand nowhere."""
    if production is None or replay is None or max(len(production), len(replay)) > LONGEST_ANSWER:
        return ()
    ours, theirs = figures(normalise_all((production, replay)))
    open_yet = _unknown(_counted(theirs), ours)
    alone = _ungrounded(open_yet, *_known([grounds])) if open_yet else None
    if not alone:
        return ()
    listed = ", ".join(map(shown, alone[:MAX_SHOWN]))
    return (Evidence("ungrounded", added=excerpt(listed, EXCERPT)),)


def _counted(found: Sequence[Figure]) -> list[Figure]:
    """Each figure once, without those that may count anything."""
    return [figure for figure in dict.fromkeys(counted(found)) if not _is_count(figure)]


def _is_count(figure: Figure) -> bool:
    return figure.decimals == 0 and len(figure.value) <= 2 and figure.value.isdecimal() and int(figure.value) <= _COUNTS


def _unknown(these: Sequence[Figure], production: Sequence[Figure]) -> list[Figure]:
    """Those that production's answer does not name."""
    told = {figure.value for figure in production}
    return [figure for figure in these if figure.value not in told]


def _known(grounds: Sequence[Grounds]) -> Iterator[frozenset[str] | None]:
    """Every figure of the grounds of each pair, and every run of digits in them; null where there is too much to read.

    Grounds of several pairs are read together, as many as are small enough.
    """
    waiting: list[list[str] | None] = []
    size = 0
    for texts in map(_bounded, map(_called, grounds)):
        size += sum(map(len, texts or ()))
        if size > MAX_CHARACTERS and waiting:
            yield from _values(waiting)
            waiting, size = [], sum(map(len, texts or ()))
        waiting.append(texts)
    yield from _values(waiting)


def _called(grounds: Grounds) -> Iterable[str]:
    return grounds()


def _bounded(texts: Iterable[str]) -> list[str] | None:
    kept, size = [], 0
    for text in texts:
        size += len(text)
        if size > MAX_CHARACTERS:
            return None
        kept.append(text)
    return kept


def _values(every: Sequence[list[str] | None]) -> Iterator[frozenset[str] | None]:
    normal = normalise_all([text for texts in every for text in texts or ()])
    read = zip(normal, figures(normal), strict=True)
    for texts in every:
        yield None if texts is None else frozenset().union(*(_stated(*next(read)) for _ in texts))


def _stated(text: str, found: Sequence[Figure]) -> set[str]:
    return {part for run in _DIGITS.findall(text) for part in _parts(run)} | {figure.value for figure in found}


def _parts(run: str) -> Iterator[str]:
    """A run of digits, and the ends by which long ones are called: a card's last four, a number without its country."""
    yield run.lstrip("0") or "0"
    if len(run) >= 2 * _LAST:
        yield run[-_LAST:]
    if len(run) > _NATIONAL:
        yield run[-_NATIONAL:]


def _ungrounded(these: Sequence[Figure], known: frozenset[str] | None) -> list[Figure] | None:
    """Null where the grounds were too large to be read."""
    if known is None:
        return None
    left = [figure for figure in these if not _is_known(figure, known)]
    places = {decimals for figure in left for _, decimals in _roundings(figure)}
    near = {(rounded(value, decimals), decimals) for decimals in places for value in known if _is_number(value)}
    return [figure for figure in left if near.isdisjoint(_roundings(figure))]


def _roundings(figure: Figure) -> Iterator[tuple[str, int]]:
    """What some finer number was perhaps rounded to, and to how many decimals; a percentage as it is shown as well."""
    if figure.decimals < NAME:
        yield figure.value, figure.decimals
        if figure.unit == "%":
            yield plain(scaled(Decimal(figure.value), 2)), figure.decimals - 2


_NOTHING: frozenset[str] = frozenset()


def _is_number(value: str) -> bool:
    return len(value) <= LONGEST_NUMBER and value.replace(".", "", 1).removeprefix("-").isdecimal()


def _is_known(figure: Figure, known: frozenset[str]) -> bool:
    if figure.value in known or figure.value.removeprefix("-") in known:
        return True
    if any(value in known for value, _ in otherwise(figure)):
        return True
    if figure.decimals < NAME or _LETTER.search(figure.value):
        return False
    runs = [run.lstrip("0") or "0" for run in _DIGITS.findall(figure.value)]
    return all(run in known or int(run[:3]) <= _COUNTS for run in runs)
