"""What a setting can hold: parsers from text, TOML and flags to a value, and the words for what was expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any, TypeAlias

Parse: TypeAlias = Callable[[object], object]


class SettingError(ValueError):
    """What a value should have been; the loader adds where it came from."""


def setting(default: Any, parse: Parse, help_text: str, *, secret: bool = False) -> Any:
    """One knob: a dataclass field that knows how it is read, what it does, and whether it may be shown."""
    return field(default=default, repr=not secret, metadata={"parse": parse, "help": help_text, "secret": secret})


def whole(low: int) -> Parse:
    def parse(value: object) -> int:
        number = int(value) if isinstance(value, str) and value.lstrip("-").isdecimal() else value
        if isinstance(number, bool) or not isinstance(number, int) or number < low:
            raise SettingError(f"a whole number of at least {low}")
        return number

    return parse


def number(low: float, high: float = float("inf"), *, open_low: bool = False) -> Parse:
    def parse(value: object) -> float:
        try:
            number = float(str(value))
        except (TypeError, ValueError):
            number = float("nan")
        inside = low < number <= high if open_low else low <= number <= high
        if isinstance(value, bool) or not inside or number == float("inf"):
            bounds = f"from {low:g} to {high:g}" if high != float("inf") else f"of at least {low:g}"
            raise SettingError(f"a number {bounds}")
        return number

    return parse


def choice(*choices: str) -> Parse:
    def parse(value: object) -> str:
        if value not in choices:
            raise SettingError(f"one of {', '.join(choices)}")
        return str(value)

    return parse


def flag(value: object) -> bool:
    found = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(str(value).lower())
    if found is None:
        raise SettingError("true or false")
    return found


def text(value: object) -> str:
    if not isinstance(value, str):
        raise SettingError("a text")
    return value


def texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return tuple(value)
    raise SettingError("a list of texts")


def optional(parse: Parse) -> Parse:
    return lambda value: None if value in (None, "") else parse(value)
