"""A real Apache Kafka (KRaft, broker and controller in one) on loopback, from Maven jars and a local Java: no Docker.

For tests, `with LocalKafka(tmp_path) as kafka`; for a person, `python tests/support/local_kafka.py [--port 9092]`.

The jars are resolved once and shared by all runs, in `$REPLAY_TEST_KAFKA_JARS` or `.kafka/lib-<version>` of the
repository. Beside them stand two caches that only save time: a formatted data directory and a class-data archive.
"""

from __future__ import annotations

import argparse
import atexit
import fcntl
import hashlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

#: Not prefixed SHADOW_REPLAY_: the program takes every such variable for one of its settings.
KAFKA_VERSION = os.environ.get("REPLAY_TEST_KAFKA_VERSION", "4.1.1")
JARS_VARIABLE = "REPLAY_TEST_KAFKA_JARS"
JAVA_NEEDED = 17

_REPOSITORY = Path(__file__).resolve().parents[2]
_LOG4J_VERSION = "2.24.3"
_COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_MAVEN_SECONDS = 600
_START_SECONDS = 90
_STOP_SECONDS = 30
_POLL_SECONDS = 0.05
_TAIL_LINES = 30
_READY = "Kafka Server started"
_CLUSTER_ID = "c2hhZG93LXJlcGxheS10ZQ"
_JVM = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-Djava.awt.headless=true")
_TOOL_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
#: Below the range the system lends to outgoing connections: a dead broker's port is still free when it comes back.
_PORTS = range(20_000, 32_000)

#: Becomes its arguments after asking the kernel to end it with its parent. Linux alone knows the request.
_TIED_TO_PARENT = """
import os, signal, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
# The kernel's "parent" is a thread, and the one that calls may be a short-lived worker: this one lives to the end.
_LAUNCHER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="local-kafka")

_LOG4J = """<Configuration status="WARN"><Appenders><Console name="out" target="SYSTEM_OUT">
<PatternLayout pattern="%d %p %m (%c)%n"/></Console></Appenders>
<Loggers><Root level="INFO"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""
_POM = """<project>
<modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>{dependencies}</dependencies>
</project>
"""


class BrokerError(RuntimeError):
    """No broker: the words say what failed and carry the end of its log."""


@dataclass(frozen=True, slots=True)
class TlsListener:
    """A SASL_SSL listener beside the plaintext one. `certificate` is PEM, the PKCS#8 key first.

    `scram` users are known to SCRAM-SHA-256 and SCRAM-SHA-512, `plain` users to PLAIN: name to password.
    """

    certificate: Path
    scram: Mapping[str, str] = field(default_factory=dict)
    plain: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Node:
    number: int
    directory: Path
    port: int
    controller_port: int
    sasl_port: int
    process: subprocess.Popen[bytes] | None = None
    paused: bool = False
    log_offset: int = 0

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    @property
    def properties(self) -> Path:
        return self.directory / "server.properties"

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log_text(self) -> str:
        """What this start of the node has logged so far."""
        with self.log.open("rb") as log:
            log.seek(self.log_offset)
            return log.read().decode("utf-8", "replace")


class LocalKafka:
    """A cluster of one or three nodes; a context manager that starts and closes it.

    It owns the `node-*` directories below `directory`. `port` is node 1's, the others follow it; without one, free
    ports are chosen. `properties` are added to every node's server.properties and win over what is there.
    """

    def __init__(
        self,
        directory: Path,
        *,
        nodes: int = 1,
        port: int | None = None,
        tls: TlsListener | None = None,
        properties: Mapping[str, str] = {},
    ) -> None:
        if nodes not in (1, 3):
            raise ValueError(f"{nodes} nodes: expected 1 or 3")
        self.directory = directory.absolute()
        self._tls = tls
        self._properties = dict(properties)
        given = [] if port is None else list(range(port, port + nodes))
        ports = free_ports(3 * nodes, besides=given)
        brokers = given or ports[:nodes]
        self._nodes = [
            _Node(i + 1, self.directory / f"node-{i + 1}", brokers[i], ports[nodes + i], ports[2 * nodes + i])
            for i in range(nodes)
        ]

    @property
    def bootstrap(self) -> str:
        """The plaintext listeners, `host:port,host:port`."""
        return ",".join(f"127.0.0.1:{node.port}" for node in self._nodes)

    @property
    def sasl_bootstrap(self) -> str:
        """The SASL_SSL listeners; only with `tls`."""
        if self._tls is None:
            raise ValueError("this cluster has no TLS listener")
        return ",".join(f"127.0.0.1:{node.sasl_port}" for node in self._nodes)

    @property
    def alive(self) -> bool:
        """Whether every node's process runs; a paused one does."""
        return all(node.alive for node in self._nodes)

    def log_text(self, node: int = 1) -> str:
        """What the node logged since it was last started."""
        return self._node(node).log_text()

    def start(self) -> Self:
        """Start the nodes that do not run and wait until topics can be made.

        Raises `BrokerError` with the end of the log; no process is left then.
        """
        jars = resolve_jars()
        atexit.register(self._kill_all)
        try:
            starting = [node for node in self._nodes if not node.alive]
            for node in starting:
                self._prepare(node, jars)
            for node in starting:
                self._launch(node, jars)
            for node in starting:
                self._wait_ready(node)
        except BaseException:
            self._kill_all()
            raise
        return self

    def kill(self, node: int = 1) -> None:
        """SIGKILL: nothing is flushed, no one is told."""
        target = self._node(node)
        _kill(target)

    def terminate(self, node: int = 1) -> None:
        """SIGTERM and wait: a controlled shutdown, ended by SIGKILL if it takes too long."""
        self._stop([self._node(node)])

    def stop(self) -> None:
        """Terminate all nodes; the data stays, and `start` goes on with it."""
        self._stop(self._nodes)

    def pause(self, node: int = 1) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._signal(node, signal.SIGSTOP)
        self._node(node).paused = True

    def resume(self, node: int = 1) -> None:
        """SIGCONT, after `pause`."""
        self._signal(node, signal.SIGCONT)
        self._node(node).paused = False

    def restart(self, node: int = 1) -> None:
        """Start the node again with its data and port, terminating it first if it runs; waits until it is ready."""
        target = self._node(node)
        self._stop([target])
        self._launch(target, resolve_jars())
        self._wait_ready(target)

    def close(self) -> None:
        """End every process and remove the data. May be called twice."""
        first = self._nodes[0]
        if first.alive and _pending_archive(first):  # only a clean shutdown writes it
            self._stop([first])
        self._kill_all()
        atexit.unregister(self._kill_all)
        for node in self._nodes:
            shutil.rmtree(node.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _node(self, number: int) -> _Node:
        return self._nodes[number - 1]

    def _signal(self, number: int, what: signal.Signals) -> None:
        process = self._node(number).process
        if process is None or process.poll() is not None:
            raise BrokerError(f"node {number} does not run")
        process.send_signal(what)

    def _prepare(self, node: _Node, jars: Path) -> None:
        node.directory.mkdir(parents=True, exist_ok=True)
        (node.directory / "log4j2.xml").write_text(_LOG4J)
        lines = {**self._node_properties(node), **self._tls_properties(), **self._properties}
        node.properties.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        if not (node.directory / "data/meta.properties").exists():
            _format(node, jars, _scram_arguments(self._tls))

    def _node_properties(self, node: _Node) -> dict[str, str]:
        listeners = {"PLAINTEXT": node.port, "CONTROLLER": node.controller_port}
        if self._tls is not None:
            listeners["SASL_SSL"] = node.sasl_port
        shown = {name: f"{name}://127.0.0.1:{port}" for name, port in listeners.items()}
        return {
            "node.id": str(node.number),
            "process.roles": "broker,controller",
            "log.dirs": str(node.directory / "data"),
            "listeners": ",".join(shown.values()),
            "advertised.listeners": ",".join(text for name, text in shown.items() if name != "CONTROLLER"),
            "controller.quorum.voters": ",".join(f"{n.number}@127.0.0.1:{n.controller_port}" for n in self._nodes),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL",
            **_replication(len(self._nodes)),
            **_COMMON,
        }

    def _tls_properties(self) -> dict[str, str]:
        if self._tls is None:
            return {}
        security = "org.apache.kafka.common.security"
        users = "".join(f' user_{name}="{password}"' for name, password in self._tls.plain.items())
        listener = "listener.name.sasl_ssl"
        return {
            "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
            f"{listener}.scram-sha-256.sasl.jaas.config": f"{security}.scram.ScramLoginModule required;",
            f"{listener}.scram-sha-512.sasl.jaas.config": f"{security}.scram.ScramLoginModule required;",
            f"{listener}.plain.sasl.jaas.config": f"{security}.plain.PlainLoginModule required{users};",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._tls.certificate.absolute()),
        }

    def _launch(self, node: _Node, jars: Path) -> None:
        if _listening(node.port):
            raise BrokerError(f"port {node.port} is taken")
        node.log_offset = node.log.stat().st_size if node.log.exists() else 0
        arguments = [*_JVM, *_archive_options(node, jars), *_logging(node), "-cp", _class_path(jars)]
        command = ["java", *arguments, "kafka.Kafka", str(node.properties)]
        with node.log.open("ab") as log:
            node.process = _LAUNCHER.submit(_start_process, command, log.fileno()).result()
        node.paused = False

    def _wait_ready(self, node: _Node) -> None:
        """The line is logged after the node is registered, caught up and unfenced."""
        deadline = time.monotonic() + _START_SECONDS
        while _READY not in node.log_text():
            if not node.alive:
                raise BrokerError(f"node {node.number} ended while starting:\n{_tail(node.log_text())}")
            if time.monotonic() > deadline:
                raise BrokerError(f"node {node.number}: not ready in {_START_SECONDS} s:\n{_tail(node.log_text())}")
            time.sleep(_POLL_SECONDS)

    def _stop(self, nodes: Sequence[_Node]) -> None:
        deadline = time.monotonic() + _STOP_SECONDS
        running = [node for node in nodes if node.alive]
        for node in running:
            if node.paused:
                self.resume(node.number)
            self._signal(node.number, signal.SIGTERM)
        for node in running:
            assert node.process is not None
            with suppress(subprocess.TimeoutExpired):
                node.process.wait(max(deadline - time.monotonic(), 0.1))
                _keep_archive(node)
            _kill(node)

    def _kill_all(self) -> None:
        for node in self._nodes:
            _kill(node)


#: A test waits for none of the delays that spare a large cluster work.
_COMMON = {
    "num.partitions": "4",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.num.partitions": "3",
    "share.coordinator.state.topic.num.partitions": "3",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # A killed node is let in again when its old registration has expired.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "500",
    # Topics with max.message.bytes of 32 MiB replicate; requests may be 100 MiB by default. message.max.bytes would be
    # the default of every topic, so it stays as a user's broker has it.
    "replica.fetch.max.bytes": str(32 << 20),
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": str(8 << 20),
}


def _replication(nodes: int) -> dict[str, str]:
    factor, in_sync = (3, 2) if nodes >= 3 else (1, 1)
    counts = {"default.replication.factor": factor, "min.insync.replicas": in_sync}
    counts["offsets.topic.replication.factor"] = factor
    for log in ("transaction.state.log", "share.coordinator.state.topic"):
        counts |= {f"{log}.replication.factor": factor, f"{log}.min.isr": in_sync}
    return {key: str(value) for key, value in counts.items()}


# Processes and ports


def _start_process(command: Sequence[str], log: int) -> subprocess.Popen[bytes]:
    """In its own group: Ctrl-C reaches this process, which then decides how the broker ends."""
    stub = [sys.executable, "-I", "-S", "-c", _TIED_TO_PARENT]
    return subprocess.Popen([*stub, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0)


def _kill(node: _Node) -> None:
    if node.process is not None and node.process.poll() is None:
        node.process.kill()
        node.process.wait()
    node.paused = False


def free_ports(count: int, *, besides: Collection[int] = ()) -> list[int]:
    """Different loopback ports nobody listens on now. `besides`: ports that somebody is about to listen on."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            break
        if port in besides:
            continue
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _tail(log: str) -> str:
    return "\n".join(log.splitlines()[-_TAIL_LINES:])


# Java and its jars


@cache
def java_version() -> str | None:
    """What `java` calls itself, as in "17.0.15"; none when there is no `java`."""
    if shutil.which("java") is None:
        return None
    done = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=30)
    found = re.search(r'version "([^"]+)"', done.stderr + done.stdout)
    return found[1] if found else None


def missing_tools() -> list[str]:
    """What has to be installed before a broker can run here, in words; empty when nothing."""
    missing = []
    version = java_version()
    major = re.match(r"\d+", version) if version else None
    if major is None or int(major[0]) < JAVA_NEEDED:
        missing.append(f"Java {JAVA_NEEDED} or newer ({'none' if version is None else version} found)")
    if not _resolved(_jar_directory()) and shutil.which("mvn") is None:
        missing.append("Maven (mvn)")
    return missing


def resolve_jars() -> Path:
    """The directory of the jars; Maven fills it at first. One process at a time does so."""
    if missing := missing_tools():
        raise BrokerError(f"a local Kafka needs {' and '.join(missing)}")
    directory = _jar_directory()
    if not _resolved(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with _locked(directory / ".lock"):
            if not _resolved(directory):
                _run_maven(directory)
    return directory


def _jar_directory() -> Path:
    given = os.environ.get(JARS_VARIABLE)
    return Path(given).absolute() if given else _REPOSITORY / ".kafka" / f"lib-{KAFKA_VERSION}"


def _resolved(directory: Path) -> bool:
    return (directory / ".complete").exists()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run_maven(directory: Path) -> None:
    sys.stderr.write(f"resolving Apache Kafka {KAFKA_VERSION} into {directory} (once)\n")
    wanted = [
        ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
        ("org.apache.logging.log4j", "log4j-slf4j-impl", _LOG4J_VERSION),
        ("org.apache.logging.log4j", "log4j-core", _LOG4J_VERSION),
    ]
    form = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
    pom = directory / "pom.xml"
    pom.write_text(_POM.format(dependencies="".join(form.format(*one) for one in wanted)))
    options = ["-B", "-q", "-f", str(pom), f"-DoutputDirectory={directory}", "-DincludeScope=runtime"]
    done = subprocess.run(["mvn", *options, _COPY_GOAL], capture_output=True, text=True, timeout=_MAVEN_SECONDS)
    if done.returncode != 0:
        raise BrokerError(f"Maven could not resolve Kafka {KAFKA_VERSION}:\n{_tail(done.stdout + done.stderr)}")
    (directory / ".complete").touch()


def _class_path(jars: Path) -> str:
    """Sorted: a class-data archive is of use only to the same list in the same order."""
    return os.pathsep.join(str(jar) for jar in sorted(jars.glob("*.jar")))


def _logging(node: _Node) -> list[str]:
    return [f"-Dlog4j2.configurationFile=file:{node.directory / 'log4j2.xml'}"]


# The two caches


def _scram_arguments(tls: TlsListener | None) -> list[str]:
    users = tls.scram.items() if tls else ()
    pairs = [(mechanism, *user) for user in users for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")]
    return [word for m, name, secret in pairs for word in ("--add-scram", f"{m}=[name={name},password={secret}]")]


def _format(node: _Node, jars: Path, arguments: Sequence[str]) -> None:
    """Give the node an empty, formatted data directory. Nothing in it but the ids depends on the node."""
    data, cached = node.directory / "data", jars / ".formatted"
    if arguments:  # users are in it
        _run_format(node, jars, arguments)
        return
    if not cached.exists():
        _run_format(node, jars, arguments)
        _publish(data, cached)
        return
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(cached, data)
    meta = data / "meta.properties"
    text = re.sub(r"(?m)^node\.id=.*", f"node.id={node.number}", meta.read_text())
    meta.write_text(re.sub(r"(?m)^directory\.id=.*", f"directory.id={_new_id()}", text))


def _run_format(node: _Node, jars: Path, arguments: Sequence[str]) -> None:
    options = [*_TOOL_JVM, *_archive_use(jars), *_logging(node), "-cp", _class_path(jars), "kafka.tools.StorageTool"]
    task = ["format", "--ignore-formatted", "-t", _CLUSTER_ID, "-c", str(node.properties), *arguments]
    done = subprocess.run(["java", *options, *task], capture_output=True, text=True, timeout=_START_SECONDS)
    if done.returncode != 0:
        raise BrokerError(f"formatting node {node.number} failed:\n{_tail(done.stdout + done.stderr)}")


def _publish(data: Path, cached: Path) -> None:
    """Another process may do the same at this moment, or the directory be read-only: either is as good."""
    mine = cached.with_name(f"{cached.name}-{os.getpid()}")
    with suppress(OSError):
        shutil.copytree(data, mine)
        mine.rename(cached)
    shutil.rmtree(mine, ignore_errors=True)


def _new_id() -> str:
    """A Kafka UUID; the tools take a leading hyphen for an option."""
    text = "-"
    while text.startswith("-"):
        text = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return text


def _archive(jars: Path) -> Path:
    """An archive is of use only to the very Java and class path that wrote it."""
    key = hashlib.sha256(f"{java_version()} {_class_path(jars)}".encode()).hexdigest()[:12]
    return jars / f"classes-{key}.jsa"


def _archive_use(jars: Path) -> list[str]:
    archive = _archive(jars)
    return [f"-XX:SharedArchiveFile={archive}", "-Xlog:cds=off"] if archive.exists() else []


def _archive_options(node: _Node, jars: Path) -> list[str]:
    if _archive(jars).exists() or node.number != 1 or not os.access(jars, os.W_OK):
        return _archive_use(jars)
    (node.directory / "archive").write_text(str(_archive(jars)))
    return [f"-XX:ArchiveClassesAtExit={node.directory / 'classes.jsa'}", "-Xlog:cds=off"]


def _pending_archive(node: _Node) -> bool:
    return (node.directory / "archive").exists()


def _keep_archive(node: _Node) -> None:
    """After a clean shutdown: move what the node has written to where the next start looks for it."""
    written, note = node.directory / "classes.jsa", node.directory / "archive"
    if not note.exists():
        return
    with suppress(OSError):
        destination = Path(note.read_text())
        beside = destination.with_name(f"{destination.name}-{os.getpid()}")
        shutil.copyfile(written, beside)
        beside.replace(destination)
    written.unlink(missing_ok=True)
    note.unlink()


# The command


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one broker until Ctrl-C or SIGTERM. The data stays, and the next start goes on with it."""
    parser = argparse.ArgumentParser(description="A real Apache Kafka on loopback until Ctrl-C.")
    parser.add_argument("--port", type=int, default=9092, help="of the plaintext listener (default 9092)")
    parser.add_argument("--dir", type=Path, default=_REPOSITORY / ".kafka/data", help="data (default .kafka/data)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    kafka = LocalKafka(options.dir, port=options.port)
    try:
        return _serve(kafka)
    except BrokerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        kafka.stop()


def _serve(kafka: LocalKafka) -> int:
    kafka.start()
    sys.stdout.write(
        f"Kafka {KAFKA_VERSION} ready on {kafka.bootstrap}; Ctrl-C stops it, its data stays in {kafka.directory}\n"
    )
    sys.stdout.flush()
    while kafka.alive:
        time.sleep(0.5)
    raise BrokerError(f"the broker ended by itself:\n{_tail(kafka.log_text())}")


if __name__ == "__main__":
    sys.exit(main())
