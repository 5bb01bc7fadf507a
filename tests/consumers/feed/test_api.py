"""The feed over HTTP: what it answers, whom it answers, and that one bad client harms nobody."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager

import aiohttp
import anyio
import pytest

from consumers.memory import MemorySource
from consumers.stream import Partition, StreamError
from made_comparisons import comparisons
from replay.comparison import Watermark
from replay.errors import UsageError
from replay.settings import FeedSettings
from small_feed import TOPIC, SmallFeed, events
from small_service import until


@pytest.fixture
def feed(tmp_path):
    return SmallFeed(tmp_path)


@asynccontextmanager
async def serving(feed, items=()):
    feed.put(items)
    async with feed.served():
        await until(lambda: feed.caught_up and feed.folding.ready)
        yield feed


async def test_the_summary_says_what_was_folded_and_how_far(feed):
    async with serving(feed, [*comparisons(60), b"junk"]):
        found = await feed.get("/api/summary")
        assert sum(lane["comparisons"] for run in found["runs"] for lane in run["lanes"]) == 60
        assert found["verdicts"] == {}
        assert found["records"] == {"folded": 60, "refused": 1}
        assert sum(p["offset"] for p in found["positions"]) == 61
        assert found["runs"][0]["not_exercised"] == ["retriever"]
        assert (await feed.get("/api/summary?lane=baseline"))["runs"] == []
        assert (await feed.get("/api/summary?since=2h%20ago&mode=free"))["runs"][0]["lanes"][0]["mode"] == "free"


async def test_comparisons_come_as_they_are_on_the_topic(feed):
    async with serving(feed, comparisons(30)):
        page = await feed.get("/api/comparisons?limit=7&severity=0")
        assert len(page["comparisons"]) == 7
        for kept in page["comparisons"]:
            assert kept["comparison"]["schema"] == "comparison/1"
            assert kept["comparison"]["comparison_id"] == kept["line"]["comparison_id"]


@pytest.mark.parametrize("path", ["/api/summary?tool=x", "/api/comparisons?limit=x", "/events?severity=9"])
async def test_a_wrong_parameter_is_a_400_that_names_it(feed, path):
    async with serving(feed):
        said = await feed.get(path, status=400)
        assert path.partition("?")[2].partition("=")[0] in said["error"]


async def test_the_description_names_every_path_and_parameter(feed):
    async with serving(feed, comparisons(5)):
        document = await feed.get("/openapi.json")
        assert set(document["paths"]) == {
            "/api/summary", "/api/comparisons", "/api/verdicts", "/events", "/metrics", "/healthz", "/readyz", "/openapi.json",
        }  # fmt: skip
        for path, operations in document["paths"].items():
            if path != "/events":
                await feed.get(path)
            for parameter in operations["get"].get("parameters", []):
                assert parameter["description"]
        described = document["components"]["schemas"]["Summary"]["properties"]
        assert set(await feed.get("/api/summary")) == set(described)
        assert "security" not in document


async def test_metrics_and_health(feed):
    async with serving(feed, comparisons(12)):
        await anyio.sleep(0.2)
        text = await feed.get("/metrics")
        assert 'shadow_replay_records_total{outcome="folded"} 12.0' in text
        assert 'shadow_replay_lag{partition="0",topic="comparisons"} 0.0' in text
        assert await feed.get("/healthz") == "ok\n"
        assert await feed.get("/readyz") == "ready\n"


# -- live events ------------------------------------------------------------------------------------------------


async def listen(feed, path="/events", *, count, **headers):
    """The first `count` events."""
    text = ""
    async with aiohttp.ClientSession() as session, session.get(feed.url(path), headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        with anyio.fail_after(10):
            while len(events(text.rpartition("\n\n")[0])) < count:
                text += (await response.content.readany()).decode()
    return events(text.rpartition("\n\n")[0])


async def listening(feed, count=1):
    """Until so many clients listen."""
    await until(lambda: len(feed.folding.hub._listeners) >= count)


async def test_events_are_lines_and_watermarks_as_they_come(feed):
    async with serving(feed, comparisons(5)):
        found = []

        async def client():
            found.extend(await listen(feed, count=11))

        async with anyio.create_task_group() as group:
            group.start_soon(client)
            await listening(feed)
            feed.put([*comparisons(10, first=5), Watermark(run_id="run-1", topic="traces", partition=0, offset=9)])
        lines = [event for event in found if event["event"] == "comparison"]
        assert [int(event["id"]) for event in lines] == [event["data"]["seq"] for event in lines] == list(range(6, 16))
        (mark,) = (event for event in found if event["event"] == "watermark")
        assert mark["data"]["offset"] == 9


async def test_events_are_filtered_like_pages(feed):
    async with serving(feed):
        found = []

        async def client():
            found.extend(await listen(feed, "/events?mode=free&severity=1", count=3))

        async with anyio.create_task_group() as group:
            group.start_soon(client)
            await listening(feed)
            feed.put(comparisons(100))
        assert all(event["data"]["mode"] == "free" and event["data"]["severity"] >= 1 for event in found)


async def test_who_comes_back_gets_what_was_missed(feed):
    async with serving(feed, comparisons(450)):
        found = await listen(feed, count=440, **{"Last-Event-ID": "10"})
        assert [int(event["id"]) for event in found] == list(range(11, 451))
        filtered = await listen(feed, "/events?trace=trace-3", count=1, **{"Last-Event-ID": "0"})
        assert [event["data"]["trace_id"] for event in filtered] == ["trace-3"]


async def test_who_comes_back_too_late_is_told_how_much_is_gone(feed):
    feed.settings = FeedSettings(port=0, keep=20)
    async with serving(feed, comparisons(50)):
        found = await listen(feed, count=21, **{"Last-Event-ID": "5"})
        assert found[0]["event"] == "missed"
        assert found[0]["data"] == {"comparisons": 25}
        assert [int(event["id"]) for event in found[1:]] == list(range(31, 51))
        said = await feed.get("/events", status=400, **{"Last-Event-ID": "1e3"})
        assert "Last-Event-ID" in said["error"]


async def test_clients_that_never_read_are_dropped_and_the_others_get_everything(feed):
    """200 listeners, 50 of which never read: these go, the others see every comparison in order."""
    feed.settings = FeedSettings(port=0, clients=220, backlog=300)
    total = 1_500
    counts = [0] * 150
    async with serving(feed):
        deaf = [await _deaf(feed.port) for _ in range(50)]
        async with anyio.create_task_group() as group:
            for number in range(150):
                group.start_soon(_count, feed, counts, number, total)
            await listening(feed, 200)
            for first in range(0, total, 50):
                feed.put(comparisons(50, first=first))
                await until(lambda: feed.caught_up, 60)
                await until(lambda reached=first + 50: min(counts) > reached - 250, 60)
        assert counts == [total] * 150
        await until(lambda: not feed.folding.hub._listeners)
        assert "shadow_replay_listeners_dropped_total 50.0" in await feed.get("/metrics")
        for writer in deaf:
            writer.close()


async def _deaf(port):
    """A client that asks, and never reads. Its own buffer is small, as a phone's would be."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    await asyncio.get_running_loop().sock_sendall(sock, b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    return sock


async def _count(feed, counts, number, total):
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(feed.url("/events")) as response:
        last = 0
        async for line in response.content:
            if line.startswith(b"id: "):
                assert int(line[4:]) == last + 1
                last = counts[number] = int(line[4:])
                if last == total:
                    return


async def test_one_listener_too_many_is_told_to_come_back(feed):
    feed.settings = FeedSettings(port=0, clients=1)
    async with serving(feed):
        sock = await _deaf(feed.port)
        await listening(feed)
        assert "feed_clients: 1 listen already" in (await feed.get("/events", status=503))["error"]
        assert (await feed.get("/api/summary"))["runs"] == []
        sock.close()


# -- who is answered --------------------------------------------------------------------------------------------

PATHS = ["/api/summary", "/api/comparisons", "/api/verdicts", "/events", "/metrics", "/openapi.json", "/nothing"]


@pytest.mark.parametrize("path", PATHS)
async def test_without_the_token_nothing_is_told(feed, path):
    feed.settings = FeedSettings(port=0, token="s3cret")
    async with serving(feed, comparisons(3)):
        assert "token is needed" in (await feed.get(path, status=401))["error"]
        assert "not the token" in (await feed.get(path, status=403, Authorization="Bearer wrong"))["error"]
        assert await feed.get("/healthz") == "ok\n"
        if path == "/api/summary":
            assert (await feed.get(path, Authorization="Bearer s3cret"))["records"] == {"folded": 3}


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_of_another_origin_is_refused(feed, path):
    async with serving(feed):
        said = await feed.get(path, status=403, Origin="https://evil.example")
        assert "origin" in said["error"]
        await feed.get(path, status=403, Host="evil.example")


async def test_an_origin_that_may_ask_is_told_so(feed):
    feed.settings = FeedSettings(port=0, token="s3cret", origins=("https://board.example",))
    origin = {"Origin": "https://board.example"}
    async with serving(feed), aiohttp.ClientSession() as session:
        async with session.options(feed.url("/api/summary"), headers=origin) as response:
            assert response.status == 204
            assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
        async with session.get(feed.url("/events"), headers=origin | {"Authorization": "Bearer s3cret"}) as response:
            assert response.headers["Access-Control-Allow-Origin"] == "https://board.example"
        async with session.options(feed.url("/api/summary"), headers={"Origin": "https://evil.example"}) as response:
            assert response.status == 403
            assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "feed.example"])
async def test_a_door_to_the_network_needs_a_token(feed, host):
    feed.settings = FeedSettings(port=0, host=host)
    with pytest.raises(UsageError, match="feed_host"):
        async with feed.served():
            pass


async def test_a_port_that_is_taken_is_said(feed):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        feed.settings = FeedSettings(port=taken.getsockname()[1])
        with pytest.raises(UsageError, match="feed_port: cannot listen on 127.0.0.1"):
            async with feed.served():
                pass


# -- folding ----------------------------------------------------------------------------------------------------


async def test_a_restart_goes_on_where_it_stopped(feed):
    async with serving(feed, comparisons(40)):
        before = await feed.get("/api/summary")
    feed.put(comparisons(20, first=40))
    async with serving(feed):
        after = await feed.get("/api/summary")
    assert (before["records"], after["records"]) == ({"folded": 40}, {"folded": 60})


async def test_a_source_that_fails_is_opened_again(feed, monkeypatch):
    failures = [StreamError("gone"), StreamError("gone")]
    poll = MemorySource.poll

    async def failing(self, **asked):
        if failures:
            raise failures.pop()
        return await poll(self, **asked)

    monkeypatch.setattr("consumers.feed.folding._FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(MemorySource, "poll", failing)
    async with serving(feed, comparisons(10)):
        assert (await feed.get("/api/summary"))["records"] == {"folded": 10}
    assert feed.log.getvalue().count("source_lost") == 2


async def test_partitions_that_are_added_are_read(feed):
    async with serving(feed, comparisons(9)):
        feed.topics.partitions = {TOPIC: 5}
        feed.put(comparisons(10, first=9))
        await until(lambda: (feed.folding.store.position(Partition(TOPIC, 4)) or 0) == 2)
        await until(lambda: feed.caught_up)
        assert (await feed.get("/api/summary"))["records"] == {"folded": 19}


async def test_a_topic_that_was_made_anew_is_not_folded_into_the_old_state(feed, tmp_path):
    async with serving(feed, comparisons(9)):
        pass
    anew = SmallFeed(tmp_path)
    with pytest.RaisesGroup(pytest.RaisesExc(Exception, match="was made anew; name another file")):
        async with anew.served():
            await anyio.sleep(5)
