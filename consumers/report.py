"""What a bounded job says at its end: the summary as JSON, and in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from replay.bundle import Bundle
from replay.bundle_diff import diff_bundles, findings
from replay.exact_json import Json
from replay.planning import Planner
from replay.settings import Settings
from replay.summary import Summary, summary_json
from replay.summary_text import summary_lines

_SEVERE = 3


class Report(NamedTuple):
    """`where`: what holds the results. `next_command`: what a person would type now."""

    run_id: str
    planner: Planner
    settings: Settings
    summary: Summary
    where: str

    def as_json(self) -> dict[str, Json]:
        planner = self.planner
        facts = {
            "run_id": self.run_id,
            "title": self._title(),
            "names": self._names(),
            "baseline": planner.baseline.digest,
            "candidate": planner.candidate.digest,
            "not_exercised": list(planner.not_exercised),
            "findings": self._findings(),
            "changes": diff_bundles(planner.baseline, planner.candidate).as_json()["changes"],
        }
        return summary_json(self.summary, facts=facts, worst=self.settings.worst)

    def lines(self, *, go_on: str) -> Iterable[str]:
        """`go_on` says how to continue when a limit has stopped the job."""
        baseline, candidate = self.planner.baseline, self.planner.candidate
        diff = f"shadow-replay bundle diff {baseline.directory} {candidate.directory}"
        return summary_lines(
            self.summary,
            title=f"{self._title()}, results in {self.where}",
            not_exercised=[f"{surface} has changed" for surface in self.planner.not_exercised],
            findings=self._findings(),
            worst=self.settings.worst,
            next_command=go_on if self.summary.stopped_by is not None else diff,
        )

    def _title(self) -> str:
        baseline, candidate = self.planner.baseline, self.planner.candidate
        return f"{_named(baseline, candidate)} -> {_named(candidate, baseline)}"

    def _names(self) -> dict[str, Json]:
        baseline, candidate = self.planner.baseline, self.planner.candidate
        return {"baseline": _short(baseline, candidate), "candidate": _short(candidate, baseline)}

    def _findings(self) -> list[str]:
        found = findings(self.planner.baseline, self.planner.candidate)
        return [finding.text for finding in found if finding.severity >= _SEVERE]


def _named(bundle: Bundle, other: Bundle) -> str:
    """Two releases of one assistant carry its name; then their directories tell them apart."""
    name = bundle.name if bundle.name != other.name else f"{bundle.name} {bundle.directory.name}"
    return f"{name} ({bundle.digest[:15]})"


def _short(bundle: Bundle, other: Bundle) -> str:
    """What people call it: the least that tells it from the other one."""
    for mine, its in ((bundle.name, other.name), (bundle.directory.name, other.directory.name)):
        if mine != its:
            return mine
    return bundle.digest[:15]
