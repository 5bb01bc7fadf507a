"""False rollbacks of a candidate that is as good as production, through the whole pipeline.

Each run is a window of the traces topic, replayed by a process with 500 in flight against a model over HTTP. Whoever
hands over is done eight times as soon as who answers, so that on the comparison topic the bad outcomes stand first.
The feed folds that topic, and every fold is a look at the verdict; a rollback at any look is a false one. The control
reads the very same records without their watermarks: a comparison votes when it comes. That its votes are good, and
only their order is not, shows when the same consumer is given them in the order of the source.

The candidate is held against production's own outcome, as without a baseline lane: there its own end alone says when
a conversation can vote. A pair of lanes that wait for each other is slow when either is, whichever was worse.

Both coins are thrown by seed: 30 runs here, `make nulls` for 200, are the same ones everywhere.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from statistics import median
from typing import NamedTuple
from uuid import uuid4

import pytest

import equal_assistants
from consumers.feed.store import Retention, Store
from consumers.stream import Partition, Received
from equal_assistants import hour, run_of
from judged import gate
from kafka_service import Stand
from looks import as_they_come, is_rolled_back
from many_windows import replay_windows
from processes import recorded_model
from replay.comparison import Comparison
from replay.exact_json import loads
from replay.verdict import Verdict
from replay.wire import from_json, schema_of

RUNS = int(os.environ.get("REPLAY_NULL_RUNS", "30"))
#: One more, in which the candidate is worse: a feed that never says so would pass for a good one.
WORSE = RUNS
CONVERSATIONS, IN_FLIGHT = 600, 500
#: 1 second and 8 of the recording, played in a quarter of the time.
TIME_SCALE = 0.25
#: Windows at a time, each with its own 500 in flight: one waits for the model while the other computes.
AT_A_TIME = 2
#: Runs that share topics and a model: what is held in memory does not grow with the number of runs.
TOGETHER = 60
#: Records that the feed folds between two looks at the verdict.
A_FOLD = 20
ALPHA = 0.05
THE_GATE = gate(
    {"id": "escalation", "kind": "paired_binary", "margin": 0.005}, alpha={"rollback": ALPHA, "promote": 0.05}
)


class Run(NamedTuple):
    """What became of one run. `overtaken`: how many stood unfinished, at the most, before one that had ended."""

    by_the_feed: bool
    as_they_ended: bool
    in_source_order: bool
    overtaken: int


@pytest.fixture(scope="module")
def every(kafka_bootstrap: str, bundle_of, tmp_path_factory) -> Mapping[int, Run]:
    """All runs by number, the worse one too."""
    found: dict[int, Run] = {}
    for first in range(0, WORSE + 1, TOGETHER):
        numbers, folder = range(first, min(first + TOGETHER, WORSE + 1)), tmp_path_factory.mktemp("runs")
        found |= outcomes(played(Stand(kafka_bootstrap, *topics()), folder, bundle_of, numbers), folder)
    assert sorted(found) == list(range(WORSE + 1))
    return found


@pytest.fixture(scope="module")
def runs(every: Mapping[int, Run]) -> list[Run]:
    """Those in which both are equal."""
    return [run for number, run in every.items() if number != WORSE]


def topics() -> list[str]:
    return [f"{name}-{uuid4().hex[:12]}" for name in ("traces", "comparisons", "dead-letters", "verdicts")]


def test_many_in_flight_are_overtaken(runs, say):
    """By hundreds, where nobody else wants the processor; the model must be what they wait for."""
    overtaken = median(run.overtaken for run in runs)
    say(f"{overtaken:.0f} of {IN_FLIGHT} in flight are overtaken at a time, in the median run")
    assert overtaken > 0.1 * IN_FLIGHT


def test_an_equal_candidate_is_rarely_rolled_back_by_the_feed(runs, say):
    share = sum(run.by_the_feed for run in runs) / RUNS
    say(f"{RUNS} runs through the feed: {share:.1%} false rollbacks")
    assert share <= ALPHA


def test_control_a_worse_candidate_is(every):
    assert every[WORSE].by_the_feed


def test_control_by_a_consumer_without_watermarks_it_mostly_is(runs, say):
    share = sum(run.as_they_ended for run in runs) / RUNS
    say(f"{RUNS} runs folded as they ended: {share:.1%} false rollbacks")
    assert share > 0.5


def test_the_order_alone_misleads_the_control(runs, say):
    share = sum(run.in_source_order for run in runs) / RUNS
    say(f"{RUNS} runs with the control's votes in source order: {share:.1%} false rollbacks")
    assert share <= ALPHA


@pytest.fixture
def say(capsys):
    def said(words: str) -> None:
        with capsys.disabled():
            print(f"\n  {words}")  # noqa: T201 - figures are wanted, pass or fail

    return said


# -- playing ----------------------------------------------------------------------------------------------------------


def played(stand: Stand, folder: Path, bundle_of, runs: range) -> list[Received]:
    """The comparison topic, when a window of each run has been replayed."""
    stand = stand.having(concurrency=IN_FLIGHT, mode="free", worker_commit_seconds=0.1)
    stand.create(partitions=1, retention_hours=1_000_000)
    traces = equal_assistants.write(folder / "traces.jsonl", runs, CONVERSATIONS, "production")
    stand.run("traces", "produce", traces, "--timestamps", "recorded")
    corpus = equal_assistants.write(folder / "corpus.jsonl", runs, CONVERSATIONS, "production", "candidate", worse=WORSE)
    a_few = equal_assistants.write(folder / "few.jsonl", runs[:1], 50, "production", "candidate")
    with recorded_model(corpus, "candidate", "--latency", "recorded", "--time-scale", TIME_SCALE) as url:
        bundles = "--baseline", bundle_of(a_few, "production"), "--candidate", bundle_of(a_few, "candidate", url)
        orders = [(*bundles, "--from", hour(run).isoformat(), "--to", hour(run + 1).isoformat()) for run in runs]
        replay_windows(stand, orders, at_a_time=AT_A_TIME)
    return [
        Received(Partition(it.topic, it.partition), it.offset, it.value, timestamp_ms=it.timestamp)
        for it in stand.records(stand.comparisons)
    ]


# -- judging ----------------------------------------------------------------------------------------------------------


def outcomes(records: Sequence[Received], folder: Path) -> Mapping[int, Run]:
    verdicts = by_the_feed(records, folder / "feed.sqlite")
    return {number: outcome(found, verdicts[found[0].run_id]) for number, found in by_run(records).items()}


def outcome(comparisons: Sequence[Comparison], verdicts: Sequence[Verdict]) -> Run:
    assert len(comparisons) == verdicts[-1].conversations == CONVERSATIONS
    return Run(
        any(verdict.decision == "roll_back" for verdict in verdicts),
        is_rolled_back_without_watermarks(comparisons),
        is_rolled_back_without_watermarks(sorted(comparisons, key=lambda one: one.source.offset)),
        most_overtaken([one.source.offset for one in comparisons]),
    )


def by_the_feed(records: Sequence[Received], path: Path) -> Mapping[str, list[Verdict]]:
    """By run: what the feed has told of it, each change of mind in turn. Its clock lets it judge at every fold."""
    seconds = count(step=1_000_000_000)
    store = Store.open(path, topic=records[0].partition.topic, retention=Retention(0, 1), gate=THE_GATE)
    store.clock = lambda: next(seconds)
    try:
        for start in range(0, len(records), A_FOLD):
            store.fold(records[start : start + A_FOLD])
        told = defaultdict[str, list[Verdict]](list)
        assert store.jury is not None
        for _, run_id, value in store.jury.untold():
            told[run_id].append(from_json(Verdict, loads(value)))
    finally:
        store.close()
    return told


def by_run(records: Iterable[Received]) -> Mapping[int, list[Comparison]]:
    """The comparisons of each run in the order of the topic, that in which they ended."""
    runs = defaultdict[int, list[Comparison]](list)
    for record in records:
        found = loads(record.value)
        if schema_of(found) == "comparison/1":
            comparison = from_json(Comparison, found)
            runs[run_of(comparison.trace_id)].append(comparison)
    return runs


def is_rolled_back_without_watermarks(comparisons: Iterable[Comparison]) -> bool:
    return is_rolled_back(THE_GATE, as_they_come((one,) for one in comparisons))


def most_overtaken(offsets: Sequence[int]) -> int:
    """Offsets in the order in which they ended, of a range without gaps."""
    first = last = min(offsets)
    most = 0
    for ended, offset in enumerate(offsets):
        last = max(last, offset)
        most = max(most, last - first - ended)
    return most
