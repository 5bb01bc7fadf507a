"""What a language contributes to reading claims: closed classes of words and irregular forms, as data.

The words are of the language, never of a domain: what a tool does is said by its contract. Another language would
be another file with the same fields, and other rules of word formation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

_LAST_LETTERS = re.compile("[a-z]+$")


@dataclass(frozen=True)
class Language:
    """Word classes in lower case. Contractions are split: "we've" is "we" and "'ve", "isn't" ends in "'t"."""

    #: Verbs to their past and participle, where adding -ed is wrong.
    irregular: Mapping[str, tuple[str, ...]]
    #: Verbs of action, which need not come first in the name of a tool (`crm_create_lead`).
    verbs: frozenset[str]
    #: Verbs of action that mean the same wherever they are used.
    synonyms: tuple[frozenset[str], ...]
    #: Participles that say of a noun of action that it took place: the cancellation has been *processed*.
    completing: frozenset[str]
    #: Verbs that bring their object about, so that it takes place itself: *make* a payment.
    light: frozenset[str]
    #: Words that name nothing.
    function_words: frozenset[str]

    have: frozenset[str]
    had: frozenset[str]
    being: frozenset[str]
    was: frozenset[str]
    #: Subjects that speak of who answers.
    self: frozenset[str]
    #: Before a participle they make it a deed of another, or none: *you* cancelled, to *be* cancelled.
    others: frozenset[str]

    #: May stand between an auxiliary and its participle, beside words in -ly.
    adverbs: frozenset[str]
    #: Put the deed before now, so that a state may be meant: has *already* been cancelled.
    earlier: frozenset[str]
    #: Need no auxiliary: *successfully* cancelled.
    succeeding: frozenset[str]
    #: Make a state the result of a deed: is *now* cancelled.
    present: frozenset[str]
    #: Join a participle to the one before it.
    coordinators: frozenset[str]

    #: At the head of a sentence they name where a state was found: *according* to our records.
    sourcing: frozenset[str]
    #: Before "have been" they leave it unsaid: *to* have been cancelled, those *that* have been cancelled.
    unasserting: frozenset[str]

    #: Behind a past passive they put the deed before this conversation, as "on", "at" do before one of `calendar`.
    past: frozenset[str]
    at: frozenset[str]
    calendar: frozenset[str]
    #: At the head of a clause they take it for known: *since* it was booked.
    presupposing: frozenset[str]

    #: Modal, future, negation, condition, request: before the verb in its clause, nothing is asserted.
    blockers: frozenset[str]
    #: Requests, unless one of `noting` follows: *please note* that it has been cancelled.
    asking: frozenset[str]
    noting: frozenset[str]
    #: Behind "by" they name no other agent: by *email*, by *our* team.
    no_others: frozenset[str]
    #: What follows was read or heard, not done: I *see* that it has been cancelled.
    reporting: frozenset[str]
    #: Blockers that are names when they begin with a capital or stand before a figure: *May* 17.
    names: frozenset[str]
    #: Blockers that lose their force before a complement: I *can* confirm that it has been cancelled.
    assertive: frozenset[str]
    complementisers: frozenset[str]
    #: End a clause. "and" does so before a pronoun that must be a subject, one of `nominatives`.
    boundaries: frozenset[str]
    nominatives: frozenset[str]
    #: End the object of a verb.
    prepositions: frozenset[str]
    #: Stand for an object that was named elsewhere.
    pronouns: frozenset[str]

    #: How a user agrees to what was proposed.
    consents: frozenset[str]

    #: Words whose full stop ends no sentence; those of the second kind may, before a capital: "Acme Inc. has", "p.m."
    abbreviations: frozenset[str]
    ending_abbreviations: frozenset[str]
    #: Begin a question, after the comma in "it is done, *is* there anything else?" too.
    interrogatives: frozenset[str]
    #: Lines that open and close a letter: *Hi* team, ... *Kind regards*,
    salutations: frozenset[str]
    closings: frozenset[str]

    #: Before a noun: *the* order. A participle at the head of a line needs one behind it, a figure or a name.
    determiners: frozenset[str]
    #: Verbs that are finite: a line with one is a sentence of its own, "Device locked" has none.
    finite: frozenset[str]
    #: What such lines stand under where nothing was done: *plan*, *history*.
    unfinished: frozenset[str]
    #: Blockers of several words, and those that say that another told it: *as soon as*, *reported that*.
    blocking_phrases: frozenset[str]
    #: Blockers that a gerund follows, up to the subject: *after* reviewing your case I have cancelled it.
    gerund_openers: frozenset[str]
    #: Per your *request*: no source where a state was found.
    wishes: frozenset[str]
    #: Subjects of what happens in general: *every* order is cancelled after 30 days.
    generic: frozenset[str]
    #: Before a participle they make it a state: is *currently* booked.
    stative: frozenset[str]
    #: Nobody's deed: it was *automatically* cancelled.
    automatic: frozenset[str]
    #: Before "to" and an infinitive they say that it was done: I was *able* to, I *managed* to.
    enabling: frozenset[str]
    #: Before an object and its participle: I *had* the order cancelled.
    causatives: frozenset[str]

    #: Before "of" they name no object of their own: *all* of your orders.
    quantities: frozenset[str]
    #: Behind a noun of action they leave it the head: your cancellation *request*.
    fillers: frozenset[str]
    #: Who answers speaks to them: *you* have been enrolled. They stand for a noun of `persons`, as names do.
    addressed: frozenset[str]
    persons: frozenset[str]
    #: Verbs that act on a thing by a part of it, and what stands before the whole: updated the address *of* the order.
    altering: frozenset[str]
    whole: frozenset[str]
    #: Groups of nouns for one thing.
    same_things: tuple[frozenset[str], ...]

    #: In front of the name of a tool they say whose it is: *github*_create_issue.
    services: frozenset[str]
    #: Verbs that are nouns as often, so that in the middle of a name they are taken for such: create_*issue*_label.
    dual: frozenset[str]
    #: Verbs of tools that only look.
    reading: frozenset[str]
    #: Verbs that need a second word, to those: turn *on*. `compounds` are nouns made of both: *rollback*.
    phrasal: Mapping[str, frozenset[str]]
    compounds: Mapping[str, str]
    #: Nouns of action to their verbs, which they lend to tools that bring them about: create_*refund* refunds.
    action_nouns: Mapping[str, str]
    lending: frozenset[str]
    #: Deeds that bring others about (a cancellation, the refund), and those made of two (cancel and book: reschedule).
    brings: Mapping[str, frozenset[str]]
    made_of: tuple[tuple[frozenset[str], ...], ...]
    #: Objects of tools that do whatever their arguments say: execute_*action*.
    generic_things: frozenset[str]

    @cached_property
    def irregular_forms(self) -> frozenset[str]:
        return frozenset(form for forms in self.irregular.values() for form in forms)

    @cached_property
    def auxiliaries(self) -> frozenset[str]:
        return self.have | self.had | self.being | self.was | {"been"}

    @cached_property
    def leading(self) -> frozenset[str]:
        """What may stand right before a participle that says that something is done, beside adverbs in -ly: the last
        letters of it, as "ve" of "'ve"."""
        words = self.auxiliaries | self.self | self.coordinators | self.succeeding | self.adverbs | self.earlier
        return frozenset(found[0] for word in words if (found := _LAST_LETTERS.findall(word)))

    # Sets in which the words of a clause are looked up first: most are in none.

    @cached_property
    def no_nouns(self) -> frozenset[str]:
        """What can be no part of a noun with its determiner, beside verbs."""
        return frozenset().union(
            self.blockers, self.prepositions, self.others, self.self, self.finite, self.reporting, self.boundaries,
            self.coordinators, self.auxiliaries, self.calendar,
        )  # fmt: skip

    @cached_property
    def parting_clauses(self) -> frozenset[str]:
        """At these words a clause may end, or a predicate."""
        return self.boundaries | self.coordinators | {"and", ";", ":", "|"}

    @cached_property
    def governing(self) -> frozenset[str]:
        """What may keep a verb behind it from being asserted, or keep another word from that."""
        return self.parting_clauses | self.reporting | self.blockers | self.complementisers | frozenset(self.phrases)

    @cached_property
    def abbreviation_ends(self) -> frozenset[str]:
        """The last two characters of abbreviations."""
        return frozenset(word[-2:] for word in self.abbreviations | self.ending_abbreviations)

    @cached_property
    def dating(self) -> frozenset[str]:
        """With these words a time before now may begin."""
        return self.past | self.at

    @cached_property
    def phrases(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        """Blocking phrases as words, by their last."""
        found: dict[str, list[tuple[str, ...]]] = {}
        for phrase in sorted(self.blocking_phrases):
            words = tuple(phrase.split())
            found.setdefault(words[-1], []).append(words)
        return {last: tuple(phrases) for last, phrases in found.items()}

    @cached_property
    def openers(self) -> frozenset[str]:
        """Words in a text with which a verb may claim a deed without one of `leading` before it."""
        return self.enabling | self.causatives

    @cached_property
    def particles(self) -> frozenset[str]:
        return frozenset().union(*self.phrasal.values())

    @cached_property
    def _parting(self) -> Mapping[str, frozenset[str]]:
        forms = (
            (form, particles - self.prepositions)
            for verb, particles in self.phrasal.items()
            for form in (*self.irregular.get(verb, (f"{verb.removesuffix('e')}ed",)), f"{verb}{verb[-1]}ed")
        )
        return dict(forms)

    def parting(self, participle: str) -> frozenset[str]:
        """Particles that make of a participle another verb's: *set up* is none of what "set" means."""
        return self._parting.get(participle, frozenset())

    def called(self, noun: str) -> frozenset[str]:
        """A noun and the others that name the same."""
        return frozenset((noun,)).union(*(group for group in self.same_things if noun in group))

    def synonyms_of(self, verb: str) -> frozenset[str]:
        """The other verbs that mean the same."""
        return frozenset().union(*(group for group in self.synonyms if verb in group)) - {verb}


@cache
def english() -> Language:
    """English, from the file that ships with the package."""
    text = files("comparators").joinpath("data/english.json").read_text(encoding="utf-8")
    fields = json.loads(text)
    irregular = {verb: tuple(forms) for verb, forms in fields.pop("irregular").items()}
    synonyms, same_things = (_groups(fields.pop(name)) for name in ("synonyms", "same_things"))
    phrasal, brings = (_sets(fields.pop(name)) for name in ("phrasal", "brings"))
    compounds, action_nouns = fields.pop("compounds"), fields.pop("action_nouns")
    made_of = tuple(_groups(parts) for parts in fields.pop("made_of"))
    classes = {name: frozenset(words) for name, words in fields.items()}
    return Language(
        irregular=irregular,
        synonyms=synonyms,
        same_things=same_things,
        phrasal=phrasal,
        brings=brings,
        compounds=compounds,
        action_nouns=action_nouns,
        made_of=made_of,
        **classes,
    )


def _groups(lists: Sequence[Sequence[str]]) -> tuple[frozenset[str], ...]:
    return tuple(map(frozenset, lists))


def _sets(lists: Mapping[str, Sequence[str]]) -> dict[str, frozenset[str]]:
    return {word: frozenset(words) for word, words in lists.items()}
