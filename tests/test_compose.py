"""compose.yaml and the Dockerfile against what they name. Nothing here needs Docker, so nothing here proves they run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from brokers import IMAGE
from replay.cli import _parser
from replay.settings import ENVIRONMENT_PREFIX, Settings, load_settings, setting_names

REPOSITORY = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "shadow-replay"}
PROBED = {"worker": "worker_http_port", "feed": "feed_port"}
ONE_SHOT = {"topics"}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's lines as (instruction, rest); it continues none."""
    lines = (REPOSITORY / "Dockerfile").read_text().splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line and line[0] != "#")]


def environment(service: str) -> dict[str, Any]:
    return SERVICES[service].get("environment", {})


def ours(service: str) -> dict[str, str]:
    """Our variables as a process would see them; a secret has some value."""
    found = {name: value for name, value in environment(service).items() if name.startswith(ENVIRONMENT_PREFIX)}
    return {name: "secret" if value is None else str(value) for name, value in found.items()}


def test_the_services() -> None:
    assert set(SERVICES) == {"kafka", *ONE_SHOT, *PROBED}
    assert set(OURS) == {*ONE_SHOT, *PROBED}


@pytest.mark.parametrize("service", OURS)
def test_every_variable_is_a_setting_with_a_value_it_takes(service: str) -> None:
    assert {name.removeprefix(ENVIRONMENT_PREFIX).lower() for name in ours(service)} <= setting_names()
    loaded = load_settings(file=None, environment=ours(service), flags={}).settings
    assert isinstance(loaded, Settings)
    assert loaded.kafka.bootstrap == "kafka:19092"


@pytest.mark.parametrize("service", SERVICES)
def test_no_secret_has_a_value(service: str) -> None:
    secrets = [name for name in environment(service) if name.endswith(("_TOKEN", "_KEY", "_PASSWORD", "_SECRET"))]
    assert [environment(service)[name] for name in secrets] == [None] * len(secrets)


@pytest.mark.parametrize("service", OURS)
def test_every_command_is_one(service: str) -> None:
    assert _parser().parse_args(SERVICES[service]["command"]).target


@pytest.mark.parametrize("service", sorted(set(SERVICES) - ONE_SHOT))
def test_what_stays_has_a_health_check_and_comes_back(service: str) -> None:
    assert SERVICES[service]["healthcheck"]["test"]
    assert SERVICES[service]["restart"].startswith("on-failure")


@pytest.mark.parametrize("service", SERVICES)
def test_everything_waits_for_what_it_needs(service: str) -> None:
    conditions = {name: needed["condition"] for name, needed in SERVICES[service].get("depends_on", {}).items()}
    for name, condition in conditions.items():
        assert condition == ("service_completed_successfully" if name in ONE_SHOT else "service_healthy")
    assert ("topics" in conditions) == (service in PROBED)


def test_what_runs_once_is_not_started_again() -> None:
    assert [SERVICES[name]["restart"] for name in ONE_SHOT] == ["no"]


@pytest.mark.parametrize(("service", "setting"), PROBED.items())
def test_a_probe_asks_the_port_that_is_set_and_published(service: str, setting: str) -> None:
    port = environment(service)[f"{ENVIRONMENT_PREFIX}{setting.upper()}"]
    kind, program, option, code = SERVICES[service]["healthcheck"]["test"]
    assert (kind, program, option) == ("CMD", "python", "-c")
    compile(code, service, "exec")
    assert f'("127.0.0.1", {port},' in code
    assert "/readyz" in code
    assert SERVICES[service]["ports"] == [f"127.0.0.1:{port}:{port}"]


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_published_on_loopback_only(service: str) -> None:
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in SERVICES[service].get("ports", []))


@pytest.mark.parametrize("service", SERVICES)
def test_memory_is_limited(service: str) -> None:
    assert re.fullmatch(r"\d+[mg]", SERVICES[service]["mem_limit"])


def test_volumes_are_declared_and_bundles_read_only() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    bundles = [mount for mount in mounts if ":/bundles" in mount]
    assert all(mount.endswith(":ro") for mount in bundles)
    assert {mount.split(":")[0] for mount in mounts if mount not in bundles} == set(COMPOSE["volumes"])
    assert all(environment(name)["SHADOW_REPLAY_BASELINE"].startswith("/bundles/") for name in PROBED)


def test_the_broker_is_kafka_4_and_the_one_of_the_tests() -> None:
    assert SERVICES["kafka"]["image"] == IMAGE
    assert re.fullmatch(r"apache/kafka:4\.\d+\.\d+", IMAGE)


def test_the_broker_advertises_what_it_listens_on() -> None:
    settings = environment("kafka")
    listening = {part.split("://")[0] for part in settings["KAFKA_LISTENERS"].split(",")}
    advertised = dict(part.split("://") for part in settings["KAFKA_ADVERTISED_LISTENERS"].split(","))
    assert listening == {*advertised, settings["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    assert listening == {part.split(":")[0] for part in settings["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")}
    assert advertised["INTERNAL"] == environment("worker")["SHADOW_REPLAY_KAFKA_BOOTSTRAP"]
    assert SERVICES["kafka"]["ports"] == [f"{advertised['HOST']}:9092"]


def test_the_image_copies_what_exists() -> None:
    copies = [shlex.split(rest)[:-1] for word, rest in instructions() if word == "COPY" and "--from=" not in rest]
    sources = [source for copy in copies for source in copy]
    assert [source for source in sources if not (REPOSITORY / source).exists()] == []
    assert {"replay", "consumers", "comparators", "locks/image.txt"} <= set(sources)


def test_the_image_is_locked_and_runs_the_program_as_nobody_special() -> None:
    installs = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    assert all("--require-hashes -r locks/image.txt" in rest or "--no-deps" in rest for rest in installs)
    words = [word for word, _ in instructions()]
    assert words.index("USER") > max(at for at, word in enumerate(words) if word == "FROM")
    assert dict(instructions())["USER"] not in ("root", "0")
    assert json.loads(dict(instructions())["ENTRYPOINT"]) == ["shadow-replay"]
