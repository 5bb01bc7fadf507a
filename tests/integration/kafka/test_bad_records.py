"""Bad records on the topic: with limits raised every one is kept with its bytes; with default limits it stops."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from hashlib import sha256

import pytest

import many_traces
from bad_lines import write_mixed
from kafka_service import eventually, repeated

#: `make bad` has 10,000 of each.
GOOD = BAD = int(os.environ.get("REPLAY_BAD_RECORDS", "2000"))
MAX_MESSAGE_BYTES = 12 << 20


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    path = tmp_path_factory.mktemp("mixed") / "traces.jsonl"
    return path, write_mixed(path, good=GOOD, bad=BAD)


@pytest.fixture(scope="module")
def bundles(model_of, bundle_of, tmp_path_factory):
    corpus = many_traces.write(tmp_path_factory.mktemp("recorded") / "corpus.jsonl", GOOD, "production", "candidate")
    url = model_of(corpus, "candidate")
    baseline, candidate = bundle_of(corpus, "production"), bundle_of(corpus, "candidate", url)
    return "--baseline", baseline, "--candidate", candidate, "--mode", "free"


def test_every_good_trace_is_compared_and_every_bad_one_kept(stand, mixed, bundles, tmp_path):
    path, digests = mixed
    stand = stand.having(worker_max_bad_run="", worker_max_bad_share="")
    stand.create(partitions=1, max_message_bytes=MAX_MESSAGE_BYTES)
    stand.run("traces", "produce", path, "--raw")
    with stand.member(tmp_path / "worker.log", *bundles, "--concurrency", "64") as worker:
        eventually(lambda: stand.lag(*bundles)["lag"] == 0, 280, alive=worker, every=1)
        worker.terminate()
    assert Counter(item["trace_id"] for item in stand.compared) == {f"trace-{n}": 1 for n in range(GOOD)}
    letters = stand.of_schema(stand.dead_letters, "dead-letter/1")
    assert len(letters) == BAD
    for letter in letters:
        assert letter["reason"]
        assert letter["stage"] == "decode"
        assert sha256(base64.b64decode(letter["value_base64"])).hexdigest() == digests[letter["source"]["offset"] + 1]


def test_with_default_limits_it_stops_and_loses_nothing(stand, mixed, bundles, tmp_path):
    path, _ = mixed
    stand.create(partitions=1, max_message_bytes=MAX_MESSAGE_BYTES)
    stand.run("traces", "produce", path, "--raw", "--limit", "3000")
    with stand.member(tmp_path / "worker.log", *bundles) as worker:
        assert worker.process.wait(timeout=120) == 4
    assert "of the last 1,000 records are bad" in worker.events("stopped")[-1]["by_limit"]
    reached = stand.lag(*bundles)["partitions"][0]["committed"]
    done = {item["source"]["offset"] for item in stand.compared}
    buried = {letter["source"]["offset"] for letter in stand.of_schema(stand.dead_letters, "dead-letter/1")}
    assert set(range(reached)) <= done | buried
    assert not done & buried
    assert len(buried) < 1_000
    assert repeated(stand.compared) == 0


def test_bad_records_in_a_row_stop_it_sooner(stand, bundles, tmp_path):
    stand.create(partitions=1)
    path = tmp_path / "bad.jsonl"
    path.write_text("not a trace\n" * 500)
    stand.run("traces", "produce", path, "--raw")
    with stand.member(tmp_path / "worker.log", *bundles) as worker:
        assert worker.process.wait(timeout=60) == 4
    assert "101 bad records in a row" in worker.events("stopped")[-1]["by_limit"]
    assert len(stand.records(stand.dead_letters)) == 100
    assert stand.lag(*bundles)["lag"] == 400


def test_a_dead_letter_that_does_not_fit_stops_it_and_says_what_to_raise(stand, bundles, tmp_path):
    """`topics create` leaves room for a letter; this dead-letter topic was there before, and is too small."""
    replace(stand, traces=f"{stand.traces}-small").create(partitions=1, max_message_bytes=10_000)
    stand = stand.having(kafka_compression="none")
    stand.create(partitions=1, max_message_bytes=1 << 20)
    path = tmp_path / "bad.jsonl"
    path.write_text(f'"{"x" * 500_000}"\n')
    stand.run("traces", "produce", path, "--raw")
    with stand.member(tmp_path / "worker.log", *bundles) as worker:
        assert worker.process.wait(timeout=60) == 3
    assert "max.message.bytes" in worker.log.read_text().splitlines()[-1]
    assert stand.lag(*bundles)["lag"] == 1


#: The client's own C code refuses to write such a name; its Python twin can be talked into it.
WRITE_A_STRANGE_HEADER = """
import asyncio, sys
from aiokafka import AIOKafkaProducer

class Strange(str):
    def encode(self, *_):
        return bytes([255, 254])

async def main(bootstrap, topic):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for headers in ([], [(Strange("x"), b"v")], []):
        await producer.send_and_wait(topic, b"{}", partition=0, headers=headers)
    await producer.stop()

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_header_name_the_client_cannot_read_ends_the_worker_with_its_place(stand, bundles):
    stand.create(partitions=2)
    command = [sys.executable, "-c", WRITE_A_STRANGE_HEADER, stand.bootstrap, stand.traces]
    subprocess.run(command, check=True, timeout=60, env=os.environ | {"AIOKAFKA_NO_EXTENSIONS": "1"})
    done = stand.run("worker", *bundles, check=3)
    assert f"{stand.traces}/0, offset 1 or soon after: a record has a header name that is not UTF-8" in done.stderr
    assert "Traceback" not in done.stderr
