"""What a verb is about, by one reading of it: objects of the reading, who is spoken to, or whatever it governs."""

from __future__ import annotations

from typing import NamedTuple

from comparators.claimform import Voice
from comparators.claimwords import Reading
from comparators.clauses import Clause
from comparators.language import Language
from comparators.reach import Reach, has_particle, is_head, part_behind, reach_of


class Near(NamedTuple):
    """A verb among its words, and those of the sentence before if a pronoun may refer to it."""

    clause: Clause
    place: int
    voice: Voice
    previous: int
    before: frozenset[str]


def is_its_verb(reading: Reading, near: Near) -> bool:
    """Whether the verb has the particle that the reading asks for, and no other."""
    if reading.particle:
        return has_particle(near.clause, near.place, reading.particle)
    behind = near.clause.low[near.place + 1 : near.place + 2]
    return not behind or behind[0] not in near.clause.language.parting(near.clause.low[near.place])


def reach_near(near: Near, particle: str) -> Reach:
    return reach_of(near.clause, near.place, near.voice, previous=near.previous, particle=particle)


def objects_of(reading: Reading, near: Near, reach: Reach) -> frozenset[str]:
    """The objects of a reading that the verb is about."""
    clause = near.clause
    if reading.of_action:
        heads = [at for at in reach.core if clause.low[at] in reading.objects and is_head(clause, at)]
        return frozenset([clause.low[at] for at in heads])
    parts = [reach.whole, *[part_behind(clause, reach.predicate, preposition) for preposition in reading.behind]]
    before = near.before if reach.refers else frozenset()
    said = before.union(*map(clause.said, parts))
    return reading.objects & said or _others(reading, reach, near)


def _others(reading: Reading, reach: Reach, near: Near) -> frozenset[str]:
    """What else a reading may be about: who is spoken to, a name, or whatever an active verb governs."""
    clause, language = near.clause, near.clause.language
    if reading.of_person:
        return frozenset(clause.low[at] for at in reach.core if _is_person(clause, at))
    if reading.of_anything and (near.voice is Voice.ACTIVE or _is_bare_subject(reach, clause, language)):
        return frozenset(filter(str.isalnum, clause.said(reach.core)))
    return frozenset()


def _is_person(clause: Clause, at: int) -> bool:
    word = clause.words[at]
    if clause.low[at] in clause.language.addressed:
        return True
    named = word[0].isupper() and not word.isupper() and at > 0 and clause.low[at] not in clause.language.self
    return named and clause.words[at - 1] not in (".", "#")


def _is_bare_subject(reach: Reach, clause: Clause, language: Language) -> bool:
    """Whether the subject of a passive is no more than a pronoun: "this has been escalated"."""
    subject = next(filter(str.isalnum, clause.said(reach.core)), "")
    return subject in language.addressed or subject in language.pronouns
