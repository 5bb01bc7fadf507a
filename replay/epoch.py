"""The part of the world a read may depend on: the writes that came before it, and those beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from replay.contract import Entity

#: Writes by digest, with how often.
Epoch: TypeAlias = frozenset[tuple[bytes, int]]


class Write(NamedTuple):
    digest: bytes
    entities: frozenset[Entity] | None
    tool: str


class Moment(NamedTuple):
    """When a read happened: the writes before its batch and those beside it."""

    before: Epoch
    beside: Epoch

    @property
    def writes(self) -> Counter[bytes]:
        return Counter(dict(self.before)) + Counter(dict(self.beside))


def epoch_of(writes: Iterable[Write], entities: frozenset[Entity] | None) -> Epoch:
    """The writes that may have changed what a read of `entities` returns; undeclared means any."""
    counts = Counter(
        write.digest
        for write in writes
        if entities is None or write.entities is None or not entities.isdisjoint(write.entities)
    )
    return frozenset(counts.items())


def moment_of(before: Iterable[Write], beside: Iterable[Write], entities: frozenset[Entity] | None) -> Moment:
    """When a read of `entities` happens."""
    return Moment(epoch_of(before, entities), epoch_of(beside, entities))
