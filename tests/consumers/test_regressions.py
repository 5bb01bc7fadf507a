"""What went wrong in other programs of this kind, as tests of this one. Each is named after the report it comes from."""

from __future__ import annotations

import gc
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import pytest
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaConnectionError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from consumers.dead_letters import BadRecords
from consumers.exactly_once import Due
from consumers.kafka import KafkaLedger, KafkaSource
from consumers.memory import MemoryLedger, MemorySink, MemorySource, MemoryTopics
from consumers.offsets import Lease
from consumers.stream import CommitRefusedError, Committed, Partition, StreamError
from replay.comparison import MODES
from replay.settings import KafkaSettings, Settings
from replay.trace import BundleRef
from small_service import PatientModel, SmallService, until

ZERO, ONE = Partition("traces", 0), Partition("traces", 1)
LONG = 3600.0


@pytest.fixture(params=[False, True], ids=["at least once", "exactly once"])
def service(request):
    return SmallService(exactly_once=request.param)


@pytest.fixture
def exactly_once():
    return SmallService(exactly_once=True)


@asynccontextmanager
async def running(worker):
    """A worker at work, stopped when the test has seen enough. What it ended with is in the list."""
    ended = []

    async def run():
        ended.append(await worker.run())

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        yield ended
        worker.stop()


def commit_seldom(service, worker):
    """Leave the offsets to whoever asks for them: a rebalance."""
    if service.exactly_once:
        worker.delivery.due = Due(seconds=LONG)
    else:
        worker.delivery.commit_seconds = LONG


def all_is_committed(service):
    return all(service.committed(p.number) == len(service.topics.log(p)) for p in (ZERO, ONE) if service.topics.log(p))


def all_is_compared(service, *names):
    """Every trace in every mode: once, where that is promised."""
    found = Counter((item["trace_id"], item["mode"]) for item in service.comparisons)
    assert set(found) == {(name, mode) for name in names for mode in MODES}
    return set(found.values()) == {1} or not service.exactly_once


async def rebalance(service, source, *partitions):
    """Everything is revoked, these are assigned, and whoever waits for records looks again."""
    with anyio.fail_after(10):
        await source.assign(partitions)
    service.topics._arrived.set()


@dataclass
class Gate:
    """Whoever passes waits in front of it while it is shut."""

    shut: bool = False
    waiting: int = 0
    _opened: anyio.Event = field(default_factory=anyio.Event)

    async def passed(self):
        if self.shut:
            self.waiting += 1
            await self._opened.wait()

    def open(self):
        self.shut = False
        self._opened.set()


# -- parallel-consumer 826 ----------------------------------------------------------------------------------------


async def test_parallel_consumer_826_nothing_unprocessed_is_committed_at_a_revoke(service):
    """The offset was that of the last record polled: what was polled and had not begun was lost with its partition."""
    names = [f"t{n}" for n in range(12)]
    service.traces(*names)
    service.model = PatientModel(held={"t2"})
    source = MemorySource(service.topics, "traces")
    worker = service.worker(source=source, capacity={"concurrency": 2, "batch": 4, "drain_seconds": 0.05})
    commit_seldom(service, worker)
    async with running(worker):
        await until(lambda: service.model.waiting == worker._replays.unsettled == 2)
        assert await source.position(ZERO) > 4
        await rebalance(service, source, ONE)
        assert service.committed(0) == 2
        service.model.release()
        await rebalance(service, source, ZERO, ONE)
        await until(lambda: set(service.model.asked) == set(names) and not worker.backlog)
    assert service.committed(0) == 12
    assert all_is_compared(service, *names)


# -- parallel-consumer 857 ----------------------------------------------------------------------------------------


class HangingSource(MemorySource):
    gate: Gate

    async def commit(self, offsets):
        await self.gate.passed()
        await super().commit(offsets)


class HangingLedger(MemoryLedger):
    gate: Gate

    async def append(self, partition, records, mark):
        claim = self._claims.get(partition)
        await self.gate.passed()
        if self._claims.get(partition) is not claim:
            raise StreamError("its producer was put away")
        await super().append(partition, records, mark)


@pytest.mark.parametrize("kept", [[ZERO, ONE], [ONE]], ids=["everything is kept", "one is given away"])
async def test_parallel_consumer_857_a_commit_that_hangs_holds_up_no_rebalance(service, kept, monkeypatch):
    """A revoke waited for the lock of a commit, and the commit for the thread of the revoke: neither came back."""
    monkeypatch.setattr("consumers.worker.COMMIT_SECONDS", 0.03)
    monkeypatch.setattr("consumers.exactly_once._FIRST_PAUSE_SECONDS", 0.01)
    service.traces("a")
    service.traces("b", partition=1)
    gate = Gate(shut=True)
    source, ledger = HangingSource(service.topics, "traces"), HangingLedger(service.topics)
    source.gate = ledger.gate = gate
    worker = service.worker(source=source, ledger=ledger if service.exactly_once else None)
    async with running(worker):
        await until(lambda: gate.waiting)
        await rebalance(service, source, *kept)
        await rebalance(service, source, ZERO, ONE)
        service.traces("c")
        await until(lambda: "c" in service.model.asked)
        assert service.committed(0) is service.committed(1) is None
        gate.open()
        await until(lambda: all_is_committed(service))
    assert all_is_compared(service, "a", "b", "c")


@dataclass
class Rebalancing:
    """A group that is in the middle of a rebalance, and refuses commits for as long as that lasts."""

    on: bool = True
    refused: int = 0

    def check(self, error):
        if self.on:
            self.refused += 1
            raise error


class RefusingSource(MemorySource):
    group_is: Rebalancing

    async def commit(self, offsets):
        self.group_is.check(CommitRefusedError("RebalanceInProgressError"))
        await super().commit(offsets)


class RefusingLedger(MemoryLedger):
    group_is: Rebalancing

    async def append(self, partition, records, mark):
        self.group_is.check(StreamError("RebalanceInProgressError"))
        await super().append(partition, records, mark)


async def test_parallel_consumer_857_a_commit_in_the_middle_of_a_rebalance_ends_nothing(service, monkeypatch):
    """The error that says so, which the next poll would have cured, killed the loop that polls."""
    monkeypatch.setattr("consumers.worker.COMMIT_SECONDS", 0.03)
    monkeypatch.setattr("consumers.exactly_once._FIRST_PAUSE_SECONDS", 0.01)
    source, ledger = RefusingSource(service.topics, "traces"), RefusingLedger(service.topics)
    source.group_is = ledger.group_is = group_is = Rebalancing()
    service.traces("a")
    worker = service.worker(source=source, ledger=ledger if service.exactly_once else None)
    async with running(worker):
        await until(lambda: group_is.refused > 2)
        service.traces("b")
        await until(lambda: "b" in service.model.asked)  # it polls on
        await rebalance(service, source, ZERO)
        group_is.on = False
        await until(lambda: service.committed(0) == 2)
    assert all_is_compared(service, "a", "b")


@pytest.mark.parametrize(
    "error", [RebalanceInProgressError, CommitFailedError, IllegalGenerationError, UnknownMemberIdError]
)
async def test_parallel_consumer_857_what_the_client_says_of_a_rebalance_is_a_refused_commit(error):
    """One error of that family was left out of those that a commit may end with."""

    class Client:
        async def commit(self, offsets):
            raise error

    source = KafkaSource(Settings(), "traces", "group")
    source._consumer = Client()
    with pytest.raises(CommitRefusedError):
        await source.commit({ZERO: Committed(1)})


class Producer:
    """A producer whose transactions go as its test says, for a ledger on Kafka."""

    def __init__(self, **options):
        self.commits = Gate()
        self.stopped = False

    async def start(self):
        await anyio.lowlevel.checkpoint()

    async def stop(self):
        self.stopped = True

    async def begin_transaction(self):
        await anyio.lowlevel.checkpoint()

    async def send_offsets_to_transaction(self, offsets, group):
        await anyio.lowlevel.checkpoint()

    async def commit_transaction(self):
        await self.commits.passed()
        if self.stopped:
            raise KafkaConnectionError


class Admin:
    """A client that is asked for offsets of a group. `opened`: how many were started and not closed."""

    opened = 0

    def __init__(self, **options):
        pass

    async def start(self):
        await anyio.lowlevel.checkpoint()
        Admin.opened += 1

    async def close(self):
        Admin.opened -= 1

    async def list_consumer_group_offsets(self, group, *, partitions):
        await anyio.lowlevel.checkpoint()
        return {}


@pytest.fixture
def ledger(monkeypatch):
    """A ledger on a Kafka that is not there."""
    monkeypatch.setattr("consumers.kafka.AIOKafkaProducer", Producer)
    monkeypatch.setattr("consumers.kafka.AIOKafkaAdminClient", Admin)
    monkeypatch.setattr(Admin, "opened", 0)
    return KafkaLedger(KafkaSettings(), "group")


async def test_parallel_consumer_857_a_commit_that_fails_late_leaves_the_new_claim_alone(ledger):
    """A commit that was still under way when the partition was claimed once more: only its own producer is done with."""

    async def append():
        with pytest.raises(StreamError):
            await ledger.append(ZERO, [], Committed(1))

    await ledger.claim(ZERO)
    old = ledger._producers[ZERO]
    old.commits.shut = True
    async with anyio.create_task_group() as group:
        group.start_soon(append)
        await until(lambda: old.commits.waiting)
        await ledger.claim(ZERO)
        old.commits.open()
    await ledger.append(ZERO, [], Committed(1))
    await ledger.aclose()


async def test_parallel_consumer_857_a_member_that_drains_shows_that_it_lives(service):
    """A draining consumer did not poll: the group took it for dead, or waited for it with all its partitions."""

    class Watched(MemorySource):
        signs = 0

        async def keep_alive(self):
            self.signs += 1

    service.traces("slow")
    service.model = PatientModel(held={"slow"})
    source = Watched(service.topics, "traces")
    worker = service.worker(source=source, capacity={"poll_interval_seconds": 0.1, "grace_seconds": 60})
    async with running(worker):
        await until(lambda: service.model.waiting == 2)
        worker.stop()
        before = source.signs
        await until(lambda: source.signs > before + 2)
        service.model.release()
    assert service.committed(0) == 1


# -- parallel-consumer 875, 909 -----------------------------------------------------------------------------------


@dataclass
class Stubborn(PatientModel):
    """Cannot be called off: a call for a trace that is held lasts until it is let, whoever waits for it."""

    calls: list[anyio.Event] = field(default_factory=list)

    async def complete(self, request, *, timeout_seconds):
        with anyio.fail_after(20, shield=True):
            if any(name in str(request.headers) for name in self.held):
                self.calls.append(anyio.Event())
                await self.calls[-1].wait()
            return await super().complete(request, timeout_seconds=timeout_seconds)

    def let(self, calls):
        for call in calls:
            call.set()


@pytest.mark.parametrize("recreated", [False, True], ids=["the same topic", "a topic made anew"])
async def test_parallel_consumer_875_909_a_record_at_a_reused_offset_is_not_taken_for_the_stale_one(service, recreated):
    """What was left of an earlier assignment sat at the offset: the fresh record was dropped onto it, and lost."""
    service.traces("slow", "b")
    service.model = Stubborn(held={"slow", "new"})
    source = MemorySource(service.topics, "traces")
    worker = service.worker(source=source, capacity={"drain_seconds": 0.01})
    async with running(worker):
        await until(lambda: len(service.model.calls) == 2 and len(service.comparisons) == 2)
        await rebalance(service, source, ONE)
        if recreated:
            service.topics.log(ZERO).clear()
            service.topics._committed.pop(("group", ZERO), None)  # the broker forgets them with the topic
            service.traces("new", "b")
        await rebalance(service, source, ZERO, ONE)
        await until(lambda: len(service.model.calls) == 4)
        stale, fresh = service.model.calls[:2], service.model.calls[2:]
        service.model.held = set()
        service.model.let(stale)
        await until(lambda: worker._replays.unsettled == 2)
        assert not [item for item in service.comparisons if item["trace_id"] != "b"]
        assert service.committed(0) in (None, 0)
        service.model.let(fresh)
        await until(lambda: service.committed(0) == 2)
    found = Counter((item["trace_id"], item["mode"]) for item in service.comparisons if item["trace_id"] != "b")
    assert found == {("new" if recreated else "slow", mode): 1 for mode in MODES}


async def test_parallel_consumer_909_a_rebalance_between_a_poll_and_its_records_loses_none(service):
    """Records of the old assignment were entered under the new one: the fresh ones at lower offsets were dropped."""

    class Interrupted(MemorySource):
        gate: Gate

        async def poll(self, **asked):
            found = await super().poll(**asked)
            if found:
                await self.gate.passed()
            return found

    service.traces("slow", "b")
    service.model = PatientModel(held={"slow"})
    source = Interrupted(service.topics, "traces")
    source.gate = Gate()
    async with running(service.worker(source=source, capacity={"drain_seconds": 0.01})):
        await until(lambda: len(service.comparisons) == 2)
        source.gate.shut = True
        service.traces("c", "d")
        await until(lambda: source.gate.waiting)
        await rebalance(service, source, ONE)
        await rebalance(service, source, ZERO, ONE)
        source.gate.open()
        service.model.release()
        await until(lambda: service.committed(0) == 4)
    assert all_is_compared(service, "slow", "b", "c", "d")


# -- parallel-consumer 894 ----------------------------------------------------------------------------------------


@dataclass
class Watchful(MemoryTopics):
    """Remembers every commit."""

    commits: list[tuple[Partition, int]] = field(default_factory=list)

    def commit(self, group, offsets):
        self.commits += [(partition, kept.offset) for partition, kept in offsets.items()]
        super().commit(group, offsets)


async def test_parallel_consumer_894_rebalances_without_traffic_move_no_offset(service):
    """With one record left to do, an assignment committed one offset too many: the next one began out of range."""
    service.topics = Watchful(service.topics.partitions)
    service.traces("a", "slow", *"bcd")
    service.model = PatientModel(held={"slow"})
    source = MemorySource(service.topics, "traces")
    async with running(service.worker(source=source, capacity={"drain_seconds": 0.01})):
        await until(lambda: service.committed(0) == 1 and len(service.comparisons) == 8)
        for times in range(2, 8):
            await rebalance(service, source, ONE)
            await rebalance(service, source, ZERO, ONE)
            await until(lambda times=times: service.model.waiting == 2 * times)  # what was left is begun again
            assert service.committed(0) == 1
        service.model.release()
        await until(lambda: service.committed(0) == 5)
    offsets = [offset for partition, offset in service.topics.commits if partition == ZERO]
    assert offsets == sorted(offsets)
    assert all_is_compared(service, "a", "slow", *"bcd")
    asked = Counter(service.model.asked)
    assert asked["a"] == 2
    assert [asked[name] for name in "bcd"] == [2, 2, 2] or not service.exactly_once


# -- parallel-consumer 832 ----------------------------------------------------------------------------------------


@dataclass
class Broker:
    """Writes nothing while it is away."""

    away: bool = True
    refused: int = 0

    def check(self):
        if self.away:
            self.refused += 1
            raise StreamError("not reachable")


class AwaySink(MemorySink):
    broker: Broker

    async def send(self, records):
        self.broker.check()
        await super().send(records)


class AwayLedger(MemoryLedger):
    broker: Broker

    async def append(self, partition, records, mark):
        self.broker.check()
        await super().append(partition, records, mark)


def away(service, monkeypatch):
    """A broker that is away, and what a worker writes to it by."""
    for module in ("at_least_once", "exactly_once"):
        monkeypatch.setattr(f"consumers.{module}._FIRST_PAUSE_SECONDS", 0.005)
        monkeypatch.setattr(f"consumers.{module}._LONGEST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("consumers.worker._POLL_SECONDS", 0.02)
    sink, ledger, broker = AwaySink(service.topics), AwayLedger(service.topics), Broker()
    sink.broker = ledger.broker = broker
    return broker, {"ledger": ledger} if service.exactly_once else {"sink": sink}


async def at_rest(source, broker):
    """How many records of the first partition are read when refusals go on and reading does not."""
    await until(lambda: broker.refused)
    positions = [-1]
    while len(positions) < 6 or len(set(positions[-6:])) > 1:
        refused = broker.refused
        await anyio.sleep(0.03)
        await until(lambda seen=refused: broker.refused > seen)
        positions.append(await source.position(ZERO))
    return positions[-1]


async def test_parallel_consumer_832_what_waits_to_be_written_is_bounded(service, monkeypatch):
    """What had failed waited to be tried again, outside of what was counted as in flight: memory ran out."""
    broker, written_by = away(service, monkeypatch)
    names = [f"t{n}" for n in range(80)]
    service.traces(*names)
    source = MemorySource(service.topics, "traces")
    worker = service.worker(source=source, capacity={"concurrency": 8, "batch": 8}, **written_by)
    most = worker.capacity.records + worker.capacity.batch
    if service.exactly_once:
        worker.delivery.due = Due(records=5, seconds=0.01)
        most += 2 * 3 * 5  # what is being written, and what waits behind it
    async with running(worker):
        assert await at_rest(source, broker) <= most < len(names)
        broker.away = False
        await until(lambda: service.committed(0) == len(names))
    assert all_is_compared(service, *names)
    assert Counter(service.model.asked) == dict.fromkeys(names, 2)


# -- parallel-consumer 859 ----------------------------------------------------------------------------------------

PARTITIONS = 12


def series(worker):
    """Every label set that a scrape would show."""
    found = [sample for metric in worker.telemetry.registry.collect() for sample in metric.samples]
    return {(sample.name, *sorted(sample.labels.items())) for sample in found}


def lags(worker):
    """The partitions whose lag is reported."""
    return {int(dict(labels)["partition"]) for name, *labels in series(worker) if name == "shadow_replay_lag"}


def kept_books(worker):
    """How much the worker remembers of what it owns and has in hand."""
    delivery = worker.delivery
    waiting = len(delivery._waiting) if hasattr(delivery, "_waiting") else len(worker.leases)
    return len(worker.leases), len(worker.leases.unclaimed), waiting, len(worker.backlog), worker.backlog.bytes


def living_leases():
    gc.collect()
    return sum(isinstance(found, Lease) for found in gc.get_objects())


async def test_parallel_consumer_859_commits_and_rebalances_leave_nothing_behind(service):
    """Every commit registered its timers once more: after three days they were 96 % of the heap."""
    service.topics = MemoryTopics({"traces": PARTITIONS, "comparisons": 2, "dead": 1})
    everything = list(service.topics.all_of("traces"))
    source, before = MemorySource(service.topics, "traces"), living_leases()
    worker = service.worker(source=source, capacity={"drain_seconds": 0.01})
    commit_seldom(service, worker)

    async def commits(partitions, times):
        for _ in range(times):
            for partition in partitions:  # traces of another release: refused, and done
                service.traces("t", partition=partition.number, bundle=BundleRef(id="other"))
            expected = {partition: len(service.topics.log(partition)) for partition in partitions}
            while any(worker.leases.of(p).tracker.position != end for p, end in expected.items()) or worker.backlog:
                await anyio.lowlevel.checkpoint()
            await worker.delivery.flush()
            assert {p: service.committed(p.number) for p in partitions} == expected

    def reported(partitions):
        return lags(worker) == {partition.number for partition in partitions}

    async with running(worker):
        first = everything[:6]
        await until(lambda: worker.leases.epoch == 1)
        await rebalance(service, source, *first)
        await commits(first, 2)
        await until(lambda: reported(first))
        known, books = series(worker), kept_books(worker)
        for number in range(30):
            some = [everything[(number * 5 + n) % PARTITIONS] for n in range(6)]
            await rebalance(service, source, *some)
            await commits(some, 12)
            assert len(series(worker)) <= len(known)
        await rebalance(service, source, *first)
        await commits(first, 1)
        await until(lambda: reported(first))
        assert series(worker) == known
        assert kept_books(worker) == books
        assert living_leases() - before <= 2 * len(first)


async def test_parallel_consumer_859_claims_that_are_made_together_leave_no_client_open(ledger):
    """Every assignment made something of its own that nobody closed."""
    async with anyio.create_task_group() as group:
        for number in range(PARTITIONS):
            group.start_soon(ledger.claim, Partition("traces", number))
    assert Admin.opened == 1
    await ledger.aclose()
    assert Admin.opened == 0


async def test_parallel_consumer_859_a_partition_that_others_have_taken_is_reported_no_more(exactly_once):
    """What was registered for a partition stayed for ever; a lag that stands still looks like one that grows."""
    service = exactly_once
    service.traces("a")
    source = MemorySource(service.topics, "traces")
    worker = service.worker(source=source, capacity={"claim_seconds": LONG})
    async with running(worker):
        await until(lambda: lags(worker) == {0, 1})
        await MemoryLedger(service.topics).claim(ZERO)
        service.traces("b")
        await until(lambda: worker.leases.unclaimed == {ZERO})
        await rebalance(service, source, ONE)
        assert lags(worker) == {1}


# -- smallrye 1403, arroyo 299 ------------------------------------------------------------------------------------


async def test_smallrye_1403_what_is_in_hand_is_not_handed_out_again_after_an_eager_rebalance(service):
    """The queue of polled records outlived the rebalance, which went back to what was committed: both were handed out."""
    names = [f"t{n}" for n in range(12)]
    service.traces(*names)
    service.model = PatientModel(held={"t1"})
    source = MemorySource(service.topics, "traces")
    worker = service.worker(source=source, capacity={"concurrency": 2, "batch": 4, "drain_seconds": 0.01})
    async with running(worker):
        await until(lambda: service.committed(0) == 1 and service.model.waiting == 2)
        assert await source.position(ZERO) > 4  # two in flight, one at the door, the others in the queue
        for _ in range(3):
            await rebalance(service, source, ZERO, ONE)
        assert service.committed(0) == 1
        service.model.release()
        await until(lambda: service.committed(0) == 12)
        assert worker.leases.of(ZERO).epoch == 1
    assert Counter(service.model.asked) == dict.fromkeys(names, 2)
    assert Counter((item["trace_id"], item["mode"]) for item in service.comparisons) == {
        (name, mode): 1 for name in names for mode in MODES
    }


async def test_arroyo_299_what_waits_at_a_full_intake_is_not_begun_again_after_an_assignment(service):
    """The message that was held back outlived its assignment, and was submitted beside the one read afresh."""
    service.traces("a", "b")
    service.model = PatientModel(held={"a"})
    source = MemorySource(service.topics, "traces")
    worker = service.worker(source=source, capacity={"concurrency": 1, "batch": 1, "drain_seconds": 0.01})
    async with running(worker):
        await until(lambda: service.model.asked == ["a"] and len(worker.backlog) == 2)
        await rebalance(service, source, ONE)
        await rebalance(service, source, ZERO, ONE)
        service.model.release()
        await until(lambda: service.committed(0) == 2)
    assert Counter(service.model.asked) == {"a": 3, "b": 2}  # one was under way when the partition was lost
    assert Counter((item["trace_id"], item["mode"]) for item in service.comparisons) == {
        (name, mode): 1 for name in "ab" for mode in MODES
    }


# -- arroyo 401, 405 ----------------------------------------------------------------------------------------------

LETTER_BYTES = 20_000


async def test_arroyo_401_dead_letters_that_cannot_be_written_are_bounded(service, monkeypatch):
    """The buffer of the dead-letter queue had no limit: bad records filled the memory."""
    broker, written_by = away(service, monkeypatch)
    for _ in range(70):
        service.put(b"x" * LETTER_BYTES)
    source = MemorySource(service.topics, "traces")
    worker = service.worker(source=source, capacity={"bytes_in_flight": 10 * LETTER_BYTES}, **written_by)
    if service.exactly_once:
        worker.delivery.due = Due(bytes=5 * LETTER_BYTES, seconds=0.01)
    async with running(worker):
        assert await at_rest(source, broker) <= 10 + 2 * 3 * 5
        broker.away = False
        await until(lambda: service.committed(0) == 70)
    assert [letter["source"]["offset"] for letter in service.dead] == list(range(70))


async def test_arroyo_405_letters_of_a_lost_partition_are_dropped_with_it(service, monkeypatch):
    """The buffer was never cleared: a consumer kept the letters of every partition it had ever had."""
    monkeypatch.setattr("consumers.worker.COMMIT_SECONDS", 0.03)
    broker, written_by = away(service, monkeypatch)
    service.put(b"not a trace")
    source = MemorySource(service.topics, "traces")
    worker = service.worker(source=source, **written_by)
    async with running(worker):
        await until(lambda: broker.refused > 2)
        await rebalance(service, source, ONE)
        broker.away = False
        service.traces("a", partition=1)
        await until(lambda: service.committed(1) == 1)
        assert service.committed(0) is None
        assert len(service.dead) <= (0 if service.exactly_once else 1)  # the one that was being written
        assert kept_books(worker) == (1, 0, 1, 0, 0)
        await rebalance(service, source, ZERO, ONE)
        await until(lambda: service.committed(0) == 1)
    offsets = [letter["source"]["offset"] for letter in service.dead]
    assert offsets == ([0] if service.exactly_once else [0, 0])


async def test_arroyo_405_a_run_of_bad_records_goes_on_where_a_partition_is_kept(service):
    """A rebalance is no reason to forget it: with one a minute, no limit would ever be reached."""
    for _ in range(4):
        service.put(b"not a trace")
    source = MemorySource(service.topics, "traces")
    worker = service.worker(source=source, bad=BadRecords(5, None))
    async with running(worker) as ended:
        await until(lambda: service.committed(0) == 4)
        await rebalance(service, source, ZERO)
        for _ in range(2):
            service.put(b"not a trace")
        await until(lambda: ended)
    assert "6 bad records in a row on traces/0" in ended[0].stopped_by


async def test_arroyo_405_a_run_of_bad_records_begins_anew_with_a_new_assignment(service):
    """Counted on, it ran over what others had read in between, and twice over what was read again."""
    for _ in range(4):
        service.put(b"not a trace")
    source = MemorySource(service.topics, "traces")
    worker = service.worker(source=source, bad=BadRecords(5, None))
    async with running(worker):
        await until(lambda: service.committed(0) == 4)
        await rebalance(service, source, ONE)
        service.traces("good")
        service.topics.commit("group", {ZERO: Committed(5)})  # by the member that had it meanwhile
        for _ in range(2):
            service.put(b"not a trace")
        await rebalance(service, source, ZERO, ONE)
        await until(lambda: service.committed(0) == 7 or worker._stopped_by)
        assert worker._stopped_by is None
    assert len(service.dead) == 6


async def test_arroyo_405_the_share_of_bad_records_is_that_of_what_was_read_whoever_owns_it(service, monkeypatch):
    """A release of the producer is bad on every partition: the share forgets nothing when some of them are given away."""
    monkeypatch.setattr("consumers.dead_letters.SHARE_OF", 10)
    service.traces(*"abcd", partition=1)
    for _ in range(5):
        service.put(b"not a trace")
    source = MemorySource(service.topics, "traces")
    worker = service.worker(source=source, bad=BadRecords(None, 0.5))
    async with running(worker) as ended:
        await until(lambda: (service.committed(0), service.committed(1)) == (5, 4))
        await rebalance(service, source, ONE)
        service.put(b"not a trace", partition=1)
        await until(lambda: ended)
    assert "worker_max_bad_share: 60.0%" in ended[0].stopped_by
