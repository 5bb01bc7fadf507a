"""`shadow-replay worker`: replay what production does, for as long as it runs."""

from __future__ import annotations

import argparse
import signal
from contextlib import AsyncExitStack

import anyio

from consumers.assembly import planner_of, routes_of
from consumers.kafka import KafkaSource
from consumers.lifecycle import stopping
from consumers.run_command import DONE, INTERRUPTED, STOPPED_BY_A_LIMIT
from consumers.service import Service, group_of, service_settings, worker_run_id, writer_of
from consumers.status import serve_status
from consumers.telemetry import Telemetry, open_log, relay_client_log
from consumers.worker import Ended, Worker


def worker(arguments: argparse.Namespace) -> int:
    """The command. Exit code 0 after SIGTERM, 130 after an interrupt, 4 when a limit stopped it."""
    settings = service_settings(arguments)
    planner, where = planner_of(settings), tuple(arguments.where)
    run_id = worker_run_id(settings, planner, where)
    log = open_log(settings, run_id=run_id, candidate=planner.candidate.digest[:15])
    return anyio.run(_Member(Service(settings, planner, where, run_id, group_of(settings, where), Telemetry(log))).run)


class _Member:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._signal: signal.Signals | None = None

    async def run(self) -> int:
        service, log = self._service, self._service.telemetry.log
        async with AsyncExitStack() as stack:
            writer = await stack.enter_async_context(writer_of(service.settings, service.group))
            routes = await stack.enter_async_context(routes_of(service.planner, service.settings))
            relay_client_log(log)
            source = KafkaSource(service.settings, service.settings.kafka.traces, group=service.group)
            member = service.worker(source, writer, routes)
            await stack.enter_async_context(serve_status(service.settings.worker, member, service.telemetry))
            await stack.enter_async_context(stopping(lambda number: self._stop(member, number)))
            log.info("started", group=service.group, topic=service.settings.kafka.traces)
            return self._end(await member.run())

    def _stop(self, member: Worker, number: signal.Signals) -> None:
        self._signal = number
        self._service.telemetry.log.info("stopping", signal=number.name, again="kills at once")
        member.stop()

    def _end(self, ended: Ended) -> int:
        self._service.telemetry.log.info("stopped", by_limit=ended.stopped_by, drained=ended.drained)
        if ended.stopped_by is not None:
            return STOPPED_BY_A_LIMIT
        return INTERRUPTED if self._signal == signal.SIGINT else DONE
