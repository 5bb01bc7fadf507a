"""Sentences that assert something: questions and quoted text are left out, words keep their case and their order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

# Patterns begin with the characters they look for, so that `re` skips to them.
#: Where a sentence ends. A full stop inside a number or a name is followed by no white space.
_END = re.compile(r"[.!?\n\u3002\uff01\uff1f](?:(?<=\n)|[\"')\]*_]*\s+)")
_QUOTED = re.compile(
    '"[^"\n]{1,300}"|\u201c[^\u201d\n]{1,300}\u201d|\u00ab[^\u00bb\n]{1,300}\u00bb|`[^`\n]{1,300}`',
)
_QUOTES = ('"', "\u201c", "\u00ab", "`")
_SINGLE_QUOTED = re.compile(r"'(?<![\w']')(?! )[^'\n]{1,300}(?<! )'(?![\w'])")
#: What may stand behind a question mark.
_CLOSING = " \t\r\"')]*_!"
_QUESTION_MARKS = ("?", "\uff1f")
_OMITTED = ' "" '
_TOKEN = re.compile(r"'?[^\W\d_]+|\d[\w.,:/-]*|[^\w\s]")
#: The same where all is ASCII: `re` looks up such letters faster.
_ASCII_TOKEN = re.compile(r"[A-Za-z]+|'[A-Za-z]*|\d[\w.,:/-]*|[^\w\s]")
_LAST_OF_NAME = re.compile(r"(?<![^\W\d_])[^\W\d_]++(?!\w)")
#: Other apostrophes, and stars of Markdown.
_PLAIN = (("\u2019", "'"), ("\u2018", "'"), ("\u02bc", "'"), ("*", " "))
LETTERS_ONLY = bytes(byte | 32 if byte < 128 and chr(byte).isalpha() else 32 for byte in range(256))


def assertions(text: str) -> Iterator[str]:
    """The sentences of a text that are no questions, without what they quote. Linear in the text."""
    return filter(asserts, sentences(text))


def sentences(text: str) -> list[str]:
    """The sentences of a text, without what they quote: there are signs in its place."""
    for sign, plain in _PLAIN:
        text = text.replace(sign, plain)
    if any(map(text.__contains__, _QUOTES)):
        text = _QUOTED.sub(_OMITTED, text)
    text = _SINGLE_QUOTED.sub(_OMITTED, text)
    ends = [found.end() for found in _END.finditer(text)]
    return [text[start:end].strip() for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]


def asserts(sentence: str) -> bool:
    """Whether a sentence is no question and is not quoted from a mail."""
    return bool(sentence) and sentence[0] != ">" and not sentence.rstrip(_CLOSING).endswith(_QUESTION_MARKS)


def tokens(sentence: str) -> list[str]:
    """Words, figures and signs. Contractions come apart: "we've" is "we" and "'ve"."""
    return (_ASCII_TOKEN if sentence.isascii() else _TOKEN).findall(sentence)


def words_in(text: str) -> list[str]:
    """The words of a text that are of ASCII letters, in lower case: fast, and enough to know which are not there."""
    return text.encode("utf-8", "surrogatepass").translate(LETTERS_ONLY).decode("ascii").split()


def stated(texts: Iterable[str]) -> frozenset[str]:
    """The words of texts in lower case, and the last ones of names: "is_locked" says locked, "locked_at" does not."""
    return frozenset(word for text in texts for word in _LAST_OF_NAME.findall(text.lower()))
