"""Times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from consumers.when import milliseconds, parse_when
from replay.errors import UsageError

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        (" NOW ", NOW),
        ("2h ago", NOW - timedelta(hours=2)),
        ("1.5 hours ago", NOW - timedelta(minutes=90)),
        ("30 min ago", NOW - timedelta(minutes=30)),
        ("45s ago", NOW - timedelta(seconds=45)),
        ("2 weeks ago", NOW - timedelta(days=14)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T14:00:00+02:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01 12:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
    ],
)
def test_what_is_understood(text, moment):
    assert parse_when(text, now=NOW) == moment


@pytest.mark.parametrize(
    "text", ["", "soon", "2h", "-2h ago", "h ago", "2 moons ago", "2026-13-01", f"{'9' * 400}h ago"]
)
def test_what_is_not(text):
    with pytest.raises(UsageError, match="is no time: expected ISO-8601"):
        parse_when(text, now=NOW)


def test_milliseconds_are_rounded_up():
    moment = datetime(1970, 1, 1, tzinfo=UTC)
    assert milliseconds(moment) == 0
    assert milliseconds(moment + timedelta(microseconds=1)) == 1
    assert milliseconds(moment + timedelta(milliseconds=7)) == 7
