"""A verdict in words, for a terminal: what to do, why, and the figures it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from textwrap import wrap

from replay.report.headline import headline
from replay.report.measures import looks_worse
from replay.report.reasons import Why
from replay.terminal import clean
from replay.verdict import MetricEvidence, SliceFinding, Standing, Verdict, odds_of, stands_out
from replay.verdict_words import NAMES

STANDINGS: dict[Standing, str] = {
    "within_margin": "within its margin",
    "beyond_margin": "WORSE than its margin",
    "open": "open",
    "uncalibrated": "needs a baseline lane",
    "not_measured": "not measured",
}
_SLICES_SHOWN = 8
#: Exemplars of a slice, and characters of an id, which are enough to find it.
_CALLED, _ID = 3, 12
#: Headroom below this is told.
_LITTLE = 0.5
#: Means and margins of these are shares of requests, told in percentage points.
_POINTS = frozenset({"paired_binary", "paired_exceedance", "zero_tolerance"})


def verdict_lines(verdict: Verdict, pairs: Mapping[str, str] | None = None) -> Iterator[str]:
    """The verdict first, then the reasons, then a row per metric. `pairs`: how comparisons are called, by their id."""
    head = headline(verdict)
    yield f"VERDICT: {NAMES[verdict.decision]} - {head.to_do}"
    for why in head.why:
        yield from _why(why, "  ! ")
    yield from _target(verdict)
    yield f"  {_votes(verdict)}"
    yield f"  {'metric':<24}{'votes':>8}{'difference':>12}{'lies between':>22}{'margin':>9}  standing"
    for metric in verdict.metrics:
        yield _row(metric, _alpha(verdict, "rollback"))
    yield f"  a difference above 0 is worse; {_confidence(verdict)}"
    yield from _headroom(verdict)
    if any(metric.kind in _POINTS for metric in verdict.metrics):
        yield "  pp: percentage points, so many more (+) or fewer (-) of 100 conversations than with today's release"
    yield from _slices(verdict, pairs or {})


def _why(why: Why, indent: str) -> Iterator[str]:
    """A reason, its ids at the end, and what stands under it."""
    text = why._replace(under=()).plain
    yield from wrap(text, 114, initial_indent=indent, subsequent_indent=" " * len(indent), break_on_hyphens=False)
    for each in why.under:
        yield from _why(each, f"{' ' * len(indent)}- ")


def _headroom(verdict: Verdict) -> Iterator[str]:
    """Metrics of which production itself leaves less than half to lose."""
    for metric in verdict.metrics:
        if metric.kind in _POINTS and metric.headroom is not None and metric.headroom < _LITTLE:
            worst = f"production is at its worst in {1 - metric.headroom:.1%} of them already"
            yield f"  {metric.id}: {worst}, so that harm can show in the others only"


def _target(verdict: Verdict) -> Iterator[str]:
    target = verdict.rollback_target
    if target is None:
        return
    known = "which no verdict is known to have promoted: see gate target"
    if target.certified_at is not None:
        known = f"promoted {datetime.fromtimestamp(target.certified_at / 1e9, UTC):%Y-%m-%d %H:%M} UTC"
    told = f"go back to {clean(target.bundle, 80)}, {known}"
    yield from wrap(told, 110, initial_indent="  ", subsequent_indent="    ")


def _slices(verdict: Verdict, pairs: Mapping[str, str]) -> Iterator[str]:
    if not verdict.slices:
        return
    by_id = {metric.id: metric for metric in verdict.metrics}
    share = verdict.gate["slices"]["fdr"] if isinstance(verdict.gate, dict) else 0.1
    looked = f"of {verdict.slices_examined:,} looked at; {share:.0%} may be chance"
    yield f"  worse than the margin in these slices ({looked})"
    for found in verdict.slices[:_SLICES_SHOWN]:
        yield f"    {_slice(found, by_id[found.metric])}"
        yield f"      such as {', '.join(_called(found.exemplars, pairs))}"
    if len(verdict.slices) > _SLICES_SHOWN:
        yield f"    … {len(verdict.slices) - _SLICES_SHOWN} more in the record"


def _slice(found: SliceFinding, metric: MetricEvidence) -> str:
    where = f"{clean(found.attribute, 40)} = {clean(found.value, 40)}"
    return f"{found.metric:<22}{_figure(metric, sum(found.mean) / 2):>12} in {found.pairs:,} conversations with {where}"


def _called(exemplars: Sequence[str], pairs: Mapping[str, str]) -> list[str]:
    """Those that are shown below first, then others by the beginning of their id."""
    shown = sorted({pairs[each] for each in exemplars if each in pairs})
    others = [f"comparison {clean(each, _ID)}" for each in exemplars if each not in pairs]
    return [*shown, *others][:_CALLED]


def _votes(verdict: Verdict) -> str:
    recorded = "what today's release did in production: uncalibrated, there is no baseline lane"
    against = "today's release, run a second time (the baseline lane)" if verdict.calibrated else recorded
    told = [f"{verdict.conversations:,} conversations voted, the candidate against {against}"]
    counts = (
        (verdict.failed, "had a failed replay"),
        (verdict.guessed, "met a stub that had to guess"),
        (verdict.unseen, "more, the next of each partition, have not ended and were taken for what proves least"),
    )
    told += [f"{count:,} {words}" for count, words in counts if count]
    return "; ".join(told)


def _row(metric: MetricEvidence, alpha: float) -> str:
    figures = f"{'-':>12}{'-':>22}"
    if metric.mean is not None and metric.band is not None:
        floor = 0.0 if metric.kind == "zero_tolerance" else -1.0  # fewer than none there cannot be
        low, high = (_figure(metric, max(end, floor)) for end in metric.band)
        figures = f"{_figure(metric, sum(metric.mean) / 2):>12}{f'{low} .. {high}':>22}"
    name = f"{metric.id} (no vote)" if not metric.votes else metric.id
    margin = _figure(metric, metric.margin, signed=False) if metric.margin else "-"
    return f"  {name:<24}{metric.pairs:>8,}{figures}{margin:>9}  {_standing(metric, alpha)}"


def _figure(metric: MetricEvidence, value: float, *, signed: bool = True) -> str:
    sign = "+" if signed else ""
    return f"{100 * value:{sign}.1f} pp" if metric.kind in _POINTS else f"{value:{sign}.3f}"


def _standing(metric: MetricEvidence, alpha: float) -> str:
    if metric.has_happened:
        return f"HAS HAPPENED ({metric.hits:,}), and must never"
    if metric.standing != "open":
        return STANDINGS[metric.standing]
    if stands_out(metric, alpha):
        return f"LOOKS WORSE; worse by odds of {odds_of(metric.log_e_harm[0])}, too little for one of several"
    if looks_worse(metric):
        return "LOOKS WORSE than its margin, not proved yet"
    if metric.certifiable is None:
        return "open"
    below = f"surely below {_figure(metric, metric.certifiable, signed=False)}"
    return f"open; {below}" + ("" if metric.more_pairs is None else f", about {metric.more_pairs:,} more needed")


def _confidence(verdict: Verdict) -> str:
    below, above = (f"{1 - _alpha(verdict, of):.0%}" for of in ("rollback", "promote"))
    sure = below if below == above else f"{below} and {above}"
    return f"each bound holds with confidence {sure}, whenever one looks"


def _alpha(verdict: Verdict, of: str) -> float:
    return float(verdict.gate["alpha"][of]) if isinstance(verdict.gate, dict) else 0.05
