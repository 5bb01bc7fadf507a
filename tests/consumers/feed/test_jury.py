"""The gate in the feed: the same verdict as a plain fold, wherever it was killed and however it was delivered."""

from __future__ import annotations

import random
import re

import pytest

from consumers.feed import jury as jury_module
from consumers.feed.queries import Queries
from consumers.feed.selection import FOR_VERDICTS, parse_selection
from consumers.feed.store import Retention, Store
from consumers.stream import Partition, Received
from judged import gate, pair, side
from replay.comparison import Comparison, Score, Side, Source, Watermark, replace
from replay.errors import UsageError
from replay.gate.audit import refold
from replay.gate.docket import Docket
from replay.verdict import Target, Verdict
from replay.wire import decode, encode

LATE, CALM = side(escalates=True), side()
NEVER = {"id": "never", "kind": "zero_tolerance", "signal": "escalation", "max_rate": 0.01, "blocking": False}
GATE = gate({"id": "escalation", "kind": "paired_binary", "margin": 0.05}, NEVER, idle="2s")
KEEP = Retention(comparisons=10_000, days=30)
SECOND = 10**9


class Clock:
    now = SECOND

    def __call__(self) -> int:
        self.now += 2 * SECOND  # every look is due
        return self.now


def opened(tmp_path, the_gate=GATE):
    store = Store.open(tmp_path / "feed.sqlite", topic="comparisons", retention=KEEP, gate=the_gate)
    store.clock = Clock()
    return store


def stream(count, *, worse, seed=0, partitions=1, lag=5):
    """Comparisons out of order, each partition's watermarks behind them."""
    chance = random.Random(seed)
    records: list[tuple[float, Comparison | Watermark]] = []
    for number in range(count):
        source = Source(topic="traces", partition=number % partitions, offset=number // partitions)
        both = pair(number, LATE if number % worse == 0 else CALM, conversation_id=f"c{number // 4}")
        records += [(number + chance.random() * lag, replace(it, source=source)) for it in both]
        mark = Watermark(run_id="run", topic="traces", partition=source.partition, offset=source.offset + 1)
        records.append((number + lag, mark))
    return [record for _, record in sorted(records, key=lambda it: it[0])]


def received(records, first=0):
    at = Partition("comparisons", 0)
    return [Received(at, first + n, encode(record), timestamp_ms=1) for n, record in enumerate(records)]


def plain(records):
    docket = Docket(GATE)
    for record in records:
        if isinstance(record, Comparison):
            docket.enter(record)
        else:
            docket.advance(record.topic, record.partition, record.offset)
    return docket.verdict(now=None)


def latest(store):
    found = Queries(store.path, store.topic).verdicts(parse_selection([], FOR_VERDICTS, now=None))
    return [replace_time(decode(Verdict, bytes(it))) for it in found.verdicts]


def replace_time(verdict):
    return type(verdict)(**{name: getattr(verdict, name) for name in verdict.__struct_fields__} | {"emitted_at": None})


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_it_says_what_a_plain_fold_says_wherever_it_was_killed(tmp_path, seed, partitions):
    records, chance = stream(160, worse=5, seed=seed, partitions=partitions), random.Random(seed)
    store, at = opened(tmp_path), 0
    while at < len(records):
        size = chance.randrange(1, 40)
        store.fold(received(records[at : at + size], at))
        at += size
        if chance.random() < 0.5:
            store.close()
            store = opened(tmp_path)
    assert latest(store)[0] == plain(records)
    assert latest(store)[0].conversations > 20
    assert latest(store)[0].metrics[1].hits > 5
    store.close()


def test_a_batch_that_fails_leaves_no_trace_in_the_dockets(tmp_path, monkeypatch):
    records = stream(60, worse=5)
    store = opened(tmp_path)
    store.fold(received(records[:90]))

    def full(*_):
        raise RuntimeError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(jury_module.Jury, "_keep_partition", full)
        with pytest.raises(RuntimeError):
            store.fold(received(records[90:], 90))
    store.fold(received(records[90:], 90))
    assert latest(store)[0] == plain(records)
    store.close()


def test_delivered_twice_it_counts_once(tmp_path):
    records = stream(60, worse=5)
    store = opened(tmp_path)
    store.fold(received(records))
    store.fold(received(records, len(records)))
    assert latest(store)[0] == plain(records)
    store.close()


def at(offset, number, ours, *, partition=0, **fields):
    source = Source(topic="traces", partition=partition, offset=offset)
    return [replace(it, source=source) for it in pair(number, ours, CALM, **fields)]


def up_to(offset, partition=0):
    return Watermark(run_id="run", topic="traces", partition=partition, offset=offset)


def turn(offset, number, second, conversation, ours=CALM):
    return at(offset, number, ours, conversation_id=conversation, production_started_at=second * SECOND)


#: Copies of a trace, and what comes of them: votes, late turns, the mean difference.
COPIES = {
    "in two partitions it is two": (
        [*at(0, 1, CALM), *at(0, 1, LATE, partition=1), up_to(1), up_to(1, 1)], (2, 0, 0.5),
    ),
    "the later one ends first": ([*at(5, 1, LATE), *at(2, 1, CALM), up_to(6)], (1, 1, 0.0)),
    "the later one comes when the first has voted": (
        [*at(0, 1, LATE), up_to(1), *at(5, 1, CALM), up_to(6)], (1, 1, 1.0),
    ),
    "of a turn, while its conversation is open": (
        [
            *turn(0, 1, 1, "a"), *turn(1, 9, 3, "b"), *turn(2, 1, 3, "a", LATE), *turn(3, 8, 4, "b"),
            *turn(4, 2, 5, "a", LATE), *turn(5, 7, 50, "z"), *turn(6, 6, 51, "z"), up_to(7),
        ],
        (2, 1, 0.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("records", "expected"), COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("at_a_time", [1, 100])
def test_whoever_folds_counts_the_first_of_all_copies_in_the_order_of_the_partition(tmp_path, records, expected, at_a_time):
    store = opened(tmp_path)
    for start in range(0, len(records), at_a_time):
        store.fold(received(records[start : start + at_a_time], start))
        store.close()
        store = opened(tmp_path)
    store.judge()
    verdict = latest(store)[0]
    assert (verdict.conversations, verdict.late_turns, verdict.metrics[0].mean) == (*expected[:2], (expected[2],) * 2)
    assert verdict == plain(records) == refold(verdict, [it for it in records if isinstance(it, Comparison)])
    store.close()


def test_restarts_change_nothing_of_clocks_that_are_wrong_and_turns_that_come_again(tmp_path):
    """Doubted steps, times that nobody tells, copies and quiet hours; every record is folded by another start."""
    chance, records = random.Random(5), []
    for number in range(80):
        second = 1_000_000 + number + 40 * (number // 20)
        told = chance.choice([second] * 6 + [None, 1, second + 10**6])
        fields = {"conversation_id": f"c{number // 3}", "production_started_at": None if told is None else told * SECOND}
        records += at(number, number - chance.randrange(2), LATE if number % 5 == 0 else CALM, **fields)
        records.append(up_to(number + 1))
    store, one = opened(tmp_path), Docket(GATE)
    for number, record in enumerate(records):
        store.fold(received([record], number))
        store.close()
        store = opened(tmp_path)
        one.enter(record) if isinstance(record, Comparison) else one.advance("traces", 0, record.offset)
        if number % 30 == 29:
            store.judge()
            assert latest(store)[0] == replace_time(one.verdict(now=None)), number
    assert one.verdict(now=None).conversations > 20
    assert one.partition("traces", 0).conversations.duplicates > 10
    store.close()


def test_another_release_under_the_same_run_is_no_evidence_and_the_audit_agrees(tmp_path):
    records = [*at(0, 1, CALM), *at(1, 2, LATE, candidate="d"), *at(2, 3, CALM), up_to(3)]
    store = opened(tmp_path)
    store.fold(received(records))
    (verdict,) = latest(store)
    assert (verdict.candidate, verdict.conversations, verdict.metrics[0].mean) == ("c", 2, (0.0, 0.0))
    assert refold(verdict, [it for it in reversed(records) if isinstance(it, Comparison)]) == verdict
    store.close()


def test_each_change_of_mind_is_told_once(tmp_path):
    records = stream(400, worse=2)
    store = opened(tmp_path)
    told = []
    for start in range(0, len(records), 50):
        folded = store.fold(received(records[start : start + 50], start))
        told += [decode(Verdict, event.data).decision for event in folded.events if event.kind == "verdict"]
    assert told[0] == "hold"
    assert told[-1] == "roll_back"
    assert len(told) == len(latest(store))
    assert [run_id for _, run_id, _ in store.jury.untold()] == ["run"] * len(told)
    store.jury.told(number for number, _, _ in store.jury.untold())
    assert store.jury.untold() == []
    store.close()


def test_without_a_watermark_nobody_has_voted(tmp_path):
    store = opened(tmp_path)
    store.fold(received([record for record in stream(60, worse=5) if isinstance(record, Comparison)]))
    (verdict,) = latest(store)
    assert (verdict.decision, verdict.reasons[0].code, verdict.conversations) == ("hold", "no_evidence", 0)
    store.close()


def test_a_verdict_that_is_due_comes_without_anything_new(tmp_path):
    store = opened(tmp_path)
    store.clock = lambda: SECOND
    store.fold(received(stream(20, worse=5)))
    store.clock = lambda: SECOND + 1
    store.fold(received(stream(20, worse=5, seed=1), 60))
    before = latest(store)
    assert store.judge() == ()
    store.clock = lambda: 3 * SECOND
    store.judge()
    assert len(latest(store)) >= len(before)
    store.close()


def test_what_was_folded_with_another_gate_is_not_gone_on_with(tmp_path):
    opened(tmp_path).close()
    for other in (None, gate(max_pairs=7)):
        with pytest.raises(UsageError, match="name another file"):
            opened(tmp_path, other)


def test_nothing_is_kept_of_conversations_that_have_voted(tmp_path):
    store = opened(tmp_path)
    store.fold(received(stream(160, worse=5)))
    (left,) = store.jury.database.execute("SELECT COUNT(*) FROM ballots").fetchone()
    assert left < 40
    store.close()


HOSTILE = {
    "a time beyond all clocks": {"production_started_at": 2**70},
    "a time before all clocks": {"production_started_at": -(2**70)},
    "a distance that is none": {"scores": {"answer.lexical": Score(status="scored", value=1e300)}},
    "less than no time": {"replay": Side(model_latency_ns=-(2**70))},
    "a price that is no number": {"replay": Side(cost_usd="9" * 5_000)},
    "an attribute without end": {"cohort": {"x" * 10_000: "y" * 10_000, "n": 10**400, "deep": [[[]]]}},
    "no text at all": {"trace_id": "\x00", "conversation_id": ""},
}


@pytest.mark.parametrize("fields", HOSTILE.values(), ids=HOSTILE)
def test_whatever_a_record_claims_the_others_are_judged(tmp_path, fields):
    everything = gate(
        {"id": "escalation", "kind": "paired_binary", "margin": 0.05},
        {"id": "answer_distance", "kind": "paired_bounded", "margin": 0.05},
        {"id": "slow", "kind": "paired_exceedance", "signal": "latency_ms", "threshold": 9, "margin": 0.05},
        {"id": "cost_usd", "kind": "paired_mean_capped", "cap": 0.1, "rel_margin": 0.05},
        idle="2s",
    )
    odd = [replace(it, **fields) for it in pair(7, conversation_id="odd")]
    mark = Watermark(run_id="run", topic="traces", partition=0, offset=200)
    fine = [it for number in (*range(7), *range(8, 100)) for it in pair(number)]
    store = opened(tmp_path, everything)
    store.fold(received([*odd, *fine, mark]))
    assert latest(store)[0].conversations >= 99
    store.close()


@pytest.mark.parametrize("field", ["offset", "sample", "severity", "partition"])
def test_a_number_that_cannot_be_kept_is_refused(tmp_path, field):
    store = opened(tmp_path)
    huge = re.sub(rb'"%s":\d+' % field.encode(), b'"%s":%d' % (field.encode(), 2**70), encode(pair(1)[0]))
    folded = store.fold([Received(Partition("comparisons", 0), 0, huge, timestamp_ms=1)])
    assert folded.outcomes == {"refused": 1}
    store.close()


def test_a_rollback_says_since_when_its_target_was_promoted_by_this_feed(tmp_path):
    """Run `first` promotes the bundle `b`; in run `second` it is the baseline of one that does harm."""
    store = opened(tmp_path)
    good = [replace(it, run_id="first", baseline="a", candidate="b") for number in range(300) for it in pair(number)]
    bad = [replace(it, run_id="second") for number in range(100) for it in pair(number, LATE)]
    marks = [Watermark(run_id=run, topic="traces", partition=0, offset=300) for run in ("first", "second")]
    store.fold(received([*good, marks[0]]))
    store.fold(received([*bad, marks[1]], first=1000))
    told = {row[0]: decode(Verdict, row[1]) for row in store.jury.database.execute("SELECT run_id, value FROM verdicts")}
    assert [told[run].decision for run in ("first", "second")] == ["promote", "roll_back"]
    assert told["first"].rollback_target is None
    assert told["second"].rollback_target == Target(bundle="b", certified_at=told["first"].emitted_at)
    store.close()
