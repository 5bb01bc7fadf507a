"""Points in time as people write them: ISO-8601, "2h ago", "now"."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from replay.errors import UsageError

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|d|w|seconds?|minutes?|hours?|days?|weeks?)\s+ago", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_when(text: str, *, now: datetime) -> datetime:
    """A time with its zone. A time without one is UTC. Raises `UsageError` saying what is understood."""
    words = text.strip().lower()
    if words == "now":
        return now
    try:
        if (ago := _AGO.fullmatch(words)) is not None:
            return now - timedelta(seconds=float(ago[1]) * _SECONDS[ago[2][0]])
        found = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise UsageError(
            f'{text!r} is no time: expected ISO-8601 (2026-03-01T12:00:00Z), "2h ago" (s, m, h, d, w) or "now"'
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    """Since the epoch, UTC, rounded up: the first record at or after the moment is not before it."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return -(-(since // timedelta(microseconds=1)) // 1000)
