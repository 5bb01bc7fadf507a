"""The sentences of texts in which a claim may stand: those that assert something and hold a verb that may claim."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple, TypeAlias

from comparators.claimwords import Lexicon
from comparators.language import Language
from comparators.sentences import asserted, is_own, own_words, sentences, words_in

#: Characters of the sentence before, in which a pronoun's noun is looked for.
_ANTECEDENT = 300

#: A text, and the verbs in it that may claim something.
Held: TypeAlias = tuple[str, Set[str]]


class Sentence(NamedTuple):
    """What is asserted, and what was said right before it."""

    text: str
    before: str


def verbs_in(text: str, lexicon: Lexicon) -> Set[str]:
    """The participles of a text, and its infinitives where one may claim a deed."""
    said = words_in(text)
    verbs = lexicon.verbs.intersection(said)
    return verbs if lexicon.language.enabling.isdisjoint(said) else verbs.union(lexicon.infinitives.keys() & said)


def telling(held: Sequence[Held], language: Language) -> list[list[Sentence]]:
    """The sentences of each text that may hold one of its verbs, and few others: to look for letters is faster than for
    words.

    Neither a sentence nor a quotation goes beyond its line, so that other lines need not be cut.
    """
    lines = [list(_lines(text, verbs, language)) for text, verbs in held]
    distinct = dict.fromkeys(line for some in lines for line, _ in some)
    cut = {line: sentences(line, language) for line in distinct}
    return [list(_telling(some, cut, verbs, language)) for (_, verbs), some in zip(held, lines, strict=True)]


def _lines(text: str, verbs: Set[str], language: Language) -> Iterator[tuple[str, str]]:
    """The lines that may hold one of `verbs`, and what stands above each."""
    own = own_words(text, language)
    before = ""
    for line, low in zip(own.split("\n"), own.lower().split("\n"), strict=True):
        if _holds(low, verbs) and is_own(line):
            yield line, before
        before = line or before


def _telling(
    lines: Iterable[tuple[str, str]], cut: Mapping[str, Sequence[str]], verbs: Set[str], language: Language
) -> Iterator[Sentence]:
    for line, above in lines:
        before = above
        for sentence in cut[line]:
            if _holds(sentence.lower(), verbs) and (told := asserted(sentence, language)):
                yield Sentence(told, before[-_ANTECEDENT:])
            before = sentence or before


def _holds(low: str, verbs: Set[str]) -> bool:
    for verb in verbs:  # noqa: SIM110 - a generator costs more than what it would do
        if verb in low:
            return True
    return False
