"""Folding evidence: milliseconds for 40 metrics x 1,000 pairs, against a plain loop over the same pairs.

    python -m bench.evidence

The loop is what one would write first after reading the paper: the log-wealth of twelve bets for harm and twelve for
safety, by `math.log1p`, one pair and one bet at a time. Ours keeps counts, and works the same wealth out when somebody
looks; what a look costs is printed, too. Then how soon a margin is certified, by simulated gates that are watched at
every pair. Thread CPU time, best of many.
"""

from __future__ import annotations

from functools import partial
from math import log, log1p

import numpy as np

from bench.answers import cpu_seconds
from comparators.differences import BETS, band, counted, log_e_harm, log_e_safe, places
from comparators.spec import Floats
from replay.comparison import Lane
from replay.gate.ballot import Ballot
from replay.gate.config import Gate
from replay.gate.evidence import Differences, Evidence
from replay.gate.vote import Ballotbox, Ends, Exemplar, Vote

METRICS, PAIRS, MARGIN, ALPHA = 40, 1_000, 0.02, 0.05
#: The loop gets fewer pairs: it is slower by a factor.
LOOP_PAIRS = 20
GOAL_MS, GOAL_PAIRS = 15, 820
GATES, LONGEST = 400, 3_000
#: Share of pairs that get worse, and as many that get better: both sides fail 5 % of the time, 3 % together.
DISCORDANT = 0.02
_GATE = Gate.model_validate(
    {
        "metrics": [
            {"id": f"m{row}", "kind": "paired_binary", "signal": "escalation", "margin": MARGIN}
            for row in range(METRICS)
        ]
    }
)
_BOX = Ballotbox(_GATE)


def main() -> None:
    """Print what folding costs beside the loop, what a look costs, and how soon a margin is certified."""
    values = _differences(PAIRS, METRICS)
    ends = Ends(values, values, np.ones(values.shape, np.bool_))
    print(f"evidence: {METRICS} metrics x {PAIRS:,} pairs, both ends of each difference; ms on one core")
    ours = 1e3 * cpu_seconds(lambda: Differences.none(METRICS).fold(ends))
    theirs = 1e3 * cpu_seconds(lambda: _by_hand(values[:LOOP_PAIRS])) * PAIRS / LOOP_PAIRS
    print(f"  fold, one batch:          {ours:>9.1f}  (goal {GOAL_MS})")
    for cohorts in (0, 5):
        votes = _votes(values, cohorts)
        whole = 1e3 * cpu_seconds(partial(_folded, votes))
        print(f"  whole votes, {cohorts} slices each:{whole:>7.1f}  (exemplars, placebo and slices with it)")
    counting = 1e3 * cpu_seconds(partial(_BOX.count_all, _conversations(values)))
    print(f"  ballots counted first:    {counting:>9.1f}  (both lanes of every conversation, from values to votes)")
    print(f"  plain loop, one end:      {theirs:>9.1f}  (the fold is {theirs / ours:.0f} times as fast)")
    _looking(values)
    _certifying()
    _check(values[:LOOP_PAIRS])


def _votes(values: Floats, cohorts: int) -> list[Vote]:
    none, known = np.zeros(METRICS, np.bool_), np.ones(METRICS, np.bool_)
    return [
        Vote(
            key=str(number), offset=number, at=None, difference=Ends(row, row, known), placebo=Ends(row, row, known),
            unknown=none, uncalibrated=none, hits=none, lane_hits=none, laned=True, failed=False, failed_alike=False,
            excused=False, guessed=False,
            cohort=tuple((f"attribute {each}", str(number % (each + 2))) for each in range(cohorts)),
            exemplar=Exemplar(0, f"{number:064x}"), turns=1, headroom=row,
        )
        for number, row in enumerate(values)
    ]  # fmt: skip


def _conversations(values: Floats) -> list[list[Ballot]]:
    """One request each, in both lanes; what gets worse is the first metric's, as all have one signal."""
    return [[_ballot(number, lane, values[number, 0]) for lane in ("candidate", "baseline")] for number in range(PAIRS)]


def _ballot(number: int, lane: Lane, difference: float) -> Ballot:
    value = float(difference == (1.0 if lane == "candidate" else -1.0))
    return Ballot(
        offset=number, comparison_id=f"{lane}{number}", trace_id=str(number), conversation=None, at=number, lane=lane,
        sample=0, lane_probability=1.0, failed=None, guessed=False, severity=0, values=(value,), production=(0.0,),
    )  # fmt: skip


def _folded(votes: list[Vote]) -> None:
    Evidence(_GATE).fold(votes)


def _looking(values: Floats) -> None:
    binary, chance = counted(values[:, 0], "up"), np.random.default_rng(1)
    spread = counted(chance.uniform(-1, 1, 100_000), "up")
    for what, counts in (("events", binary), ("any value", spread)):
        test = 1e3 * cpu_seconds(partial(log_e_safe, counts, MARGIN), seconds=0.5)
        bounds = 1e3 * cpu_seconds(partial(band, counts, counts, harm=ALPHA, safe=ALPHA), seconds=0.5)
        print(f"  a look at one metric, {what + ':':<10}{test:>8.3f} for one margin, {bounds:.2f} for its band")


def _certifying() -> None:
    """Each gate is asked after every pair, by the shipped test, until it has certified."""
    first = np.array([_certified_after(_differences(LONGEST, 1, seed)[:, 0]) for seed in range(GATES)])
    half, most = np.quantile(first, [0.5, 0.9])
    print(f"certifying {MARGIN:.0%} at a 5 % base rate, {GATES:,} simulated gates watched at every pair:")
    print(f"  half have certified after {half:,.0f} pairs (goal {GOAL_PAIRS}), nine in ten after {most:,.0f}")


def _certified_after(values: Floats) -> int:
    counts, where = counted(values[:0], "up"), places(values, "up").tolist()
    for pair, place in enumerate(where, 1):
        counts[place] += 1
        if log_e_safe(counts, MARGIN) >= log(1 / ALPHA):
            return pair
    return LONGEST + 1


def _differences(pairs: int, metrics: int, seed: int = 0) -> Floats:
    chance = np.random.default_rng(seed).random((pairs, metrics))
    return (chance < DISCORDANT).astype(np.float64) - (chance >= 1 - DISCORDANT)


def _by_hand(values: Floats) -> list[list[list[float]]]:
    """Log-wealth by side (harm, safe), metric and bet."""
    bets, columns = BETS.tolist(), values.T.tolist()
    wealth = [[[0.0] * len(bets) for _ in columns] for _ in range(2)]
    for metric, column in enumerate(columns):
        for value in column:
            for place, bet in enumerate(bets):
                wealth[0][metric][place] += log1p(bet / (1 + MARGIN) * (value - MARGIN))
                wealth[1][metric][place] += log1p(bet / (1 - MARGIN) * (MARGIN - value))
    return wealth


def _check(values: Floats) -> None:
    """What is compared does the same work."""
    for side, test in zip(_by_hand(values), (log_e_harm, log_e_safe), strict=True):
        ours = [test(counted(column, "up"), MARGIN) for column in values.T]
        np.testing.assert_allclose(ours, np.log(np.exp(np.array(side)).mean(axis=1)), atol=1e-9)


if __name__ == "__main__":
    main()
