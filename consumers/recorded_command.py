"""`shadow-replay recorded-model`: a model that plays a recorded bundle, for trying things without a provider."""

from __future__ import annotations

import argparse

import anyio

from consumers.faults import parse_faults
from consumers.playback import Playback, parse_latency
from consumers.recorded_model import ServeOptions, serve


def recorded_model(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    options = ServeOptions(
        corpus=arguments.corpus,
        bundle=arguments.bundle,
        trial=arguments.trial,
        host=arguments.host,
        port=arguments.port,
        log=arguments.log,
        playback=Playback(
            latency=parse_latency(arguments.latency, time_scale=arguments.time_scale),
            faults=parse_faults(arguments.faults, seed=arguments.seed),
        ),
    )
    anyio.run(serve, options)
    return 0
