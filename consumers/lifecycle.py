"""How a service starts, hears a signal, drains, and says goodbye. The first signal asks, the second one kills."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@asynccontextmanager
async def stopping(stop: Callable[[signal.Signals], None]) -> AsyncIterator[None]:
    """Call `stop` once, at the first SIGTERM or SIGINT within the block; a second one ends the process at once."""
    async with anyio.create_task_group() as group:
        with anyio.open_signal_receiver(*_SIGNALS) as received:
            group.start_soon(_listen, received, stop)
            yield
            group.cancel_scope.cancel()


async def _listen(received: AsyncIterator[signal.Signals], stop: Callable[[signal.Signals], None]) -> None:
    first = True
    async for number in received:
        if not first:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        first = False
        stop(number)
