"""Why the tool calls of a pair fired: the calls left out, added, changed, repeated or swapped.

Made for one pair at a time, and only when asked for. Calls are shown by their leaves, as compared: what a
contract ignores is not shown. In a changed call the arguments that differ come first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from comparators.agreement import Agreement
from comparators.callbatch import CallBatch
from comparators.calls import CallEvent, CallPair, CanonicalCall, Effect, Leaf, LeafKind, Outcome
from comparators.leaves import difference
from comparators.matching import Matching, match
from comparators.ordering import inverted
from comparators.spec import Evidence
from comparators.text import excerpt

#: Characters of one call, and lines of one kind.
EXCERPT = 200
MAX_LINES = 12

_QUOTED = frozenset((LeafKind.STRING, LeafKind.TEXT))


def explain_calls(pair: CallPair) -> tuple[Evidence, ...]:
    """All that differs between the calls of a pair, the most dangerous first."""
    batch = CallBatch.of((pair,))
    agreement = Agreement(batch)
    writes, handoffs = match(batch, Effect.WRITE, agreement), match(batch, Effect.HANDOFF, agreement)
    kinds = (
        _alone(batch, writes, "write"),
        _changed(batch, writes, "write"),
        _duplicated(pair),
        _reordered(batch, writes),
        _outcomes(batch, writes),
        _alone(batch, handoffs, "handoff"),
        _changed(batch, handoffs, "handoff"),
        _on_one_side("invalid_call", *([event for event in side if not event.valid] for side in pair)),
        _on_one_side("failed_call", *([event for event in side if event.outcome == Outcome.FAILED] for side in pair)),
        _on_one_side("repeated_call", *map(_repeats, pair)),
        _reads(pair),
    )
    return tuple(line for kind in kinds for line in kind)


def shown(call: CanonicalCall, first: Sequence[Leaf] = ()) -> str:
    """A call in one line: `tool(path=value, ...)`. Strings are quoted. The leaves of `first` come first."""
    budget = Counter(first)
    rest = []
    for leaf in islice(call.leaves, EXCERPT + len(first)):  # each takes a character at least
        budget[leaf] -= 1
        if budget[leaf] < 0:
            rest.append(leaf)
    leaves = islice((*first, *rest), EXCERPT)
    return excerpt(f"{call.tool}({', '.join(map(_shown_leaf, leaves))})", EXCERPT)


def _shown_leaf(leaf: Leaf) -> str:
    if leaf.kind is LeafKind.EMPTY and not leaf.path:
        return ""  # a call without arguments
    token = leaf.token[:EXCERPT]
    value = f'"{token}"' if leaf.kind in _QUOTED else token
    return f"{leaf.path}={value}" if leaf.path else value


def _events(batch: CallBatch, matching: Matching, index: int) -> tuple[CallEvent, CallEvent]:
    """Production's and the replay's event of one match."""
    return batch.events[int(matching.production[index])], batch.events[int(matching.replay[index])]


def _alone(batch: CallBatch, matching: Matching, name: str) -> Iterator[Evidence]:
    for event in matching.missing[:MAX_LINES].tolist():
        yield Evidence(f"{name}_missing", removed=shown(batch.events[event].call))
    for event in matching.extra[:MAX_LINES].tolist():
        yield Evidence(f"{name}_extra", added=shown(batch.events[event].call))


def _changed(batch: CallBatch, matching: Matching, name: str) -> Iterator[Evidence]:
    """The calls, then argument by argument what differs in them."""
    for index in np.flatnonzero(matching.distance > 0)[:MAX_LINES].tolist():
        old, new = (event.call for event in _events(batch, matching, index))
        _, removed, added = difference(old.leaves, new.leaves)
        yield Evidence(f"{name}_changed", shown(old, removed), shown(new, added))
        for lost, gained in islice(_by_path(removed, added), MAX_LINES):
            yield Evidence(f"{name}_argument", lost, gained)


def _by_path(removed: Sequence[Leaf], added: Sequence[Leaf]) -> Iterator[tuple[str | None, str | None]]:
    gained: dict[str, list[Leaf]] = {}
    for leaf in reversed(added):
        gained.setdefault(leaf.path, []).append(leaf)
    for leaf in removed:
        partners = gained.get(leaf.path)
        yield _cut(leaf), _cut(partners.pop()) if partners else None
    for leaves in gained.values():
        yield from ((None, _cut(leaf)) for leaf in reversed(leaves))


def _cut(leaf: Leaf) -> str:
    return excerpt(_shown_leaf(leaf), EXCERPT)


def _duplicated(pair: CallPair) -> Iterator[Evidence]:
    """Writes made more often than once and than production made them, with how often."""
    counts = [_copies(event for event in side if event.effect == Effect.WRITE) for side in pair]
    calls = {event.call.digest: event.call for event in pair.replay}
    again = ((key, copies) for key, copies in counts[1].items() if copies > max(counts[0][key], 1))
    for (group, digest), copies in islice(again, MAX_LINES):
        call, before = shown(calls[digest]), counts[0][group, digest]
        yield Evidence("write_duplicated", f"{before} x {call}" if before else None, f"{copies} x {call}")


def _copies(events: Iterable[CallEvent]) -> Counter[tuple[int, bytes]]:
    return Counter((event.group, event.call.digest) for event in events)


def _reordered(batch: CallBatch, matching: Matching) -> Iterator[Evidence]:
    """Each call that moved before one it came after, with that one."""
    pairs = [_events(batch, matching, index) for index in np.flatnonzero(matching.equal).tolist()]
    for index in np.flatnonzero(inverted(batch, matching))[:MAX_LINES].tolist():
        here = _events(batch, matching, index)
        passed = next(pair for pair in pairs if _are_inverted(pair, here))
        first, second = (excerpt(shown(pair[0].call), EXCERPT // 2) for pair in (passed, here))
        yield Evidence("write_reordered", f"{first}, then {second}", f"{second}, then {first}")


def _are_inverted(one: tuple[CallEvent, CallEvent], other: tuple[CallEvent, CallEvent]) -> bool:
    (first, first_replayed), (second, second_replayed) = one, other
    meets = first.resource == second.resource or not first.resource or not second.resource
    turned = first.step < second.step and first_replayed.step > second_replayed.step
    return first.group == second.group and meets and turned


def _outcomes(batch: CallBatch, matching: Matching) -> Iterator[Evidence]:
    for index in np.flatnonzero(matching.equal).tolist():
        events = _events(batch, matching, index)
        if {event.outcome for event in events} == {Outcome.SUCCEEDED, Outcome.FAILED}:
            yield Evidence("write_outcome", *(f"{shown(each.call)}: {each.outcome.name.lower()}" for each in events))


def _reads(pair: CallPair) -> Iterator[Evidence]:
    """Reads of a weight that one side alone made, each once."""
    production, replay = (
        {(event.group, event.call.digest): event for event in side if event.effect == Effect.READ and event.weight > 0}
        for side in pair
    )
    for key in islice((key for key in production if key not in replay), MAX_LINES):
        yield Evidence("read_missing", removed=shown(production[key].call))
    for key in islice((key for key in replay if key not in production), MAX_LINES):
        yield Evidence("read_extra", added=shown(replay[key].call))


def _repeats(side: Sequence[CallEvent]) -> list[CallEvent]:
    """Every call but the first of its kind."""
    seen: set[bytes] = set()
    repeated = []
    for event in side:
        if event.call.digest in seen:
            repeated.append(event)
        seen.add(event.call.digest)
    return repeated


def _on_one_side(kind: str, production: Sequence[CallEvent], replay: Sequence[CallEvent]) -> Iterator[Evidence]:
    """Calls of the replay that production's list does not hold as often, then the other way round."""
    for call in islice(_beyond(replay, production), MAX_LINES):
        yield Evidence(kind, added=shown(call))
    for call in islice(_beyond(production, replay), MAX_LINES):
        yield Evidence(kind, removed=shown(call))


def _beyond(these: Sequence[CallEvent], those: Sequence[CallEvent]) -> Iterator[CanonicalCall]:
    budget = Counter(event.call.digest for event in those)
    for event in these:
        budget[event.call.digest] -= 1
        if budget[event.call.digest] < 0:
            yield event.call
