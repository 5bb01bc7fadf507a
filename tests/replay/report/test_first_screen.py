"""The first screen: what to do next, who is compared with whom, and why, for somebody who knows no statistics."""

from __future__ import annotations

import pytest

from judged import ESCALATION, compared, gate, pair, side
from replay.comparison import replace
from replay.report.headline import headline
from replay.report.html import html_report
from replay.report.markdown import markdown_report
from replay.report.measures import metric_words
from replay.verdict import MetricEvidence, Reason
from replay.verdict_text import verdict_lines
from replay.verdict_words import duration
from reported import escalating, judged, parsed, told_of

TWO = gate(ESCALATION, {"id": "refusal", "kind": "paired_binary", "margin": 0.2}, max_pairs=400)


def calm(conversations):
    return [it for number in range(conversations) for it in pair(number, side(), side())]


def screen(comparisons, the_gate, **facts):
    return parsed(html_report(told_of(comparisons, verdict=judged(comparisons, the_gate), **facts))).screen


def held(verdict, **changes):
    """A verdict that holds, with the figures of its first metric as a test wants them."""
    first = replace(verdict.metrics[0], standing="open", **changes)
    reason = Reason(code="underpowered", words="", metrics=tuple(it.id for it in verdict.metrics))
    return replace(verdict, decision="hold", metrics=(first, *verdict.metrics[1:]), reasons=(reason,))


def test_a_hold_says_in_one_bullet_how_many_more_and_what_needs_them():
    verdict = judged(calm(40), TWO)
    assert verdict.decision == "hold"
    (why,) = headline(verdict).why
    most = max(metric.more_pairs for metric in verdict.metrics if metric.more_pairs)
    assert why.text == "40 conversations are too few to be sure."
    assert why.next.startswith(f"replay about {most:,} more, or widen what is tolerated (gate plan).")
    assert why.under[0].text.startswith("Needs most: hands the request over")
    assert why.plain in " ".join(" ".join(verdict_lines(verdict)).split()).replace(" - Needs", " Needs").replace(" - Nearly", " Nearly")


def test_what_the_plan_does_not_allow_is_no_advice():
    verdict = held(judged(calm(40), TWO), more_pairs=5_000)
    (why,) = headline(verdict).why
    assert "replay about" not in why.next
    assert "about 5,000 more are more than the plan allows (400)" in why.next
    assert "more than the plan allows (400)" in metric_words(verdict)[0].standing


def test_where_it_cannot_be_said_how_many_every_measure_is_named_all_the_same():
    verdict = held(judged(calm(40), TWO), more_pairs=None)
    (why,) = headline(verdict).why
    assert why.next.startswith("replay more, or widen what is tolerated (gate plan); how many more it takes cannot be said yet.")
    assert why.under[-1].text == "Cannot be said how many more: hands the request over to a person or another team."
    assert headline(replace(verdict, guessed=6)).why[0].next.startswith("have less to guess")


def test_the_time_to_a_decision_is_told_wherever_it_is_known():
    comparisons = calm(40)
    verdict = replace(judged(comparisons, TWO), seconds_to_decision=3 * 86_400.0)
    it = told_of(comparisons, verdict=verdict)
    for text in (parsed(html_report(it)).screen, markdown_report(it), " ".join(verdict_lines(verdict))):
        assert "that takes about 3 days" in " ".join(text.split())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(30, "less than two minutes"), (2_400, "about 40 minutes"), (18_000, "about 5 hours"), (259_200, "about 3 days"), (3_600_000, "about 6 weeks")],
)
def test_a_time_is_told_in_its_largest_unit(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("mean", "band", "looks"),
    [((0.2, 0.3), (0.01, 0.4), True), ((0.04, 0.3), (0.01, 0.4), False), ((0.04, 0.3), (0.06, 0.4), True)],
)
def test_an_open_measure_beyond_its_margin_looks_worse_and_is_named(mean, band, looks):
    verdict = held(judged(calm(40), TWO), mean=mean, band=band, more_pairs=None)
    (words, _) = metric_words(verdict)
    assert words.looks_worse == looks
    assert ("looks worse than tolerated, not proved yet" in words.standing) == looks
    assert ("Looks bad so far: hands the request over" in headline(verdict).why[-1].text) == looks
    assert ("LOOKS WORSE" in " ".join(verdict_lines(verdict))) == looks


def test_it_says_where_a_measure_alone_would_be_proved():
    verdict = held(judged(calm(40), TWO), mean=(0.3, 0.3), band=(0.1, 0.5), log_e_harm=(4.0, 4.0))
    assert "it would be proved if it were the only measure" in metric_words(verdict)[0].standing


def test_beside_a_missing_lane_other_open_measures_are_named():
    alone = [compared(number, lane_probability=0.0) for number in range(30)]
    text = screen(alone, gate(ESCALATION, {"id": "tool_mismatch", "kind": "paired_binary", "margin": 0.1}))
    assert "Today's release was not run a second time" in text
    assert "Next: run today's release a second time on the same requests (--lane-share 0.2)" in text
    assert "Not decided yet, either: hands the request over to a person or another team" in text


def test_recordings_are_told_the_flag_that_compare_has():
    verdict = judged([compared(1, mode="recorded", lane_probability=0.0, baseline="recorded:b")], gate({"id": "tool_mismatch", "kind": "paired_binary", "margin": 0.1}))
    assert "--lane FILE" in headline(verdict).why[0].next


def test_figures_have_one_form_everywhere():
    evidence = MetricEvidence(id="escalation", kind="paired_binary", signal="escalation", standing="beyond_margin", votes=True, weight=1.0, margin=0.05, pairs=262, mean=(0.187, 0.359), band=(0.077, 0.457))  # fmt: skip
    verdict = replace(judged(calm(3), gate(ESCALATION)), metrics=(evidence,), guessed=35, decision="roll_back", reasons=(Reason(code="proved_worse", words="", metrics=("escalation",)),))  # fmt: skip
    form = "Seen: 19 to 36 more of 100 (it depends on guesses in 35 conversations). Surely between 8 and 46 more. Tolerated: 5 more."
    assert metric_words(verdict)[0].sentence == form
    assert form in headline(verdict).why[0].text
    assert form in " ".join(" ".join(verdict_lines(verdict)).split())


@pytest.mark.parametrize(
    ("mean", "margin", "words"),
    [(0.054, 0.05, "5.4 more of 100"), (0.048, 0.05, "5 more of 100"), (0.004, 0.005, "0.4 more of 100"), (-0.12, 0.05, "12 fewer of 100"), (0.0, 0.05, "as many as with today's release")],
)
def test_no_figure_is_rounded_over_its_margin(mean, margin, words):
    verdict = judged(calm(3), gate(ESCALATION | {"margin": margin}))
    changed = held(verdict, margin=margin, mean=(mean, mean))
    assert metric_words(changed)[0].seen == words


@pytest.mark.parametrize(
    ("ends", "words"),
    [((-0.05, 0.05), "5 fewer to 5 more of 100"), ((-0.2, -0.1), "10 to 20 fewer of 100"), ((0.0, 0.03), "0 to 3 more of 100"), ((-1e-9, 1e-9), "as many as with today's release")],
)
def test_both_ends_are_told_with_their_direction(ends, words):
    changed = held(judged(calm(3), TWO), mean=ends)
    assert metric_words(changed)[0].seen.partition(" (")[0] == words


def test_both_releases_are_named_and_why_one_was_run_twice():
    text = screen(calm(40), TWO, names=("v42", "v43"))
    assert "v43 (the candidate) compared with v42 (today's release, in production), 40 conversations." in text
    assert "Each request was given to v43 and again to v42, so that v42's own variation is not blamed on v43." in text


def test_a_share_of_requests_given_twice_is_told_as_a_share():
    some = [it for it in calm(40) if it.lane == "candidate" or it.source.offset < 10]
    assert "10 of 40 requests that v43 was given were given again to v42, too" in screen(some, TWO, names=("v42", "v43"))


def test_what_was_loosened_and_what_was_not_tried_stand_in_the_box_and_once():
    facts = {"findings": ["wipe_device no longer needs approval"], "not_exercised": ["retriever_snapshot"]}
    it = told_of(escalating(30), verdict=judged(escalating(30)), **facts)
    page, comment = parsed(html_report(it)), markdown_report(it)
    for words in ("wipe_device no longer needs approval", "retriever snapshot has changed"):
        assert words in page.screen
        assert " ".join(" ".join(page.text).split()).count(words) == 1
    for words in ("`wipe_device no longer needs approval`", "`retriever snapshot` has changed"):
        assert comment.count(words) == 1


def test_a_reason_leads_to_the_first_pair_that_shows_it():
    from replay.comparison import EvidenceLine, Flag

    shown = (Flag(rule="handoff_extra", severity=2, evidence=(EvidenceLine(kind="handoff_extra", added="page()"),)),)
    comparisons = [replace(it, flags=shown if it.lane == "candidate" and it.replay.hands_over else (), severity=2) for it in escalating()]
    page = html_report(told_of(comparisons, verdict=judged(comparisons))).decode()
    assert 'href="#pair-1">see an example' in page
    assert 'id="pair-1"' in page
