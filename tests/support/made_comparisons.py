"""Comparisons of every kind, made up from a seed: for what counts them, not for what makes them."""

from __future__ import annotations

import random
from collections.abc import Iterator

from comparators.spec import DIMENSIONS
from replay.comparison import (
    DISPOSITIONS,
    CallRecord,
    Comparison,
    Coverage,
    Divergence,
    Flag,
    Score,
    Side,
    Source,
)
from replay.severity import RULE_WORDS

_STATUSES = ("scored", "scored", "scored", "not_applicable", "unknown")
_TOOLS = ("search", "wipe_device", "revoke sessions", "ünïcode", "a:b(c)")
_GRADES = ("exact", "stale", "assumed")
_CANDIDATES = ("sha256:c1", "sha256:c2")


def comparisons(count: int, *, seed: int = 0, run_id: str = "run-1", first: int = 0) -> Iterator[Comparison]:
    """`count` different ones of one run."""
    for number in range(first, first + count):
        yield comparison(number, random.Random(f"{seed} {number}"), run_id)


def comparison(number: int, chance: random.Random, run_id: str = "run-1") -> Comparison:
    disposition = chance.choice([*DISPOSITIONS, *["compared"] * 6])
    scored = disposition in ("compared", "censored")
    flags = chance.sample(sorted(RULE_WORDS), chance.randrange(3)) if scored else []
    grades = {grade: chance.randrange(4) for grade in chance.sample(_GRADES, 2)}
    return Comparison(
        comparison_id=f"id-{number}",
        run_id=run_id,
        trace_id=f"trace-{number}",
        source=Source(topic="traces", partition=number % 3, offset=number),
        baseline="sha256:b",
        candidate=_CANDIDATES[0],
        mode=chance.choice(("forced", "free")),
        disposition=disposition,
        reason=None if scored else chance.choice(("no answer: 503", "no answer: 500", "slow")),
        comparator_set="comparators/2",
        scores={d.name: _score(chance) for d in DIMENSIONS} if scored else {},
        flags=tuple(Flag(rule=rule, severity=2) for rule in flags),
        severity=chance.randrange(4) if flags else 0,
        first_divergence=Divergence(step=1, kind=chance.choice(("tool", "answer"))) if scored and flags else None,
        coverage=Coverage(
            calls=sum(grades.values()),
            grades=grades,
            intended_actions=chance.randrange(3),
            halted_by="search({})" if disposition == "censored" else None,
        ),
        not_exercised=("retriever",) if chance.random() < 0.2 else (),
        prefix={"intact": chance.randrange(2)},
        decisions={"allow > block": number % 3},
        production=Side(answer="a", calls=_calls(chance, None), expected=number % 2 == 0),
        replay=Side(
            answer="b",
            calls=_calls(chance, "exact"),
            model_calls=chance.randrange(4),
            cost_usd=None if chance.random() < 0.3 else f"0.{chance.randrange(10**6):06}",
            model_latency_ns=chance.randrange(10**10),
            expected=None if number % 5 == 0 else number % 3 == 0,
        ),
    )


def _score(chance: random.Random) -> Score:
    status = chance.choice(_STATUSES)
    value = chance.choice((0.0, 1.0, chance.uniform(-3, 3), float(chance.randrange(5))))
    return Score(status=status, value=value if status == "scored" else None)


def _calls(chance: random.Random, grade: str | None) -> tuple[CallRecord, ...]:
    return tuple(
        CallRecord(
            tool=chance.choice(_TOOLS),
            arguments="{}",
            effect=chance.choice(("read", "write")),
            outcome="ok",
            step=step,
            grade=grade,
        )
        for step in range(chance.randrange(4))
    )
