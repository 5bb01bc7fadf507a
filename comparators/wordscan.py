"""The words of many texts at once: one pass over the bytes of all, one split for each."""

from __future__ import annotations

from collections.abc import Sequence

_KEPT = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789'\n")
#: Letters, digits and apostrophes stay, what is not ASCII becomes part of a word, the rest is space.
_WORDS = bytes(byte if byte in _KEPT else ord("x") if byte > 127 else ord(" ") for byte in range(256))


def words_of(texts: Sequence[str]) -> list[list[str]]:
    """The words of each text in normal form (`text.normalise_all`), in order.

    A letter beyond ASCII stands as some x: enough to know that a word is no other word.
    """
    return [line.split() for line in _plain(texts)]


def found_in(texts: Sequence[str], wanted: frozenset[str]) -> list[list[str]]:
    """Those of the words of each text that are wanted, in order, as often as they occur."""
    return [[word for word in line.split() if word in wanted] for line in _plain(texts)]


def _plain(texts: Sequence[str]) -> list[str]:
    joined = "\n".join(texts).encode("utf-8", "surrogatepass").translate(_WORDS).decode("ascii")
    return joined.split("\n") if texts else []
