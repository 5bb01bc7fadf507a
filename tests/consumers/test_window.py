"""The plan of a window stands in the notes beside its offsets; reading it back gives the same plan, or a refusal."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from consumers import window_command
from consumers.stream import Committed, Partition, StreamError
from consumers.window import Window, recall, request_of, resolve
from consumers.window_command import _Job
from judged import gate, pair, side
from replay.comparison import Source
from replay.errors import UsageError
from replay.gate.audit import refold
from replay.gate.docket import Docket

P, Q = Partition("traces", 0), Partition("traces", 1)


class Cluster:
    """Answers like a cluster whose records have their offset as timestamp."""

    def __init__(self, kept=None):
        self.kept = kept or {}

    async def partitions(self, topic):
        return [P, Q]

    async def offsets_at(self, partitions, ms):
        return {P: min(ms, 50), Q: min(ms // 2, 70)}

    async def group_offsets(self, group, partitions):
        return self.kept


def test_its_gate_sees_copies_and_counts_the_first_in_the_source():
    """The later one has ended first. What the summary counts is what came first."""
    at = [Source(topic="traces", offset=offset) for offset in (5, 2)]
    records = [replace(it, source=at[0]) for it in pair(1, side(escalates=True))] + [replace(it, source=at[1]) for it in pair(1)]
    job = _Job(None, None, Docket(gate()))
    for record in records:
        job._observe(record)
    job.docket.finish()
    verdict = job.docket.verdict(now=None)
    assert (verdict.conversations, verdict.late_turns, verdict.metrics[0].mean) == (1, 1, (0.0, 0.0))
    assert refold(verdict, records) == verdict
    assert job.summary.folds["candidate", "free"].dispositions.total() == 1


async def test_a_window_is_from_its_first_record_to_before_the_first_one_after_it():
    plan = await resolve(Cluster(), "traces", from_ms=10, to_ms=60, made_ms=99, request="q")
    assert (plan.starts, plan.ends) == ({P: 10, Q: 5}, {P: 50, Q: 30})
    assert plan.records == 65
    again = await resolve(Cluster(), "traces", from_ms=10, to_ms=60, made_ms=99, request="q")
    other = await resolve(Cluster(), "traces", from_ms=10, to_ms=60, made_ms=99, request="other")
    assert plan.run_id == again.run_id != other.run_id


@pytest.mark.parametrize("to_ms", [10, 9])
async def test_a_window_that_ends_before_it_begins_is_refused(to_ms):
    with pytest.raises(UsageError, match="--to is not after --from"):
        await resolve(Cluster(), "traces", from_ms=10, to_ms=to_ms, made_ms=99, request="q")


async def test_a_plan_is_read_back_as_it_was_wherever_the_work_stands():
    plan = Window("window-1", "q", 99, 10, 60, {P: 10, Q: 5}, {P: 50, Q: 30})
    kept = {P: Committed(44, plan.note(P)), Q: Committed(5, plan.note(Q))}
    assert all(len(mark.note.encode()) < 4096 for mark in kept.values())
    assert await recall(Cluster(kept), "traces", run_id="window-1", request="q") == plan


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ({}, "there is no run window-1"),
        ({P: Committed(3, "")}, "not a window of this version"),
        ({P: Committed(3, "[]")}, "not a window of this version"),
        ({P: Committed(3, '{"schema":"window/2"}')}, "not a window of this version"),
        ({P: Committed(3, Window("w", "other", 1, 1, 2, {P: 1}, {P: 2}).note(P))}, "replayed other bundles"),
    ],
)
async def test_what_is_no_plan_of_this_run_is_refused(kept, words):
    with pytest.raises(UsageError, match=words):
        await recall(Cluster(kept), "traces", run_id="window-1", request="q")


def test_a_request_is_known_by_what_it_asks_for():
    assert request_of({"a": 1, "b": [2]}) == request_of({"b": [2], "a": 1})
    assert request_of({"a": 1}) != request_of({"a": 2})


def window_with_a_verdict(*, worse):
    docket = Docket(gate())
    for number in range(200):
        for comparison in pair(number, side(escalates=worse)):
            docket.enter(comparison)
    docket.finish()
    job = window_command._Job(SimpleNamespace(settings=None), SimpleNamespace(run_id="w"), docket)
    job.summary.verdict = docket.verdict(now=2)
    return job


async def test_a_rollback_says_since_when_its_target_is_certified_by_the_verdict_topic(monkeypatch):
    job, calm = window_with_a_verdict(worse=True), window_with_a_verdict(worse=False)
    promoted = replace(calm.summary.verdict, run_id="before", candidate="b", baseline="a", decision="promote", emitted_at=1)

    async def told(_):
        yield promoted

    monkeypatch.setattr(window_command, "all_told", told)
    await job.certify()
    await calm.certify()
    assert (job.summary.verdict.rollback_target.bundle, job.summary.verdict.rollback_target.certified_at) == ("b", 1)
    assert calm.summary.verdict.rollback_target is None


async def test_a_topic_that_cannot_be_read_costs_the_verdict_nothing(monkeypatch, capsys):
    async def away(_):
        raise StreamError("the broker is away")
        yield

    job = window_with_a_verdict(worse=True)
    monkeypatch.setattr(window_command, "all_told", away)
    await job.certify()
    assert job.summary.verdict.decision == "roll_back"
    assert "whether b is certified is not known: the broker is away; gate target --run w looks again" in capsys.readouterr().err
