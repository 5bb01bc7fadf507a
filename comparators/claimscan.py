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
from typing import NamedTuple, TypeAlias

from comparators.assertion import is_asserted
from comparators.claimform import Form, Tier, Voice
from comparators.claimwords import Lexicon, Reading
from comparators.clauses import Clause
from comparators.language import Language
from comparators.participle import enabled_form, form_at
from comparators.reach import Reach, has_particle, is_head, part_behind, reach_of
from comparators.sentences import asserted, is_own, own_words, sentences, tokens, words_in

#: Characters of the sentence before, in which a pronoun's noun is looked for.
_ANTECEDENT = 300
_REFERRING = frozenset(("it", "them", "they", "this", "these", "those", "both", "all"))
#: What a loose claim is about.
_SOMETHING = frozenset(("something",))


#: A text, and the verbs in it that may claim something.
Held: TypeAlias = tuple[str, Set[str]]


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


class Sentence(NamedTuple):
    """What is asserted, and what was said right before it."""

    text: str
    before: str


def claims_in(text: str, lexicon: Lexicon) -> tuple[Claim, ...]:
    """Every claim of a text, in order."""
    (told,) = telling([(text, verbs_in(text, lexicon))], lexicon.language)
    known = claims_of(told, lexicon)
    return tuple(claim for sentence in told for claim in known.get(sentence, ()))


def verbs_in(text: str, lexicon: Lexicon) -> Set[str]:
    """The participles of a text, and its infinitives where one may claim a deed."""
    said = words_in(text)
    verbs = lexicon.verbs.intersection(said)
    return verbs if lexicon.language.enabling.isdisjoint(said) else verbs.union(lexicon.infinitives.keys() & said)


def telling(held: Sequence[Held], language: Language) -> list[list[Sentence]]:
    """The sentences of each text that may hold one of its verbs, and few others: to look for letters is faster than for
    words.

    Neither a sentence nor a quotation goes beyond its line, so that other lines need not be cut.
    """
    lines = [list(_lines(text, verbs, language)) for text, verbs in held]
    distinct = dict.fromkeys(line for some in lines for line, _ in some)
    cut = {line: sentences(line, language) for line in distinct}
    return [
        [sentence for line, before in some for sentence in _telling(cut[line], before, verbs, language)]
        for (_, verbs), some in zip(held, lines, strict=True)
    ]


def _lines(text: str, verbs: Set[str], language: Language) -> Iterator[tuple[str, str]]:
    """The lines that may hold one of `verbs`, and what stands above each."""
    own = own_words(text, language)
    before = ""
    for line, low in zip(own.split("\n"), own.lower().split("\n"), strict=True):
        if _holds(low, verbs) and is_own(line):
            yield line, before
        before = line or before


def _telling(line: Sequence[str], before: str, verbs: Set[str], language: Language) -> Iterator[Sentence]:
    for sentence in line:
        if _holds(sentence.lower(), verbs):
            told = asserted(sentence, language)
            if told:
                yield Sentence(told, before[-_ANTECEDENT:])
        before = sentence or before


def _holds(low: str, verbs: Set[str]) -> bool:
    for verb in verbs:  # noqa: SIM110 - a generator costs more than what it would do
        if verb in low:
            return True
    return False


def claims_of(
    told: Iterable[Sentence], lexicon: Lexicon, *, loose: bool = True
) -> dict[Sentence, tuple[Claim, ...]]:
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


class _Told(NamedTuple):
    """A verb in a form that says "done"."""

    place: int
    form: Form
    readings: tuple[Reading, ...]


def _told(clause: Clause, lexicon: Lexicon) -> list[_Told]:
    places = [place for place, word in enumerate(clause.low) if word in lexicon.telling]
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
                near = _Near(clause, place, form.voice, previous, before)
                for claim in _read(asked, near, form, sentence, loose=loose):
                    found.setdefault((verb, claim.tier), claim)
        previous = place
    return found.values()


def _may_be_meant(reading: Reading, said: frozenset[str], lexicon: Lexicon) -> bool:
    return not reading.objects.isdisjoint(said) or reading in lexicon.open_readings


class _Near(NamedTuple):
    """A verb among its words, and those of the sentence before if a pronoun may refer to it."""

    clause: Clause
    place: int
    voice: Voice
    previous: int
    before: frozenset[str]


def _read(readings: list[Reading], near: _Near, form: Form, sentence: Sentence, *, loose: bool) -> Iterator[Claim]:
    """What is claimed: of the readings whose objects the verb is about, else loosely of them all."""
    meant = [it for it in readings if _is_its_verb(it, near)]
    reaches = {particle: _reach(near, particle) for particle in {it.particle for it in meant}}
    about = [(it, objects) for it in meant if (objects := _objects(it, near, reaches[it.particle]))]
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


def _is_its_verb(reading: Reading, near: _Near) -> bool:
    """Whether the verb has the particle that the reading asks for, and no other."""
    if reading.particle:
        return has_particle(near.clause, near.place, reading.particle)
    behind = near.clause.low[near.place + 1 : near.place + 2]
    return not behind or behind[0] not in near.clause.language.parting(near.clause.low[near.place])


def _reach(near: _Near, particle: str) -> Reach:
    return reach_of(near.clause, near.place, near.voice, previous=near.previous, particle=particle)


def _objects(reading: Reading, near: _Near, reach: Reach) -> frozenset[str]:
    """The objects of a reading that the verb is about."""
    clause = near.clause
    if reading.of_action:
        heads = (clause.low[at] for at in reach.core if clause.low[at] in reading.objects and is_head(clause, at))
        return frozenset(heads)
    said = frozenset(clause.low[at] for at in reach.whole)
    behind = (part_behind(clause, reach.predicate, preposition) for preposition in reading.behind)
    said = said.union(*((clause.low[at] for at in part) for part in behind))
    if reach.refers:
        said |= near.before
    return reading.objects & said or _others(reading, reach, near)


def _others(reading: Reading, reach: Reach, near: _Near) -> frozenset[str]:
    """What else a reading may be about: who is spoken to, a name, or whatever an active verb governs."""
    clause, language = near.clause, near.clause.language
    if reading.of_person:
        persons = (at for at in reach.core if _is_person(clause, at))
        return frozenset(clause.low[at] for at in persons)
    if reading.of_anything and (near.voice is Voice.ACTIVE or _is_bare_subject(reach, clause, language)):
        return frozenset(clause.low[at] for at in reach.core if clause.low[at].isalnum())
    return frozenset()


def _is_person(clause: Clause, at: int) -> bool:
    word = clause.words[at]
    if clause.low[at] in clause.language.addressed:
        return True
    named = word[0].isupper() and not word.isupper() and at > 0 and clause.low[at] not in clause.language.self
    return named and clause.words[at - 1] not in (".", "#")


def _is_bare_subject(reach: Reach, clause: Clause, language: Language) -> bool:
    """Whether the subject of a passive is no more than a pronoun: "this has been escalated"."""
    subject = [clause.low[at] for at in reach.core if clause.low[at].isalnum()]
    return bool(subject) and (subject[0] in language.addressed or subject[0] in language.pronouns)


def _may_claim(sentence: Sentence, lexicon: Lexicon, *, loose: bool) -> bool:
    """Whether a verb is there and, where all is ASCII, one of its objects: most sentences need no tokens."""
    text = sentence.text
    said = words_in(text)
    here = lexicon.verbs.intersection(said)
    if not lexicon.language.enabling.isdisjoint(said):
        return bool(here) or not text.isascii() or not lexicon.infinitives.keys().isdisjoint(said)
    if loose or not here or not text.isascii() or not here.isdisjoint(lexicon.open):
        return bool(here)
    objects = [lexicon.objects[verb] for verb in here]
    return _name_one(objects, said) or _name_one(objects, _named_before(sentence, said))


def _name_one(kinds: Iterable[frozenset[str]], said: Sequence[str]) -> bool:
    return not all(objects.isdisjoint(said) for objects in kinds)


def _named_before(sentence: Sentence, said: Sequence[str]) -> Sequence[str]:
    """The words of the sentence before, if a pronoun that is `said` may refer to one of them."""
    return () if _REFERRING.isdisjoint(said) else words_in(sentence.before)


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
