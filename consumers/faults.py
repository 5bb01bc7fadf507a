"""Faults a recorded model can be told to have, so that a service can be tried against a provider's bad days.

    429:0.05:retry_after=1    one request in twenty is refused, with that Retry-After
    429:first=2               the first two attempts at every step are refused
    500:0.01                  any status from 400 to 599
    cut:0.01                  half of the answer, then the connection closes
    slow:0.02:seconds=5       the answer stands still for that long in its middle
    silence:0.001             no answer at all, until the client gives up

Items are joined by commas. At most one fault befalls a request. The draw depends on the seed, the unit of work
and the attempt alone, so a run meets the same faults in whatever order its requests arrive.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Literal, TypeAlias

from replay.errors import UsageError
from replay.exact_json import dumps

Kind: TypeAlias = Literal["status", "cut", "slow", "silence"]

#: Kind to the parameters an item may give, with their defaults. A null default means: not sent unless given.
_PARAMETERS: Mapping[Kind, Mapping[str, float | None]] = MappingProxyType(
    {
        "status": {"retry_after": None},
        "cut": {},
        "slow": {"seconds": 5.0},
        "silence": {"seconds": 3600.0},
    }
)

_STATUSES = range(400, 600)

#: Units whose last attempt failed are remembered, to number the next one; beyond this many the oldest is forgotten.
MAX_FAILING_UNITS = 100_000


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    kind: Kind
    status: int = 200
    seconds: float = 0.0
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class FaultRule:
    """When a fault happens: on the `first` attempts at a unit, and on a share of all the others."""

    fault: Fault
    probability: float = 0.0
    first: int = 0


@dataclass(frozen=True, slots=True)
class FaultPlan:
    rules: tuple[FaultRule, ...] = ()
    seed: int = 0

    def draw(self, unit: tuple[str, ...], attempt: int) -> Fault | None:
        """Decide which fault befalls this attempt (from 0) at a unit of work, if any."""
        for rule in self.rules:
            if attempt < rule.first:
                return rule.fault
        point = self._point(unit, attempt)
        for rule in self.rules:
            if point < rule.probability:
                return rule.fault
            point -= rule.probability
        return None

    def _point(self, unit: tuple[str, ...], attempt: int) -> float:
        drawn = sha256(dumps([self.seed, *unit, attempt])).digest()
        return int.from_bytes(drawn[:8]) / 2**64


NO_FAULTS = FaultPlan()


class FaultInjector:
    """Numbers the attempts at each unit: an attempt counts from the last one that was answered whole."""

    def __init__(self, plan: FaultPlan) -> None:
        self._plan = plan
        self._failed: OrderedDict[tuple[str, ...], int] = OrderedDict()

    def next(self, unit: tuple[str, ...]) -> Fault | None:
        if not self._plan.rules:
            return None
        attempt = self._failed.pop(unit, 0)
        fault = self._plan.draw(unit, attempt)
        if fault is not None and fault.kind != "slow":
            self._failed[unit] = attempt + 1
            if len(self._failed) > MAX_FAILING_UNITS:
                self._failed.popitem(last=False)
        return fault


def parse_faults(text: str, seed: int = 0) -> FaultPlan:
    """Parse a list such as `429:0.05:retry_after=1,cut:0.01`. Raises `UsageError` saying what is wrong where."""
    rules = tuple(_rule(item.strip()) for item in text.split(",") if item.strip())
    total = sum(rule.probability for rule in rules)
    if total > 1:
        raise UsageError(f"--faults {text!r}: the shares add up to {total:g}; at most 1 is possible")
    return FaultPlan(rules, seed)


def _rule(item: str) -> FaultRule:
    name, *rest = item.split(":")
    kind, status = _kind(item, name)
    numbers = dict(_number(item, part) for part in rest)
    probability, first = numbers.pop("probability", 0.0), numbers.pop("first", 0.0)
    unknown = sorted(set(numbers) - set(_PARAMETERS[kind]))
    if unknown:
        known = ", ".join(("first", *_PARAMETERS[kind]))
        raise UsageError(f"--faults {item!r}: {name} has no {unknown[0]!r}; it has {known}")
    if probability > 1 or not first.is_integer() or not (probability or first):
        raise UsageError(f"--faults {item!r}: expected a share from 0 to 1, or first=N, such as {name}:0.05")
    found = {**_PARAMETERS[kind], **numbers}
    fault = Fault(name, kind, status, found.get("seconds") or 0.0, found.get("retry_after"))
    return FaultRule(fault, probability, int(first))


def _kind(item: str, name: str) -> tuple[Kind, int]:
    for kind in ("cut", "slow", "silence"):
        if name == kind:
            return kind, 200
    if name.isascii() and name.isdigit() and int(name[:4]) in _STATUSES:
        return "status", int(name)
    expected = "a status from 400 to 599, cut, slow or silence"
    raise UsageError(f"--faults {item!r}: {name!r} is no fault; expected {expected}")


def _number(item: str, part: str) -> tuple[str, float]:
    name, equals, value = part.partition("=")
    if not equals:
        name, value = "probability", part
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise UsageError(f"--faults {item!r}: {value!r} is no number of 0 or more")
    return name, number
