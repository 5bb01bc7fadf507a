"""The first screen for somebody who knows no statistics: what to do, who was compared with whom, and why."""

from __future__ import annotations

from typing import NamedTuple

from replay.report.measures import metric_words
from replay.report.reasons import Why, reasons
from replay.verdict import Decision, Verdict
from replay.verdict_words import NAMES, SIGNS, TO_DO


class Headline(NamedTuple):
    """`why`: the weightiest first."""

    decision: Decision | None
    to_do: str
    why: tuple[Why, ...]

    @property
    def name(self) -> str:
        return NAMES[self.decision]

    @property
    def sign(self) -> str:
        return SIGNS[self.decision]


class Compared(NamedTuple):
    """Who was compared with whom, on how much, and how today's release was held against itself.

    `beside` has their names in it, which somebody else may have chosen; `plain` says the same without.
    """

    candidate: str
    today: str
    amount: str
    beside: str
    plain: str


def headline(verdict: Verdict) -> Headline:
    """What to do and why."""
    told = {words.id: words for words in metric_words(verdict)}
    why = list(reasons(verdict, told))
    if verdict.decision == "promote":
        why.append(Why(_proved_safe(verdict)))
    return Headline(verdict.decision, TO_DO[verdict.decision], tuple(why))


def no_headline(*, stopped_by: str | None, left: int, laned: bool, recorded: bool) -> Headline:
    """Why there is no verdict, and how to get one."""
    if stopped_by is not None:
        stopped = f"The run was stopped by {stopped_by}, with {left:,} replays left: no fair sample."
        on = "the same command with a higher limit, which goes on where it stopped."
        return Headline(None, "Do not decide by this report: the run was stopped before its end.", (Why(stopped, on),))
    gate = Why("No gate says what must be proved. What follows only says what differs.", "give one with --gate FILE.")
    if laned:
        lane = Why("The candidate's figures stand beside those of today's release when it is run a second time.")
    else:
        alone = "It is uncalibrated: two runs of one and the same release differ, too, and today's was run only once."
        lane = Why(alone, f"run it a second time ({'--lane FILE' if recorded else '--lane-share 0.2'}).")
    to_do = "Nobody has said what would be good enough, so that nothing is decided."
    return Headline(None, to_do, (gate, lane))


def compared(names: tuple[str, str], amount: str, *, units: int, again: int, recorded: bool) -> Compared:
    """`names`: of today's release and of the candidate. `units`, `again`: replays of the latter, and of its twin."""
    told, plain = (
        _beside(*them, units=units, again=again, recorded=recorded)
        for them in ((*names, f"{names[0]}'s"), ("today's release", "the candidate", "its"))
    )
    return Compared(names[1], names[0], amount, told, plain[:1].upper() + plain[1:])


def _beside(today: str, candidate: str, whose: str, *, units: int, again: int, recorded: bool) -> str:
    so_that = f"so that {whose} own variation is not blamed on {candidate}"
    if not again:
        return ""  # why it matters, and what to do about it, is a reason of its own
    if recorded:
        return f"A second recording of {today} stands beside it, {so_that}."
    if again >= units:
        return f"Each request was given to {candidate} and again to {today}, {so_that}."
    return f"{again:,} of {units:,} requests that {candidate} was given were given again to {today}, too, {so_that}."


def _proved_safe(verdict: Verdict) -> str:
    count = sum(metric.votes for metric in verdict.metrics)
    what = "The one thing the gate asks for is" if count == 1 else f"All {count} things the gate asks for are"
    return f"{what} proved, on {verdict.conversations:,} conversations, to have got no worse than is tolerated."
