"""What the passive of a participle says: a deed ("is now cancelled", "has been cancelled"), or a state that was found.

A state is what has a source or a time before now ("according to our records", "on March 3"), what is presupposed, and
how things are in general.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from comparators.claimform import Form, Tier, Voice
from comparators.clauses import Clause, beginning, beyond_adverbs, end_of_predicate
from comparators.language import Language


def passive_form(clause: Clause, place: int, head: int, adverbs: Sequence[str]) -> Form | None:
    """The form that the auxiliary at `head` makes of the participle at `place`, if not the active perfect's."""
    tier = _perfect(clause, place, head) if clause.low[head] == "been" else _simple(clause, place, head, adverbs)
    return None if tier is None else Form(tier, Voice.PASSIVE)


def _simple(clause: Clause, place: int, head: int, adverbs: Sequence[str]) -> Tier | None:
    """What "is" or "was" at `head` says: nothing where it describes, or tells what is known."""
    word, language = clause.low[head], clause.language
    is_present = word in language.being
    if not is_present and word not in language.was:
        return None
    if _succeeds(clause, place, adverbs) or (is_present and not language.present.isdisjoint(adverbs)):
        return Tier.TIGHT
    describes = is_present and _describes(clause, place, adverbs)
    return None if describes or _is_known(clause, place) else Tier.WIDE


def _perfect(clause: Clause, place: int, been: int) -> Tier | None:
    """What "been" at `been` says: behind "to", "having", a modal or a relative nothing."""
    low, language = clause.low, clause.language
    head = beyond_adverbs(low, been - 1, language)
    if head < 0 or (head > 0 and low[head - 1] in language.unasserting):
        return None
    if low[head] in language.had:
        return Tier.WIDE
    if low[head] not in language.have:
        return None
    between = (*low[head + 1 : been], *low[been + 1 : place])
    if not language.earlier.isdisjoint((*between, *low[place + 1 : place + 2])) or _is_sourced(low, language):
        return Tier.WIDE
    is_now = _succeeds(clause, place, between) or not language.present.isdisjoint(between)
    return Tier.TIGHT if is_now else Tier.MIDDLE


def _succeeds(clause: Clause, place: int, between: Iterable[str]) -> bool:
    """Whether "successfully" stands before the participle or right behind it."""
    return not clause.language.succeeding.isdisjoint((*between, *clause.low[place + 1 : place + 2]))


def _describes(clause: Clause, place: int, adverbs: Sequence[str]) -> bool:
    """Whether a present passive says how things are in general, or will be: "every order is cancelled", "is to be"."""
    low, language = clause.low, clause.language
    begins = low[beginning(low, place, language)]
    will_be = low[place + 1 : place + 3] == ["to", "be"]
    return will_be or begins in language.generic or not language.stative.isdisjoint(adverbs)


def _is_sourced(low: Sequence[str], language: Language) -> bool:
    """Whether a sentence begins by naming where a state was found: no wish of the user, as in "per your request"."""
    return low[0] in language.sourcing and language.wishes.isdisjoint(low[1:5])


def _is_known(clause: Clause, place: int) -> bool:
    """Whether a passive tells nothing new: a time is given ("on May 12", "two days ago"), or it is presupposed."""
    low, language = clause.low, clause.language
    after = low[place + 1 : end_of_predicate(clause, place)]
    dated = any(_is_dated(after[at : at + 2], language) for at, word in enumerate(after) if word in language.dating)
    return (
        dated
        or _is_dated(low[:3], language)
        or low[beginning(low, place, language)] in language.presupposing
        or _is_sourced(low, language)
    )


def _is_dated(words: Sequence[str], language: Language) -> bool:
    """Whether words begin with a time before now: "yesterday", "on March 3"."""
    first = words[0] if words else ""
    return first in language.past or (first in language.at and _is_a_time(words[1:], language))


def _is_a_time(words: Sequence[str], language: Language) -> bool:
    return bool(words) and (words[0][0].isdigit() or words[0] in language.calendar)
