"""A run that is killed and started again ends with what an uninterrupted run ends with, and pays for nothing twice."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from processes import COMMAND, CORPUS, comparisons

RETAIL = CORPUS / "tau2-retail.jsonl.gz"
BUNDLE = "tau2/retail/llm_agent/gpt-4.1"
KILLS_AFTER = (20, 60)


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("log") / "requests.jsonl"


@pytest.fixture(scope="module")
def arguments(model_of, bundle_of, log) -> list[str]:
    url = model_of(RETAIL, BUNDLE, "--latency", "0.02", "--log", log)
    baseline = bundle_of(RETAIL, "tau2/retail/llm_agent/ft:gpt-4.1-2025-04-14:sierra:tau2-full-sft:BzrYdMNm")
    candidate = bundle_of(RETAIL, BUNDLE, url)
    options = ["--baseline", baseline, "--candidate", candidate, "--limit", "120", "--concurrency", "4"]
    return [*COMMAND, "run", str(RETAIL), *map(str, options), "--out"]


def finished(out: Path) -> int:
    file = out / "comparisons.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def kill_after(command: list[str], out: Path, lines: int) -> None:
    """SIGKILL once `lines` comparisons are there; bounded, and it must not have finished by itself."""
    process = subprocess.Popen([*command, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while finished(out) < lines and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    assert process.poll() is None, "the run ended before it could be killed"
    process.kill()
    process.wait(timeout=20)


def judged(out: Path) -> dict[str, dict]:
    """Ids, dispositions, flags and scores but for what a clock measured."""
    return {
        item["comparison_id"]: {
            **{key: item[key] for key in ("run_id", "trace_id", "mode", "disposition", "flags", "severity", "coverage")},
            "scores": {name: score for name, score in item["scores"].items() if not name.startswith("latency.")},
        }
        for item in comparisons(out)
    }


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_happened(arguments, log, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([*arguments, str(whole)], check=True, capture_output=True, timeout=300)
    for lines in KILLS_AFTER:
        kill_after(arguments, broken, lines)
    with (broken / "comparisons.jsonl").open("ab") as file:
        file.write(b'{"schema":"comparison/1","comparison_id":"half a li')  # what a kill in mid-write leaves
    done = {item["comparison_id"] for item in map(json.loads, whole_lines(broken))}
    before = log.stat().st_size
    subprocess.run([*arguments, str(broken)], check=True, capture_output=True, timeout=300)
    assert judged(broken) == judged(whole)
    assert Counter(Counter(item["comparison_id"] for item in comparisons(broken)).values()) == {1: len(judged(whole))}
    asked_again = {json.loads(line)["comparison_id"] for line in log.read_bytes()[before:].splitlines()}
    assert asked_again
    assert not asked_again & done, "finished work was paid for again"


def test_an_interrupted_run_says_so_and_goes_on(arguments, tmp_path):
    out = tmp_path / "out"
    arguments = ["240" if argument == "120" else argument for argument in arguments]  # long enough to be caught in the act
    process = subprocess.Popen(
        [*arguments, str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,  # noqa: PLW1509 - no thread is forked here
    )
    deadline = time.monotonic() + 60
    while finished(out) < 5 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted" in words
    assert "Traceback" not in words
    before = finished(out)
    subprocess.run([*arguments, str(out)], check=True, capture_output=True, timeout=300)
    assert finished(out) > before


def hear_interrupts() -> None:
    """A shell that runs the tests in the background has its children ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def whole_lines(out: Path) -> list[bytes]:
    return (out / "comparisons.jsonl").read_bytes().split(b"\n")[:-1]


def test_the_directory_of_another_run_is_refused(arguments, tmp_path):
    out = tmp_path / "out"
    options = ["--limit", "1", "--mode", "free"]
    subprocess.run([*arguments, str(out), *options], check=True, capture_output=True, timeout=120)
    other = subprocess.run([*arguments, str(out), "--limit", "2"], capture_output=True, text=True, timeout=120)
    assert other.returncode == 3
    assert "holds another run (different: limit, modes, run_id)" in other.stderr
