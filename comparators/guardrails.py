"""Guardrail decisions of both sides: which subjects met a milder decision, which a stricter one.

Loosened and tightened are never netted: a block too few is not made good by a block too many. Only subjects
that both sides met are compared, since a call that was not made was not let through either; so a call that ran
without a decision must come as an "allow". Where one subject met several decisions, the mildest are compared
first: one refusal does not excuse that the same call was let through as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from comparators.spec import Column, Evidence, Status, Statuses, column, overridden, statuses
from comparators.text import excerpt

#: Decisions from mild to strict.
DECISIONS: Mapping[str, int] = {"allow": 0, "needs_approval": 1, "escalate": 2, "block": 3}

EXCERPT = 200
MAX_LINES = 12


class Decision(NamedTuple):
    """What was decided about a subject, say one call, and by which rule (null = by none).

    `words` is the subject for a reader, if it is another than `subject`.
    """

    subject: str
    decision: str
    rule: str | None = None
    words: str = ""


class DecisionPair(NamedTuple):
    """Decisions of production and of the replay. `recorded` is false where production's were not written down."""

    production: Sequence[Decision]
    replay: Sequence[Decision]
    recorded: bool = True


class _Change(NamedTuple):
    before: Decision
    after: Decision

    @property
    def rise(self) -> int:
        return DECISIONS[self.after.decision] - DECISIONS[self.before.decision]

    @property
    def kind(self) -> str:
        return "guard_loosened" if self.rise < 0 else "guard_tightened"


def compare_guardrails(pairs: Sequence[DecisionPair], *, given: Statuses | None = None) -> tuple[Column, ...]:
    """`guard.loosened`, `guard.tightened` and `guard.rules`; `UNKNOWN` where production's were not recorded.

    Raises `ValueError` for a decision that is none of `DECISIONS`.
    """
    recorded = np.array([pair.recorded for pair in pairs], dtype=np.bool_)
    counts = np.array([_counts(pair) if pair.recorded else (0, 0, 0) for pair in pairs], np.int64).reshape(-1, 3)
    names = ("guard.loosened", "guard.tightened", "guard.rules")
    columns = (column(name, counts[:, i], statuses(recorded, Status.UNKNOWN)) for i, name in enumerate(names))
    return tuple(overridden(scores, given) for scores in columns)


def transitions(pair: DecisionPair) -> Counter[tuple[str, str]]:
    """How often each decision of production met each of the replay on one subject; nothing where not recorded."""
    return Counter((it.before.decision, it.after.decision) for it in _changes(pair)) if pair.recorded else Counter()


def explain_guardrails(pair: DecisionPair) -> tuple[Evidence, ...]:
    """The changed decisions, loosened ones first, then the rules that spoke on one side only."""
    if not pair.recorded:
        return ()
    changes = sorted((change for change in _changes(pair) if change.rise), key=lambda change: change.rise)
    lines = [Evidence(change.kind, _shown(change.before), _shown(change.after)) for change in changes[:MAX_LINES]]
    before, after = _rules(pair.production), _rules(pair.replay)
    lines += [Evidence("guard_rule", removed=excerpt(rule, EXCERPT)) for rule in sorted(before - after)[:MAX_LINES]]
    lines += [Evidence("guard_rule", added=excerpt(rule, EXCERPT)) for rule in sorted(after - before)[:MAX_LINES]]
    return tuple(lines)


def _counts(pair: DecisionPair) -> tuple[int, int, int]:
    """Loosened, tightened, rules on one side only."""
    rises = [change.rise for change in _changes(pair)]
    rules = _rules(pair.production) ^ _rules(pair.replay)
    return sum(rise < 0 for rise in rises), sum(rise > 0 for rise in rises), len(rules)


def _changes(pair: DecisionPair) -> Iterator[_Change]:
    production, replay = _by_subject(pair.production), _by_subject(pair.replay)
    for subject, before in production.items():
        yield from map(_Change, before, replay.get(subject, ()))


def _by_subject(decisions: Sequence[Decision]) -> dict[str, list[Decision]]:
    """Decisions of each subject, the mildest first."""
    for decision in decisions:
        if decision.decision not in DECISIONS:
            raise ValueError(f"guardrail decision {decision.decision!r}, expected one of {', '.join(DECISIONS)}")
    found: dict[str, list[Decision]] = {}
    for decision in sorted(decisions, key=lambda decision: DECISIONS[decision.decision]):
        found.setdefault(decision.subject, []).append(decision)
    return found


def _rules(decisions: Sequence[Decision]) -> frozenset[str]:
    return frozenset(decision.rule for decision in decisions if decision.rule is not None)


def _shown(decision: Decision) -> str:
    rule = f" by {decision.rule}" if decision.rule is not None else ""
    return excerpt(f"{decision.words or decision.subject}: {decision.decision}{rule}", EXCERPT)
