"""Progress of a bounded job: a bar with rate and ETA on a terminal, one JSON line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from replay.exact_json import dumps

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from replay.summary import Summary

#: Seconds between two lines when nobody is watching.
_LINE_EVERY = 5.0


@dataclass(slots=True)
class Progress:
    """`lines` of the source; null = unknown, say for standard input: then there is a rate and no ETA.

    `events`: whether lines are written where there is no terminal.
    """

    lines: int | None = None
    stream: TextIO | None = None
    events: bool = True
    clock: Callable[[], float] = time.monotonic
    _done: int = 0
    _started: float = field(default=0.0)
    _last_line: float = field(default=0.0)
    _bar: Bar | None = None
    _task: TaskID | None = None

    @classmethod
    def silent(cls) -> Self:
        return cls(stream=None)

    @classmethod
    def on(cls, lines: int | None, stream: TextIO = sys.stderr, *, events: bool = True) -> Self:
        return cls(lines=lines, stream=stream, events=events)

    def __enter__(self) -> Self:
        self._started = self._last_line = self.clock()
        if self.stream is not None and self.stream.isatty():
            self._open_bar(self.stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, units: int, *, line: int, summary: Summary) -> None:
        """`units` more were finished; the reader is at `line`, never far ahead of what is finished."""
        self._done += units
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=line, description=self._description(summary))
        elif self.stream is not None and self.events and self.clock() - self._last_line >= _LINE_EVERY:
            self._last_line = self.clock()
            self.stream.write(self._event(line, summary) + "\n")

    def _description(self, summary: Summary) -> str:
        severe = sum(fold.severities[3] for fold in summary.folds.values())
        rate = self._done / max(self.clock() - self._started, 1e-9)
        return f"{self._done:,} compared, {rate:.0f}/s, {severe:,} severe"

    def _event(self, line: int, summary: Summary) -> str:
        elapsed = max(self.clock() - self._started, 1e-9)
        eta = None if self.lines is None or not line else round(elapsed * max(self.lines - line, 0) / line)
        event = {"event": "progress", "compared": self._done, "per_second": round(self._done / elapsed, 1)}
        return dumps({**event, "line": line, "of": self.lines, "eta_seconds": eta, "traces": summary.traces}).decode()

    def _open_bar(self, stream: TextIO) -> None:
        from rich.console import Console  # rich costs 0.1 s, and most runs have no terminal
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = RichProgress(*columns, console=Console(file=stream))
        self._task = self._bar.add_task("replaying", total=self.lines)
        self._bar.start()
