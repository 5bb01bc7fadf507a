"""In which words an answer claims that a tool has acted: from the contract, and from names where it is silent.

Nothing here knows a domain. A tool named `cancel_reservation` lends "cancelled", "cancellation" and "reservation";
its contract may add verbs, objects, nouns of action, and side effects ("refund") that its success brings about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from comparators.language import Language
from comparators.wordforms import heads, nominals, participles, things_of, words_of_name


class ToolWords(NamedTuple):
    """What a contract says of a tool that acts. `verbs` are infinitives or participles."""

    tool: str
    verbs: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    nominalisations: tuple[str, ...] = ()
    side_effects: tuple[str, ...] = ()


class Reading(NamedTuple):
    """What one participle claims of one tool: that it acted on one of `objects`. `forms` are those of its verb.

    `of_action`: the objects name the action itself, as in "the cancellation has been processed".
    """

    tool: str
    objects: frozenset[str]
    forms: frozenset[str]
    of_action: bool = False


@dataclass(frozen=True)
class Lexicon:
    """The claim words of some tools, by participle."""

    language: Language
    readings: Mapping[str, tuple[Reading, ...]]

    @cached_property
    def verbs(self) -> frozenset[str]:
        """All participles. They are, as objects are, of ASCII letters in lower case: words of a name."""
        return frozenset(self.readings)

    @cached_property
    def objects(self) -> Mapping[str, frozenset[str]]:
        """What each participle can be about, by any of its readings."""
        found = self.readings.items()
        return {verb: frozenset().union(*(reading.objects for reading in readings)) for verb, readings in found}

    @classmethod
    def of(cls, tools: Iterable[ToolWords], language: Language) -> Lexicon:
        """The lexicon of some tools. A noun that names a thing for one of them names no action for another."""
        acting = [(words, *_verb_and_things(words.tool, language)) for words in tools]
        things_of_all = frozenset().union(*(things for _, _, things in acting))
        found: dict[str, list[Reading]] = {}
        for words, verb, things in acting:
            for reading in _readings(words, verb, things, things_of_all, language):
                for form in reading.forms:
                    found.setdefault(form, []).append(reading)
        return cls(language, {form: tuple(readings) for form, readings in found.items()})


def _readings(
    words: ToolWords, verb: str | None, things: frozenset[str], things_of_all: frozenset[str], language: Language
) -> Iterator[Reading]:
    own = () if verb is None else (verb, *sorted(language.synonyms_of(verb)))
    verbs = [*dict.fromkeys((*own, *(verb for phrase in words.verbs for verb in words_of_name(phrase)[:1])))]
    objects = things | heads(words.objects, language)
    for each in verbs:
        yield Reading(words.tool, objects, participles(each, language))
    derived = frozenset().union(*map(nominals, verbs)) - things_of_all
    stated = heads((*words.nominalisations, *words.side_effects), language)
    made = things if verb in language.light else frozenset()
    yield Reading(words.tool, derived | stated | made, language.completing, of_action=True)


def _verb_and_things(tool: str, language: Language) -> tuple[str | None, frozenset[str]]:
    """What the name of a tool says: its verb (the first word known as one, else the first), and what it acts on."""
    name = words_of_name(tool)
    known = (word for word in name if word in language.verbs or word in language.irregular)
    verb = next(known, name[0] if name else None)
    return verb, things_of(" ".join(word for word in name if word != verb), language)
