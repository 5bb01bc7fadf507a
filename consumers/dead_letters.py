"""Records that cannot be used: kept with their bytes and their origin, and counted, for too many of them mean a
release of the producer, not a bad record."""

from __future__ import annotations

import base64
from collections import Counter, deque
from dataclasses import dataclass, field
from hashlib import sha256

from consumers.stream import Partition, Received
from replay.comparison import DeadLetter, Source
from replay.errors import RecordError

#: The share of bad records is that of the last so many; with fewer, only the run counts.
SHARE_OF = 1000


def dead_letter(record: Received, error: RecordError, *, run_id: str) -> DeadLetter:
    """The letter for a record: whole bytes, key and headers (values in base64), reason, stage, origin."""
    return DeadLetter(
        reason=str(error),
        stage=error.stage,
        field=error.field,
        source=Source(topic=record.partition.topic, partition=record.partition.number, offset=record.offset),
        run_id=run_id,
        headers=tuple((name, base64.b64encode(held).decode()) for name, held in record.headers),
        key_base64=None if record.key is None else base64.b64encode(record.key).decode(),
        value_base64=base64.b64encode(record.value).decode(),
        value_sha256=sha256(record.value).hexdigest(),
        value_bytes=len(record.value),
    )


@dataclass(slots=True)
class BadRecords:
    """How bad the input is: in a row on one partition, and as a share of what was read last."""

    max_run: int | None
    max_share: float | None
    _runs: Counter[Partition] = field(default_factory=Counter)
    _recent: deque[bool] = field(default_factory=lambda: deque(maxlen=SHARE_OF))
    _bad: int = 0

    def count(self, partition: Partition, *, bad: bool) -> str | None:
        """Count one record. Says why to stop, when the limits are passed."""
        self._runs[partition] = self._runs[partition] + 1 if bad else 0
        if len(self._recent) == SHARE_OF:
            self._bad -= self._recent[0]
        self._recent.append(bad)
        self._bad += bad
        return self._reason(partition) if bad else None

    def forget(self, partition: Partition) -> None:
        """A new assignment: others may have read it in between, or this one reads the same once more."""
        self._runs.pop(partition, None)

    def _reason(self, partition: Partition) -> str | None:
        if self.max_run is not None and self._runs[partition] > self.max_run:
            return f"worker_max_bad_run: {self._runs[partition]} bad records in a row on {partition}"
        share = self._bad / SHARE_OF
        if self.max_share is not None and len(self._recent) == SHARE_OF and share > self.max_share:
            return f"worker_max_bad_share: {share:.1%} of the last {SHARE_OF:,} records are bad"
        return None
