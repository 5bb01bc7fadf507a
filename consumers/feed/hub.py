"""Who listens to the live feed. Nobody is waited for: a listener that falls behind is dropped, alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from consumers.feed.line import Event
from consumers.feed.selection import Selection
from consumers.telemetry import LISTENERS, LISTENERS_DROPPED, Telemetry


class CrowdedError(Exception):
    """There are as many listeners as may be."""


@dataclass(slots=True, eq=False)
class Listener:
    """Events that one client has not taken yet, at most `room`. `drop` is called once, when there are more."""

    wants: Callable[[Event], bool]
    room: int
    drop: Callable[[], None]
    over: bool = False
    _waiting: deque[Event] = field(default_factory=deque)
    _arrived: anyio.Event = field(default_factory=anyio.Event)

    async def take(self, seconds: float) -> list[Event]:
        """What has come, in order; [] when nothing has come for so long."""
        if not self._waiting and not self.over:
            with anyio.move_on_after(seconds):
                await self._arrived.wait()
        self._arrived = anyio.Event()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

    def offer(self, event: Event) -> bool:
        """False when it does not fit: then this listener is of no more use."""
        if len(self._waiting) >= self.room:
            return False
        self._waiting.append(event)
        self._arrived.set()
        return True

    def end(self) -> None:
        """`take` comes back at once from now on."""
        self.over = True
        self._arrived.set()


@dataclass(slots=True)
class Hub:
    """`most`: listeners at a time; `backlog`: events each of them may be behind."""

    most: int
    backlog: int
    telemetry: Telemetry
    #: The newest comparison that was told.
    last_seq: int = 0
    _listeners: set[Listener] = field(default_factory=set)

    @contextmanager
    def listening(self, selection: Selection, run_id: str | None, drop: Callable[[], None]) -> Iterator[Listener]:
        """Raises `CrowdedError` when there is no place left."""
        if len(self._listeners) >= self.most:
            raise CrowdedError
        listener = Listener(lambda event: _wanted(event, selection, run_id), self.backlog, drop)
        self._listeners.add(listener)
        self.telemetry.gauge(LISTENERS, len(self._listeners))
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            self.telemetry.gauge(LISTENERS, len(self._listeners))

    def tell(self, events: Sequence[Event]) -> None:
        """Give events to everyone who wants them. Never waits."""
        for event in events:
            self.last_seq = event.seq or self.last_seq
            for listener in [listener for listener in self._listeners if listener.wants(event)]:
                if not listener.offer(event):
                    self._drop(listener)

    def close(self) -> None:
        """Send everyone home."""
        for listener in self._listeners:
            listener.end()

    def _drop(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        listener.end()
        self.telemetry.count(LISTENERS_DROPPED)
        listener.drop()


def _wanted(event: Event, selection: Selection, run_id: str | None) -> bool:
    if event.line is not None:
        return selection.matches(event.line)
    return run_id is None or event.run_id == run_id
