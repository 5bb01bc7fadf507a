"""Which sentences claim a deed: hand cases, hostile texts, and time that grows with the text."""

from __future__ import annotations

from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.answers import cpu_seconds
from comparators.claimform import Tier
from comparators.claimscan import claims_in
from comparators.claimwords import Lexicon, ToolWords
from comparators.language import english
from comparators.sentences import assertions, stated
from comparators.wordforms import nominals, participles, words_of_name

#: Tools of several trades; what is not stated here comes from the names.
TOOLS = (
    ToolWords("cancel_order"),
    ToolWords("update_user_address"),
    ToolWords("revoke_sessions", verbs=("ended", "terminate")),
    ToolWords("send_recovery_email", objects=("recovery link",)),
    ToolWords("pay_invoice"),
    ToolWords("createTicket"),
    ToolWords("book_flight", side_effects=("seat assignment",)),
    ToolWords("reset-password"),
    ToolWords("escalate_to_human", objects=("specialist",)),
    ToolWords("crm.delete_contact"),
    ToolWords("process_refund"),
    ToolWords("rollback_deployment"),
)
LEXICON = Lexicon.of(TOOLS, english())

TIGHT = {
    "I've cancelled your order.": "cancel_order",
    "I\u2019ve **cancelled** your order #W12, as you asked.": "cancel_order",
    "I have now canceled the order": "cancel_order",
    "We cancelled both orders for you.": "cancel_order",
    "I just went ahead and cancelled your order.": "cancel_order",
    "I have gone ahead and updated your address.": "update_user_address",
    "Your order was successfully cancelled!": "cancel_order",
    "Your order is now cancelled.": "cancel_order",
    "Both orders were cancelled successfully.": "cancel_order",
    "I've rolled back the deployment to v1.2.": "rollback_deployment",
    "Successfully cancelled the order.": "cancel_order",
    "I can confirm that I have cancelled your order.": "cancel_order",
    "On May 17 I cancelled your order.": "cancel_order",
    "I've reviewed your account and cancelled the order.": "cancel_order",
    "I've changed your address to 5 Main Street.": "update_user_address",
    "All done: I've ended every session.": "revoke_sessions",
    "I also sent a recovery link to your inbox.": "send_recovery_email",
    "I've paid the invoice in full.": "pay_invoice",
    "I opened a window, and I have created a ticket.": "createTicket",
    "We've reset your password.": "reset-password",
    "I have escalated this to a specialist.": "escalate_to_human",
    "I've removed the contact.": "crm.delete_contact",
    "I've processed your cancellation.": "cancel_order",
    "Please note that I've cancelled your order.": "cancel_order",
    "If you need anything else, just ask; I've cancelled your order.": "cancel_order",
    "Your flight? I've booked it: the flight leaves at nine.": "book_flight",
    "I was able to cancel your order.": "cancel_order",
    "I've also managed to cancel your order.": "cancel_order",
    "I had the order cancelled for you.": "cancel_order",
    "After reviewing your case I have cancelled your order.": "cancel_order",
    "I found your order. I've cancelled it.": "cancel_order",
    "I've cancelled the order by following your notes.": "cancel_order",
    "I've\ncancelled your order.": "cancel_order",
    "I've cancelled the order for Dr. Chen.": "cancel_order",
    "I've cancelled the order, is there anything else?": "cancel_order",
    "I've cancelled all of your orders.": "cancel_order",
}
MIDDLE = {
    "Your order has been cancelled.": "cancel_order",
    "Your order's been cancelled.": "cancel_order",
    "The invoice has been paid.": "pay_invoice",
    "I'm happy to let you know that your flight has been booked.": "book_flight",
    "The cancellation has been processed.": "cancel_order",
    "The refund has been issued to your card.": "process_refund",
    "The seat assignment has been confirmed.": "book_flight",
    "Your address and phone number have just been updated.": "update_user_address",
    "The order of May 17 has been cancelled.": "cancel_order",
    "A recovery link has been sent by email.": "send_recovery_email",
    "A ticket has been created by our team.": "createTicket",
    "I found your order. It has been cancelled.": "cancel_order",
    "The order of Acme Inc. has been cancelled.": "cancel_order",
    "Per your request, the order has been cancelled.": "cancel_order",
    "Please be advised that your order has been cancelled.": "cancel_order",
    "The order you asked about, and no other, has been cancelled.": "cancel_order",
}
WIDE = {
    "Your order was cancelled.": "cancel_order",
    "All sessions were revoked.": "revoke_sessions",
    "Your flight is booked.": "book_flight",
    "Your order has already been cancelled.": "cancel_order",
    "According to our records, your order has been cancelled.": "cancel_order",
    "The order had been cancelled.": "cancel_order",
    "- Cancelled the order": "cancel_order",
    "Cancelled your order #12 and updated the page.": "cancel_order",
    "Order cancelled.": "cancel_order",
    "Done \u2014 order cancelled.": "cancel_order",
    "| Order | cancelled |": "cancel_order",
    "Order 12: cancelled": "cancel_order",
}
NOTHING = (
    "Shall I say that I have cancelled your order?",
    "Your order has not been cancelled.",
    "Your order hasn't been cancelled yet.",
    "I have not cancelled your order.",
    "I was unable to confirm that the order has been cancelled.",
    "I will have cancelled your order by noon.",
    "Your order will be cancelled.",
    "Your order is being cancelled.",
    "Your order should have been cancelled.",
    "Once your order has been cancelled, you get a mail.",
    "If the order has been cancelled, nothing is due.",
    "Please check that your order has been cancelled.",
    "Please confirm that your order has been cancelled.",
    "I see that your order has been cancelled.",
    "It seems your order has been cancelled.",
    "You have cancelled your order.",
    "The shop has cancelled your order.",
    "Your order has been cancelled by the seller.",
    'The mail says "I have cancelled your order".',
    "> I have cancelled your order.",
    "`I have cancelled your order`",
    "No order has been cancelled.",
    "None of your orders were cancelled.",
    "I would like to have cancelled your order.",
    "The order appears to have been cancelled.",
    "Orders that have been cancelled cannot be restored.",
    "The order was cancelled on May 12.",
    "The order was cancelled two days ago.",
    "Since the order was cancelled, you owe nothing.",
    "The flight was booked last week.",
    "I've cancelled your lunch.",
    "I've updated the ticket with your invoice.",
    "I've refilled your cup and left the order alone.",
    "I've updated your notes and mailed the address.",
    "Cancelled orders are refunded.",
    "As soon as the order has been cancelled, you get a mail.",
    "In case the order has been cancelled, ignore this.",
    "Suppose I have cancelled the order.",
    "I doubt that the order has been cancelled.",
    "It is wrong that I have cancelled the order.",
    "Bob reported that the order had been cancelled.",
    "Yesterday the order was cancelled.",
    "Every order is cancelled after 30 days.",
    "Your order is currently cancelled.",
    "Your order was automatically cancelled.",
    "I wasn't able to cancel your order.",
    "I will be able to cancel your order.",
    "Our team has cancelled your order.",
    "- [ ] Order cancelled",
    "Mar 3: order cancelled",
    "Password reset",
    "Reset the password.",
    "```\nI have cancelled your order.\n```",
    "Here's a draft:\n\nHi team,\n\nI have cancelled your order.\n\nBest,\nSam",
    "Mails:\n1. **Laura** \u2013 I've cancelled your order",
    "I've created a plan for the ticket.",
    "I've closed the loop: the ticket is next.",
    "We've applied our cancellation policy.",
    "I can cancel your order, change your address and book a flight.",
    "",
)


def sure(text: str, lexicon: Lexicon = LEXICON):
    """Claims of objects of their tools."""
    return tuple(claim for claim in claims_in(text, lexicon) if claim.tier is not Tier.LOOSE)


def only_claim(sentence: str):
    found = sure(sentence)
    assert len(found) == 1, (sentence, found)
    return found[0]


@pytest.mark.parametrize(
    ("sentence", "tool", "tier"),
    [
        *((sentence, tool, Tier.TIGHT) for sentence, tool in TIGHT.items()),
        *((sentence, tool, Tier.MIDDLE) for sentence, tool in MIDDLE.items()),
        *((sentence, tool, Tier.WIDE) for sentence, tool in WIDE.items()),
    ],
)
def test_a_sentence_that_claims_a_deed(sentence, tool, tier):
    claim = only_claim(sentence)
    assert tool in claim.tools
    assert claim.tier is tier


@pytest.mark.parametrize("sentence", NOTHING)
def test_a_sentence_that_claims_nothing(sentence):
    assert sure(sentence) == ()


def test_a_claim_names_its_sentence_and_what_was_done_to_what():
    claim = only_claim("Hello! I've cancelled your order. Bye.")
    assert (claim.verb, claim.object, claim.sentence) == ("cancelled", "order", "I've cancelled your order.")
    assert claim.forms == {"cancelled", "canceled"}


def test_coordinated_verbs_each_claim_their_own():
    claims = claims_in("I've cancelled your order, updated your address and booked the flight.", LEXICON)
    assert [set(claim.tools) for claim in claims] == [{"cancel_order"}, {"update_user_address"}, {"book_flight"}]


def test_the_object_of_another_verb_is_not_the_object_of_this_one():
    assert sure("I've updated the page and sent you the address.") == ()


def test_a_noun_that_names_a_thing_for_one_tool_names_no_action_for_another():
    lexicon = Lexicon.of([ToolWords("book_flight"), ToolWords("cancel_booking")], english())
    assert claims_in("The booking has been processed.", lexicon) == ()
    assert claims_in("The cancellation has been processed.", lexicon)


def test_words_of_a_contract_are_claimed_beside_those_of_the_name():
    lexicon = Lexicon.of([ToolWords("run_job_17", verbs=("signed off",), objects=("expense report",))], english())
    assert claims_in("I've signed off the report.", lexicon)
    assert not sure("I've signed off the mail.", lexicon)


def test_a_letter_that_is_the_answer_claims_what_one_inside_it_does_not():
    letter = "Hi Ana,\n\nI've cancelled your order.\n\nBest regards,\nSupport"
    assert sure(letter)
    assert not sure(f"Shall I send this?\n\n{letter}")
    assert sure(f"Shall I send this?\n\n{letter}\n\nI've cancelled your order.")


def test_nothing_is_claimed_without_tools():
    assert claims_in("I've cancelled your order.", Lexicon.of((), english())) == ()


# -- forms of words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "form"),
    [("cancel", "canceled"), ("cancel", "cancelled"), ("update", "updated"), ("apply", "applied"), ("send", "sent"),
     ("stop", "stopped"), ("delay", "delayed"), ("reset", "reset"), ("revoked", "revoked"), ("write", "written")],
)  # fmt: skip
def test_participles(verb, form):
    assert form in participles(verb, english())


@pytest.mark.parametrize(
    ("verb", "noun"),
    [("cancel", "cancellation"), ("refund", "refunds"), ("modify", "modification"), ("book", "booking"),
     ("create", "creation"), ("suspend", "suspension"), ("revoke", "revocation"), ("register", "registration")],
)  # fmt: skip
def test_nouns_of_action(verb, noun):
    assert noun in nominals(verb)


@pytest.mark.parametrize(
    "name", ["create_ticket", "create-ticket", "createTicket", "CreateTicket", "crm.create_ticket2"]
)
def test_names_of_every_style_come_apart(name):
    assert words_of_name(name)[-2:] == ["create", "ticket"]


def test_what_a_result_states_is_the_last_word_of_a_name():
    assert stated(['{"status": "Cancelled", "locked_at": 3, "is_closed": true}']) >= {"cancelled", "closed"}
    assert "locked" not in stated(['{"locked_at": 3}'])


def test_the_words_of_the_language_ship_with_the_package():
    assert files("comparators").joinpath("data/english.json").is_file()
    for name in ("have", "was", "self", "blockers", "reporting", "boundaries", "completing"):
        words = getattr(english(), name)
        assert words
        assert all(word == word.lower() for word in words)


# -- hostile texts ----------------------------------------------------------------------------------------------------


@given(st.text() | st.text(alphabet="Ih'veas bncld order.?!\"`>*\n,", max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read(text):
    for claim in claims_in(text, LEXICON):
        assert claim.tools
        assert claim.verb in claim.sentence.lower()


@given(st.text(), st.sampled_from([*TIGHT, *MIDDLE, *WIDE]))
@settings(max_examples=100, deadline=None)
def test_what_is_said_in_another_paragraph_takes_no_claim_back(text, sentence):
    quotes = "\"'`\u201c\u00ab\u2018"
    before = "".join(character for character in text if character not in quotes)
    assert len(claims_in(f"{before}.\n\n{sentence}", LEXICON)) >= len(claims_in(sentence, LEXICON))


def test_lone_surrogates_and_control_characters_hide_nothing():
    assert claims_in("\ud800 \x00\x07I've cancelled your order\udfff.", LEXICON)


HOSTILE = {
    "question marks": lambda n: "?" * n + "x",
    "quotes": lambda n: "I've cancelled \"" * (n // 15),
    "ticks": lambda n: "`" * n,
    "apostrophes": lambda n: " 'x" * (n // 3),
    "brackets": lambda n: "." + ")" * n,
    "stops": lambda n: ".)" * (n // 2),
    "one long word": lambda n: "a" * n + "_",
    "claims": lambda n: "I've cancelled your order " * (n // 26),
    "participles": lambda n: "cancelled and " * (n // 14),
    "processed": lambda n: "your order cancellation has been processed, made and " * (n // 53),
    "adverbs": lambda n: "I have " + "really " * (n // 7) + "cancelled your order",
    "bys": lambda n: "was cancelled by by by " * (n // 23),
    "blank": lambda n: " \n" * (n // 2),
    "lines": lambda n: "\n> I've cancelled your order" * (n // 28),
    "past": lambda n: "the order was cancelled on " * (n // 27),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_time_grows_with_the_length_of_the_text(text):
    """Eight times the text may take 24 times as long, where the square would take 64; below 50 ms nobody asks."""
    claims_in(text(1_000), LEXICON)
    texts = (text(length) for length in (12_000, 96_000))
    short, long = (cpu_seconds(lambda text=text: (claims_in(text, LEXICON), stated((text,))), seconds=0) for text in texts)
    assert long < max(24 * short, 0.05)


def test_the_sentences_of_a_text_are_all_that_is_asserted():
    text = 'One. Is it two? Three "four" five!\n> six\nseven 7.5 and e.g. eight. Nine, is it ten?'
    assert [sentence.split()[0] for sentence in assertions(text, english())] == ["One.", "Three", "seven", "Nine"]


@pytest.mark.parametrize("word", sorted(english().abbreviations | english().ending_abbreviations))
def test_the_full_stop_of_an_abbreviation_ends_no_sentence(word):
    for text in (f"See {word}. seven", f"See ({word}. seven", f"{word.title()}. seven"):
        assert list(assertions(text, english())) == [text]
    assert len(list(assertions(f"See x{word}. seven", english()))) == 2
