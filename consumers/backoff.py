"""How long to wait before the next try."""

from __future__ import annotations

from collections.abc import Iterator


def pauses(first: float, longest: float) -> Iterator[float]:
    """Seconds, doubling from `first` to `longest`; without end."""
    pause = first
    while True:
        yield pause
        pause = min(2 * pause, longest)
