"""The worker: nothing is committed before it is published, memory is bounded, rebalances keep what they can."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest

from consumers.dead_letters import BadRecords
from consumers.memory import MemorySink, MemorySource
from consumers.replays import Limits
from consumers.stream import Committed, Partition, RecordRefusedError, StreamError
from replay.comparison import MODES
from small_service import PatientModel, SmallService, until

ZERO, ONE = Partition("traces", 0), Partition("traces", 1)


@pytest.fixture(params=[False, True], ids=["at least once", "exactly once"])
def service(request):
    """What is said here holds for both deliveries; where a test gives a sink, at least once is meant."""
    return SmallService(exactly_once=request.param)


async def through(service, worker, holds=None):
    """Run until `holds` (everything committed, unless said otherwise), then stop."""
    holds = holds or (lambda: all(service.committed(p.number) == len(service.topics.log(p)) for p in (ZERO, ONE)))
    async with anyio.create_task_group() as group:
        ended = []

        async def run():
            ended.append(await worker.run())

        group.start_soon(run)
        await until(holds)
        worker.stop()
    return ended[0]


async def test_every_trace_is_compared_in_every_mode_and_committed_behind_a_watermark(service):
    service.traces("a", "b", "c")
    service.traces("d", partition=1)
    ended = await through(service, service.worker())
    assert Counter((item["trace_id"], item["mode"]) for item in service.comparisons) == {
        (name, mode): 1 for name in "abcd" for mode in MODES
    }
    assert (service.committed(0), service.committed(1)) == (3, 1)
    assert (ended.stopped_by, ended.drained) == (None, True)
    for partition, end in ((0, 3), (1, 1)):
        log = [record.value for record in service.topics.log(Partition("comparisons", partition))]
        assert b'"watermark/1"' in log[-1]
        assert b'"offset":%d' % end in log[-1]


async def test_results_name_run_source_partition_and_offset(service):
    service.traces("a", "b")
    await through(service, service.worker())
    sources = {item["trace_id"]: (item["run_id"], item["source"]) for item in service.comparisons}
    run_id, source = sources["b"]
    assert source.pop("timestamp_ms") > 0
    assert (run_id, source) == ("r", {"topic": "traces", "partition": 0, "offset": 1})


async def test_an_unfinished_record_holds_the_watermark_while_others_go_on(service):
    service.traces("slow", *"abc")
    service.model = PatientModel(held={"slow"})
    worker = service.worker()
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: len(service.comparisons) == 6)
        await anyio.sleep(0.05)
        assert service.committed(0) in (None, 0)
        assert all(mark["offset"] == 0 for mark in service.watermarks if mark["partition"] == 0)
        service.model.release()
        await until(lambda: service.committed(0) == 4)
        worker.stop()


async def test_a_stop_that_is_not_drained_in_time_commits_nothing_unfinished(service):
    service.traces("a", "slow", "b")
    service.model = PatientModel(held={"slow"})
    worker = service.worker(capacity={"grace_seconds": 0.05})
    ended = await through(service, worker, lambda: len(service.comparisons) == 4 and service.model.waiting == 2)
    assert not ended.drained
    assert service.committed(0) == 1
    service.model.release()
    await through(service, service.worker())
    assert {item["trace_id"] for item in service.comparisons} == {"a", "slow", "b"}
    ids = Counter(item["comparison_id"] for item in service.comparisons)
    assert len(ids) == 6  # b was done twice, under the same ids


async def test_a_stop_waits_for_what_is_in_flight(service):
    service.traces("slow", "a")
    service.model = PatientModel(held={"slow"})
    worker = service.worker()
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: service.model.waiting == 2 and len(service.model.asked) == 4)
        worker.stop()
        service.model.release()
    assert service.committed(0) == 2


# -- rebalances ---------------------------------------------------------------------------------------------------


async def test_a_kept_partition_goes_on_with_its_work(service):
    service.traces(*"abcd")
    service.model = PatientModel(held={"c"})
    source = MemorySource(service.topics, "traces")
    worker = service.worker(source=source)
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: service.committed(0) == 2 and service.model.waiting == 2)
        await source.assign([ZERO])
        service.model.release()
        await until(lambda: service.committed(0) == 4)
        worker.stop()
    assert Counter(service.model.asked) == dict.fromkeys("abcd", 2)
    assert worker.leases.of(ZERO).epoch == 1


async def test_the_work_of_a_lost_partition_is_dropped_and_done_by_its_next_owner(service):
    service.traces("a")
    service.traces("slow", "b", partition=1)
    service.model = PatientModel(held={"slow"})
    source = MemorySource(service.topics, "traces")
    worker = service.worker(source=source)
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: len(service.comparisons) == 4 and service.model.waiting == 2)
        await source.assign([ZERO])
        service.model.release()
        await anyio.sleep(0.05)
        assert not [item for item in service.comparisons if item["trace_id"] == "slow"]
        assert service.committed(1) in (None, 0)
        await source.assign([ZERO, ONE])
        await until(lambda: service.committed(1) == 2)
        worker.stop()
    again = 2 if service.exactly_once else 4  # the bitmap beside the offset says that b is done
    assert Counter(item["trace_id"] for item in service.comparisons) == {"a": 2, "slow": 2, "b": again}


async def test_a_partition_that_was_given_away_is_reported_by_its_next_owner_alone(service):
    service.traces("a")
    service.traces("b", partition=1)
    source = MemorySource(service.topics, "traces")
    worker = service.worker(source=source)
    lag = b'shadow_replay_lag{partition="1"'
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: lag in worker.telemetry.exposition())
        await source.assign([ZERO])
        assert lag not in worker.telemetry.exposition()
        assert b'shadow_replay_lag{partition="0"' in worker.telemetry.exposition()
        worker.stop()


async def test_what_is_read_and_not_yet_entered_is_not_finished(service):
    """The source's position is behind records that its poll has not given back yet: they must not be committed."""

    class Slow(MemorySource):
        async def poll(self, **asked):
            found = self._take(asked["max_records"], asked["partitions"])
            await anyio.sleep(0.1)
            return found

    service.traces("a")
    service.model = PatientModel(held={"a"})
    worker = service.worker(source=Slow(service.topics, "traces"))
    seen = set()
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        with anyio.fail_after(5):
            while service.model.waiting < 2:
                seen.add(service.committed(0))
                await anyio.sleep(0.005)
        service.model.release()
        await until(lambda: service.committed(0) == 1)
        worker.stop()
    assert seen <= {None, 0}
    assert len(service.comparisons) == 2


async def test_a_partition_somebody_else_has_committed_meanwhile_begins_there(service):
    service.traces(*"abcd")
    service.model = PatientModel(held={"b"})
    source = MemorySource(service.topics, "traces")
    worker = service.worker(source=source)
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: service.committed(0) == 1)

        async def other_member_commits(partitions):
            service.topics.commit("group", {ZERO: Committed(3)})
            await assigned(partitions)

        assigned, worker_assigned = worker.assigned, worker.assigned
        source._listener = _Between(worker, other_member_commits)
        await source.assign([ZERO])
        await until(lambda: service.committed(0) == 4)
        assert worker.leases.of(ZERO).epoch == 2
        assert worker_assigned == worker.assigned
        worker.stop()
    assert not [item for item in service.comparisons if item["trace_id"] == "b"]


class _Between:
    def __init__(self, worker, assigned):
        self.revoked, self.assigned = worker.revoked, assigned


async def test_a_rebalance_waits_for_replays_in_flight_within_its_budget(service):
    service.traces("slow")
    service.model = PatientModel(held={"slow"})
    source = MemorySource(service.topics, "traces")
    worker = service.worker(source=source, capacity={"drain_seconds": 5})
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: service.model.waiting == 2)
        group.start_soon(source.assign, [ONE])
        await anyio.sleep(0.05)
        assert worker.leases.epoch == 1
        service.model.release()
        await until(lambda: worker.leases.epoch == 2)
        worker.stop()
    assert service.committed(0) == 1


async def test_a_commit_that_is_refused_is_no_end(service):
    service.traces("a", "b")

    class Evicted(MemorySource):
        refusals = 0

        async def commit(self, offsets):
            if self.refusals < 2:
                self.refusals += 1
                raise StreamError("the group has moved on")
            await super().commit(offsets)

    await through(service, service.worker(source=Evicted(service.topics, "traces")))
    assert service.committed(0) == 2


# -- bounds -------------------------------------------------------------------------------------------------------


async def test_bytes_in_flight_are_bounded_by_what_is_polled(service):
    names = [f"t{n}" for n in range(40)]
    for name in names:
        service.traces(name, labels={"pad": "x" * 100_000})
    service.model = PatientModel(held=set(names))
    worker = service.worker(capacity={"bytes_in_flight": 1 << 20})
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: service.model.waiting > 4)
        await anyio.sleep(0.1)
        assert worker.backlog.bytes <= (1 << 20) + 200_000
        service.model.release()
        await until(lambda: service.committed(0) == 40)
        worker.stop()


async def test_one_stuck_record_lets_its_partition_run_ahead_no_further_than_the_span(service):
    service.traces("slow", *(f"t{n}" for n in range(60)))
    service.traces(*(f"u{n}" for n in range(60)), partition=1)
    service.model = PatientModel(held={"slow"})
    worker = service.worker(capacity={"span": 10, "concurrency": 4, "batch": 1})
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: service.committed(1) == 60)
        assert worker.leases.of(ZERO).tracker.span <= 10 + worker.capacity.records
        service.model.release()
        await until(lambda: service.committed(0) == 61)
        worker.stop()


async def test_when_nothing_can_be_polled_for_long_the_group_is_shown_a_sign_of_life(service):
    service.traces(*(f"t{n}" for n in range(20)))
    service.model = PatientModel(held={f"t{n}" for n in range(20)})

    class Watched(MemorySource):
        signs = 0

        async def keep_alive(self):
            self.signs += 1

    source = Watched(service.topics, "traces")
    capacity = {"concurrency": 1, "batch": 1, "poll_interval_seconds": 0.1}
    worker = service.worker(source=source, capacity=capacity)
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: source.signs > 1)
        service.model.release()
        worker.stop()


# -- what goes wrong ----------------------------------------------------------------------------------------------


async def test_a_broker_that_is_away_is_waited_for(service):
    service.traces("a", "b")

    class Away(MemorySink):
        failures = 3

        async def send(self, records):
            if self.failures:
                self.failures -= 1
                raise StreamError("not reachable")
            await super().send(records)

    worker = service.worker(sink=Away(service.topics))
    await through(service, worker)
    assert (len(service.comparisons), service.committed(0)) == (4, 2)
    assert b"delivery_failures_total 3.0" in worker.telemetry.exposition()


async def test_a_result_that_can_never_be_written_ends_the_worker_with_its_record_uncommitted(service):
    service.traces("a")

    class Refusing(MemorySink):
        async def send(self, records):
            raise RecordRefusedError("too large")

    with pytest.raises(BaseExceptionGroup) as error:
        await service.worker(sink=Refusing(service.topics)).run()
    assert error.group_contains(RecordRefusedError)
    assert service.committed(0) in (None, 0)


async def test_bad_records_are_dead_letters_with_all_they_were(service):
    service.traces("a")
    service.put(b'{"schema":"trace/1","trace_id":', headers=(("h", b"\xff"),))
    service.put(b"")
    service.put(b'{"schema":"trace/9","trace_id":"x"}')
    service.traces("b")
    await through(service, service.worker())
    assert [letter["source"]["offset"] for letter in service.dead] == [1, 2, 3]
    assert service.dead[0]["value_base64"] == "eyJzY2hlbWEiOiJ0cmFjZS8xIiwidHJhY2VfaWQiOg=="
    assert service.dead[0]["headers"] == [["h", "/w=="]]
    assert "newer than this program" in service.dead[2]["reason"]
    assert (service.committed(0), len(service.comparisons)) == (5, 4)


async def test_too_many_bad_records_in_a_row_stop_it_before_they_are_all_buried(service):
    service.traces("a")
    for _ in range(50):
        service.put(b"not a trace")
    ended = await service.worker(bad=BadRecords(5, None)).run()
    assert "6 bad records in a row on traces/0" in ended.stopped_by
    assert len(service.dead) == 5
    assert service.committed(0) == 6


async def test_a_limit_on_calls_stops_it_and_the_next_start_begins_with_what_was_left(service):
    service.traces(*(f"t{n}" for n in range(30)))
    ended = await service.worker(limits=Limits(max_model_calls=10), capacity={"concurrency": 1}).run()
    assert "max_model_calls" in ended.stopped_by
    assert len(service.model.asked) in (10, 11)  # a record that has begun is done in both modes
    assert service.committed(0) * 2 == len(service.comparisons)
    await through(service, service.worker())
    assert Counter(service.model.asked) == {f"t{n}": 2 for n in range(30)}


async def test_a_trace_that_was_sent_twice_is_replayed_once(service):
    service.traces("a", "b", "a")
    passed = []
    await through(service, service.worker(passed=passed.append))
    assert len(service.comparisons) == 4
    assert Counter(passed) == {"admitted": 2, "duplicate": 1}


# -- windows ------------------------------------------------------------------------------------------------------


async def test_a_window_ends_where_it_was_told_and_says_so_in_its_watermarks(service):
    service.traces(*"abcde")
    service.traces(*"xyz", partition=1)
    ended = await service.worker(until={ZERO: 3, ONE: 0}).run()
    assert ended.stopped_by is None
    assert {item["trace_id"] for item in service.comparisons} == set("abc")
    assert (service.committed(0), service.committed(1)) == (3, 0)


async def test_a_window_makes_nothing_that_is_done(service):
    service.traces(*"abc")
    await service.worker(until={ZERO: 3, ONE: 0}).run()
    done = {item["comparison_id"] for item in service.comparisons}
    service.traces("d")
    source = MemorySource(service.topics, "traces", "again")
    await service.worker(source=source, until={ZERO: 4, ONE: 0}, is_done=done.__contains__).run()
    assert Counter(service.model.asked) == dict.fromkeys("abcd", 2)
