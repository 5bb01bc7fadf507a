"""Claims over recorded conversations of real models: found when their writes are taken away, and hardly otherwise."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bench.claims import CHANGES, FILES, Count, Recorded, count, is_caught, recorded, supported


@pytest.fixture(scope="module")
def corpus() -> Mapping[str, list[Recorded]]:
    return {name: list(recorded(name)) for name in FILES}


@pytest.fixture(scope="module")
def counts(corpus: Mapping[str, list[Recorded]]) -> Mapping[str, Count]:
    return {name: count(answers) for name, answers in corpus.items()}


@pytest.mark.parametrize("name", FILES)
def test_with_writes_removed_or_failed_a_claim_is_flagged(counts: Mapping[str, Count], name: str) -> None:
    found = counts[name]
    assert found.claiming >= 50
    assert min(found.removed, found.failed) >= 0.95 * found.claiming


def test_it_is_flagged_without_production_to_compare_with_too(counts: Mapping[str, Count]) -> None:
    assert sum(found.alone for found in counts.values()) >= 0.95 * sum(found.claiming for found in counts.values())


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
