"""The worker's own door: metrics, health, and a token where others can reach it."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
import pytest

from consumers.status import serve_status
from consumers.telemetry import COMPARISONS, LAG
from local_kafka import free_ports
from replay.errors import UsageError
from replay.settings import WorkerSettings
from small_service import telemetry


@dataclass
class Member:
    ready: bool = False


async def get(port, path, **headers):
    url = f"http://127.0.0.1:{port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, await response.text()


@pytest.fixture
def port():
    """A port that was free just now."""
    return free_ports(1)[0]


async def test_metrics_and_health_are_served(port):
    told, member = telemetry(), Member()
    told.gauge(LAG, 7, "traces", "0")
    told.count(COMPARISONS, "candidate", "free", "compared")
    async with serve_status(WorkerSettings(http_port=port), member, told):
        status, text = await get(port, "/metrics")
        assert status == 200
        assert 'shadow_replay_lag{partition="0",topic="traces"} 7.0' in text
        assert 'shadow_replay_comparisons_total{disposition="compared",lane="candidate",mode="free"} 1.0' in text
        assert await get(port, "/healthz") == (200, "ok\n")
        assert await get(port, "/readyz") == (503, "not ready\n")
        member.ready = True
        assert await get(port, "/readyz") == (200, "ready\n")
        assert (await get(port, "/metrics", Host="evil.example"))[0] == 403


async def test_a_token_guards_metrics_and_not_health(port, tmp_path):
    (tmp_path / "token").write_text("t0k\n")
    worker = WorkerSettings(http_port=port, http_host="0.0.0.0", http_token_file=str(tmp_path / "token"))
    async with serve_status(worker, Member(), telemetry()):
        assert (await get(port, "/metrics"))[0] == 401
        assert (await get(port, "/metrics", Authorization="Bearer t0k"))[0] == 200
        assert (await get(port, "/healthz"))[0] == 200


async def test_without_a_port_nothing_is_served(port):
    async with serve_status(WorkerSettings(), Member(), telemetry()):
        with pytest.raises(aiohttp.ClientConnectionError):
            await get(port, "/healthz")


async def test_an_open_door_is_refused(port):
    with pytest.raises(UsageError, match="worker_http_host"):
        async with serve_status(WorkerSettings(http_port=port, http_host="0.0.0.0"), Member(), telemetry()):
            pass


async def test_a_port_in_use_is_said(port):
    async with serve_status(WorkerSettings(http_port=port), Member(), telemetry()):
        with pytest.raises(UsageError, match=f"worker_http_port: cannot listen on 127.0.0.1:{port}"):
            async with serve_status(WorkerSettings(http_port=port), Member(), telemetry()):
                pass
