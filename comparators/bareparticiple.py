"""Participles without subject and auxiliary: "Cancelled the order" at the head of a line, "Order cancelled" as all of
it, or of a part of it: behind a label, or in the cell of a row.
"""

from __future__ import annotations

from collections.abc import Sequence

from comparators.claimform import Form, Tier, Voice
from comparators.clauses import LONGEST_CLAUSE, LONGEST_NOUN, Clause, end_of_predicate, is_nominal, is_verb
from comparators.language import Language

#: Signs that part what stands by itself in a line: a label and the rest, the cells of a row.
_PARTS = frozenset((":", "|", ";", "-", "\u2013", "\u2014"))
#: Signs before the first word of a line.
_MOST_SIGNS = 5


def bare_form(clause: Clause, place: int) -> Form | None:
    """Without subject and auxiliary: "Merged the request", a point of a list, and "Order cancelled" as all of one."""
    low, language = clause.low, clause.language
    if low[place] in language.irregular.get(low[place], ()):
        return None  # "Password reset" and "Set the timer" may be anything
    if 0 < place < len(low) - 1 and low[place - 1][0].isalnum() and low[place + 1][0].isalnum():
        return None  # neither first nor last
    start = _start_of_part(low, place)
    if place - start > LONGEST_CLAUSE:
        return None
    before = [word for word in low[start:place] if word[0].isalnum()]
    if not before and start == 0:
        return Form(Tier.WIDE, Voice.ACTIVE) if _has_bare_object(clause, place) else None
    ends = not any(word[0].isalnum() for word in low[place + 1 : _end_of_part(low, place)])
    named = before or _cell_before(low, start)
    stands = (
        ends
        and _is_noun_alone(named, language)
        and not _is_told_otherwise(low[max(place - LONGEST_CLAUSE, 0) : place], language)
    )
    return Form(Tier.WIDE, Voice.PASSIVE) if stands else None


def bare_before(clause: Clause, place: int) -> Form | None:
    """The form of a bare participle that begins the sentence, for those joined to it."""
    low = clause.low
    first = next((at for at in range(min(place, _MOST_SIGNS)) if low[at][0].isalnum()), None)
    return bare_form(clause, first) if first is not None and is_verb(low[first], clause.language) else None


def _start_of_part(low: Sequence[str], place: int) -> int:
    """Where the part of a line begins that holds `place`; 0 is the line."""
    first = max(place - LONGEST_CLAUSE, 0)
    at = max([first + at for at, word in enumerate(low[first:place]) if _parts(word)], default=-1)
    return 0 if not any(word[0].isalnum() for word in low[max(at - LONGEST_CLAUSE, 0) : at + 1]) else at + 1


def _parts(word: str) -> bool:
    """Whether a token parts a line; a figure may hold the colon behind it."""
    return word in _PARTS or word[-1] == ":"


def _end_of_part(low: Sequence[str], place: int) -> int:
    last = min(place + LONGEST_CLAUSE, len(low))
    return next((at for at in range(place + 1, last) if low[at] == "|"), last)


def _cell_before(low: Sequence[str], start: int) -> list[str]:
    """What stands before the part at `start`: a row, or a label, may give the thing apart from its state."""
    if start < 2 or low[start - 1][-1] not in "|:":
        return []
    return [word for word in low[_start_of_part(low, start - 1) : start - 1] if word[0].isalnum()]


def _has_bare_object(clause: Clause, place: int) -> bool:
    """Whether a noun follows, with a determiner, a figure or a capital, and no finite verb before its clause ends."""
    low, language = clause.low, clause.language
    behind = next((at for at in range(place + 1, min(place + 4, len(low))) if low[at][0].isalnum()), None)
    if behind is None:
        return False
    word = clause.words[behind]
    marked = low[behind] in language.determiners or word[0].isdigit() or word[0].isupper() or word in language.addressed
    rest = low[behind : end_of_predicate(clause, place)]
    return marked and language.finite.isdisjoint(rest)


def _is_noun_alone(words: Sequence[str], language: Language) -> bool:
    return 0 < len(words) <= LONGEST_NOUN and all(is_nominal(word, language) for word in words)


def _is_told_otherwise(label: Sequence[str], language: Language) -> bool:
    """Whether what stands in front of a part makes it no report of now: a date, a plan, a history, a condition."""
    return any(
        word in language.calendar or word in language.unfinished or word in language.blockers
        or (word[0].isdigit() and not word.rstrip(":,.").isalnum())
        for word in label
    )  # fmt: skip
