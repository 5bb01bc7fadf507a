"""What the name of a tool says: what it does, and to what.

`mcp__github__create_issue`, `patient_check_in` and `stripe.refunds.create` say it in this order or that, so that the
words of a language decide: verbs that are nouns as often count only first or last in a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from comparators.language import Language
from comparators.wordforms import numbers, things_of, words_of_name

#: Between the parts of a qualified name.
_QUALIFIER = re.compile(r"__|[./:]")

#: A value that says what a tool is to do is no longer, in characters and in words.
_LONGEST_ORDER, _MOST_WORDS = 60, 6


class Verb(NamedTuple):
    """An infinitive, and the particle of a phrasal verb: turn *on*."""

    infinitive: str
    particle: str = ""

    @classmethod
    def of(cls, phrase: str) -> Verb:
        """The verb that a phrase of one word or two begins with."""
        infinitive, _, particle = phrase.partition(" ")
        return cls(infinitive, particle)


class ToolName(NamedTuple):
    """`verbs`: what the tool does, none if it only looks. `nouns`: what it acts on, in both numbers, and `things`: with
    other nouns for the same.

    `head`: the last of its nouns, if any. `prepositions`: those of the name: `add_to_cart`.
    """

    verbs: tuple[Verb, ...]
    nouns: frozenset[str]
    things: frozenset[str]
    head: str
    prepositions: frozenset[str]


class _Found(NamedTuple):
    """A verb, and where its words stand in its segment."""

    verb: Verb
    start: int
    end: int


def read_name(name: str, language: Language) -> ToolName:
    """What a name says, by its last segment; what that acts on may stand in the ones before it."""
    segments = _segments(name, language)
    if not segments:
        return ToolName((), frozenset(), frozenset(), "", frozenset())
    last = segments[-1]
    found = _verbs(last, language)
    taken = {place for each in found for place in range(each.start, each.end)}
    naming = [word for place, word in enumerate(last) if place not in taken]
    nouns = next((some for some in (naming, *reversed(segments[:-1])) if things_of(" ".join(some), language)), [])
    plain = things_of(" ".join(nouns), language)
    looks = len(found) == 1 and found[0].start == 0 and found[0].verb.infinitive in language.reading
    return ToolName(
        verbs=() if looks and not found[0].verb.particle else tuple(each.verb for each in found),
        nouns=plain,
        things=plain.union(*(numbers(other) for noun in plain for other in language.called(noun) - plain)),
        head=next((word for word in reversed(nouns) if word not in language.function_words), ""),
        prepositions=language.prepositions.intersection(naming),
    )


def names_an_act(text: str, language: Language) -> bool:
    """Whether a value reads like the name of a tool: few words, one of them a verb that acts."""
    if len(text) > _LONGEST_ORDER:
        return False
    words = words_of_name(text)
    return 1 < len(words) <= _MOST_WORDS and _is_verb(_first_verb(words, language).verb.infinitive, language)


def _segments(name: str, language: Language) -> list[list[str]]:
    """The words of each part of a qualified name, without those that say whose tool it is."""
    parts = [words for part in _QUALIFIER.split(name) if (words := words_of_name(part))]
    owned = [_without_owner(words, language) for words in parts]
    return [*[words for words in owned[:-1] if words], owned[-1] or parts[-1]] if parts else []


def _without_owner(words: Sequence[str], language: Language) -> list[str]:
    first = next((place for place, word in enumerate(words) if word not in language.services), len(words))
    return list(words[first:])


def _verbs(words: Sequence[str], language: Language) -> list[_Found]:
    """The verb of a segment, and what "or" and "and" join to it; the first word where none is known."""
    first = _first_verb(words, language)
    joined = words[first.end : first.end + 1]
    if joined in (["or"], ["and"]) and words[first.end + 1 :]:
        other = _at(words, first.end + 1, language)
        return [first, other._replace(start=first.end)] if _is_verb(other.verb.infinitive, language) else [first]
    return [first]


def _first_verb(words: Sequence[str], language: Language) -> _Found:
    if words[0] in language.reading:
        return _at(words, 0, language)
    return next(_in_order_of_trust(words, language), _at(words, 0, language))


def _in_order_of_trust(words: Sequence[str], language: Language) -> Iterator[_Found]:
    """Phrasal verbs, then words that are nothing but verbs, then those that may be nouns, at either end."""
    every = [_at(words, place, language) for place in range(len(words))]
    yield from (each for each in every if each.verb.particle and each.end - each.start == 2)
    known = [each for each in every if each.verb.particle or _is_verb(each.verb.infinitive, language)]
    yield from (each for each in known if not each.verb.particle and each.verb.infinitive not in language.dual)
    yield from (each for each in known if each.start == 0)
    yield from (each for each in known if each.end == len(words))


def _at(words: Sequence[str], place: int, language: Language) -> _Found:
    """The verb at a place, with its particle, or the compound that stands there."""
    word = words[place]
    behind = words[place + 1] if place + 1 < len(words) else ""
    if behind in language.phrasal.get(word, ()):
        return _Found(Verb(word, behind), place, place + 2)
    return _Found(Verb.of(language.compounds.get(word, word)), place, place + 1)


def _is_verb(word: str, language: Language) -> bool:
    return word in language.verbs or word in language.irregular
