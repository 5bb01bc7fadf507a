"""What a run has put on the comparison topic before: how a window that was killed knows what is done."""

from __future__ import annotations

from collections.abc import AsyncIterator

from consumers.topic_reader import to_the_end
from replay.comparison import Comparison
from replay.errors import RecordError
from replay.exact_json import loads
from replay.settings import Settings
from replay.wire import from_json, schema_of


async def published(settings: Settings, *, run_id: str, since_ms: int) -> AsyncIterator[Comparison]:
    """Comparisons of one run, from records written at or after `since_ms` to the end the topic has now."""
    async for record in to_the_end(settings, settings.kafka.comparisons, since_ms=since_ms):
        found = _comparison(record.value, run_id)
        if found is not None:
            yield found


def _comparison(value: bytes, run_id: str) -> Comparison | None:
    """Null for another run's, and for what is no comparison: whoever wrote that, it is not this run's work."""
    try:
        found = loads(value)
        if (schema_of(found) or "").partition("/")[0] != "comparison" or found.get("run_id") != run_id:
            return None
        return from_json(Comparison, found)
    except RecordError:
        return None
