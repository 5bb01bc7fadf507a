"""How far expected outcomes agree with the corpus' own labels. Information, not a target: nothing is tuned to it.

The labels look at the state in which a task ends, or at a check written for it; an expectation looks at what was done
to get there. Where they part, by reason:

| corpus | label passes, expectation fails | label fails, expectation passes |
|---|---|---|
| AgentDojo banking | 52 writes with another date or subject than the one path that is named, or with values given back as they were; 45 that also, or only, pay an attacker, which the label leaves out; 56 others: a write left out, made again, or to an account by another of its names | 24 tasks that only ask: the label checks the answer, the expectation names no output; 1 subscription to something else, by its subject |
| tau-bench airline | 8 hand-offs not made, which change no state; 1 write with more fields, which change no state | 1, by the state that failed writes left |
| tau2 airline | 2 hand-offs not made; 6 writes with more fields or in another number | 3 |
| tau2 retail | 2 lists in another order; 2 hand-offs not made; 3 others that end in the same state | none |

A contract that says what does not matter (`ignore`, `unordered`, `text`), or an expectation that says what does
(`compare_args`), brings the two together. None is written here.
"""

from __future__ import annotations

from collections import Counter

import pytest

from consumers.compare import read_recording
from consumers.files import read_items
from consumers.toolsets import load_toolsets
from processes import CORPUS
from replay.bundle_infer import contracts_of
from replay.contract import Tooling
from replay.expected import recorded_misses


@pytest.mark.parametrize(
    ("corpus", "agreed"),
    [
        ("agentdojo-banking", {(True, True): 132, (False, False): 234, (True, False): 153, (False, True): 25}),
        ("tau-bench-airline", {(True, True): 75, (False, False): 115, (True, False): 9, (False, True): 1}),
        ("tau2-airline", {(True, True): 75, (False, False): 104, (True, False): 8, (False, True): 3}),
        ("tau2-retail", {(True, True): 61, (False, False): 12, (True, False): 7}),
    ],
)
def test_labels_and_expectations(corpus, agreed):
    """By (label, expectation). A change of these counts is a change of what an expectation means."""
    path = str(CORPUS / f"{corpus}.jsonl.gz")
    recording = read_recording(corpus, read_items(path), key=("trace_id",), where=())
    traces = [conversation.trace for found in recording.by_key.values() for conversation in found]
    contracts = contracts_of(traces, load_toolsets(None, beside=path))
    tooling = Tooling(contracts, contracts)
    missed = [recorded_misses(trace, tooling) for trace in traces]
    assert None not in missed
    assert Counter((trace.labels["task_success"], not ways) for trace, ways in zip(traces, missed, strict=True)) == agreed
