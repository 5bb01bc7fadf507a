"""What a request costs the people behind the assistant: minutes of staff, by prices that the operator sets.

    minutes: {escalation: 12, approval_request: 4, refusal: 6, clarification: 2, hedge: 1}

An event is counted once a turn. A price is what it takes on average until somebody has dealt with it: a refusal comes
back as a ticket, a question as another turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from replay.comparison import Side

#: The signal, and the events that may have a price.
STAFF_MINUTES = "staff_minutes"

_Event: TypeAlias = Callable[[Side], bool]


def hands_over(side: Side) -> bool:
    """By a tool of its own, or because a guardrail says so."""
    return any(call.effect == "handoff" for call in side.calls) or side.decisions.get("escalate", 0) > 0


def asks_for_approval(side: Side) -> bool:
    return side.decisions.get("needs_approval", 0) > 0


def _takes(stance: str) -> _Event:
    return lambda side: stance in side.stance


EVENTS: Mapping[str, tuple[str, _Event]] = {
    "escalation": ("hands the request over to a person or another team", hands_over),
    "approval_request": ("asks a person to approve an action", asks_for_approval),
    "refusal": ("says that it will not or cannot help", _takes("refuses")),
    "clarification": ("asks the user a question back", _takes("asks")),
    "hedge": ("does not stand by what it says", _takes("hedges")),
}


def staff_minutes(side: Side, prices: Mapping[str, float]) -> float:
    """Minutes of staff that a turn costs."""
    return sum(price for name, price in prices.items() if EVENTS[name][1](side))
