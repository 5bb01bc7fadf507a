"""Forms of words: what a verb or a noun taken from a contract looks like in a sentence.

Rules of English spelling make too many forms rather than too few: one that is no word occurs in no text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from comparators.language import Language

#: Parts of a name: snake, kebab and dotted names, camelCase, and runs of capitals ("createVPNUser"). A figure is part
#: of the word that it begins ("enable2FA"), else a version.
_PART = re.compile(r"[0-9]+[A-Z]+(?![a-z])|(?<![A-Za-z0-9])[0-9]+[a-z]+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SHORT_STEM = re.compile(r"[^aeiou]*[aeiou][bdgklmnprtvz]|.*[aeiou][bdglmnprt]")
#: How nouns of action are made: the end of the verb, and what takes its place.
_NOMINAL_ENDINGS = (
    ("", "ing"), ("", "ation"), ("", "ment"), ("e", "ing"), ("e", "ion"), ("e", "ation"), ("e", "al"),
    ("t", "tion"), ("d", "sion"), ("y", "ication"), ("el", "ellation"), ("er", "ration"), ("ke", "cation"),
)  # fmt: skip


def words_of_name(name: str) -> list[str]:
    """The words of an identifier, in lower case."""
    return [part.lower() for part in _PART.findall(name)]


def participles(verb: str, language: Language) -> frozenset[str]:
    """Past forms and participles of a verb. A word that is one already, as contracts may give it, is its own."""
    return frozenset((verb, *_past_forms(verb, language))) if _is_past(verb, language) else _past_forms(verb, language)


def _past_forms(verb: str, language: Language) -> frozenset[str]:
    known = language.irregular.get(verb)
    if known is not None:
        return frozenset(known)
    if verb.endswith("e"):
        return frozenset((f"{verb}d",))
    if len(verb) > 1 and verb.endswith("y") and verb[-2] not in "aeiou":
        return frozenset((f"{verb[:-1]}ied",))
    doubled = (f"{verb}{verb[-1]}ed",) if _SHORT_STEM.fullmatch(verb) else ()
    return frozenset((f"{verb}ed", *doubled))


def _is_past(word: str, language: Language) -> bool:
    return word.endswith("ed") or word in language.irregular_forms


def numbers(noun: str) -> frozenset[str]:
    """Singular and plural of a noun given in either."""
    forms = {noun, f"{noun}s", f"{noun}es"}
    if noun.endswith("y"):
        forms.add(f"{noun[:-1]}ies")
    if noun.endswith("ies"):
        forms.add(f"{noun[:-3]}y")
    if noun.endswith("s") and not noun.endswith("ss"):
        forms.add(noun[:-1])
    return frozenset(forms)


def nominals(verb: str) -> frozenset[str]:
    """Nouns that name the action of a verb: the refund, the booking, the cancellation, the modification."""
    stems = {verb}
    stems.update(verb[: len(verb) - len(end)] + noun for end, noun in _NOMINAL_ENDINGS if verb.endswith(end))
    return _all_numbers(stems)


def heads(phrases: Iterable[str], language: Language) -> frozenset[str]:
    """What each phrase is about, in both numbers: the head of an English compound is its last word."""
    words = [words_of_name(phrase) for phrase in phrases]
    return _all_numbers(found[-1] for found in words if found and found[-1] not in language.function_words)


def things_of(phrase: str, language: Language) -> frozenset[str]:
    """Every word of a phrase that can name something, in both numbers. Participles before a noun describe it."""
    words = [word for word in words_of_name(phrase) if len(word) > 1 and word not in language.function_words]
    naming = [word for place, word in enumerate(words) if place == len(words) - 1 or not word.endswith(("ed", "ing"))]
    return _all_numbers(naming)


def _all_numbers(nouns: Iterable[str]) -> frozenset[str]:
    return frozenset(form for noun in nouns for form in numbers(noun))
