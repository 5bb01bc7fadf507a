"""The feed's state: it counts what a plain fold counts, once, whatever is delivered twice and wherever it is killed."""

from __future__ import annotations

import random
import sqlite3
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from consumers.feed.queries import Queries
from consumers.feed.selection import FOR_COMPARISONS, FOR_SUMMARY, parse_selection
from consumers.feed.store import HOUR_MS, MINUTE_MS, OTHER, Retention, StateError, Store
from consumers.stream import Partition, Received
from consumers.when import parse_when
from made_comparisons import comparisons
from replay.comparison import Watermark, replace
from replay.errors import UsageError
from replay.summary import Summary, fold_all, summary_json
from replay.wire import encode

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
KEEP = Retention(comparisons=1_000, days=30)


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "feed.sqlite", topic="comparisons", retention=KEEP)
    yield store
    store.close()


def delivered(items, *, partition=0, first=0, at=NOW_MS):
    return [
        Received(Partition("comparisons", partition), first + n, item if isinstance(item, bytes) else encode(item),
                 timestamp_ms=at)
        for n, item in enumerate(items)
    ]  # fmt: skip


def told(store, **asked):
    selection = parse_selection(list(asked.items()), FOR_SUMMARY, now=NOW)
    return Queries(store.path, store.topic).summary(selection, ends={}, now_ms=NOW_MS)


def page(store, **asked):
    selection = parse_selection([(k, str(v)) for k, v in asked.items()], FOR_COMPARISONS, now=NOW)
    return Queries(store.path, store.topic).page(selection)


def sums(store, **asked):
    return told(store, **asked).runs


def test_sums_are_those_of_a_plain_fold(store):
    items = list(comparisons(500))
    store.fold(delivered(items[:200]))
    store.fold(delivered(items[200:], partition=1))
    plain = summary_json(fold_all(Summary(), items), facts={}, worst=0)
    (run,) = sums(store)
    assert len(run.lanes) == len(plain["lanes"]) == 2
    for ours, theirs in zip(run.lanes, plain["lanes"], strict=True):
        for name in ("lane", "mode", "dispositions", "severities", "rules", "first_divergence", "reasons", "prefix", "decisions", "outcomes",
                     "model_calls", "intended_actions", "unpriced"):  # fmt: skip
            assert getattr(ours, name) == without_zeros(theirs[name]), name
        assert ours.calibrated == theirs["calibrated"]
        assert ours.coverage.grades == without_zeros(theirs["coverage"]["grades"])
        assert ours.coverage.halted_by == theirs["coverage"]["halted_by"]
        assert ours.coverage.faithful == theirs["coverage"]["faithful"]
        assert Decimal(ours.usd) == Decimal(theirs["usd"])
        assert ours.dimensions.keys() == theirs["dimensions"].keys()
        for name, dimension in ours.dimensions.items():
            exact = theirs["dimensions"][name]
            assert dimension.statuses == exact["statuses"]
            assert (dimension.scored, dimension.fired) == (exact["scored"], exact["fired"])
            assert dimension.mean == pytest.approx(exact["mean"], abs=1e-9)
            assert dimension.p50 == pytest.approx(exact["p50"], rel=0.011, abs=1e-8)
            assert dimension.excess == exact.get("excess")
            assert dimension.p95 == pytest.approx(exact["p95"], rel=0.011, abs=1e-8)


def test_the_candidates_excess_over_its_lane_is_that_of_the_plain_summary(store):
    candidate = list(comparisons(200))
    lane = [replace(it, lane="baseline", comparison_id=f"lane-{it.comparison_id}") for it in comparisons(120)]
    store.fold(delivered([*candidate, *lane]))
    plain = summary_json(fold_all(Summary(), [*candidate, *lane]), facts={}, worst=0)["lanes"]
    wanted = {(it["lane"], it["mode"]): {name: values.get("excess") for name, values in it["dimensions"].items()} for it in plain}
    (run,) = sums(store)
    found = {(it.lane, it.mode): {name: dimension.excess for name, dimension in it.dimensions.items()} for it in run.lanes}
    assert found == wanted
    assert any(value for name in wanted["candidate", "free"] if (value := wanted["candidate", "free"][name]) is not None)


def without_zeros(counts):
    return {key: n for key, n in counts.items() if n} if isinstance(counts, dict) else counts


def test_tools_are_counted_on_both_sides(store):
    items = list(comparisons(200))
    store.fold(delivered(items))
    (run,) = sums(store)
    for side in ("production", "replay"):
        calls = [call.tool for item in items for call in getattr(item, side).calls]
        assert {tool: calls.count(tool) for tool in set(calls)} == {
            tool: total for tool in set(calls) if (total := sum(getattr(lane.tools[tool], side) for lane in run.lanes))
        }
    intended = [call.tool for item in items for call in item.replay.calls if call.effect == "write"]
    assert sum(lane.tools["wipe_device"].intended for lane in run.lanes) == intended.count("wipe_device")
    differs = sum(
        [c.tool for c in item.production.calls].count("search") != [c.tool for c in item.replay.calls].count("search")
        for item in items
    )
    assert sum(lane.tools["search"].differs for lane in run.lanes) == differs


def test_what_is_delivered_twice_is_counted_once_per_run(store):
    items = list(comparisons(50))
    store.fold(delivered(items))
    again = store.fold(delivered(items, first=50))
    assert again.outcomes == {"duplicate": 50}
    assert not again.events
    store.fold(delivered([replace(item, run_id="run-2") for item in items], first=100))
    assert {run.run_id: sum(lane.comparisons for lane in run.lanes) for run in sums(store)} == {
        "run-1": 50,
        "run-2": 50,
    }
    assert told(store).records == {"duplicate": 50, "folded": 100}


def test_a_batch_is_folded_whole_or_not_at_all(store, monkeypatch):
    items = list(comparisons(40))
    store.fold(delivered(items[:10]))
    before = told(store)
    monkeypatch.setattr(Store, "_write", lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("disk is full")))
    with pytest.raises(StateError, match="disk is full"):
        store.fold(delivered(items[10:], first=10))
    assert told(store) == before
    monkeypatch.undo()
    store.fold(delivered(items[10:], first=10))
    assert sum(lane.comparisons for lane in sums(store)[0].lanes) == 40
    assert [kept.line.seq for kept in page(store, limit=50).comparisons] == list(range(40, 0, -1))


def test_a_new_start_goes_on_behind_what_was_folded(store, tmp_path):
    items = list(comparisons(30))
    store.fold(delivered(items[:20], partition=2))
    store.close()
    store = Store.open(tmp_path / "feed.sqlite", topic="comparisons", retention=KEEP)
    assert store.position(Partition("comparisons", 2)) == 20
    assert store.position(Partition("comparisons", 0)) is None
    assert store.last_seq == 20
    store.fold(delivered(items[20:], partition=2, first=20))
    assert sum(lane.comparisons for lane in sums(store)[0].lanes) == 30
    store.close()


def test_order_and_batches_do_not_change_sums(tmp_path):
    items = list(comparisons(100))
    found = []
    for seed, size in ((1, 100), (2, 7)):
        store = Store.open(tmp_path / f"{seed}.sqlite", topic="comparisons", retention=KEEP)
        shuffled = random.Random(seed).sample(items, len(items))
        for start in range(0, len(items), size):
            store.fold(delivered(shuffled[start : start + size], first=start))
        found.append(sums(store))
        store.close()
    assert found[0] == found[1]


def test_watermarks_only_move_forward(store):
    def mark(offset, partition=0):
        return Watermark(run_id="run-1", topic="traces", partition=partition, offset=offset, emitted_at=offset)

    store.fold(delivered([next(comparisons(1)), mark(5), mark(3), mark(7, partition=1)]))
    assert [(m.partition, m.offset) for m in sums(store)[0].watermarks] == [(0, 5), (1, 7)]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"not json", "JSON"),
        (b"[]", "object"),
        (b'{"schema":"verdict/1"}', "verdict/1"),
        (b'{"schema":"comparison/2"}', "newer than this program"),
        (b'{"schema":"watermark/1"}', "run_id"),
        (b"\xff\xfe", "UTF-8"),
        (b"", "JSON"),
    ],
)
def test_what_is_no_comparison_is_kept_apart_with_its_reason(store, value, reason):
    folded = store.fold(delivered([value, next(comparisons(1))], first=7))
    assert folded.outcomes == {"refused": 1, "folded": 1}
    (refused,) = told(store).refused
    assert (refused.partition, refused.offset, refused.bytes) == (0, 7, len(value))
    assert reason in refused.reason


def test_hostile_text_is_stored_and_bounded(store):
    item = next(comparisons(1))
    call = item.production.calls + item.replay.calls
    hostile = "\x00'; DROP TABLE tallies; --" + "x" * 10_000
    side = replace(item.replay, calls=tuple(replace(c, tool=hostile) for c in call) or ())
    store.fold(delivered([replace(item, trace_id=hostile, replay=side, reason=hostile)]))
    (kept,) = page(store).comparisons
    assert len(kept.line.trace_id) == 200
    assert all(len(tool) <= 200 for lane in sums(store)[0].lanes for tool in lane.tools)


def test_tool_names_without_end_share_one(store, monkeypatch):
    monkeypatch.setattr("consumers.feed.store._NAMES_PER_KIND", 10)
    item = next(item for item in comparisons(50) if item.replay.calls)
    one = item.replay.calls[0]
    many = tuple(replace(one, tool=f"tool-{n}") for n in range(60))
    store.fold(delivered([replace(item, replay=replace(item.replay, calls=many))]))
    ((lane,),) = [run.lanes for run in sums(store)]
    assert lane.tools[OTHER].replay > 0
    assert sum(tool.replay for tool in lane.tools.values()) == 60


def test_only_the_latest_comparisons_are_kept_whole(tmp_path):
    store = Store.open(tmp_path / "s", topic="comparisons", retention=Retention(comparisons=25, days=30))
    store.fold(delivered(list(comparisons(60))))
    assert [kept.line.seq for kept in page(store, limit=100).comparisons] == list(range(60, 35, -1))
    assert sum(lane.comparisons for lane in sums(store)[0].lanes) == 60
    store.close()


def test_sums_are_by_record_timestamp(store):
    items = list(comparisons(30))
    for n, minutes_ago in enumerate((180, 61, 5)):
        store.fold(delivered(items[10 * n : 10 * n + 10], first=10 * n, at=NOW_MS - minutes_ago * MINUTE_MS))

    def count(**asked):
        return sum(lane.comparisons for run in sums(store, **asked) for lane in run.lanes)

    assert (count(), count(since="1h ago"), count(since="2h ago"), count(until="1h ago")) == (30, 10, 20, 20)
    assert count(since="2h ago", until="1h ago") == 10
    assert told(store, since="90s ago").window.since == NOW_MS - 2 * MINUTE_MS


def test_old_minutes_become_hours_and_older_ones_are_forgotten(store):
    items = list(comparisons(30))
    ages = (31 * 24 * HOUR_MS, 72 * HOUR_MS + 17 * MINUTE_MS, HOUR_MS)
    for n, age in enumerate(ages):
        store.fold(delivered(items[10 * n : 10 * n + 10], first=10 * n, at=NOW_MS - age))
    kept = list(items[10:])
    store.forget_old(now_ms=NOW_MS)
    store.forget_old(now_ms=NOW_MS)
    plain = fold_all(Summary(), kept)
    for lane in sums(store)[0].lanes:
        assert lane.dispositions == dict(plain.folds["candidate", lane.mode].dispositions)
    minutes = store._database.execute("SELECT DISTINCT minute FROM tallies ORDER BY 1").fetchall()
    assert [minute % 60 for (minute,) in minutes] == [0, 0]
    assert store.fold(delivered(items[:10], first=40)).outcomes == {"folded": 10}  # its id is forgotten too
    assert store.fold(delivered(items[10:20], first=50)).outcomes == {"duplicate": 10}


def test_pages_are_newest_first_and_filtered(store):
    items = list(comparisons(120))
    store.fold(delivered(items))
    first = page(store, limit=50)
    assert [kept.line.seq for kept in first.comparisons] == list(range(120, 70, -1))
    second = page(store, limit=100, before=first.next)
    assert [kept.line.seq for kept in second.comparisons] == list(range(70, 0, -1))
    assert second.next is None

    def ids(**asked):
        return {kept.line.comparison_id for kept in page(store, limit=200, **asked).comparisons}

    def plain(holds):
        return {item.comparison_id for item in items if holds(item)}

    assert ids(severity=2) == plain(lambda item: item.severity >= 2)
    assert ids(flag="write_extra") == plain(lambda item: any(f.rule == "write_extra" for f in item.flags))
    assert ids(tool="ünïcode") == plain(
        lambda item: any(c.tool == "ünïcode" for c in (*item.production.calls, *item.replay.calls))
    )
    assert ids(mode="free", disposition="compared") == plain(
        lambda item: item.mode == "free" and item.disposition == "compared"
    )
    assert ids(trace="trace-7") == {"id-7"}
    assert ids(candidate="sha256:c") == plain(lambda _: True)
    assert ids(candidate="sha256:%") == ids(run="run-9") == ids(tool="*") == set()


def test_a_selection_means_the_same_live_and_stored(store):
    store.fold(delivered(list(comparisons(150))))
    lines = [kept.line for kept in page(store, limit=200).comparisons]
    for asked in ({"severity": 1}, {"tool": "a:b(c)"}, {"flag": "failed_calls"}, {"mode": "forced"}, {"lane": "baseline"},
                  {"disposition": "censored"}, {"trace": "trace-3"}, {"candidate": "sha"}, {"run": "run-1"}):  # fmt: skip
        stored = [kept.line for kept in page(store, limit=200, **asked).comparisons]
        selection = parse_selection([(k, str(v)) for k, v in asked.items()], FOR_COMPARISONS, now=NOW)
        assert stored == [line for line in lines if selection.matches(line)], asked


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([("sevrity", "2")], "no parameter 'sevrity'"),
        ([("severity", "4")], "severity is '4', expected a whole number from 0 to 3"),
        ([("severity", "²")], "severity is"),
        ([("limit", "0")], "limit is '0', expected a whole number from 1 to 200"),
        ([("before", "9" * 40)], "before is"),
        ([("mode", "both")], "mode is 'both', expected one of forced, free"),
        ([("since", "soon")], "since: 'soon' is no time"),
        ([("tool", "")], "tool is '', expected 1 to 200 characters"),
        ([("mode", "free"), ("mode", "free")], "mode: given more than once"),
    ],
)
def test_a_wrong_parameter_is_named(given, words):
    with pytest.raises(UsageError, match=".*".join(words.split())):
        parse_selection(given, FOR_COMPARISONS, now=NOW)


def test_one_feed_per_state(store):
    with pytest.raises(UsageError, match="in use by another feed"):
        Store.open(store.path, topic="comparisons", retention=KEEP)


def test_a_state_belongs_to_one_topic(store):
    store.close()
    with pytest.raises(UsageError, match="holds what was folded from comparisons, not from others"):
        Store.open(store.path, topic="others", retention=KEEP)


def test_tables_of_another_version_are_refused(store):
    store._database.execute("PRAGMA user_version = 7")
    store.close()
    with pytest.raises(StateError, match="version 7, this program knows version 4"):
        Store.open(store.path, topic="comparisons", retention=KEEP)


def test_a_file_that_is_no_state_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("my notes, not a database, and long enough to be taken for one")
    with pytest.raises(StateError, match="not a database"):
        Store.open(path, topic="comparisons", retention=KEEP)
    assert path.read_text().startswith("my notes")


def test_a_foreign_database_is_refused(tmp_path):
    database = sqlite3.connect(tmp_path / "other.sqlite")
    database.execute("CREATE TABLE theirs (x)")
    database.close()
    with pytest.raises(StateError, match="version 0"):
        Store.open(tmp_path / "other.sqlite", topic="comparisons", retention=KEEP)


def test_time_words():
    assert parse_when("90s ago", now=NOW).minute == 58
