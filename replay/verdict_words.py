"""The words of a verdict that terminal, page and comment have in common."""

from __future__ import annotations

from collections.abc import Mapping

from replay.verdict import Decision

#: The decision, and the sign that tells it from the others without colour.
SIGNS: Mapping[Decision | None, str] = {"promote": "✓", "hold": "‖", "roll_back": "✗", None: "?"}
NAMES: Mapping[Decision | None, str] = {
    "promote": "PROMOTE",
    "hold": "HOLD",
    "roll_back": "ROLL BACK",
    None: "NO VERDICT",
}
TO_DO: Mapping[Decision, str] = {
    "promote": "Ship the candidate: everything that the gate asks for is proved.",
    "hold": "Do not ship the candidate yet: it is neither proved safe nor proved worse.",
    "roll_back": "Do not ship the candidate, and take it back where it runs: it is worse than today's release.",
}

_MINUTE = 60.0
_UNITS = ((7 * 24 * 60 * _MINUTE, "weeks"), (24 * 60 * _MINUTE, "days"), (60 * _MINUTE, "hours"), (_MINUTE, "minutes"))


def duration(seconds: float) -> str:
    """A time that was estimated, in the largest unit of which it has two or more."""
    for size, name in _UNITS:
        if seconds >= 2 * size:
            return f"about {seconds / size:,.0f} {name}"
    return "less than two minutes"
