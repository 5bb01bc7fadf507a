"""From the sums of one series to what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import Any, TypeAlias

from comparators.sketch import excess, quantile
from comparators.spec import DIMENSION
from consumers.feed.answers import Coverage, DimensionSums, LaneSums, ToolSums
from consumers.feed.tally import SCORE_UNIT, USD_UNIT
from replay.summary import FAITHFUL_NAMES

#: Sums of one series, by kind and then by name.
Sums: TypeAlias = Mapping[str, Mapping[str, int]]


def lane_sums(sums: Sums, *, lane: str, mode: str, comparator_set: str, beside: Sums | None) -> LaneSums:
    """One lane and mode as it is told: quantiles from bins, fractions from whole numbers.

    `beside`: of the baseline lane, where this is the candidate's.
    """
    totals = sums.get("total", {})
    dispositions = _ranked(sums, "disposition")
    return LaneSums(
        lane=lane,
        mode=mode,
        comparator_set=comparator_set,
        calibrated=beside is not None,
        not_exercised=_ranked(sums, "not_exercised"),
        comparisons=sum(dispositions.values()),
        dispositions=dispositions,
        severities=dict(sorted(sums.get("severity", {}).items())),
        rules=_ranked(sums, "rule"),
        first_divergence=_ranked(sums, "first_divergence"),
        coverage=_coverage(sums),
        reasons=_ranked(sums, "reason"),
        prefix=_ranked(sums, "prefix"),
        model_calls=totals.get("model_calls", 0),
        intended_actions=totals.get("intended_actions", 0),
        usd=_usd(totals.get("usd", 0)),
        unpriced=totals.get("unpriced", 0),
        tools={tool: _tool(sums, tool) for tool in sorted(_names(sums, "tool."))},
        dimensions={name: _dimension(sums, name, beside or {}) for name in sorted(_names(sums, "status."))},
    )


def _ranked(sums: Sums, kind: str) -> dict[str, int]:
    return dict(sorted(sums.get(kind, {}).items(), key=lambda item: (-item[1], item[0])))


def _names(sums: Sums, prefix: str) -> set[str]:
    return {name for kind, found in sums.items() if kind.startswith(prefix) for name in found}


def _by_kind(sums: Sums, prefix: str, name: str) -> dict[str, int]:
    """What the kinds with this prefix say of one name, by the rest of the kind."""
    held = {
        kind.removeprefix(prefix): found[name]
        for kind, found in sums.items()
        if kind.startswith(prefix) and name in found
    }
    return dict(sorted(held.items()))


def _coverage(sums: Sums) -> Coverage:
    grades = _ranked(sums, "grade")
    answers = sum(grades.values())
    faithful = sum(number for grade, number in grades.items() if grade in FAITHFUL_NAMES)
    return Coverage(
        faithful=faithful / answers if answers else None, grades=grades, halted_by=_ranked(sums, "halted_by")
    )


def _tool(sums: Sums, tool: str) -> ToolSums:
    counted: dict[str, Any] = {
        name: sums.get(f"tool.{name}", {}).get(tool, 0) for name in ("production", "replay", "differs", "intended")
    }
    return ToolSums(**counted, grades=_by_kind(sums, "tool.grade.", tool))


def _dimension(sums: Sums, name: str, beside: Sums) -> DimensionSums:
    counts, noise = _sketch(sums, name), _sketch(beside, name)
    scored = sum(counts.values())
    return DimensionSums(
        statuses=_by_kind(sums, "status.", name),
        scored=scored,
        fired=sums.get("fired", {}).get(name, 0),
        mean=sums.get("sum", {}).get(name, 0) / SCORE_UNIT / scored if scored else None,
        p50=quantile(counts, 0.5),
        p95=quantile(counts, 0.95),
        excess=excess(counts, noise, worse=DIMENSION[name].worse if name in DIMENSION else ""),
    )


def _sketch(sums: Sums, name: str) -> dict[int, int]:
    return {int(index): number for index, number in _by_kind(sums, "bin.", name).items()}


def _usd(units: int) -> str:
    with localcontext(prec=60):
        return format((Decimal(units) / USD_UNIT).normalize(), "f")
