"""Where a few words stand in many texts: one vectorised pass over the bytes of all.

A word is a run of what an alphabet keeps, by default of ASCII letters in any case (`sentences.words_in`). It is looked
up by its last eight characters, one machine word, in a table of hashes; what is found is compared letter by letter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

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
_CHARACTERS = 1 << 15
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
    def short(self) -> tuple[Keys, NDArray[np.object_]]:
        """The keys of words that are known by theirs alone, in order, and these words. Behind them stands no word."""
        keys = {_key(word): word for word in self.words if 0 < len(word.encode()) <= MARGIN}
        ordered = sorted(keys)
        names = np.array([*(keys[key] for key in ordered), ""], np.object_)
        return np.array([*ordered, 0], np.uint64), names

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


def words_found(texts: Sequence[str], vocabulary: Vocabulary) -> list[list[str]]:
    """The words of each text that the vocabulary holds, in order, as often as they occur. Linear in the texts."""
    return [found for part in portions(texts) for found in _found(part, vocabulary)]


def _found(texts: Sequence[str], vocabulary: Vocabulary) -> Iterator[list[str]]:
    seen = _read(texts, vocabulary)
    words = seen.words.tolist()
    cuts = np.searchsorted(seen.owners, np.arange(len(texts) + 1)).tolist()
    return (words[start:end] for start, end in pairwise(cuts))


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


class _Seen(NamedTuple):
    """All texts behind each other; where words and texts begin; which words the vocabulary holds, and whose."""

    raw: bytes
    starts: Places
    ends: Places
    hits: Places
    words: NDArray[np.object_]
    firsts: Places
    owners: Places


def _read(texts: Sequence[str], vocabulary: Vocabulary) -> _Seen:
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    # With spaces in front the first word has eight bytes before its end, too.
    raw = b" ".join((b" " * MARGIN, *encoded, b""))
    low = raw.translate(vocabulary.alphabet)
    starts, ends = bounds(low)
    keys = tails(low, starts, ends)
    wanted = vocabulary.table[slots(keys)]
    if vocabulary.beginnings:
        pairs = np.ndarray((len(low) - 1,), "<u2", buffer=low, strides=(1,))
        wanted |= vocabulary.heads[pairs[starts]] & (ends - starts >= _LONG)
    hits = np.flatnonzero(wanted)
    words = _words(low, starts[hits], ends[hits], keys[hits], vocabulary)
    held = words != ""
    hits, words = hits[held], words[held]
    firsts = np.cumsum([MARGIN + 1, *(len(text) + 1 for text in encoded)])
    owners = np.searchsorted(firsts, starts[hits], side="right") - 1
    return _Seen(raw, starts, ends, hits, words, firsts, owners)


def _words(
    low: bytes, starts: Places, ends: Places, keys: Keys, vocabulary: Vocabulary
) -> NDArray[np.object_]:
    """The word at each place, empty where the vocabulary does not hold it. Python runs for long words only."""
    known, names = vocabulary.short
    length = ends - starts
    place = np.searchsorted(known[:-1], keys)
    same = (known[place] == keys) & (length <= MARGIN)
    words = np.where(same, names[place], "")
    others = np.flatnonzero(~same & (length >= (_LONG if vocabulary.beginnings else MARGIN + 1)))
    text, holds = low.decode("ascii"), vocabulary.holds
    found = (text[start:end] for start, end in zip(starts[others].tolist(), ends[others].tolist(), strict=True))
    words[others] = [word if holds(word) else "" for word in found]
    return words


# What follows works in place where it can: new memory costs more than the sums.


def bounds(low: bytes) -> tuple[Places, Places]:
    """Where words begin, and behind their ends. The text begins and ends with a space."""
    letter = np.frombuffer(low, np.uint8) != _SPACE
    found = np.flatnonzero(letter[1:] != letter[:-1])
    found += 1
    return found[::2], found[1::2]


def tails(low: bytes, starts: Places, ends: Places) -> Keys:
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
