"""A worker over streams in memory: two bundles, a model that is told when to answer, and a look at what came out."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from consumers.at_least_once import AtLeastOnce
from consumers.dead_letters import BadRecords
from consumers.delivery import Account, Delivery
from consumers.exactly_once import Due, ExactlyOnce
from consumers.intake import Intake
from consumers.memory import MemoryLedger, MemorySink, MemorySource, MemoryTopics
from consumers.offsets import Leases
from consumers.outbox import Outbox
from consumers.playback import parse_header
from consumers.stream import Outgoing, Partition
from consumers.telemetry import Telemetry, open_log
from consumers.worker import Capacity, Worker
from replay.admission import Admission
from replay.comparison import MODES
from replay.divergence import Comparer
from replay.models import ModelReply, ModelRequest
from replay.planning import Design, Planner
from replay.settings import Settings
from replay.testing import ScriptedModel, a_bundle, a_trace, says
from replay.wire import encode_trace

PRODUCTION = a_bundle()
PLANNER = Planner(PRODUCTION, a_bundle("candidate"))


def telemetry() -> Telemetry:
    return Telemetry(open_log(Settings(), io.StringIO()))


@dataclass
class PatientModel:
    """Answers at once, but for traces whose id is in `held`: those wait until `release`."""

    held: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    waiting: int = 0
    _released: anyio.Event = field(default_factory=anyio.Event)
    _answer: ScriptedModel = field(default_factory=lambda: ScriptedModel(lambda _: says("y")))

    def release(self) -> None:
        self.held = set()
        self._released.set()

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        trace_id = parse_header(next(iter(request.headers.values()))).trace_id
        self.asked.append(trace_id)
        if trace_id in self.held:
            self.waiting += 1
            await self._released.wait()
        return await self._answer.complete(request, timeout_seconds=timeout_seconds)

    async def aclose(self) -> None:
        return None


@dataclass
class SmallService:
    """Topics `traces` (two partitions), `comparisons`, `dead`; workers of one group over them."""

    topics: MemoryTopics = field(default_factory=lambda: MemoryTopics({"traces": 2, "comparisons": 2, "dead": 1}))
    model: PatientModel = field(default_factory=PatientModel)
    exactly_once: bool = False

    def put(self, value: bytes, partition: int = 0, **more) -> None:
        self.topics.append(Outgoing("traces", value, None, partition, **more))

    def traces(self, *names: str, partition: int = 0, **changes) -> None:
        for name in names:
            self.put(encode_trace(a_trace("?", [says("x")], trace_id=name, **changes)), partition)

    def worker(
        self, *, sink=None, ledger=None, bad: BadRecords | None = None, capacity: dict | None = None, until=None, **more
    ) -> Worker:
        """Delivers at least once into `sink`, or exactly once into `ledger`."""
        if self.exactly_once and sink is None:
            ledger = ledger or MemoryLedger(self.topics)
        limits = {"commit_seconds": 0.01, "drain_seconds": 0.2, "grace_seconds": 5.0, "claim_seconds": 0.05}
        source = more.pop("source", None) or MemorySource(self.topics, "traces")
        is_done: Callable[[str], bool] = more.pop("is_done", lambda _: False)
        account = Account(telemetry(), more.pop("observe", lambda _: None), more.pop("passed", lambda _: None))
        outbox, leases = Outbox("r", "comparisons", "dead"), Leases()
        delivery: Delivery = AtLeastOnce(source, sink or MemorySink(self.topics), outbox, leases, account, 0.01)
        if ledger is not None:
            due = more.pop("due", Due(seconds=0.01))
            delivery = ExactlyOnce(ledger, outbox, leases, account, "group", due, rereads=until is not None)
        return Worker(
            source=source,
            delivery=delivery,
            leases=leases,
            run_id="r",
            intake=Intake(Admission(PRODUCTION), PLANNER, Design(MODES), is_done),
            comparer=Comparer(PLANNER),
            model=self.model,
            telemetry=account.telemetry,
            capacity=Capacity(**(limits | (capacity or {}))),
            bad_records=bad or BadRecords(None, None),
            until=until,
            **more,
        )

    def records(self, topic: str, schema: str) -> list[dict]:
        values = [json.loads(record.value) for p in self.topics.all_of(topic) for record in self.topics.log(p)]
        return [value for value in values if value["schema"] == schema]

    @property
    def comparisons(self) -> list[dict]:
        return self.records("comparisons", "comparison/1")

    @property
    def watermarks(self) -> list[dict]:
        return self.records("comparisons", "watermark/1")

    @property
    def dead(self) -> list[dict]:
        return self.records("dead", "dead-letter/1")

    def committed(self, partition: int = 0) -> int | None:
        kept = self.topics.committed("group", Partition("traces", partition))
        return None if kept is None else kept.offset


async def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for what another task does; fail when it does not come."""
    with anyio.fail_after(seconds):
        while not holds():
            await anyio.sleep(0.005)
