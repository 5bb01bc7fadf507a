"""Many runs at once, looked at after every pair: when the evidence first suffices.

That this is the test that is shipped, only for many runs at once, is itself tested where the module is.
"""

from __future__ import annotations

from math import log, sqrt

import numpy as np

from comparators.differences import BETS, SCALE, STEPS

ALPHA = 0.05
_BLOCK = 250


def tolerated(runs, alpha=ALPHA):
    """The most that a chance of `alpha` may show in so many runs: three standard deviations above it."""
    return alpha + 3 * sqrt(alpha * (1 - alpha) / runs)


def events(up, down, *, seed, runs, pairs):
    """Worse with a chance of `up`, better with a chance of `down`: int16[runs, pairs], in steps of the scale."""
    drawn = np.random.default_rng(seed).random((runs, pairs), dtype=np.float32)
    return np.where(drawn < up, STEPS, np.where(drawn < up + down, -STEPS, 0)).astype(np.int16)


def harm(margin):
    return lambda values: (values - margin) / (1 + margin)


def safe(margin):
    return lambda values: (margin - values) / (1 - margin)


def first_crossing(differences, gain, alpha=ALPHA, of=None):
    """The first pair after which evidence suffices, int[runs]; as many as there are pairs where it never does.

    `differences`: int[runs, pairs], in steps of the scale, or with `of`, values shared between steps, which of these.
    `gain`: what a stake of 1 wins, by difference.
    """
    logs, needed = np.log1p(np.outer(gain(SCALE), BETS)), log(1 / alpha)
    if of is None:
        differences = differences + STEPS
    else:
        above = np.minimum(of.below + 1, len(SCALE) - 1)
        logs = logs[of.below] * (1 - of.beyond)[:, np.newaxis] + logs[above] * of.beyond[:, np.newaxis]
    runs, pairs = differences.shape
    found, running = np.full(runs, pairs), np.arange(runs)
    wealth = np.zeros((runs, 1, len(BETS)))
    for start in range(0, pairs, _BLOCK):
        paths = wealth + np.cumsum(logs[differences[running, start : start + _BLOCK]], axis=1)
        near = np.flatnonzero(paths.max(axis=(1, 2)) >= needed)  # a mean is at most the largest: most need no exp
        over = np.exp(paths[near]).mean(axis=2) >= 1 / alpha
        crossed = over.any(axis=1)
        found[running[near[crossed]]] = start + over[crossed].argmax(axis=1)
        left = np.delete(np.arange(len(running)), near[crossed])
        running, wealth = running[left], paths[left, -1:]
    return found


def share_crossed(differences, gain, alpha=ALPHA, of=None):
    """In how many of the runs the evidence suffices at any look."""
    return float(np.mean(first_crossing(differences, gain, alpha, of) < differences.shape[1]))
