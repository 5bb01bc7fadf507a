"""The summary in words, for a terminal: what could not be tried first, then coverage, dimensions, worst pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import exp
from textwrap import wrap

from comparators.spec import DIMENSION, DIMENSIONS
from replay.comparison import DISPOSITIONS, REFUSALS, Flag, Side
from replay.grade import Grade
from replay.severity import RULE_WORDS
from replay.summary import Fold, Summary, Worst, excess_over
from replay.terminal import clean
from replay.verdict_text import verdict_lines

#: Texts of a pair are shown up to this many characters.
_SHOWN = 400
_MAX_LINES = 6
#: What production's own noise is comes before what the candidate does.
_ORDER = tuple((lane, mode) for lane in ("baseline", "candidate") for mode in ("forced", "free", "recorded"))
_ASSUMED = str(Grade.WRITE_STUBBED)
#: Dimensions whose value is the logarithm of a ratio, and the largest that is worth its digits.
_RATIOS = frozenset(dimension.name for dimension in DIMENSIONS if "ln of the ratio" in dimension.question)
_LARGEST = 20.0
_HEADINGS = {"forced": "forced replays", "free": "free replays", "recorded": "pairs of recordings"}


def summary_lines(
    summary: Summary,
    *,
    title: str,
    not_exercised: Sequence[str] = (),
    findings: Sequence[str] = (),
    assumed: Sequence[str] = (),
    worst: int = 8,
    next_command: str | None = None,
) -> Iterator[str]:
    """The whole summary, line by line, without colours."""
    yield title
    yield from _verdict(summary, worst)
    yield from _section("NOT EXERCISED by this replay (it can never promote these)", not_exercised)
    yield from _section("ASSUMED, because the recordings do not say", assumed)
    yield from _section("FINDINGS in the bundles, highest severity", findings)
    yield from _traces(summary)
    for (lane, mode), fold in sorted(summary.folds.items(), key=lambda item: _ORDER.index(item[0])):
        yield from _fold(lane, mode, fold, beside=summary.beside(lane, mode))
    yield from _worst_pairs(summary.worst(worst))
    if next_command is not None:
        yield ""
        yield f"next: {next_command}"


def _verdict(summary: Summary, worst: int) -> Iterator[str]:
    laned = any(lane == "baseline" for lane, _ in summary.folds)
    if summary.stopped_by is not None:
        yield f"no verdict: the intake was stopped by {summary.stopped_by}; {summary.left:,} replays were left"
    elif summary.verdict is not None:
        numbered = enumerate(summary.worst(worst), 1)
        shown = {item.comparison.comparison_id: f"pair {number}" for number, item in numbered}
        yield from verdict_lines(summary.verdict, shown)
    elif laned:
        yield "no verdict: no gate is configured; what follows is divergence, with the noise of production beside it"
    else:
        yield "no verdict: no gate is configured; what follows is divergence, without a baseline lane: uncalibrated"


def _section(heading: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield heading
        for line in lines:
            yield from wrap(line, 110, initial_indent="  ! ", subsequent_indent="    ", break_on_hyphens=False)


def _traces(summary: Summary) -> Iterator[str]:
    yield ""
    yield f"traces        {summary.traces:,} read, {summary.admitted:,} admitted"
    for reason, count in summary.refused.most_common():
        if count:
            yield f"  {count:>7,} {reason}: {REFUSALS.get(reason, '')}"
    if summary.no_response:
        yield f"  {summary.no_response:>7,} no_response: last messages that nobody answered; they are in none of these"
    for stage, count in summary.dead_letters.most_common():
        yield f"  {count:>7,} dead letters ({stage})"


def _fold(lane: str, mode: str, fold: Fold, *, beside: Fold | None) -> Iterator[str]:
    units = sum(fold.dispositions.values())
    yield ""
    yield f"{_HEADINGS[mode]}, {lane} lane: {units:,}"
    for name, count in fold.dispositions.most_common():
        yield f"  {count:>7,} {name}: {DISPOSITIONS.get(name, '')}"  # type: ignore[call-overload]  # counted by name
    for reason, count in fold.reasons.most_common(3):
        yield f"          of these {count:,}: {reason}"
    if mode == "recorded":
        yield from _flags(fold)
        yield from _dimensions(fold, beside)
        return
    yield from _coverage(fold)
    yield from _flags(fold)
    yield from _dimensions(fold, beside)
    spent = f"${fold.usd}" + (f", and {fold.unpriced:,} replays without a price" if fold.unpriced else "")
    yield f"  spent         {fold.model_calls:,} model calls, {spent}"


def _coverage(fold: Fold) -> Iterator[str]:
    if fold.faithful is None:
        yield "  coverage      no tool was called"
        return
    grades = ", ".join(f"{count:,} {grade}" for grade, count in fold.grades.most_common())
    assumed = fold.grades[_ASSUMED] / (sum(fold.grades.values()) or 1)
    sure = f"{fold.faithful - assumed:.1%} of stub answers recorded or decided by a rule"
    yield f"  coverage      {sure}, {assumed:.1%} actions assumed to succeed, {1 - fold.faithful:.1%} guessed or none"
    yield f"                {grades}"
    if fold.intended_actions:
        yield f"  actions       {fold.intended_actions:,} writes were attempted; none was carried out"
    if fold.halted_by:
        tools = ", ".join(f"{tool} {count:,}" for tool, count in fold.halted_by.most_common(5))
        yield f"  stopped at    {tools}"


def _flags(fold: Fold) -> Iterator[str]:
    scored = sum(fold.severities.values())
    if not scored:
        return
    levels = ", ".join(f"S{level} {fold.severities[level]:,}" for level in (3, 2, 1, 0))
    yield f"  severity      {levels}"
    for rule, count in fold.rules.most_common():
        yield f"    {count / scored:>7.1%} {rule}: {RULE_WORDS.get(rule, '')}"
    if fold.outcomes:
        cells = ", ".join(f"{cell} {count:,}" for cell, count in fold.outcomes.most_common())
        yield f"  outcomes      as expected, production > candidate: {cells}"


def _dimensions(fold: Fold, beside: Fold | None) -> Iterator[str]:
    """One row per dimension that differs anywhere; with a baseline lane, its figures at the end of the row."""
    rows = [(name, fold.dimensions[name].spread()) for name in sorted(fold.dimensions)]
    if any(spread is not None and spread.fired for _, spread in rows):
        noise = "" if beside is None else f"{'noise: differ':>15}{'mean':>10}{'excess':>9}"
        yield f"  {'dimension':<28}{'pairs':>8}{'differ':>9}{'mean':>10}{'p50':>10}{'p95':>10}{noise}"
    for name, spread in rows:
        if spread is not None and spread.fired:
            share = spread.fired / spread.scored
            figures = "".join(f"{_value(name, value):>10}" for value in (spread.mean, spread.p50, spread.p95))
            yield f"  {name:<28}{spread.scored:>8,}{share:>9.1%}{figures}{_noise(name, fold, beside)}"
    if any(name in _RATIOS for name, _ in rows):
        yield "  x: times as much as production's (the mean is the geometric one)"
    if beside is not None and rows:
        yield "  excess: how many more pairs than of the lane's own lie beyond 95 % of the lane's (blank: none can)"
    yield from _named("the same in every pair", [name for name, spread in rows if spread and not spread.fired])
    yield from _named("could not be judged", [name for name, spread in rows if spread is None])


def _noise(name: str, fold: Fold, beside: Fold | None) -> str:
    if beside is None:
        return ""
    spread = beside.dimensions[name].spread() if name in beside.dimensions else None
    more = excess_over(beside, fold, name)
    if spread is None or more is None:
        return f"{'-':>15}"
    at_its_end = name in DIMENSION and spread.p95 >= DIMENSION[name].high
    excess = "" if at_its_end else f"{more:>+9.1%}"
    return f"{spread.fired / spread.scored:>15.1%}{_value(name, spread.mean):>10}{excess}"


def _value(name: str, value: float) -> str:
    """A ratio is kept as its logarithm."""
    return f"{exp(min(value, _LARGEST)):.2f}x" if name in _RATIOS else f"{value:.3f}"


def _named(what: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield from wrap(f"{what}: {', '.join(names)}", 110, initial_indent="  ", subsequent_indent="    ")


def _worst_pairs(worst: Sequence[Worst]) -> Iterator[str]:
    if not worst:
        return
    yield ""
    yield "worst pairs (- production, + candidate), one of each kind of change first"
    for number, item in enumerate(worst, 1):
        yield from _pair(number, item)


def _pair(number: int, item: Worst) -> Iterator[str]:
    comparison = item.comparison
    turn = "" if comparison.turn is None else f" turn {comparison.turn}"
    yield ""
    name = f"{comparison.mode} {clean(comparison.trace_id, 64)}{turn}"
    yield f"{number}. S{item.severity} {name}: {', '.join(item.rules)}"
    shown = list(_flag_lines(comparison.flags))
    yield from shown[:_MAX_LINES]
    if len(shown) > _MAX_LINES:
        yield f"   … {len(shown) - _MAX_LINES} more lines in the record"
    failed = [call for call in comparison.replay.calls if call.outcome == "failed"]
    for call in failed[:2]:
        yield f"   failed in the replay: {clean(call.tool, 60)}: {clean(call.result or '', 120)}"
    yield from _answers(comparison.production, comparison.replay)


def _flag_lines(flags: Sequence[Flag]) -> Iterator[str]:
    for flag in flags:
        for line in flag.evidence:
            if line.removed is not None:
                yield f"   - {clean(line.removed, 200)}"
            if line.added is not None:
                yield f"   + {clean(line.added, 200)}"


def _answers(production: Side, replay: Side) -> Iterator[str]:
    if production.answer != replay.answer:
        yield f"   - {_told(production)}"
        yield f"   + {_told(replay)}"


def _told(side: Side) -> str:
    """What the user was told, or the call that came in its place."""
    if side.answer is not None:
        return f'"{clean(side.answer, _SHOWN)}"'
    if not side.calls:
        return "(no answer)"
    return f"(no answer; last it called {clean(side.calls[-1].tool, 60)}({clean(side.calls[-1].arguments, 160)}))"


def facts_lines(facts: Mapping[str, str]) -> Iterator[str]:
    """Name and value, aligned."""
    width = max(map(len, facts), default=0)
    yield from (f"{name:<{width}}  {value}" for name, value in facts.items())
