"""Where a few words stand in many texts: one vectorised pass over the bytes of all.

A word is a run of what an alphabet keeps, by default of ASCII letters in any case (`sentences.words_in`). It is looked
up by its last eight characters, one machine word, in a table of hashes; what is found is compared letter by letter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise, repeat
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from comparators.ragged import Ragged
from comparators.sentences import LETTERS_ONLY

Keys: TypeAlias = NDArray[np.uint64]
Places: TypeAlias = NDArray[np.int64]

#: Letters of a word that are looked up; as many spaces stand in front of a text that is searched.
MARGIN = 8
_SPACE = 32
#: Letters from which on a word is looked at for how it begins.
_LONG = 6
#: Characters read at once, so that what is worked out on the way stays in the second-level cache, and in memory that
#: the process keeps: larger arrays are handed back to the system, and every page is cleared anew for the next ones.
_CHARACTERS = 1 << 16
#: An odd number without pattern (2**64 over the golden ratio: Knuth, TAOCP 3, 6.4), and bits of its product kept.
_MULTIPLIER, SLOT_BITS = np.uint64(0x9E3779B97F4A7C15), 16


@dataclass(frozen=True)
class Vocabulary:
    """Words to look for, and beginnings of two letters or more of words that are long enough to have a tail.

    `alphabet`, bytes[256], says what each byte of UTF-8 is read as; a space ends a word.
    """

    words: frozenset[str]
    alphabet: bytes = LETTERS_ONLY
    beginnings: tuple[str, ...] = ()

    @cached_property
    def table(self) -> NDArray[np.bool_]:
        """bool[2**16]: where the slot of some word is."""
        table = np.zeros(1 << SLOT_BITS, np.bool_)
        table[slots_of(self.words)] = True
        return table

    @cached_property
    def short(self) -> tuple[Keys, list[str]]:
        """The keys of words that are known by theirs alone, in order, and these words. Behind them stands no word."""
        keys = {_key(word): word for word in self.words if 0 < len(word.encode()) <= MARGIN}
        ordered = sorted(keys)
        return np.array([*ordered, 0], np.uint64), [*(keys[key] for key in ordered), ""]

    @cached_property
    def heads(self) -> NDArray[np.bool_]:
        """bool[2**16]: the first two letters, as one number, of words that begin so."""
        table = np.zeros(1 << 16, np.bool_)
        table[[int.from_bytes(beginning[:2].encode(), "little") for beginning in self.beginnings]] = True
        return table

    def holds(self, word: str) -> bool:
        return word in self.words or (len(word) >= _LONG and word.startswith(self.beginnings))


def slots_of(words: Iterable[str]) -> Keys:
    """Where words stand in a table of `2**SLOT_BITS` slots; some share one."""
    return slots(np.array([_key(word) for word in words], np.uint64))


def _key(word: str) -> int:
    return int.from_bytes(word.encode()[-MARGIN:], "little")


class Found(NamedTuple):
    """Words that were found: for each text their numbers among `names`, in order."""

    names: Sequence[str]
    texts: Ragged

    def by_text(self) -> list[list[str]]:
        words = np.array(self.names, np.object_)[self.texts.numbers].tolist()
        return [words[start:end] for start, end in pairwise(self.texts.ends())]


@dataclass
class Finder:
    """Finds the words that a vocabulary holds in text after text, and keeps what it found."""

    vocabulary: Vocabulary
    _longer: dict[str, int] = field(default_factory=dict)
    _found: list[Ragged] = field(default_factory=list)

    def read(self, texts: Sequence[str]) -> None:
        for part in portions(texts):
            encoded = in_utf8(part)
            self.look_at(Words.of(in_a_row(encoded).translate(self.vocabulary.alphabet)), encoded)

    def look_at(self, words: Words, encoded: Sequence[bytes]) -> None:
        """Find words among those of texts in a row (`in_a_row`)."""
        hits, numbers = self._held(words)
        cuts = np.searchsorted(words.starts[hits], firsts(encoded))
        self._found.append(Ragged(numbers, cuts[1:] - cuts[:-1]))

    @property
    def found(self) -> Found:
        """What was found in all texts so far."""
        return Found(self.names, Ragged.joined(self._found))

    @property
    def names(self) -> list[str]:
        """The words by their numbers: those that their keys tell, then longer ones in the order they were found."""
        return [*self.vocabulary.short[1], *self._longer]

    def _held(self, words: Words) -> tuple[Places, Places]:
        """Which of the words the vocabulary holds, and the numbers of these, in order."""
        wanted = self.vocabulary.table[slots(words.keys)]
        if self.vocabulary.beginnings:
            wanted[_begin_so(words, self.vocabulary)] = True
        hits = np.flatnonzero(wanted)
        numbers = self._numbers(words, hits)
        sure = numbers >= 0
        return hits[sure], numbers[sure]

    def _numbers(self, words: Words, hits: Places) -> Places:
        """The number of the word at each place, -1 where the vocabulary does not hold it.

        Python runs for long words only.
        """
        known, _ = self.vocabulary.short
        starts, ends, keys = words.starts[hits], words.ends[hits], words.keys[hits]
        length = ends - starts
        place = np.searchsorted(known[:-1], keys)
        same = (known[place] == keys) & (length <= MARGIN)
        numbers: Places = np.where(same, place, -1)
        others = np.flatnonzero(~same & (length >= (_LONG if self.vocabulary.beginnings else MARGIN + 1)))
        text = words.low.decode("ascii")
        long = [text[start:end] for start, end in zip(starts[others].tolist(), ends[others].tolist(), strict=True)]
        for word in filter(self.vocabulary.holds, dict.fromkeys(long)):
            self._longer.setdefault(word, len(known) + len(self._longer))
        numbers[others] = list(map(self._longer.get, long, repeat(-1)))
        return numbers


def words_found(texts: Sequence[str], vocabulary: Vocabulary) -> list[list[str]]:
    """The words of each text that the vocabulary holds, in order, as often as they occur. Linear in the texts."""
    finder = Finder(vocabulary)
    finder.read(texts)
    return finder.found.by_text()


def portions(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Runs of texts of bounded length together, or one text."""
    first, size = 0, 0
    for row, text in enumerate(texts):
        size += len(text)
        if size > _CHARACTERS and row > first:
            yield texts[first:row]
            first, size = row, len(text)
    if first < len(texts):
        yield texts[first:]


class Words(NamedTuple):
    """The words of bytes that begin and end with a space: where they begin, behind their ends, their last letters."""

    low: bytes
    starts: Places
    ends: Places
    keys: Keys

    @classmethod
    def of(cls, low: bytes) -> Words:
        starts, ends = _bounds(low)
        return cls(low, starts, ends, _tails(low, starts, ends))


def in_utf8(texts: Iterable[str]) -> list[bytes]:
    return [text.encode("utf-8", "surrogatepass") for text in texts]


def in_ascii(texts: Iterable[str]) -> list[bytes]:
    """A byte for each character; others are "?"."""
    return [text.encode("ascii", "replace") for text in texts]


def in_a_row(encoded: Sequence[bytes]) -> bytes:
    """Texts with a space behind each. With more in front the first word has eight bytes before its end, too."""
    return b" ".join((b" " * (MARGIN - 1), *encoded, b""))


def firsts(encoded: Sequence[bytes]) -> Places:
    """Where each of texts in a row begins, and behind them where another one would."""
    found = np.full(len(encoded) + 1, MARGIN)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)) + 1, out=found[1:])
    found[1:] += MARGIN
    return found


def _begin_so(words: Words, vocabulary: Vocabulary) -> Places:
    """Which words are long, and begin with the first two letters of a beginning."""
    long = np.flatnonzero(words.ends - words.starts >= _LONG)
    pairs = np.ndarray((len(words.low) - 1,), "<u2", buffer=words.low, strides=(1,))
    found: Places = long[vocabulary.heads[pairs[words.starts[long]]]]
    return found


# What follows works in place where it can: new memory costs more than the sums.


def _bounds(low: bytes) -> tuple[Places, Places]:
    """Where words begin, and behind their ends. The text begins and ends with a space."""
    letter = np.frombuffer(low, np.uint8) != _SPACE
    found = np.flatnonzero(letter[1:] != letter[:-1])
    found += 1
    return found[::2], found[1::2]


def _tails(low: bytes, starts: Places, ends: Places) -> Keys:
    """The last letters of each word as one number, without what stands before a shorter word."""
    every = np.ndarray((len(low) - MARGIN + 1,), "<u8", buffer=low, strides=(1,))
    foreign = starts - ends
    foreign += MARGIN
    np.maximum(foreign, 0, out=foreign)
    foreign <<= 3
    found: Keys = every[ends - MARGIN]
    found >>= foreign.view(np.uint64)
    return found


def slots(keys: Keys) -> Keys:
    found: Keys = keys * _MULTIPLIER
    found >>= np.uint64(64 - SLOT_BITS)
    return found
