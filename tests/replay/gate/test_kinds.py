"""Every kind of metric at exactly its margin, on requests that are unkind to it; and what harm it finds how soon.

Twenty thousand requests are measured in both lanes and held against each other by the gate's own differences. The
candidate is shifted or scaled until the mean lies on the margin to the last request; each run then draws requests from
these, and is looked at after every one. A test that assumes less than it says shows here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from comparators.differences import shared
from crossings import first_crossing, harm, safe, share_crossed, tolerated
from replay.gate.config import Metric
from replay.gate.questions import DIFFERENCES, Terms

REQUESTS, RUNS, PAIRS = 20_000, 400, 4_000
NOISE = 0.4


class Measured(NamedTuple):
    """One metric of all requests, float64[REQUESTS] in each lane."""

    metric: Metric
    candidate: np.ndarray
    baseline: np.ndarray

    @property
    def differences(self):
        sides = (side[:, np.newaxis] for side in (self.candidate, self.baseline))
        return DIFFERENCES[self.metric.kind](Terms.of([self.metric]), *sides)[:, 0]

    def runs(self, *, seed, runs=RUNS):
        """Requests drawn at random: int32[runs, PAIRS]."""
        return np.random.default_rng(seed).integers(0, len(self.candidate), (runs, PAIRS), dtype=np.int32)

    def share_crossed(self, side, gain, *, seed):
        """In how many runs the evidence suffices at any look."""
        return share_crossed(self.runs(seed=seed), gain, of=shared(self.differences, side))


# -- at the margin ----------------------------------------------------------------------------------------------------


def noise(chance, size=NOISE):
    return np.exp(size * chance.standard_normal(REQUESTS))


def pareto(chance, index):
    return (1.0 - chance.random(REQUESTS)) ** (-1.0 / index)


def rare_but_bad(chance):
    """Answers of which most are a little nearer to production's, and a few far off."""
    baseline = chance.uniform(0.1, 0.5, REQUESTS)
    moved = np.where(chance.random(REQUESTS) < 0.03, 0.35, 0.0) + chance.uniform(-0.08, 0.08, REQUESTS)
    return Measured(of("answer_distance", "paired_bounded", margin=0.02), baseline + moved + 0.02 - moved.mean(), baseline)


def slow_tails(chance):
    """Latencies with a tail so heavy that their variance is infinite; 5 % of the baseline's are beyond the threshold."""
    request = 100.0 * pareto(chance, 1.1)
    candidate, baseline = request * noise(chance), request * noise(chance)
    threshold = float(np.quantile(baseline, 0.95))
    beyond = int((baseline > threshold).sum() + 0.01 * REQUESTS)
    ranked = np.sort(candidate)[::-1]
    scale = threshold / ranked[beyond - 1 : beyond + 1].mean()
    return Measured(
        of("latency_ms", "paired_exceedance", threshold=threshold, margin=0.01), candidate * scale, baseline
    )


def log_normal_cost(chance):
    request = 0.1 * noise(chance, 1.0)
    return capped(request * noise(chance), request * noise(chance))


def costs_without_a_mean(chance):
    """The two lanes have nothing in common, and without a cap neither would have a mean."""
    return capped(0.1 * pareto(chance, 0.5), 0.1 * pareto(chance, 0.5))


def capped(candidate, baseline):
    """A mean that is dearer by as much as is tolerated, found by halving."""
    cap = float(4 * np.median(baseline))
    low, high, wanted = 0.01, 100.0, 1.05 * np.minimum(baseline, cap).mean()
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(middle * candidate, cap).mean() < wanted else (low, middle)
    return Measured(of("cost_usd", "paired_mean_capped", cap=cap, rel_margin=0.05), low * candidate, baseline)


def as_often_larger_as_not(chance):
    """Ratios of two lanes with tails like Cauchy's; exactly half of them are larger than the margin."""
    baseline = noise(chance, 1.0)
    ratio = np.exp(np.clip(0.5 * chance.standard_cauchy(REQUESTS), -20, 20))
    return Measured(of("latency_ms", "paired_sign", rel_margin=0.05), 1.05 * baseline * ratio / np.median(ratio), baseline)


def never(chance):
    """As often as would be certified never to happen."""
    happens = np.arange(REQUESTS) < 0.005 * REQUESTS
    return Measured(of("unsafe_action", "zero_tolerance", max_rate=0.005), happens * 1.0, np.zeros(REQUESTS))


def of(signal, kind, **fields):
    return Metric(id=signal, kind=kind, **fields)


AT_MARGIN: tuple[Callable[[np.random.Generator], Measured], ...] = (
    rare_but_bad, slow_tails, log_normal_cost, costs_without_a_mean, as_often_larger_as_not, never,
)  # fmt: skip
every_kind = pytest.mark.parametrize("population", AT_MARGIN, ids=lambda it: it.__name__)


@cache
def measured(population):
    return population(np.random.default_rng(20))


def test_every_kind_has_a_population_but_that_of_plain_events():
    assert {measured(it).metric.kind for it in AT_MARGIN} == DIFFERENCES.keys() - {"paired_binary"}


@every_kind
def test_a_population_lies_on_its_margin(population):
    it = measured(population)
    assert np.mean(it.differences) == pytest.approx(it.metric.tolerated, abs=1e-9)
    assert min(it.candidate.min(), it.baseline.min()) >= 0


@every_kind
def test_at_its_margin_a_candidate_is_rarely_rolled_back(population):
    it = measured(population)
    assert it.share_crossed("down", harm(it.metric.tolerated), seed=1) <= tolerated(RUNS)


@every_kind
def test_at_its_margin_a_candidate_is_rarely_certified(population):
    it = measured(population)
    assert it.share_crossed("up", safe(it.metric.tolerated), seed=2) <= tolerated(RUNS)


@every_kind
def test_control_the_usual_test_at_every_look_is_fooled_by_each(population):
    """One-sided z, at 5 %, from the hundredth request on."""
    it = measured(population)
    differences, pairs = it.differences[it.runs(seed=1)], np.arange(1, PAIRS + 1)
    mean, square = (np.cumsum(differences**power, axis=1) / pairs for power in (1, 2))
    error = np.sqrt(np.maximum(square - mean**2, 1e-12) / pairs)
    assert np.mean(((mean - it.metric.tolerated) / error > 1.645)[:, 99:].any(axis=1)) > tolerated(RUNS)


# -- real harm --------------------------------------------------------------------------------------------------------
# Difficulty of requests: log-normal of sigma 1. `size`: sigma of what two runs of one request differ by, per lane.

MANY = 200_000


def latencies(size):
    """Both lanes of equals, so many that their shares are those of the distribution."""
    chance = np.random.default_rng(30)
    request = chance.standard_normal(MANY)
    return tuple(np.exp(request + size * chance.standard_normal(MANY)) for _ in range(2))


def found(it, *, runs=400):
    """Share of the runs that find harm within 4,000 requests, and after how many half of them have."""
    crossed = first_crossing(it.runs(seed=3, runs=runs), harm(0.0), of=shared(it.differences, "down"))
    return float(np.mean(crossed < PAIRS)), float(np.median(crossed))


def test_typical_latency_five_percent_up_is_found_by_its_sign_in_nine_of_ten_runs():
    """The uniform mixture of bets, which is the beta-binomial, finds 87 % here: its bets are larger than is needed."""
    candidate, baseline = latencies(size=0.4)
    it = Measured(of("latency_ms", "paired_sign", rel_margin=1e-9), 1.05 * candidate, baseline)
    assert np.mean(it.differences) == pytest.approx(0.0687, abs=0.005)  # 2 Phi(ln 1.05 / (0.4 sqrt 2)) - 1
    share, median = found(it)
    assert share >= 0.90
    assert median < 1_700


def slow_tail(size):
    """5 % of requests take three times as long; the threshold is what 5 % of the baseline's exceed."""
    candidate, baseline = latencies(size)
    slowed = np.where(np.random.default_rng(31).random(MANY) < 0.05, 3 * candidate, candidate)
    threshold = float(np.quantile(baseline, 0.95))
    return Measured(of("latency_ms", "paired_exceedance", threshold=threshold, margin=0.01), slowed, baseline)


@pytest.mark.parametrize(("size", "least"), [(0.2, 0.90), (0.3, 0.72), (0.4, 0.50)])
def test_a_slow_tail_is_found_by_its_exceedances_the_sooner_the_steadier_one_request_is(size, least):
    assert found(slow_tail(size))[0] >= least

