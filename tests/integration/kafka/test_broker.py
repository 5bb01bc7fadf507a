"""The broker the other tests rely on is a real Apache Kafka 4, keeps what it acknowledged, and checks passwords."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from anyio import fail_after
from anyio.to_thread import run_sync

import brokers
import local_kafka as local_kafka_module
from brokers import write_broker_certificate
from local_kafka import BrokerError, LocalKafka, TlsListener, free_ports

SCRIPT = Path(local_kafka_module.__file__)
FETCH_API = 1
#: Kafka 4.0 dropped the requests of clients older than 2.1; Kafka 3 still answers version 0.
OLDEST_FETCH_OF_KAFKA_4 = 4


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # aiokafka knows no other


@asynccontextmanager
async def admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def create(bootstrap: str, topic: str, *, replicas: int = 1, **options: Any) -> None:
    async with admin(bootstrap) as client:
        answer = await client.create_topics([NewTopic(topic, 2, replicas, **options)])
        assert [error for _, error, *_ in answer.topic_errors] == [0]


async def produce(bootstrap: str, topic: str, value: bytes, **options: Any) -> None:
    options = {"acks": "all", "enable_idempotence": True, "request_timeout_ms": 20_000, **options}
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **options)
    try:
        await producer.start()
        await producer.send_and_wait(topic, value, key=b"k")
    finally:
        await producer.stop()


async def consume(bootstrap: str, topic: str, **options: Any) -> bytes:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", **options)
    try:
        await consumer.start()
        return (await consumer.getone()).value
    finally:
        await consumer.stop()


async def test_the_shared_broker_is_kafka_4(kafka_bootstrap: str) -> None:
    async with admin(kafka_bootstrap) as client:
        node = client._client.get_random_node()
        assert await client._client.ready(node)
        versions = client._client._conns[(node, 0)]._versions
    assert versions[FETCH_API][0] == OLDEST_FETCH_OF_KAFKA_4


async def test_a_record_goes_in_and_comes_out(kafka_bootstrap: str, topic_names: Any) -> None:
    await create(kafka_bootstrap, topic_names.traces)
    await produce(kafka_bootstrap, topic_names.traces, b"hello")
    assert await consume(kafka_bootstrap, topic_names.traces, group_id=topic_names.traces) == b"hello"


async def test_a_killed_broker_comes_back_with_its_records(local_kafka: Callable[..., LocalKafka]) -> None:
    kafka = await run_sync(local_kafka)
    assert f"Kafka version: {local_kafka_module.KAFKA_VERSION}" in kafka.log_text()
    await create(kafka.bootstrap, "kept")
    await produce(kafka.bootstrap, "kept", b"before")
    kafka.kill()
    assert not kafka.alive
    await run_sync(kafka.restart)
    assert await consume(kafka.bootstrap, "kept") == b"before"


async def test_a_paused_broker_answers_when_it_is_resumed(local_kafka: Callable[..., LocalKafka]) -> None:
    kafka = await run_sync(local_kafka)
    await create(kafka.bootstrap, "paused")
    kafka.pause()
    with pytest.raises(TimeoutError):
        await create_within(1, kafka.bootstrap)
    kafka.resume()
    await produce(kafka.bootstrap, "paused", b"after")
    assert await consume(kafka.bootstrap, "paused") == b"after"


async def create_within(seconds: float, bootstrap: str) -> None:
    with fail_after(seconds):
        await create(bootstrap, "never")


async def test_three_nodes_write_on_when_one_is_killed(local_kafka: Callable[..., LocalKafka]) -> None:
    kafka = await run_sync(lambda: local_kafka(nodes=3))
    await create(kafka.bootstrap, "replicated", replicas=3, topic_configs={"max.message.bytes": str(32 << 20)})
    large = b"\0" * (20 << 20)
    await produce(kafka.bootstrap, "replicated", large, max_request_size=32 << 20)
    kafka.kill(2)
    await produce(kafka.bootstrap, "replicated", large, max_request_size=32 << 20)
    await run_sync(lambda: kafka.restart(2))
    assert kafka.alive


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Any:
    """One cluster for all password tests: they break nothing."""
    directory = tmp_path_factory.mktemp("secure")
    certificate = write_broker_certificate(authority, directory / "server.pem")
    tls = TlsListener(certificate, scram={"alice": "alice-secret"}, plain={"bob": "bob-secret"})
    with LocalKafka(directory / "kafka", tls=tls) as kafka:
        yield kafka


def credentials(authority: trustme.CA, mechanism: str, name: str, password: str) -> dict[str, Any]:
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    return {
        "security_protocol": "SASL_SSL",
        "ssl_context": trust,
        "sasl_mechanism": mechanism,
        "sasl_plain_username": name,
        "sasl_plain_password": password,
    }


USERS = [("SCRAM-SHA-256", "alice"), ("SCRAM-SHA-512", "alice"), ("PLAIN", "bob")]


@pytest.mark.parametrize(("mechanism", "name"), USERS)
async def test_the_right_password_is_let_in(secure: LocalKafka, authority: Any, mechanism: str, name: str) -> None:
    await create(secure.bootstrap, mechanism)
    login = credentials(authority, mechanism, name, f"{name}-secret")
    await produce(secure.sasl_bootstrap, mechanism, b"secret", **login)
    assert await consume(secure.sasl_bootstrap, mechanism, **login) == b"secret"


@pytest.mark.parametrize(("mechanism", "name"), USERS)
async def test_a_wrong_password_is_refused(secure: LocalKafka, authority: Any, mechanism: str, name: str) -> None:
    login = credentials(authority, mechanism, name, "wrong")
    with pytest.raises(KafkaError):
        await produce(secure.sasl_bootstrap, mechanism, b"", request_timeout_ms=3000, **login)


def test_no_broker_at_all_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(brokers.BOOTSTRAP_VARIABLE, raising=False)
    monkeypatch.setattr(brokers, "_docker_answers", lambda: False)
    monkeypatch.setattr(brokers, "missing_tools", lambda: ["Java"])
    with pytest.raises(RuntimeError, match=f"set {brokers.BOOTSTRAP_VARIABLE}, start Docker, or install Java 17"):
        brokers.find_broker()


def test_a_given_broker_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(brokers.BOOTSTRAP_VARIABLE, "broker:1")
    with brokers.find_broker() as bootstrap:
        assert bootstrap == "broker:1"


def test_a_taken_port_is_said(local_kafka: Callable[..., LocalKafka]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BrokerError, match="is taken"):
            local_kafka(port=taken.getsockname()[1])


def test_a_given_port_is_not_chosen_once_more_for_the_controller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, *rest) = free_ports(6)
    monkeypatch.setattr(local_kafka_module.random, "sample", lambda *_: [first, *rest])
    (node,) = LocalKafka(tmp_path, port=first)._nodes
    assert len({node.port, node.controller_port, node.sasl_port}) == 3


def test_a_broker_that_cannot_start_says_why_and_leaves_no_process(tmp_path: Path) -> None:
    kafka = LocalKafka(tmp_path, properties={"log.retention.bytes": "plenty"})
    with pytest.raises(BrokerError, match="plenty"):
        kafka.start()
    assert not kafka.alive


def test_the_script_says_when_it_is_ready_and_keeps_the_data(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    command = [sys.executable, SCRIPT, "--port", str(port), "--dir", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert f"ready on 127.0.0.1:{port}" in process.stdout.readline()
        process.terminate()
        assert process.wait(timeout=60) == 0
    assert (tmp_path / "node-1/data/meta.properties").exists()
    assert is_free(port)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part in it is Linux's")
def test_the_broker_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    command = [sys.executable, SCRIPT, "--port", str(port), "--dir", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert is_free(port)


def is_free(port: int) -> bool:
    deadline = time.monotonic() + 10
    while local_kafka_module._listening(port) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not local_kafka_module._listening(port)
