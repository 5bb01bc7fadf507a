"""What names of tools say, as catalogues of every style give them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparators.language import english
from comparators.toolnames import Verb, names_an_act, read_name


@pytest.mark.parametrize(
    ("name", "verbs", "noun"),
    [
        ("cancel_order", ["cancel"], "order"),
        ("mcp__github__create_pull_request_review", ["create"], "review"),
        ("github_issue_write", ["write"], "issue"),
        ("github.request_review", ["request"], "review"),
        ("stripe.refunds.create", ["create"], "refunds"),
        ("record_vaccination", ["record"], "vaccination"),
        ("expense_report_approve", ["approve"], "report"),
        ("patient_check_in", ["check in"], "patient"),
        ("TurnOffLights", ["turn off"], "lights"),
        ("rollback_deployment", ["roll back"], "deployment"),
        ("create_backup", ["create"], "backup"),
        ("checkout", ["check out"], ""),
        ("escalate", ["escalate"], ""),
        ("create_or_update_file", ["create", "update"], "file"),
        ("enable2FA", ["enable"], "2fa"),
        ("create_ticket_v2", ["create"], "v"),
        ("get_order", [], "order"),
        ("find_user_by_email", [], "email"),
        ("mark_as_read", ["mark"], "read"),
    ],
)
def test_a_name_says_what_is_done_to_what(name, verbs, noun):
    found = read_name(name, english())
    assert [" ".join(verb).strip() for verb in found.verbs] == verbs
    assert found.head == noun


def test_a_thing_has_other_names():
    assert {"info", "information"} <= read_name("update_insurance_info", english()).things
    assert "information" not in read_name("update_insurance_info", english()).nouns


def test_prepositions_of_a_name_are_known():
    assert read_name("add_to_cart", english()).prepositions == {"to"}


def test_a_value_may_name_an_act():
    assert names_an_act("disable_account", english())
    assert not any(names_an_act(text, english()) for text in ("8812", "Main Street", "account", "disable " * 40, ""))


@given(st.text())
def test_any_name_is_read(name):
    assert all(isinstance(verb, Verb) for verb in read_name(name, english()).verbs)
