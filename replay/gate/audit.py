"""Whether two verdicts say the same: what an auditor who folds the comparisons again has to find out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isclose

from replay.comparison import Comparison
from replay.exact_json import Json, loads
from replay.gate.config import Gate, gate_from
from replay.gate.docket import Docket, Run
from replay.verdict import Verdict
from replay.wire import encode

#: Sums of logarithms differ in the last places between machines.
_TOLERANCE = 1e-9
#: When it was written, and what other verdicts said by then, is no part of what follows from the comparisons.
_DATED = frozenset({"emitted_at", "rollback_target.certified_at"})


def refold(verdict: Verdict, comparisons: Iterable[Comparison], gate: Gate | None = None) -> Verdict | None:
    """The verdict on the same prefix of the same run, by its own gate or another one; null without comparisons."""
    docket, any_of_it = Docket(gate or gate_from(verdict.gate), Run.judged(verdict)), False
    ends = {(prefix.topic, prefix.partition): prefix.offset for prefix in verdict.prefixes}
    for comparison in comparisons:
        source = comparison.source
        within = source.offset < ends.get((source.topic, source.partition), 0)
        if comparison.run_id == verdict.run_id and within:
            docket.enter(comparison)
            any_of_it = True
    for (topic, partition), offset in ends.items():
        docket.advance(topic, partition, offset)
    if verdict.complete:
        docket.finish()
    return docket.verdict(now=None) if any_of_it else None


def differences(one: Verdict, other: Verdict) -> list[str]:
    """Where two verdicts differ, as paths; empty when they say the same."""
    return list(_differing(loads(encode(one)), loads(encode(other)), ""))


def _differing(one: Json, other: Json, path: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            inside = f"{path}.{name}" if path else name
            if inside not in _DATED:
                yield from _differing(one.get(name), other.get(name), inside)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from _differing(*pair, f"{path}[{index}]")
    elif not _equal(one, other):
        yield path


def _equal(one: Json, other: Json) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        both = all(isinstance(value, int | float) for value in (one, other))
        return both and isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(one == other)
