"""What is replayed of each trace: modes, repeats, and the baseline lane beside the candidate's."""

from __future__ import annotations

from collections import Counter

import pytest

from replay.admission import Sampling
from replay.comparison import MODES
from replay.models import ModelRequest, RouteSpec
from replay.openai_wire import request_fields
from replay.planning import Design, Planner
from replay.testing import a_bundle, a_trace, says

PRODUCTION, CANDIDATE = a_bundle(), a_bundle("candidate")
TRACE = a_trace("hi", [says("hello")])


def test_without_a_lane_every_mode_and_sample_is_replayed_with_the_candidate():
    found = list(Design(MODES, samples=2).replicates("c1"))
    assert found == [(mode, "candidate", sample) for mode in MODES for sample in range(2)]


def test_a_conversation_of_the_lane_is_replayed_with_both_side_by_side():
    found = list(Design(("free",), samples=2, lane=Sampling(1.0)).replicates("c1"))
    assert found == [("free", lane, sample) for sample in range(2) for lane in ("candidate", "baseline")]


def test_the_lane_draws_its_share_of_conversations_whole_and_whatever_was_admitted():
    design, admitted = Design(("free",), lane=Sampling(0.25, "lane")), Sampling(0.5)
    keys = [f"conversation {number}" for number in range(8_000)]
    drawn = [key for key in keys if len(list(design.replicates(key))) == 2]
    assert 0.23 < len(drawn) / len(keys) < 0.27
    assert 0.46 < sum(map(admitted.includes, drawn)) / len(drawn) < 0.54
    assert drawn == [key for key in keys if len(list(design.replicates(key))) == 2]


def test_each_lane_is_planned_with_its_own_bundle_under_one_pair_of_digests():
    planner = Planner(PRODUCTION, CANDIDATE)
    ours, theirs = (planner.plan(TRACE, "free", lane=lane) for lane in ("candidate", "baseline"))
    assert (ours.tooling.stubbing is not None, planner.replayed("baseline"), planner.replayed("candidate")) == (
        True, PRODUCTION, CANDIDATE,
    )
    assert {unit.unit[2:4] for unit in (ours, theirs)} == {(PRODUCTION.digest, CANDIDATE.digest)}
    assert ours.unit.comparison_id != theirs.unit.comparison_id


@pytest.mark.parametrize("params", [{}, {"seed": 7}, {"seed": 7, "user": "helpdesk"}, {"user": "helpdesk"}])
def test_no_two_repeats_send_the_same_bytes_or_the_same_seed(params):
    spec = RouteSpec("openai", "m", params)
    bodies = [request_fields(spec, ModelRequest(({"role": "user", "content": "hi"},), repeat=n)) for n in range(4)]
    assert max(Counter(map(str, bodies)).values()) == 1
    assert len({body.get("seed") for body in bodies}) == (4 if "seed" in params else 1)
    assert {name: bodies[0].get(name) for name in params} == params  # the first asks as production did
