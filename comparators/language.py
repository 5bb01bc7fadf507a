"""What a language contributes to reading claims: closed classes of words and irregular forms, as data.

The words are of the language, never of a domain: what a tool does is said by its contract. Another language would
be another file with the same fields, and other rules of word formation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files


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

    @cached_property
    def irregular_forms(self) -> frozenset[str]:
        return frozenset(form for forms in self.irregular.values() for form in forms)

    @cached_property
    def auxiliaries(self) -> frozenset[str]:
        return self.have | self.had | self.being | self.was | {"been"}

    @cached_property
    def leading(self) -> frozenset[str]:
        """What may stand right before a participle that says that something is done, beside adverbs."""
        return self.auxiliaries | self.self | self.coordinators | self.succeeding

    def synonyms_of(self, verb: str) -> frozenset[str]:
        """The other verbs that mean the same."""
        return frozenset().union(*(group for group in self.synonyms if verb in group)) - {verb}


@cache
def english() -> Language:
    """English, from the file that ships with the package."""
    text = files("comparators").joinpath("data/english.json").read_text(encoding="utf-8")
    fields = json.loads(text)
    irregular = {verb: tuple(forms) for verb, forms in fields.pop("irregular").items()}
    synonyms = tuple(map(frozenset, fields.pop("synonyms")))
    classes = {name: frozenset(words) for name, words in fields.items()}
    return Language(irregular=irregular, synonyms=synonyms, **classes)
