"""Claims in a text: sentences which assert that a tool has acted.

A claim is a participle of a contract's verb in a form that says "done", asserted by who answers, with an object of
the same tool in its sentence. The tight tier is the perfect ("has been cancelled", "I've cancelled"), the first
person's past, "successfully cancelled" and "is now cancelled"; the wide tier is the past passive ("was cancelled"),
which as often tells of a state that was found.

Texts are hostile. Only sentences that hold a participle of the lexicon are looked at, and from each participle only
a bounded way to the left, so that the time is linear in the text.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

from comparators.claimwords import Lexicon, Reading
from comparators.language import Language
from comparators.sentences import assertions, tokens

#: Longer texts are not judged.
MAX_CHARS = 200_000
#: Words from a verb back to the beginning of its clause, and adverbs in front of it.
_LONGEST_CLAUSE, _MOST_ADVERBS = 48, 5
#: Words after the verb in which its agent is looked for.
_AGENT_WITHIN = 4

_WORD = re.compile(r"[^\W\d_]+")


class Tier(IntEnum):
    """How sure it is that a deed is claimed."""

    WIDE = 0
    TIGHT = 1


class Claim(NamedTuple):
    """That one of `tools` acted. `forms` are the words for the state it would have brought about."""

    tools: frozenset[str]
    tier: Tier
    verb: str
    object: str
    sentence: str
    forms: frozenset[str]


def claims_in(text: str, lexicon: Lexicon) -> tuple[Claim, ...] | None:
    """Every claim of a text, in order; null when it is longer than `MAX_CHARS`."""
    if len(text) > MAX_CHARS:
        return None
    if lexicon.readings.keys().isdisjoint(_WORD.findall(text.lower())):
        return ()
    return tuple(claim for sentence in assertions(text) for claim in _claims_of(sentence.strip(), lexicon))


def _claims_of(sentence: str, lexicon: Lexicon) -> list[Claim]:
    """The claims of a sentence: of each participle the first in either tier."""
    words = tokens(sentence)
    low = [word.lower() for word in words]
    said = frozenset(low)
    meant = {verb: _meant(lexicon.readings[verb], said) for verb in lexicon.readings.keys() & said}
    found: dict[tuple[str, Tier], Claim] = {}
    form: Tier | None = None
    for place, word in enumerate(low):
        if not meant.get(word):
            continue
        form = _form(low, place, lexicon.language, form)
        if form is None or (word, form) in found:
            continue
        if _is_ours(low, place) and not _is_blocked(words, low, place, lexicon.language):
            found[word, form] = _claim(meant[word], form, word, said, sentence)
    return list(found.values())


def _meant(readings: tuple[Reading, ...], said: frozenset[str]) -> list[Reading]:
    return [reading for reading in readings if not reading.objects.isdisjoint(said)]


def _claim(readings: list[Reading], tier: Tier, verb: str, said: frozenset[str], sentence: str) -> Claim:
    return Claim(
        tools=frozenset(reading.tool for reading in readings),
        tier=tier,
        verb=verb,
        object=min(readings[0].objects & said),
        sentence=sentence,
        forms=frozenset().union(*(reading.forms for reading in readings)),
    )


def _form(low: list[str], place: int, language: Language, before: Tier | None) -> Tier | None:
    """How the participle at `place` says that something is done; null if it does not. `before`: the one before it."""
    head = place - 1
    while head >= 0 and place - head <= _MOST_ADVERBS and _is_adverb(low[head], language):
        head -= 1
    adverbs = low[head + 1 : place]
    word = low[head] if head >= 0 else ""
    if word == "been":
        return _perfect(low, head - 1, adverbs, language)
    if word in language.have or word in language.had:
        return _perfect_of_self(low, head, language)
    if word in language.being:
        return Tier.TIGHT if _any(adverbs, language.present | language.succeeding) else None
    if word in language.was:
        return Tier.TIGHT if _any(adverbs, language.succeeding) else Tier.WIDE
    if word in language.self:
        return Tier.TIGHT
    if word in language.coordinators and before is not None:
        return before
    return Tier.TIGHT if _any(adverbs, language.succeeding) and word not in language.others else None


def _perfect(low: list[str], place: int, adverbs: list[str], language: Language) -> Tier | None:
    """"has been X": the head left of "been", beyond adverbs. After "to", "having" or a modal nothing is said."""
    first = place
    while first >= 0 and first > place - _MOST_ADVERBS and _is_adverb(low[first], language):
        first -= 1
    if first < 0:
        return None
    if low[first] in language.had:
        return Tier.WIDE
    if low[first] not in language.have or (first > 0 and low[first - 1] == "to"):
        return None
    earlier = _any((*adverbs, *low[first + 1 : place + 1]), language.earlier)
    return Tier.WIDE if earlier else Tier.TIGHT


def _perfect_of_self(low: list[str], place: int, language: Language) -> Tier | None:
    """"have X": a claim when we did it."""
    subject = place - 1
    while subject >= 0 and subject > place - _MOST_ADVERBS and _is_adverb(low[subject], language):
        subject -= 1
    if subject < 0 or low[subject] not in language.self:
        return None
    return Tier.WIDE if low[place] in language.had else Tier.TIGHT


def _is_adverb(word: str, language: Language) -> bool:
    return word in language.adverbs or word in language.earlier or word.endswith("ly")


def _any(words: object, wanted: frozenset[str]) -> bool:
    return not wanted.isdisjoint(words)


def _is_ours(low: list[str], place: int) -> bool:
    """Whether no other agent is named: "has been cancelled *by the airline*" is nobody's claim."""
    after = low[place + 1 : place + 1 + _AGENT_WITHIN]
    if "by" not in after:
        return True
    agent = after[after.index("by") + 1 :][:1]
    return not agent or agent[0] in ("me", "us") or not agent[0].isalpha() or agent[0].endswith("ing")


def _is_blocked(words: list[str], low: list[str], place: int, language: Language) -> bool:
    """Whether something before the verb in its clause, or above it, keeps it from being asserted."""
    complement = False
    for at in range(place - 1, max(place - 1 - _LONGEST_CLAUSE, -1), -1):
        word = low[at]
        if word in language.boundaries or (word == "and" and low[at + 1] in language.nominatives):
            return False
        if word in language.reporting or (word in language.blockers and not _is_harmless(words, at, complement, language)):
            return True
        complement = complement or word in language.complementisers
    return False


def _is_harmless(words: list[str], at: int, complement: bool, language: Language) -> bool:
    """A blocker that blocks nothing: the name of a month, or "can" before "confirm that"."""
    word = words[at]
    if word.lower() in language.names and (word[0].isupper() or words[at + 1][0].isdigit()):
        return True
    return complement and word.lower() in language.assertive
