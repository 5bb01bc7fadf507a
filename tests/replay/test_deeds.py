"""What had happened before an answer: which calls are deeds, and what is kept of them."""

from __future__ import annotations

import pytest

from comparators.calls import Outcome
from replay.contract import ToolContract, Tooling
from replay.deeds import recorded_claims
from replay.recorded import recorded_steps
from replay.testing import a_trace, calls, says

CONTRACTS = {name: ToolContract(name=name, effect=effect) for name, effect in (("look", "read"), ("act", "write"))}
TOOLING = Tooling(CONTRACTS, CONTRACTS)


def deeds_of(*made):
    trace = a_trace("do it", [calls(*made), says("Done.")])
    return recorded_claims(trace, recorded_steps(trace), "Done.", TOOLING).deeds


def test_a_write_keeps_the_values_of_its_arguments_and_its_result():
    (deed,) = deeds_of(("act", {"action": "close", "on": [{"id": "T-1"}, 7]}, '{"state": "closed"}'))
    assert (deed.tool, deed.outcome) == ("act", Outcome.SUCCEEDED)
    assert set(deed.orders) == {"close", "T-1"}
    assert deed.result == '{"state": "closed"}'


def test_a_read_is_no_deed():
    assert deeds_of(("look", {"action": "close"}, "closed")) == ()


@pytest.mark.parametrize("size", [3_000, 300_000])
def test_what_is_kept_of_a_call_is_bounded(size):
    (deed,) = deeds_of(("act", {"text": "x" * size}, "y" * size))
    assert deed.orders == ()
    assert len(deed.result) == 2_000
