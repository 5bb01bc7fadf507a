"""Settings: frozen records, one pure loader. Defaults < file < environment < flags; an unknown key is an error.

A section's settings carry its name in front (`kafka_bootstrap`); in a file they may stand in a table of that name.
Nothing else in the program reads the environment, except the variable a bundle's `api_key_env` names, which is
resolved here too.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from replay.errors import UsageError
from replay.setting_kinds import (
    Parse,
    SettingError,
    choice,
    flag,
    number,
    optional,
    setting,
    text,
    texts,
    whole,
)

#: Looked for in the working directory unless --config names another.
SETTINGS_FILE = "shadow-replay.toml"
ENVIRONMENT_PREFIX = "SHADOW_REPLAY_"

Origin: TypeAlias = Literal["default", "file", "environment", "flag"]


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach the brokers, and how patient to be with them. Times are checked against each other at start."""

    bootstrap: str = setting("127.0.0.1:9092", text, "brokers, host:port, with commas between")
    traces: str = setting("shadow-replay.traces", text, "topic of production traces (trace/1)")
    comparisons: str = setting("shadow-replay.comparisons", text, "topic of comparisons and watermarks")
    dead_letters: str = setting("shadow-replay.dead-letters", text, "topic of records that could not be used")
    verdicts: str = setting("shadow-replay.verdicts", text, "topic of verdicts")
    security: str = setting(
        "plaintext", choice("plaintext", "ssl", "sasl_plaintext", "sasl_ssl"), "protocol of the connection"
    )
    sasl: str = setting(
        "SCRAM-SHA-512", choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"), "how to log in over SASL"
    )
    username: str | None = setting(None, optional(text), "user of PLAIN and SCRAM")
    password: str | None = setting(None, optional(text), "its password", secret=True)
    password_file: str | None = setting(None, optional(text), "file that holds the password")
    ca_file: str | None = setting(None, optional(text), "certificates to trust (default: the system's)")
    certificate_file: str | None = setting(None, optional(text), "own certificate, where brokers ask for one")
    key_file: str | None = setting(None, optional(text), "its private key")
    token_url: str | None = setting(None, optional(text), "OAUTHBEARER: where to ask for a token (client credentials)")
    client_id: str | None = setting(None, optional(text), "OAUTHBEARER: who asks")
    client_secret: str | None = setting(None, optional(text), "OAUTHBEARER: its secret", secret=True)
    client_secret_file: str | None = setting(None, optional(text), "OAUTHBEARER: file that holds the secret")
    token_scope: str | None = setting(None, optional(text), "OAUTHBEARER: scope to ask for")
    session_seconds: float = setting(45.0, number(1), "a member that is silent for this long is dead")
    rebalance_seconds: float = setting(60.0, number(1), "how long a rebalance waits for a member to drain")
    request_seconds: float = setting(75.0, number(1), "how long a request may take; a join is one")
    poll_interval_seconds: float = setting(600.0, number(1), "a member that does not poll for this long leaves")
    metadata_seconds: float = setting(60.0, number(1), "how often to look for new partitions and leaders")
    delivery_seconds: float = setting(30.0, number(16), "unacknowledged for this long: new producer, sent again")
    fetch_bytes: int = setting(16 << 20, whole(1 << 20), "bytes asked of a broker at a time")
    partition_fetch_bytes: int = setting(1 << 20, whole(1 << 16), "bytes buffered per partition")
    request_bytes: int = setting(17 << 20, whole(1 << 20), "largest record that is produced")
    compression: str = setting("zstd", choice("zstd", "lz4", "gzip", "snappy", "none"), "of what is produced")


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker, and a window, may hold, and when it stops."""

    group: str | None = setting(None, optional(text), "consumer group (default: made of both bundles and the topic)")
    member: str | None = setting(None, optional(text), "static member id, unique in the group: keeps partitions")
    start: str = setting("earliest", choice("earliest", "latest"), "where a group without offsets begins")
    delivery: str = setting(
        "exactly_once", choice("exactly_once", "at_least_once"), "what a restart may write, and pay for, again"
    )
    bytes_in_flight: int = setting(64 << 20, whole(1 << 20), "bytes of traces read and not finished")
    span: int = setting(24_000, whole(1), "offsets a partition may be ahead of its first unfinished one")
    commit_seconds: float = setting(1.0, number(0.01), "how long results and offsets wait to be committed")
    commit_records: int = setting(1_000, whole(1), "records of a partition that are committed at once (exactly_once)")
    commit_bytes: int = setting(8 << 20, whole(1 << 16), "bytes of their results that are (exactly_once)")
    drain_seconds: float = setting(20.0, number(0), "how long a rebalance waits for replays in flight")
    grace_seconds: float = setting(25.0, number(0), "how long a stop waits for replays in flight")
    max_bad_run: int | None = setting(100, optional(whole(1)), "bad records in a row that stop the process (exit 4)")
    max_bad_share: float | None = setting(
        0.1, optional(number(0, 1)), "share of bad ones among the last 1,000 records that stops it (exit 4)"
    )
    http_host: str = setting("127.0.0.1", text, "address of /metrics, /healthz, /readyz; not loopback: needs a token")
    http_port: int | None = setting(None, optional(whole(0)), "its port (default: off)")
    http_token: str | None = setting(None, optional(text), "token that /metrics asks for", secret=True)
    http_token_file: str | None = setting(None, optional(text), "file that holds the token")


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """What the feed keeps and whom it serves."""

    host: str = setting("127.0.0.1", text, "address to listen on; not loopback: needs a token")
    port: int = setting(8420, whole(0), "port to listen on, 0 = a free one")
    token: str | None = setting(None, optional(text), "token every request must carry", secret=True)
    token_file: str | None = setting(None, optional(text), "file that holds the token")
    origins: tuple[str, ...] = setting((), texts, "web origins that may ask, beside the feed's own")
    state: str = setting("feed.sqlite", text, "SQLite file with offsets and what was folded from them")
    keep: int = setting(20_000, whole(1), "comparisons kept whole, the latest")
    days: int = setting(30, whole(1), "days that aggregates and ids are kept")
    clients: int = setting(500, whole(1), "listeners of /events at a time")
    backlog: int = setting(256, whole(1), "events a listener may be behind before it is dropped")


@dataclass(frozen=True, slots=True)
class Settings:
    """Every knob there is. The README's table is made of this class."""

    baseline: str | None = setting(None, optional(text), "directory of the bundle in production")
    candidates: tuple[str, ...] = setting((), texts, "directories of the bundles on trial; a run takes one")
    mode: str = setting("both", choice("both", "forced", "free"), "which replays to make of each trace")
    gate: str | None = setting(None, optional(text), "file of the gate (default: the baseline's rollout policy)")
    any_bundle: bool = setting(False, flag, "replay traces of other bundles too; they are never evidence")
    sample: float = setting(1.0, number(0, 1), "share of conversations to replay, by hash of the record key")
    sample_salt: str = setting("", text, "another salt draws another sample")
    samples: int = setting(1, whole(1), "independent repeats of every replay")
    lane_share: float = setting(0.0, number(0, 1), "share of conversations replayed with the baseline, too: its noise")
    concurrency: int = setting(32, whole(1), "replays in flight")
    max_usd: float | None = setting(None, optional(number(0)), "stop the intake when this much was spent (exit 4)")
    max_model_calls: int | None = setting(None, optional(whole(1)), "stop the intake after this many calls (exit 4)")
    unit_steps: int = setting(40, whole(1), "model calls one free replay may make")
    unit_tokens: int | None = setting(400_000, optional(whole(1)), "tokens one replay may use")
    unit_seconds: float = setting(300.0, number(0, open_low=True), "time one replay may spend in its model")
    unit_usd: float | None = setting(None, optional(number(0)), "money one replay may spend")
    call_seconds: float = setting(60.0, number(0, open_low=True), "time one model call may take, retries included")
    max_line_bytes: int = setting(64 << 20, whole(1024), "longer lines of a trace file are dead letters")
    max_record_bytes: int = setting(256 << 10, whole(4096), "content of a comparison is cut to this, after scoring")
    content: str = setting("full", choice("full", "digest"), "answers and arguments on comparisons, or digests only")
    embed: str | None = setting(None, optional(text), "package.module:function, texts to vectors: answer.semantic")
    batch: int = setting(64, whole(1), "finished replays scored at a time; scores do not depend on it")
    worst: int = setting(8, whole(0), "pairs shown in the summary")
    route_url: str | None = setting(None, optional(text), "model endpoint, in place of the one in release.yaml")
    baseline_route_url: str | None = setting(None, optional(text), "model endpoint of the baseline lane, if another")
    api_key: str | None = setting(None, optional(text), "key of the model endpoint", secret=True)
    log: str = setting("auto", choice("auto", "json", "text"), "form of the service's logs; auto = text on a terminal")
    log_level: str = setting("info", choice("debug", "info", "warning", "error"), "what is logged")
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    feed: FeedSettings = field(default_factory=FeedSettings)


class Loaded(NamedTuple):
    settings: Settings
    origins: Mapping[str, Origin]


class Row(NamedTuple):
    """One line of `shadow-replay config`."""

    name: str
    value: str
    origin: Origin
    help: str


class _Knob(NamedTuple):
    """A setting with its full name, and where it lives. `section` is empty for the root's own."""

    name: str
    section: str
    own_name: str
    default: Any
    parse: Parse
    help: str
    secret: bool


def setting_names() -> set[str]:
    """Full names of all settings, as flags, files and (in capitals, with the prefix) the environment use them."""
    return {knob.name for knob in _knobs()}


def load_settings(
    *, file: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]
) -> Loaded:
    """Merge the layers. Raises `UsageError` naming the layer, the key and what was expected."""
    layers: list[tuple[Origin, str, Mapping[str, object]]] = [
        ("file", str(file), _read_file(file)),
        ("environment", "the environment", _read_environment(environment)),
        ("flag", "the command line", {key: value for key, value in flags.items() if value is not None}),
    ]
    knobs = {knob.name: knob for knob in _knobs()}
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = dict.fromkeys(knobs, "default")
    for origin, where, layer in layers:
        for key, value in layer.items():
            if key not in knobs:
                raise UsageError(f"{where}: there is no setting {key!r}; `shadow-replay config` lists them")
            values[key] = _parsed(knobs[key], value, where)
            origins[key] = origin
    return Loaded(_assembled(knobs, values), origins)


def rows(loaded: Loaded) -> list[Row]:
    """Every setting with its value and origin; secrets are masked."""
    table = []
    for knob in _knobs():
        holder = getattr(loaded.settings, knob.section) if knob.section else loaded.settings
        value = getattr(holder, knob.own_name)
        shown = "****" if knob.secret and value else _shown(value)
        table.append(Row(knob.name, shown, loaded.origins[knob.name], knob.help))
    return table


def secret_of(value: str | None, file: str | None, name: str) -> str | None:
    """A secret from its setting or else from the file its `_file` setting names. Raises `UsageError`."""
    if value is not None or file is None:
        return value
    try:
        return Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"{name}_file: {file} cannot be read: {reason}") from None


def _knobs() -> Iterator[_Knob]:
    for item in fields(Settings):
        section = cast(Any, item.default_factory)
        if is_dataclass(section):
            for own in fields(section):
                yield _knob(f"{item.name}_{own.name}", item.name, own)
        else:
            yield _knob(item.name, "", item)


def _knob(name: str, section: str, item: Any) -> _Knob:
    facts = item.metadata
    return _Knob(name, section, item.name, item.default, cast(Parse, facts["parse"]), facts["help"], facts["secret"])


def _assembled(knobs: Mapping[str, _Knob], values: Mapping[str, Any]) -> Settings:
    root: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        knob = knobs[name]
        (sections.setdefault(knob.section, {}) if knob.section else root)[knob.own_name] = value
    for item in fields(Settings):
        if item.name in sections:
            root[item.name] = cast(Any, item.default_factory)(**sections[item.name])
    return Settings(**root)


def _parsed(knob: _Knob, value: object, where: str) -> object:
    try:
        return knob.parse(value)
    except SettingError as error:
        found = "not what it should be" if knob.secret else repr(value)
        raise UsageError(f"{where}: {knob.name} is {found}, expected {error}") from None


def _read_file(file: Path | None) -> Mapping[str, object]:
    if file is None:
        return {}
    try:
        return _flat(tomllib.loads(file.read_text("utf-8")))
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: not TOML: {error}") from None


def _flat(table: Mapping[str, object]) -> Mapping[str, object]:
    flat: dict[str, object] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= {f"{key}_{inner}": held for inner, held in value.items()}
        else:
            flat[key] = value
    return flat


def _read_environment(environment: Mapping[str, str]) -> Mapping[str, object]:
    prefixed = {key: value for key, value in environment.items() if key.startswith(ENVIRONMENT_PREFIX)}
    return {key.removeprefix(ENVIRONMENT_PREFIX).lower(): value for key, value in prefixed.items()}


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "-"
    return "-" if value is None or value == "" else str(value).lower() if isinstance(value, bool) else str(value)
