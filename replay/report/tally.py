"""What a report counts beside the summary, comparison by comparison, in any order: who bothers whom, and exemplars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from replay.comparison import Comparison
from replay.gate.burden import EVENTS
from replay.summary import ENDED_EARLY
from replay.verdict import Verdict


class Named(NamedTuple):
    """A comparison that a verdict names as an exemplar."""

    trace_id: str
    severity: int


@dataclass(slots=True)
class Burden:
    """Scored replays of one lane and way of replaying, and in how many of them either side asks something of people."""

    scored: int = 0
    today: Counter[str] = field(default_factory=Counter)
    replay: Counter[str] = field(default_factory=Counter)

    def add(self, comparison: Comparison) -> None:
        self.scored += 1
        for name, (_, happens) in EVENTS.items():
            self.today[name] += happens(comparison.production)
            self.replay[name] += happens(comparison.replay)


@dataclass(slots=True)
class Tally:
    """`named`: the exemplars of the verdict, by the id of their comparison, as far as they came by."""

    burdens: dict[tuple[str, str], Burden] = field(default_factory=dict)
    named: dict[str, Named] = field(default_factory=dict)
    _wanted: frozenset[str] = frozenset()

    @classmethod
    def of(cls, verdict: Verdict | None) -> Tally:
        return cls(_wanted=frozenset() if verdict is None else frozenset(_exemplars(verdict)))

    def add(self, comparison: Comparison) -> None:
        if comparison.comparison_id in self._wanted:
            self.named[comparison.comparison_id] = Named(comparison.trace_id, comparison.severity)
        if comparison.disposition not in ENDED_EARLY:
            self.burdens.setdefault((comparison.lane, comparison.mode), Burden()).add(comparison)


def _exemplars(verdict: Verdict) -> Iterator[str]:
    for found in verdict.slices:
        yield from found.exemplars
