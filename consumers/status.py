"""A worker's own small web server: metrics for Prometheus, health for whoever keeps it running."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from consumers.access import Access
from consumers.telemetry import Telemetry
from replay.settings import WorkerSettings, secret_of

_TEXT = "text/plain; version=0.0.4"


class Readiness(Protocol):
    """Ready: it has partitions, or knows that it has none, and its broker answers."""

    @property
    def ready(self) -> bool: ...


@asynccontextmanager
async def serve_status(worker: WorkerSettings, member: Readiness, telemetry: Telemetry) -> AsyncIterator[None]:
    """Serve for as long as the block lasts; nothing at all without a port. Raises `UsageError` for an open door."""
    if worker.http_port is None:
        yield
        return
    token = secret_of(worker.http_token, worker.http_token_file, "worker_http_token")
    access = Access.of(host=worker.http_host, token=token, setting="worker_http_host")
    runner = web.AppRunner(_application(access, member, telemetry), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, worker.http_host, worker.http_port).start()
        yield
    finally:
        await runner.cleanup()


def guarded_by(access: Access) -> Middleware:
    """Ask the rules before every request."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = access.refusal(request.path, request.headers)
        if refused is not None:
            return web.json_response({"error": refused.reason}, status=refused.status)
        return await handler(request)

    return guarded


def _application(access: Access, member: Readiness, telemetry: Telemetry) -> web.Application:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=telemetry.exposition(), headers={"Content-Type": _TEXT})

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        return web.Response(text="ready\n" if member.ready else "not ready\n", status=200 if member.ready else 503)

    application = web.Application(middlewares=[guarded_by(access)])
    application.router.add_get("/metrics", metrics)
    application.router.add_get("/healthz", alive)
    application.router.add_get("/readyz", ready)
    return application
