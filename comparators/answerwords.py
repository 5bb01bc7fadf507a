"""What a language contributes to reading answers: cues of negation, opposites, and phrases of stance, as data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from itertools import chain

from comparators.figurewords import alternation
from comparators.language import english
from comparators.wordforms import participles
from comparators.wordscan import vocabulary_of, words_of
from comparators.wordsearch import Vocabulary

#: Letters of a word with an opposing prefix, and of the word without it.
_SHORTEST_DENIED, _SHORTEST_POSITIVE = 6, 4
#: More than there are negations in any answer that is read.
_MANY = 1 << 20


@dataclass(frozen=True)
class Phrases:
    """Finds phrases in texts.

    Each has a sign without which it is not looked for: a negation, else its longest rare word.
    """

    phrases: tuple[str, ...]
    negations: frozenset[str]
    #: Words that stand in most answers: a sign only where a phrase has no other word.
    common: frozenset[str]

    @cached_property
    def _by_sign(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for phrase in self.phrases:
            (words,) = words_of([phrase])
            sign = max(reversed(words), key=self._weight)
            found.setdefault(sign, []).append(phrase)
        return found

    def _weight(self, word: str) -> tuple[bool, bool, int]:
        return word in self.negations, word not in self.common, len(word)

    @cached_property
    def signs(self) -> frozenset[str]:
        return frozenset(self._by_sign)

    def stand_in(self, text: str, said: Iterable[str]) -> bool:
        """Whether one of them stands in a text in normal form; `said` are its words that are signs, or more."""
        return any(map(text.__contains__, self.possible(said)))

    def possible(self, said: Iterable[str]) -> Iterator[str]:
        """Those whose signs are among the words."""
        return chain.from_iterable(self._by_sign[sign] for sign in self.signs.intersection(said))


@dataclass(frozen=True)
class AnswerWords:
    """Words and phrases in normal form (`text.normalise_all`)."""

    negations: frozenset[str]
    #: Two words of which one is a negation, and which deny nothing: *not only*.
    no_negations: frozenset[str]
    #: Words that may deny without being negations: nothing is concluded where one stands on one side only.
    implicit_negations: frozenset[str]
    #: Two words that together are a negation: *failed to*.
    denials: frozenset[str]
    #: Words that turn round what stands beside them: nothing is concluded where one stands on one side only.
    conditions: frozenset[str]
    #: Words behind which a negation changes nothing: *let me know if*.
    doubts: frozenset[str]
    #: Words that come and go with a negation: *does*, *any*.
    neutral: frozenset[str]
    #: Words that may stand anywhere when a sentence is put the other way about.
    unordered: frozenset[str]
    #: Words between a negation and what it denies: *not yet been*.
    between_denied: frozenset[str]
    #: Pairs of opposites. In each other's place they turn a sentence round. Verbs come with all their forms.
    antonyms: tuple[tuple[frozenset[str], frozenset[str]], ...]
    #: What makes a word its own opposite, and words that begin so and are opposites of nothing.
    opposing_prefixes: tuple[str, ...]
    no_opposites: tuple[str, ...]
    #: At the head of an answer they refuse, unless one of `abilities` stands there too: what was not found is told.
    inabilities: tuple[str, ...]
    abilities: tuple[str, ...]
    #: What refuses in one sentence with an apology.
    apologies: frozenset[str]
    apologetic: tuple[str, ...]
    #: Verbs behind an inability that tell what was not found.
    perceiving: frozenset[str]
    #: Words in front of an inability, and behind it in its sentence, with which it refuses nothing.
    subordinators: frozenset[str]
    limits: tuple[str, ...]
    #: Participles of what is done before one decides; any other is a deed beside which nothing is refused.
    no_deeds: frozenset[str]
    #: Who answers, words between "have" and what was done, and replies in front of a sentence.
    selves: tuple[str, ...]
    just: tuple[str, ...]
    replies: tuple[str, ...]
    #: How answers begin that tell of a deed, and texts written for somebody else.
    openings: tuple[str, ...]
    drafts: tuple[str, ...]
    #: Who answers does not stand by it, unless one of `certain` stands there.
    uncertain: tuple[str, ...]
    certain: tuple[str, ...]
    #: They ask for something without a question mark.
    requests: tuple[str, ...]
    #: A question with one of them is for the user.
    addressing: frozenset[str]
    #: Words that stand in most answers.
    common: frozenset[str]
    #: Questions that only round an answer off.
    courtesies: tuple[str, ...]

    @cached_property
    def refusing(self) -> Phrases:
        return Phrases((*self.inabilities, *self.apologetic), self.negations, self.common)

    @cached_property
    def hedging(self) -> Phrases:
        return Phrases(self.uncertain, self.negations, self.common)

    @cached_property
    def asking(self) -> Phrases:
        return Phrases(self.requests, self.negations, self.common)

    @cached_property
    def telling(self) -> Vocabulary:
        """Words without which an answer neither contradicts nor takes a stance: all others need no second look.

        Of opposites of which one stands in most answers, the other one tells.
        """
        signs = self.refusing.signs | self.hedging.signs | self.asking.signs
        return vocabulary_of((self.cues - self.common) | self.denying | signs, self.opposing_prefixes)

    @cached_property
    def reply(self) -> re.Pattern[str]:
        """A reply in front of a sentence; its first group is the word."""
        return re.compile(rf"({alternation(self.replies)})(?: *[,.!:;-]+ *|$)")

    @cached_property
    def perfect(self) -> re.Pattern[str]:
        """What who answers has done; its first group is the participle."""
        just = alternation(self.just)
        return re.compile(rf"\b(?:{alternation(self.selves)})(?:'ve| have) (?:(?:{just}) )?(\w+)")

    @cached_property
    def with_subject(self) -> tuple[str, ...]:
        """How phrases begin that bring their subject."""
        return tuple(f"{self_}{end}" for self_ in self.selves for end in " '")

    @cached_property
    def opposites(self) -> frozenset[str]:
        return frozenset(word for pair in self.antonyms for side in pair for word in side)

    @cached_property
    def opposites_of(self) -> Mapping[str, frozenset[str]]:
        """The opposites of each word that has one."""
        return self._joined((one, other) for pair in self.antonyms for one, other in (pair, pair[::-1]))

    @cached_property
    def meanings(self) -> Mapping[str, tuple[int, ...]]:
        """A number for each side of `antonyms` that holds the word; those of opposites differ in the last bit."""
        found: dict[str, list[int]] = {}
        for number, side in enumerate(chain.from_iterable(self.antonyms)):
            for word in side:
                found.setdefault(word, []).append(number)
        return {word: tuple(numbers) for word, numbers in found.items()}

    @cached_property
    def against_common(self) -> frozenset[str]:
        """Words whose opposite stands in most answers."""
        return frozenset(word for word, others in self.opposites_of.items() if not others.isdisjoint(self.common))

    @cached_property
    def forms_of(self) -> Mapping[str, frozenset[str]]:
        """The forms of each word that has an opposite, itself among them."""
        return self._joined((side, side) for pair in self.antonyms for side in pair)

    def _joined(self, pairs: Iterable[tuple[frozenset[str], frozenset[str]]]) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for one, other in pairs:
            for word in one:
                found.setdefault(word, set()).update(other)
        return {word: frozenset(others) for word, others in found.items()}

    def positive(self, word: str) -> str | None:
        """What a word with an opposing prefix denies: *usual* of *unusual*; null if it has none."""
        if word[:2] not in self._beginnings or len(word) < _SHORTEST_DENIED or word.startswith(self.no_opposites):
            return None
        prefix = next((prefix for prefix in self.opposing_prefixes if word.startswith(prefix)), word)
        denied = word[len(prefix) :]
        return denied if len(denied) >= _SHORTEST_POSITIVE else None

    @cached_property
    def plain(self) -> frozenset[str]:
        """Cues, and telling words that deny no other word by how they begin."""
        return self.cues | frozenset(word for word in self.telling.words if self.positive(word) is None)

    @cached_property
    def _beginnings(self) -> frozenset[str]:
        return frozenset(prefix[:2] for prefix in self.opposing_prefixes)

    @cached_property
    def weights(self) -> Mapping[str, int]:
        """What each word adds to a text that denies or may begin a denial; the sum tells how many there are of both."""
        return {**dict.fromkeys(self.denying, _MANY), **dict.fromkeys(self.negations, 1)}

    @cached_property
    def denying(self) -> frozenset[str]:
        """First words of `denials`."""
        return frozenset(phrase.partition(" ")[0] for phrase in self.denials)

    @cached_property
    def passing(self) -> frozenset[str]:
        """Words that are left out where the rest of two sentences is compared."""
        return self.cues | self.neutral | self.denying | {"to"}

    @cached_property
    def moving(self) -> frozenset[str]:
        """Words whose place tells nothing of who is compared with whom."""
        return self.opposites | self.unordered

    @cached_property
    def cues(self) -> frozenset[str]:
        """Every word without which two sentences do not contradict each other here."""
        return self.negations | self.opposites


def _forms(verb: str, irregular: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Every form of a verb. Spelling makes some that are no words, and occur in no text."""
    past = irregular.get(verb) or participles(verb, english())
    stem = verb.removesuffix("e")
    third = f"{verb[:-1]}ies" if verb.endswith("y") and verb[-2] not in "aeiou" else f"{verb}s"
    return frozenset((verb, third, f"{verb}es", f"{stem}ing", f"{verb}{verb[-1]}ing", *past))


@cache
def english_answers() -> AnswerWords:
    """English, from the file that ships with the package."""
    text = files("comparators").joinpath("data/english-answers.json").read_text(encoding="utf-8")
    fields = json.loads(text)
    irregular: Mapping[str, Sequence[str]] = fields["irregular"]
    return AnswerWords(
        negations=frozenset(fields["negations"]),
        no_negations=frozenset(fields["no_negations"]),
        implicit_negations=frozenset(fields["implicit_negations"]),
        denials=frozenset(fields["denials"]),
        conditions=frozenset(fields["conditions"]),
        doubts=frozenset(fields["doubts"]),
        neutral=frozenset(fields["neutral"]),
        unordered=frozenset(fields["unordered"]),
        between_denied=frozenset(fields["between_denied"]),
        antonyms=(
            *((frozenset((one,)), frozenset((other,))) for one, other in fields["antonyms"]),
            *((_forms(one, irregular), _forms(other, irregular)) for one, other in fields["opposed_verbs"]),
        ),
        opposing_prefixes=tuple(fields["opposing_prefixes"]),
        no_opposites=tuple(fields["no_opposites"]),
        inabilities=tuple(fields["inabilities"]),
        abilities=tuple(fields["abilities"]),
        apologies=frozenset(fields["apologies"]),
        apologetic=tuple(fields["apologetic"]),
        perceiving=frozenset(fields["perceiving"]),
        subordinators=frozenset(fields["subordinators"]),
        limits=tuple(fields["limits"]),
        no_deeds=frozenset(fields["no_deeds"]),
        selves=tuple(fields["selves"]),
        just=tuple(fields["just"]),
        replies=tuple(fields["replies"]),
        openings=tuple(fields["openings"]),
        drafts=tuple(fields["drafts"]),
        uncertain=tuple(fields["uncertain"]),
        certain=tuple(fields["certain"]),
        requests=tuple(fields["requests"]),
        addressing=frozenset(fields["addressing"]),
        common=frozenset(fields["common"]),
        courtesies=tuple(fields["courtesies"]),
    )
