"""What a verb is about: its subject or its object, as places in its clause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from comparators.claimform import Voice
from comparators.clauses import LONGEST_CLAUSE, Clause, end_of_predicate, is_adverb, is_nominal
from comparators.language import Language

#: Words after the verb in which its particle is looked for.
_PARTICLE_WITHIN = 8


class Reach(NamedTuple):
    """Where to look for what a verb is about, as places: its subject or direct object, and all that goes with it.

    `predicate`: what follows the verb. `refers`: a pronoun stands for what was named before.
    """

    core: range
    whole: range
    predicate: range
    refers: bool = False


def reach_of(clause: Clause, place: int, voice: Voice, *, previous: int, particle: str = "") -> Reach:
    """Where the thing stands that the verb at `place` is about; `previous` is the place of the verb before it, or -1.

    The object of an active verb follows it, the subject of a passive one comes first, and neither is found across
    a coordinated predicate: "I've updated your address and refunded the transaction" updates no transaction.
    """
    low, language = clause.low, clause.language
    end = end_of_predicate(clause, place)
    ahead = range(place + 1 + (low[place + 1 : place + 2] == [particle]), end)
    if voice is Voice.PASSIVE:
        start = _start_of_subject(low, place, previous)
        refers = _refers(low, range(start, place), language) or not start < place
        return Reach(range(start, place), range(start, end), ahead, refers)
    window = range(max(place - LONGEST_CLAUSE, 0), min(place + LONGEST_CLAUSE, len(low)))
    if voice is Voice.EITHER or not ahead:
        return Reach(window, window, ahead, refers=not ahead)
    core = range(ahead.start, _end_of_object(low, ahead, language))
    if _refers(low, core, language):
        return Reach(window, window, ahead, refers=True)
    return Reach(core or ahead, core or ahead, ahead)


def part_behind(clause: Clause, predicate: range, preposition: str) -> range:
    """What follows a preposition in a predicate, up to the next one."""
    low, language = clause.low, clause.language
    first = next((at for at in predicate if low[at] == preposition), predicate.stop)
    rest = range(min(first + 1, predicate.stop), predicate.stop)
    return range(rest.start, _end_of_object(low, rest, language))


def has_particle(clause: Clause, place: int, particle: str) -> bool:
    """Whether the particle of a phrasal verb stands in its predicate: "turned the light *off*"."""
    return particle in clause.low[place + 1 : min(place + 1 + _PARTICLE_WITHIN, end_of_predicate(clause, place))]


def is_head(clause: Clause, at: int) -> bool:
    """Whether a noun is the last of its compound: "the cancellation of", and no "cancellation policy"."""
    low, language = clause.low, clause.language
    while at + 1 < len(low) and low[at + 1] in language.fillers:
        at += 1
    word = low[at + 1] if at + 1 < len(low) else "."
    return not _continues_noun(word, language) or is_adverb(word, language)


def _refers(low: Sequence[str], places: range, language: Language) -> bool:
    """Whether a pronoun at some of these places stands for a noun."""
    said = low[places.start : places.stop]
    return not language.pronouns.isdisjoint(said) and any(_stands_alone(low, at, language) for at in places)


def _stands_alone(low: Sequence[str], at: int, language: Language) -> bool:
    """Whether a pronoun stands for a noun, and not before one: "this", not "this question"."""
    if low[at] not in language.pronouns:
        return False
    word = low[at + 1] if at + 1 < len(low) else "."
    return low[at] in ("it", "them", "they") or not (word[0].isdigit() or _continues_noun(word, language))


def _continues_noun(word: str, language: Language) -> bool:
    """Whether a word behind a noun, or one of its determiners, can belong to it."""
    return word[0].isalpha() and word not in language.function_words and is_nominal(word, language)


def _end_of_object(low: Sequence[str], ahead: range, language: Language) -> int:
    """Where the object of a verb ends: at a preposition, or at "of" unless a quantity stands before it."""
    for at in ahead:
        if low[at] in language.prepositions:
            return at
        if low[at] == "of" and language.quantities.isdisjoint(low[ahead.start : at]) and not low[at - 1][0].isdigit():
            return at
    return ahead.stop


def _start_of_subject(low: Sequence[str], place: int, previous: int) -> int:
    """Where the subject of a passive verb may begin: behind the last "and" since another verb, if there is one."""
    first = max(place - LONGEST_CLAUSE, previous + 1, 0)
    if previous < 0:
        return first
    return next((at for at in range(place - 1, first - 1, -1) if low[at] in ("and", "but", "so", ";")), first)
