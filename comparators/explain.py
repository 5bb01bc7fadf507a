"""Why a pair of call sequences fired, in lines a reader can check. Made for the pairs that are shown, one at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from comparators.agreement import Agreement
from comparators.callbatch import CallBatch
from comparators.calls import CallEvent, CallPair, CanonicalCall, Effect, LeafKind, Outcome
from comparators.matching import Matching, match
from comparators.ordering import reordered
from comparators.spec import Evidence, Ints

#: A call is told in this many characters.
SHOWN = 200
_NOUNS = {Effect.WRITE: "write", Effect.HANDOFF: "handoff"}


def explain_calls(pair: CallPair) -> tuple[Evidence, ...]:
    """A line for every call that has no equal on the other side, worst first."""
    batch = CallBatch.of([pair])
    agreement = Agreement(batch)
    matched = {effect: match(batch, effect, agreement) for effect in _NOUNS}
    return (
        *_actions(batch, matched[Effect.WRITE], Effect.WRITE),
        *_duplicates(pair),
        *_order(batch, matched[Effect.WRITE]),
        *_actions(batch, matched[Effect.HANDOFF], Effect.HANDOFF),
        *_invalid(pair),
        *_reads(pair),
    )


def told(call: CanonicalCall) -> str:
    """`wipe_device(id=1)`, on one line, without control characters, cut to `SHOWN`."""
    arguments = ", ".join(_leaf(leaf.path, leaf.kind, leaf.token) for leaf in call.leaves)
    text = f"{call.tool}({arguments})"
    safe = "".join(character if character.isprintable() else "\ufffd" for character in text[: SHOWN * 2])
    return safe if len(safe) <= SHOWN else f"{safe[: SHOWN - 1]}…"


def _leaf(path: str, kind: LeafKind, token: str) -> str:
    shown = token[:SHOWN]
    return shown if kind is LeafKind.UNPARSED else f"{path}={shown}"


def _actions(batch: CallBatch, matching: Matching, effect: Effect) -> Iterator[Evidence]:
    noun = _NOUNS[effect]
    pairs = zip(_events(batch, matching.production), _events(batch, matching.replay), strict=True)
    for (ours, theirs), distance, equal in zip(pairs, matching.distance, matching.equal, strict=True):
        if distance > 0:
            yield Evidence(f"{noun}_changed", told(ours.call), told(theirs.call))
        elif equal and {ours.outcome, theirs.outcome} == {Outcome.SUCCEEDED, Outcome.FAILED}:
            yield Evidence(f"{noun}_outcome", _ended(ours), _ended(theirs))
    yield from (Evidence(f"{noun}_missing", removed=told(item.call)) for item in _events(batch, matching.missing))
    yield from (Evidence(f"{noun}_extra", added=told(item.call)) for item in _events(batch, matching.extra))


def _duplicates(pair: CallPair) -> Iterator[Evidence]:
    """Writes the replay made again, beyond the first and beyond production's own repeats."""
    ours, theirs = (_counted(side, Effect.WRITE) for side in pair)
    for (group, call), count in theirs.items():
        before = max(ours[group, call], 1)
        if count > before:
            yield Evidence("write_duplicated", added=f"{told(call)} ({count} times, production {ours[group, call]})")


def _order(batch: CallBatch, matching: Matching) -> Iterator[Evidence]:
    if reordered(batch, matching)[0]:
        ours = [told(item.call) for item in _events(batch, np.sort(matching.production))]
        theirs = [told(item.call) for item in _events(batch, np.sort(matching.replay))]
        yield Evidence("write_reordered", ", then ".join(ours)[:SHOWN], ", then ".join(theirs)[:SHOWN])


def _invalid(pair: CallPair) -> Iterator[Evidence]:
    known = {item.call.digest for item in pair.production if not item.valid}
    fresh = (item for item in pair.replay if not item.valid and item.call.digest not in known)
    return (Evidence("invalid_call", added=told(item.call)) for item in fresh)


def _reads(pair: CallPair) -> Iterator[Evidence]:
    ours, theirs = (_counted(side, Effect.READ) for side in pair)
    yield from (Evidence("read_missing", removed=told(call)) for group, call in ours if (group, call) not in theirs)
    yield from (Evidence("read_extra", added=told(call)) for group, call in theirs if (group, call) not in ours)


def _counted(side: Iterable[CallEvent], effect: Effect) -> Counter[tuple[int, CanonicalCall]]:
    """Calls by scope and content. Reads that weigh nothing are left out, as they are in the score."""
    counted = (item for item in side if item.effect == effect and (item.weight > 0 or effect != Effect.READ))
    return Counter((item.group, item.call) for item in counted)


def _events(batch: CallBatch, numbers: Ints) -> list[CallEvent]:
    return [batch.events[number] for number in numbers.tolist()]


def _ended(event: CallEvent) -> str:
    return f"{told(event.call)}: {event.outcome.name.lower()}"
