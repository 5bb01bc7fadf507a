"""What must not matter, for every kind of metric: which lane is called which, in what order votes come, how they are split."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from comparators.differences import log_e_harm, log_e_safe
from judged import gate
from replay.comparison import Source, replace
from replay.gate.docket import Docket
from replay.gate.equals import equals, scales_of
from replay.gate.evidence import Evidence
from replay.gate.questions import DIFFERENCES
from replay.gate.staged import TOPIC, staged

METRICS = (
    {"id": "escalation", "kind": "paired_binary", "margin": 0.05},
    {"id": "answer_distance", "kind": "paired_bounded", "margin": 0.03},
    {"id": "slow", "kind": "paired_exceedance", "signal": "latency_ms", "threshold": 1500.0, "margin": 0.02},
    {"id": "cost_usd", "kind": "paired_mean_capped", "cap": 0.4, "rel_margin": 0.05},
    {"id": "typical", "kind": "paired_sign", "signal": "first_token_ms", "rel_margin": 0.05},
    {"id": "refusal", "kind": "zero_tolerance", "max_rate": 0.01},
)
GATE = gate(*METRICS)
#: What a candidate loses by a difference, the baseline would win: not so where a margin is inside, or an event is net.
ANTISYMMETRIC = ("paired_binary", "paired_bounded", "paired_exceedance")
ROW = {metric.kind: row for row, metric in enumerate(GATE.metrics)}
MARGINS = (-0.1, -0.02, 0.0, 0.02, 0.1)


def conversations(seed, number=120):
    """Both lanes of requests, equal but for what would hardly ever differ: a time's threshold, and what never happens."""
    chance, scales = Random(seed), scales_of(GATE)
    for offset in range(number):
        it = equals(GATE, scales, chance)
        changed = {"refusal": float(chance.random() < 0.3), "latency_ms": it.candidate["latency_ms"] * chance.uniform(0.3, 3)}
        yield offset, {"candidate": it.candidate | changed, "baseline": it.baseline}


def comparisons(seed, *, swapped=False):
    other = {"candidate": "baseline", "baseline": "candidate"}
    return [
        staged(offset, other[lane] if swapped else lane, act, production={})
        for offset, acts in conversations(seed)
        for lane, act in acts.items()
    ]


def counts(delivered):
    """int64[metrics, 2, bins]: the candidate's best case and its worst."""
    docket = Docket(GATE)
    for it in delivered:
        docket.enter(it)
    docket.finish()
    return docket.evidence().candidate.counts


def log_e(found, margin):
    best, worst = found
    return log_e_harm(best, margin), log_e_safe(worst, margin)


def test_a_metric_of_every_kind_is_looked_at_and_none_is_all_ties():
    assert ROW.keys() == DIFFERENCES.keys()
    assert [np.count_nonzero(each) > 1 for each in counts(comparisons(1))[:, 0]] == [True] * len(METRICS)


@pytest.mark.parametrize("kind", ANTISYMMETRIC)
@pytest.mark.parametrize("margin", MARGINS)
def test_lanes_that_change_places_change_harm_and_safety(kind, margin):
    """At a margin of 0 one becomes the other; at another they do at its opposite."""
    ours, theirs = (counts(comparisons(1, swapped=swapped))[ROW[kind]] for swapped in (False, True))
    assert np.array_equal(ours[0], theirs[1][::-1])
    assert log_e(ours, margin) == pytest.approx(log_e(theirs, -margin)[::-1], abs=1e-9)


@pytest.mark.parametrize("kind", sorted(DIFFERENCES.keys() - set(ANTISYMMETRIC)))
def test_control_where_a_margin_is_inside_the_difference_they_do_not(kind):
    ours, theirs = (counts(comparisons(1, swapped=swapped))[ROW[kind]] for swapped in (False, True))
    assert log_e(ours, 0.0) != pytest.approx(log_e(theirs, 0.0)[::-1], abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_no_order_and_no_partition_changes_a_count_of_any_kind(seed):
    sent = comparisons(seed)
    shuffled = Random(seed).sample(sent, len(sent))
    assert np.array_equal(counts(shuffled), counts(sent))
    split = [replace(it, source=Source(topic=TOPIC, partition=it.source.offset % 5, offset=it.source.offset)) for it in shuffled]
    assert np.array_equal(counts(split), counts(sent))


@pytest.mark.parametrize("cut", [1, 40, 119])
def test_evidence_written_down_read_back_and_merged_is_that_of_the_whole(cut):
    whole, parts = Docket(GATE), (Docket(GATE), Docket(GATE))
    for it in comparisons(1):
        whole.enter(it)
        parts[it.source.offset >= cut].enter(it)
    for docket in (whole, *parts):
        docket.finish()
    first, second = (Evidence.load(GATE, docket.evidence().dump()) for docket in parts)
    first.merge(second)
    assert first.dump() == whole.evidence().dump()
    assert first.log_e_rollback() == whole.evidence().log_e_rollback()
    assert first.metrics() == whole.evidence().metrics()
