"""From settings to what the Kafka client is told, and the refusal of settings that lose data or members.

Nothing here connects. The figures come from hazards of the client that were reproduced on real brokers: a drain
that outlives the rebalance timeout hands all partitions to others while this member still works on them; a join
that outlives the request timeout is sent again; a member that polls too seldom leaves its group.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from replay.errors import UsageError
from replay.settings import KafkaSettings, Settings, WorkerSettings, secret_of

#: A commit may wait this long: a coordinator that is lost takes 10 to 12 s to come back elsewhere.
COMMIT_SECONDS = 16.0
#: A join is one request that lasts as long as the rebalance; this much more and it is not sent twice.
JOIN_MARGIN_SECONDS = 10.0
#: Heartbeats per session.
_HEARTBEATS = 15


class Rule(NamedTuple):
    """A relation that must hold between settings, and what goes wrong when it does not."""

    holds: Callable[[KafkaSettings, WorkerSettings], bool]
    otherwise: str


RULES: tuple[Rule, ...] = (
    Rule(
        lambda kafka, worker: worker.drain_seconds + COMMIT_SECONDS < kafka.rebalance_seconds,
        f"worker_drain_seconds + {COMMIT_SECONDS:g} must be less than kafka_rebalance_seconds: a member that drains "
        "for longer loses its partitions while it still works on them",
    ),
    Rule(
        lambda kafka, _: kafka.request_seconds >= kafka.rebalance_seconds + JOIN_MARGIN_SECONDS,
        f"kafka_request_seconds must be at least kafka_rebalance_seconds + {JOIN_MARGIN_SECONDS:g}: joining a group is "
        "one request that lasts as long as the rebalance",
    ),
    Rule(
        lambda kafka, _: kafka.session_seconds <= kafka.rebalance_seconds,
        "kafka_session_seconds must not exceed kafka_rebalance_seconds: a dead member would hold up every rebalance",
    ),
    Rule(
        lambda kafka, worker: kafka.poll_interval_seconds > worker.drain_seconds + COMMIT_SECONDS,
        f"kafka_poll_interval_seconds must be more than worker_drain_seconds + {COMMIT_SECONDS:g}: nothing is polled "
        "while a member drains, and one that does not poll leaves its group",
    ),
    Rule(
        lambda kafka, _: kafka.poll_interval_seconds > kafka.session_seconds,
        "kafka_poll_interval_seconds must be more than kafka_session_seconds",
    ),
    Rule(
        lambda kafka, _: not kafka.security.startswith("sasl") or kafka.sasl == "OAUTHBEARER" or _has_login(kafka),
        "kafka_username and kafka_password (or kafka_password_file) are needed to log in",
    ),
    Rule(
        lambda kafka, _: not kafka.security.startswith("sasl") or kafka.sasl != "OAUTHBEARER" or _has_client(kafka),
        "kafka_token_url, kafka_client_id and kafka_client_secret (or its _file) are needed for OAUTHBEARER",
    ),
    Rule(
        lambda kafka, _: kafka.key_file is None or kafka.certificate_file is not None,
        "kafka_key_file needs kafka_certificate_file",
    ),
)


def check(settings: Settings) -> None:
    """Raise `UsageError` listing every combination that cannot be trusted."""
    if not __debug__:
        raise UsageError("python runs with -O, which strips the Kafka client of the checks it works by; leave it off")
    broken = list(broken_rules(settings.kafka, settings.worker))
    if broken:
        raise UsageError("\n  ".join(["these settings do not go together:", *broken]))


def broken_rules(kafka: KafkaSettings, worker: WorkerSettings) -> Iterator[str]:
    return (rule.otherwise for rule in RULES if not rule.holds(kafka, worker))


def connection(kafka: KafkaSettings) -> dict[str, Any]:
    """What every client is told. Raises `UsageError` when a secret or certificate cannot be read."""
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap,
        "client_id": "shadow-replay",
        "security_protocol": kafka.security.upper(),
        "request_timeout_ms": _ms(kafka.request_seconds),
        "metadata_max_age_ms": _ms(kafka.metadata_seconds),
    }
    if kafka.security.endswith("ssl"):
        options["ssl_context"] = _trust(kafka)
    if kafka.security.startswith("sasl"):
        options["sasl_mechanism"] = kafka.sasl
        if kafka.sasl != "OAUTHBEARER":
            options["sasl_plain_username"] = kafka.username
            options["sasl_plain_password"] = secret_of(kafka.password, kafka.password_file, "kafka_password")
    return options


def reading(kafka: KafkaSettings) -> dict[str, Any]:
    """What every reader is told beside the connection."""
    return {
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "fetch_max_bytes": kafka.fetch_bytes,
        "max_partition_fetch_bytes": kafka.partition_fetch_bytes,
        "fetch_max_wait_ms": 250,
    }


def membership(kafka: KafkaSettings, worker: WorkerSettings) -> dict[str, Any]:
    """What a member of a group is told."""
    return {
        "auto_offset_reset": worker.start,
        "group_instance_id": worker.member,
        "session_timeout_ms": _ms(kafka.session_seconds),
        "heartbeat_interval_ms": _ms(kafka.session_seconds / _HEARTBEATS),
        "rebalance_timeout_ms": _ms(kafka.rebalance_seconds),
        "max_poll_interval_ms": _ms(kafka.poll_interval_seconds),
    }


def writing(kafka: KafkaSettings) -> dict[str, Any]:
    """What a producer is told: every record acknowledged by all replicas, none twice for a retry of the client."""
    return {
        "acks": "all",
        "enable_idempotence": True,
        "max_batch_size": 900_000,
        "linger_ms": 5,
        "max_request_size": kafka.request_bytes,
        "compression_type": None if kafka.compression == "none" else kafka.compression,
        "request_timeout_ms": 30_000,
    }


def transacting(kafka: KafkaSettings, transactional_id: str) -> dict[str, Any]:
    """What a producer of transactions is told beside that. One that dies leaves its own open for no longer than this:
    until then, readers of what is committed see nothing behind it. The next claim ends it at once.
    """
    return {"transactional_id": transactional_id, "transaction_timeout_ms": _ms(2 * kafka.delivery_seconds)}


def unreachable(kafka: KafkaSettings, error: Exception) -> str:
    """One line for a client that could not start: it does not say itself whether address, trust or login is wrong."""
    doubts = [f"is kafka_bootstrap right and does it speak {kafka.security}"]
    if kafka.security.endswith("ssl"):
        doubts.append("is kafka_ca_file the one that signed its certificate")
    if kafka.security.startswith("sasl"):
        doubts.append(f"are the {kafka.sasl} user and password right")
    return f"no Kafka at {kafka.bootstrap}: {', '.join(doubts)}? ({type(error).__name__})"


def _trust(kafka: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=kafka.ca_file)
        if kafka.certificate_file is not None:
            context.load_cert_chain(kafka.certificate_file, kafka.key_file)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(name for name in (kafka.ca_file, kafka.certificate_file, kafka.key_file) if name)
        raise UsageError(f"certificates cannot be used ({files}): {error.strerror or error}") from None
    return context


def _has_login(kafka: KafkaSettings) -> bool:
    return kafka.username is not None and (kafka.password is not None or kafka.password_file is not None)


def _has_client(kafka: KafkaSettings) -> bool:
    secret = kafka.client_secret is not None or kafka.client_secret_file is not None
    return kafka.token_url is not None and kafka.client_id is not None and secret


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
