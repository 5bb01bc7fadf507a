"""The table of dimensions says what comparators emit, and statuses keep values out."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from comparators.answerbatch import AnswerBatch
from comparators.answers import compare_answers
from comparators.answerwords import english_answers
from comparators.claims import ClaimPair, compare_claims
from comparators.claimsupport import ClaimSide
from comparators.claimwords import Lexicon, ToolWords
from comparators.cost import Spending, compare_cost
from comparators.expected import compare_expected
from comparators.grounding import compare_grounding
from comparators.guardrails import DecisionPair, compare_guardrails
from comparators.language import english
from comparators.latency import Times, compare_latency
from comparators.semantic import Meanings, compare_meanings
from comparators.spec import DIMENSION, DIMENSIONS, Status, column, overridden, statuses
from comparators.stance import Records, compare_stances, stance_of
from comparators.steps import StepPair, compare_steps
from comparators.toolcalls import compare_calls
from tests.comparators.test_answers import ANSWERS
from tests.comparators.test_toolcalls import pairs_of_calls

WIPING = Lexicon.of([ToolWords("wipe_device", objects=("laptop",))], english())


def all_columns(answers, calls):
    nothing = [np.full(len(calls), np.nan)] * 4
    claims = [ClaimPair(*map(ClaimSide.of, pair), WIPING) for pair in answers]
    texts = [[pair[side] for pair in answers] for side in (0, 1)]
    batch = AnswerBatch(*texts, english_answers())
    worded = compare_answers(batch)
    stances = [
        [stance_of(*told, Records(), english_answers()) for told in zip(*side, strict=True)]
        for side in zip(batch.normal, batch.telling, strict=True)
    ]
    return (
        *worded,
        compare_grounding(batch, [tuple] * len(answers)),
        *compare_stances(*stances),
        compare_meanings(*texts, worded[0], Meanings(lambda every: np.array([[len(text), 1.0] for text in every]))),
        *compare_calls(calls),
        *compare_claims(claims),
        *compare_latency(Times(*nothing[:3]), Times(*nothing[:3])),
        compare_steps([StepPair((), ())] * len(calls)),
        *compare_cost(Spending(*nothing), Spending(*nothing)),
        *compare_guardrails([DecisionPair((), ())] * len(calls)),
        *compare_expected([None] * len(calls), [True] * len(calls)),
    )


def test_every_score_has_its_dimension_in_order():
    assert [found.name for found in all_columns([], [])] == [dimension.name for dimension in DIMENSIONS]
    assert len(DIMENSION) == len(DIMENSIONS)


@given(st.lists(st.tuples(st.tuples(ANSWERS, ANSWERS), pairs_of_calls()), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_scores_keep_to_their_range_and_no_nan_leaves(rows):
    for found in all_columns([row[0] for row in rows], [row[1] for row in rows]):
        dimension = DIMENSION[found.name]
        assert found.value.dtype == np.float64
        assert found.status.dtype == np.uint8
        assert np.isfinite(found.value).all()
        assert ((found.value >= dimension.low) & (found.value <= dimension.high)).all()
        assert (found.value[found.status != Status.SCORED] == 0).all()


def test_dimensions_can_be_read():
    for dimension in DIMENSIONS:
        assert dimension.low < dimension.high
        assert dimension.worse in ("up", "down", "")
        assert dimension.question[0].isupper()


def test_a_status_of_its_own_is_kept_where_none_is_given():
    own = column("x", np.array([1.0, 2.0, np.nan]), statuses(np.array([True, True, False]), Status.UNKNOWN))
    found = overridden(own, np.array([Status.SCORED, Status.CENSORED, Status.SCORED], dtype=np.uint8))
    assert found.status.tolist() == [Status.SCORED, Status.CENSORED, Status.UNKNOWN]
    assert found.value.tolist() == [1.0, 0.0, 0.0]
    assert overridden(own, None) is own
