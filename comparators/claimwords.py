"""In which words an answer claims that a tool has acted: from the contract, and from names where it is silent.

Nothing here knows a domain. A tool named `cancel_reservation` lends "cancelled", "cancellation" and "reservation";
its contract may add verbs, objects, nouns of action, and side effects ("refund") that its success brings about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from comparators.language import Language
from comparators.wordforms import heads, nominals, participles, things, words_of_name


class ToolWords(NamedTuple):
    """What a contract says of a tool that acts. `verbs` are infinitives or participles."""

    tool: str
    verbs: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    nominalisations: tuple[str, ...] = ()
    side_effects: tuple[str, ...] = ()


class Reading(NamedTuple):
    """What one participle claims of one tool: that it acted on one of `objects`. `forms` are those of its verb."""

    tool: str
    objects: frozenset[str]
    forms: frozenset[str]


@dataclass(frozen=True)
class Lexicon:
    """The claim words of some tools, by participle."""

    language: Language
    readings: Mapping[str, tuple[Reading, ...]]

    @classmethod
    def of(cls, tools: Iterable[ToolWords], language: Language) -> Lexicon:
        found: dict[str, list[Reading]] = {}
        for words in tools:
            for reading in _readings(words, language):
                for form in reading.forms:
                    found.setdefault(form, []).append(reading)
        return cls(language, {form: tuple(readings) for form, readings in found.items()})


def _readings(words: ToolWords, language: Language) -> Iterator[Reading]:
    name = words_of_name(words.tool)
    verb = _verb_of(name, language)
    verbs = [*dict.fromkeys((*((verb,) if verb else ()), *map(str.lower, words.verbs)))]
    named = things(" ".join(part for part in name if part != verb), language)
    objects = named | heads(words.objects, language)
    actions = heads((*words.nominalisations, *words.side_effects), language).union(*map(nominals, verbs))
    for each in verbs:
        yield Reading(words.tool, objects, participles(each, language))
    yield Reading(words.tool, actions, language.completing)


def _verb_of(name: list[str], language: Language) -> str | None:
    """The verb of a tool's name: the first that is known as one, else the first word."""
    known = (word for word in name if word in language.verbs or word in language.irregular)
    return next(known, name[0] if name else None)
