"""A verdict in words, for a terminal: what to do, why, and the figures it rests on."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from replay.terminal import clean
from replay.verdict import Decision, MetricEvidence, SliceFinding, Standing, Verdict, odds_of, stands_out

DECISIONS: dict[Decision, str] = {"promote": "PROMOTE", "hold": "HOLD", "roll_back": "ROLL BACK"}
_MEANING: dict[Decision, str] = {
    "promote": "every blocking metric is proved to be within its margin",
    "hold": "give the candidate no authority yet",
    "roll_back": "the candidate is worse than the bundle in production",
}
STANDINGS: dict[Standing, str] = {
    "within_margin": "within its margin",
    "beyond_margin": "WORSE than its margin",
    "open": "open",
    "uncalibrated": "needs a baseline lane",
    "not_measured": "not measured",
}
_SLICES_SHOWN = 8
#: Means and margins of these are shares of requests, told in percentage points.
_POINTS = frozenset({"paired_binary", "paired_exceedance", "zero_tolerance"})


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """The verdict first, then the reasons, then a row per metric."""
    yield f"VERDICT: {DECISIONS[verdict.decision]} - {_MEANING[verdict.decision]}"
    for reason in verdict.reasons:
        about = f" [{', '.join(reason.metrics)}]" if reason.metrics else ""
        yield from wrap(f"{reason.words}{about}", 110, initial_indent="  ! ", subsequent_indent="    ")
    yield f"  {_votes(verdict)}"
    yield f"  {'metric':<24}{'votes':>8}{'difference':>12}{'lies between':>22}{'margin':>9}  standing"
    for metric in verdict.metrics:
        yield _row(metric, _alpha(verdict, "rollback"))
    yield f"  a difference above 0 is worse; {_confidence(verdict)}"
    yield from _slices(verdict)


def _slices(verdict: Verdict) -> Iterator[str]:
    if not verdict.slices:
        return
    by_id = {metric.id: metric for metric in verdict.metrics}
    share = verdict.gate["slices"]["fdr"] if isinstance(verdict.gate, dict) else 0.1
    looked = f"of {verdict.slices_examined:,} looked at; {share:.0%} may be chance"
    yield f"  worse than the margin in these slices ({looked})"
    for found in verdict.slices[:_SLICES_SHOWN]:
        yield f"    {_slice(found, by_id[found.metric])}"
    if len(verdict.slices) > _SLICES_SHOWN:
        yield f"    … {len(verdict.slices) - _SLICES_SHOWN} more in the record"


def _slice(found: SliceFinding, metric: MetricEvidence) -> str:
    where = f"{clean(found.attribute, 40)} = {clean(found.value, 40)}"
    return f"{found.metric:<22}{_figure(metric, sum(found.mean) / 2):>12} in {found.pairs:,} conversations with {where}"


def _votes(verdict: Verdict) -> str:
    against = "the baseline lane" if verdict.calibrated else "production, without a baseline lane: uncalibrated"
    told = [f"{verdict.conversations:,} conversations voted, each against {against}"]
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
        low, high = (_figure(metric, end) for end in metric.band)
        figures = f"{_figure(metric, sum(metric.mean) / 2):>12}{f'{low} .. {high}':>22}"
    name = f"{metric.id} (no vote)" if not metric.votes else metric.id
    margin = _figure(metric, metric.margin, signed=False)
    return f"  {name:<24}{metric.pairs:>8,}{figures}{margin:>9}  {_standing(metric, alpha)}"


def _figure(metric: MetricEvidence, value: float, *, signed: bool = True) -> str:
    sign = "+" if signed else ""
    return f"{100 * value:{sign}.1f} pp" if metric.kind in _POINTS else f"{value:{sign}.3f}"


def _standing(metric: MetricEvidence, alpha: float) -> str:
    if metric.hits:
        return f"HAS HAPPENED ({metric.hits:,}), and must never"
    if metric.standing != "open":
        return STANDINGS[metric.standing]
    if stands_out(metric, alpha):
        return f"open; worse by odds of {odds_of(metric.log_e_harm[0])}, too little for one of several"
    if metric.certifiable is None:
        return "open"
    below = f"proved below {_figure(metric, metric.certifiable, signed=False)}"
    return f"open; {below}" + ("" if metric.more_pairs is None else f", about {metric.more_pairs:,} more needed")


def _confidence(verdict: Verdict) -> str:
    below, above = (f"{1 - _alpha(verdict, of):.0%}" for of in ("rollback", "promote"))
    sure = below if below == above else f"{below} and {above}"
    return f"each bound holds with confidence {sure}, whenever one looks"


def _alpha(verdict: Verdict, of: str) -> float:
    return float(verdict.gate["alpha"][of]) if isinstance(verdict.gate, dict) else 0.05
