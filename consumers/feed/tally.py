"""What one comparison adds to the feed's sums: names and whole numbers, so that any order gives the same totals.

A `Counted` is a kind and a name. The kind is ours, from a short list; the name may come from a trace (a tool) and is
cut to what an index takes. Fractions are kept as whole numbers of a small unit: sums of them do not depend on order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal, localcontext
from math import isfinite
from typing import NamedTuple

import numpy as np

from comparators.sketch import bins
from replay.comparison import Comparison, Score, Side
from replay.summary import ENDED_EARLY

#: Scores are summed in billionths, money in 10^-12 USD.
SCORE_UNIT = 10**9
USD_UNIT = 10**12
#: SQLite's integers end here. A score or a price beyond it is no measurement of anything.
_LARGEST = 2**62
_LONGEST_NAME = 200


class Counted(NamedTuple):
    kind: str
    name: str


def tally(comparison: Comparison) -> Counter[Counted]:
    """Everything a comparison counts for. The same comparison always gives the same."""
    found: Counter[Counted] = Counter()
    for kind, name, number in (*_always(comparison), *_tools(comparison)):
        found[Counted(kind, bounded(name))] += number
    if comparison.disposition not in ENDED_EARLY:
        for kind, name, number in (*_judged(comparison), *_scores(comparison)):
            found[Counted(kind, bounded(name))] += number
    return Counter({counted: min(number, _LARGEST) for counted, number in found.items() if number})


def bounded(text: str) -> str:
    """Text that can be stored and shown: cut, and without halves of characters."""
    return text[:_LONGEST_NAME].encode("utf-8", "replace").decode()


def _always(comparison: Comparison) -> Iterator[tuple[str, str, int]]:
    yield "disposition", comparison.disposition, 1
    for surface in comparison.not_exercised:
        yield "not_exercised", surface, 1
    for grade, answers in comparison.coverage.grades.items():
        yield "grade", grade, answers
    for word, number in comparison.prefix.items():
        yield "prefix", word, number
    if comparison.coverage.halted_by is not None:
        yield "halted_by", comparison.coverage.halted_by.partition("(")[0], 1
    if comparison.disposition in ENDED_EARLY:
        yield "reason", (comparison.reason or "").partition(":")[0][:80], 1
    yield "total", "model_calls", comparison.replay.model_calls
    yield "total", "intended_actions", comparison.coverage.intended_actions
    yield from _money(comparison.replay)


def _money(side: Side) -> Iterator[tuple[str, str, int]]:
    if side.cost_usd is not None:
        with localcontext(prec=60):
            yield "total", "usd", _whole(Decimal(side.cost_usd) * USD_UNIT)
    elif side.model_calls:
        yield "total", "unpriced", 1


def _judged(comparison: Comparison) -> Iterator[tuple[str, str, int]]:
    yield "severity", str(comparison.severity), 1
    for rule in {flag.rule for flag in comparison.flags}:
        yield "rule", rule, 1
    if comparison.first_divergence is not None:
        yield "first_divergence", comparison.first_divergence.kind, 1
    for transition, number in comparison.decisions.items():
        yield "decision", transition, number
    if comparison.outcome is not None:
        yield "outcome", comparison.outcome, 1


def _scores(comparison: Comparison) -> Iterator[tuple[str, str, int]]:
    for name, score in comparison.scores.items():
        yield f"status.{bounded(score.status)}", name, 1
    known = {name: score.value for name, score in comparison.scores.items() if _known(score)}
    values = np.array(list(known.values()), dtype=np.float64)
    for name, value, index in zip(known, values.tolist(), bins(values).tolist(), strict=True):
        yield "sum", name, _whole(Decimal(value) * SCORE_UNIT)
        yield "fired", name, int(value != 0)
        yield f"bin.{index}", name, 1


def _known(score: Score) -> bool:
    return score.value is not None and isfinite(score.value)


def _tools(comparison: Comparison) -> Iterator[tuple[str, str, int]]:
    """Calls of both sides by tool. `differs`: comparisons in which the sides called it unequally often."""
    production = Counter(call.tool for call in comparison.production.calls)
    replay = Counter(call.tool for call in comparison.replay.calls)
    for tool in production.keys() | replay.keys():
        yield "tool.production", tool, production[tool]
        yield "tool.replay", tool, replay[tool]
        yield "tool.differs", tool, int(production[tool] != replay[tool])
    for call in comparison.replay.calls:
        yield "tool.intended", call.tool, int(call.effect == "write")
        if call.grade is not None:
            yield f"tool.grade.{bounded(call.grade)}", call.tool, 1


def _whole(number: Decimal) -> int:
    return max(-_LARGEST, min(_LARGEST, round(number)))
