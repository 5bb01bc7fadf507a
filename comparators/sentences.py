"""Sentences that assert something: questions and quoted text are left out, words keep their case and their order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

#: A full stop inside a number or a name is followed by no white space.
_END = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])[\"')\]*_]*\s+|\n+")
_QUOTED = re.compile(
    '"[^"\n]{1,300}"|\u201c[^\u201d\n]{1,300}\u201d|\u00ab[^\u00bb\n]{1,300}\u00bb|`[^`\n]{1,300}`'
    "|(?<![\\w'])'(?! )[^'\n]{1,300}(?<! )'(?![\\w'])"
)
_QUOTED_LINE = re.compile(r"^\s{0,3}>", re.MULTILINE)
#: What may stand behind a question mark.
_CLOSING = " \t\r\"')]*_!"
_LETTERS = re.compile(r"[^\W\d_]+")
_LAST_OF_NAME = re.compile(r"(?<![^\W\d_])[^\W\d_]++(?!\w)")
_QUESTION_MARKS = ("?", "\uff1f")
_TOKEN = re.compile(r"'?[^\W\d_]+|\d[\w.,:/-]*|[^\w\s]")
_PLAIN = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "*": " ", "\x00": " "})


def assertions(text: str) -> Iterator[str]:
    """The sentences of a text that are no questions, without what they quote. Linear in the text."""
    plain = text.translate(_PLAIN) if "*" in text or not text.isascii() else text
    for sentence in _END.split(_QUOTED.sub(' "" ', plain)):
        if sentence and not sentence.rstrip(_CLOSING).endswith(_QUESTION_MARKS) and not _QUOTED_LINE.match(sentence):
            yield sentence


def tokens(sentence: str) -> list[str]:
    """Words, figures and signs. Contractions come apart: "we've" is "we" and "'ve"."""
    return _TOKEN.findall(sentence)


def letters(text: str) -> list[str]:
    """The words of a text in lower case, all of those in a name."""
    return _LETTERS.findall(text.lower())


def stated(texts: Iterable[str]) -> frozenset[str]:
    """The words of texts in lower case, and the last ones of names: "is_locked" says locked, "locked_at" does not."""
    return frozenset(word for text in texts for word in _LAST_OF_NAME.findall(text.lower()))
