"""The broker of the integration tests: a given one, a container, or a local one. No broker is a failure, not a skip."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from trustme import CA

from local_kafka import LocalKafka, free_ports, missing_tools

BOOTSTRAP_VARIABLE = "REPLAY_TEST_BOOTSTRAP"
NO_BROKER = f"no Kafka broker for the tests: set {BOOTSTRAP_VARIABLE}, start Docker, or install Java 17 and Maven"
#: The same as in compose.yaml. testcontainers' own Kafka drives another vendor's images.
IMAGE = "apache/kafka:4.1.1"


def find_broker() -> AbstractContextManager[str]:
    """The bootstrap servers of a broker that lasts as long as the context. Raises `RuntimeError` if there is none."""
    if given := os.environ.get(BOOTSTRAP_VARIABLE):
        return nullcontext(given)
    if _docker_answers():
        return _container()
    if not missing_tools():
        return _local()
    raise RuntimeError(NO_BROKER)


def write_broker_certificate(authority: CA, path: Path) -> Path:
    """A certificate for loopback as a `TlsListener` wants it; returns `path`. trustme's own PEM has a PKCS#1 key."""
    made = authority.issue_cert("127.0.0.1", "localhost")
    key = load_pem_private_key(made.private_key_pem.bytes(), password=None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem + b"".join(blob.bytes() for blob in made.cert_chain_pems))
    return path


@contextmanager
def _local() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="kafka-") as directory, LocalKafka(Path(directory)) as kafka:
        yield kafka.bootstrap


def _docker_answers() -> bool:
    """A client alone is no daemon. Asked in another process: a refused docker client leaves its socket open."""
    ask = [sys.executable, "-c", "import docker; docker.from_env(timeout=5).ping()"]
    return subprocess.run(ask, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60).returncode == 0


@contextmanager
def _container() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    (port,) = free_ports(1)  # chosen here: the broker has to advertise it
    container = DockerContainer(IMAGE)
    # with_bind_ports would publish it to the network; the Docker client takes the pair.
    container.ports["9092/tcp"] = ("127.0.0.1", port)  # type: ignore[assignment]
    for name, value in _image_environment(port).items():
        container.with_env(name, value)
    with container.waiting_for(LogMessageWaitStrategy("Kafka Server started")):
        yield f"127.0.0.1:{port}"


def _image_environment(port: int) -> dict[str, str]:
    """Complete: any variable given replaces the image's whole default configuration."""
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "INTERNAL://:19092,CONTROLLER://:9093,PLAINTEXT://:9092",
        "KAFKA_ADVERTISED_LISTENERS": f"INTERNAL://localhost:19092,PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "INTERNAL",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
    }
