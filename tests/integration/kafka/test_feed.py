"""The feed as a process over a real topic: killed in the middle of folding, it tells what a plain count tells."""

from __future__ import annotations

import urllib.error

import anyio
import pytest

from consumers.kafka import KafkaSink
from consumers.stream import Outgoing
from feed_process import Feed, feed_count, plain_count
from kafka_service import eventually
from made_comparisons import comparisons
from replay.comparison import Watermark, replace
from replay.settings import KafkaSettings
from replay.wire import encode

FRESH = 12_000


@pytest.fixture
def topic(stand):
    """Comparisons of two runs on four partitions, a fifth of them delivered twice, watermarks, and some rubbish."""
    stand.create(partitions=4)
    fresh = list(comparisons(FRESH))
    other = [replace(item, run_id="run-2", candidate="sha256:c2") for item in fresh[:1_000]]
    again = fresh[: FRESH // 5]
    values = [encode(item) for item in (*fresh, *other, *again)]
    values += [encode(Watermark(run_id="run-1", topic="traces", partition=p, offset=100 + p)) for p in range(4)]
    values += [b"rubbish"] * 3
    anyio.run(_write, stand, values)
    return stand


async def _write(stand, values):
    sink = await KafkaSink(KafkaSettings(bootstrap=stand.bootstrap)).start()
    for first in range(0, len(values), 1_000):
        batch = values[first : first + 1_000]
        await sink.send([Outgoing(stand.comparisons, value, None, n) for n, value in enumerate(batch)])
    await sink.aclose()


def test_killed_in_the_middle_of_folding_it_counts_nothing_twice(topic, tmp_path):
    total = sum(topic.ends(topic.comparisons).values())
    seen = []
    for reached in (1_500, 6_000):
        with Feed(topic, tmp_path) as feed:
            eventually(lambda least=reached: feed.folded >= least, 60, every=0.02)
            seen.append(feed.folded)
            feed.kill()
    with Feed(topic, tmp_path) as feed:
        assert feed.folded >= seen[-1]
        eventually(lambda: feed.folded == total, 60)
        summary = feed.get("/api/summary")
        assert feed_count(summary) == plain_count(topic)
        assert summary["records"] == {
            "folded": FRESH + 1_000, "duplicate": FRESH // 5, "watermark": 4, "refused": 3,
        }  # fmt: skip
        assert [mark["offset"] for mark in summary["runs"][0]["watermarks"]] == [100, 101, 102, 103]
        assert feed.terminate() < 10
    assert seen[0] < seen[1] < total


def test_without_a_topic_it_says_what_to_do(stand, tmp_path):
    refused = stand.run("feed", "--port", 0, "--state", tmp_path / "s", check=3)
    assert "topics create" in refused.stderr.strip().splitlines()[-1]


def test_it_serves_what_a_run_has_written(stand, tmp_path):
    (tmp_path / "out").mkdir()
    items = list(comparisons(50))
    (tmp_path / "out" / "comparisons.jsonl").write_bytes(b"".join(encode(item) + b"\n" for item in items))
    with Feed(stand, tmp_path, "--results", tmp_path / "out") as feed:
        eventually(lambda: feed.folded == 50, 20)
        found = feed.get("/api/comparisons?limit=1")["comparisons"][0]
        assert found["comparison"]["comparison_id"] == items[-1].comparison_id
        with pytest.raises(urllib.error.HTTPError, match="400"):
            feed.get("/api/comparisons?limit=none")
