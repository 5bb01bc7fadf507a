"""Settings: one frozen record, one pure loader. Defaults < file < environment < flags; an unknown key is an error.

Nothing else in the program reads the environment, except the variable a bundle's `api_key_env` names, which is
resolved here too.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from replay.errors import UsageError

#: Looked for in the working directory unless --config names another.
SETTINGS_FILE = "shadow-replay.toml"
ENVIRONMENT_PREFIX = "SHADOW_REPLAY_"

Parse: TypeAlias = Callable[[object], object]
Origin: TypeAlias = Literal["default", "file", "environment", "flag"]


class SettingError(ValueError):
    """What a value should have been; the loader adds where it came from."""


def _setting(default: Any, parse: Parse, help_text: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"parse": parse, "help": help_text, "secret": secret})


def _whole(low: int) -> Parse:
    def parse(value: object) -> int:
        number = int(value) if isinstance(value, str) and value.lstrip("-").isdecimal() else value
        if isinstance(number, bool) or not isinstance(number, int) or number < low:
            raise SettingError(f"a whole number of at least {low}")
        return number

    return parse


def _number(low: float, high: float = float("inf"), *, open_low: bool = False) -> Parse:
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


def _choice(*choices: str) -> Parse:
    def parse(value: object) -> str:
        if value not in choices:
            raise SettingError(f"one of {', '.join(choices)}")
        return str(value)

    return parse


def _flag(value: object) -> bool:
    found = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(str(value).lower())
    if found is None:
        raise SettingError("true or false")
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise SettingError("a text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return tuple(value)
    raise SettingError("a list of texts")


def _optional(parse: Parse) -> Parse:
    return lambda value: None if value in (None, "") else parse(value)


@dataclass(frozen=True, slots=True)
class Settings:
    """Every knob of a replay. The README's table is made of this class."""

    baseline: str | None = _setting(None, _optional(_text), "directory of the bundle in production")
    candidates: tuple[str, ...] = _setting((), _texts, "directories of the bundles on trial; a run takes one")
    mode: str = _setting("both", _choice("both", "forced", "free"), "which replays to make of each trace")
    any_bundle: bool = _setting(False, _flag, "replay traces of other bundles too; they are never evidence")
    sample: float = _setting(1.0, _number(0, 1), "share of conversations to replay, by hash of the record key")
    sample_salt: str = _setting("", _text, "another salt draws another sample")
    concurrency: int = _setting(32, _whole(1), "replays in flight")
    max_usd: float | None = _setting(None, _optional(_number(0)), "stop the intake when this much was spent (exit 4)")
    max_model_calls: int | None = _setting(None, _optional(_whole(1)), "stop the intake after this many calls (exit 4)")
    unit_steps: int = _setting(40, _whole(1), "model calls one free replay may make")
    unit_tokens: int | None = _setting(400_000, _optional(_whole(1)), "tokens one replay may use")
    unit_seconds: float = _setting(300.0, _number(0, open_low=True), "time one replay may spend in its model")
    unit_usd: float | None = _setting(None, _optional(_number(0)), "money one replay may spend")
    call_seconds: float = _setting(60.0, _number(0, open_low=True), "time one model call may take, retries included")
    max_line_bytes: int = _setting(64 << 20, _whole(1024), "longer lines of a trace file are dead letters")
    max_record_bytes: int = _setting(256 << 10, _whole(4096), "content of a comparison is cut to this, after scoring")
    content: str = _setting("full", _choice("full", "digest"), "answers and arguments on comparisons, or digests only")
    batch: int = _setting(64, _whole(1), "finished replays scored at a time; scores do not depend on it")
    worst: int = _setting(8, _whole(0), "pairs shown in the summary")
    route_url: str | None = _setting(None, _optional(_text), "model endpoint, in place of the one in release.yaml")
    api_key: str | None = _setting(None, _optional(_text), "key of the model endpoint", secret=True)


class Loaded(NamedTuple):
    settings: Settings
    origins: Mapping[str, Origin]


class Row(NamedTuple):
    """One line of `shadow-replay config`."""

    name: str
    value: str
    origin: Origin
    help: str


def load_settings(
    *, file: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]
) -> Loaded:
    """Merge the layers. Raises `UsageError` naming the layer, the key and what was expected."""
    layers: list[tuple[Origin, str, Mapping[str, object]]] = [
        ("file", str(file), _read_file(file)),
        ("environment", "the environment", _read_environment(environment)),
        ("flag", "the command line", {key: value for key, value in flags.items() if value is not None}),
    ]
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {item.name: "default" for item in fields(Settings)}
    parsers = {item.name: cast(Parse, item.metadata["parse"]) for item in fields(Settings)}
    for origin, where, layer in layers:
        for key, value in layer.items():
            if key not in parsers:
                raise UsageError(f"{where}: there is no setting {key!r}; `shadow-replay config` lists them")
            values[key] = _parsed(parsers[key], key, value, where)
            origins[key] = origin
    return Loaded(Settings(**values), origins)


def rows(loaded: Loaded) -> list[Row]:
    """Every setting with its value and origin; secrets are masked."""
    table = []
    for item in fields(Settings):
        value = getattr(loaded.settings, item.name)
        shown = "****" if item.metadata["secret"] and value else _shown(value)
        table.append(Row(item.name, shown, loaded.origins[item.name], item.metadata["help"]))
    return table


def _parsed(parse: Parse, key: str, value: object, where: str) -> object:
    try:
        return parse(value)
    except SettingError as error:
        raise UsageError(f"{where}: {key} is {value!r}, expected {error}") from None


def _read_file(file: Path | None) -> Mapping[str, object]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: not TOML: {error}") from None


def _read_environment(environment: Mapping[str, str]) -> Mapping[str, object]:
    prefixed = {key: value for key, value in environment.items() if key.startswith(ENVIRONMENT_PREFIX)}
    return {key.removeprefix(ENVIRONMENT_PREFIX).lower(): value for key, value in prefixed.items()}


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "-"
    return "-" if value is None or value == "" else str(value).lower() if isinstance(value, bool) else str(value)
