"""Claims in a text: sentences which assert that a tool has acted.

A claim is a participle of a contract's verb in a form that says "done", asserted by who answers, about an object of
the same tool. The tight tier is the first person's ("I've cancelled", "I cancelled"), "successfully cancelled" and
"is now cancelled"; the middle one the perfect passive ("has been cancelled"); the wide one the other passives ("was
cancelled", "is cancelled"), which as often tell of a state that was found.

Texts are hostile. Only sentences that hold a participle of the lexicon are looked at, and from each participle only
a bounded way to either side, so that the time is linear in the text.
"""

from __future__ import annotations

from typing import NamedTuple

from comparators.claimwords import Lexicon, Reading
from comparators.clauses import Clause, Form, Reach, Tier, form_at, is_asserted, reach_of
from comparators.sentences import assertions, tokens, words_in


class Claim(NamedTuple):
    """That one of `tools` acted. `forms` are the words for the state it would have brought about."""

    tools: frozenset[str]
    tier: Tier
    verb: str
    object: str
    sentence: str
    forms: frozenset[str]


def claims_in(text: str, lexicon: Lexicon) -> tuple[Claim, ...]:
    """Every claim of a text, in order."""
    verbs = lexicon.readings.keys()
    if verbs.isdisjoint(words_in(text)):
        return ()
    telling = (sentence for sentence in assertions(text) if not verbs.isdisjoint(words_in(sentence)))
    return tuple(claim for sentence in telling for claim in _claims_of(sentence, lexicon))


def _claims_of(sentence: str, lexicon: Lexicon) -> list[Claim]:
    """The claims of a sentence: of each participle the first in either tier."""
    words = tokens(sentence)
    clause = Clause(words, [word.lower() for word in words], lexicon.language)
    said = frozenset(clause.low)
    meant = {verb: _meant(lexicon.readings[verb], said) for verb in lexicon.readings.keys() & said}
    if not any(meant.values()):
        return []
    found: dict[tuple[str, Tier], Claim] = {}
    previous = -1
    for place, verb in enumerate(clause.low):
        if verb not in meant:
            continue
        form = form_at(clause, place)
        if form is None:
            continue
        if (verb, form.tier) not in found and meant[verb] and is_asserted(clause, place):
            reach = reach_of(clause, place, form.voice, previous=previous)
            about = _about(meant[verb], reach)
            if about:
                found[verb, form.tier] = _claim(about, form, verb, sentence)
        previous = place
    return list(found.values())


def _meant(readings: tuple[Reading, ...], said: frozenset[str]) -> list[Reading]:
    """The readings whose objects are in the sentence, with those alone."""
    near = ((reading, reading.objects & said) for reading in readings)
    return [reading._replace(objects=objects) for reading, objects in near if objects]


def _about(readings: list[Reading], reach: Reach) -> list[Reading]:
    """The readings whose objects the verb can be about. What was done to an action is its subject or its object."""
    core, whole = frozenset(reach.core), frozenset(reach.whole)
    return [it for it in readings if not it.objects.isdisjoint(core if it.of_action else whole)]


def _claim(readings: list[Reading], form: Form, verb: str, sentence: str) -> Claim:
    return Claim(
        tools=frozenset(reading.tool for reading in readings),
        tier=form.tier,
        verb=verb,
        object=min(readings[0].objects),
        sentence=sentence,
        forms=frozenset().union(*(reading.forms for reading in readings)),
    )
