"""Small web servers of the processes: metrics for Prometheus, health for whoever keeps them running."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from consumers.access import Access
from consumers.telemetry import Telemetry
from replay.errors import UsageError
from replay.settings import WorkerSettings, secret_of

_TEXT = "text/plain; version=0.0.4"
_SHUTDOWN_SECONDS = 2.0
_ORIGIN = web.RequestKey("origin", str)
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET",
    "Access-Control-Allow-Headers": "Authorization, Last-Event-ID",
    "Access-Control-Max-Age": "600",
}


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
    application = web.Application(middlewares=[guarded_by(access)])
    add_health(application, member, telemetry)
    async with listening_on(application, worker.http_host, worker.http_port, setting="worker_http_port") as port:
        telemetry.log.info("status", url=f"http://{worker.http_host}:{port}/metrics")
        yield


@asynccontextmanager
async def listening_on(application: web.Application, host: str, port: int, *, setting: str) -> AsyncIterator[int]:
    """Serve for as long as the block lasts; gives the port. Raises `UsageError` when it cannot be had."""
    # A handler whose client has gone is cancelled: a stream of events would find out with its next event only.
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(f"{setting}: cannot listen on {host}:{port}: {error.strerror or error}") from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def guarded_by(access: Access) -> Middleware:
    """Ask the rules before every request; tell browsers of allowed origins that they may read the answer."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = access.allowed_origin(request.headers)
        if request.method == "OPTIONS" and origin is not None and access.is_asked_by_name(request.headers):
            return web.Response(status=204, headers=_PREFLIGHT | _allowing(origin))
        refused = access.refusal(request.path, request.headers)
        if refused is not None:
            return web.json_response({"error": refused.reason}, status=refused.status, headers=_allowing(origin))
        if origin is not None:
            request[_ORIGIN] = origin
        return await handler(request)

    return guarded


def add_health(application: web.Application, member: Readiness, telemetry: Telemetry) -> None:
    """/metrics, /healthz and /readyz; and for every answer, the origin that may read it."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=telemetry.exposition(), headers={"Content-Type": _TEXT})

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        return web.Response(text="ready\n" if member.ready else "not ready\n", status=200 if member.ready else 503)

    async def allow(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(_allowing(request.get(_ORIGIN)))

    application.on_response_prepare.append(allow)
    application.router.add_get("/metrics", metrics)
    application.router.add_get("/healthz", alive)
    application.router.add_get("/readyz", ready)


def _allowing(origin: str | None) -> dict[str, str]:
    return {} if origin is None else {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
