"""TLS and SCRAM: the right password works, a wrong one is one line, and no secret is seen anywhere."""

from __future__ import annotations

import subprocess

import pytest
import trustme

import many_traces
from brokers import write_broker_certificate
from kafka_service import Stand, eventually
from local_kafka import LocalKafka, TlsListener

SECRET = "alice-secret-9d1f"


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secure")
    authority = trustme.CA()
    certificate = write_broker_certificate(authority, folder / "broker.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    tls = TlsListener(certificate, scram={"alice": SECRET}, plain={"bob": "bob-secret"})
    with LocalKafka(folder / "kafka", tls=tls) as kafka:
        stand = Stand(kafka.sasl_bootstrap, "traces", "comparisons", "dead-letters", "verdicts")
        security = {"kafka_security": "sasl_ssl", "kafka_ca_file": folder / "ca.pem", "kafka_username": "alice"}
        yield stand.having(**security)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory, model_of, bundle_of):
    corpus = many_traces.write(tmp_path_factory.mktemp("c") / "corpus.jsonl", 20, "production", "candidate")
    url = model_of(corpus, "candidate")
    return "--baseline", bundle_of(corpus, "production"), "--candidate", bundle_of(corpus, "candidate", url)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256"])
def test_the_right_password_works_from_end_to_end_and_is_seen_nowhere(stand, bundles, mechanism, tmp_path):
    stand = stand.having(kafka_sasl=mechanism, kafka_password=SECRET, worker_group=mechanism)
    stand.create(partitions=1)
    stand.run("traces", "produce", many_traces.write(tmp_path / "traces.jsonl", 20))
    with stand.member(tmp_path / "worker.log", *bundles) as worker:
        eventually(lambda: stand.lag(*bundles)["lag"] == 0, 60, alive=worker)
        shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        assert SECRET not in shown
        worker.terminate()
    assert SECRET not in worker.log.read_text()
    assert SECRET not in stand.run("config").stdout


def test_a_password_may_stand_in_a_file(stand, tmp_path):
    (tmp_path / "password").write_text(SECRET + "\n")
    assert stand.having(kafka_password_file=tmp_path / "password").run("topics", "create").returncode == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kafka_password": "not-it-77"}, "are the SCRAM-SHA-512 user and password right"),
        ({"kafka_password": SECRET, "kafka_username": "mallory"}, "user and password right"),
        ({"kafka_password": SECRET, "kafka_ca_file": ""}, "is kafka_ca_file the one that signed its certificate"),
        ({"kafka_password": SECRET, "kafka_ca_file": "/nowhere.pem"}, "certificates cannot be used (/nowhere.pem)"),
        ({}, "kafka_username and kafka_password (or kafka_password_file) are needed"),
        ({"kafka_password": SECRET, "kafka_security": "plaintext"}, "does it speak plaintext"),
    ],
)
@pytest.mark.parametrize("command", ["lag", "worker"])
def test_what_is_wrong_is_one_line_without_the_secret(stand, bundles, command, wrong, words):
    stand = stand.having(kafka_request_seconds=70, kafka_rebalance_seconds=60, **wrong)
    refused = stand.run(command, *bundles, check=3)
    lines = [line for line in refused.stderr.strip().splitlines() if not line.endswith("go together:")]
    assert len(lines) == 1
    assert words in lines[0]
    assert "not-it-77" not in refused.stderr
    assert SECRET not in refused.stderr
