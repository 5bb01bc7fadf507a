"""Expectations in the gate and a benchmark's labels: no release that its labels call clearly worse is promoted.

Asked of the 63 ordered pairs of releases whose labelled success is 20 points worse or more: AgentDojo banking, resampled
as in `test_verdicts_resampled`, nothing but expectations in the gate. What was left out and what was done beyond are two
metrics there. One number for both nets them: a release that no longer pays an attacker then makes good that it forgets
the user's task, and 22 of the 63 are promoted (the control). Told apart, and with the contracts that the owner of these
tools would write, all 63 are rolled back.

With contracts as `compare` infers them every argument counts, and some pairs are promoted: production had missed the same
requests already, on another path to the same end (another date, or values given back as they were). The table shows each
of them, so that there can not be more of them unseen.
"""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from typing import NamedTuple

import numpy as np
import pytest

from consumers.compare import read_recording
from consumers.compare_command import DEFAULT_KEY
from consumers.files import read_items
from consumers.toolsets import load_toolsets
from processes import CORPUS
from replay.bundle_infer import contracts_of
from replay.contract import ArgumentRule, Tooling
from replay.expected import recorded_misses
from resampled import CLEAR, MARGIN, Resampled

BANKING = CORPUS / "agentdojo-banking.jsonl.gz"
#: What the owner of these tools would say: the subject of a payment, its date and what is given back as it was mean
#: nothing here. That is what the checks of the benchmark's own tasks leave out.
MEANINGLESS = ("subject", "date", "recurring", "first_name", "last_name")
APART, NETTED = ("expected_omitted", "expected_exceeded"), ("expected_failed",)


class Fared(NamedTuple):
    """How one release fared, in one order of requests.

    `failed`, bool[32]: by the label; `attacked`: it did what an attacker asked for. By its expectation, bool[2, 32],
    what it left out and what it did beyond: `inferred` by contracts that `compare` infers, `owned` by the owner's.
    """

    failed: np.ndarray
    attacked: np.ndarray
    inferred: np.ndarray
    owned: np.ndarray

    @property
    def harmed(self) -> np.ndarray:
        """Failed, or attacked: the label that knows both."""
        return self.failed | self.attacked


@pytest.fixture(scope="module")
def releases():
    recording = read_recording("banking", read_items(str(BANKING)), key=tuple(DEFAULT_KEY.split(".")), where=())
    by_release = {}
    for key in sorted(recording.by_key):
        for it in recording.by_key[key]:
            by_release.setdefault(it.bundle.rpartition("/")[2], []).append(it.trace)
    assert [len(traces) for traces in by_release.values()] == [32] * 17
    every = [trace for traces in by_release.values() for trace in traces]
    contracts = contracts_of(every, load_toolsets(None, beside=str(BANKING)))
    ignored = {"arguments": {name: ArgumentRule(ignore=True) for name in MEANINGLESS}}
    owned = {name: contract.model_copy(update=ignored) for name, contract in contracts.items()}
    return {
        name: Fared(
            np.array([not it.labels["task_success"] for it in traces]),
            np.array([bool(it.labels["attack_succeeded"]) for it in traces]),
            *(missed(traces, Tooling(it, it)) for it in (contracts, owned)),
        )
        for name, traces in by_release.items()
    }


def missed(traces, tooling):
    """bool[2, traces]: what was left out, and what was done beyond."""
    ways = [recorded_misses(it, tooling) for it in traces]
    return np.array([[way in found for found in ways] for way in ("omitted", "exceeded")])


@pytest.fixture(scope="module")
def pairs(releases):
    """Ordered pairs of which the candidate is labelled 20 points worse or more."""
    worse = [it for it in permutations(releases, 2) if points(releases, it, "failed") >= 100 * CLEAR]
    assert len(worse) == 63
    return worse


def points(releases, pair, of) -> float:
    """A gap in points, above 0 = the candidate is worse."""
    baseline, candidate = (getattr(releases[name], of) for name in pair)
    return 100 * float(candidate.mean() - baseline.mean())


def decisions(releases, pairs, of, signals=APART, **metric):
    judge = Resampled(*signals, **metric)
    one = signals == NETTED
    seen = {name: (getattr(it, of).any(axis=0) if one else getattr(it, of)).astype(float) for name, it in releases.items()}
    return {pair: judge.decision(*(seen[name] for name in pair)) for pair in pairs}


def test_no_pair_that_is_labelled_clearly_worse_is_promoted(releases, pairs):
    assert Counter(decisions(releases, pairs, "owned").values()) == {"roll_back": 63}


def test_identical_releases_are_promoted(releases):
    same = [(name, name) for name in releases]
    for of in ("owned", "inferred"):
        assert set(decisions(releases, same, of).values()) == {"promote"}


def test_control_a_gate_that_tolerates_nearly_everything_promotes_what_is_worse(releases, pairs):
    assert set(decisions(releases, pairs[::7], "owned", margin=0.99).values()) == {"promote"}


def test_control_scored_by_the_label_itself_all_63_are_rolled_back(releases, pairs):
    judge = Resampled()
    fared = {name: it.failed.astype(float) for name, it in releases.items()}
    assert {judge.decision(*(fared[name] for name in pair)) for pair in pairs} == {"roll_back"}


@pytest.mark.parametrize(("of", "promoted"), [("inferred", 22), ("owned", 9)])
def test_control_one_number_for_both_ways_nets_them_and_promotes(releases, pairs, of, promoted):
    assert Counter(decisions(releases, pairs, of, NETTED).values())["promote"] == promoted


# -- contracts as they are inferred ----------------------------------------------------------------------------------------

GPT4 = "gpt-4-0125-preview"


class Hidden(NamedTuple):
    """Gaps in points by the label, and by what was left out, by inferred and by the owner's contracts; requests lost by
    the label, and those of them that production had left out already, on another path.
    """

    by_label: int
    inferred: int
    owned: int
    lost: int
    by_path: int


#: Every pair that is promoted with inferred contracts, and why.
PROMOTED = {
    (GPT4, "claude-3-sonnet-20240229"): Hidden(22, -3, 25, 11, 8),
    (GPT4, "gpt-4o-2024-05-13-transformers_pi_detector"): Hidden(28, 3, 34, 13, 8),
    (GPT4, "gpt-4o-mini-2024-07-18"): Hidden(22, 0, 19, 8, 6),
    (GPT4, "meta-llama_Llama-3-70b-chat-hf"): Hidden(25, 3, 34, 12, 8),
}


def hidden(releases, pair) -> Hidden:
    baseline, candidate = (releases[name] for name in pair)
    lost = candidate.failed & ~baseline.failed
    omitted = [[getattr(it, of)[0] for it in (baseline, candidate)] for of in ("inferred", "owned")]
    (before, _), (before_owned, _) = omitted
    return Hidden(
        round(points(releases, pair, "failed")),
        *(round(100 * float(after.mean() - earlier.mean())) for earlier, after in omitted),
        int(lost.sum()),
        int((lost & before & ~before_owned).sum()),
    )


def test_with_inferred_contracts_these_4_are_promoted_and_no_others(releases, pairs):
    decided = decisions(releases, pairs, "inferred")
    assert Counter(decided.values()) == {"roll_back": 55, "promote": 4, "hold": 4}
    assert {pair: hidden(releases, pair) for pair, decision in decided.items() if decision == "promote"} == PROMOTED


@pytest.mark.parametrize("pair", PROMOTED, ids=" > ".join)
def test_they_are_because_production_took_another_path(pair):
    it = PROMOTED[pair]
    assert it.inferred < 100 * MARGIN < it.owned
    assert 2 * it.by_path > it.lost


def test_where_a_payment_to_the_attacker_counts_as_harm_none_is_promoted_either(releases):
    worse = [it for it in permutations(releases, 2) if points(releases, it, "harmed") >= 100 * CLEAR]
    assert Counter(decisions(releases, worse, "owned").values()) == {"roll_back": 44}
