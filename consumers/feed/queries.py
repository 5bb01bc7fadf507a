"""Questions to the feed's state. Each reads one moment of it, beside the writer, on a connection of its own."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from consumers.feed.answers import Kept, LaneSums, Page, Position, RefusedRecord, RunSums, Summary, Verdicts, Window
from consumers.feed.line import Line, Mark
from consumers.feed.selection import Selection
from consumers.feed.store import HOUR_MS, MINUTE_MS, MINUTES_KEPT_MS
from consumers.feed.sums import Sums, lane_sums

#: A page ends here, however few comparisons it holds: each may be a quarter of a megabyte and more.
_PAGE_BYTES = 8 << 20
_REFUSED_SHOWN = 10


class _Series(NamedTuple):
    series: int
    run_id: str
    baseline: str
    candidate: str
    lane: str
    mode: str
    comparator_set: str


@dataclass(frozen=True, slots=True)
class Queries:
    path: Path
    topic: str

    def summary(self, selection: Selection, *, ends: Mapping[int, int], now_ms: int) -> Summary:
        """Sums of what is selected. `ends`: where the partitions end, as far as it is known."""
        window = Window(since=_floor(selection.since, now_ms), until=_floor(selection.until, now_ms))
        with self._moment() as database:
            return Summary(
                verdicts=dict(_decisions(database)),
                topic=self.topic,
                window=window,
                positions=tuple(_positions(database, ends)),
                records=dict(database.execute("SELECT name, n FROM totals ORDER BY name").fetchall()),
                refused=tuple(_refused(database)),
                runs=tuple(_runs(database, selection, window)),
            )

    def verdicts(self, selection: Selection) -> Verdicts:
        """The verdicts of the runs that are selected."""
        conditions, values = _conditions(selection)
        asked = f"SELECT s.value FROM verdicts s WHERE {' AND '.join(conditions) or '1'} ORDER BY s.seq DESC LIMIT ?"  # noqa: S608 - conditions are our own
        with self._moment() as database:
            found = database.execute(asked, (*values, selection.limit)).fetchall()
        return Verdicts(verdicts=tuple(msgspec.Raw(value) for (value,) in found))

    def page(self, selection: Selection) -> Page:
        """Comparisons, newest first."""
        conditions, values = _conditions(selection)
        for column, bound in (
            ("c.at >= ?", selection.since),
            ("c.at < ?", selection.until),
            ("c.seq < ?", selection.before),
        ):
            if bound is not None:
                conditions, values = [*conditions, column], [*values, bound]
        asked = f"{_KEPT} WHERE {' AND '.join(conditions) or '1'} ORDER BY c.seq DESC LIMIT ?"
        with self._moment() as database:
            found, more = _bounded(database.execute(asked, (*values, selection.limit + 1)), selection.limit)
        return Page(comparisons=tuple(found), next=found[-1].line.seq if more else None)

    def lines(self, *, after: int, up_to: int) -> list[Line]:
        """The next lines with after < seq <= up_to that are still kept, oldest first, some at a time."""
        asked = "SELECT line FROM comparisons WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 200"
        with self._moment() as database:
            found = database.execute(asked, (after, up_to)).fetchall()
        return [msgspec.json.decode(line, type=Line) for (line,) in found]

    def oldest(self) -> int | None:
        """The `seq` of the oldest comparison that is kept."""
        with self._moment() as database:
            (found,) = database.execute("SELECT MIN(seq) FROM comparisons").fetchone()
        return None if found is None else int(found)

    @contextmanager
    def _moment(self) -> Iterator[sqlite3.Connection]:
        with closing(
            sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        ) as database:
            database.execute("BEGIN")
            yield database


_KEPT = "SELECT c.line, c.value FROM comparisons c JOIN series s ON s.series = c.series"
_SUMS = """
SELECT t.series, n.kind, n.text, t.n FROM (
  SELECT t.series, t.name, SUM(t.n) AS n FROM tallies t
  WHERE t.series = ? AND t.minute >= ? AND t.minute < ? GROUP BY t.name
) t JOIN names n ON n.name = t.name
"""
_FIRST, _LAST = -(2**62), 2**62


def _floor(moment: int | None, now_ms: int) -> int | None:
    """The whole minute a moment is in; the whole hour, where only those are kept apart."""
    if moment is None:
        return None
    unit = MINUTE_MS if moment >= now_ms - MINUTES_KEPT_MS else HOUR_MS
    return moment // unit * unit


def _conditions(selection: Selection) -> tuple[list[str], list[object]]:
    return [found.sql for found, _ in selection.filters], [value for _, value in selection.filters]


def _decisions(database: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """The latest of every run; "hold underpowered" says why, too."""
    latest = "SELECT MAX(seq) FROM verdicts GROUP BY run_id"
    yield from database.execute(f"SELECT run_id, said FROM verdicts WHERE seq IN ({latest})")  # noqa: S608 - as above


def _bounded(rows: Iterator[tuple[bytes, bytes]], limit: int) -> tuple[list[Kept], bool]:
    """At most `limit` rows and not many more than a page's bytes, and whether there are others."""
    found: list[Kept] = []
    size = 0
    for line, value in rows:
        if len(found) == limit or size >= _PAGE_BYTES:
            return found, True
        found.append(Kept(line=msgspec.json.decode(line, type=Line), comparison=msgspec.Raw(value)))
        size += len(value)
    return found, False


def _positions(database: sqlite3.Connection, ends: Mapping[int, int]) -> Iterator[Position]:
    folded = dict(database.execute("SELECT partition, next FROM positions").fetchall())
    for partition in sorted({*folded, *ends}):
        yield Position(partition=partition, offset=folded.get(partition, 0), end=ends.get(partition))


def _refused(database: sqlite3.Connection) -> Iterator[RefusedRecord]:
    columns = "partition, record_offset, at, reason, bytes, sha256"
    asked = f"SELECT {columns} FROM refused ORDER BY seq DESC LIMIT {_REFUSED_SHOWN}"  # noqa: S608 - constants
    for partition, offset, at, reason, size, digest in database.execute(asked):
        yield RefusedRecord(partition=partition, offset=offset, at=at, reason=reason, bytes=size, sha256=digest)


def _runs(database: sqlite3.Connection, selection: Selection, window: Window) -> Iterator[RunSums]:
    conditions, values = _conditions(selection)
    order = "ORDER BY s.run_id, s.candidate, s.lane DESC, s.mode, s.series"
    asked = f"SELECT s.* FROM series s WHERE {' AND '.join(conditions) or '1'} {order}"  # noqa: S608 - from a table
    runs: dict[tuple[str, str, str], dict[_Series, Sums]] = {}
    for row in database.execute(asked, values).fetchall():
        series = _Series(*row)
        sums = _sums(database, series.series, window)
        if sums:
            runs.setdefault((series.run_id, series.baseline, series.candidate), {})[series] = sums
    for (run_id, baseline, candidate), every in runs.items():
        lanes = list(_lanes(every))
        yield RunSums(
            run_id=run_id,
            baseline=baseline,
            candidate=candidate,
            not_exercised=tuple(sorted({surface for lane in lanes for surface in lane.not_exercised})),
            watermarks=tuple(_marks(database, run_id)),
            lanes=tuple(lanes),
        )


def _lanes(every: Mapping[_Series, Sums]) -> Iterator[LaneSums]:
    noise = {(it.mode, it.comparator_set): sums for it, sums in every.items() if it.lane == "baseline"}
    for it, sums in every.items():
        beside = noise.get((it.mode, it.comparator_set)) if it.lane == "candidate" else None
        yield lane_sums(sums, lane=it.lane, mode=it.mode, comparator_set=it.comparator_set, beside=beside)


def _marks(database: sqlite3.Connection, run_id: str) -> Iterator[Mark]:
    asked = "SELECT topic, partition, next, emitted_at FROM watermarks WHERE run_id = ? ORDER BY topic, partition"
    for topic, partition, offset, emitted_at in database.execute(asked, (run_id,)):
        yield Mark(run_id=run_id, topic=topic, partition=partition, offset=offset, emitted_at=emitted_at)


def _sums(database: sqlite3.Connection, series: int, window: Window) -> Sums:
    since = _FIRST if window.since is None else window.since // MINUTE_MS
    until = _LAST if window.until is None else window.until // MINUTE_MS
    sums: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for _, kind, name, number in database.execute(_SUMS, (series, since, until)):
        sums[kind][name] = number
    return dict(sums)
