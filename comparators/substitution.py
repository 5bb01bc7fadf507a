"""A figure in another's place: two sentences say the same but for a number or an id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from comparators.alignment import Aligned
from comparators.numbers import NAME, Figure, figures, unmatched


def substitutions(
    aligned: Sequence[Aligned], missing: Sequence[Figure], added: Sequence[Figure]
) -> list[tuple[list[Figure], list[Figure]]]:
    """Per aligned pair of sentences the figures that took each other's place, as many on one side as on the other.

    Only figures without an equal in the whole other answer count (`missing`, `added`): one that moved to another
    sentence was not replaced. A number takes the place of a number, a name that of a name: "May 24" may be "2024-05-24".
    """
    texts = [text for pair in aligned for text in (pair.production, pair.replay)]
    found = iter(figures(texts))
    gone, new = Counter(missing), Counter(added)
    result = []
    for _ in aligned:
        one, other = unmatched(next(found), next(found))
        ours, theirs = [each for each in one if gone[each]], [each for each in other if new[each]]
        result.append(_of_one_kind(ours, theirs))
    return result


def _of_one_kind(ours: Sequence[Figure], theirs: Sequence[Figure]) -> tuple[list[Figure], list[Figure]]:
    kept: tuple[list[Figure], list[Figure]] = ([], [])
    for is_name in (False, True):
        sides = [[each for each in side if (each.decimals == NAME) is is_name] for side in (ours, theirs)]
        count = min(map(len, sides))
        for kind, side in zip(kept, sides, strict=True):
            kind.extend(side[:count])
    return kept
