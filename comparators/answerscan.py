"""What stands in answers in normal form, telling words and figures: one pass over their bytes finds both."""

from __future__ import annotations

from collections.abc import Sequence

from comparators.figure import Figure
from comparators.figurescan import Tokens, english_scanner, in_ascii
from comparators.numbers import figures_of
from comparators.wordscan import WORDS
from comparators.wordsearch import MARGIN, Finder, Words, in_a_row, in_utf8, portions


def scan(texts: Sequence[str], finder: Finder) -> list[list[Figure]]:
    """The figures of each text (`numbers.figures`); the finder, of a vocabulary of answers, looks at the same words.

    Texts of ASCII go first: from other ones words are read as UTF-8, figures as characters, in two passes.
    """
    scanner = english_scanner()
    tokens: list[Tokens] = []
    first = 0
    for part in portions(texts):
        encoded = in_utf8(part)
        raw = in_a_row(encoded)
        words = Words.of(raw.translate(WORDS))
        finder.look_at(words, encoded)
        if not all(map(str.isascii, part)):
            raw = in_a_row(in_ascii(part))
            words = Words.of(raw.translate(WORDS))
        tokens.append(scanner.tokens(raw, words, first))
        first += len(raw) - MARGIN
    return figures_of(len(texts), *scanner.passages_of(texts, tokens))
