"""Kafka, through aiokafka: the only file that knows this client, its classes and its hazards.

What is done about each hazard is said where it is done; the settings that matter are in `kafka_config`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self, TypeVar

import anyio
import anyio.lowlevel
from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    ConsumerRecord,
    OffsetAndMetadata,
    TopicPartition,
)
from aiokafka.abc import AbstractTokenProvider
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    ConsumerStoppedError,
    IllegalGenerationError,
    IllegalStateError,
    InvalidProducerEpoch,
    KafkaError,
    MessageSizeTooLargeError,
    NoError,
    ProducerFenced,
    RebalanceInProgressError,
    RecordListTooLargeError,
    UnknownMemberIdError,
    for_code,
)

from consumers.kafka_config import COMMIT_SECONDS, connection, membership, reading, transacting, unreachable, writing
from consumers.oauth import Tokens
from consumers.stream import (
    RIVAL,
    CommitRefusedError,
    Committed,
    FencedError,
    Listener,
    Outgoing,
    Partition,
    Received,
    RecordRefusedError,
    StreamError,
)
from replay.settings import KafkaSettings, Settings

T = TypeVar("T")

#: The group has moved on without this member: whoever owns the partition now commits for it.
_NOT_OURS = (
    CommitFailedError,
    IllegalStateError,
    IllegalGenerationError,
    UnknownMemberIdError,
    RebalanceInProgressError,
)
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
#: All that was seen between begin and commit. AssertionError: the client's state machine is made of asserts.
_TRANSACTION_ERRORS = (KafkaError, TimeoutError, ConnectionError, AssertionError)
_CLOSE_SECONDS = 10.0
_ASK_SECONDS = 30.0
_ASK_AGAIN_SECONDS = 0.2
_LOOK_MS = 500


class _Token(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka ships no types for it
    def __init__(self, kafka: KafkaSettings) -> None:
        self._tokens = Tokens(kafka)

    async def token(self) -> str:
        return await self._tokens.token()


def _client_options(kafka: KafkaSettings) -> dict[str, Any]:
    options = connection(kafka)
    if kafka.security.startswith("sasl") and kafka.sasl == "OAUTHBEARER":
        options["sasl_oauth_token_provider"] = _Token(kafka)
    return options


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types for it
    """aiokafka calls these from a task of its own, and swallows what they raise."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._listener.revoked([_partition(tp) for tp in revoked])

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        await self._listener.assigned([_partition(tp) for tp in assigned])


@dataclass(slots=True)
class KafkaSource:
    """A reader. With `positions` it reads these partitions from there; without, its group assigns them."""

    settings: Settings
    topic: str
    group: str | None = None
    positions: Mapping[Partition, int] | None = None
    _consumer: AIOKafkaConsumer = field(init=False)
    _admin: AIOKafkaAdminClient | None = None

    async def start(self, listener: Listener) -> None:
        kafka = self.settings.kafka
        joined = self.positions is None
        # One assignor: with two, the client joins once for each (hazard 6). Sticky: others keep their partitions.
        self._consumer = AIOKafkaConsumer(
            group_id=self.group,
            partition_assignment_strategy=(StickyPartitionAssignor,),
            **(membership(kafka, self.settings.worker) if joined else {"auto_offset_reset": "earliest"}),
            **reading(kafka),
            **_client_options(kafka),
        )
        if self.positions is None:
            self._consumer.subscribe([self.topic], listener=_Rebalances(listener))
        else:
            self._consumer.assign([TopicPartition(*partition) for partition in self.positions])
        try:
            await _started(self._consumer, kafka)
        except StreamError as error:
            if self._fenced(error.__cause__):
                raise self._unread(error.__cause__) from error
            raise
        if self.positions is not None:
            for partition, offset in self.positions.items():
                self.seek(partition, offset)
            await listener.assigned(list(self.positions))

    async def poll(
        self, *, max_records: int, seconds: float, partitions: Collection[Partition] | None = None
    ) -> Sequence[Received]:
        if partitions is not None and not partitions:
            await anyio.sleep(seconds)  # no partition named would mean all of them to the client
            return ()
        chosen = [TopicPartition(*partition) for partition in partitions or ()]
        try:
            # Its own timeout, not a cancel scope: a cancelled getmany may drop what it has taken (hazard 19).
            batches = await self._consumer.getmany(*chosen, timeout_ms=round(seconds * 1000), max_records=max_records)
        except (KafkaError, ConsumerStoppedError) as error:
            raise self._unread(error) from error
        except UnicodeDecodeError as error:
            # The client has advanced past what it had taken for other partitions: going on would lose that.
            raise StreamError(await self._undecodable()) from error
        return [_received(record) for records in batches.values() for record in records]

    async def keep_alive(self) -> None:
        """Polling counts as life even with every partition paused; it costs one fetch of what was buffered."""
        assigned = self._consumer.assignment()
        self._consumer.pause(*assigned)
        try:
            await self._consumer.getmany(timeout_ms=0)
        except (KafkaError, ConsumerStoppedError) as error:
            raise self._unread(error) from error
        finally:
            self._consumer.resume(*(assigned & self._consumer.assignment()))

    async def position(self, partition: Partition) -> int:
        return await _asked(lambda: self._consumer.position(TopicPartition(*partition)), f"position of {partition}")

    def seek(self, partition: Partition, offset: int) -> None:
        with suppress(IllegalStateError):  # given away meanwhile: whoever owns it now has a position of its own
            self._consumer.seek(TopicPartition(*partition), offset)

    async def commit(self, offsets: Mapping[Partition, Committed]) -> None:
        marks = {TopicPartition(*partition): OffsetAndMetadata(*kept) for partition, kept in offsets.items()}
        try:
            with anyio.fail_after(COMMIT_SECONDS):
                await self._consumer.commit(marks)
        except _NOT_OURS as error:
            raise CommitRefusedError(_words(error)) from error
        except (KafkaError, TimeoutError) as error:
            raise StreamError(f"committing to {self.group}: {_words(error)}") from error

    async def committed(self, partitions: Collection[Partition]) -> Mapping[Partition, Committed]:
        # Not the consumer's own `committed`: it drops the note (hazard 18).
        if self.group is None:
            return {}
        if self._admin is None:
            self._admin = AIOKafkaAdminClient(**_client_options(self.settings.kafka))
            await _started(self._admin, self.settings.kafka)
        return await _group_offsets(self._admin, self.group, partitions)

    async def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        return await _ends(self._consumer, partitions)

    async def aclose(self) -> None:
        # Shielded: a cancelled stop() sends no LeaveGroup and leaks tasks (hazard 8).
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            await self._consumer.stop()
            if self._admin is not None:
                await self._admin.close()

    async def _undecodable(self) -> str:
        """Which record the client cannot read, in words. Reads on, so the source is of no use afterwards."""
        for tp in self._consumer.assignment():
            with suppress(KafkaError):
                if self.positions is None:
                    await self._consumer.seek_to_committed(tp)
                else:
                    self._consumer.seek(tp, self.positions[_partition(tp)])
                try:
                    while await self._consumer.getmany(tp, timeout_ms=_LOOK_MS, max_records=1):
                        pass
                except UnicodeDecodeError as error:
                    where = f"{_partition(tp)}, offset {await self._consumer.position(tp)} or soon after"
                    return (
                        f"reading {where}: a record has a header name that is not UTF-8 ({error.object[:40]!r}), which "
                        f"the Kafka client cannot read; to go on, stop the group and move its offset past that record"
                    )
        return f"reading {self.topic}: a record has a header name that is not UTF-8"

    def _unread(self, error: BaseException | None) -> StreamError:
        words = f"group {self.group} has put this member out: {RIVAL}" if self._fenced(error) else _words(error)
        return StreamError(f"reading {self.topic}: {words}")

    def _fenced(self, error: BaseException | None) -> bool:
        """FENCED_INSTANCE_ID reaches us as an error of no class: this client has none for it."""
        return type(error) is KafkaError and self.settings.worker.member is not None


@dataclass(slots=True)
class KafkaSink:
    """A writer. After any error its producer is put away: a gap in its sequence would refuse all that follows."""

    kafka: KafkaSettings
    _producer: AIOKafkaProducer | None = None
    _partitions: dict[str, int] = field(default_factory=dict)

    async def start(self) -> Self:
        await self._open()
        return self

    async def send(self, records: Sequence[Outgoing]) -> None:
        if not records:
            return
        producer = self._producer or await self._open()
        try:
            await self._send(producer, records)
        except (KafkaError, TimeoutError, ConnectionError) as error:
            await self._put_away()
            if isinstance(error, _TOO_LARGE):
                raise RecordRefusedError(_too_large(records, self.kafka)) from error
            raise StreamError(f"writing to {records[0].topic}: {_words(error)}") from error
        except anyio.get_cancelled_exc_class():
            await self._put_away()
            raise

    async def aclose(self) -> None:
        await self._put_away()

    async def _open(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(**(_client_options(self.kafka) | writing(self.kafka)))
        await _started(producer, self.kafka)
        self._producer = producer
        return producer

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> None:
        with anyio.fail_after(self.kafka.delivery_seconds):
            acknowledged = [await _handed_over(producer, record, self._partitions) for record in records]
            # An idempotent producer never gives a batch up by itself (hazard 12): the time limit is ours.
            done, _ = await asyncio.wait(acknowledged)
        errors = [error for future in done if (error := future.exception()) is not None]
        if errors:
            raise errors[0]

    async def _put_away(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stopped(producer)


@dataclass(slots=True)
class KafkaLedger:
    """Transactions: one producer per partition, its id made of group, topic and partition, so that claiming it locks
    every earlier one out (the client has no other fence: KIP-447 is missing).

    After any error between begin and commit the producer is put away, whatever the error: aborting and going on with
    it publishes what was aborted, or loses what failed. Its successor's claim ends what it has left open.
    """

    kafka: KafkaSettings
    group: str
    _producers: dict[Partition, AIOKafkaProducer] = field(default_factory=dict)
    #: Partitions whose last producer may have left a transaction open.
    _open: set[Partition] = field(default_factory=set)
    _partitions: dict[str, int] = field(default_factory=dict)
    _admin: AIOKafkaAdminClient | None = None
    _opening: anyio.Lock = field(default_factory=anyio.Lock)

    async def claim(self, partition: Partition) -> Committed | None:
        await self._put_away(partition)
        producer = AIOKafkaProducer(
            **(_client_options(self.kafka) | writing(self.kafka) | transacting(self.kafka, self._id(partition)))
        )
        await _started(producer, self.kafka)
        self._producers[partition] = producer
        self._open.discard(partition)
        # Only now: an offset read before the fence may be older than what the last writer is just committing.
        return await self._committed(partition)

    async def retain(self, partitions: Collection[Partition]) -> None:
        self._open &= set(partitions)  # what we have left open there, their new owner's claim has ended
        async with anyio.create_task_group() as group:
            for partition in set(self._producers) - set(partitions):
                group.start_soon(self._put_away, partition)

    async def append(self, partition: Partition, records: Sequence[Outgoing], mark: Committed) -> None:
        producer = self._producers.get(partition)
        if producer is None:
            raise StreamError(f"{partition} is not claimed")
        try:
            with anyio.fail_after(self.kafka.delivery_seconds):
                await self._transact(producer, partition, records, mark)
        except (ProducerFenced, InvalidProducerEpoch) as error:  # whoever fenced us has ended what was open
            await self._put_away(partition, producer)
            raise FencedError(f"{partition} was claimed by another writer") from error
        except _TRANSACTION_ERRORS as error:
            self._open.add(partition)
            await self._put_away(partition, producer)
            if isinstance(error, _TOO_LARGE):
                raise RecordRefusedError(_too_large(records, self.kafka)) from error
            raise StreamError(f"transaction of {partition}: {_words(error)}") from error
        except BaseException:
            self._open.add(partition)
            await self._put_away(partition, producer)
            raise

    async def aclose(self) -> None:
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            async with anyio.create_task_group() as group:
                for partition in list(self._producers):
                    group.start_soon(self._put_away, partition)
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True), suppress(StreamError):
            for partition in list(self._open):  # readers of what is committed would wait for its time-out
                await self.claim(partition)
                await self._put_away(partition)
        await self._close_admin()

    async def _transact(
        self, producer: AIOKafkaProducer, partition: Partition, records: Sequence[Outgoing], mark: Committed
    ) -> None:
        await producer.begin_transaction()
        futures = [await _handed_over(producer, record, self._partitions) for record in records]
        # Every one is looked at: a commit succeeds whether or not the records of its transaction were written.
        for future in futures:
            await future
        offsets = {TopicPartition(*partition): OffsetAndMetadata(*mark)}
        await producer.send_offsets_to_transaction(offsets, self.group)
        await producer.commit_transaction()

    async def _committed(self, partition: Partition) -> Committed | None:
        async with self._opening:  # partitions are claimed together: one client for all of them
            if self._admin is None:
                admin = AIOKafkaAdminClient(**_client_options(self.kafka))
                await _started(admin, self.kafka)
                self._admin = admin
            admin = self._admin
        try:
            return (await _group_offsets(admin, self.group, [partition])).get(partition)
        except StreamError:
            if admin is self._admin:
                await self._close_admin()
            raise

    async def _put_away(self, partition: Partition, failed: AIOKafkaProducer | None = None) -> None:
        """Stop the partition's producer; not the one of a later claim, when it is `failed` that is done with."""
        producer = self._producers.get(partition)
        if producer is not None and failed in (None, producer):
            del self._producers[partition]
            await _stopped(producer)

    async def _close_admin(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True), suppress(KafkaError):
                await admin.close()

    def _id(self, partition: Partition) -> str:
        return f"{self.group}.{partition.topic}.{partition.number}"


class NewStream(NamedTuple):
    """A topic to make."""

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str]


@dataclass(slots=True)
class KafkaCluster:
    """Questions to the cluster, and topics: what commands need beside reading and writing."""

    kafka: KafkaSettings
    _admin: AIOKafkaAdminClient
    _consumer: AIOKafkaConsumer

    @classmethod
    @asynccontextmanager
    async def of(cls, kafka: KafkaSettings) -> AsyncIterator[Self]:
        """Connected for as long as the block lasts. Raises `StreamError`."""
        admin = AIOKafkaAdminClient(**_client_options(kafka))
        consumer = AIOKafkaConsumer(**_client_options(kafka), **reading(kafka))
        try:
            await _started(admin, kafka)
            await _started(consumer, kafka)
            yield cls(kafka, admin, consumer)
        finally:
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True), suppress(KafkaError):
                await consumer.stop()
                await admin.close()

    async def partitions(self, topic: str) -> list[Partition]:
        """Raises `StreamError` when there is no such topic."""
        for described in await _asked(lambda: self._admin.describe_topics([topic]), f"topic {topic}"):
            if not described["error_code"]:
                return sorted(Partition(topic, found["partition"]) for found in described["partitions"])
        where = self.kafka.bootstrap
        raise StreamError(f"there is no topic {topic} on {where}; `shadow-replay topics create` makes it")

    async def create(self, stream: NewStream) -> bool:
        """Make a topic; false when it is there already. Raises `StreamError`."""
        new = NewTopic(stream.name, stream.partitions, stream.replication, topic_configs=dict(stream.configs))
        response = await _asked(lambda: self._admin.create_topics([new]), f"topic {stream.name}")
        (_, code, *words), *_ = response.topic_errors
        error = for_code(code)
        if error is NoError:
            return True
        if error.__name__ == "TopicAlreadyExistsError":
            return False
        raise StreamError(f"topic {stream.name} was not made: {(words or [None])[0] or error.__name__}")

    async def offsets_at(self, partitions: Collection[Partition], ms: int) -> Mapping[Partition, int]:
        """The first offset of each partition with a record timestamp of at least `ms`; its end when there is none."""
        ends = await self.ends(partitions)
        asked = {TopicPartition(*partition): ms for partition in partitions}
        found = await _asked(lambda: self._consumer.offsets_for_times(asked), "offsets by time") if asked else {}
        offsets = {_partition(tp): hit.offset for tp, hit in found.items() if hit is not None}
        return {partition: min(offsets.get(partition, ends[partition]), ends[partition]) for partition in partitions}

    async def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        return await _ends(self._consumer, partitions)

    async def beginnings(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        asked = [TopicPartition(*partition) for partition in partitions]
        found = await _asked(lambda: self._consumer.beginning_offsets(asked), "first offsets") if asked else {}
        return {_partition(tp): offset for tp, offset in found.items()}

    async def commit(self, group: str, marks: Mapping[Partition, Committed]) -> None:
        """Keep offsets for a group that has no members. Raises `StreamError`."""
        member = AIOKafkaConsumer(group_id=group, **reading(self.kafka), **_client_options(self.kafka))
        offsets = {TopicPartition(*partition): OffsetAndMetadata(*mark) for partition, mark in marks.items()}
        member.assign(list(offsets))
        await _started(member, self.kafka)
        try:
            await _asked(lambda: member.commit(offsets), f"offsets of {group}")
        finally:
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                await member.stop()

    async def group_offsets(self, group: str, partitions: Collection[Partition]) -> Mapping[Partition, Committed]:
        return await _group_offsets(self._admin, group, partitions)


def quiet_client(level: int = logging.CRITICAL) -> None:
    """Keep the client's own log lines from a person's terminal: what matters is raised, and said once."""
    client = logging.getLogger("aiokafka")
    client.setLevel(level)
    if not client.handlers:
        client.addHandler(logging.NullHandler())


async def _started(client: Any, kafka: KafkaSettings) -> None:
    """Start a client, or put away what it had opened. Raises `StreamError` in words fit for a person."""
    stop: Callable[[], Awaitable[None]] = getattr(client, "stop", None) or client.close
    try:
        with anyio.fail_after(kafka.request_seconds):
            await client.start()
            await anyio.lowlevel.checkpoint()  # a client stopped before its tasks have begun fails in stopping
    except (KafkaError, OSError, TimeoutError) as error:
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True), suppress(KafkaError):
            await stop()
        raise StreamError(unreachable(kafka, error)) from error
    except BaseException:
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True), suppress(KafkaError):
            await stop()
        raise


async def _handed_over(producer: AIOKafkaProducer, record: Outgoing, counts: dict[str, int]) -> asyncio.Future[object]:
    """Give a record to the producer; the future is its acknowledgement. `counts`: partitions of topics, remembered."""
    partition = record.partition
    if partition is not None:
        if record.topic not in counts:
            counts[record.topic] = await _partition_count(producer, record.topic)
        partition %= counts[record.topic]
    future: asyncio.Future[object] = await producer.send(
        record.topic,
        record.value,
        key=record.key,
        partition=partition,
        timestamp_ms=record.timestamp_ms,
        headers=list(record.headers),
    )
    future.add_done_callback(_looked_at)
    return future


async def _partition_count(producer: AIOKafkaProducer, topic: str) -> int:
    found = await producer.partitions_for(topic)
    if not found:
        raise KafkaError(f"there is no topic {topic}; `shadow-replay topics create` makes it")
    return len(found)


async def _stopped(producer: AIOKafkaProducer) -> None:
    with anyio.move_on_after(_CLOSE_SECONDS, shield=True) as scope:
        await producer.stop()
    if scope.cancelled_caught:  # it waits for a broker that is gone: stop() would never come to these two
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            await producer._sender.close()  # noqa: SLF001 - see above
            await producer.client.close()


async def _asked(ask: Callable[[], Awaitable[T]], what: str) -> T:
    """Ask until it is answered: a broker that has just started has no coordinator for some seconds."""
    last: Exception = TimeoutError()
    with anyio.move_on_after(_ASK_SECONDS):
        while True:
            try:
                return await ask()
            except (KafkaError, ConnectionError) as error:
                last = error
                if not getattr(error, "retriable", False):
                    break
            await anyio.sleep(_ASK_AGAIN_SECONDS)
    raise StreamError(f"asking for the {what}: {_words(last)}") from last


async def _group_offsets(
    admin: AIOKafkaAdminClient, group: str, partitions: Collection[Partition]
) -> Mapping[Partition, Committed]:
    asked = [TopicPartition(*partition) for partition in partitions]
    found = await _asked(lambda: admin.list_consumer_group_offsets(group, partitions=asked), f"offsets of {group}")
    return {_partition(tp): Committed(kept.offset, kept.metadata) for tp, kept in found.items() if kept.offset >= 0}


async def _ends(consumer: AIOKafkaConsumer, partitions: Collection[Partition]) -> Mapping[Partition, int]:
    asked = [TopicPartition(*partition) for partition in partitions]
    found = await _asked(lambda: consumer.end_offsets(asked), "last offsets") if asked else {}
    return {_partition(tp): offset for tp, offset in found.items()}


def _partition(tp: TopicPartition) -> Partition:
    return Partition(tp.topic, tp.partition)


def _received(record: ConsumerRecord) -> Received:
    return Received(
        Partition(record.topic, record.partition),
        record.offset,
        record.value or b"",
        record.key,
        record.timestamp,
        tuple((name, held or b"") for name, held in record.headers),
    )


def _looked_at(future: asyncio.Future[object]) -> None:
    """A future nobody asks any more must not complain of that at its end."""
    if not future.cancelled():
        future.exception()


def _too_large(records: Sequence[Outgoing], kafka: KafkaSettings) -> str:
    largest = max(records, key=lambda record: len(record.value))
    return (
        f"a record of {len(largest.value):,} bytes does not fit into {largest.topic}: raise kafka_request_bytes "
        f"({kafka.request_bytes:,}) and the topic's max.message.bytes"
    )


def _words(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
