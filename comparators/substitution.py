"""A figure in another's place: two sentences say the same but for a number or an id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from comparators.alignment import Aligned
from comparators.figure import Figure, kind_of
from comparators.numbers import figures, unmatched

#: Figures of production, and those of the replay in their place.
Substitution: TypeAlias = tuple[list[Figure], list[Figure]]


def substitutions(
    aligned: Sequence[Sequence[Aligned]], missing: Sequence[Sequence[Figure]], added: Sequence[Sequence[Figure]]
) -> list[list[Substitution]]:
    """Of each pair of answers, per aligned pair of sentences, the figures that took each other's place.

    Only figures without an equal in the whole other answer count (`missing`, `added`): one that moved to another
    sentence was not replaced. A number takes the place of a number, a name that of a name, a day that of a day, as many
    as there are on both sides.
    """
    found = iter(figures([text for pairs in aligned for pair in pairs for text in (pair.production, pair.replay)]))
    return [
        [_in_place(next(found), next(found), frozenset(gone), frozenset(new)) for _ in pairs]
        for pairs, gone, new in zip(aligned, missing, added, strict=True)
    ]


def _in_place(
    ours: Sequence[Figure], theirs: Sequence[Figure], gone: frozenset[Figure], new: frozenset[Figure]
) -> Substitution:
    if gone.isdisjoint(ours) or new.isdisjoint(theirs):
        return [], []
    one, other = unmatched(ours, theirs)
    return _of_one_kind([each for each in one if each in gone], [each for each in other if each in new])


def _of_one_kind(ours: Sequence[Figure], theirs: Sequence[Figure]) -> Substitution:
    kept: Substitution = ([], [])
    for kind in dict.fromkeys(map(kind_of, ours)):
        sides = [[each for each in side if kind_of(each) == kind] for side in (ours, theirs)]
        count = min(map(len, sides))
        for found, side in zip(kept, sides, strict=True):
            found.extend(side[:count])
    return kept
