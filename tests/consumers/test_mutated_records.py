"""Mutated records through a worker: no crash, nothing unaccounted for. `REPLAY_MUTANTS` sets how many."""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path

import anyio
import pytest

from consumers.files import TraceItem, read_items
from consumers.memory import MemoryLedger, MemoryTopics
from consumers.stream import Committed, Outgoing, Partition, Received
from mutator import mutate
from replay.wire import encode_trace
from small_service import PRODUCTION, SmallService

MUTANTS = int(os.environ.get("REPLAY_MUTANTS", "5000"))
#: Of a real trace; larger ones are not stranger, only slower to change.
SEED_BYTES = 6_000
TESTS = Path(__file__).parents[1]
CORPUS = TESTS / "corpus" / "agentdojo-banking.jsonl.gz"
ZERO = Partition("traces", 0)


@pytest.fixture(scope="module")
def seeds():
    """The golden trace, and real ones; all of the bundle that is in production here."""
    golden = json.loads((TESTS / "golden" / "trace-1.json").read_text())
    real = [json.loads(encode_trace(item.trace)) for item in first_items(30)]
    bundle = {"id": PRODUCTION.digest}
    return [trace | {"bundle": bundle} for trace in (golden, golden, golden, *real)]


def first_items(count: int) -> Iterator[TraceItem]:
    items = (item for item in read_items(str(CORPUS)) if isinstance(item, TraceItem))
    small = (item for item in items if len(encode_trace(item.trace)) < SEED_BYTES)
    return islice(small, count)


@dataclass
class Mutants:
    """A topic of one partition, made while it is read."""

    seeds: list
    count: int
    _position: int = 0
    digests: dict[int, str] = field(default_factory=dict)

    async def start(self, listener):
        await listener.assigned([ZERO])

    async def poll(self, *, max_records, seconds, partitions=None):
        await anyio.lowlevel.checkpoint()
        if partitions is not None and ZERO not in partitions:
            await anyio.sleep(0.01)
            return ()
        end = min(self.count, self._position + max_records)
        values = [(offset, mutate(self.seeds, offset)) for offset in range(self._position, end)]
        self.digests |= {offset: sha256(value).hexdigest() for offset, value in values}
        self._position = end
        return [Received(ZERO, offset, value) for offset, value in values]

    async def keep_alive(self):
        return

    async def position(self, partition):
        return self._position

    def seek(self, partition, offset):
        self._position = offset

    async def ends(self, partitions):
        return {ZERO: self.count}

    async def aclose(self):
        return


@dataclass
class Counting(MemoryLedger):
    """Keeps what must be compared, not the records."""

    outcomes: Counter = field(default_factory=Counter)
    letters: dict[int, dict] = field(default_factory=dict)
    comparisons: Counter = field(default_factory=Counter)
    offset: int = 0

    async def append(self, partition, records: list[Outgoing], mark: Committed):
        for record in records:
            item = json.loads(record.value)
            if item["schema"] == "dead-letter/1":
                self.letters[item["source"]["offset"]] = item
            elif item["schema"] == "comparison/1":
                self.comparisons[item["comparison_id"]] += 1
                self.outcomes[item["disposition"]] += 1
        self.offset = mark.offset


async def test_no_mutated_record_is_lost_or_breaks_anything(seeds):
    service = SmallService(exactly_once=True)
    source, ledger, passed = Mutants(seeds, MUTANTS), Counting(MemoryTopics({})), Counter()
    worker = service.worker(
        source=source, ledger=ledger, until={ZERO: MUTANTS}, passed=lambda outcome: passed.update([outcome])
    )
    ended = await worker.run()
    assert (ended.stopped_by, ended.drained) == (None, True)
    assert ledger.offset == MUTANTS
    assert sum(passed.values()) == MUTANTS
    dead = sum(number for outcome, number in passed.items() if outcome.startswith("dead_letter"))
    assert len(ledger.letters) == dead
    for offset, letter in ledger.letters.items():
        assert sha256(base64.b64decode(letter["value_base64"])).hexdigest() == source.digests[offset]
        assert letter["reason"]
    assert "internal_error" not in ledger.outcomes, ledger.outcomes
    assert max(ledger.comparisons.values()) == 1
    assert sum(ledger.comparisons.values()) == 2 * passed["admitted"]
    # Each way a record can go was gone by many: else the mutator is too tame, or too wild.
    assert min(dead, passed["admitted"]) > MUTANTS / 20
