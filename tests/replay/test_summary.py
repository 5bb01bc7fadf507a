"""The summary: an order-free fold, and words that a hostile trace cannot bend."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from replay.comparison import Comparison, Coverage, EvidenceLine, Flag, Score, Side, Source
from replay.summary import Summary, fold_all, summary_json
from replay.summary_text import clean, summary_lines


def comparison(number: int, *, rules: tuple[str, ...] = (), severity: int = 0, value: float = 0.0, **changes) -> Comparison:
    flags = tuple(Flag(rule=rule, severity=severity, evidence=(EvidenceLine(kind=rule, added="wipe(id=1)"),)) for rule in rules)
    base = Comparison(
        comparison_id=f"c{number:04}",
        run_id="r",
        trace_id=f"t{number}",
        source=Source(topic="f"),
        baseline="a",
        candidate="b",
        mode="free",
        disposition="compared",
        comparator_set="x",
        scores={"answer.lexical": Score(status="scored", value=value), "cost.total": Score(status="unknown")},
        flags=flags,
        severity=severity,
        coverage=Coverage(calls=2, exact=0.5, grades={"exact": 1, "halt": 1}),
        production=Side(answer="yes"),
        replay=Side(answer="no", model_calls=2, cost_usd="0.001"),
    )
    return structs.replace(base, **changes)


MIXED = [
    comparison(n, rules=rules, severity=severity, value=n / 10)
    for n, (rules, severity) in enumerate(
        [((), 0), (("handoff_extra",), 2), (("handoff_extra",), 2), (("write_extra",), 3), (("handoff_missing",), 2)] * 4
    )
]


def lines(summary, **options):
    return list(summary_lines(summary, title="a -> b", **options))


@given(st.randoms(use_true_random=False))
def test_the_order_of_comparisons_does_not_matter(shuffler):
    shuffled = MIXED[:]
    shuffler.shuffle(shuffled)
    facts = {"facts": {}, "worst": 5}
    assert summary_json(fold_all(Summary(), shuffled), **facts) == summary_json(fold_all(Summary(), MIXED), **facts)


def test_outcomes_and_decisions_are_tables_that_nothing_is_netted_in():
    sides = {True: Side(expected=True), False: Side(expected=False), None: Side()}
    cells = [(True, False), (True, False), (False, True), (True, True), (None, True), (False, None)]
    told = [
        comparison(number, production=sides[before], replay=sides[after], decisions={"block > allow": 1, "allow > block": 2})
        for number, (before, after) in enumerate(cells)
    ]
    summary = fold_all(Summary(), told)
    (lane,) = summary_json(summary, facts={}, worst=0)["lanes"]
    assert lane["outcomes"] == {"met > missed": 2, "met > met": 1, "missed > met": 1}
    assert lane["decisions"] == {"allow > block": 12, "block > allow": 6}
    assert any("met > missed 2" in line for line in lines(summary))


def test_the_worst_pairs_begin_with_one_of_each_kind():
    worst = fold_all(Summary(), MIXED).worst(4)
    assert [item.rules for item in worst[:3]] == [("write_extra",), ("handoff_missing",), ("handoff_extra",)]
    assert worst[3].severity == 3


def test_an_unscored_dimension_has_no_mean():
    written = summary_json(fold_all(Summary(), MIXED), facts={}, worst=0)["lanes"][0]["dimensions"]
    assert written["cost.total"] == {"statuses": {"unknown": 20}}
    assert written["answer.lexical"]["scored"] == 20


def test_a_replay_without_an_end_adds_nothing_to_scores_or_severities():
    failed = comparison(1, disposition="infra_error", reason="timeout: silent", scores={}, severity=0)
    fold = fold_all(Summary(), [failed]).folds["candidate", "free"]
    assert (fold.severities, fold.dimensions, fold.reasons) == ({}, {}, {"timeout": 1})


def test_the_summary_begins_with_what_could_not_be_tried():
    text = lines(fold_all(Summary(), MIXED), not_exercised=["retriever_snapshot has changed"], findings=["wipe: write -> read"])
    order = [next(i for i, line in enumerate(text) if word in line) for word in ("no verdict", "NOT EXERCISED", "FINDINGS", "traces")]
    assert order == sorted(order)


def test_without_a_lane_it_says_uncalibrated_and_with_one_it_shows_the_noise():
    alone = "\n".join(lines(fold_all(Summary(), MIXED)))
    beside = "\n".join(lines(fold_all(Summary(), [*MIXED, comparison(99, lane="baseline", value=0.5)])))
    assert "uncalibrated" in alone
    assert "noise: differ" in beside


def test_a_summary_says_how_many_more_pairs_lie_beyond_the_lanes_noise():
    lane = [comparison(n, lane="baseline", value=n / 100) for n in range(100)]
    worse = [comparison(n, value=1.0 if n % 2 else n / 100) for n in range(100)]
    alone, beside = (summary_json(fold_all(Summary(), it), facts={}, worst=0)["lanes"] for it in (worse, [*lane, *worse]))
    (ours,) = [fold for fold in beside if fold["lane"] == "candidate"]
    assert (alone[0]["calibrated"], ours["calibrated"]) == (False, True)
    assert "excess" not in alone[0]["dimensions"]["answer.lexical"]
    assert ours["dimensions"]["answer.lexical"]["excess"] == pytest.approx(0.48, abs=0.02)


def test_nothing_is_said_of_what_lies_beyond_the_end_of_a_scale():
    """The lane reaches the end of the scale: +0.0 % beside 90 % that differ would contradict the row."""
    row = lambda top: next(line for line in lines(fold_all(Summary(), [*lane(top), *worse])) if "answer.lexical" in line and line.count("%") > 1)  # noqa: E731
    lane = lambda top: [comparison(n, lane="baseline", value=top if n < 10 else 0.0) for n in range(100)]  # noqa: E731
    worse = [comparison(n, value=1.0 if n < 90 else 0.0) for n in range(100)]
    assert row(0.5).endswith("+90.0%")
    assert not row(1.0).rstrip().endswith("%")


def test_a_ratio_is_told_in_times():
    scores = {"tokens.output": Score(status="scored", value=0.6931471805599453)}
    text = lines(fold_all(Summary(), [comparison(1, scores=scores)]))
    (row,) = [line for line in text if "tokens.output" in line]
    assert row.split()[3:] == ["2.00x", "2.00x", "2.00x"]
    assert any("x: times as much" in line for line in text)


def test_a_stopped_intake_says_what_was_left():
    summary = Summary(stopped_by="max_usd: spent $2 of $2", left=7)
    assert "7 replays were left" in "\n".join(lines(summary))


def test_an_empty_summary_can_be_printed():
    assert lines(Summary())[0] == "a -> b"


def test_money_is_summed_exactly():
    fold = fold_all(Summary(), [comparison(n) for n in range(10)]).folds["candidate", "free"]
    assert str(fold.usd) == "0.010"


@pytest.mark.parametrize("text", ["\x1b[2J\x1b]0;x\x07", "a\nb\r\nc", "\u202eevil", "\ud800", "x" * 10_000_000])
def test_trace_content_cannot_move_a_cursor_or_flood_a_screen(text):
    shown = clean(text, 100)
    assert len(shown) <= 101
    assert all(character.isprintable() for character in shown)


def test_a_hostile_pair_is_printed_on_its_own_lines():
    hostile = comparison(1, rules=("write_extra",), severity=3, trace_id="\x1b[31m", replay=Side(answer="\n\n0. S0 fine"))
    text = lines(fold_all(Summary(), [hostile]))
    assert not any("\x1b" in line or "\n" in line for line in text)


def test_many_comparisons_of_one_kind_are_not_all_kept():
    summary = Summary()
    for number in random.Random(1).sample(range(1000), 1000):
        summary.add(comparison(number, rules=("write_extra",), severity=3))
    assert [item.comparison.comparison_id for item in summary.worst(9)] == ["c0000", "c0001", "c0002"]
