"""Bad lines among good ones: every good trace is compared, every bad line is kept with its bytes and a reason."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest

import many_traces
from bad_lines import write_mixed
from processes import COMMAND, LIMIT_SECONDS

#: `make bad` has 10,000 of each.
GOOD = BAD = int(os.environ.get("REPLAY_BAD_RECORDS", "2000"))
#: Interpreter and libraries take about 150 MB; a reader that kept lines would need a gigabyte more.
MEMORY_BOUND_KB = 450_000


@pytest.fixture(scope="module")
def lines(tmp_path_factory) -> tuple[Path, dict[int, str]]:
    """The mixed file, and the digests of its bad lines by number."""
    path = tmp_path_factory.mktemp("mixed") / "traces.jsonl"
    return path, write_mixed(path, good=GOOD, bad=BAD)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return many_traces.write(tmp_path_factory.mktemp("recorded") / "corpus.jsonl", GOOD, "production", "candidate")


class Ran(NamedTuple):
    out: Path
    peak_kb: int

    def records(self, name: str) -> Iterator[dict]:
        with (self.out / name).open() as file:
            yield from map(json.loads, file)


@pytest.fixture(scope="module")
def run(lines, corpus, model_of, bundle_of, tmp_path_factory) -> Ran:
    out = tmp_path_factory.mktemp("bad-lines") / "out"
    url = model_of(corpus, "candidate")
    baseline, candidate = bundle_of(corpus, "production"), bundle_of(corpus, "candidate", url)
    options = ["--baseline", baseline, "--candidate", candidate, "--mode", "free", "--out", out]
    command = [*COMMAND, "run", *map(str, (lines[0], *options))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = watch(process)
    assert process.returncode == 0
    return Ran(out, peak)


def watch(process: subprocess.Popen) -> int:
    """Wait for the end; the largest resident size the process has had, in kB."""
    peak, deadline = 0, time.monotonic() + LIMIT_SECONDS
    while process.poll() is None:
        assert time.monotonic() < deadline, process.kill()
        status = Path(f"/proc/{process.pid}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        peak = max([peak, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))])
        time.sleep(0.05)
    return peak


def test_every_good_trace_is_compared_once(run):
    found = [item["trace_id"] for item in run.records("comparisons.jsonl") if item["disposition"] == "compared"]
    assert sorted(found) == sorted(f"trace-{number}" for number in range(GOOD))


def test_every_bad_line_is_kept_with_number_reason_and_bytes(run, lines):
    expected = lines[1]
    seen = set()
    for letter in run.records("dead-letters.jsonl"):
        seen.add(letter["line"])
        assert letter["reason"]
        assert sha256(base64.b64decode(letter["value_base64"])).hexdigest() == expected[letter["line"]]
    assert seen == set(expected)
    assert len(seen) == BAD


def test_memory_stays_bounded(run):
    assert 0 < run.peak_kb < MEMORY_BOUND_KB


def test_long_integers_reach_the_comparison_whole(run):
    cohorts = {item["trace_id"]: item["cohort"]["account"] for item in run.records("comparisons.jsonl")}
    assert cohorts["trace-7"] == 10**25 + 7
