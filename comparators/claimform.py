"""How a participle says that something is done: how sure that is, and on which side the thing stands."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Tier(IntEnum):
    """How sure it is that a deed is claimed, and not another, or a state that was found."""

    LOOSE = 0  # as sure as one of the last two, of what is no object of the tool
    WIDE = 1  # "was cancelled", "is cancelled", "Cancelled the order", "Order cancelled"
    MIDDLE = 2  # "has been cancelled"
    TIGHT = 3  # "I cancelled", "successfully cancelled", "is now cancelled"


class Voice(IntEnum):
    """On which side of the verb the thing stands that it was done to."""

    ACTIVE = 0
    PASSIVE = 1
    EITHER = 2


class Form(NamedTuple):
    """How a participle says that something is done."""

    tier: Tier
    voice: Voice
