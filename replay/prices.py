"""Prices of a model route, and what a replay cost. Money is exact: decimal strings in, `Decimal` inside."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from replay.trace import Usage

#: US dollars per million tokens. Text, because YAML would read 0.15 as a binary fraction.
Price: TypeAlias = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?$", max_length=40)]

#: Wide enough that no sum of products of a 40-digit price and a 64-bit count is ever rounded.
_EXACT = Context(prec=200)
_TOKENS_PER_PRICE = 6  # decimal places between a token and a million


class Prices(BaseModel):
    """What a route costs, in US dollars per million tokens. Digested with the bundle, so costs stay comparable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    input_per_million: Price
    output_per_million: Price
    cached_input_per_million: Price | None = None
    """Input read from the provider's cache. Left out, a call that read from it has no known cost."""

    def normal(self) -> dict[str, str]:
        """The table with one spelling for each number, so that "2.50" and "2.5" are one price."""
        return {name: plain(Decimal(text)) for name, text in self.model_dump(exclude_none=True).items()}


def call_cost(prices: Prices | None, usage: Usage | None) -> Decimal | None:
    """What one model call cost; null when a price or a count it takes is unknown, never 0.

    `cache_read` is part of `input_tokens`. A provider that does not report it has no cache to read from.
    """
    if prices is None or usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    cached = usage.cache_read or 0
    if cached > usage.input_tokens:
        return None  # the source counts in another way than we think
    lines = [(usage.input_tokens - cached, prices.input_per_million), (usage.output_tokens, prices.output_per_million)]
    if cached and prices.cached_input_per_million is None:
        return None
    if prices.cached_input_per_million is not None:
        lines.append((cached, prices.cached_input_per_million))
    total = Decimal(0)
    for tokens, price in lines:
        total = _EXACT.add(total, _EXACT.multiply(Decimal(tokens), Decimal(price)))
    return _EXACT.scaleb(total, -_TOKENS_PER_PRICE)


def total_cost(prices: Prices | None, usages: Sequence[Usage | None]) -> Decimal | None:
    """What several calls cost together; null when one of them is unknown, and when there are none."""
    costs = [call_cost(prices, usage) for usage in usages]
    total = Decimal(0)
    for cost in costs:
        if cost is None:
            return None
        total = _EXACT.add(total, cost)
    return total.normalize(_EXACT) if costs else None


def plain(amount: Decimal) -> str:
    """The amount in digits: no exponent, no zeros at the end."""
    return format(amount.normalize(_EXACT), "f")
