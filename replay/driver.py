"""Runs a replay generator against a model: the only place where the pure part of a replay meets I/O."""

from __future__ import annotations

from replay.errors import RouteError
from replay.execution import Attempt, Replay
from replay.models import Model


async def drive(replay: Replay, model: Model) -> Attempt:
    """Answer every `Ask` until the replay returns. A failed call is thrown into it: the replay decides what that means.

    Cancellation passes through and closes the generator.
    """
    try:
        ask = next(replay)
        while True:
            try:
                reply = await model.complete(ask.request, timeout_seconds=ask.timeout_seconds)
            except RouteError as error:
                ask = replay.throw(error)
            else:
                ask = replay.send(reply)
    except StopIteration as stop:
        attempt: Attempt = stop.value
        return attempt
    finally:
        replay.close()
