"""Why a verdict is what it is, and what somebody can do about it, in plain words: one bullet per reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from replay.gate.config import gate_from
from replay.report.measures import STANDINGS, MetricWords
from replay.verdict import Reason, Verdict
from replay.verdict_words import duration


class Why(NamedTuple):
    """A sentence, what can be done about it, the ids it is about, and what stands under it.

    `example_of`: the metric that a pair would show.
    """

    text: str
    next: str | None = None
    ids: tuple[str, ...] = ()
    example_of: str | None = None
    under: tuple[Why, ...] = ()

    @property
    def plain(self) -> str:
        """All of it in one text, the ids at the end."""
        following = f" Next: {self.next}" if self.next else ""
        ids = f" [{', '.join(self.ids)}]" if self.ids else ""
        return " ".join([f"{self.text}{following}{ids}", *(why.plain for why in self.under)])


def reasons(verdict: Verdict, told: Mapping[str, MetricWords]) -> Iterator[Why]:
    """Every reason of the verdict; of one that holds, what looks bad so far and what else is open."""
    for reason in verdict.reasons:
        yield _because(reason, verdict, [told[name] for name in reason.metrics if name in told])
    if verdict.decision == "hold":
        yield from _looks_bad([words for words in told.values() if words.votes and words.looks_worse])
        if all(reason.code != "underpowered" for reason in verdict.reasons):
            yield from _open_too(verdict, [words for words in told.values() if words.votes and words.is_open])


def _because(reason: Reason, verdict: Verdict, about: Sequence[MetricWords]) -> Why:
    if reason.code in _OF_METRICS and about:
        return _OF_METRICS[reason.code](about, verdict)
    if reason.code not in _PLAIN:
        return Why(reason.words, ids=reason.metrics)
    detail = "" if reason.code in _OWN_ADVICE else reason.words.partition(": ")[2].partition(". Next: ")[0]
    following = _lane(verdict) if reason.code == "uncalibrated" else _NEXT[reason.code]
    text = f"{_PLAIN[reason.code]}{f' ({detail})' if detail else ''}."
    return Why(text, f"{following}.", tuple(words.id for words in about))


# -- what is proved ---------------------------------------------------------------------------------------------------


def _never(about: Sequence[MetricWords], _: Verdict) -> Why:
    what = "What must never happen has happened"
    if len(about) == 1:
        return Why(f"{what} {about[0].seen}: {about[0].what}.", None, (about[0].id,), about[0].id)
    return Why(f"{what}:", under=tuple(Why(f"{it.what}, {it.seen}.", None, (it.id,), it.id) for it in about))


def _worse(about: Sequence[MetricWords], _: Verdict) -> Why:
    sure = all(words.sign == STANDINGS["beyond_margin"][0] for words in about)
    told = _each(about)
    if len(about) > 1:
        what = "Proved to be worse than tolerated" if sure else "One of these is proved to be worse than tolerated"
        return Why(f"{what}:", under=told)
    return told[0]._replace(text=f"Proved to be worse than tolerated: {told[0].text}")


def _each(about: Sequence[MetricWords]) -> tuple[Why, ...]:
    return tuple(Why(f"{it.what}. {it.sentence}", None, (it.id,), it.id) for it in about)


# -- what is open -----------------------------------------------------------------------------------------------------


def _too_few(about: Sequence[MetricWords], verdict: Verdict) -> Why:
    few = f"{verdict.conversations:,} conversations are too few to be sure."
    return Why(few, f"{_what_to_do(about, verdict)}.{_time(verdict)}", under=tuple(_needs(about, verdict)))


def _what_to_do(about: Sequence[MetricWords], verdict: Verdict) -> str:
    """Replay more, as far as the plan goes; where it cannot be said how many, what stands in the way."""
    known = [words.more for words in about if words.more is not None]
    most, plan = max(known, default=0), gate_from(verdict.gate).max_pairs
    widen = "widen what is tolerated"
    if len(known) == len(about):
        if all(words.fits for words in about):
            return f"replay about {most:,} more, or {widen} (gate plan)"
        return f"{widen} or plan larger (gate plan): about {most:,} more are more than the plan allows ({plan:,})"
    if any(words.looks_worse for words in about):
        return f"look at what looks bad, or {widen} (gate plan); how many more it takes cannot be said"
    if verdict.guessed:
        return f"have less to guess (record those tools, or give their contracts stub answers), or {widen} (gate plan)"
    return f"replay more, or {widen} (gate plan); how many more it takes cannot be said yet"


def _needs(about: Sequence[MetricWords], verdict: Verdict) -> Iterator[Why]:
    """Those that need most first; nearly decided are those that need no more than has been counted."""
    ranked = sorted((words for words in about if words.more is not None), key=lambda words: -(words.more or 0))
    far = [words for words in ranked if (words.more or 0) > verdict.conversations] or ranked[:1]
    groups = {
        "Needs most": far,
        "Nearly decided": [words for words in ranked if words not in far],
        "Cannot be said how many more": [it for it in about if it.more is None and not it.looks_worse],
    }
    yield from (_listed(heading, group) for heading, group in groups.items() if group)


def _listed(heading: str, about: Sequence[MetricWords]) -> Why:
    told = (f"{it.what.partition(' (')[0]}{_more(it)}" for it in about)
    return Why(f"{heading}: {'; '.join(told)}.", ids=tuple(it.id for it in about))


def _more(words: MetricWords) -> str:
    if words.more is None:
        return ""
    return f" ({words.more:,} more)" if words.fits else f" ({words.more:,} more, which is beyond the plan)"


def _looks_bad(about: Sequence[MetricWords]) -> Iterator[Why]:
    told = _each(about)
    if len(told) == 1:
        yield told[0]._replace(text=f"Looks bad so far: {told[0].text}")
    elif told:
        yield Why("Looks bad so far:", under=told)


def _open_too(verdict: Verdict, about: Sequence[MetricWords]) -> Iterator[Why]:
    others = [words for words in about if not words.looks_worse]
    if others:
        listed = _listed("Not decided yet, either", others)
        yield listed._replace(text=f"{listed.text}{_time(verdict)}")


def _time(verdict: Verdict) -> str:
    seconds = verdict.seconds_to_decision
    return "" if seconds is None else f" At the traffic seen so far, that takes {duration(seconds)}."


def _lane(verdict: Verdict) -> str:
    recorded = verdict.baseline.startswith("recorded:")
    how = "record it once more, and give that file with --lane FILE" if recorded else "--lane-share 0.2"
    return f"run today's release a second time on the same requests ({how})"


_OF_METRICS: Mapping[str, Callable[[Sequence[MetricWords], Verdict], Why]] = {
    "proved_worse": _worse,
    "never_event": _never,
    "underpowered": _too_few,
}
_PLAIN: Mapping[str, str] = {
    "inconclusive": "Nothing was decided within the plan, and this gate says to roll back then",
    "no_evidence": "No conversation has been counted yet",
    "uncalibrated": "Two runs of one and the same release differ, too. Today's release was not run a second time, so "
    "that nobody can tell its own variation from the candidate's doing",
    "blind_metric": "Something the gate asks for could not be measured often enough",
    "stub_gap": "In too many conversations a tool's answer had to be guessed, and the verdict depends on the guess",
    "missing_replays": "Too many replays failed for reasons that say nothing about the candidate",
    "not_exercised": "Something has changed that a replay does not try out, so that nobody knows what it does",
    "placebo_fired": "Today's release differs from itself by more than is tolerated: the measurement is at fault",
    "stale_stream": "The time that was planned is over",
}
#: What somebody can do about it.
_NEXT: Mapping[str, str] = {
    "inconclusive": "plan for more conversations, or for wider margins, before the next attempt (gate plan)",
    "no_evidence": "replay requests of today's release, and wait until conversations are over",
    "blind_metric": "mend what measures it, or take it out of the gate; more conversations will not help",
    "stub_gap": "record those tools with other arguments, or give their contracts stub answers",
    "missing_replays": "see why they failed, under What was looked at, and run it again",
    "not_exercised": "try that part in another way before shipping; this replay will never speak for it",
    "placebo_fired": "look for what changed between the two runs of today's release: a provider, a stub, a clock",
    "stale_stream": "start anew with a larger plan (max_pairs, max_wait), or give the candidate up",
}
#: Whose reason's own words are the advice above, for those who know the words.
_OWN_ADVICE = frozenset({"uncalibrated", "no_evidence"})
