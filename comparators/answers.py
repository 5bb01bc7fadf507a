"""Final answers: how far the wordings lie apart, how the lengths differ, which numbers have no equal.

Wording is for display and routing: on labelled data every lexical measure ranks factually wrong edits as *more*
similar than right ones. A number without an equal is information, not yet an error.

`None` means that no answer was produced; "" is an answer. One missing answer is a wording distance of 1, and
nothing else can then be said of the pair.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from operator import ne

import numpy as np
from rapidfuzz import fuzz, process

from comparators.assignment import assign
from comparators.numbers import Figure, compare_figures, figures, unmatched
from comparators.spec import Bools, Column, Evidence, Floats, Status, Statuses, column, overridden, statuses
from comparators.text import excerpt, normalise_all
from comparators.trigrams import distances

#: Characters of one line of evidence, lines of one pair, and characters read for them.
EXCERPT = 300
MAX_LINES = 12
_READ_FOR_EVIDENCE = 100_000
#: Sentences at least this similar (of 100) are shown as one change.
_SAME_SENTENCE = 50.0

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def compare_answers(
    production: Sequence[str | None], replay: Sequence[str | None], *, given: Statuses | None = None
) -> tuple[Column, Column, Column]:
    """`answer.lexical`, `answer.length` and `answer.numbers` of each pair.

    Where `given` is not `SCORED` it is the status of all three, and the texts are not read.
    """
    if len(production) != len(replay):
        raise ValueError(f"{len(production)} answers of production for {len(replay)} of the replay")
    pairs = [(left, right) for left, right in zip(production, replay, strict=True)]
    wanted = np.ones(len(pairs), np.bool_) if given is None else given == Status.SCORED
    answers = np.array([(left is not None) + (right is not None) for left, right in pairs], np.int64) * wanted
    left = normalise_all([text for text, _ in _at(pairs, answers == 2) if text is not None])
    right = normalise_all([text for _, text in _at(pairs, answers == 2) if text is not None])
    wording = (answers == 1).astype(np.float64)
    wording[answers == 2] = distances(left, right)
    columns = (
        column("answer.lexical", wording, statuses(answers > 0, Status.NOT_APPLICABLE)),
        _both("answer.length", answers == 2, _log_length_ratio(left, right), np.ones(len(left), np.bool_)),
        _both("answer.numbers", answers == 2, *_compare_figures(left, right)),
    )
    lexical, length, numbers = (overridden(scores, given) for scores in columns)
    return lexical, length, numbers


def explain_answers(production: str | None, replay: str | None) -> tuple[Evidence, ...]:
    """Why the pair fired: the sentences and the figures that have no equal on the other side."""
    if production is None or replay is None:
        if production is replay:
            return ()
        kind = "answer_new" if production is None else "answer_missing"
        return (Evidence(kind, _cut(production), _cut(replay)),)
    left, right = normalise_all((production, replay))
    if left == right:
        return ()
    removed, added = _beyond(production, replay), _beyond(replay, production)
    lines = [Evidence("answer_changed", _cut(old), _cut(new)) for old, new in _aligned(removed, added)]
    return (*lines, *_figure_evidence(production, replay)) or (_first_difference(left, right),)


def _at(pairs: Sequence[tuple[str | None, str | None]], where: Bools) -> list[tuple[str | None, str | None]]:
    return [pairs[row] for row in np.flatnonzero(where).tolist()]


def _both(name: str, rows: Bools, value: Floats, applicable: Bools) -> Column:
    """A column that is scored only where both sides answered and there was something to score."""
    values, scored = np.zeros(len(rows)), np.zeros(len(rows), np.bool_)
    values[rows], scored[rows] = value, applicable
    return column(name, values, statuses(scored, Status.NOT_APPLICABLE))


def _log_length_ratio(left: Sequence[str], right: Sequence[str]) -> Floats:
    lengths = (np.fromiter(map(len, side), np.float64, len(side)) + 1 for side in (right, left))
    ratio: Floats = np.log(np.divide(*lengths))
    return ratio


def _compare_figures(left: Sequence[str], right: Sequence[str]) -> tuple[Floats, Bools]:
    """As `compare_figures`; of equal texts one is read, to know whether there is any figure."""
    differ = np.fromiter(map(ne, left, right), np.bool_, len(left))
    rows, same = np.flatnonzero(differ).tolist(), np.flatnonzero(~differ).tolist()
    value, applicable = np.zeros(len(left)), np.zeros(len(left), np.bool_)
    applicable[same] = [bool(found) for found in figures([left[row] for row in same])]
    value[rows], applicable[rows] = compare_figures([left[row] for row in rows], [right[row] for row in rows])
    return value, applicable


# -- evidence ---------------------------------------------------------------------------------------------------


def _cut(text: str | None) -> str | None:
    return None if text is None else excerpt(text, EXCERPT)


def _beyond(these: str, those: str) -> list[str]:
    """Sentences of one text that the other does not hold (as often), as they were written, in order."""
    budget = Counter(normalise_all(_sentences(those)))
    sentences = _sentences(these)
    kept = []
    for sentence, normal in zip(sentences, normalise_all(sentences), strict=True):
        budget[normal] -= 1
        if budget[normal] < 0 and normal:
            kept.append(sentence)
    return kept[:MAX_LINES]


def _sentences(text: str) -> list[str]:
    found = _SENTENCE_END.split(text[:_READ_FOR_EVIDENCE])
    return [sentence.strip() for sentence in found if sentence.strip()]


def _aligned(removed: Sequence[str], added: Sequence[str]) -> list[tuple[str | None, str | None]]:
    """Similar sentences side by side, then what was only removed, then what was only added."""
    if not removed or not added:
        return [*((old, None) for old in removed), *((None, new) for new in added)]
    short = [[sentence[:EXCERPT] for sentence in side] for side in (removed, added)]
    similarity = process.cdist(*short, scorer=fuzz.token_sort_ratio)
    partner = assign((100.0 - similarity).tolist())
    pairs = {old: new for old, new in enumerate(partner) if new >= 0 and similarity[old, new] >= _SAME_SENTENCE}
    together = [(removed[old], added[new]) for old, new in pairs.items()]
    old_alone = [(old, None) for row, old in enumerate(removed) if row not in pairs]
    new_alone = [(None, new) for row, new in enumerate(added) if row not in pairs.values()]
    return [*together, *old_alone, *new_alone][:MAX_LINES]


def _figure_evidence(production: str, replay: str) -> tuple[Evidence, ...]:
    both = normalise_all([production[:_READ_FOR_EVIDENCE], replay[:_READ_FOR_EVIDENCE]])
    missing, added = unmatched(*figures(both))
    if not missing and not added:
        return ()
    return (Evidence("answer_numbers", _listed(missing), _listed(added)),)


def _first_difference(left: str, right: str) -> Evidence:
    """Where two texts part, for those that do so beyond what is read for evidence, or in the order of sentences."""
    same = next((at for at, (one, other) in enumerate(zip(left, right, strict=False)) if one != other), None)
    start = max((min(len(left), len(right)) if same is None else same) - EXCERPT // 4, 0)
    return Evidence("answer_changed", *(_cut(text[start : start + 2 * EXCERPT]) for text in (left, right)))


def _listed(found: Sequence[Figure]) -> str | None:
    return excerpt(", ".join(f"{figure.value}{figure.unit}" for figure in found[:MAX_LINES]), EXCERPT) or None
