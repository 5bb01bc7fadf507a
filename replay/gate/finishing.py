"""In which order replays end, and what a watermark says meanwhile: many in flight, some much longer than others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from itertools import islice
from typing import NamedTuple

from replay.comparison import Comparison

IN_FLIGHT = 500


class Finished(NamedTuple):
    """The comparisons of one conversation, as they come; everything below the offset `below` has come by then.

    `at`: in seconds since the first one began.
    """

    comparisons: tuple[Comparison, ...]
    below: int
    at: float = 0.0


def as_they_finish(
    conversations: Iterable[tuple[Comparison, ...]],
    *,
    seconds: Callable[[tuple[Comparison, ...]], float],
    in_flight: int = IN_FLIGHT,
) -> Iterator[Finished]:
    """Conversations, given in the order of their offsets 0, 1, 2 ..., in the order in which they end."""
    source = enumerate(conversations)
    flying: list[tuple[float, int, tuple[Comparison, ...]]] = []
    for number, it in islice(source, in_flight):
        heappush(flying, (seconds(it), number, it))
    done, below = set[int](), 0
    while flying:
        now, number, it = heappop(flying)
        done.add(number)
        while below in done:
            done.discard(below)
            below += 1
        yield Finished(it, below, now)
        for begun, begins in islice(source, 1):
            heappush(flying, (now + seconds(begins), begun, begins))
