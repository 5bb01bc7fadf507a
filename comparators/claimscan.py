"""Claims in a text: sentences which assert that a tool has acted.

A claim is a participle of a contract's verb in a form that says "done", asserted by who answers, about an object of
the same tool. The tight tier is the first person's ("I've cancelled", "I cancelled", "I was able to cancel"),
"successfully cancelled" and "is now cancelled"; the middle one the perfect passive ("has been cancelled"); the wide
one the other passives ("was cancelled", "is cancelled"), which as often tell of a state that was found, and
participles alone ("Cancelled the order"); the loose one the first two of what is no object of the tool.

Texts are hostile. Only sentences that hold a participle of the lexicon are looked at, and from each participle only
a bounded way to either side, so that the time is linear in the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from typing import NamedTuple

from comparators.assertion import is_asserted
from comparators.claimform import Form, Tier
from comparators.claimobjects import Near, is_its_verb, objects_of, reach_near
from comparators.claimsentences import Sentence, telling, verbs_in
from comparators.claimwords import Lexicon, Reading
from comparators.clauses import Clause
from comparators.participle import enabled_form, form_at
from comparators.sentences import tokens, words_in

#: Pronouns that may refer to a noun of the sentence before.
_REFERRING = frozenset(("it", "them", "they", "this", "these", "those", "both", "all"))
#: What a loose claim is about.
_SOMETHING = frozenset(("something",))


class Claim(NamedTuple):
    """That one of `tools` acted. `forms` are the words for the state it would have brought about, `names` those in
    which calls and results speak of the act. `borrowed`: by a synonym of what the tools are named after."""

    tools: frozenset[str]
    tier: Tier
    verb: str
    object: str
    sentence: str
    forms: frozenset[str]
    names: frozenset[str] = frozenset()
    borrowed: bool = False


def claims_in(text: str, lexicon: Lexicon) -> tuple[Claim, ...]:
    """Every claim of a text, in order."""
    (told,) = telling([(text, verbs_in(text, lexicon))], lexicon.language)
    known = claims_of(told, lexicon)
    return tuple(claim for sentence in told for claim in known.get(sentence, ()))


def claims_of(told: Iterable[Sentence], lexicon: Lexicon, *, loose: bool = True) -> dict[Sentence, tuple[Claim, ...]]:
    """The claims of sentences, each by itself: of each participle the first in either tier. Without those of the loose
    one if it is not asked for."""
    some = [sentence for sentence in dict.fromkeys(told) if _may_claim(sentence, lexicon, loose=loose)]
    words = [tokens(sentence.text) for sentence in some]
    clauses = [Clause(said, list(map(str.lower, said)), lexicon.language) for said in words]
    verbs = [_told(clause, lexicon) for clause in clauses]
    asserting = [each for each in zip(some, clauses, verbs, strict=True) if each[2]]
    return {
        sentence: tuple(_claims_at(told, clause, sentence, lexicon, loose=loose))
        for sentence, clause, told in asserting
    }


def _may_claim(sentence: Sentence, lexicon: Lexicon, *, loose: bool) -> bool:
    """Whether a verb is there, and something it may be about: most sentences need no tokens."""
    said = words_in(sentence.text)
    here = lexicon.verbs.intersection(said)
    if here and (loose or _may_be_about(here, said, sentence, lexicon)):
        return True
    if lexicon.language.enabling.isdisjoint(said):
        return False
    return bool(here) or not sentence.text.isascii() or not lexicon.infinitives.keys().isdisjoint(said)


def _may_be_about(verbs: Set[str], said: Sequence[str], sentence: Sentence, lexicon: Lexicon) -> bool:
    """Whether an object of these verbs is named; it may be where not all is ASCII, and need not be for some verbs."""
    if not sentence.text.isascii() or not verbs.isdisjoint(lexicon.open):
        return True
    objects = [lexicon.objects[verb] for verb in verbs]
    return _name_one(objects, said) or _name_one(objects, _named_before(sentence, said))


def _name_one(kinds: Iterable[frozenset[str]], said: Sequence[str]) -> bool:
    return any(not objects.isdisjoint(said) for objects in kinds)


def _named_before(sentence: Sentence, said: Sequence[str]) -> Sequence[str]:
    """The words of the sentence before, if a pronoun that is `said` may refer to one of them."""
    return () if _REFERRING.isdisjoint(said) else words_in(sentence.before)


class _Told(NamedTuple):
    """A verb in a form that says "done"."""

    place: int
    form: Form
    readings: tuple[Reading, ...]


def _told(clause: Clause, lexicon: Lexicon) -> list[_Told]:
    verbs = lexicon.telling
    places = [place for place, word in enumerate(clause.low) if word in verbs]
    return list(_told_at(places, clause, lexicon))


def _told_at(places: Iterable[int], clause: Clause, lexicon: Lexicon) -> Iterator[_Told]:
    for place in places:
        word = clause.low[place]
        if word in lexicon.readings and (form := form_at(clause, place)) is not None:
            yield _Told(place, form, lexicon.readings[word])
        elif word in lexicon.infinitives and (form := enabled_form(clause, place)) is not None:
            every = (it for past in sorted(lexicon.infinitives[word]) for it in lexicon.readings[past])
            yield _Told(place, form, tuple(dict.fromkeys(it for it in every if not it.of_action)))


def _claims_at(
    told: list[_Told], clause: Clause, sentence: Sentence, lexicon: Lexicon, *, loose: bool
) -> Iterable[Claim]:
    found: dict[tuple[str, Tier], Claim] = {}
    previous = -1
    before = frozenset(_named_before(sentence, clause.low))
    said = before.union(clause.low)
    for place, form, readings in told:
        verb = clause.low[place]
        if (verb, form.tier) not in found:
            asked = [it for it in readings if loose or _may_be_meant(it, said, lexicon)]
            if asked and is_asserted(clause, place, form.voice):
                near = Near(clause, place, form.voice, previous, before)
                for claim in _read(asked, near, form, sentence, loose=loose):
                    found.setdefault((verb, claim.tier), claim)
        previous = place
    return found.values()


def _may_be_meant(reading: Reading, said: frozenset[str], lexicon: Lexicon) -> bool:
    return not reading.objects.isdisjoint(said) or reading in lexicon.open_readings


def _read(readings: list[Reading], near: Near, form: Form, sentence: Sentence, *, loose: bool) -> Iterator[Claim]:
    """What is claimed: of the readings whose objects the verb is about, else loosely of them all."""
    meant = [it for it in readings if is_its_verb(it, near)]
    reaches = {particle: reach_near(near, particle) for particle in {it.particle for it in meant}}
    about = [(it, objects) for it in meant if (objects := objects_of(it, near, reaches[it.particle]))]
    verb = near.clause.low[near.place]
    if about and all(objects.isdisjoint(it.objects) for it, objects in about):
        named = {it for it, _ in about}
        about += [(it, about[0][1]) for it in meant if not it.of_action and it not in named]
    if about:
        yield _claim(about, form.tier, verb, sentence.text)
    elif loose and form.tier >= Tier.MIDDLE:
        vague = [(it, _SOMETHING) for it in meant if not it.of_action]
        if vague:
            yield _claim(vague, Tier.LOOSE, verb, sentence.text)


def _claim(readings: list[tuple[Reading, frozenset[str]]], tier: Tier, verb: str, sentence: str) -> Claim:
    return Claim(
        tools=frozenset(reading.tool for reading, _ in readings),
        tier=tier,
        verb=verb,
        object=min(readings[0][1]),
        sentence=sentence,
        forms=frozenset().union(*(reading.forms for reading, _ in readings)),
        names=frozenset().union(*(reading.names for reading, _ in readings)),
        borrowed=all(reading.borrowed for reading, _ in readings),
    )
