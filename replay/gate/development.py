"""How a verdict came about: the evidence at some points on the way, folded from the comparisons once more."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from replay.comparison import Comparison
from replay.gate.audit import differences
from replay.gate.config import gate_from
from replay.gate.docket import Docket, Run
from replay.verdict import MetricEvidence, Verdict


class Moment(NamedTuple):
    """What was known after so many conversations."""

    conversations: int
    metrics: tuple[MetricEvidence, ...]


class Development(NamedTuple):
    """`moments` in order, the last one at the verdict. `agrees`: folded again, the verdict is the same."""

    moments: tuple[Moment, ...]
    agrees: bool


@dataclass(slots=True)
class Retelling:
    """Takes the comparisons of a verdict, as they were written. Keeps a ballot of each that was counted."""

    verdict: Verdict
    points: int = 12
    _docket: Docket = field(init=False)
    _ends: dict[tuple[str, int], int] = field(init=False)
    _offsets: dict[tuple[str, int], set[int]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        self._docket = Docket(gate_from(self.verdict.gate), Run.judged(self.verdict))
        self._ends = {(prefix.topic, prefix.partition): prefix.offset for prefix in self.verdict.prefixes}

    def add(self, comparison: Comparison) -> None:
        source = comparison.source
        place = (source.topic, source.partition)
        within = source.offset < self._ends.get(place, 0)
        if comparison.run_id != self.verdict.run_id or not within:
            return
        self._docket.enter(comparison)
        self._offsets[place].add(source.offset)

    def development(self) -> Development:
        """Fold all that was added, stopping at some points to look. Call it once."""
        moments = [self._moment_at(point) for point in range(1, self.points)]
        for (topic, partition), offset in self._ends.items():
            self._docket.advance(topic, partition, offset)
        if self.verdict.complete:
            self._docket.finish()
        moments.append(self._moment())
        found = self._docket.verdict(now=None)
        return Development(_growing(moments), found is not None and not differences(self.verdict, found))

    def _moment_at(self, point: int) -> Moment:
        """After that share of the records of every partition."""
        for (topic, partition), offsets in sorted(self._offsets.items()):
            ordered = sorted(offsets)
            self._docket.advance(topic, partition, ordered[point * (len(ordered) - 1) // self.points])
        return self._moment()

    def _moment(self) -> Moment:
        evidence = self._docket.evidence()
        return Moment(evidence.conversations, evidence.metrics())


def _growing(moments: list[Moment]) -> tuple[Moment, ...]:
    """One moment for each number of conversations, the last one of it; none before the first vote."""
    latest = {moment.conversations: moment for moment in moments if moment.conversations}
    return tuple(latest[count] for count in sorted(latest))
