"""How true a stub's answer is. The grade is on every call of every comparison."""

from __future__ import annotations

from enum import StrEnum


class Grade(StrEnum):
    EXACT = "exact"
    CONSTANT = "constant"
    WRITE_RECORDED = "write_recorded"
    WRITE_STUBBED = "write_stubbed"
    PENDING = "pending_approval"
    BLOCKED = "blocked"
    ESCALATED = "escalated"
    UNKNOWN_TOOL = "unknown_tool"
    CONTRACT_VIOLATION = "contract_violation"
    ENTITY = "entity"
    OVERLAY = "overlay"
    EXAMPLE = "example"
    HALT = "halt"


#: As good as the real answer: what a gate may use. Refusals are decided here, not guessed.
FAITHFUL = frozenset(
    {
        Grade.EXACT,
        Grade.CONSTANT,
        Grade.WRITE_RECORDED,
        Grade.WRITE_STUBBED,
        Grade.PENDING,
        Grade.BLOCKED,
        Grade.ESCALATED,
        Grade.UNKNOWN_TOOL,
        Grade.CONTRACT_VIOLATION,
    }
)
#: From such an answer on, a free replay is no evidence about production.
CENSORING = frozenset({Grade.EXAMPLE, Grade.HALT})
