"""Tool calls as comparators see them: already canonical, with the risk and the outcome each one carries.

A canonical call is a tool name and its arguments flattened to leaves (path, kind, token). What makes two calls
the same was decided by the tool's contract when the leaves were made; here equal digests are equal calls.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Effect(IntEnum):
    """What a tool can do to the world, in rising order of danger."""

    READ = 0
    HANDOFF = 1
    WRITE = 2


class Outcome(IntEnum):
    """How an attempted call ended."""

    SUCCEEDED = 0
    FAILED = 1  # as recorded
    ASSUMED = 2  # a stub's template said so: supports no claim
    REFUSED = 3  # a policy, an approval or a contract stopped it


class LeafKind(IntEnum):
    INTEGER = 0  # token: decimal digits, compared exactly at any length
    DECIMAL = 1  # token: repr of the float; compared within the relative `Leaf.tolerance`, 0 stands for 1e-9
    BOOLEAN = 2
    STRING = 3  # NFC, outer whitespace stripped, case kept
    EMPTY = 4  # an empty object or list
    TEXT = 5  # free text: equal when trigram distance <= `Leaf.tolerance`
    UNPARSED = 6  # the raw argument text of a call that is not a JSON object

    # Leaves are kept in sets; Enum would hash the name of the member, in Python.
    __hash__ = int.__hash__


class Leaf(NamedTuple):
    """One argument value. `path` is dotted with list indexes ("items.0.id"); a key with a dot, or of digits, is quoted.

    Scalars of an unordered list share a path ("tags.[]"), its objects are called by what they hold ("lines.[3f2a].n").
    """

    path: str
    kind: LeafKind
    token: str
    tolerance: float = 0.0


class CanonicalCall(NamedTuple):
    """A call in normal form. `digest` (16 bytes) covers tool and leaves: equal digests are equal calls."""

    tool: str
    digest: bytes
    leaves: tuple[Leaf, ...]


class CallEvent(NamedTuple):
    """One attempted call of one side of a pair, in the order it was attempted.

    `step` numbers the model call that asked for it: calls of one step are a set. `group` bounds matching:
    forced replays match within a step (group = step), free ones within the trace (group = 0).
    `resource` names what a write acts on ("" = unknown = everything); `weight` 0 leaves the call out of distances
    but not out of counts.
    `valid` is false when the call broke its contract or named a tool nobody offered.
    """

    call: CanonicalCall
    effect: Effect
    outcome: Outcome = Outcome.SUCCEEDED
    step: int = 0
    group: int = 0
    weight: float = 1.0
    valid: bool = True
    resource: str = ""


class CallPair(NamedTuple):
    """The calls of production and of the replay for one trace."""

    production: tuple[CallEvent, ...]
    replay: tuple[CallEvent, ...]
