"""The tables of the feed's state. A file of another version is refused, never guessed at."""

from __future__ import annotations

#: Raised with every change of the tables, and of what the evidence in them is counted in.
VERSION = 4

TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- The next offset to read of each partition. Changes together with what was folded from the records before it.
CREATE TABLE positions (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL);

-- Digests of (run, comparison id): what was counted is never counted again.
CREATE TABLE seen (id BLOB PRIMARY KEY, minute INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE series (
  series INTEGER PRIMARY KEY, run_id TEXT NOT NULL, baseline TEXT NOT NULL, candidate TEXT NOT NULL,
  lane TEXT NOT NULL, mode TEXT NOT NULL, comparator_set TEXT NOT NULL,
  UNIQUE (run_id, baseline, candidate, lane, mode, comparator_set)
);
CREATE TABLE names (name INTEGER PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL, UNIQUE (kind, text));
CREATE TABLE tallies (
  series INTEGER NOT NULL, minute INTEGER NOT NULL, name INTEGER NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (series, minute, name)
) WITHOUT ROWID;

CREATE TABLE comparisons (
  seq INTEGER PRIMARY KEY, series INTEGER NOT NULL, at INTEGER NOT NULL, trace_id TEXT NOT NULL,
  disposition TEXT NOT NULL, severity INTEGER NOT NULL, line BLOB NOT NULL, value BLOB NOT NULL
);
CREATE TABLE words (
  kind TEXT NOT NULL, text TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (kind, text, seq)
) WITHOUT ROWID;
CREATE INDEX words_of ON words (seq);
CREATE INDEX comparisons_of_trace ON comparisons (trace_id);

CREATE TABLE watermarks (
  run_id TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, emitted_at INTEGER,
  PRIMARY KEY (run_id, topic, partition)
) WITHOUT ROWID;

-- Records that are neither comparison nor watermark: where they are, why, and how they begin.
CREATE TABLE refused (
  seq INTEGER PRIMARY KEY, partition INTEGER NOT NULL, record_offset INTEGER NOT NULL, at INTEGER NOT NULL,
  reason TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, head BLOB NOT NULL
);
-- The gate. Ballots wait for their watermark (no clock yet) or for the end of their conversation.
CREATE TABLE ballots (
  run_id TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, source_offset INTEGER NOT NULL,
  comparison_id TEXT NOT NULL, ballot BLOB NOT NULL, clock INTEGER,
  PRIMARY KEY (run_id, topic, partition, source_offset, comparison_id)
) WITHOUT ROWID;
CREATE TABLE voted (
  run_id TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, digest BLOB NOT NULL,
  PRIMARY KEY (run_id, topic, partition, digest)
) WITHOUT ROWID;
CREATE TABLE dockets (
  run_id TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, first INTEGER,
  position INTEGER NOT NULL, clock INTEGER NOT NULL, doubted_at INTEGER, doubted_from INTEGER, late INTEGER NOT NULL,
  evidence BLOB NOT NULL, PRIMARY KEY (run_id, topic, partition)
) WITHOUT ROWID;
CREATE TABLE runs (run_id TEXT PRIMARY KEY, run BLOB NOT NULL) WITHOUT ROWID;
-- One row per change of mind; the last one of a run is kept up to date. `told`: whether the topic has it.
CREATE TABLE verdicts (
  seq INTEGER PRIMARY KEY, run_id TEXT NOT NULL, said TEXT NOT NULL, at INTEGER, value BLOB NOT NULL,
  told INTEGER NOT NULL
);
CREATE INDEX verdicts_of ON verdicts (run_id, seq);

CREATE TABLE totals (name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
"""
