"""Votes one conversation, one metric and one turn at a time, as the rules are told: slow, and easy to check by eye."""

from __future__ import annotations

from math import inf, isinf

from replay.gate.ballot import BLAMELESS


def worst(signal):
    return inf if signal.nature == "quantity" else 1.0


def failure(ballot):
    return "absent" if ballot is None else ballot.failed


def ends_of_turn(ours, theirs, served, signal, place, *, laned):
    """Both ends of the candidate's, the lane's and production's value; null where a turn counts for neither side."""
    anything, known = (0.0, worst(signal)), served[place]
    before = anything if known is None else (known, known)
    if signal.conditional and known is None:
        return None, None, None
    if laned and failure(ours) is not None and failure(ours) == failure(theirs):
        return None, None, before
    value = None if ours is None else ours.values[place]
    if failure(ours) is not None:
        mine = anything if not laned and failure(ours) in BLAMELESS else (worst(signal),) * 2
    else:
        mine = anything if ours.guessed or value is None else (value, value)
    other = None if theirs is None else theirs.values[place]
    unknown = theirs is None or theirs.failed is not None or theirs.guessed or other is None
    return mine, anything if unknown else (other, other), before


def gathered(turns, signal):
    """The worst of the turns that count, or their sum."""
    known = [turn for turn in turns if turn is not None] or [(0.0, 0.0)]
    return tuple((sum if signal.adds_up else max)(turn[end] for turn in known) for end in (0, 1))


def difference(metric, c, b):
    over, cap = 1 + (metric.rel_margin or 0.0), metric.cap or 1.0
    return {
        "paired_binary": lambda: c - b,
        "paired_bounded": lambda: c - b,
        "paired_exceedance": lambda: float(c > metric.threshold) - float(b > metric.threshold),
        "paired_mean_capped": lambda: (min(c, cap) - over * min(b, cap)) / (over * cap),
        "paired_sign": lambda: 1.0 if c > (inf if isinf(b) else over * b) else -1.0,
        "zero_tolerance": lambda: max(0.0, c - b),
    }[metric.kind]()


def slow_difference(metric, signal, place, every):
    """Both ends, or null where the metric has nothing to say of this conversation."""
    ballots = [ballot for number, ballot in enumerate(every) if ballot.comparison_id not in {it.comparison_id for it in every[:number]}]
    laned = any(ballot.lane == "baseline" for ballot in ballots)
    drawing = any(ballot.lane_probability > 0 for ballot in ballots)
    served = {}
    for ballot in ballots:
        served.setdefault(ballot.trace_id, ballot.production)
    asked = [values[place] is not None for values in served.values()]
    if signal.conditional and not any(asked):
        return None
    needs_a_lane = drawing or signal.of_production is None or (signal.is_timed and not any(asked))
    if not laned and metric.kind != "zero_tolerance" and needs_a_lane:
        return None
    found = []
    for sample in sorted({ballot.sample for ballot in ballots}):
        turns = []
        alike = []
        for trace_id, values in served.items():
            pair = [
                next((it for it in ballots if (it.lane, it.sample, it.trace_id) == (lane, sample, trace_id)), None)
                for lane in ("candidate", "baseline")
            ]
            alike.append(laned and failure(pair[0]) is not None and failure(pair[0]) == failure(pair[1]))
            turns.append(ends_of_turn(*pair, values, signal, place, laned=laned))
        ours, theirs, before = (gathered([turn[side] for turn in turns], signal) for side in range(3))
        against = theirs if laned else (0.0, 0.0) if metric.kind == "zero_tolerance" else before
        both = (difference(metric, ours[0], against[1]), difference(metric, ours[1], against[0]))
        found.append((0.0, 0.0) if all(alike) else both)
    return tuple(sum(ends[end] for ends in found) / len(found) for end in (0, 1))
