"""The words of answers in normal form: runs of letters, digits and apostrophes."""

from __future__ import annotations

from collections.abc import Sequence

from comparators.wordsearch import Vocabulary

_KEPT = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789'")
#: Bytes of a text: letters, digits and apostrophes stay, what is not ASCII becomes part of a word, the rest is space.
WORDS = bytes(byte if byte in _KEPT else ord("x") if byte > 127 else ord(" ") for byte in range(256))
#: The same, and lines stay apart.
_LINES = WORDS[:10] + b"\n" + WORDS[11:]


def vocabulary_of(words: frozenset[str], beginnings: tuple[str, ...] = ()) -> Vocabulary:
    """Words of answers to look for with `wordsearch.words_found`, and beginnings of words."""
    return Vocabulary(words, WORDS, beginnings)


def words_of(texts: Sequence[str]) -> list[list[str]]:
    """The words of each text in normal form (`text.normalise_all`), in order.

    A letter beyond ASCII stands as some x: enough to know that a word is no other word.
    """
    joined = "\n".join(texts).encode("utf-8", "surrogatepass").translate(_LINES).decode("ascii")
    return [line.split() for line in joined.split("\n")] if texts else []
