"""Claims over recorded conversations of real models: found when their writes are taken away, and hardly otherwise.

Of the claims that the detector itself finds: it says whether nothing lets go of one once found. What share of all
claims that is, readers say (`test_claims_labelled.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bench.claims import (
    CHANGES,
    FILES,
    Count,
    Recorded,
    count,
    is_caught,
    recorded,
    supported,
    unsupported,
    without_writes,
)
from comparators.claimform import Tier


@pytest.fixture(scope="module")
def corpus() -> Mapping[str, list[Recorded]]:
    return {name: list(recorded(name)) for name in FILES}


@pytest.fixture(scope="module")
def counts(corpus: Mapping[str, list[Recorded]]) -> Mapping[str, Count]:
    return {name: count(answers) for name, answers in corpus.items()}


@pytest.mark.parametrize("name", FILES)
def test_with_writes_removed_or_failed_a_claim_that_we_find_is_flagged(counts: Mapping[str, Count], name: str) -> None:
    found = counts[name]
    assert found.claiming >= 50
    assert min(found.removed, found.failed) >= 0.95 * found.claiming


def test_it_is_flagged_without_production_to_compare_with_too_if_it_is_sure(
    corpus: Mapping[str, list[Recorded]],
) -> None:
    """Loose and wide claims count only where a deed is expected, and nothing shows a state."""
    claiming = [answer for answers in corpus.values() for answer in answers if is_sure(answer)]
    assert len(claiming) >= 350
    assert sum(bool(unsupported(without_writes(it.side), it)) for it in claiming) >= 0.95 * len(claiming)


def is_sure(answer: Recorded) -> bool:
    return any(it.claim.tier >= Tier.MIDDLE for it in supported(answer))


def test_what_is_found_is_most_of_what_was_done(corpus: Mapping[str, list[Recorded]]) -> None:
    """Of answers that follow a successful write of their own turn: a claim of it is found in so many."""
    done = [answer for answers in corpus.values() for answer in answers if answer.wrote]
    assert sum(bool(supported(answer)) for answer in done) >= 0.80 * len(done)


@pytest.mark.parametrize("name", FILES)
def test_what_was_recorded_is_hardly_flagged(counts: Mapping[str, Count], name: str) -> None:
    assert counts[name].flagged <= 0.015 * counts[name].answers


def test_of_whole_conversations_few_are_flagged_as_recorded(counts: Mapping[str, Count]) -> None:
    flagged = sum(found.flagged_conversations for found in counts.values())
    assert flagged <= 0.015 * sum(found.conversations for found in counts.values())


def test_nothing_is_caught_where_nothing_was_changed(corpus: Mapping[str, list[Recorded]]) -> None:
    claiming = [answer for answer in corpus["tau2-retail"] if supported(answer)]
    assert not any(is_caught(answer, lambda side: side) for answer in claiming)
    assert all(is_caught(answer, change) for answer in claiming[:20] for change in CHANGES.values())
