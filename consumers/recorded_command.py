"""`shadow-replay recorded-model`: a model that plays a recorded bundle, for trying things without a provider."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import anyio

from consumers.faults import parse_faults
from consumers.files import TraceItem, read_items
from consumers.recorded_model import Playback, parse_latency, serve
from consumers.recording import record
from replay.errors import UsageError
from replay.trace import Trace


def recorded_model(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    recording = record(_traces(arguments.corpus), bundle=arguments.bundle, trial=arguments.trial)
    playback = Playback(latency=parse_latency(arguments.latency), faults=parse_faults(arguments.faults, arguments.seed))
    with ExitStack() as stack:
        log = stack.enter_context(_log(arguments.log)) if arguments.log else None
        anyio.run(lambda: serve(recording, playback, host=arguments.host, port=arguments.port, log=log))
    return 0


def _traces(corpus: str) -> Iterator[Trace]:
    return (item.trace for item in read_items(corpus) if isinstance(item, TraceItem))


def _log(path: str) -> BinaryIO:
    try:
        return Path(path).open("ab")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
