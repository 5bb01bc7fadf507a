"""What was looked at: figures that add up, and what people behind the assistant are asked."""

from __future__ import annotations

from judged import compared, pair, side
from replay.comparison import Coverage, Score, replace
from replay.report.html import html_report
from replay.report.markdown import markdown_report
from reported import escalating, judged, parsed, told_of


def lane_of(comparisons, **facts):
    return told_of(comparisons, **facts).lanes[0]


def test_coverage_says_what_was_recorded_what_assumed_and_what_guessed():
    grades = {"exact": 6, "blocked": 1, "write_stubbed": 2, "example": 1}
    lane = lane_of([compared(1, coverage=Coverage(calls=10, grades=grades))])
    assert [round(share, 6) for share in lane.coverage] == [0.7, 0.2, 0.1]
    assert {row.name: row.good for row in lane.grades} == {"exact": True, "blocked": True, "write_stubbed": None, "example": False}


def test_expected_outcomes_are_a_table_of_both_sides():
    sides = {True: replace(side(), expected=True), False: replace(side(), expected=False)}
    cells = [(True, True), (True, False), (True, False), (False, True)]
    comparisons = [compared(number, production=sides[today], replay=sides[ours]) for number, (today, ours) in enumerate(cells)]
    assert lane_of(comparisons).outcomes == ((1, 2), (1, 0))
    assert "expected outcomes: 2 lost, 1 won" in markdown_report(told_of(comparisons))


def test_what_people_are_asked_is_told_of_all_three():
    ours, again = side(escalates=True), side()
    comparisons = [it for number in range(4) for it in pair(number, ours if number < 2 else side(), again)]
    (asked,) = lane_of(comparisons).burden
    assert (asked.words, asked.today, asked.candidate, asked.again) == ("hands the request over to a person or another team", 0, 0.5, 0)


def test_what_could_not_be_judged_is_named():
    scores = {"tools.write": Score(status="scored", value=0.0), "cost.total": Score(status="unknown")}
    it = told_of([compared(1, scores=scores, replay=side(escalates=True))])
    assert it.lanes[0].unjudged == ("cost.total",)
    assert "Could not be judged in any pair: cost.total" in " ".join(" ".join(parsed(html_report(it)).text).split())


def test_more_than_today_s_release_again_agrees_with_its_row():
    """An end of the scale that the lane reaches, too, leaves no room beyond it; the difference of the shares does."""
    scores = [{"answer.lexical": Score(status="scored", value=value)} for value in (0.0, 1.0)]
    comparisons = [compared(n, lane=lane, scores=scores[n < few]) for lane, few in (("candidate", 6), ("baseline", 2)) for n in range(10)]
    (row,) = lane_of(comparisons).differences
    assert (row.share, row.again, round(row.more, 6)) == (0.6, 0.2, 0.4)


def test_recorded_turns_add_up_to_conversations_and_pairs():
    it = told_of([compared(1, mode="recorded")], conversations=5)
    assert it.looked_at == "9 recorded turns are 5 conversations; of these came 9 pairs."


def test_a_slice_names_pairs_that_show_it():
    comparisons = [replace(it, cohort={"language": "da" if it.source.offset % 3 == 0 else "en"}) for it in escalating(600)]
    (row,) = told_of(comparisons, verdict=judged(comparisons)).slices
    assert row.where == "language = da"
    ids = {it.trace_id: it.cohort["language"] for it in comparisons}
    assert row.exemplars
    assert all(ids[each.trace_id] == "da" for each in row.exemplars)
