"""The feed's state: what was folded, and up to where, in one SQLite file that changes in whole transactions.

One process writes. A batch of records, the sums they change and the offsets behind them are one transaction: after a
crash the feed reads again what was not kept, and nothing twice. A comparison that is delivered twice is counted once.
"""

from __future__ import annotations

import fcntl
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self, TypeAlias

import msgspec

from consumers.feed.jury import Jury
from consumers.feed.line import Event, Line, Mark, line_of
from consumers.feed.schema import TABLES, VERSION
from consumers.feed.tally import Counted, bounded, tally
from consumers.stream import Partition, Received
from replay.comparison import Comparison, Watermark
from replay.errors import RecordError, ReplayError, UsageError
from replay.exact_json import loads
from replay.gate.config import Gate
from replay.wire import encode, from_json, schema_of

MINUTE_MS = 60_000
#: Minutes are kept apart for so long; then hours.
MINUTES_KEPT_MS = 48 * 60 * MINUTE_MS
HOUR_MS = 60 * MINUTE_MS
_DAY_MS = 24 * HOUR_MS
#: Names of one kind (tools, say) that are kept apart; all others share one. They come from traces: there is no end.
_NAMES_PER_KIND = 1_000
OTHER = "(other)"
_REFUSED_KEPT = 1_000
_HEAD_BYTES = 4_096


class StateError(ReplayError):
    """The state file cannot be used. Whose fault: the disk's, or of who named it."""


Found: TypeAlias = Comparison | Watermark | RecordError


class Retention(NamedTuple):
    """Whole comparisons kept, by number; sums and ids, by days."""

    comparisons: int
    days: int


class Folded(NamedTuple):
    """What a batch came to: events in order, and counts of records by what they were."""

    events: tuple[Event, ...]
    outcomes: Mapping[str, int]
    comparisons: tuple[Comparison, ...]


@dataclass(slots=True)
class _Batch:
    """The changes of one transaction, before they are written."""

    tallies: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    events: list[Event] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    positions: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Store:
    """Open with `Store.open`; used by one thread at a time."""

    path: Path
    topic: str
    retention: Retention
    _lock: BinaryIO
    _database: sqlite3.Connection
    jury: Jury | None = None
    clock: Callable[[], int] = time.time_ns
    _last_seq: int = 0
    _series: dict[tuple[str, ...], int] = field(default_factory=dict)
    _names: dict[Counted, int] = field(default_factory=dict)
    _per_kind: Counter[str] = field(default_factory=Counter)

    @classmethod
    def open(cls, path: Path, *, topic: str, retention: Retention, gate: Gate | None = None) -> Self:
        """Raises `UsageError` when another feed holds it, or it holds another topic or gate, `StateError` when it is
        none.
        """
        lock = _locked(path)
        try:
            database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            with _said(path):
                _prepare(database, path, {"topic": topic, "gate": "" if gate is None else gate.digest})
            jury = None if gate is None else Jury(gate, database)
            store = cls(path, topic, retention, lock, database, jury)
            with _said(path):
                store._load()
        except BaseException:
            lock.close()
            raise
        return store

    def close(self) -> None:
        self._database.close()
        self._lock.close()

    @property
    def last_seq(self) -> int:
        """The number of the newest comparison."""
        return self._last_seq

    def position(self, partition: Partition) -> int | None:
        """The next offset to fold. Null for a partition that was never read."""
        found = self._database.execute("SELECT next FROM positions WHERE partition = ?", (partition.number,)).fetchone()
        return None if found is None else int(found[0])

    def fold(self, records: Sequence[Received]) -> Folded:
        """Fold what was read, all of it or nothing. Raises `StateError`; then nothing has changed."""
        read = [(record, _read(record)) for record in records]
        with self._transaction():
            batch = _Batch()
            for record, found in read:
                self._enter(batch, record, found)
                batch.positions[record.partition.number] = record.offset + 1
            self._judge(batch)
            self._write(batch)
        return Folded(tuple(batch.events), batch.outcomes, tuple(batch.comparisons))

    def judge(self) -> tuple[Event, ...]:
        """Verdicts that are due though nothing new was read."""
        if self.jury is None or not self.jury.is_due(self.clock()):
            return ()
        with self._transaction():
            batch = _Batch()
            self._judge(batch)
        return tuple(batch.events)

    def pass_to(self, positions: Mapping[Partition, int]) -> None:
        """The reader has gone on to there: offsets without a record (transaction markers) hold nothing to fold."""
        with self._transaction():
            self._keep_positions({partition.number: offset for partition, offset in positions.items()})

    def forget_old(self, *, now_ms: int) -> None:
        """Drop what is older than it is kept for, and put minutes together to hours."""
        with self._transaction():
            oldest = (now_ms - self.retention.days * _DAY_MS) // MINUTE_MS
            for table in ("tallies", "seen"):
                self._database.execute(f"DELETE FROM {table} WHERE minute < ?", (oldest,))  # noqa: S608 - our own names
            self._to_hours((now_ms - MINUTES_KEPT_MS) // HOUR_MS * 60)

    def _to_hours(self, before: int) -> None:
        self._database.execute(
            "INSERT INTO tallies SELECT series, minute / 60 * 60, name, SUM(n) FROM tallies"
            " WHERE minute < ? AND minute % 60 <> 0 GROUP BY 1, 2, 3"
            " ON CONFLICT DO UPDATE SET n = n + excluded.n",
            (before,),
        )
        self._database.execute("DELETE FROM tallies WHERE minute < ? AND minute % 60 <> 0", (before,))

    # -- one record ---------------------------------------------------------------------------------------------

    def _enter(self, batch: _Batch, record: Received, found: Found) -> None:
        if isinstance(found, Watermark):
            self._mark(batch, found)
        elif isinstance(found, RecordError):
            self._refuse(record, found)
            batch.outcomes["refused"] += 1
        else:
            self._compare(batch, record, found)

    def _compare(self, batch: _Batch, record: Received, found: Comparison) -> None:
        """Sums count what comes first, the gate what stands first in the source: it sees copies, too."""
        if self.jury is not None:
            self.jury.enter(found)
        if self._is_new(record, found):
            self._count(batch, record, found)
        else:
            batch.outcomes["duplicate"] += 1

    def _is_new(self, record: Received, comparison: Comparison) -> bool:
        identity = f"{len(comparison.run_id)} {comparison.run_id}{comparison.comparison_id}"
        digest = sha256(identity.encode("utf-8", "replace")).digest()
        row = (digest[:16], record.timestamp_ms // MINUTE_MS)
        return self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", row).rowcount == 1

    def _count(self, batch: _Batch, record: Received, comparison: Comparison) -> None:
        series, minute = self._series_of(comparison), record.timestamp_ms // MINUTE_MS
        for counted, number in tally(comparison).items():
            batch.tallies[series, minute, self._name_of(counted)] += number
        self._last_seq += 1
        line = line_of(comparison, record, self._last_seq)
        self._keep(line, series, record.value)
        batch.outcomes["folded"] += 1
        batch.comparisons.append(comparison)
        batch.events.append(Event(kind="comparison", seq=line.seq, data=msgspec.json.encode(line), line=line))

    def _keep(self, line: Line, series: int, value: bytes) -> None:
        indexed = (line.seq, series, line.at, line.trace_id, line.disposition, line.severity)
        held = (msgspec.json.encode(line), value)
        self._database.execute("INSERT INTO comparisons VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*indexed, *held))
        words = [("tool", tool, line.seq) for tool in line.tools] + [("flag", flag, line.seq) for flag in line.flags]
        self._database.executemany("INSERT INTO words VALUES (?, ?, ?)", words)

    def _mark(self, batch: _Batch, mark: Watermark) -> None:
        row = (bounded(mark.run_id), bounded(mark.topic), mark.partition, mark.offset, mark.emitted_at)
        changed = self._database.execute(
            "INSERT INTO watermarks VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET next = excluded.next, emitted_at = excluded.emitted_at WHERE excluded.next >= next",
            row,
        ).rowcount
        batch.outcomes["watermark"] += 1
        if changed and self.jury is not None:
            self.jury.advance(mark)
        if changed:
            told = Mark(run_id=row[0], topic=row[1], partition=row[2], offset=row[3], emitted_at=row[4])
            batch.events.append(Event(kind="watermark", seq=None, data=msgspec.json.encode(told), run_id=row[0]))

    def _refuse(self, record: Received, error: RecordError) -> None:
        digest, head = sha256(record.value).hexdigest(), record.value[:_HEAD_BYTES]
        where = (record.partition.number, record.offset, record.timestamp_ms)
        row = (None, *where, bounded(str(error)), len(record.value), digest, head)
        self._database.execute("INSERT INTO refused VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _judge(self, batch: _Batch) -> None:
        if self.jury is not None:
            for verdict in self.jury.write(now=self.clock()):
                batch.events.append(Event(kind="verdict", seq=None, data=encode(verdict), run_id=verdict.run_id))

    # -- one batch ----------------------------------------------------------------------------------------------

    def _write(self, batch: _Batch) -> None:
        self._database.executemany(
            "INSERT INTO tallies VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
            [(*key, number) for key, number in sorted(batch.tallies.items())],
        )
        self._keep_positions(batch.positions)
        self._database.executemany(
            "INSERT INTO totals VALUES (?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
            list(batch.outcomes.items()),
        )
        oldest = self._last_seq - self.retention.comparisons
        self._database.execute("DELETE FROM words WHERE seq <= ?", (oldest,))
        self._database.execute("DELETE FROM comparisons WHERE seq <= ?", (oldest,))
        self._database.execute("DELETE FROM refused WHERE seq <= (SELECT MAX(seq) FROM refused) - ?", (_REFUSED_KEPT,))

    def _keep_positions(self, positions: Mapping[int, int]) -> None:
        self._database.executemany(
            "INSERT INTO positions VALUES (?, ?) ON CONFLICT DO UPDATE SET next = excluded.next",
            list(positions.items()),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        before = self._last_seq
        try:
            with _said(self.path):
                self._database.execute("BEGIN IMMEDIATE")
                yield
                self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            self._load()
            self._last_seq = before
            raise

    # -- names are numbers in the sums --------------------------------------------------------------------------

    def _load(self) -> None:
        """What is asked for again and again is kept in memory, as the file has it."""
        rows = self._database.execute("SELECT name, kind, text FROM names").fetchall()
        self._names = {Counted(kind, text): name for name, kind, text in rows}
        self._per_kind = Counter(counted.kind for counted in self._names)
        self._series = {tuple(row[1:]): row[0] for row in self._database.execute("SELECT * FROM series")}
        if self.jury is not None:
            self.jury.load()
        (newest,) = self._database.execute("SELECT MAX(seq) FROM comparisons").fetchone()
        self._last_seq = newest or 0

    def _series_of(self, comparison: Comparison) -> int:
        told = (comparison.run_id, comparison.baseline, comparison.candidate)
        key = (*map(bounded, told), comparison.lane, comparison.mode, bounded(comparison.comparator_set))
        if key not in self._series:
            columns = "run_id, baseline, candidate, lane, mode, comparator_set"
            added = self._database.execute(f"INSERT INTO series ({columns}) VALUES (?, ?, ?, ?, ?, ?)", key)  # noqa: S608
            self._series[key] = int(added.lastrowid or 0)
        return self._series[key]

    def _name_of(self, counted: Counted) -> int:
        if counted not in self._names:
            if self._per_kind[counted.kind] >= _NAMES_PER_KIND and counted.name != OTHER:
                return self._name_of(Counted(counted.kind, OTHER))
            added = self._database.execute("INSERT INTO names (kind, text) VALUES (?, ?)", counted)
            self._names[counted] = int(added.lastrowid or 0)
            self._per_kind[counted.kind] += 1
        return self._names[counted]


def _read(record: Received) -> Found:
    """What a record is. Verdicts and whatever else comes later are refused in words, not guessed at."""
    try:
        value = loads(record.value)
        if (schema_of(value) or "").startswith("watermark/"):
            return from_json(Watermark, value)
        return from_json(Comparison, value)
    except RecordError as error:
        return error


def _locked(path: Path) -> BinaryIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f"{path.name}.lock").open("ab")
    except OSError as error:
        raise UsageError(f"feed_state: {path} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise UsageError(f"feed_state: {path} is in use by another feed; name another file") from None
    return lock


def _prepare(database: sqlite3.Connection, path: Path, made_for: Mapping[str, str]) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")  # a crash of the machine may lose the last batches: read again
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if not found and not database.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0]:
        database.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        database.executemany("INSERT INTO meta VALUES (?, ?)", list(made_for.items()))
        return
    if found != VERSION:
        raise StateError(
            f"feed_state: {path} has tables of version {found}, this program knows version {VERSION}; name another "
            "file, and the feed folds the topic again from its beginning"
        )
    held = dict(database.execute("SELECT name, value FROM meta").fetchall())
    if held["topic"] != made_for["topic"]:
        raise UsageError(
            f"feed_state: {path} holds what was folded from {held['topic']}, not from {made_for['topic']}; "
            "name another file"
        )
    if held["gate"] != made_for["gate"]:
        raise UsageError(
            f"feed_state: {path} was folded with {held['gate'][:15] or 'no gate'}, now the gate is "
            f"{made_for['gate'][:15] or 'none'}; name another file, and the topic is folded again from its beginning"
        )


@contextmanager
def _said(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StateError(f"feed_state: {path}: {error}") from error
