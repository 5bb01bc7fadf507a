"""Where a gate that sees expectations promotes what a benchmark's labels call worse, and why: pair by pair.

Asked of 63 ordered pairs of releases whose labelled success is 20 points worse or more: AgentDojo banking, resampled as
in `test_verdicts_resampled`, nothing but `expected_failed` in the gate, contracts as `compare` infers them. Scored by
the labels all 63 are rolled back; scored by expectations, 34, and 22 are promoted. They measure two things here. Of what
a candidate loses by its labels, an expectation does not see

* `path`: what production had missed already, on another path to the same end: another date, or values given back as
  they were. A contract that ignores those, as the owner of these tools would write it, takes this away;
* `attack`: what production had missed already because it paid the attacker, too, which a task's label leaves out. There
  the label is wrong about harm and the expectation right;
* `untold`: what neither missed, because no output is named that was to be told;
* `other`: what production had missed already in any other way: a payment made thirteen times over, a write left out.

What a candidate gains by its expectation, mostly attackers that it does not pay, is `regained` and set against what it
loses: a gate holds the mean. With such a contract, and a label that counts a payment to the attacker as harm, no pair is
promoted. The table shows every one that is without, so that there can not be more of them unseen.
"""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from operator import attrgetter
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
from replay.expected import recorded_outcome
from resampled import CLEAR, MARGIN, Resampled

BANKING = CORPUS / "agentdojo-banking.jsonl.gz"
#: What the owner of these tools would say: the subject of a payment, its date and what is given back as it was mean
#: nothing here. That is what the checks of the benchmark's own tasks leave out.
MEANINGLESS = ("subject", "date", "recurring", "first_name", "last_name")


class Fared(NamedTuple):
    """How one release fared, bool[32], in one order of requests.

    `failed` by the label, `missed` by its expectation, `missed_lax` by the owner's contracts; `attacked`: it did what an
    attacker asked for.
    """

    failed: np.ndarray
    attacked: np.ndarray
    missed: np.ndarray
    missed_lax: np.ndarray

    @property
    def harmed(self) -> np.ndarray:
        """Failed, or attacked: the label that knows both."""
        return self.failed | self.attacked


class Lost(NamedTuple):
    """Requests that a candidate loses by its label, by what an expectation makes of each; `regained` by expectation."""

    lost: int
    seen: int
    path: int
    attack: int
    other: int
    untold: int
    regained: int


@pytest.fixture(scope="module")
def releases():
    recording = read_recording("banking", read_items(str(BANKING)), key=tuple(DEFAULT_KEY.split(".")), where=())
    by_release = {}
    for key in sorted(recording.by_key):
        for it in recording.by_key[key]:
            by_release.setdefault(it.bundle.rpartition("/")[2], []).append(it.trace)
    assert [len(traces) for traces in by_release.values()] == [32] * 17
    contracts = contracts_of([trace for traces in by_release.values() for trace in traces], load_toolsets(None, beside=str(BANKING)))
    ignored = {"arguments": {name: ArgumentRule(ignore=True) for name in MEANINGLESS}}
    lax = {name: contract.model_copy(update=ignored) for name, contract in contracts.items()}
    toolings = [Tooling(it, it) for it in (contracts, lax)]
    return {
        name: Fared(
            np.array([not it.labels["task_success"] for it in traces]),
            np.array([bool(it.labels["attack_succeeded"]) for it in traces]),
            *(np.array([not recorded_outcome(it, tooling) for it in traces]) for tooling in toolings),
        )
        for name, traces in by_release.items()
    }


def clearly_worse(releases, of):
    """Ordered pairs of which the candidate is 20 points worse or more."""
    return [pair for pair in permutations(releases, 2) if of(releases[pair[1]]).mean() - of(releases[pair[0]]).mean() >= CLEAR]


def decisions(releases, pairs, of):
    judge = Resampled()
    return {pair: judge.decision(*(of(releases[name]).astype(float) for name in pair)) for pair in pairs}


def account(baseline: Fared, candidate: Fared) -> Lost:
    lost = candidate.failed & ~baseline.failed
    before = lost & baseline.missed
    by_path = before & ~baseline.missed_lax
    by_attack = before & ~by_path & baseline.attacked
    within = lost & ~baseline.missed
    return Lost(*(int(it.sum()) for it in (
        lost, within & candidate.missed, by_path, by_attack, before & ~by_path & ~by_attack, within & ~candidate.missed,
        baseline.missed & ~candidate.missed,
    )))  # fmt: skip


FAILED, HARMED, MISSED, MISSED_LAX = map(attrgetter, ("failed", "harmed", "missed", "missed_lax"))

# -- the literal question -------------------------------------------------------------------------------------------------


class Promoted(NamedTuple):
    """Gaps in points, above 0 = the candidate is worse: by the label, by one that counts attacks, by expectation."""

    by_label: int
    with_attacks: int
    by_expectation: int
    of_32: Lost


GPT4, GPT4O = "gpt-4-0125-preview", "gpt-4o-2024-05-13"
DETECTOR, REPEAT, SPOTLIGHT = (f"{GPT4O}-{defence}" for defence in ("transformers_pi_detector", "repeat_user_prompt", "spotlighting_with_delimiting"))

#: Every pair that is promoted, and why: `Lost` is lost, seen, path, attack, other, untold; regained.
PROMOTED = {
    ("gemini-1.5-pro-002", "gemini-1.5-flash-002"): Promoted(22, 12, 3, Lost(9, 1, 4, 2, 0, 2, 1)),
    (GPT4, "claude-3-haiku-20240307"): Promoted(28, -3, -12, Lost(13, 2, 4, 6, 0, 1, 6)),
    (GPT4, "claude-3-sonnet-20240229"): Promoted(22, 3, -9, Lost(11, 1, 4, 5, 0, 1, 4)),
    (GPT4, "command-r"): Promoted(38, 6, -3, Lost(12, 1, 5, 5, 0, 1, 3)),
    (GPT4, "command-r-plus"): Promoted(31, 0, -6, Lost(14, 2, 4, 7, 0, 1, 4)),
    (GPT4, "gemini-1.5-flash-001"): Promoted(25, -3, -9, Lost(12, 0, 5, 5, 0, 2, 4)),
    (GPT4, "gemini-1.5-flash-002"): Promoted(31, 0, -16, Lost(14, 0, 5, 7, 0, 2, 6)),
    (GPT4, DETECTOR): Promoted(28, -3, -19, Lost(13, 0, 4, 7, 0, 2, 6)),
    (GPT4, "gpt-4o-mini-2024-07-18"): Promoted(22, 3, -9, Lost(8, 0, 3, 4, 0, 1, 3)),
    (GPT4, "meta-llama_Llama-3-70b-chat-hf"): Promoted(25, 0, -9, Lost(12, 0, 4, 7, 0, 1, 3)),
    (REPEAT, "gemini-1.5-flash-002"): Promoted(50, 28, 0, Lost(17, 2, 5, 5, 2, 3, 3)),
    (REPEAT, "gemini-1.5-pro-002"): Promoted(28, 16, -3, Lost(11, 1, 3, 3, 3, 1, 4)),
    (REPEAT, DETECTOR): Promoted(47, 25, -3, Lost(16, 2, 4, 5, 2, 3, 3)),
    (SPOTLIGHT, "claude-3-haiku-20240307"): Promoted(41, 12, -3, Lost(14, 4, 5, 5, 0, 0, 5)),
    (SPOTLIGHT, "claude-3-opus-20240229"): Promoted(25, -3, 0, Lost(8, 3, 2, 3, 0, 0, 4)),
    (SPOTLIGHT, "claude-3-sonnet-20240229"): Promoted(34, 19, 0, Lost(12, 2, 5, 3, 2, 0, 2)),
    (SPOTLIGHT, "gemini-1.5-flash-001"): Promoted(38, 12, 0, Lost(13, 2, 6, 4, 0, 1, 3)),
    (SPOTLIGHT, "gemini-1.5-flash-002"): Promoted(44, 16, -6, Lost(15, 2, 6, 6, 0, 1, 5)),
    (SPOTLIGHT, "gemini-1.5-pro-002"): Promoted(22, 3, -9, Lost(10, 1, 4, 3, 2, 0, 5)),
    (SPOTLIGHT, DETECTOR): Promoted(41, 12, -9, Lost(14, 2, 5, 6, 0, 1, 5)),
    (SPOTLIGHT, "gpt-4o-mini-2024-07-18"): Promoted(34, 19, 0, Lost(13, 2, 5, 4, 2, 0, 3)),
    (SPOTLIGHT, "meta-llama_Llama-3-70b-chat-hf"): Promoted(38, 16, 0, Lost(13, 1, 5, 6, 0, 1, 1)),
}  # fmt: skip


def points(releases, pair, of) -> int:
    return round(100 * (of(releases[pair[1]]).mean() - of(releases[pair[0]]).mean()))


def test_of_63_labelled_gaps_expectations_promote_these_22_and_no_others(releases):
    pairs = clearly_worse(releases, FAILED)
    decided = decisions(releases, pairs, MISSED)
    assert Counter(decided.values()) == {"roll_back": 34, "promote": 22, "hold": 7}
    promoted = [pair for pair in pairs if decided[pair] == "promote"]
    assert {
        pair: Promoted(*(points(releases, pair, of) for of in (FAILED, HARMED, MISSED)), account(*(releases[name] for name in pair)))
        for pair in promoted
    } == PROMOTED


@pytest.mark.parametrize("pair", PROMOTED, ids=" > ".join)
def test_each_has_its_reason(pair):
    """What was lost is seen or hidden in a way that has a name, most of it is hidden, and the score has no gap."""
    it = PROMOTED[pair].of_32
    assert it.lost == it.seen + it.path + it.attack + it.other + it.untold
    assert it.path + it.attack > max(it.seen, it.other + it.untold)
    assert PROMOTED[pair].by_expectation < 100 * MARGIN < 100 * CLEAR <= PROMOTED[pair].by_label


def test_control_scored_by_the_labels_all_63_are_rolled_back(releases):
    """So that it is two scores that differ, and not a gate that sleeps."""
    assert Counter(decisions(releases, clearly_worse(releases, FAILED), FAILED).values()) == {"roll_back": 63}


# -- each of the two reasons taken away ------------------------------------------------------------------------------------


def test_where_attacks_count_as_harm_4_of_44_are_promoted_and_all_by_the_path(releases):
    pairs = clearly_worse(releases, HARMED)
    decided = decisions(releases, pairs, MISSED)
    assert Counter(decided.values()) == {"roll_back": 35, "hold": 5, "promote": 4}
    promoted = [pair for pair in pairs if decided[pair] == "promote"]
    assert "promote" not in decisions(releases, promoted, MISSED_LAX).values()


def test_with_the_owners_contracts_9_of_63_are_promoted_and_all_by_attacks(releases):
    decided = decisions(releases, clearly_worse(releases, FAILED), MISSED_LAX)
    assert Counter(decided.values()) == {"roll_back": 47, "promote": 9, "hold": 7}
    assert all(points(releases, pair, HARMED) < 100 * CLEAR for pair, decision in decided.items() if decision == "promote")


def test_with_both_none_is_promoted(releases):
    assert Counter(decisions(releases, clearly_worse(releases, HARMED), MISSED_LAX).values()) == {"roll_back": 41, "hold": 3}


def test_why_an_expectation_is_missed_where_the_label_is_content(releases):
    """The figures of `test_expected_corpus`: by the path, by an attack, and all."""
    apart = [it.missed & ~it.failed for it in releases.values()]
    each = list(zip(apart, releases.values(), strict=True))
    path = sum(int((one & ~it.missed_lax).sum()) for one, it in each)
    attack = sum(int((one & it.missed_lax & it.attacked).sum()) for one, it in each)
    assert (path, attack, int(np.sum(apart))) == (52, 45, 153)
