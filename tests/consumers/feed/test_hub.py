"""Listeners of the live feed: each gets what it asked for in order; one that falls behind goes alone."""

from __future__ import annotations

import io

import anyio
import pytest

from consumers.feed.hub import CrowdedError, Hub
from consumers.feed.line import Event
from consumers.feed.selection import Selection
from consumers.telemetry import FEED_METRICS, Telemetry, open_log
from replay.settings import Settings

ALL = Selection()


@pytest.fixture
def hub():
    return Hub(2, 3, Telemetry(open_log(Settings(), io.StringIO()), metrics=FEED_METRICS))


def event(seq, run_id="r"):
    return Event(kind="watermark", seq=seq, data=b"{}", run_id=run_id)


async def test_events_come_in_order(hub):
    with hub.listening(ALL, None, lambda: None) as listener:
        hub.tell([event(1), event(2)])
        hub.tell([event(3)])
        assert [e.seq for e in await listener.take(1)] == [1, 2, 3]
        assert await listener.take(0.01) == []


async def test_a_waiting_listener_is_woken(hub):
    with hub.listening(ALL, None, lambda: None) as listener:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.lowlevel.checkpoint)
            with anyio.fail_after(2):
                group.start_soon(hub_tell_soon, hub)
                assert [e.seq for e in await listener.take(60)] == [1]


async def hub_tell_soon(hub):
    await anyio.sleep(0.01)
    hub.tell([event(1)])


async def test_one_that_falls_behind_is_dropped_once_and_the_others_stay(hub):
    dropped = []
    with (
        hub.listening(ALL, None, lambda: dropped.append("slow")) as slow,
        hub.listening(ALL, None, lambda: dropped.append("good")) as good,
    ):
        for seq in range(10):
            hub.tell([event(seq)])
            assert [e.seq for e in await good.take(1)] == [seq]
        assert dropped == ["slow"]
        assert slow.over
        assert not good.over
        with hub.listening(ALL, None, lambda: None):  # its place is free again
            pass
    assert b"shadow_replay_listeners_dropped_total 1.0" in hub.telemetry.exposition()


async def test_there_are_only_so_many_places(hub):
    one, two, three = (hub.listening(ALL, None, lambda: None) for _ in range(3))
    with one, two, pytest.raises(CrowdedError), three:
        pass
    with hub.listening(ALL, None, lambda: None):
        assert b"shadow_replay_listeners 1.0" in hub.telemetry.exposition()


async def test_watermarks_of_other_runs_are_left_out(hub):
    with hub.listening(ALL, "mine", lambda: None) as listener:
        hub.tell([event(None, "mine"), event(None, "theirs")])
        assert [e.run_id for e in await listener.take(1)] == ["mine"]


async def test_closing_ends_every_stream(hub):
    with hub.listening(ALL, None, lambda: None) as listener:
        hub.close()
        with anyio.fail_after(1):
            assert await listener.take(60) == []
        assert listener.over
