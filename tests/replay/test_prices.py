"""Costs are exact and never invented."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from replay.prices import Prices, call_cost, plain, total_cost
from replay.trace import Usage

PRICES = Prices(input_per_million="2.50", output_per_million="10", cached_input_per_million="1.25")
NO_CACHE_PRICE = Prices(input_per_million="2.50", output_per_million="10")


def test_cost_counts_cached_tokens_as_part_of_the_input() -> None:
    usage = Usage(input_tokens=1000, output_tokens=100, cache_read=400)
    assert call_cost(PRICES, usage) == Decimal("0.003")  # 600 x 2.5 + 400 x 1.25 + 100 x 10, per million


def test_cache_read_not_reported_means_no_cache() -> None:
    assert call_cost(NO_CACHE_PRICE, Usage(input_tokens=1000, output_tokens=0)) == Decimal("0.0025")


@pytest.mark.parametrize(
    ("prices", "usage"),
    [
        (None, Usage(input_tokens=1, output_tokens=1)),
        (PRICES, None),
        (PRICES, Usage()),
        (PRICES, Usage(input_tokens=1)),
        (PRICES, Usage(output_tokens=1)),
        (NO_CACHE_PRICE, Usage(input_tokens=10, output_tokens=1, cache_read=5)),
        (PRICES, Usage(input_tokens=10, output_tokens=1, cache_read=11)),
    ],
    ids=["no prices", "no usage", "no counts", "no output", "no input", "no cache price", "more cached than read"],
)
def test_what_is_unknown_has_no_cost(prices: Prices | None, usage: Usage | None) -> None:
    assert call_cost(prices, usage) is None
    assert total_cost(prices, [Usage(input_tokens=1, output_tokens=1), usage]) is None


def test_nothing_has_no_total() -> None:
    assert total_cost(PRICES, []) is None


def test_known_zero_is_zero() -> None:
    cost = total_cost(PRICES, [Usage(input_tokens=0, output_tokens=0)])
    assert cost == 0
    assert f"{cost:f}" == "0"


price_texts = st.from_regex(r"[0-9]{1,12}(\.[0-9]{1,12})?", fullmatch=True)
counts = st.integers(0, 2**63 - 1)


@given(price_texts, price_texts, st.lists(st.tuples(counts, counts), min_size=1, max_size=20))
def test_sums_are_exact(price_in: str, price_out: str, calls: list[tuple[int, int]]) -> None:
    """Against fractions, which cannot round."""
    prices = Prices(input_per_million=price_in, output_per_million=price_out)
    usages = [Usage(input_tokens=a, output_tokens=b) for a, b in calls]
    expected = sum(Fraction(price_in) * a + Fraction(price_out) * b for a, b in calls) / 1_000_000
    found = total_cost(prices, usages)
    assert found is not None
    assert Fraction(found) == expected
    assert Fraction(plain(found)) == expected
    assert "E" not in f"{found:f}"


@pytest.mark.parametrize("text", ["", "-1", "1e3", ".5", "1.", "NaN", "1,5", " 1", "1\n", "٣", "1" * 41])
def test_a_price_is_a_decimal_text(text: str) -> None:
    with pytest.raises(ValidationError):
        Prices(input_per_million=text, output_per_million="1")


def test_a_price_is_not_a_number() -> None:
    with pytest.raises(ValidationError):
        Prices.model_validate({"input_per_million": 0.15, "output_per_million": "1"})


def test_one_number_has_one_spelling() -> None:
    prices = Prices(input_per_million="002.500", output_per_million="100")
    assert prices.normal() == {"input_per_million": "2.5", "output_per_million": "100"}
