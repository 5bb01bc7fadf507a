"""Comparators: how far a replay diverges from what production did, as columns of scores.

Each comparator answers one question about many pairs at once. `compare_answers`, `compare_calls`, `compare_claims`,
`compare_guardrails`, `compare_latency`, `compare_steps`, `compare_cost` and `compare_expected` take both sides as
columns or sequences and return one `Column` per dimension, with a status per row; the `explain_*` beside them say of
one pair, in words, why it fired.
`DIMENSIONS` lists every score, its range, and which end is worse.

What decides the design:

* Similarity is not agreement. Lexical measures rank factually wrong edits as more similar than right ones, so
  wording is for display and routing and never gates alone.
* Two runs of one release already differ in most traces, in wording and in what they read. Writes tell whether
  the world would end up in another state; hence writes, handoffs and reads are separate dimensions, and any
  threshold belongs to a lane that compares the release with itself.
* A claim that something was done is believed where a successful call stands behind it. Words come from the contracts
  of the tools; the grammar is small, precise before it is complete, and a file per language.
* What was expected is one predicate held against both sides; what one of them gains never makes good what it loses.
* Calls are matched at minimum cost, never greedily, and one wrong argument of a write costs half of it at least.
* "Could not be judged" is a status, never 0 and never NaN.
* A row scores the same bits alone, in any batch, and in any order: sums are of whole numbers, or run in an order
  that the row alone decides.

The package knows NumPy and rapidfuzz, and nothing of traces, bundles or streams.
"""

from comparators.calls import CallEvent, CallPair, CanonicalCall, Effect, Leaf, LeafKind, Outcome
from comparators.spec import COMPARATOR_SET, DIMENSION, DIMENSIONS, Column, Dimension, Evidence, Status, Statuses

__all__ = [
    "COMPARATOR_SET",
    "DIMENSION",
    "DIMENSIONS",
    "CallEvent",
    "CallPair",
    "CanonicalCall",
    "Column",
    "Dimension",
    "Effect",
    "Evidence",
    "Leaf",
    "LeafKind",
    "Outcome",
    "Status",
    "Statuses",
]
