"""The worst pairs: what was asked, what shows each finding, and marks that do not mislead."""

from __future__ import annotations

from judged import compared, side
from replay.comparison import CallRecord, EvidenceLine, Flag, Side
from replay.report.html import OPEN_PAIRS, html_report
from replay.report.markdown import markdown_report
from replay.report.visible import excerpt, pilcrows
from reported import parsed, told_of

CLAIM = "Your sessions were revoked on every device."


def call(tool, arguments="{}", **fields):
    return CallRecord(**{"tool": tool, "arguments": arguments, "effect": "write", "outcome": "succeeded", "step": 0, **fields})


def flag(rule, *lines, severity=3):
    return Flag(rule=rule, severity=severity, evidence=tuple(EvidenceLine(kind=kind, removed=gone, added=new) for kind, gone, new in lines))


def pair_of(*flags, production=None, replay=None, **fields):
    comparison = compared(1, production=production or side(), replay=replay or side(), flags=flags, severity=3, **fields)
    return told_of([comparison]).pairs[0]


def test_the_request_of_the_user_stands_above_both_sides():
    it = told_of([compared(1, request="Where is my laptop?", flags=(flag("write_extra"),), severity=3)])
    assert "User: Where is my laptop?" in " ".join(" ".join(parsed(html_report(it)).text).split())
    assert "User: `Where is my laptop?`" in markdown_report(it)
    assert pair_of(flag("write_extra")).request is None  # a record of an earlier version has none


def test_a_failed_call_shows_what_it_was_told():
    failing = Side(answer="x", calls=(call("lock", outcome="failed", result="error: 503"), call("wipe", result="fine")))
    shown = pair_of(flag("failed_calls"), replay=failing).replay.calls
    assert [it.result for it in shown] == ["error: 503", None]


def test_evidence_is_grouped_by_finding_and_no_line_is_shown_twice():
    line = ("invalid_call", None, "wipe(a=1)")
    broken = Side(answer="x", calls=(call("wipe", violation='"id" is a required property'),))
    groups = pair_of(flag("write_extra", ("write_extra", None, "lock(b=2)")), flag("invalid_write", line), flag("invalid_call", line, severity=1), replay=broken).groups
    assert [(group.rule, [it.added for it in group.lines]) for group in groups] == [("write_extra", ["lock(b=2)"]), ("invalid_write", ["wipe(a=1)"])]
    assert groups[0].words == "an action today's release did not take"
    assert groups[1].lines[0].note == 'wrong: "id" is a required property'


def test_a_tool_that_nobody_offered_is_named_as_that():
    groups = pair_of(flag("invalid_write", ("invalid_call", None, "fly(a=1)")), replay=Side(answer="x", calls=(call("fly"),))).groups
    assert groups[0].lines[0].note == "wrong: no such tool is offered"


def test_a_call_made_fewer_times_is_not_just_left_out():
    ours, theirs = (Side(answer="x", calls=(call("revoke", '{"id": 1}'),) * times) for times in (1, 2))
    missing = flag("write_missing", ("write_missing", "revoke(id=1)", None))
    assert pair_of(missing, production=theirs, replay=ours).groups[0].lines[0].note == "called once, by today's release twice"
    assert pair_of(missing, production=theirs, replay=Side(answer="x")).groups[0].lines[0].note is None


def test_each_finding_says_how_often_beside_today_s_release_run_again():
    bad = (flag("write_extra"),)
    every = [compared(number, lane=lane, flags=bad if number < (3 if lane == "candidate" else 1) else (), severity=3) for number in range(10) for lane in ("candidate", "baseline")]  # fmt: skip
    it = told_of(every)
    assert it.pairs[0].groups[0].often == "in 3 of 10 requests; today's release, run again: in 1 of 10 requests"
    assert it.severe == ("The candidate has something to stop and look at in 10 of 10 requests; today's release, run again, in 10 of 10 requests.",)


def test_a_false_claim_is_marked_in_the_answer_even_where_both_say_it():
    both = Side(answer=f"You did right.\n{CLAIM} Please wait a moment here, somebody comes.")
    pair = pair_of(flag("claim_refuted", ("claim_refuted", None, f"{CLAIM} [revoked sessions: the call for it failed]")), production=both, replay=both)
    assert [(span.text, span.changed) for span in pair.replay.answer if span.claim] == [(CLAIM, False)]
    assert not any(span.claim for span in pair.production.answer)
    assert pair.earlier == ()


def test_a_false_claim_of_an_earlier_turn_is_shown_in_the_answer_of_that_turn():
    claim = flag("claim_refuted", ("claim_refuted", None, f"{CLAIM} [why]"))
    whole, old = (pair_of(claim, replay=Side(answer="You are welcome.", earlier=text), mode="recorded") for text in (f"Sure. {CLAIM} Anything else?", None))
    assert [(span.text, span.claim) for span in whole.earlier] == [("Sure. ", False), (CLAIM, True), (" Anything else?", False)]
    assert [(span.text, span.claim) for span in old.earlier] == [(CLAIM, True)]  # a record of an earlier version


def test_entirely_different_answers_are_said_to_be_and_not_marked():
    pair = pair_of(flag("write_extra"), production=Side(answer="I cannot help with that."), replay=Side(answer="Your laptop was wiped and locked."))
    assert pair.apart
    assert not any(span.changed for span in (*pair.production.answer, *pair.replay.answer))
    assert not pair_of(flag("write_extra"), replay=Side()).apart  # no answer is not another answer


def test_five_pairs_are_open_and_the_print_says_so():
    many = [compared(number, flags=(flag(f"rule{number}"),), severity=3) for number in range(OPEN_PAIRS + 3)]
    page = html_report(told_of(many)).decode()
    inside = page[page.index('<details class="more">') : page.index("</details>")]
    assert (page.count("<article"), inside.count("<article")) == (OPEN_PAIRS + 3, 3)
    assert f"{OPEN_PAIRS} of {OPEN_PAIRS + 3} pairs are printed" in page


# -- long and empty texts ---------------------------------------------------------------------------------------------


def test_a_long_answer_says_what_was_cut():
    assert excerpt("x" * 200_000, characters=2_400, lines=60).cut == "first 2,400 of 200,000 characters"
    many = excerpt("a\n" * 500, characters=2_400, lines=60)
    assert (many.text.count("\n"), many.cut) == (59, "first 60 lines of 1,000 characters")
    assert excerpt("short", characters=2_400, lines=60).cut is None


def test_empty_lines_beyond_two_are_folded():
    assert excerpt("a" + "\n" * 40 + "b", characters=100, lines=60).text == "a\n\n\nb"
    assert excerpt("a\n\n\nb", characters=100, lines=60).text == "a\n\n\nb"


def test_a_written_line_break_is_seen_as_one_and_a_written_backslash_is_not():
    assert pilcrows(r"one\ntwo\r\nthree") == "one¶ two¶ three"
    assert pilcrows(r"C:\\new") == r"C:\\new"
