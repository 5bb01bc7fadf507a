"""Draws that depend on names alone, so that whoever draws in whatever order gets the same."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")

_RANGE = 2**64


class Dice:
    """Dice of one seed. The same name always rolls the same number; equal numbers on every machine."""

    def __init__(self, *seed: str | int) -> None:
        self._seed = "\x1f".join(map(str, seed))

    def number(self, name: str) -> float:
        """At least 0 and below 1."""
        data = f"{self._seed}\x1e{name}".encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(data, digest_size=8).digest()) / _RANGE

    def chance(self, name: str, probability: float) -> bool:
        return self.number(name) < probability

    def between(self, name: str, low: float, high: float) -> float:
        return low + (high - low) * self.number(name)

    def whole(self, name: str, low: int, high: int) -> int:
        """From `low` to `high`, both included."""
        return low + int(self.number(name) * (high - low + 1))

    def pick(self, name: str, options: Sequence[T]) -> T:
        return options[int(self.number(name) * len(options))]

    def shuffled(self, name: str, items: Sequence[T]) -> list[T]:
        order = sorted(range(len(items)), key=lambda index: self.number(f"{name}/{index}"))
        return [items[index] for index in order]
