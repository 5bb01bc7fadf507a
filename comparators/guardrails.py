"""G1: guardrail decisions on the same subjects. Loosened and tightened are counted apart and never netted.

A subject is one call, by what it is and how often it came; a decision on a subject that only one side met says
nothing about the guardrail and is not counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from comparators.spec import Column, Evidence, Status, Statuses, column, overridden, statuses

Word: TypeAlias = Literal["allow", "needs_approval", "escalate", "block"]
#: How much a decision holds back.
STRENGTH: Mapping[str, int] = {"allow": 0, "needs_approval": 1, "escalate": 2, "block": 3}


class Decision(NamedTuple):
    """What a guardrail said about one subject, and by which rule. `words` is the subject for a reader."""

    subject: str
    decision: Word
    rule: str | None = None
    words: str = ""


class DecisionPair(NamedTuple):
    """Decisions of both sides, in order. `recorded` is false when production's are not known."""

    production: tuple[Decision, ...]
    replay: tuple[Decision, ...]
    recorded: bool = True


class Met(NamedTuple):
    """Both sides' decision on one subject."""

    production: Decision
    replay: Decision

    @property
    def change(self) -> int:
        """Above 0: tightened; below 0: loosened."""
        return STRENGTH[self.replay.decision] - STRENGTH[self.production.decision]


def compare_guardrails(pairs: Sequence[DecisionPair], *, given: Statuses | None = None) -> tuple[Column, ...]:
    """`guard.loosened`, `guard.tightened` and `guard.rules` of each pair; `UNKNOWN` where nothing was recorded."""
    known = statuses(np.array([pair.recorded for pair in pairs], np.bool_), Status.UNKNOWN)
    counts = np.array([_counts(pair) for pair in pairs], np.int64).reshape(len(pairs), 3)
    names = ("guard.loosened", "guard.tightened", "guard.rules")
    return tuple(overridden(column(name, counts[:, number], known), given) for number, name in enumerate(names))


def explain_guardrails(pair: DecisionPair) -> tuple[Evidence, ...]:
    """A line for each subject whose decision changed."""
    if not pair.recorded:
        return ()
    changed = [met for met in _met(pair) if met.change]
    return tuple(
        Evidence("guard_loosened" if met.change < 0 else "guard_tightened", _told(met.production), _told(met.replay))
        for met in changed
    )


def _counts(pair: DecisionPair) -> tuple[int, int, int]:
    changes = [met.change for met in _met(pair)]
    rules = {item.rule for item in pair.production} ^ {item.rule for item in pair.replay}
    return sum(change < 0 for change in changes), sum(change > 0 for change in changes), len(rules - {None})


def _met(pair: DecisionPair) -> Iterator[Met]:
    """Decisions on equal subjects: the n-th with the n-th, so that a repeated call is met as often as both made it."""
    waiting: defaultdict[str, list[Decision]] = defaultdict(list)
    for decision in reversed(pair.production):
        waiting[decision.subject].append(decision)
    for decision in pair.replay:
        if waiting[decision.subject]:
            yield Met(waiting[decision.subject].pop(), decision)


def _told(decision: Decision) -> str:
    rule = f" by {decision.rule}" if decision.rule else ""
    return f"{decision.words or decision.subject}: {decision.decision}{rule}"[:200]
