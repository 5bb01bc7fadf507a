"""What stands in answers in normal form: their telling words and their figures, both found in one pass over the bytes."""

from __future__ import annotations

from collections.abc import Sequence

from comparators.figure import Figure
from comparators.figurescan import Tokens, english_scanner
from comparators.numbers import figures_of
from comparators.wordscan import WORDS
from comparators.wordsearch import MARGIN, Vocabulary, Words, held_of, in_a_row, in_utf8, portions


def scanned(texts: Sequence[str], vocabulary: Vocabulary) -> tuple[list[list[str]], list[list[Figure]]]:
    """What `words_found` and `numbers.figures` find in texts of ASCII by a vocabulary of answers.

    Beyond ASCII the two part: a figure is looked for among characters, a word among the bytes of UTF-8.
    """
    scanner = english_scanner()
    told: list[list[str]] = []
    tokens: list[Tokens] = []
    first = 0
    for part in portions(texts):
        encoded = in_utf8(part)
        raw = in_a_row(encoded)
        words = Words.of(raw.translate(WORDS))
        told += held_of(words, encoded, vocabulary)
        tokens.append(scanner.tokens(raw, words, first))
        first += len(raw) - MARGIN
    return told, figures_of(len(texts), *scanner.passages_of(texts, tokens))
