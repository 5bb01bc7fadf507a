"""The command line as an interface: help at once, exit codes, one line instead of a traceback."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from processes import COMMAND, CORPUS, shadow_replay
from replay import cli

ALL_COMMANDS = [
    [],
    ["run"],
    ["compare"],
    ["demo"],
    ["recorded-model"],
    ["config"],
    *[["bundle", name] for name in ("infer", "check", "show", "digest", "diff")],
    ["traces", "convert"],
]
HEAVY = ("litellm", "numpy", "pydantic", "aiohttp", "aiokafka", "anyio", "rich", "jinja2", "orjson", "msgspec", "tenacity")


def imported(*arguments: str) -> set[str]:
    """Top-level modules that a command has loaded when it ends."""
    code = (
        "import sys\nfrom replay.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print('\\n' + ' '.join(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("command", ALL_COMMANDS, ids=" ".join)
def test_help_needs_none_of_the_libraries(command):
    assert not imported(*command, "--help") & set(HEAVY)


@pytest.mark.parametrize("command", ALL_COMMANDS, ids=" ".join)
def test_every_command_has_help(command):
    assert "usage: shadow-replay" in shadow_replay(*command, "--help").stdout


def test_importing_the_product_opens_no_socket_and_loads_no_litellm():
    code = (
        "import sys, socket\n"
        "def refuse(*a, **k): raise SystemExit('a socket was opened')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "import importlib, pkgutil, replay, consumers, comparators\n"
        "for package in (replay, consumers, comparators):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
        "assert 'litellm' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", CORPUS / "none.jsonl", "--baseline", "x", "--out", "y"], "candidates"),
        (["run", "x"], "--out"),
        (["run", "x", "--out", "y"], "no baseline"),
        (["bundle", "check", "no-such-directory"], "no-such-directory"),
        (["bundle", "fly"], "invalid choice"),
        (["run", "x", "--out", "y", "--limit", "-1"], "at least 1"),
        (["run", "x", "--out", "y", "--limit", "many"], "at least 1"),
        (["config", "--config", "no-such-file.toml"], "no-such-file.toml"),
        (["compare", CORPUS / "none.jsonl", CORPUS / "none.jsonl", "--out", "y"], "none.jsonl"),
        (["recorded-model", "--corpus", CORPUS / "tau2-retail.jsonl.gz", "--bundle", "none"], "none"),
        (["recorded-model", "--corpus", "x", "--bundle", "y", "--faults", "nonsense:1"], "nonsense"),
    ],
)
def test_a_users_mistake_is_exit_3_and_words(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = shadow_replay(*arguments, check=3)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_no_command_is_a_usage_error():
    assert shadow_replay(check=3).stdout == ""


def test_config_masks_secrets_and_names_origins(tmp_path, monkeypatch):
    monkeypatch.setenv("SHADOW_REPLAY_API_KEY", "sk-very-secret")
    done = shadow_replay("config", "--json")
    found = {row["name"]: row for row in json.loads(done.stdout)}
    assert (found["api_key"]["value"], found["api_key"]["origin"]) == ("****", "environment")
    assert "sk-very-secret" not in shadow_replay("config").stdout


def test_convert_writes_what_can_be_read_again(tmp_path):
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    shadow_replay("traces", "convert", CORPUS / "tau2-retail.jsonl.gz", first)
    assert len(first.read_text().splitlines()) == 526
    shadow_replay("traces", "convert", first, second)
    assert shadow_replay("traces", "convert", second, tmp_path / "c.jsonl").stdout.startswith("526 traces")
    assert (tmp_path / "c.jsonl").read_bytes() == first.read_bytes()


def test_traces_can_come_from_standard_input(tmp_path):
    line = b'{"schema":"trace/1","trace_id":"t","bundle":{"id":"other"},"request":{"messages":[]}}\n'
    bundle = tmp_path / "bundle"
    shadow_replay("bundle", "infer", CORPUS / "tau2-retail.jsonl.gz", "--bundle", "tau2/retail/llm_agent/gpt-4.1", "--route", "http://127.0.0.1:9/v1", "--out", bundle)
    command = [*COMMAND, "run", "-", "--baseline", str(bundle), "--candidate", str(bundle), "--json", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, input=line, capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout)["refused"] == {"other_bundle": 1}


def test_an_interrupt_is_exit_130(monkeypatch):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("consumers.bundle_commands.config", interrupted)
    assert cli.main(["config"]) == 130
