"""When conversations were served, as far as the plan's time is measured by it. Some clocks are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

_SECOND_NS = 1_000_000_000
#: Times that are kept at either end.
_KEPT = 10
#: One clock in so many may be wrong.
_ONE_IN = 50


@dataclass(slots=True)
class Times:
    """The first and the last few times in order, ns since the epoch, and how many were told in all. They add up."""

    told: int = 0
    earliest: list[int] = field(default_factory=list)
    latest: list[int] = field(default_factory=list)

    def see(self, at: int) -> None:
        self._add(1, (at,), (at,))

    def merge(self, other: Times) -> None:
        self._add(other.told, other.earliest, other.latest)

    @property
    def first(self) -> int | None:
        return self.earliest[0] if self.earliest else None

    @property
    def last(self) -> int | None:
        return self.latest[-1] if self.latest else None

    @property
    def seconds(self) -> float:
        """How long it has been going on.

        Assumed is that at either end no more clocks are wrong than one, and another one of every 50, nine at most:
        so many of the earliest times and of the latest are left out. Of few times too little is left, and then the
        plan lasts longer than it should; a wrong clock never ends it.
        """
        out = min(1 + self.told // _ONE_IN, _KEPT - 1)
        if self.told <= 2 * out:
            return 0.0
        return (self.latest[-1 - out] - self.earliest[out]) / _SECOND_NS

    def _add(self, told: int, earliest: Sequence[int], latest: Sequence[int]) -> None:
        self.told += told
        self.earliest = sorted((*self.earliest, *earliest))[:_KEPT]
        self.latest = sorted((*self.latest, *latest))[-_KEPT:]
