"""A participle in its clause: whether it says that something is done, whether that is asserted, and of what.

The grammar is small on purpose: it looks at closed classes of words around one participle, a bounded way to either
side. What it does not understand is no claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

from comparators.language import Language

#: Words from a verb to either end of its clause, and adverbs in front of it.
_LONGEST_CLAUSE, _MOST_ADVERBS = 48, 5
#: Words after the verb in which its agent is looked for, and a particle of the verb.
_AGENT_WITHIN, _PARTICLE_WITHIN = 4, 8
#: Words of a noun before a bare participle, or between "had" and one.
_LONGEST_NOUN = 8
#: How most adverbs end.
ADVERB_ENDING = "ly"
#: Signs that part what stands by itself in a line: a label and the rest, the cells of a row.
_PARTS = frozenset((":", "|", ";", "-", "\u2013", "\u2014"))


class Tier(IntEnum):
    """How sure it is that a deed is claimed, and not another, or a state that was found."""

    LOOSE = 0  # as sure as one of the last two, of what is no object of the tool
    WIDE = 1  # "was cancelled", "is cancelled", "Cancelled the order", "Order cancelled"
    MIDDLE = 2  # "has been cancelled"
    TIGHT = 3  # "I cancelled", "successfully cancelled", "is now cancelled"


class Voice(IntEnum):
    """On which side of the verb the thing stands that it was done to."""

    ACTIVE = 0
    PASSIVE = 1
    EITHER = 2


class Form(NamedTuple):
    """How a participle says that something is done."""

    tier: Tier
    voice: Voice


class Clause(NamedTuple):
    """A sentence as words, in lower case as well, and the language they are of."""

    words: Sequence[str]
    low: Sequence[str]
    language: Language


# -- form ---------------------------------------------------------------------------------------------------------


def form_at(clause: Clause, place: int) -> Form | None:
    """How the participle at `place` says that something is done; null if it does not."""
    low, language = clause.low, clause.language
    own = _own_form(clause, place) or _caused(clause, place) or _bare_form(clause, place)
    if own is not None:
        return own
    head = _beyond_adverbs(low, place - 1, language)
    if head < 0 or low[head] not in language.coordinators:
        return None
    verbs = (at for at in range(head - 1, max(head - _LONGEST_CLAUSE, -1), -1) if _is_verb(low[at], language))
    forms = (_own_form(clause, at) for at in verbs)
    return next((form for form in forms if form is not None), None) or _bare_before(clause, head)


def _bare_before(clause: Clause, place: int) -> Form | None:
    """The form of a bare participle that begins the sentence, for those joined to it."""
    low = clause.low
    first = next((at for at in range(min(place, _MOST_ADVERBS)) if low[at][0].isalnum()), None)
    return _bare_form(clause, first) if first is not None and _is_verb(low[first], clause.language) else None


def enabled_form(clause: Clause, place: int) -> Form | None:
    """How the infinitive at `place` says that something is done: "I was able to cancel", "I managed to cancel"."""
    low, language = clause.low, clause.language
    if place < 3 or low[place - 1] != "to" or low[place - 2] not in language.enabling:
        return None
    head = _beyond_adverbs(low, place - 3, language)
    if low[place - 2].endswith("ed") and head >= 0 and low[head] not in language.auxiliaries:
        return Form(Tier.TIGHT, Voice.ACTIVE) if low[head] in language.self else None
    if head >= 1 and low[head] == "been":
        head = _beyond_adverbs(low, head - 1, language)
    did = head >= 0 and (low[head] in language.was or low[head] in language.have)
    return Form(Tier.TIGHT, Voice.ACTIVE) if did and _is_of_self(low, head, language) else None


def _own_form(clause: Clause, place: int) -> Form | None:
    """The form by what stands right in front; a participle that is coordinated with another has none of its own."""
    low, language = clause.low, clause.language
    head = _beyond_adverbs(low, place - 1, language)
    adverbs = low[head + 1 : place]
    word = low[head] if head >= 0 else ""
    if word in language.auxiliaries:
        return _with_auxiliary(clause, place, head, adverbs)
    if word in language.self:
        return Form(Tier.TIGHT, Voice.ACTIVE)
    succeeding = _any(adverbs, language.succeeding) and word not in language.others
    return Form(Tier.TIGHT, Voice.EITHER) if succeeding else None


def _caused(clause: Clause, place: int) -> Form | None:
    """Whether it is done because we had it done: "I had the order cancelled"."""
    low, language = clause.low, clause.language
    first = max(place - 1 - _LONGEST_NOUN, 0)
    if language.causatives.isdisjoint(low[first + 1 : place]):
        return None
    for at in range(place - 1, first, -1):
        if low[at] in language.causatives:
            noun = low[at + 1 : place]
            ours = _is_of_self(low, at, language) or (
                low[at - 1] in language.have and _is_of_self(low, at - 1, language)
            )
            return Form(Tier.TIGHT, Voice.PASSIVE) if ours and noun and noun[0] in language.determiners else None
        if not _is_nominal(low[at], language):
            return None
    return None


def _bare_form(clause: Clause, place: int) -> Form | None:
    """Without subject and auxiliary: "Merged the request", a point of a list, and "Order cancelled" as all of one."""
    low, language = clause.low, clause.language
    if low[place] in language.irregular.get(low[place], ()):
        return None  # "Password reset" and "Set the timer" may be anything
    if 0 < place < len(low) - 1 and low[place - 1][0].isalnum() and low[place + 1][0].isalnum():
        return None  # neither first nor last
    start = _start_of_part(low, place)
    if place - start > _LONGEST_CLAUSE:
        return None
    before = [word for word in low[start:place] if word[0].isalnum()]
    if not before and start == 0:
        return Form(Tier.WIDE, Voice.ACTIVE) if _has_bare_object(clause, place) else None
    ends = not any(word[0].isalnum() for word in low[place + 1 : _end_of_part(low, place)])
    named = before or _cell_before(low, start)
    stands = (
        ends
        and _is_noun_alone(named, language)
        and not _is_told_otherwise(low[max(place - _LONGEST_CLAUSE, 0) : place], language)
    )
    return Form(Tier.WIDE, Voice.PASSIVE) if stands else None


def _start_of_part(low: Sequence[str], place: int) -> int:
    """Where the part of a line begins that holds `place`; 0 is the line."""
    first = max(place - _LONGEST_CLAUSE, 0)
    at = max([first + at for at, word in enumerate(low[first:place]) if _parts(word)], default=-1)
    return 0 if not any(word[0].isalnum() for word in low[max(at - _LONGEST_CLAUSE, 0) : at + 1]) else at + 1


def _parts(word: str) -> bool:
    """Whether a token parts a line; a figure may hold the colon behind it."""
    return word in _PARTS or word[-1] == ":"


def _end_of_part(low: Sequence[str], place: int) -> int:
    last = min(place + _LONGEST_CLAUSE, len(low))
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
    rest = low[behind : _end_of_predicate(clause, place)]
    return marked and language.finite.isdisjoint(rest)


def _is_noun_alone(words: Sequence[str], language: Language) -> bool:
    return 0 < len(words) <= _LONGEST_NOUN and all(_is_nominal(word, language) for word in words)


def _is_nominal(word: str, language: Language) -> bool:
    """Whether a word can be part of a noun with its determiner: no verb, no preposition, nothing that denies."""
    return not (word in language.no_nouns or _is_verb(word, language))


def _is_told_otherwise(label: Sequence[str], language: Language) -> bool:
    """Whether what stands in front of a part makes it no report of now: a date, a plan, a history, a condition."""
    return any(
        word in language.calendar or word in language.unfinished or word in language.blockers
        or (word[0].isdigit() and not word.rstrip(":,.").isalnum())
        for word in label
    )  # fmt: skip


def _with_auxiliary(clause: Clause, place: int, head: int, adverbs: Sequence[str]) -> Form | None:
    """The form that the auxiliary at `head` makes of the participle at `place`."""
    low, language = clause.low, clause.language
    word = low[head]
    if (word in language.have or word in language.had) and _is_of_self(low, head, language):
        return Form(Tier.WIDE if word in language.had else Tier.TIGHT, Voice.ACTIVE)
    if word == "been":
        return _passive(_perfect(clause, place, head))
    if word not in language.being and word not in language.was:
        return None
    if _succeeds(clause, place, adverbs) or (word in language.being and _any(adverbs, language.present)):
        return Form(Tier.TIGHT, Voice.PASSIVE)
    describes = word in language.being and _describes(clause, place, adverbs)
    return None if describes or _is_known(clause, place) else Form(Tier.WIDE, Voice.PASSIVE)


def _passive(tier: Tier | None) -> Form | None:
    return None if tier is None else Form(tier, Voice.PASSIVE)


def _perfect(clause: Clause, place: int, been: int) -> Tier | None:
    """What "been" at `been` says: behind "to", "having", a modal or a relative nothing."""
    low, language = clause.low, clause.language
    head = _beyond_adverbs(low, been - 1, language)
    if head < 0 or (head > 0 and low[head - 1] in language.unasserting):
        return None
    if low[head] in language.had:
        return Tier.WIDE
    if low[head] not in language.have:
        return None
    between = (*low[head + 1 : been], *low[been + 1 : place])
    if _any((*between, *low[place + 1 : place + 2]), language.earlier) or _is_sourced(low, language):
        return Tier.WIDE
    return Tier.TIGHT if _succeeds(clause, place, between) or _any(between, language.present) else Tier.MIDDLE


def _succeeds(clause: Clause, place: int, between: Iterable[str]) -> bool:
    """Whether "successfully" stands before the participle or right behind it."""
    return _any((*between, *clause.low[place + 1 : place + 2]), clause.language.succeeding)


def _is_of_self(low: Sequence[str], place: int, language: Language) -> bool:
    """Whether it is us who "have" at `place`."""
    subject = _beyond_adverbs(low, place - 1, language)
    return subject >= 0 and low[subject] in language.self


def _describes(clause: Clause, place: int, adverbs: Sequence[str]) -> bool:
    """Whether a present passive says how things are in general, or will be: "every order is cancelled", "is to be"."""
    low, language = clause.low, clause.language
    begins = low[_beginning(low, place, language)]
    return begins in language.generic or _any(adverbs, language.stative) or low[place + 1 : place + 3] == ["to", "be"]


def _is_sourced(low: Sequence[str], language: Language) -> bool:
    """Whether a sentence begins by naming where a state was found: no wish of the user, as in "per your request"."""
    return low[0] in language.sourcing and not _any(low[1:5], language.wishes)


def _is_known(clause: Clause, place: int) -> bool:
    """Whether a passive tells nothing new: a time is given ("on May 12", "two days ago"), or it is presupposed."""
    low, language = clause.low, clause.language
    after = low[place + 1 : _end_of_predicate(clause, place)]
    dated = any(_is_dated(after[at : at + 2], language) for at, word in enumerate(after) if word in language.dating)
    return (
        dated
        or _is_dated(low[:3], language)
        or low[_beginning(low, place, language)] in language.presupposing
        or _is_sourced(low, language)
    )


def _is_dated(words: Sequence[str], language: Language) -> bool:
    """Whether words begin with a time before now: "yesterday", "on March 3"."""
    first = words[0] if words else ""
    return first in language.past or (first in language.at and _is_a_time(words[1:], language))


def _is_a_time(words: Sequence[str], language: Language) -> bool:
    return bool(words) and (words[0][0].isdigit() or words[0] in language.calendar)


def _beyond_adverbs(low: Sequence[str], place: int, language: Language) -> int:
    """The first place from `place` to the left that holds no adverb; -1 if there is none."""
    last = max(place - _MOST_ADVERBS, -1)
    while place > last and _is_adverb(low[place], language):
        place -= 1
    return place


def _is_adverb(word: str, language: Language) -> bool:
    return word in language.adverbs or word in language.earlier or word.endswith(ADVERB_ENDING)


def _any(words: Iterable[str], wanted: frozenset[str]) -> bool:
    return not wanted.isdisjoint(words)


# -- assertion ----------------------------------------------------------------------------------------------------


def is_asserted(clause: Clause, place: int, voice: Voice) -> bool:
    """Whether who answers says it of itself: no other agent is named, and nothing in the clause takes it back."""
    return (voice is Voice.ACTIVE or _is_ours(clause, place)) and not _is_blocked(clause, place)


def _is_ours(clause: Clause, place: int) -> bool:
    """Whether no other agent is named: "has been cancelled *by the airline*" is nobody's claim."""
    near = clause.low[max(place - 1, 0) : place + 2]
    if _any(near, clause.language.automatic):
        return False
    after = clause.low[place + 1 : place + 1 + _AGENT_WITHIN]
    if "by" not in after:
        return True
    agent = "".join(after[after.index("by") + 1 :][:1])
    return not agent.isalpha() or agent.endswith("ing") or agent in clause.language.no_others


def _is_blocked(clause: Clause, place: int) -> bool:
    """Whether something before the verb in its clause, or above it, keeps it from being asserted."""
    low, language = clause.low, clause.language
    complement = False
    for at in range(place - 1, max(place - 1 - _LONGEST_CLAUSE, -1), -1):
        word = low[at]
        if word not in language.governing:
            continue
        if _begins_clause(low, at, language):
            return False
        if word in language.reporting or _ends_blocking_phrase(low, at, language):
            return True
        if word in language.blockers and not _is_harmless(clause, at, complement, place):
            return True
        complement = complement or word in language.complementisers
    return False


def _ends_blocking_phrase(low: Sequence[str], at: int, language: Language) -> bool:
    phrases = language.phrases.get(low[at], ())
    return any(tuple(low[max(at + 1 - len(phrase), 0) : at + 1]) == phrase for phrase in phrases)


def _is_harmless(clause: Clause, at: int, complement: bool, place: int) -> bool:
    """A blocker that blocks nothing: the name of a month, "please note", or "can" before "confirm that".

    Nor does "after" where a gerund follows, and then a subject: "after reviewing your case I have cancelled it".
    """
    word, language = clause.words[at], clause.language
    if clause.low[at + 1] == ".":  # an abbreviation: inside a sentence there is no other full stop
        return True
    if word.lower() in language.gerund_openers and clause.low[at + 1].endswith("ing"):
        return _any(clause.low[at + 2 : place], language.self)
    if word.lower() in language.asking and clause.low[at + 1] in language.noting:
        return True
    if word.lower() in language.names and (word[0].isupper() or clause.words[at + 1][0].isdigit()):
        return True
    return complement and word.lower() in language.assertive


def _beginning(low: Sequence[str], place: int, language: Language) -> int:
    """The first word of the clause that holds `place`."""
    last = max(place - _LONGEST_CLAUSE, 0)
    at = place - 1
    while at >= last and not (low[at] in language.parting_clauses and _begins_clause(low, at, language)):
        at -= 1
    return at + 1


def _begins_clause(low: Sequence[str], at: int, language: Language) -> bool:
    """Whether a clause begins behind this word."""
    return low[at] in language.boundaries or (low[at] == "and" and low[at + 1] in language.nominatives)


# -- reach --------------------------------------------------------------------------------------------------------


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
    end = _end_of_predicate(clause, place)
    ahead = range(place + 1 + (low[place + 1 : place + 2] == [particle]), end)
    if voice is Voice.PASSIVE:
        start = _start_of_subject(low, place, previous)
        refers = _refers(low, range(start, place), language) or not start < place
        return Reach(range(start, place), range(start, end), ahead, refers)
    window = range(max(place - _LONGEST_CLAUSE, 0), min(place + _LONGEST_CLAUSE, len(low)))
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
    return particle in clause.low[place + 1 : min(place + 1 + _PARTICLE_WITHIN, _end_of_predicate(clause, place))]


def is_head(clause: Clause, at: int) -> bool:
    """Whether a noun is the last of its compound: "the cancellation of", and no "cancellation policy"."""
    low, language = clause.low, clause.language
    while at + 1 < len(low) and low[at + 1] in language.fillers:
        at += 1
    word = low[at + 1] if at + 1 < len(low) else "."
    return not _continues_noun(word, language) or _is_adverb(word, language)


def _continues_noun(word: str, language: Language) -> bool:
    """Whether a word behind a noun, or one of its determiners, can belong to it."""
    return word[0].isalpha() and word not in language.function_words and _is_nominal(word, language)


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


def _end_of_object(low: Sequence[str], ahead: range, language: Language) -> int:
    """Where the object of a verb ends: at a preposition, or at "of" unless a quantity stands before it."""
    for at in ahead:
        if low[at] in language.prepositions:
            return at
        if low[at] == "of" and not _any(low[ahead.start : at], language.quantities) and not low[at - 1][0].isdigit():
            return at
    return ahead.stop


def _start_of_subject(low: Sequence[str], place: int, previous: int) -> int:
    """Where the subject of a passive verb may begin: behind the last "and" since another verb, if there is one."""
    first = max(place - _LONGEST_CLAUSE, previous + 1, 0)
    if previous < 0:
        return first
    return next((at for at in range(place - 1, first - 1, -1) if low[at] in ("and", "but", "so", ";")), first)


def _end_of_predicate(clause: Clause, place: int) -> int:
    """Behind the last word that belongs to the verb at `place`: before a coordinated verb, or another clause."""
    low, language = clause.low, clause.language
    last = min(place + _LONGEST_CLAUSE, len(low))
    for at, word in enumerate(low[place + 1 : last], place + 1):
        if word not in language.parting_clauses:
            continue
        if word in (";", ":", "|") or (word.isalpha() and word in language.boundaries):
            return at
        if at + 1 < last and word in language.coordinators and _is_verb(low[at + 1], language):
            return at
        if at + 1 < last and word == "and" and low[at + 1] in language.nominatives:
            return at
    return last


def _is_verb(word: str, language: Language) -> bool:
    return word.endswith("ed") or word in language.irregular_forms
