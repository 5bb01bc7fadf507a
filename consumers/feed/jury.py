"""The gate inside the feed: dockets of all runs, kept in the feed's state and changed in its transactions.

What a restart needs is written as it changes: ballots that wait or belong to an open conversation, who has voted, and
per source partition the counts. Nothing is ever folded from memory alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from replay.comparison import Comparison, Watermark
from replay.gate.ballot import Ballot
from replay.gate.config import Gate
from replay.gate.conversations import Changes, Step
from replay.gate.docket import Docket, PartitionDocket, Run
from replay.gate.evidence import Evidence
from replay.gate.target import with_certificate
from replay.verdict import Verdict
from replay.wire import decode, encode

JUDGE_EVERY_NS = 1_000_000_000


class _Where(NamedTuple):
    """A source partition of a run."""

    run_id: str
    topic: str
    partition: int


class _Kept(NamedTuple):
    """What is kept of it beside ballots and votes: its row, behind `_Where`."""

    first: int | None
    position: int
    clock: int
    doubted_at: int | None
    doubted_from: int | None
    late: int
    evidence: bytes


@dataclass(slots=True)
class Jury:
    """Used inside the store's transactions. After one that failed, `load` brings back what the file has."""

    gate: Gate
    database: sqlite3.Connection
    _dockets: dict[str, Docket] = field(default_factory=dict)
    _touched: set[_Where] = field(default_factory=set)
    #: Runs whose verdict may have changed.
    _due: set[str] = field(default_factory=set)
    _judged_at: int = 0

    # -- what came in -------------------------------------------------------------------------------------------

    def enter(self, comparison: Comparison) -> None:
        """Every comparison, as it comes: the docket knows which of those with one id counts."""
        docket, source = self._docket(comparison.run_id), comparison.source
        if docket.counts(comparison):
            self._partition(_Where(comparison.run_id, source.topic, source.partition))
        docket.enter(comparison)

    def advance(self, mark: Watermark) -> None:
        where = _Where(mark.run_id, mark.topic, mark.partition)
        self._partition(where).advance(mark.offset)

    def write(self, *, now: int) -> list[Verdict]:
        """Write what has changed, and give the verdicts that say something new."""
        for where in sorted(self._touched):
            self._keep(where, self._partition(where))
        self._due |= {where.run_id for where in self._touched}
        self._touched.clear()
        return self._judged(now)

    def is_due(self, now: int) -> bool:
        return bool(self._due) and now - self._judged_at >= JUDGE_EVERY_NS

    def _judged(self, now: int) -> list[Verdict]:
        """At most once in a while: a verdict takes longer to work out than a batch to fold."""
        if not self.is_due(now):
            return []
        self._judged_at = now
        found = [self._dockets[run_id].verdict(now=now) for run_id in sorted(self._due)]
        self._due.clear()
        verdicts = (self._certified(verdict, now) for verdict in found if verdict is not None)
        return [verdict for verdict in verdicts if self._is_news(verdict)]

    def _certified(self, verdict: Verdict, now: int) -> Verdict:
        """Since when the target of a rollback is certified, by what this feed has said of other runs."""
        if verdict.rollback_target is None:
            return verdict
        last_words = self.database.execute(_LAST_WORDS).fetchall()
        return with_certificate(verdict, self.gate, (decode(Verdict, value) for (value,) in last_words), now=now)

    def _is_news(self, verdict: Verdict) -> bool:
        """The latest verdict of a run replaces the one before; another decision, or another reason, is told."""
        said = " ".join([verdict.decision, *(reason.code for reason in verdict.reasons)])
        last = self.database.execute(
            "SELECT seq, said FROM verdicts WHERE run_id = ? ORDER BY seq DESC LIMIT 1", (verdict.run_id,)
        ).fetchone()
        if last is not None and last[1] == said:
            self.database.execute("UPDATE verdicts SET value = ? WHERE seq = ?", (encode(verdict), last[0]))
            return False
        row = (verdict.run_id, said, verdict.emitted_at, encode(verdict))
        self.database.execute("INSERT INTO verdicts (run_id, said, at, value, told) VALUES (?, ?, ?, ?, 0)", row)
        return True

    # -- writing ------------------------------------------------------------------------------------------------

    def _keep(self, where: _Where, partition: PartitionDocket) -> None:
        changes = partition.conversations.changes or Changes()
        partition.conversations.changes = Changes()
        written: dict[str, list[tuple[object, ...]]] = {
            _ENTER: [(*where, it.offset, it.comparison_id, msgspec.msgpack.encode(it)) for it in changes.entered],
            _TAKE: [(clock, *where, *place) for place, clock in changes.taken.items()],
            _DROP: [(*where, *place) for place in changes.dropped],
            _VOTE: [(*where, digest) for digest in changes.closed],
        }
        for statement, rows in written.items():
            self.database.executemany(statement, rows)
        self._keep_partition(where, partition)

    def _keep_partition(self, where: _Where, partition: PartitionDocket) -> None:
        talks, docket = partition.conversations, self._docket(where.run_id)
        reached = (partition.first, partition.position)
        clocks = (talks.clock, *(talks.doubted or (None, None)))
        row = (*where, *reached, *clocks, talks.late, partition.evidence.dump())
        self.database.execute("INSERT OR REPLACE INTO dockets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        if docket.run is not None:
            self.database.execute(
                "INSERT OR REPLACE INTO runs VALUES (?, ?)", (where.run_id, msgspec.msgpack.encode(docket.run))
            )

    def untold(self) -> list[tuple[int, str, bytes]]:
        """Verdicts that the topic does not have yet: number, run, record."""
        return self.database.execute("SELECT seq, run_id, value FROM verdicts WHERE told = 0 ORDER BY seq").fetchall()

    def told(self, numbers: Iterable[int]) -> None:
        self.database.executemany("UPDATE verdicts SET told = 1 WHERE seq = ?", [(number,) for number in numbers])

    # -- reading ------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Everything as the file has it."""
        self._dockets.clear()
        self._touched.clear()
        self._due.clear()
        for run_id, run in self.database.execute("SELECT run_id, run FROM runs").fetchall():
            self._docket(run_id).run = msgspec.msgpack.decode(run, type=Run)
            self._due.add(run_id)
        for row in self.database.execute("SELECT * FROM dockets").fetchall():
            self._restore(_Where(*row[:3]), _Kept(*row[3:]))

    def _restore(self, where: _Where, kept: _Kept) -> None:
        partition = self._docket(where.run_id).partition(where.topic, where.partition)
        partition.first, partition.position = kept.first, kept.position
        partition.evidence = Evidence.load(self.gate, kept.evidence)
        partition.conversations.clock, partition.conversations.late = kept.clock, kept.late
        if kept.doubted_at is not None and kept.doubted_from is not None:
            partition.conversations.doubted = Step(kept.doubted_at, kept.doubted_from)
        voted = self.database.execute(_VOTED, where).fetchall()
        partition.conversations.restore((digest for (digest,) in voted), self._taken(where))
        for ballot in self._waiting(where):
            partition.enter(ballot)
        partition.conversations.changes = Changes()

    def _taken(self, where: _Where) -> Iterator[tuple[int, Ballot]]:
        for clock, ballot in self.database.execute(_TAKEN, where).fetchall():
            yield clock, msgspec.msgpack.decode(ballot, type=Ballot)

    def _waiting(self, where: _Where) -> Iterator[Ballot]:
        for (ballot,) in self.database.execute(_WAITING, where).fetchall():
            yield msgspec.msgpack.decode(ballot, type=Ballot)

    def _docket(self, run_id: str) -> Docket:
        return self._dockets.setdefault(run_id, Docket(self.gate))

    def _partition(self, where: _Where) -> PartitionDocket:
        self._touched.add(where)
        partition = self._docket(where.run_id).partition(where.topic, where.partition)
        if partition.conversations.changes is None:
            partition.conversations.changes = Changes()
        return partition


_ENTER = "INSERT OR IGNORE INTO ballots VALUES (?, ?, ?, ?, ?, ?, NULL)"
_BALLOT = "WHERE run_id = ? AND topic = ? AND partition = ? AND source_offset = ? AND comparison_id = ?"
_TAKE = f"UPDATE ballots SET clock = ? {_BALLOT}"  # noqa: S608 - our own words
_DROP = f"DELETE FROM ballots {_BALLOT}"  # noqa: S608
_VOTE = "INSERT OR IGNORE INTO voted VALUES (?, ?, ?, ?)"
_LAST_WORDS = "SELECT value FROM verdicts WHERE seq IN (SELECT max(seq) FROM verdicts GROUP BY run_id)"
_VOTED = "SELECT digest FROM voted WHERE run_id = ? AND topic = ? AND partition = ?"
_TAKEN = "SELECT clock, ballot FROM ballots WHERE run_id = ? AND topic = ? AND partition = ? AND clock IS NOT NULL"
_WAITING = "SELECT ballot FROM ballots WHERE run_id = ? AND topic = ? AND partition = ? AND clock IS NULL"
