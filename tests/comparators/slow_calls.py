"""The tool-call scores by their definitions: loops, dictionaries and every permutation. The twin of `toolcalls`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, permutations

from comparators.calls import CallEvent, CallPair, Effect, Outcome
from comparators.leaves import difference

NOTHING = "NOT_APPLICABLE"
Side = Sequence[CallEvent]


def slow(pair: CallPair, *, arguments: bool = True) -> dict[str, float | str]:
    """Every `tools.*` score of one pair. Without `arguments`, paths align equal calls only."""
    return {
        **writes(pair),
        **handoffs(pair),
        "tools.read": reads(pair),
        "tools.path": path(pair, arguments),
        **excesses(pair),
    }


def distance(one: CallEvent, other: CallEvent, least: float) -> float:
    total = len(one.call.leaves) + len(other.call.leaves)
    dice = 2 * difference(one.call.leaves, other.call.leaves).shared / total if total else 1.0
    return 0.0 if one.call.digest == other.call.digest or dice == 1 else least + (1 - least) * (1 - dice)


# -- matching ---------------------------------------------------------------------------------------------------


def matched(production: Side, replay: Side, least: float) -> list[tuple[CallEvent | None, CallEvent | None, float]]:
    """Equal calls first, copy by copy; then, per scope and tool, the cheapest of all assignments."""
    left, right, found = list(production), list(replay), []
    for one in production:
        partner = next((it for it in right if (it.group, it.call.digest) == (one.group, one.call.digest)), None)
        if partner is not None:
            left.remove(one)
            right.remove(partner)
            found.append((one, partner, 0.0))
    for key in {(item.group, item.call.tool) for item in (*left, *right)}:
        found += cheapest(*([it for it in side if (it.group, it.call.tool) == key] for side in (left, right)), least)
    return found


def cheapest(left: Side, right: Side, least: float) -> list[tuple[CallEvent | None, CallEvent | None, float]]:
    if len(left) > len(right):
        return [(one, other, apart) for other, one, apart in cheapest(right, left, least)]
    options = (
        [(one, other, distance(one, other, least)) for one, other in zip(left, order, strict=True)]
        + [(None, other, 1.0) for other in right if not any(other is it for it in order)]
        for order in permutations(right, len(left))
    )
    return min(options, key=cost)


def weight(*events: CallEvent | None) -> float:
    return sum(event.weight for event in events if event is not None)


def cost(pairs: Iterable[tuple[CallEvent | None, CallEvent | None, float]]) -> float:
    return sum(weight(one, other) * apart for one, other, apart in pairs)


def of(effect: Effect, side: Side) -> list[CallEvent]:
    # Events of equal fields are told apart by identity: every one is a copy.
    return [CallEvent(*event) for event in side if event.effect == effect]


def writes(pair: CallPair) -> dict[str, float | str]:
    production, replay = (of(Effect.WRITE, side) for side in pair)
    pairs = matched(production, replay, 0.5)
    names = ("missing", "extra", "changed", "duplicated", "outcome_changed", "assumed", "reordered")
    if not production and not replay:
        return {"tools.write": NOTHING, **{f"tools.write.{name}": NOTHING for name in names}}
    same = [(one, other) for one, other, _ in pairs if one and other and one.call.digest == other.call.digest]
    copies = [Counter((it.group, it.call.digest) for it in side) for side in (production, replay)]
    counts = (
        sum(other is None for _, other, _ in pairs),
        sum(one is None for one, _, _ in pairs),
        sum(one is not None and other is not None and apart > 0 for one, other, apart in pairs),
        sum(max(count - max(copies[0][key], 1), 0) for key, count in copies[1].items()),
        sum({one.outcome, other.outcome} == {Outcome.SUCCEEDED, Outcome.FAILED} for one, other in same),
        sum(it.outcome == Outcome.ASSUMED for it in replay),
        any(inverted(one, other) for one in same for other in same),
    )
    return {"tools.write": share(pairs), **{f"tools.write.{k}": float(v) for k, v in zip(names, counts, strict=True)}}


def inverted(one: tuple[CallEvent, CallEvent], other: tuple[CallEvent, CallEvent]) -> bool:
    meets = one[0].resource == other[0].resource or not one[0].resource or not other[0].resource
    turned = one[0].step < other[0].step and one[1].step > other[1].step
    return one[0].group == other[0].group and meets and turned


def share(pairs: Sequence[tuple[CallEvent | None, CallEvent | None, float]]) -> float | str:
    total = sum(weight(one, other) for one, other, _ in pairs)
    return cost(pairs) / total if total else NOTHING


def handoffs(pair: CallPair) -> dict[str, float | str]:
    production, replay = (of(Effect.HANDOFF, side) for side in pair)
    pairs = matched(production, replay, 0.0)
    missing, extra = (float(sum(found[side] is None for found in pairs)) for side in (1, 0))
    there = bool(production or replay)
    return {
        "tools.handoff": share(pairs),
        "tools.handoff.missing": missing if there else NOTHING,
        "tools.handoff.extra": extra if there else NOTHING,
    }


def reads(pair: CallPair) -> float | str:
    one, other = ({(it.group, it.call.digest) for it in of(Effect.READ, side) if it.weight > 0} for side in pair)
    return 1 - len(one & other) / len(one | other) if one | other else NOTHING


def excesses(pair: CallPair) -> dict[str, float | str]:
    def excess(count) -> float | str:
        return float(count(pair.replay) - count(pair.production)) if pair.production or pair.replay else NOTHING

    return {
        "tools.invalid": excess(lambda side: sum(not it.valid for it in side)),
        "tools.invalid_write": excess(lambda side: sum(not it.valid and it.effect == Effect.WRITE for it in side)),
        "tools.failed": excess(lambda side: sum(it.outcome == Outcome.FAILED for it in side)),
        "tools.repeated": excess(lambda side: len(side) - len({it.call.digest for it in side})),
    }


# -- paths ------------------------------------------------------------------------------------------------------


def normal_form(side: Side) -> Iterator[CallEvent]:
    """Reads up to and with a step that acts, each once, by digest; then what acts in that step, by digest."""
    counted = sorted((it for it in side if it.weight > 0), key=lambda it: (it.group, it.step))
    for _, scope in groupby(counted, key=lambda it: it.group):
        waiting: dict[bytes, CallEvent] = {}
        for _, step in groupby(scope, key=lambda it: it.step):
            calls = list(step)
            acting = sorted((it for it in calls if it.effect != Effect.READ), key=lambda it: it.call.digest)
            for it in calls:
                if it.effect == Effect.READ:
                    waiting.setdefault(it.call.digest, it)
            if acting:
                yield from (waiting[digest] for digest in sorted(waiting))
                yield from acting
                waiting = {}
        yield from (waiting[digest] for digest in sorted(waiting))


def path(pair: CallPair, arguments: bool) -> float:
    production, replay = (list(normal_form(side)) for side in pair)
    if not production or not replay:
        return float(bool(production or replay))
    table = [[0.0] * (len(replay) + 1) for _ in range(len(production) + 1)]
    for i in range(len(production) + 1):
        for j in range(len(replay) + 1):
            options = []
            if i:
                options.append(table[i - 1][j] + production[i - 1].weight)
            if j:
                options.append(table[i][j - 1] + replay[j - 1].weight)
            if i and j:
                both = weight(production[i - 1], replay[j - 1])
                options.append(table[i - 1][j - 1] + both * apart(production[i - 1], replay[j - 1], arguments))
            table[i][j] = min(options, default=0.0)
    return table[-1][-1] / weight(*production, *replay)


def apart(one: CallEvent, other: CallEvent, arguments: bool) -> float:
    if (one.group, one.call.tool) != (other.group, other.call.tool):
        return 1.0
    if not arguments:
        return float(one.call.digest != other.call.digest)
    return distance(one, other, 0.5 if Effect.WRITE in (one.effect, other.effect) else 0.0)
