"""What stands in answers in normal form, telling words and figures: one pass over their bytes finds both."""

from __future__ import annotations

from collections.abc import Sequence

from comparators.figure import Figure
from comparators.figurescan import Tokens, english_scanner, in_ascii
from comparators.numbers import figures_of
from comparators.wordscan import WORDS
from comparators.wordsearch import MARGIN, Vocabulary, Words, held_of, in_a_row, portions, words_found


def scanned(texts: Sequence[str], vocabulary: Vocabulary) -> tuple[list[list[str]], list[list[Figure]]]:
    """What `words_found` and `numbers.figures` find in each text; the vocabulary is one of answers."""
    scanner = english_scanner()
    told: list[list[str]] = []
    tokens: list[Tokens] = []
    first = 0
    for part in portions(texts):
        encoded = in_ascii(part)
        raw = in_a_row(encoded)
        words = Words.of(raw.translate(WORDS))
        told += held_of(words, encoded, vocabulary)
        tokens.append(scanner.tokens(raw, words, first))
        first += len(raw) - MARGIN
    # Words are told apart by what lies beyond ASCII, figures are not.
    foreign = [row for row, text in enumerate(texts) if not text.isascii()]
    for row, found in zip(foreign, words_found([texts[row] for row in foreign], vocabulary), strict=True):
        told[row] = found
    return told, figures_of(len(texts), *scanner.passages_of(texts, tokens))
