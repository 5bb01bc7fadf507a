"""Brokers of the Kafka tests: one shared by the session, private ones for tests that break them; fresh topics."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from brokers import find_broker
from kafka_service import Stand
from local_kafka import LocalKafka

#: Clusters start and processes are killed here, while the machine has other work: each wait has a bound of its own.
TIMEOUT_SECONDS = 900


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where `--timeout` says nothing else."""
    if config.getoption("timeout") is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))


@dataclass(frozen=True)
class TopicNames:
    """Names no other test uses; nothing creates them."""

    traces: str
    comparisons: str
    dead_letters: str
    verdicts: str


@pytest.fixture(autouse=True)
def tidy() -> Iterator[None]:
    """What a test leaves open is found at its own end, and not blamed on whichever test the collector runs in."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """The shared broker. Tests use their own topics and groups, and leave it running."""
    with find_broker() as bootstrap:
        yield bootstrap


@pytest.fixture
def local_kafka(tmp_path: Path) -> Iterator[Callable[..., LocalKafka]]:
    """Start a private cluster, with the arguments of `LocalKafka` but the directory. Needs Java and Maven, even
    where the shared broker is another one: nothing else lets a test kill, pause and restart a node.
    """
    numbers = count(1)
    with ExitStack() as stack:

        def started(**options: Any) -> LocalKafka:
            kafka = LocalKafka(tmp_path / f"kafka-{next(numbers)}", **options)
            stack.callback(kafka.close)
            return kafka.start()

        yield started


@pytest.fixture
def topic_names() -> TopicNames:
    suffix = uuid4().hex[:12]
    return TopicNames(*(f"{name}-{suffix}" for name in ("traces", "comparisons", "dead-letters", "verdicts")))


@pytest.fixture
def stand(kafka_bootstrap: str, topic_names: TopicNames) -> Stand:
    """The shared broker with topics of the test's own, not made yet."""
    return Stand(
        kafka_bootstrap, topic_names.traces, topic_names.comparisons, topic_names.dead_letters, topic_names.verdicts
    )
