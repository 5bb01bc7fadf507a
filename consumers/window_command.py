"""`shadow-replay window`: replay what production did between two times, once, and say how it went."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

import anyio

from consumers import window as windows
from consumers.assembly import gate_for, planner_of, routes_of
from consumers.kafka import KafkaCluster, KafkaSource
from consumers.lifecycle import stopping
from consumers.progress import Progress
from consumers.published import published
from consumers.report import Report
from consumers.run_command import INTERRUPTED, STOPPED_BY_A_LIMIT, exit_code, print_json, print_lines
from consumers.service import Bounds, Service, identity_of, service_settings, writer_of
from consumers.stream import StreamError
from consumers.telemetry import Telemetry, open_log
from consumers.verdicts import all_told, publish
from consumers.when import milliseconds, parse_when
from consumers.window import Window
from consumers.worker import Ended, Worker
from replay.comparison import REFUSALS, Comparison
from replay.errors import UsageError
from replay.gate.docket import Docket, Run
from replay.gate.target import with_certificate
from replay.planning import Planner
from replay.settings import Settings
from replay.summary import Summary


def window(arguments: argparse.Namespace) -> int:
    """The command. Exit code by verdict, 0 without a gate, 4 when a limit stopped it, 130 when interrupted."""
    settings = service_settings(arguments)
    planner = planner_of(settings)
    gate = gate_for(planner.baseline, settings)
    order = _Order(arguments, settings, planner, tuple(arguments.where))
    plan = anyio.run(order.resolve)
    words = f"{plan.run_id}: {plan.records:,} records; --resume {plan.run_id} goes on with it"
    sys.stderr.write(f"shadow-replay: {words}\n")
    job = _Job(order, plan, None if gate is None else Docket(gate, Run.planned(plan.run_id, planner)))
    ended = anyio.run(job.run)
    job.judge(ended)
    anyio.run(job.certify)
    job.report(ended)
    anyio.run(job.publish)
    if ended.stopped_by is not None:
        return STOPPED_BY_A_LIMIT
    return INTERRUPTED if job.interrupted else exit_code(job.summary)


@dataclass(frozen=True, slots=True)
class _Order:
    arguments: argparse.Namespace
    settings: Settings
    planner: Planner
    where: tuple[str, ...]

    async def resolve(self) -> Window:
        """The window as asked for, or as it was resolved when the run was begun."""
        arguments, topic = self.arguments, self.settings.kafka.traces
        request = windows.request_of(identity_of(self.settings, self.planner, self.where))
        async with KafkaCluster.of(self.settings.kafka) as cluster:
            if arguments.resume is not None:
                return await windows.recall(cluster, topic, run_id=arguments.resume, request=request)
            begin, end, now = self._times()
            plan = await windows.resolve(
                cluster,
                topic,
                from_ms=milliseconds(begin),
                to_ms=min(milliseconds(end), milliseconds(now)),
                made_ms=milliseconds(now),
                request=request,
            )
            await windows.keep(cluster, plan)
            return plan

    def _times(self) -> tuple[datetime, datetime, datetime]:
        if self.arguments.begin is None:
            raise UsageError('--from is missing: a time such as 2026-03-01T12:00:00Z or "2h ago", or --resume RUN')
        now = datetime.now(UTC)
        return parse_when(self.arguments.begin, now=now), parse_when(self.arguments.end, now=now), now


@dataclass(slots=True)
class _Job:
    order: _Order
    plan: Window
    docket: Docket | None = None
    summary: Summary = field(default_factory=Summary)
    interrupted: bool = False
    _done: set[str] = field(default_factory=set)
    _passed: int = 0
    _progress: Progress = field(default_factory=Progress.silent)

    async def run(self) -> Ended:
        settings, plan = self.order.settings, self.plan
        async with AsyncExitStack() as stack:
            writer = await stack.enter_async_context(writer_of(settings, plan.run_id))
            routes = await stack.enter_async_context(routes_of(self.order.planner, settings))
            self._progress = stack.enter_context(Progress.on(plan.records))
            source = KafkaSource(settings, settings.kafka.traces, group=plan.run_id, positions=plan.starts)
            bounds = Bounds(plan.ends, plan.note, self._done.__contains__, self._observe, self._pass)
            worker = self._service().worker(source, writer, routes, bounds)
            await self._take_up(worker)
            await stack.enter_async_context(stopping(lambda number: self._interrupt(worker, number)))
            return await worker.run()

    def judge(self, ended: Ended) -> None:
        """The verdict on the whole window; one that was stopped has none."""
        if self.docket is not None and ended.stopped_by is None and not self.interrupted:
            self.docket.finish()
            self.summary.verdict = self.docket.verdict(now=time.time_ns())

    async def certify(self) -> None:
        """Since when the target of a rollback is certified, as far as the verdict topic says."""
        verdict, docket = self.summary.verdict, self.docket
        if verdict is None or verdict.rollback_target is None or docket is None:
            return
        try:
            told = [it async for it in all_told(self.order.settings)]
        except StreamError as error:
            words = f"whether {verdict.rollback_target.bundle} is certified is not known: {error}"
            sys.stderr.write(f"shadow-replay: {words}; gate target --run {self.plan.run_id} looks again\n")
            return
        self.summary.verdict = with_certificate(verdict, docket.gate, told, now=time.time_ns())

    async def publish(self) -> None:
        """After it was printed: whoever waits for it should not lose it to a broker that is away."""
        if self.summary.verdict is None:
            return
        try:
            await publish(self.order.settings.kafka, self.summary.verdict)
        except StreamError as error:
            sys.stderr.write(f"shadow-replay: the verdict is not on its topic: {error}; --resume writes it again\n")

    def report(self, ended: Ended) -> None:
        """Print the summary of everything this run has compared, in this start and earlier ones."""
        order, plan = self.order, self.plan
        self.summary.stopped_by = ended.stopped_by or ("an interrupt" if self.interrupted else None)
        self.summary.left = 0 if self.summary.stopped_by is None else max(0, plan.records - self._passed)
        kafka = order.settings.kafka
        where = f"topic {kafka.comparisons} of {kafka.bootstrap}"
        report = Report(plan.run_id, order.planner, order.settings, self.summary, where)
        if order.arguments.json:
            print_json(report.as_json() | {"from_ms": plan.from_ms, "to_ms": plan.to_ms})
        else:
            print_lines(report.lines(go_on=f"the same command with --resume {plan.run_id}"))

    def _service(self) -> Service:
        order = self.order
        log = open_log(order.settings, least=logging.WARNING, run_id=self.plan.run_id)
        return Service(order.settings, order.planner, order.where, self.plan.run_id, self.plan.run_id, Telemetry(log))

    async def _take_up(self, worker: Worker) -> None:
        """What earlier starts have published is counted, and neither made nor paid again."""
        if self.order.arguments.resume is None:
            return
        # First of all lock out a start that may still live: what it was writing is on the topic by then, or never.
        await worker.delivery.claim(tuple(self.plan.starts), 0)
        async for comparison in published(self.order.settings, run_id=self.plan.run_id, since_ms=self.plan.made_ms):
            if comparison.comparison_id not in self._done:
                worker.spent.take_up(comparison)
            self._observe(comparison)

    def _observe(self, comparison: Comparison) -> None:
        """The summary counts what comes first, the gate what stands first in the source: it sees copies, too."""
        if self.docket is not None:
            self.docket.enter(comparison)
        if comparison.comparison_id not in self._done:
            self._done.add(comparison.comparison_id)
            self.summary.add(comparison)
        self._progress.advance(1, line=self._passed, summary=self.summary)

    def _pass(self, outcome: str) -> None:
        self._passed += 1
        kind, _, stage = outcome.partition(".")
        if kind == "dead_letter":
            self.summary.dead_letters[stage] += 1
            return
        self.summary.traces += 1
        if outcome in REFUSALS:
            self.summary.refused[outcome] += 1
        else:
            self.summary.admitted += 1

    def _interrupt(self, worker: Worker, number: signal.Signals) -> None:
        self.interrupted = True
        sys.stderr.write(f"shadow-replay: {number.name}: ending what is in flight; again kills at once\n")
        worker.stop()
