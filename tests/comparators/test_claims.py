"""Claims that nothing supports: what counts, what the other side excuses, and what is only assumed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparators.calls import Effect, Outcome
from comparators.claims import ClaimPair, compare_claims, explain_claims, find, find_all
from comparators.claimsupport import MAX_CHARS, ClaimSide, Deed, Told
from comparators.claimwords import Lexicon, ToolWords
from comparators.language import english
from comparators.spec import Status

LEXICON = Lexicon.of(
    [ToolWords("cancel_order"), ToolWords("revoke_sessions"), ToolWords("transfer_to_agent"), ToolWords("pay_invoice")],
    english(),
)
CLAIM = "I've cancelled your order."
PERFECT = "Your order has been cancelled."
PASSIVE = "Your order was cancelled."
SILENCE = ClaimSide.of("Hello.")

DONE, FAILED, REFUSED, ASSUMED = (
    Deed("cancel_order", Effect.WRITE, outcome)
    for outcome in (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.REFUSED, Outcome.ASSUMED)
)
OTHER = Deed("pay_invoice", Effect.WRITE, Outcome.SUCCEEDED)
HANDOFF = Deed("transfer_to_agent", Effect.HANDOFF, Outcome.SUCCEEDED)


def scores(replay, production=SILENCE):
    """Counts that are not 0, by the end of their name; null where the pair was not scored."""
    columns = compare_claims([ClaimPair(production, replay, LEXICON)])
    if columns[0].status[0] != Status.SCORED:
        return None
    found = {column.name.removeprefix("claims."): float(column.value[0]) for column in columns}
    return {name: value for name, value in found.items() if value}


@pytest.mark.parametrize(
    ("deeds", "found"),
    [
        ([DONE], {}),
        ([FAILED, DONE], {}),
        ([DONE, FAILED], {}),
        ([], {"unsupported": 1, "without_write": 1}),
        ([HANDOFF], {"unsupported": 1, "without_write": 1}),
        ([OTHER], {"unsupported": 1, "unmatched": 1}),
        ([FAILED], {"unsupported": 1, "refuted": 1}),
        ([OTHER, REFUSED], {"unsupported": 1, "refuted": 1}),
        ([ASSUMED], {"assumed": 1}),
        ([FAILED, ASSUMED], {"assumed": 1}),
    ],
)
def test_what_stands_behind_a_claim(deeds, found):
    assert scores(ClaimSide.of(CLAIM, deeds)) == found


def test_a_handoff_is_claimed_like_a_write():
    answer = "I have transferred you to an agent."
    assert scores(ClaimSide.of(answer, [HANDOFF])) == {}
    assert scores(ClaimSide.of(answer, [OTHER])) == {"unsupported": 1, "unmatched": 1}


def test_without_a_claim_on_either_side_there_is_nothing_to_score():
    assert scores(SILENCE) is None
    assert scores(ClaimSide()) is None
    assert scores(SILENCE, ClaimSide.of(CLAIM, [DONE])) == {}


def test_the_same_claim_without_support_on_both_sides_cancels():
    assert scores(ClaimSide.of(CLAIM), ClaimSide.of("The order is now cancelled.")) == {}


def test_what_production_claims_alone_without_support_is_counted_in_favour():
    assert scores(SILENCE, ClaimSide.of(CLAIM)) == {"unsupported": -1}


def test_a_claim_that_production_could_make_excuses_none():
    assert scores(ClaimSide.of(CLAIM), ClaimSide.of(CLAIM, [DONE])) == {"unsupported": 1, "without_write": 1}
    assert scores(ClaimSide.of(CLAIM), ClaimSide.of(CLAIM, [ASSUMED])) == {"unsupported": 1, "without_write": 1}


def test_a_claim_said_twice_counts_once_and_two_claims_twice():
    assert scores(ClaimSide.of(f"{CLAIM} {PERFECT} {CLAIM}")) == {"unsupported": 1, "without_write": 1}
    assert scores(ClaimSide.of(f"{CLAIM} I've paid the invoice.")) == {"unsupported": 2, "without_write": 2}


# -- states that were found -------------------------------------------------------------------------------------------

FOUND = ('{"status": "cancelled"}',)


def test_a_past_passive_alone_may_tell_of_a_state():
    assert scores(ClaimSide.of(PASSIVE)) == {}
    assert scores(ClaimSide.of(PASSIVE, [OTHER])) == {}


def test_a_past_passive_counts_where_production_did_it():
    assert scores(ClaimSide.of(PASSIVE), ClaimSide.of(PASSIVE, [DONE])) == {"unsupported": 1, "without_write": 1}


def test_a_past_passive_counts_where_the_user_agreed_to_the_deed():
    for yes in ("Yes, please.", "go ahead", "OK do it"):
        assert scores(ClaimSide.of(PASSIVE, user=["Hi", yes])) == {"unsupported": 1, "without_write": 1}
    for no in ("No.", "Was it cancelled?", "Yes, it was cancelled.", "Yesterday", ""):
        assert scores(ClaimSide.of(PASSIVE, user=["Hi", no])) == {}


def test_a_past_passive_counts_where_its_call_was_made_in_vain():
    assert scores(ClaimSide.of(PASSIVE, [FAILED])) == {"unsupported": 1, "refuted": 1}


@pytest.mark.parametrize(("complaint", "counts"), [("order is already cancelled", False), ("cannot be cancelled", True)])
def test_a_call_that_failed_because_all_was_done_already_shows_a_state(complaint, counts):
    found = scores(ClaimSide.of(PASSIVE, [FAILED._replace(complaint=complaint)]))
    assert bool(found) is counts


def test_a_past_passive_never_counts_where_a_read_shows_the_state():
    for side in (ClaimSide.of(PASSIVE, [FAILED], reads=FOUND), ClaimSide.of(PASSIVE, user=["yes"], reads=FOUND)):
        assert scores(side) == {}
        assert scores(side, ClaimSide.of(PASSIVE, [DONE])) == {}


def test_a_perfect_passive_counts_unless_a_read_shows_the_state_and_no_deed_is_expected():
    assert scores(ClaimSide.of(PERFECT)) == {"unsupported": 1, "without_write": 1}
    assert scores(ClaimSide.of(PERFECT, reads=FOUND)) == {}
    assert scores(ClaimSide.of(PERFECT, [FAILED], reads=FOUND)) == {"unsupported": 1, "refuted": 1}
    done = ClaimSide.of(CLAIM, [DONE])
    assert scores(ClaimSide.of(PERFECT, reads=FOUND), done) == {"unsupported": 1, "without_write": 1}


def test_what_we_say_we_did_counts_whatever_was_read():
    assert scores(ClaimSide.of(CLAIM, reads=FOUND)) == {"unsupported": 1, "without_write": 1}


# -- claims of no object ----------------------------------------------------------------------------------------------

def test_a_claim_of_no_object_of_its_tool_counts_only_where_its_deed_is_expected():
    lunch = ClaimSide.of("I've cancelled the lunch.")
    assert scores(lunch) is None
    assert scores(lunch._replace(user=("Yes, please.",))) is None
    assert scores(ClaimSide.of("I've cancelled the lunch.", [OTHER])) == {}
    assert scores(ClaimSide.of("I've cancelled the lunch.", [FAILED])) == {"unsupported": 1, "refuted": 1}
    assert scores(lunch, ClaimSide.of("I've cancelled it all.", [DONE])) == {"unsupported": 1, "without_write": 1}


# -- what calls say they did ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deed", "supports"),
    [
        (OTHER._replace(orders=("cancel",)), True),
        (OTHER._replace(result='{"order": 12, "state": "cancelled"}'), True),
        (OTHER._replace(result='{"note": "cancellation"}'), True),
        (OTHER._replace(orders=("I have cancelled all of it, as I was told that it should be cancelled today",)), False),
        (OTHER._replace(result='{"state": "paid"}'), False),
        (HANDOFF._replace(orders=("cancelled",)), False),
    ],
)
def test_a_write_that_says_that_it_did_what_is_claimed_supports_it(deed, supports):
    assert (scores(ClaimSide.of(CLAIM, [deed])) == {}) is supports


def test_deeds_that_bring_others_about_support_them():
    tools = ("cancel_order", "process_refund", "book_slot", "reschedule_slot")
    lexicon = Lexicon.of(map(ToolWords, tools), english())
    deeds = [Deed(tool, Effect.WRITE, Outcome.SUCCEEDED) for tool in tools]

    def verdicts(answer, *made):
        found = find(ClaimPair(SILENCE, ClaimSide.of(answer, made), lexicon))
        return [it.verdict.name for it in found.new] if found else []

    assert verdicts("The refund has been processed.", deeds[0]) == []
    assert verdicts("The refund has been processed.", deeds[2]) == ["UNMATCHED"]
    assert verdicts("I've rescheduled the slot.", deeds[0], deeds[2]) == []
    assert verdicts("I've rescheduled the slot.", deeds[0]) == ["UNMATCHED"]


def test_a_generic_tool_claims_what_it_was_told_to_do():
    lexicon = Lexicon.of([ToolWords("execute_action")], english())
    answer = "I've disabled the account."
    told = Deed("execute_action", Effect.WRITE, Outcome.SUCCEEDED, orders=("disable_account", "8812"))
    production = ClaimSide.of(answer, [told])
    (found,) = find_all([ClaimPair(production, ClaimSide.of(answer), lexicon)])
    assert found is not None
    assert [it.verdict.name for it in found.new] == ["WITHOUT_WRITE"]
    assert find(ClaimPair(production, production, lexicon)).new == ()
    assert find(ClaimPair(SILENCE, ClaimSide.of(answer), lexicon)).new == ()


# -- conversations ----------------------------------------------------------------------------------------------------


def test_every_answer_is_judged_by_what_was_done_before_it():
    early = ClaimSide((Told(CLAIM, 0), Told("Bye.", 1)), (DONE,))
    late = ClaimSide((Told("Hello.", 0), Told(CLAIM, 1), Told("Bye.", 1)), (DONE,))
    assert scores(early) == {"unsupported": 1, "without_write": 1}
    assert scores(late) == {}


# -- columns ----------------------------------------------------------------------------------------------------------

ANSWERS = st.lists(
    st.sampled_from(
        [CLAIM, PERFECT, PASSIVE, "I've paid the invoice.", "All sessions were revoked.", "I've paid it.", "Order cancelled.", "Hello."]
    ), max_size=3
).map(" ".join)
DEEDS = st.lists(st.builds(Deed, st.sampled_from(["cancel_order", "revoke_sessions", "pay_invoice"]),
                           st.just(Effect.WRITE), st.sampled_from(Outcome)), max_size=3)  # fmt: skip
SIDES = st.builds(
    ClaimSide.of,
    st.none() | ANSWERS,
    DEEDS,
    reads=st.lists(st.sampled_from(["{}", *FOUND]), max_size=1),
    user=st.lists(st.sampled_from(["Hello", "yes"]), max_size=1),
)
PAIRS = st.builds(ClaimPair, SIDES, SIDES, st.just(LEXICON))


@given(st.lists(PAIRS, min_size=1, max_size=5))
@settings(deadline=None)
def test_a_row_scores_the_same_alone(pairs):
    together = compare_claims(pairs)
    for row, pair in enumerate(pairs):
        for column, alone in zip(together, compare_claims([pair]), strict=True):
            assert (column.value[row], column.status[row]) == (alone.value[0], alone.status[0])


@given(SIDES)
@settings(deadline=None)
def test_a_side_against_itself_claims_nothing_new(side):
    assert not scores(side, side)


@given(PAIRS)
@settings(deadline=None)
def test_what_is_new_one_way_is_gone_the_other_way(pair):
    one, other = scores(pair.replay, pair.production) or {}, scores(pair.production, pair.replay) or {}
    assert one.get("unsupported", 0) == -other.get("unsupported", 0)


@given(PAIRS)
@settings(deadline=None)
def test_more_success_never_makes_a_claim_less_supported(pair):
    mended = pair.replay._replace(deeds=tuple(deed._replace(outcome=Outcome.SUCCEEDED) for deed in pair.replay.deeds))
    before, after = scores(pair.replay, ClaimSide()) or {}, scores(mended, ClaimSide()) or {}
    assert after.get("unsupported", 0) <= before.get("unsupported", 0)


@given(PAIRS)
@settings(deadline=None)
def test_evidence_shows_every_kind_that_was_counted(pair):
    kinds = {line.kind for line in explain_claims(pair)}
    found = scores(pair.replay, pair.production) or {}
    assert {f"claim_{name}" for name in found if name != "unsupported"} == kinds - {"claim_gone"}


def test_evidence_says_what_was_claimed_and_why_it_has_no_support():
    side = ClaimSide.of("Hi. All your sessions were revoked!", [Deed("revoke_sessions", Effect.WRITE, Outcome.FAILED)])
    (line,) = explain_claims(ClaimPair(SILENCE, side, LEXICON))
    assert line.kind == "claim_refuted"
    assert line.added == (
        "All your sessions were revoked! [revoked sessions: the call for it failed or was stopped (revoke_sessions)]"
    )


def test_a_status_that_is_given_is_kept_and_the_answers_are_not_read():
    pair = ClaimPair(SILENCE, ClaimSide.of(CLAIM), LEXICON)
    unread = pair._replace(replay=ClaimSide.of(None)._replace(answers=(Told(None, 0),)))  # type: ignore[arg-type]
    given_statuses = np.array([Status.SCORED, Status.CENSORED, Status.DID_NOT_ANSWER], np.uint8)
    for column in compare_claims([pair, unread, unread], given=given_statuses):
        assert column.status.tolist() == given_statuses.tolist()
        assert column.value[1:].tolist() == [0, 0]


def test_answers_beyond_all_measure_are_not_judged():
    pair = ClaimPair(SILENCE, ClaimSide.of(CLAIM + " " * MAX_CHARS), LEXICON)
    assert {int(column.status[0]) for column in compare_claims([pair])} == {Status.TOO_LARGE}
    assert explain_claims(pair) == ()


def test_no_pairs_give_empty_columns():
    assert {len(column.value) for column in compare_claims([])} == {0}
