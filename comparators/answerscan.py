"""What stands in answers in normal form, telling words and figures: one pass over their bytes finds both."""

from __future__ import annotations

from collections.abc import Sequence

from comparators.figure import Figure
from comparators.figurescan import Row, english_scanner, row_of
from comparators.numbers import figures_of
from comparators.wordscan import WORDS
from comparators.wordsearch import Finder, Words, in_a_row, in_utf8


def scan(texts: Sequence[str], finder: Finder) -> list[list[Figure]]:
    """The figures of each text (`numbers.figures`); the finder, of a vocabulary of answers, looks at the same words.

    Texts of ASCII go first: from other ones words are read as UTF-8, figures as characters, in two passes.
    """

    def in_row(part: Sequence[str]) -> Row:
        encoded = in_utf8(part)
        raw = in_a_row(encoded)
        words = Words.of(raw.translate(WORDS))
        finder.look_at(words, encoded)
        return (raw, words) if all(map(str.isascii, part)) else row_of(part)

    return figures_of(len(texts), *english_scanner().passages(texts, in_row))
