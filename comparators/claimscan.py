"""Claims in a text: sentences which assert that a tool has acted.

A claim is a participle of a contract's verb in a form that says "done", asserted by who answers, about an object of
the same tool. The tight tier is the first person's ("I've cancelled", "I cancelled"), "successfully cancelled" and
"is now cancelled"; the middle one the perfect passive ("has been cancelled"); the wide one the other passives ("was
cancelled", "is cancelled"), which as often tell of a state that was found.

Texts are hostile. Only sentences that hold a participle of the lexicon are looked at, and from each participle only
a bounded way to either side, so that the time is linear in the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import NamedTuple

from comparators.claimwords import Lexicon, Reading
from comparators.clauses import Clause, Form, Reach, Tier, form_at, is_asserted, may_have_form, reach_of
from comparators.language import Language
from comparators.sentences import asserts, sentences, tokens, words_in
from comparators.wordsearch import Hit


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
    verbs = lexicon.verbs.intersection(words_in(text))
    return tuple(claim for sentence in telling(text, verbs) for claim in claims_of(sentence, lexicon))


def telling(text: str, verbs: Set[str]) -> list[str]:
    """The sentences that may hold one of `verbs`, and few others: to look for letters is faster than for words.

    Neither a sentence nor a quotation goes beyond its line, so that other lines need not be cut.
    """
    cut = (sentence for line in text.split("\n") if _holds(line, verbs) for sentence in sentences(line))
    return [sentence for sentence in cut if _holds(sentence, verbs) and asserts(sentence)]


def may_tell(hit: Hit, language: Language) -> bool:
    """Whether a participle can have a form, by the word before it: true unless that is a token for itself."""
    word = hit.before.strip()
    if not (hit.before[:1].isspace() and word.isalpha()):
        return True
    return may_have_form(word.lower().decode("ascii"), language)


def _holds(text: str, verbs: Set[str]) -> bool:
    low = text.lower()
    for verb in verbs:  # noqa: SIM110 - a generator costs more than what it would do
        if verb in low:
            return True
    return False


def claims_of(sentence: str, lexicon: Lexicon) -> tuple[Claim, ...]:
    """The claims of a sentence: of each participle the first in either tier."""
    if not _may_claim(sentence, lexicon):
        return ()
    words = tokens(sentence)
    clause = Clause(words, [word.lower() for word in words], lexicon.language)
    verbs = [place for place, word in enumerate(clause.low) if word in lexicon.readings]
    forms = [(place, form) for place in verbs if (form := form_at(clause, place)) is not None]
    return tuple(_claims_at(forms, clause, sentence, lexicon)) if forms else ()


def _claims_at(forms: list[tuple[int, Form]], clause: Clause, sentence: str, lexicon: Lexicon) -> Iterable[Claim]:
    said = frozenset(clause.low)
    meant = {verb: _meant(lexicon.readings[verb], said) for verb in {clause.low[place] for place, _ in forms}}
    found: dict[tuple[str, Tier], Claim] = {}
    previous = -1
    for place, form in forms:
        verb = clause.low[place]
        if (verb, form.tier) not in found and meant[verb] and is_asserted(clause, place):
            reach = reach_of(clause, place, form.voice, previous=previous)
            about = _about(meant[verb], reach)
            if about:
                found[verb, form.tier] = _claim(about, form, verb, sentence)
        previous = place
    return found.values()


def _may_claim(sentence: str, lexicon: Lexicon) -> bool:
    """Whether a participle is there and, where all is ASCII, one of its objects: most sentences need no tokens."""
    said = words_in(sentence)
    here = lexicon.verbs.intersection(said)
    if not here or not sentence.isascii():
        return bool(here)
    return any(not lexicon.objects[verb].isdisjoint(said) for verb in here)


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
