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
#: Words after the verb in which its agent is looked for.
_AGENT_WITHIN = 4


class Tier(IntEnum):
    """How sure it is that a deed is claimed, and not a state that was found."""

    WIDE = 0  # "was cancelled", "is cancelled"
    MIDDLE = 1  # "has been cancelled"
    TIGHT = 2  # "I cancelled", "successfully cancelled", "is now cancelled"


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
    own = _own_form(clause, place)
    head = _beyond_adverbs(low, place - 1, language)
    if own is not None or head < 0 or low[head] not in language.coordinators:
        return own
    verbs = (at for at in range(head - 1, max(head - _LONGEST_CLAUSE, -1), -1) if _is_verb(low[at], language))
    return next((form for form in (_own_form(clause, at) for at in verbs) if form is not None), None)


def may_have_form(before: str, language: Language) -> bool:
    """Whether a participle can have a form behind this word, in lower case; true where an adverb hides the answer."""
    return before in language.leading or _is_adverb(before, language)


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
    return None if _is_known(clause, place) else Form(Tier.WIDE, Voice.PASSIVE)


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
    if _any((*between, *low[place + 1 : place + 2]), language.earlier) or low[0] in language.sourcing:
        return Tier.WIDE
    return Tier.TIGHT if _succeeds(clause, place, between) or _any(between, language.present) else Tier.MIDDLE


def _succeeds(clause: Clause, place: int, between: Iterable[str]) -> bool:
    """Whether "successfully" stands before the participle or right behind it."""
    return _any((*between, *clause.low[place + 1 : place + 2]), clause.language.succeeding)


def _is_of_self(low: Sequence[str], place: int, language: Language) -> bool:
    """Whether it is us who "have" at `place`."""
    subject = _beyond_adverbs(low, place - 1, language)
    return subject >= 0 and low[subject] in language.self


def _is_known(clause: Clause, place: int) -> bool:
    """Whether a passive tells nothing new: a time is given ("on May 12", "two days ago"), or it is presupposed."""
    low, language = clause.low, clause.language
    after = low[place + 1 : _end_of_predicate(clause, place)]
    dated = any(
        word in language.past or (word in language.at and _is_a_time(after[at + 1 :], language))
        for at, word in enumerate(after)
    )
    return dated or low[_beginning(low, place, language)] in language.presupposing


def _is_a_time(words: Sequence[str], language: Language) -> bool:
    return bool(words) and (words[0][0].isdigit() or words[0] in language.calendar)


def _beyond_adverbs(low: Sequence[str], place: int, language: Language) -> int:
    """The first place from `place` to the left that holds no adverb; -1 if there is none."""
    last = max(place - _MOST_ADVERBS, -1)
    while place > last and _is_adverb(low[place], language):
        place -= 1
    return place


def _is_adverb(word: str, language: Language) -> bool:
    return word in language.adverbs or word in language.earlier or word.endswith("ly")


def _any(words: Iterable[str], wanted: frozenset[str]) -> bool:
    return not wanted.isdisjoint(words)


# -- assertion ----------------------------------------------------------------------------------------------------


def is_asserted(clause: Clause, place: int) -> bool:
    """Whether who answers says it of itself: no other agent is named, and nothing in the clause takes it back."""
    return _is_ours(clause, place) and not _is_blocked(clause, place)


def _is_ours(clause: Clause, place: int) -> bool:
    """Whether no other agent is named: "has been cancelled *by the airline*" is nobody's claim."""
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
        if _begins_clause(low, at, language):
            return False
        if word in language.reporting or (word in language.blockers and not _is_harmless(clause, at, complement)):
            return True
        complement = complement or word in language.complementisers
    return False


def _is_harmless(clause: Clause, at: int, complement: bool) -> bool:
    """A blocker that blocks nothing: the name of a month, "please note", or "can" before "confirm that"."""
    word, language = clause.words[at], clause.language
    if word.lower() in language.asking and clause.low[at + 1] in language.noting:
        return True
    if word.lower() in language.names and (word[0].isupper() or clause.words[at + 1][0].isdigit()):
        return True
    return complement and word.lower() in language.assertive


def _beginning(low: Sequence[str], place: int, language: Language) -> int:
    """The first word of the clause that holds `place`."""
    last = max(place - _LONGEST_CLAUSE, 0)
    at = place - 1
    while at >= last and not _begins_clause(low, at, language):
        at -= 1
    return at + 1


def _begins_clause(low: Sequence[str], at: int, language: Language) -> bool:
    """Whether a clause begins behind this word."""
    return low[at] in language.boundaries or (low[at] == "and" and low[at + 1] in language.nominatives)


# -- reach --------------------------------------------------------------------------------------------------------


class Reach(NamedTuple):
    """Where to look for what a verb is about: in its subject or direct object, and in all that goes with it."""

    core: Sequence[str]
    whole: Sequence[str]


def reach_of(clause: Clause, place: int, voice: Voice, *, previous: int) -> Reach:
    """Where the thing stands that the verb at `place` is about; `previous` is the place of the verb before it, or -1.

    The object of an active verb follows it, the subject of a passive one comes first, and neither is found across
    a coordinated predicate: "I've updated your address and refunded the transaction" updates no transaction.
    """
    low, language = clause.low, clause.language
    end = _end_of_predicate(clause, place)
    ahead = low[place + 1 : end]
    start = _start_of_subject(low, place, previous)
    if voice is Voice.PASSIVE:
        return Reach(low[start:place], low[start:end])
    whole = low[max(place - _LONGEST_CLAUSE, 0) : place + _LONGEST_CLAUSE]
    if voice is Voice.EITHER or not ahead or _any(ahead, language.pronouns):
        return Reach(whole, whole)
    preposition = (at for at, word in enumerate(ahead) if word in language.prepositions)
    return Reach(ahead[: next(preposition, None)], ahead)


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
    for at in range(place + 1, last):
        word = low[at]
        if word == ";" or (word.isalpha() and word in language.boundaries):
            return at
        if word in language.coordinators and at + 1 < last and _is_verb(low[at + 1], language):
            return at
    return last


def _is_verb(word: str, language: Language) -> bool:
    return word.endswith("ed") or word in language.irregular_forms
