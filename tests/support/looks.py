"""Verdicts looked at again and again while conversations come in: a rollback at any look is a rollback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from replay.comparison import Comparison, Source, replace
from replay.gate.config import Gate
from replay.gate.docket import Docket
from replay.gate.finishing import Finished
from replay.gate.staged import TOPIC

#: A look whenever so many more conversations can be counted.
EVERY = 10


def is_rolled_back(gate: Gate, stream: Iterable[Finished]) -> bool:
    """Whether any look says so. A run that no look rolls back must have been counted to its end."""
    docket, look, entered = Docket(gate), EVERY, 0
    for it in stream:
        for comparison in it.comparisons:
            docket.enter(comparison)
        entered += 1
        if it.below >= look:
            docket.advance(TOPIC, 0, it.below)
            look = it.below + EVERY
            verdict = docket.verdict(now=None)
            if verdict is not None and verdict.decision == "roll_back":
                return True
    assert docket.evidence().conversations > entered - EVERY, "the run was not looked at to its end"
    return False


def as_they_come(conversations: Iterable[tuple[Comparison, ...]]) -> Iterator[Finished]:
    """What a consumer without watermarks makes of them: numbered as they come, everything below is there."""
    for number, comparisons in enumerate(conversations):
        here = Source(topic=TOPIC, offset=number)
        yield Finished(tuple(replace(one, source=here) for one in comparisons), number + 1)
