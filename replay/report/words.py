"""A verdict for somebody who knows no statistics: what to do, why, and each metric as so many of 100 conversations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from replay.exact_json import Json
from replay.gate.config import Gate, Kind, Metric, gate_from
from replay.gate.signals import signal_of
from replay.verdict import Decision, MetricEvidence, Reason, Standing, Verdict, odds_of, stands_out

#: The decision, and the sign that tells it from the others without colour.
SIGNS: Mapping[Decision | None, str] = {"promote": "✓", "hold": "‖", "roll_back": "✗", None: "?"}
NAMES: Mapping[Decision | None, str] = {
    "promote": "PROMOTE",
    "hold": "HOLD",
    "roll_back": "ROLL BACK",
    None: "NO VERDICT",
}
_TO_DO: Mapping[Decision, str] = {
    "promote": "Ship the candidate: everything that the gate asks for is proved.",
    "hold": "Do not ship the candidate yet: it is neither proved safe nor proved worse.",
    "roll_back": "Do not ship the candidate, and take it back where it runs: it is worse than today's release.",
}
STANDINGS: Mapping[Standing, tuple[str, str]] = {
    "within_margin": ("✓", "proved to be within what is tolerated"),
    "beyond_margin": ("✗", "proved to be worse than what is tolerated"),
    "open": ("?", "not decided yet"),
    "uncalibrated": ("?", "cannot be judged: today's release was not run a second time"),
    "not_measured": ("?", "was not measured"),
}


class Headline(NamedTuple):
    """The first screen. `why` are sentences, the weightiest first."""

    decision: Decision | None
    to_do: str
    why: tuple[str, ...]

    @property
    def name(self) -> str:
        return NAMES[self.decision]

    @property
    def sign(self) -> str:
        return SIGNS[self.decision]


class MetricWords(NamedTuple):
    """A metric in words. `found` is null where nothing was measured."""

    id: str
    what: str
    found: str | None
    range: str | None
    tolerated: str
    sign: str
    standing: str
    votes: bool


def headline(verdict: Verdict) -> Headline:
    """What to do and why."""
    told = {metric.id: words for metric, words in zip(verdict.metrics, metric_words(verdict), strict=True)}
    why = [sentence for reason in verdict.reasons for sentence in _because(reason, told)]
    if verdict.decision == "promote":
        why.append(_proved_safe(verdict))
    return Headline(verdict.decision, _TO_DO[verdict.decision], tuple(why))


def no_headline(*, stopped_by: str | None, left: int, laned: bool) -> Headline:
    """Why there is no verdict, and how to get one."""
    if stopped_by is not None:
        why = f"The run was stopped by {stopped_by}, with {left:,} replays left."
        end = "What was replayed is no fair sample: the same command with a higher limit goes on where it stopped."
        return Headline(None, "Do not decide by this report: the run was stopped before its end.", (why, end))
    gate = "No gate says what must be proved: give one with --gate FILE. What follows only says what differs."
    lane = (
        "The candidate's figures stand beside those of today's release when it is run a second time."
        if laned
        else "It is uncalibrated: today's release was not run a second time (--lane-share), and two runs of one and "
        "the same release differ, too."
    )
    return Headline(None, "Nobody has said what would be good enough, so that nothing is decided.", (gate, lane))


def metric_words(verdict: Verdict) -> tuple[MetricWords, ...]:
    gate = gate_from(verdict.gate)
    settings = {metric.id: metric for metric in gate.metrics}
    alpha = gate.alpha.rollback
    return tuple(_in_words(evidence, settings[evidence.id], alpha) for evidence in verdict.metrics)


def figure(metric: Metric, value: float) -> str:
    """A difference, or a margin, as short as on an axis."""
    return _SHORT[metric.kind](metric, value)


def difference(metric: Metric, mean: tuple[float, float]) -> str:
    """A mean difference, best case and worst, as so many of 100 conversations or in its unit."""
    return _KINDS[metric.kind].found(metric, mean)


def metrics_of(document: Json) -> Mapping[str, Metric]:
    """The metrics of a gate as a verdict carries it. Raises `BundleError`."""
    gate: Gate = gate_from(document)
    return {metric.id: metric for metric in gate.metrics}


# -- a metric ---------------------------------------------------------------------------------------------------------


class _Kind(NamedTuple):
    what: Callable[[Metric], str]
    found: Callable[[Metric, tuple[float, float]], str]
    tolerated: Callable[[Metric], str]


def _in_words(evidence: MetricEvidence, metric: Metric, alpha: float) -> MetricWords:
    kind = _KINDS[metric.kind]
    sign, standing = STANDINGS[evidence.standing]
    if evidence.standing == "open" and stands_out(evidence, alpha):
        odds = odds_of(evidence.log_e_harm[0])
        standing = f"{standing}: it looks worse, by odds of {odds}, and one of several measures may do so by chance"
    elif evidence.standing == "open" and evidence.more_pairs is not None:
        standing = f"{standing}: about {evidence.more_pairs:,} more conversations are needed"
    found = None if evidence.mean is None else kind.found(metric, evidence.mean)
    if metric.kind == "zero_tolerance" and evidence.pairs:
        found = f"in {evidence.hits:,} of {evidence.pairs:,} conversations"
        if evidence.hits:
            sign, standing = STANDINGS["beyond_margin"][0], "must never happen, and has happened"
    return MetricWords(
        id=metric.id,
        what=kind.what(metric),
        found=found,
        range=None if evidence.band is None else kind.found(metric, evidence.band),
        tolerated=kind.tolerated(metric) if metric.has_margin else "anything: it is only told",
        sign=sign,
        standing=standing,
        votes=evidence.votes,
    )


def _signal(metric: Metric) -> str:
    signal = signal_of(metric.measured)
    return metric.measured if signal is None else signal.words


def _above_threshold(metric: Metric) -> str:
    return f"{_signal(metric)} is above {metric.threshold:g} {_unit(metric)}".rstrip()


def _capped(metric: Metric) -> str:
    return f"{_signal(metric)}, each counted up to {metric.cap:g} {_unit(metric)}".rstrip()


def _larger(metric: Metric) -> str:
    return f"{_signal(metric)} is larger by more than {metric.rel_margin:.0%}"


def _unit(metric: Metric) -> str:
    signal = signal_of(metric.measured)
    return "" if signal is None else signal.unit


def _span(ends: tuple[float, float], tell: Callable[[float], str]) -> str:
    """One figure where both are told alike."""
    low, high = (tell(end) for end in ends)
    return low if low == high else f"{low} to {high}"


def _of_hundred(_: Metric, ends: tuple[float, float]) -> str:
    if ends[0] == ends[1] == 0:
        return "as many as today"
    if ends[0] < 0 < ends[1]:
        return f"between {-100 * ends[0]:.1f} fewer and {100 * ends[1]:.1f} more of 100 conversations"
    word = "fewer" if ends[1] <= 0 and ends[0] < 0 else "more"
    ordered = (-ends[1], -ends[0]) if word == "fewer" else ends
    return f"{_span(ordered, lambda end: f'{100 * end:.1f}')} {word} of 100 conversations"


def _points(_: Metric, ends: tuple[float, float]) -> str:
    return f"{_span(ends, lambda end: f'{100 * end:+.1f}')} points of 100"


def _money(metric: Metric, ends: tuple[float, float]) -> str:
    told = _span(ends, lambda end: f"{abs(_scaled(metric, end)):.2g} {_unit(metric)} {'below' if end < 0 else 'above'}")
    return f"{told} what is tolerated, a conversation"


def _share_larger(_: Metric, ends: tuple[float, float]) -> str:
    return f"{_span(ends, lambda end: f'{50 * (1 + end):.0f}')} of 100 conversations"


def _scaled(metric: Metric, value: float) -> float:
    """The difference in the signal's unit: it was divided by (1 + rel_margin) cap."""
    return value * (1.0 + (metric.rel_margin or 0.0)) * (metric.cap or 1.0)


_KINDS: Mapping[Kind, _Kind] = {
    "paired_binary": _Kind(
        _signal, _of_hundred, lambda it: f"up to {100 * it.tolerated:.3g} more of 100 conversations"
    ),
    "paired_bounded": _Kind(_signal, _points, lambda it: f"up to {100 * it.tolerated:+.3g} points of 100"),
    "paired_exceedance": _Kind(
        _above_threshold, _of_hundred, lambda it: f"up to {100 * it.tolerated:.3g} more of 100 conversations"
    ),
    "paired_mean_capped": _Kind(_capped, _money, lambda it: f"on average {it.rel_margin:.0%} more than today"),
    "paired_sign": _Kind(_larger, _share_larger, lambda _: "up to 50 of 100 conversations"),
    "zero_tolerance": _Kind(
        _signal, _of_hundred, lambda it: f"never; to promote, proof of less than {100 * it.tolerated:.3g} of 100"
    ),
}

#: Figures on an axis.
_SHORT: Mapping[Kind, Callable[[Metric, float], str]] = {
    "paired_binary": lambda _, value: f"{100 * value:+.1f}",
    "paired_bounded": lambda _, value: f"{100 * value:+.1f}",
    "paired_exceedance": lambda _, value: f"{100 * value:+.1f}",
    "paired_mean_capped": lambda metric, value: f"{_scaled(metric, value):+.2g} {_unit(metric)}".rstrip(),
    "paired_sign": lambda _, value: f"{50 * (1 + value):.0f}",
    "zero_tolerance": lambda _, value: f"{100 * value:+.1f}",
}


# -- reasons ----------------------------------------------------------------------------------------------------------


def _because(reason: Reason, told: Mapping[str, MetricWords]) -> Iterator[str]:
    """A reason in plain words; one with metrics says a sentence about each."""
    about = [told[name] for name in reason.metrics if name in told]
    if reason.code in _OF_METRICS and about:
        yield from (_OF_METRICS[reason.code](words) for words in about)
    elif reason.code in _PLAIN:
        names = ", ".join(words.id for words in about)
        detail = "" if reason.code in _OWN_ADVICE else reason.words.partition(": ")[2].partition(". Next: ")[0]
        more = "; ".join(part for part in (names, detail) if part)
        yield f"{_PLAIN[reason.code]}{f' ({more})' if more else ''}. Next: {_NEXT[reason.code]}."
    else:
        yield reason.words


def _worse(words: MetricWords) -> str:
    is_sure = words.sign == STANDINGS["beyond_margin"][0]
    proved = "Proved" if is_sure else "This one, or another one named here, is proved"
    found = f"Found: {words.found}. Tolerated: {words.tolerated}."
    return f"{proved} to be worse than tolerated - {words.id}: {words.what}. {found}"


def _never(words: MetricWords) -> str:
    return f"What must never happen has happened {words.found} - {words.id}: {words.what}."


def _too_few(words: MetricWords) -> str:
    found = "nothing was measured" if words.range is None else f"{words.range}, so far"
    told = f"Found: {found}. Tolerated: {words.tolerated}."
    return f"Not enough conversations to be sure - {words.id}: {words.what}. {told}"


_OF_METRICS: Mapping[str, Callable[[MetricWords], str]] = {
    "proved_worse": _worse,
    "never_event": _never,
    "underpowered": _too_few,
}
_PLAIN: Mapping[str, str] = {
    "inconclusive": "Nothing was decided within the plan, and this gate says to roll back then",
    "no_evidence": "No conversation has been counted yet",
    "uncalibrated": "Two runs of one and the same release differ, too. Today's release was not run a second time "
    "beside the candidate, so that nobody can tell what is the candidate's doing",
    "blind_metric": "Something the gate asks for could not be measured often enough",
    "stub_gap": "In too many conversations a tool's answer had to be guessed, and the verdict depends on the guess",
    "missing_replays": "Too many replays failed, of the candidate and of today's release alike",
    "not_exercised": "Something has changed that a replay does not try out, so that nobody knows what it does",
    "placebo_fired": "Today's release differs from itself by more than is tolerated: the measurement is at fault",
    "stale_stream": "The time that was planned is over",
}
#: What somebody can do about it.
_NEXT: Mapping[str, str] = {
    "inconclusive": "plan for more conversations, or for wider margins, before the next attempt (gate plan)",
    "no_evidence": "replay requests of the bundle that is in production, and wait until conversations are over",
    "uncalibrated": "run today's release a second time on the same requests (--lane-share 0.2; with compare, --lane)",
    "blind_metric": "mend what measures it, or take it out of the gate; more conversations will not help",
    "stub_gap": "record those tools with other arguments, or give their contracts stub answers",
    "missing_replays": "see why they failed, under What was looked at, and run it again",
    "not_exercised": "try that part in another way before shipping; this replay will never speak for it",
    "placebo_fired": "look for what changed between the two runs of today's release: a provider, a stub, a clock",
    "stale_stream": "start anew with a larger plan (max_pairs, max_wait), or give the candidate up",
}
#: Whose reason's own words are the advice above, for those who know the words.
_OWN_ADVICE = frozenset({"uncalibrated", "no_evidence"})


def _proved_safe(verdict: Verdict) -> str:
    count = sum(metric.votes for metric in verdict.metrics)
    what = "The one thing the gate asks for is" if count == 1 else f"All {count} things the gate asks for are"
    return f"{what} proved, on {verdict.conversations:,} conversations, to have got no worse than is tolerated."
