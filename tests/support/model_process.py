"""A recorded model that a test can stop, continue, kill and start again on its port; and one that never answers."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_kafka import free_ports
from processes import COMMAND


class ModelProcess:
    """A context manager. `log`: what it was asked, over all its lives."""

    def __init__(self, corpus: Path, log: Path, *, latency: float) -> None:
        (self._port,) = free_ports(1)
        self._corpus, self._latency, self.log = corpus, latency, log
        self._lives = 0
        self._process: subprocess.Popen[str] | None = None
        self.url = f"http://127.0.0.1:{self._port}/v1"

    def start(self) -> None:
        self._lives += 1
        log = self.log.with_suffix(f".{self._lives}")
        options = ["--latency", self._latency, "--log", log, "--port", self._port]
        command = [*COMMAND, "recorded-model", "--corpus", self._corpus, "--bundle", "candidate", *options]
        self._process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        assert json.loads(self._process.stdout.readline())["listening"] == self.url

    def send(self, what: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(what)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=20)
        assert self._process.stdout is not None
        self._process.stdout.close()
        lives = sorted(self.log.parent.glob(f"{self.log.stem}.[0-9]*"))
        self.log.write_bytes(b"".join(life.read_bytes() for life in lives))

    def __enter__(self) -> ModelProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@contextmanager
def deaf_model() -> Iterator[str]:
    """Takes connections and requests, and never says a word; gives its URL."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                held.append(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=10)
            for connection in held:
                connection.close()
