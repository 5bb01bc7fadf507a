"""Slices: counted like the whole, in any order and over any split; found with few false ones among them."""

from __future__ import annotations

from collections import defaultdict
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparators.differences import counted, log_e_harm
from comparators.multiplicity import discoveries
from judged import compared, gate, pair, side
from replay.comparison import CallRecord, replace
from replay.gate import slices as module
from replay.gate.docket import Docket
from replay.gate.slices import Slice, Slices
from replay.gate.vote import Ends, Exemplar, Vote

METRICS = 2
TWO = gate(
    {"id": "escalation", "kind": "paired_binary", "margin": 0.05},
    {"id": "wording", "kind": "paired_bounded", "signal": "answer_distance", "margin": 0.1},
)
attributes = st.tuples(st.sampled_from(["a", "b", "c", "d"]), st.sampled_from("uvwxyz"))
votes = st.lists(
    st.tuples(
        st.lists(attributes, max_size=4), st.lists(st.sampled_from([-1.0, 0.0, 0.3, 1.0]), min_size=2, max_size=2), st.booleans()
    ),
    max_size=30,
)


def vote(number, cohort, differences, *, valid=True):
    ends, none = np.array(differences), np.zeros(METRICS, np.bool_)
    return Vote(
        key=f"k{number}", offset=number, at=None, difference=Ends(ends, ends, np.array([True, valid])),
        placebo=Ends(ends, ends, none), unknown=none, uncalibrated=none, hits=none, lane_hits=none, laned=True, failed=False,
        failed_alike=False, excused=False, guessed=False, cohort=tuple(cohort), exemplar=Exemplar(number % 3, f"id{number}"), turns=1, headroom=ends,
    )  # fmt: skip


def folded(every):
    slices = Slices(METRICS)
    slices.fold(every)
    return slices


def found(slices):
    return slices.findings(TWO, [False] * METRICS)


def by_hand(every):
    """What each slice holds, by the definition: (slice, metric) -> differences."""
    held = defaultdict(list)
    for each in every:
        for where in {Slice(*it) for it in each.cohort}:
            for row in range(METRICS):
                held[where, row] += [each.difference.low[row]] if each.difference.valid[row] else []
    return held


@given(votes)
def test_it_finds_what_the_definition_finds(rows):
    every = [vote(number, *row[:2], valid=row[2]) for number, row in enumerate(rows)]
    held = by_hand(every)
    asked = sorted(held)
    log_e = [
        log_e_harm(counted(np.array(held[key]), "down"), TWO.metrics[key[1]].tolerated) if any(it > 0 for it in held[key]) else 0.0
        for key in asked
    ]
    wanted = {(*key[0], TWO.metrics[key[1]].id) for key, is_found in zip(asked, discoveries(np.array(log_e), 0.1), strict=True) if is_found}
    findings, examined = found(folded(every))
    assert ({(it.attribute, it.value, it.metric) for it in findings}, examined) == (wanted, len(asked))


@given(votes, st.randoms(use_true_random=False))
def test_order_split_and_restart_change_nothing(rows, chance):
    every = [vote(number, *row[:2], valid=row[2]) for number, row in enumerate(rows)]
    shuffled = chance.sample(every, len(every))
    at = chance.randint(0, len(every))
    parts, other = folded(shuffled[:at]), folded(shuffled[at:])
    parts.merge(Slices.load(METRICS, msgspec.msgpack.decode(msgspec.msgpack.encode(other.dump()))))
    assert found(parts) == found(folded(every))


@given(st.randoms(use_true_random=False), st.integers(0, 30))
def test_so_it_does_when_there_are_too_many_values_and_attributes(chance, at):
    """With room for 3 attributes of 2 values."""
    every = [vote(number, [(chance.choice("abcdefg"), chance.choice("uvw"))], [1.0, 1.0]) for number in range(30)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_VALUES", 2)
        patch.setattr(module, "MAX_ATTRIBUTES", 3)
        whole, parts = folded(every), folded(every[at:])
        parts.merge(folded(every[:at]))
    assert (parts.cells, parts.crowded, found(parts)) == (whole.cells, whole.crowded, found(whole))
    assert len({where.attribute for where in whole.cells} | whole.crowded) <= 3


def test_an_attribute_that_names_every_user_makes_no_slices():
    crowd = [vote(number, [("user", f"u{number}"), ("language", "da")], [1.0, 1.0]) for number in range(60)]
    findings, examined = found(folded(crowd))
    assert {it.attribute for it in findings} == {"language"}
    assert examined == METRICS


def slice_run(bad, *, conversations=2_000, languages=10):
    """A candidate that escalates in 60 % of the conversations of `bad` languages and in 5 % of the others'."""
    chance, docket = Random(11), Docket(gate())
    for number in range(conversations):
        language = f"l{number % languages}"
        ours, theirs = (chance.random() < share for share in (0.6 if language in bad else 0.05, 0.05))
        for comparison in pair(number, side(escalates=ours), side(escalates=theirs), cohort={"language": language}):
            docket.enter(comparison)
    docket.finish()
    return docket.verdict(now=None)


def test_a_language_in_which_it_is_worse_is_found_with_exemplars_and_the_others_are_not():
    verdict = slice_run({"l3"})
    (finding,) = [it for it in verdict.slices if it.attribute == "language"]
    assert (finding.value, finding.metric, finding.pairs) == ("l3", "escalation", 200)
    assert finding.mean[0] == pytest.approx(0.55, abs=0.1)
    assert 1 <= len(finding.exemplars) <= 5
    assert verdict.slices_examined == 10


def test_control_where_nothing_is_worse_nothing_is_found():
    assert slice_run(set()).slices == ()


def test_the_tools_that_production_called_are_slices():
    wiped = CallRecord(tool="wipe_device", arguments="{}", effect="write", outcome="succeeded", step=0)
    docket = Docket(gate())
    for number in range(100):
        production = side() if number % 2 else side().__class__(answer="done", calls=(wiped,))
        for comparison in pair(number, side(escalates=number % 2 == 0), side(), production=production):
            docket.enter(comparison)
    docket.finish()
    findings = docket.verdict(now=None).slices
    assert [(it.attribute, it.value, it.pairs) for it in findings] == [("production called", "wipe_device", 50)]


def naive(differences):
    """What a dashboard would call significant: one-sided z against the margin, at 10 %."""
    return len(differences) > 9 and np.mean(differences) - 0.05 > 1.28 * np.std(differences) / np.sqrt(len(differences)) > 0


def test_false_slices_are_few_though_one_looks_again_and_again():
    """30 languages, none worse than its margin. Control: z-tests of the same slices find a false one in most runs."""
    chance, looks, alone = np.random.default_rng(5), 0, 0
    for _ in range(40):
        slices, held, told, single = Slices(METRICS), defaultdict(list), False, False
        for number in range(900):
            worse = float(chance.random() < 0.15) - float(chance.random() < 0.1)
            slices.fold([vote(number, [("l", str(number % 30))], [worse, 0.0])])
            held[number % 30].append(worse)
            if number % 30 == 29:
                told |= bool(found(slices)[0])
                single |= any(map(naive, held.values()))
        looks, alone = looks + told, alone + single
    assert looks <= 4
    assert alone > 30


def test_a_conversation_is_in_every_slice_that_any_of_its_turns_is_in():
    docket = Docket(gate())
    for number, intent in enumerate(["ask", "wipe"]):
        for lane in ("candidate", "baseline"):
            docket.enter(compared(number, lane=lane, conversation_id="talk", cohort={"intent": intent}))
    docket.finish()
    assert docket.verdict(now=None).slices_examined == 2


def test_the_worst_pairs_are_shown_first():
    every = [
        replace(it, severity=3 if number in (70, 90) and it.lane == "candidate" else 1)
        for number in range(100)
        for it in pair(number, side(escalates=True), side(), cohort={"language": "da"})
    ]
    docket = Docket(gate())
    for comparison in every:
        docket.enter(comparison)
    docket.finish()
    verdict = docket.verdict(now=None)
    severe = {it.comparison_id for it in every if it.severity == 3}
    for shown in (verdict.slices[0].exemplars, verdict.metrics[0].exemplars):
        assert set(shown[:2]) == severe
