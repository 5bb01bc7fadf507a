"""Amounts in a gate's file: shares, margins, durations. What cannot be meant is refused with what may have been."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from replay.bundle_yaml import short
from replay.exact_json import Json

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)", re.ASCII)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PERCENT = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?%", re.ASCII)


def seconds_of(duration: str) -> float:
    """"90s", "30m", "24h" or "7d" in seconds."""
    found = _DURATION.fullmatch(duration)
    assert found is not None  # noqa: S101 - the model has checked it
    return float(found[1]) * _SECONDS[found[2]]


def _no_percent(value: Json) -> Json:
    meant = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if meant is None:
        return value
    raise ValueError(f"expected a share, not percent; found {short(value)}: did you mean {float(meant[1]) / 100:g}?")


def _below_one(value: Json) -> Json:
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 < value <= 100:
        raise ValueError(f"expected a share of 1; found {value:g}: did you mean {value / 100:g}, which is {value:g} %?")
    return _no_percent(value)


def _long_enough(value: str) -> str:
    if _DURATION.fullmatch(value) is None:
        raise ValueError('expected a duration such as "90s", "30m", "24h" or "7d"')
    if not seconds_of(value):
        raise ValueError("expected a duration above 0")
    return value


#: Of 1, both ends left out.
Share: TypeAlias = Annotated[float, BeforeValidator(_below_one), Field(gt=0, lt=1)]
#: What a mean difference may come to. One of 1 tolerates whatever can happen.
Margin: TypeAlias = Annotated[float, BeforeValidator(_below_one), Field(gt=0, le=1)]
#: Of the conversations, both ends included.
Rate: TypeAlias = Annotated[float, BeforeValidator(_below_one), Field(ge=0, le=1)]
#: Of the baseline's value, which may grow by more than itself.
RelativeMargin: TypeAlias = Annotated[float, BeforeValidator(_no_percent), Field(gt=0, le=10)]
Duration: TypeAlias = Annotated[str, AfterValidator(_long_enough)]
