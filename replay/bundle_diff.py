"""What changed from one bundle to another, surface by surface, in words.

`a` is the bundle in production, `b` the one on trial. Every change has a severity:

    3   a finding: `b` loosened what holds it back (an effect, an approval, a rule, a gate, a write's arguments)
    2   important: behaviour or its measurement may differ in a way this program cannot judge
    1   worth knowing

Looser is judged from `a`'s side only: the candidate does not write its own exam. Whether a changed condition or
schema is looser cannot be known, so it is important and shown in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from replay.bundle import EXECUTED_SURFACES, Bundle, Surface, changed
from replay.bundle_change import FINDING, IMPORTANT, NOTE, Change
from replay.exact_json import Json
from replay.surface_changes import SURFACE_CHANGES


class Finding(NamedTuple):
    severity: int
    surface: Surface
    text: str


@dataclass(frozen=True, slots=True)
class BundleDiff:
    """All changes by surface, in the order of `SURFACES`; surfaces that did not change are left out."""

    a: Bundle
    b: Bundle
    changes: Mapping[Surface, tuple[Change, ...]]

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(
            Finding(change.severity, surface, change.text)
            for surface, changes in self.changes.items()
            for change in changes
            if change.severity == FINDING
        )

    @property
    def not_exercised(self) -> tuple[Surface, ...]:
        return tuple(surface for surface in self.changes if surface not in EXECUTED_SURFACES)

    def lines(self) -> list[str]:
        """The diff for a person: what a replay cannot show first, findings marked, worst first within a surface."""
        lines = [f"{self.a.name} {self.a.digest}", f"{self.b.name} {self.b.digest}"]
        if not self.changes:
            return [*lines, "the same content" if self.a.digest == self.b.digest else "the same content, another name"]
        if self.not_exercised:
            lines.append(f"not exercised by a replay: {', '.join(self.not_exercised)}")
        for surface, changes in self.changes.items():
            for change in sorted(changes, key=lambda change: -change.severity):
                lines.append(f"{_MARKS[change.severity]} {surface}: {change.text}")
                lines += [f"      {line}" for line in change.details]
        return lines

    def as_json(self) -> dict[str, Json]:
        """The diff for a script."""
        return {
            "a": {"name": self.a.name, "digest": self.a.digest},
            "b": {"name": self.b.name, "digest": self.b.digest},
            "not_exercised": list(self.not_exercised),
            "changes": [
                {"surface": surface, "severity": it.severity, "text": it.text, "details": list(it.details)}
                for surface, changes in self.changes.items()
                for it in changes
            ],
        }


def diff_bundles(a: Bundle, b: Bundle) -> BundleDiff:
    """Compare two loaded bundles. A surface whose digest changed has at least one change in words."""
    found = {surface: tuple(SURFACE_CHANGES[surface](a, b)) for surface in changed(a, b)}
    unnamed = (Change(IMPORTANT, "changed"),)
    return BundleDiff(a, b, {surface: changes or unnamed for surface, changes in found.items()})


def findings(a: Bundle, b: Bundle) -> tuple[Finding, ...]:
    """The changes of the highest severity: what `b` loosened."""
    return diff_bundles(a, b).findings


_MARKS: Mapping[int, str] = {FINDING: "!!", IMPORTANT: " *", NOTE: "  "}
