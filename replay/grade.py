"""How true a stub's answer is. The grade is on every call of every comparison."""

from __future__ import annotations

from collections.abc import Mapping
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

#: Each grade for a reader who has not seen the code.
GRADE_WORDS: Mapping[Grade, str] = {
    Grade.EXACT: "the recorded answer to the same call",
    Grade.CONSTANT: "the recorded answer of a tool that never changes",
    Grade.WRITE_RECORDED: "the recorded answer to the same action; nothing was done",
    Grade.WRITE_STUBBED: "an action that was not recorded, assumed to succeed; nothing was done",
    Grade.PENDING: "an action that waits for approval",
    Grade.BLOCKED: "an action that the policy stops",
    Grade.ESCALATED: "an action that the policy hands to a person",
    Grade.UNKNOWN_TOOL: "a tool that is not there",
    Grade.CONTRACT_VIOLATION: "a call that breaks the tool's contract",
    Grade.ENTITY: "a guess: what was recorded about the same thing",
    Grade.OVERLAY: "a guess: the recorded state with this replay's own actions applied",
    Grade.EXAMPLE: "a guess: an example of the contract",
    Grade.HALT: "no answer: the replay ends there",
}
