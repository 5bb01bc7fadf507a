"""Whether a participle, or an infinitive, says that something is done: by what stands in front of it.

A subject ("I cancelled"), an auxiliary ("has been cancelled"), an adverb ("successfully cancelled"), another participle
that it is coordinated with ("I reviewed and cancelled"), or that we had it done. A bare one stands for itself.
"""

from __future__ import annotations

from comparators.bareparticiple import bare_before, bare_form
from comparators.claimform import Form, Tier, Voice
from comparators.clauses import (
    LONGEST_CLAUSE,
    LONGEST_NOUN,
    Clause,
    beyond_adverbs,
    is_nominal,
    is_of_self,
    is_verb,
)
from comparators.passive import passive_form


def form_at(clause: Clause, place: int) -> Form | None:
    """How the participle at `place` says that something is done; null if it does not."""
    low, language = clause.low, clause.language
    own = _own_form(clause, place) or _caused(clause, place) or bare_form(clause, place)
    if own is not None:
        return own
    head = beyond_adverbs(low, place - 1, language)
    if head < 0 or low[head] not in language.coordinators:
        return None
    verbs = (at for at in range(head - 1, max(head - LONGEST_CLAUSE, -1), -1) if is_verb(low[at], language))
    forms = (_own_form(clause, at) for at in verbs)
    return next((form for form in forms if form is not None), None) or bare_before(clause, head)


def enabled_form(clause: Clause, place: int) -> Form | None:
    """How the infinitive at `place` says that something is done: "I was able to cancel", "I managed to cancel"."""
    low, language = clause.low, clause.language
    if place < 3 or low[place - 1] != "to" or low[place - 2] not in language.enabling:
        return None
    head = beyond_adverbs(low, place - 3, language)
    if low[place - 2].endswith("ed") and head >= 0 and low[head] not in language.auxiliaries:
        return Form(Tier.TIGHT, Voice.ACTIVE) if low[head] in language.self else None
    if head >= 1 and low[head] == "been":
        head = beyond_adverbs(low, head - 1, language)
    did = head >= 0 and (low[head] in language.was or low[head] in language.have)
    return Form(Tier.TIGHT, Voice.ACTIVE) if did and is_of_self(low, head, language) else None


def _own_form(clause: Clause, place: int) -> Form | None:
    """The form by what stands right in front; a participle that is coordinated with another has none of its own."""
    low, language = clause.low, clause.language
    head = beyond_adverbs(low, place - 1, language)
    adverbs = low[head + 1 : place]
    word = low[head] if head >= 0 else ""
    if (word in language.have or word in language.had) and is_of_self(low, head, language):
        return Form(Tier.WIDE if word in language.had else Tier.TIGHT, Voice.ACTIVE)
    if word in language.auxiliaries:
        return passive_form(clause, place, head, adverbs)
    if word in language.self:
        return Form(Tier.TIGHT, Voice.ACTIVE)
    succeeding = not language.succeeding.isdisjoint(adverbs) and word not in language.others
    return Form(Tier.TIGHT, Voice.EITHER) if succeeding else None


def _caused(clause: Clause, place: int) -> Form | None:
    """Whether it is done because we had it done: "I had the order cancelled"."""
    low, language = clause.low, clause.language
    first = max(place - 1 - LONGEST_NOUN, 0)
    if language.causatives.isdisjoint(low[first + 1 : place]):
        return None
    for at in range(place - 1, first, -1):
        if low[at] in language.causatives:
            noun = low[at + 1 : place]
            ours = is_of_self(low, at, language) or (low[at - 1] in language.have and is_of_self(low, at - 1, language))
            return Form(Tier.TIGHT, Voice.PASSIVE) if ours and noun and noun[0] in language.determiners else None
        if not is_nominal(low[at], language):
            return None
    return None
