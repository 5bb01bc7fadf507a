"""Final answers: how far the wordings lie apart, how lengths and numbers differ, what was turned round.

Wording is for display and routing: on labelled data every lexical measure ranks factually wrong edits as *more*
similar than right ones. A number without an equal is information, not yet an error.

`None` means that no answer was produced; "" is an answer. One missing answer is a wording distance of 1, and
nothing else can then be said of the pair.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rapidfuzz import fuzz, process

from comparators.alignment import SAME_SENTENCE, align_all, changed
from comparators.answerbatch import AnswerBatch
from comparators.answerwords import AnswerWords
from comparators.assignment import assign
from comparators.figure import Figure, shown
from comparators.numbers import counted, figures, unmatched
from comparators.polarity import may_turn, turned
from comparators.spec import Bools, Column, Evidence, Floats, Ints, Status, column, overridden, statuses
from comparators.substitution import substitutions
from comparators.text import excerpt, normalise_all
from comparators.trigrams import distances

#: Characters of one line of evidence, lines of one pair, and characters read for them.
EXCERPT = 300
MAX_LINES = 12
_READ_FOR_EVIDENCE = 100_000


def compare_answers(batch: AnswerBatch) -> tuple[Column, ...]:
    """`answer.lexical`, `.length`, `.numbers`, `.substituted` and `.polarity` of each pair.

    The last two count aligned sentences of which one holds another figure than the other, or says the contrary; they
    are `TOO_LARGE` where there is too much to align.
    """
    left, right = batch.left, batch.right
    wording = (batch.answers == 1).astype(np.float64)
    wording[batch.both] = distances(left, right)
    missing, added, some = _unmatched(batch)
    columns = (
        column("answer.lexical", wording, statuses(batch.answers > 0, Status.NOT_APPLICABLE)),
        _both("answer.length", batch, _log_length_ratio(left, right), np.ones(len(left), np.bool_)),
        _of_figures("answer.numbers", batch, _share(missing, added, some), some > 0),
        *_sentencewise(batch, missing, added),
    )
    return tuple(overridden(scores, batch.given) for scores in columns)


def explain_answers(production: str | None, replay: str | None) -> tuple[Evidence, ...]:
    """Why the pair fired: the sentences and the figures that have no equal on the other side."""
    if production is None or replay is None:
        if production is replay:
            return ()
        kind = "answer_new" if production is None else "answer_missing"
        return (Evidence(kind, _cut(production), _cut(replay)),)
    if production == replay:
        return ()
    heads = production[:_READ_FOR_EVIDENCE], replay[:_READ_FOR_EVIDENCE]
    left, right = normalise_all(heads)
    if left == right:
        return _beyond_heads(production, replay)
    removed, added = (side[:MAX_LINES] for side in changed(*heads))
    lines = [Evidence("answer_changed", _cut(old), _cut(new)) for old, new in _beside(removed, added)]
    return (*lines, *_figure_evidence(left, right)) or (_parting(left, right),)


def _both(name: str, batch: AnswerBatch, value: Floats, applicable: Bools) -> Column:
    """A column that is scored only where both sides answered and there was something to score."""
    values, scored = np.zeros(len(batch.answers)), np.zeros(len(batch.answers), np.bool_)
    values[batch.both], scored[batch.both] = value, applicable
    return column(name, values, statuses(scored, Status.NOT_APPLICABLE))


def _of_figures(name: str, batch: AnswerBatch, value: Floats, applicable: Bools) -> Column:
    """The same, `TOO_LARGE` where the figures of a pair were not read."""
    scores = _both(name, batch, value, applicable)
    scores.status[[row for row, fits in zip(batch.both, batch.fits, strict=True) if not fits]] = Status.TOO_LARGE
    return scores


def _log_length_ratio(left: Sequence[str], right: Sequence[str]) -> Floats:
    lengths = (np.fromiter(map(len, side), np.float64, len(side)) + 1 for side in (right, left))
    ratio: Floats = np.log(np.divide(*lengths))
    return ratio


def _unmatched(batch: AnswerBatch) -> tuple[list[list[Figure]], list[list[Figure]], Ints]:
    """Figures of one side only, where both answered, and how many figures both sides hold."""
    production, replay = batch.figures
    found = [unmatched(*sides) for sides in zip(production, replay, strict=True)]
    total = [len(counted(one)) + len(counted(other)) for one, other in zip(production, replay, strict=True)]
    some = np.array([max(all_, sum(map(len, alone))) for all_, alone in zip(total, found, strict=True)], np.int64)
    return [missing for missing, _ in found], [added for _, added in found], some


def _share(missing: Sequence[Sequence[Figure]], added: Sequence[Sequence[Figure]], some: Ints) -> Floats:
    alone = np.array([len(one) + len(other) for one, other in zip(missing, added, strict=True)], np.int64)
    share: Floats = alone / np.maximum(some, 1)
    return share


# -- sentences --------------------------------------------------------------------------------------------------


def _sentencewise(
    batch: AnswerBatch, missing: Sequence[Sequence[Figure]], added: Sequence[Sequence[Figure]]
) -> tuple[Column, Column]:
    """Most pairs differ neither in figures on both sides nor in a cue: their sentences are not even cut."""
    swapped = [bool(one and other) for one, other in zip(missing, added, strict=True)]
    turning = may_turn(batch)
    asked = [place for place, both in enumerate(zip(swapped, turning, strict=True)) if any(both)]
    figures_, turns = np.zeros(len(swapped)), np.zeros(len(swapped))
    fits = np.ones(len(swapped), np.bool_)
    aligned = dict(zip(asked, batch.aligned(asked), strict=True))
    fits[asked] = [pairs is not None for pairs in aligned.values()]
    read = fits & np.array(batch.fits, np.bool_)
    replaced = [place for place in asked if swapped[place] and aligned[place]]
    found = substitutions(
        [aligned[place] or () for place in replaced],
        [missing[place] for place in replaced],
        [added[place] for place in replaced],
    )
    figures_[replaced] = [sum(len(one) for one, _ in each) for each in found]
    for place in (place for place in asked if turning[place]):
        turns[place] = sum(turned(pair, batch.words) for pair in aligned[place] or ())
    return _counts("answer.substituted", batch, figures_, read), _counts("answer.polarity", batch, turns, fits)


def _counts(name: str, batch: AnswerBatch, value: Floats, fits: Bools) -> Column:
    values, status = np.zeros(len(batch.answers)), np.full(len(batch.answers), Status.NOT_APPLICABLE, np.uint8)
    values[batch.both], status[batch.both] = value, np.where(fits, Status.SCORED, Status.TOO_LARGE)
    return column(name, values, status)


# -- evidence ---------------------------------------------------------------------------------------------------


def explain_sentences(production: str | None, replay: str | None, words: AnswerWords) -> tuple[Evidence, ...]:
    """Sentences in which a figure took another's place, then those that say the contrary."""
    if production is None or replay is None:
        return ()
    (aligned,) = align_all([(production, replay)])
    if not aligned:
        return ()
    missing, added = unmatched(*figures(normalise_all((production, replay))))
    lines = [
        Evidence("number_substituted", *map(_told_figures, (gone, new), pair.written))
        for pair, (gone, new) in zip(aligned, *substitutions([aligned], [missing], [added]), strict=True)
        if gone
    ]
    lines += [Evidence("polarity_flip", *map(_cut, pair.written)) for pair in aligned if turned(pair, words)]
    return tuple(lines[:MAX_LINES])


def _told_figures(found: Sequence[Figure], sentence: str) -> str:
    return f"{_listed(found)}: {_cut(sentence)}"


def _cut(text: str | None) -> str | None:
    return None if text is None else excerpt(text, EXCERPT)


def _beside(removed: Sequence[str], added: Sequence[str]) -> list[tuple[str | None, str | None]]:
    """Similar sentences side by side, then what was only removed, then what was only added."""
    if not removed or not added:
        return [*((old, None) for old in removed), *((None, new) for new in added)]
    short = [[sentence[:EXCERPT] for sentence in side] for side in (removed, added)]
    similarity = process.cdist(*short, scorer=fuzz.token_sort_ratio)
    partner = assign((100.0 - similarity).tolist())
    pairs = {old: new for old, new in enumerate(partner) if new >= 0 and similarity[old, new] >= SAME_SENTENCE}
    together = [(removed[old], added[new]) for old, new in pairs.items()]
    old_alone = [(old, None) for row, old in enumerate(removed) if row not in pairs]
    new_alone = [(None, new) for row, new in enumerate(added) if row not in pairs.values()]
    return [*together, *old_alone, *new_alone][:MAX_LINES]


def _figure_evidence(left: str, right: str) -> tuple[Evidence, ...]:
    missing, added = unmatched(*figures((left, right)))
    if not missing and not added:
        return ()
    return (Evidence("answer_numbers", _listed(missing), _listed(added)),)


def _beyond_heads(production: str, replay: str) -> tuple[Evidence, ...]:
    """Where texts part that read the same as far as they are read for evidence."""
    if max(len(production), len(replay)) <= _READ_FOR_EVIDENCE:
        return ()
    return (_parting(production, replay),)


def _parting(one: str, other: str) -> Evidence:
    """Where two texts part, for those that do so beyond what is read for evidence, or in the order of sentences."""
    start = max(_shared(one, other) - EXCERPT // 4, 0)
    return Evidence("answer_changed", *(_cut(text[start : start + 2 * EXCERPT]) for text in (one, other)))


def _shared(one: str, other: str) -> int:
    """How many characters both begin with: by halves, each compared as one."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _listed(found: Sequence[Figure]) -> str | None:
    return excerpt(", ".join(map(shown, found[:MAX_LINES])), EXCERPT) or None
