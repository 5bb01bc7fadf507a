"""Whether a verb is asserted: nobody else is named who did it, and nothing in its clause or above it takes it back."""

from __future__ import annotations

from collections.abc import Sequence

from comparators.claimform import Voice
from comparators.clauses import LONGEST_CLAUSE, Clause, begins_clause
from comparators.language import Language

#: Words after the verb in which its agent is looked for.
_AGENT_WITHIN = 4


def is_asserted(clause: Clause, place: int, voice: Voice) -> bool:
    """Whether who answers says it of itself: no other agent is named, and nothing in the clause takes it back."""
    return (voice is Voice.ACTIVE or _is_ours(clause, place)) and not _is_blocked(clause, place)


def _is_ours(clause: Clause, place: int) -> bool:
    """Whether no other agent is named: "has been cancelled *by the airline*" is nobody's claim."""
    near = clause.low[max(place - 1, 0) : place + 2]
    if not clause.language.automatic.isdisjoint(near):
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
    for at in range(place - 1, max(place - 1 - LONGEST_CLAUSE, -1), -1):
        word = low[at]
        if word not in language.governing:
            continue
        if begins_clause(low, at, language):
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
        return not language.self.isdisjoint(clause.low[at + 2 : place])
    if word.lower() in language.asking and clause.low[at + 1] in language.noting:
        return True
    if word.lower() in language.names and (word[0].isupper() or clause.words[at + 1][0].isdigit()):
        return True
    return complement and word.lower() in language.assertive
