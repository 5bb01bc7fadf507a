"""Windows of the traces topic, replayed by a few processes: to start one costs as much as a small window does."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import get_context

from kafka_service import Stand
from processes import LIMIT_SECONDS
from replay.cli import main


def replay_windows(stand: Stand, orders: Iterable[Sequence[object]], *, at_a_time: int) -> None:
    """Run `window` with the arguments of each order, and check that all end well."""
    commands = [["window", *map(str, order)] for order in orders]
    with get_context("spawn").Pool(at_a_time, _set, (stand.environment,)) as pool:
        ended = pool.imap(_run, commands)
        for _ in commands:
            ended.next(timeout=LIMIT_SECONDS)


def _set(environment: Mapping[str, str]) -> None:
    os.environ.update(environment)


def _run(command: Sequence[str]) -> None:
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main(command)
    assert code == 0, f"exit {code}\n{said.getvalue()}"
