"""What an earlier run says of noise: the candidate of then beside the lane, and the same pairs the other way round.

With the lanes exchanged for half of the pairs nobody is better: both were as good as each other on average. So the
mean of the two counts is how a candidate differs that is exactly as good as the baseline, for relative margins, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from replay.comparison import Comparison, Lane, replace
from replay.gate.ballot import ballot_of
from replay.gate.config import Gate
from replay.gate.docket import Docket
from replay.gate.evidence import Evidence
from replay.gate.signals import SIGNALS, Signal, signal_of

_OTHER: Mapping[Lane, Lane] = {"candidate": "baseline", "baseline": "candidate"}
#: The share of the replays that an amount is called usual by.
_USUAL = 0.99


class Earlier(NamedTuple):
    """`there`: the run as it was. Of its conversations that have both lanes, and in which nothing was guessed, `known`
    has what they came to, and `back` the same with the lanes exchanged.

    `usual`: by signal, the amount that 99 % of all replays stay below. `usd_per_pair`: null when any price is unknown.
    """

    there: Evidence
    known: Evidence
    back: Evidence
    usual: Mapping[str, float]
    usd_per_pair: float | None

    @property
    def guessed(self) -> float:
        """The share of the conversations in which a stub had to guess."""
        return self.there.guessed / max(self.there.conversations, 1)


def earlier(gate: Gate, comparisons: Callable[[], Iterable[Comparison]]) -> Earlier:
    """Judge an earlier run by this gate. The comparisons are read twice, and never held."""
    there, lanes, guessed = Docket(gate), dict[str, set[Lane]](), set[str]()
    measured = {name: list[float]() for name in gate.signals if _is_amount(name)}
    prices = list[float | None]()
    for comparison in comparisons():
        there.enter(comparison)
        if there.counts(comparison):
            lanes.setdefault(_key(comparison), set()).add(comparison.lane)
            guessed.update({_key(comparison)} if ballot_of(comparison, ()).guessed else ())
            prices.append(SIGNALS["cost_usd"].of_replay(comparison))
            _measure(measured, comparison, gate)
    there.finish()
    paired = {key for key, found in lanes.items() if len(found) == len(_OTHER)} - guessed
    evidence = there.evidence()
    return Earlier(
        evidence,
        *_either_way(gate, comparisons(), paired),
        {name: float(np.quantile(values, _USUAL)) for name, values in measured.items() if values},
        _per_pair(prices, evidence.laned),
    )


def _either_way(gate: Gate, comparisons: Iterable[Comparison], paired: set[str]) -> tuple[Evidence, Evidence]:
    known, back = Docket(gate), Docket(gate)
    for comparison in comparisons:
        if _key(comparison) in paired:
            known.enter(comparison)
            back.enter(replace(comparison, lane=_OTHER[comparison.lane]))
    for docket in (known, back):
        docket.finish()
    return known.evidence(), back.evidence()


def _measure(measured: Mapping[str, list[float]], comparison: Comparison, gate: Gate) -> None:
    for name, values in measured.items():
        value = _signal(name, gate.minutes).of_replay(comparison)
        if value is not None:
            values.append(value)


def _per_pair(prices: list[float | None], pairs: int) -> float | None:
    known = [price for price in prices if price is not None]
    return sum(known) / pairs if pairs and len(known) == len(prices) else None


def _key(comparison: Comparison) -> str:
    """The unit that votes."""
    return comparison.trace_id if comparison.conversation_id is None else comparison.conversation_id


def _is_amount(name: str) -> bool:
    return _signal(name, {}).nature == "quantity"


def _signal(name: str, minutes: Mapping[str, float]) -> Signal:
    found = signal_of(name, minutes)
    assert found is not None  # noqa: S101 - the gate's model has checked it
    return found
