"""In which words an answer claims that a tool has acted: from the contract, and from names where it is silent.

Nothing here knows a domain. A tool named `cancel_reservation` lends "cancelled", "cancellation" and "reservation";
its contract may add verbs, objects, nouns of action, and side effects ("refund") that its success brings about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeAlias

from comparators.language import Language
from comparators.toolnames import ToolName, Verb, read_name
from comparators.wordforms import heads, nominals, numbers, participles, words_of_name


class ToolWords(NamedTuple):
    """What a contract says of a tool that acts. `verbs` are infinitives or participles."""

    tool: str
    verbs: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    nominalisations: tuple[str, ...] = ()
    side_effects: tuple[str, ...] = ()


class Reading(NamedTuple):
    """What one participle claims of one tool: that it acted on one of `objects`. `forms` are those of its verb.

    `of_action`: the objects name the action itself, as in "the cancellation has been processed". `of_person`: who is
    spoken to, or a name, is an object as well; `of_anything`: so is whatever an active verb is about.
    `behind`: prepositions of the tool's name, behind which an object may stand. `particle`: must follow the verb.
    `names`: in what words a call or its result speaks of the act. `borrowed`: the verb is a synonym of the tool's own.
    """

    tool: str
    objects: frozenset[str]
    forms: frozenset[str]
    of_action: bool = False
    of_person: bool = False
    of_anything: bool = False
    behind: frozenset[str] = frozenset()
    particle: str = ""
    names: frozenset[str] = frozenset()
    borrowed: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it may be about what is none of its objects."""
        return self.of_person or self.of_anything or not all(map(str.isalpha, self.objects))


@dataclass(frozen=True)
class Lexicon:
    """The claim words of some tools: readings by participle, participles by infinitive, verbs of each tool."""

    language: Language
    readings: Mapping[str, tuple[Reading, ...]]
    infinitives: Mapping[str, frozenset[str]] = field(default_factory=dict)
    acts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    generic: frozenset[str] = frozenset()

    def lending(self, orders: Iterable[tuple[str, str]]) -> Lexicon:
        """With the words of what generic tools were told to do: a tool, and a value of its arguments.

        `execute_action` given "disable_account" disables an account. What names no act lends nothing.
        """
        readings = {verb: list(known) for verb, known in self.readings.items()}
        infinitives, acts = dict(self.infinitives), dict(self.acts)
        for tool, order in orders:
            name = read_name(order, self.language)
            for verb, reading in _readings(ToolWords(tool), name, name.nouns, self.language):
                if reading.objects and not reading.of_action:
                    _add(reading, verb, readings, infinitives)
            acts[tool] = acts.get(tool, frozenset()) | {verb.infinitive for verb in name.verbs}
        found = {verb: tuple(known) for verb, known in readings.items()}
        return Lexicon(self.language, found, infinitives, acts, self.generic)

    @cached_property
    def verbs(self) -> frozenset[str]:
        """All participles. They are, as objects mostly are, of ASCII letters in lower case: words of a name."""
        return frozenset(self.readings)

    @cached_property
    def telling(self) -> frozenset[str]:
        """What may say that something is done: participles, and infinitives behind some words."""
        return self.verbs | self.infinitives.keys()

    @cached_property
    def open_readings(self) -> frozenset[Reading]:
        """Readings that may be about what is none of their objects."""
        return frozenset(it for readings in self.readings.values() for it in readings if it.is_open)

    @cached_property
    def open(self) -> frozenset[str]:
        """Participles with such a reading."""
        held = self.readings.items()
        return frozenset(verb for verb, readings in held if not self.open_readings.isdisjoint(readings))

    @cached_property
    def objects(self) -> Mapping[str, frozenset[str]]:
        """What each participle can be about, by any of its readings."""
        found = self.readings.items()
        return {verb: frozenset().union(*(reading.objects for reading in readings)) for verb, readings in found}

    @classmethod
    def of(cls, tools: Iterable[ToolWords], language: Language) -> Lexicon:
        """The lexicon of some tools. A noun that names a thing for one of them names no action for another.

        Tools that only look by their names claim nothing, beyond what their contracts say.
        """
        acting = [(words, read_name(words.tool, language)) for words in tools]
        things_of_all = frozenset().union(*(name.nouns for _, name in acting))
        found: dict[str, list[Reading]] = {}
        infinitives: dict[str, frozenset[str]] = {}
        for words, name in acting:
            for verb, reading in _readings(words, name, things_of_all, language):
                _add(reading, verb, found, infinitives)
        return cls(
            language,
            {form: tuple(readings) for form, readings in found.items()},
            infinitives,
            {words.tool: frozenset(verb.infinitive for verb in name.verbs) for words, name in acting},
            frozenset(words.tool for words, name in acting if _is_generic(name, language)),
        )


def _add(
    reading: Reading, verb: str, readings: dict[str, list[Reading]], infinitives: dict[str, frozenset[str]]
) -> None:
    for form in reading.forms:
        readings.setdefault(form, []).append(reading)
    if verb:
        infinitives[verb] = infinitives.get(verb, frozenset()) | reading.forms


#: A reading, and the infinitive of its verb if that may be claimed: "was able to cancel".
_Named: TypeAlias = tuple[str, Reading]


def _readings(words: ToolWords, name: ToolName, things_of_all: frozenset[str], language: Language) -> Iterator[_Named]:
    own = [Verb.of(verb) for verb in dict.fromkeys(_with_synonyms(name.verbs, language))]
    stated = [verb for phrase in words.verbs for verb in _stated(phrase, language)]
    objects = name.things | heads(words.objects, language)
    for verb in own:
        yield verb.infinitive, _plain(words.tool, verb, objects, name, language)
    lent = _lent(name, language)
    for verb in lent:
        yield verb.infinitive, _plain(words.tool, verb, objects, name, language)._replace(of_anything=True)
    for verb in stated:
        yield verb.infinitive, _plain(words.tool, verb, objects, name, language)._replace(borrowed=False)
    derived = _all_nominals((*own, *stated)) - things_of_all
    told = heads((*words.nominalisations, *words.side_effects), language)
    made = name.things if any(verb.infinitive in language.light for verb in name.verbs) else frozenset()
    action = Reading(words.tool, derived | told | made, language.completing, of_action=True)
    yield "", action._replace(names=_names((*own, *stated, *lent), language) | derived | told)


def _plain(tool: str, verb: Verb, objects: frozenset[str], name: ToolName, language: Language) -> Reading:
    """That the tool did this to one of its objects."""
    return Reading(
        tool,
        objects,
        participles(verb.infinitive, language),
        of_person=name.head in language.persons or numbers(name.head) & language.persons != frozenset(),
        of_anything=not objects and verb in name.verbs,
        behind=name.prepositions | (language.whole if verb.infinitive in language.altering else frozenset()),
        particle=verb.particle,
        names=_names((verb,), language),
        borrowed=verb not in name.verbs,
    )


def _stated(phrase: str, language: Language) -> Iterator[Verb]:
    """The verb a contract gives, with its particle: "signed off"."""
    words = words_of_name(phrase)
    particle = "".join(words[1:2])
    if words:
        yield Verb(words[0], particle if particle in language.particles else "")


def _with_synonyms(verbs: Iterable[Verb], language: Language) -> Iterator[str]:
    for verb in verbs:
        phrase = " ".join(verb).strip()
        yield phrase
        yield from sorted(language.synonyms_of(phrase))


def _lent(name: ToolName, language: Language) -> list[Verb]:
    """The verb of the noun of action that a tool brings about: what creates a refund has refunded."""
    brings_about = any(verb.infinitive in language.lending for verb in name.verbs)
    lent = (language.action_nouns.get(noun) for noun in sorted(numbers(name.head))) if brings_about else ()
    return [Verb.of(verb) for verb in dict.fromkeys(lent) if verb is not None]


def _all_nominals(verbs: Iterable[Verb]) -> frozenset[str]:
    return frozenset().union(*(nominals(verb.infinitive + verb.particle) for verb in verbs))


def _names(verbs: Iterable[Verb], language: Language) -> frozenset[str]:
    """What the act is called in a call or its result."""
    return frozenset().union(
        *(
            participles(verb.infinitive, language) | nominals(verb.infinitive + verb.particle) | {verb.infinitive}
            for verb in verbs
        )
    )


def _is_generic(name: ToolName, language: Language) -> bool:
    """Whether only its arguments say what the tool does."""
    return name.head in language.generic_things
