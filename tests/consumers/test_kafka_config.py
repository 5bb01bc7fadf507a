"""Settings that lose data or members are refused, each for its own reason; the others reach the client as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consumers.kafka_config import RULES, broken_rules, check, connection, membership, reading, unreachable, writing
from replay.errors import UsageError
from replay.settings import KafkaSettings, Settings, WorkerSettings

KAFKA, WORKER = KafkaSettings(), WorkerSettings()
LOGIN = {"security": "sasl_ssl", "sasl": "PLAIN"}
BROKEN = [
    ({}, {"drain_seconds": 60.0}, "worker_drain_seconds"),
    ({"request_seconds": 65.0}, {}, "kafka_request_seconds"),
    ({"session_seconds": 61.0}, {}, "kafka_session_seconds must not exceed"),
    ({"poll_interval_seconds": 36.0, "session_seconds": 10.0}, {}, "kafka_poll_interval_seconds must be more than worker_drain"),
    (
        {"session_seconds": 50.0, "poll_interval_seconds": 45.0},
        {},
        "kafka_poll_interval_seconds must be more than kafka_session",
    ),
    (LOGIN, {}, "kafka_username and kafka_password"),
    (LOGIN | {"username": "u"}, {}, "kafka_username and kafka_password"),
    ({"security": "sasl_ssl", "sasl": "OAUTHBEARER", "client_id": "c"}, {}, "kafka_token_url"),
    ({"key_file": "k.pem"}, {}, "kafka_key_file needs"),
]


def test_the_defaults_go_together():
    assert not list(broken_rules(KAFKA, WORKER))
    check(Settings())


@pytest.mark.parametrize(("kafka", "worker", "words"), BROKEN)
def test_each_broken_combination_is_named(kafka, worker, words):
    found = list(broken_rules(replace(KAFKA, **kafka), replace(WORKER, **worker)))
    assert len(found) == 1
    assert found[0].startswith(words)


def test_every_rule_has_a_case():
    named = {rule.otherwise for rule in RULES for _, _, words in BROKEN if rule.otherwise.startswith(words)}
    assert named == {rule.otherwise for rule in RULES}


def test_all_that_is_wrong_is_said_at_once():
    settings = replace(Settings(), kafka=replace(KAFKA, key_file="k", request_seconds=1.0))
    with pytest.raises(UsageError, match=r"(?s)go together:.*kafka_request_seconds.*kafka_key_file"):
        check(settings)


@pytest.mark.parametrize(
    "allowed",
    [
        LOGIN | {"username": "u", "password": "p"},
        LOGIN | {"username": "u", "password_file": "/p"},
        {"security": "sasl_ssl", "sasl": "OAUTHBEARER", "token_url": "u", "client_id": "c", "client_secret_file": "f"},
        {"certificate_file": "c", "key_file": "k"},
    ],
)
def test_what_is_complete_is_allowed(allowed):
    assert not list(broken_rules(replace(KAFKA, **allowed), WORKER))


def test_nothing_commits_by_itself_and_aborted_records_are_not_read():
    told = reading(KAFKA)
    assert told["enable_auto_commit"] is False
    assert told["isolation_level"] == "read_committed"


def test_a_producer_waits_for_all_replicas_and_writes_nothing_twice():
    told = writing(replace(KAFKA, compression="none", request_bytes=123))
    assert (told["acks"], told["enable_idempotence"], told["compression_type"]) == ("all", True, None)
    assert told["max_request_size"] == 123


def test_a_member_beats_several_times_a_session_and_keeps_its_name():
    told = membership(replace(KAFKA, session_seconds=30.0), replace(WORKER, member="pod-3", start="latest"))
    assert told["session_timeout_ms"] == 30_000
    assert told["heartbeat_interval_ms"] * 3 <= told["session_timeout_ms"]
    assert (told["group_instance_id"], told["auto_offset_reset"]) == ("pod-3", "latest")


def test_a_login_is_told_to_the_client_from_a_file(tmp_path):
    (tmp_path / "p").write_text("s3cret\n")
    kafka = replace(KAFKA, security="sasl_plaintext", sasl="PLAIN", username="u", password_file=str(tmp_path / "p"))
    told = connection(kafka)
    assert (told["sasl_plain_username"], told["sasl_plain_password"]) == ("u", "s3cret")
    assert "ssl_context" not in told


def test_a_secret_file_that_is_not_there_is_named(tmp_path):
    kafka = replace(KAFKA, security="sasl_plaintext", sasl="PLAIN", username="u", password_file=str(tmp_path / "none"))
    with pytest.raises(UsageError, match="kafka_password_file: .*none cannot be read"):
        connection(kafka)


def test_what_could_be_wrong_depends_on_how_one_connects():
    plain = unreachable(KAFKA, TimeoutError())
    assert "plaintext" in plain
    assert "ca_file" not in plain
    secure = unreachable(replace(KAFKA, security="sasl_ssl", sasl="SCRAM-SHA-256"), TimeoutError())
    assert "kafka_ca_file" in secure
    assert "SCRAM-SHA-256 user and password" in secure
