"""Real processes over real HTTP: the command line as a user types it, a recorded model on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CORPUS = Path(__file__).parent.parent / "corpus"
COMMAND = [sys.executable, "-m", "replay"]
#: No command of these tests takes longer; a hang is a failure, not a wait.
LIMIT_SECONDS = 300


def shadow_replay(*arguments: object, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and check its exit code."""
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=LIMIT_SECONDS)
    assert check is None or done.returncode == check, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@contextmanager
def recorded_model(corpus: Path, bundle: str, *options: object) -> Iterator[str]:
    """A recorded model in its own process; gives its URL."""
    arguments = ["recorded-model", "--corpus", corpus, "--bundle", bundle, *options]
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield json.loads(line)["listening"]
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()


def comparisons(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "comparisons.jsonl").read_text().splitlines()]
