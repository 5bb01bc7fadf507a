"""What was looked at, lane by lane: how replays ended, how true the tools' answers were, and what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from comparators.spec import DIMENSION
from replay.comparison import DISPOSITIONS
from replay.gate.burden import EVENTS
from replay.grade import GRADE_WORDS, Grade
from replay.report.pairs import MODES, UNITS
from replay.report.tally import Burden, Tally
from replay.severity import RULE_WORDS
from replay.summary import FAITHFUL_NAMES, Fold, Summary

_OUTCOMES = ("met", "missed")
_GRADE_NAMES: Mapping[str, str] = {str(grade): GRADE_WORDS[Grade(grade)] for grade in Grade}
_ASSUMED = str(Grade.WRITE_STUBBED)
_LOG = " ln of the ratio"


class Counted(NamedTuple):
    """A row of a table: how often, of how many, and what it means. `good` where that is to be said."""

    name: str
    times: int
    share: float
    words: str
    good: bool | None = None


class Difference(NamedTuple):
    """How many pairs differ in one dimension, and how many do when today's release is run a second time."""

    name: str
    question: str
    scored: int
    share: float
    again: float | None

    @property
    def more(self) -> float | None:
        return None if self.again is None else self.share - self.again


class Asked(NamedTuple):
    """What people behind the assistant are asked: the share of requests, of all that were scored, on each side."""

    words: str
    today: float
    candidate: float
    again: float | None


class Coverage(NamedTuple):
    """Shares of the tools' answers in the replay, which add up to 1."""

    recorded: float
    assumed: float
    guessed: float


class Lane(NamedTuple):
    """One lane in one way of replaying. `outcomes`: today's release by the candidate, met before missed."""

    name: str
    unit: str
    units: int
    dispositions: tuple[Counted, ...]
    grades: tuple[Counted, ...]
    coverage: Coverage | None
    halted_by: tuple[tuple[str, int], ...]
    intended_actions: int
    rules: tuple[Counted, ...]
    differences: tuple[Difference, ...]
    unjudged: tuple[str, ...]
    outcomes: tuple[tuple[int, int], tuple[int, int]] | None
    burden: tuple[Asked, ...]
    scored: int
    spent: str | None

    @property
    def has_differences(self) -> bool:
        return bool(self.differences or self.burden or self.outcomes)


def lanes(summary: Summary, tally: Tally) -> Iterator[Lane]:
    """The candidate's first, whole requests before single steps."""
    for lane, mode in sorted(summary.folds, key=lambda key: (key[0] != "candidate", key[1] == "forced", key[1])):
        yield _lane(lane, mode, summary, tally)


def counted(counts: Mapping[str, int], words: Mapping[str, str], of: int | None = None) -> tuple[Counted, ...]:
    """The most frequent first; those of equal count by name."""
    total = of or sum(counts.values()) or 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Counted(name, count, count / total, words.get(name, "")) for name, count in ranked if count)


def spent_words(fold: Fold) -> str | None:
    """Null where no model was called: there is nothing to pay."""
    if not fold.model_calls:
        return None
    unpriced = f", and {fold.unpriced:,} replays without a price" if fold.unpriced else ""
    return f"{fold.model_calls:,} model calls, {fold.usd:.2f} USD{unpriced}"


def _lane(lane: str, mode: str, summary: Summary, tally: Tally) -> Lane:
    fold, again = summary.folds[lane, mode], summary.beside(lane, mode)
    who = "the candidate" if lane == "candidate" else "today's release, run a second time"
    is_candidate = lane == "candidate"
    burden, twin = tally.burdens.get((lane, mode)), tally.burdens.get(("baseline", mode))
    return Lane(
        name=f"{who}: {MODES[mode]}",
        unit=UNITS[mode],
        units=sum(fold.dispositions.values()),
        dispositions=counted(fold.dispositions, DISPOSITIONS),  # type: ignore[arg-type]  # counted by name
        grades=tuple(map(_graded, counted(fold.grades, _GRADE_NAMES))),
        coverage=_coverage(fold),
        halted_by=tuple(sorted(fold.halted_by.items(), key=lambda item: (-item[1], item[0]))[:8]),
        intended_actions=fold.intended_actions,
        rules=counted(fold.rules, RULE_WORDS, of=sum(fold.severities.values())),
        differences=tuple(_differences(fold, again)) if is_candidate else (),
        unjudged=tuple(sorted(name for name, it in fold.dimensions.items() if it.spread() is None)),
        outcomes=_outcomes(fold) if is_candidate else None,
        burden=tuple(_burden(burden, twin)) if is_candidate and burden is not None else (),
        scored=sum(fold.severities.values()),
        spent=spent_words(fold),
    )


def _graded(row: Counted) -> Counted:
    """What is only assumed is neither good nor bad."""
    return row if row.name == _ASSUMED else row._replace(good=row.name in FAITHFUL_NAMES)


def _coverage(fold: Fold) -> Coverage | None:
    total = sum(fold.grades.values())
    if not total or fold.faithful is None:
        return None
    assumed = fold.grades[_ASSUMED] / total
    return Coverage(fold.faithful - assumed, assumed, 1.0 - fold.faithful)


def _differences(fold: Fold, again: Fold | None) -> Iterator[Difference]:
    for name in (name for name in DIMENSION if name in fold.dimensions):
        spread = fold.dimensions[name].spread()
        if spread is not None and spread.fired:
            question = DIMENSION[name].question.partition(_LOG)[0]
            yield Difference(name, question, spread.scored, spread.fired / spread.scored, _share(again, name))


def _share(fold: Fold | None, name: str) -> float | None:
    spread = None if fold is None or name not in fold.dimensions else fold.dimensions[name].spread()
    return None if spread is None else spread.fired / spread.scored


def _outcomes(fold: Fold) -> tuple[tuple[int, int], tuple[int, int]] | None:
    if not fold.outcomes:
        return None
    met, missed = (tuple(fold.outcomes[f"{today} > {ours}"] for ours in _OUTCOMES) for today in _OUTCOMES)
    return (met[0], met[1]), (missed[0], missed[1])


def _burden(ours: Burden, again: Burden | None) -> Iterator[Asked]:
    """Events that happen on some side."""
    for name, (words, _) in EVENTS.items():
        today, candidate = (side[name] / ours.scored for side in (ours.today, ours.replay))
        twin = None if again is None or not again.scored else again.replay[name] / again.scored
        if today or candidate or twin:
            yield Asked(words, today, candidate, twin)
