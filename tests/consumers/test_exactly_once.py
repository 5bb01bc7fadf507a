"""Exactly once: nothing is written twice or asked of the model twice, however a worker ends and whatever is not known."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest

from consumers.done_note import read_note
from consumers.exactly_once import Due
from consumers.memory import MemoryLedger, MemorySource
from consumers.stream import Committed, FencedError, Partition, RecordRefusedError, StreamError
from replay.errors import UsageError
from small_service import PatientModel, SmallService, until

ZERO, ONE = Partition("traces", 0), Partition("traces", 1)


@pytest.fixture
def service():
    return SmallService(exactly_once=True)


async def killed(service, worker, holds):
    """Run until `holds`, then die: nothing more is written, nobody says goodbye."""

    async def run():
        with scope:
            await worker.run()

    async with anyio.create_task_group() as group:
        scope = anyio.CancelScope()
        group.start_soon(run)
        await until(holds)
        scope.cancel()


async def to_the_end(service, worker):
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: all(service.committed(p.number) == len(service.topics.log(p)) for p in (ZERO, ONE)))
        worker.stop()


def once(service, *names):
    found = Counter((item["trace_id"], item["mode"]) for item in service.comparisons)
    return found == {(name, mode): 1 for name in names for mode in ("forced", "free")}


async def test_what_was_finished_beyond_the_watermark_is_neither_written_nor_asked_again(service):
    service.traces("slow", *"bcdef")
    service.model = PatientModel(held={"slow"})
    await killed(service, service.worker(), lambda: len(service.comparisons) == 10)
    assert service.committed(0) == 0
    kept = service.topics.committed("group", ZERO)
    assert read_note(kept.note, kept.offset, whose="g").done == (1, 2, 3, 4, 5)
    service.traces("g")
    service.model.release()
    await to_the_end(service, service.worker())
    assert once(service, "slow", *"bcdefg")
    asked = Counter(service.model.asked)
    assert asked.pop("slow") == 4  # what was not finished is asked again
    assert asked == dict.fromkeys("bcdefg", 2)


async def test_a_record_is_written_whole_or_not_at_all(service):
    """One of both replays has ended when the worker dies: publishing it alone would make it twice."""
    service.traces("half", "b")

    class HalfHeld(PatientModel):
        async def complete(self, request, *, timeout_seconds):
            if "half" in str(request.headers) and "free" in str(request.headers):
                self.waiting += 1
                await self._released.wait()
            return await super().complete(request, timeout_seconds=timeout_seconds)

    service.model = HalfHeld()
    await killed(service, service.worker(), lambda: len(service.comparisons) == 2 and service.model.waiting == 1)
    assert {item["trace_id"] for item in service.comparisons} == {"b"}
    service.model.release()
    await to_the_end(service, service.worker())
    assert once(service, "half", "b")


async def test_watermarks_are_in_the_same_transaction_and_say_how_many_are_done_beyond(service):
    service.traces("slow", *"bcd")
    service.model = PatientModel(held={"slow"})
    worker = service.worker()

    def marks():
        return [mark for mark in service.watermarks if mark["partition"] == 0]

    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: len(service.comparisons) == 6)
        assert [(mark["offset"], mark["done"]) for mark in marks()][-1] == (0, 3)
        service.model.release()
        await until(lambda: service.committed(0) == 4)
        worker.stop()
    assert [(mark["offset"], mark["done"]) for mark in marks()][-1] == (4, 0)


class Doubtful(MemoryLedger):
    """Every second transaction ends with an error: `applied` or not, the writer is not told."""

    applied = True
    appends = 0
    claims = 0

    async def claim(self, partition):
        self.claims += 1
        return await super().claim(partition)

    async def append(self, partition, records, mark):
        self.appends += 1
        if self.appends % 2:
            if self.applied:
                await super().append(partition, records, mark)
            self._claims.pop(partition, None)
            raise StreamError("the connection was lost")
        await super().append(partition, records, mark)


@pytest.mark.parametrize("applied", [True, False])
async def test_an_unknown_outcome_is_found_out_and_not_guessed(service, applied, monkeypatch):
    monkeypatch.setattr("consumers.exactly_once._FIRST_PAUSE_SECONDS", 0.001)
    service.traces(*(f"t{n}" for n in range(30)))
    ledger = Doubtful(service.topics)
    ledger.applied = applied
    await to_the_end(service, service.worker(ledger=ledger, due=Due(records=3, seconds=0.01)))
    assert once(service, *(f"t{n}" for n in range(30)))
    assert set(Counter(service.model.asked).values()) == {2}
    assert ledger.claims > 2


async def test_guessing_would_write_twice(service, monkeypatch):
    """Control: a writer that sends again without asking what became of it writes some of it twice."""
    monkeypatch.setattr("consumers.exactly_once._FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr("consumers.exactly_once.ExactlyOnce._decided", lambda *_: True)
    service.traces(*(f"t{n}" for n in range(30)))
    await to_the_end(service, service.worker(ledger=Doubtful(service.topics), due=Due(records=3, seconds=0.01)))
    assert max(Counter(item["comparison_id"] for item in service.comparisons).values()) > 1


async def test_a_member_that_another_has_replaced_writes_nothing_more(service):
    """It was stopped, its partitions were given to another, it wakes and goes on as if nothing had happened."""
    service.traces(*"abcdef")
    service.model = PatientModel(held=set("abcdef"))
    zombie = service.worker(capacity={"claim_seconds": 60})
    async with anyio.create_task_group() as group:
        group.start_soon(zombie.run)
        await until(lambda: service.model.waiting == 12)
        owner = service.worker()
        owner.model = owner._replays.model = PatientModel()
        group.start_soon(owner.run)
        await until(lambda: service.committed(0) == 6)
        service.model.release()
        await anyio.sleep(0.1)
        assert zombie.leases.unclaimed == {ZERO, ONE}
        assert service.committed(0) == 6
        zombie.stop()
        owner.stop()
    assert once(service, *"abcdef")


async def test_a_partition_that_is_still_ours_is_claimed_back(service):
    service.traces("a")
    worker = service.worker()
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: service.committed(0) == 1)
        await MemoryLedger(service.topics).claim(ZERO)  # somebody else, who does nothing with it
        service.traces("b")
        await until(lambda: ZERO in worker.leases.unclaimed)
        await until(lambda: service.committed(0) == 2)
        worker.stop()
    assert once(service, "a", "b")


async def rivalry(service, times):
    """Another writer claims the partition as soon as something was written, `times` times."""
    for number in range(times):
        await MemoryLedger(service.topics).claim(ZERO)
        service.traces(f"t{number}")
        await until(lambda count=number: service.committed(0) == count + 1)


async def test_a_worker_that_loses_its_partition_again_and_again_stops_and_says_what_to_look_for(service):
    async def stopped():
        with pytest.RaisesGroup(pytest.RaisesExc(StreamError, match="same worker_member"), flatten_subgroups=True):
            await service.worker().run()
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(stopped)
        with anyio.CancelScope() as scope:
            await rivalry(service, 10)
        assert scope.cancelled_caught


async def test_a_worker_that_has_lost_its_partition_some_times_goes_on(service):
    worker = service.worker()
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await rivalry(service, 4)
        worker.stop()
    assert once(service, "t0", "t1", "t2", "t3")


async def test_what_ended_is_bounded_while_nothing_can_be_written(service):
    class Away(MemoryLedger):
        away = True

        async def append(self, partition, records, mark):
            if self.away:
                raise StreamError("not reachable")
            await super().append(partition, records, mark)

        async def claim(self, partition):
            return await super().claim(partition)

    ledger = Away(service.topics)
    names = [f"t{n}" for n in range(300)]
    service.traces(*names)
    worker = service.worker(ledger=ledger, due=Due(records=20, seconds=0.01), capacity={"concurrency": 4, "batch": 4})
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        await until(lambda: worker.delivery.full)
        await anyio.sleep(0.2)
        assert len(service.model.asked) / 2 <= 4 * 20 + worker.capacity.records
        ledger.away = False
        await until(lambda: service.committed(0) == 300)
        worker.stop()
    assert once(service, *names)


async def test_a_claim_that_fails_is_made_again(service):
    class Slow(MemoryLedger):
        failures = 2

        async def claim(self, partition):
            if self.failures:
                self.failures -= 1
                raise StreamError("no coordinator")
            return await super().claim(partition)

    service.traces("a")
    service.traces("b", partition=1)
    await to_the_end(service, service.worker(ledger=Slow(service.topics)))
    assert once(service, "a", "b")


async def test_a_result_that_can_never_be_written_ends_the_worker(service):
    class Refusing(MemoryLedger):
        async def append(self, partition, records, mark):
            raise RecordRefusedError("too large")

    service.traces("a")
    with pytest.raises(BaseExceptionGroup) as error:
        await service.worker(ledger=Refusing(service.topics)).run()
    assert error.group_contains(RecordRefusedError)
    assert service.committed(0) is None


async def test_offsets_of_a_newer_version_are_refused_not_replayed(service):
    service.traces("a")
    service.topics.commit("group", {ZERO: Committed(0, "d9.what-is-this")})
    with pytest.RaisesGroup(UsageError, flatten_subgroups=True):
        await service.worker().run()


async def test_a_dead_letter_is_written_once(service):
    service.traces("slow")
    service.model = PatientModel(held={"slow"})
    service.put(b"junk")
    await killed(service, service.worker(), lambda: len(service.dead) == 1)
    service.model.release()
    await to_the_end(service, service.worker())
    assert len(service.dead) == 1


async def test_a_window_that_is_read_once_more_tells_of_everything_and_writes_nothing_again(service):
    service.traces("slow", *"bcd")
    service.put(b"junk")
    service.model = PatientModel(held={"slow"})
    ends = {ZERO: 5, ONE: 0}
    await killed(service, service.worker(until=ends), lambda: len(service.dead) == 1 and len(service.comparisons) == 6)
    done = {item["comparison_id"] for item in service.comparisons}
    service.model.release()
    passed = []
    source = MemorySource(service.topics, "traces", "from the start")
    await service.worker(source=source, until=ends, is_done=done.__contains__, passed=passed.append).run()
    assert Counter(passed) == {"admitted": 4, "dead_letter.decode": 1}
    assert once(service, "slow", *"bcd")
    assert len(service.dead) == 1
    assert service.committed(0) == 5


class TestMemoryLedger:
    """What every ledger promises; the one on Kafka keeps it on a real broker."""

    async def test_a_claim_locks_earlier_ones_out(self, service):
        first, second = MemoryLedger(service.topics), MemoryLedger(service.topics)
        assert await first.claim(ZERO) is None
        await first.append(ZERO, [], Committed(1, "x"))
        assert await second.claim(ZERO) == Committed(1, "x")
        with pytest.raises(FencedError):
            await first.append(ZERO, [], Committed(2))
        with pytest.raises(StreamError, match="not claimed"):
            await first.append(ZERO, [], Committed(2))
        await second.append(ZERO, [], Committed(3))
        assert await first.claim(ZERO) == Committed(3)
