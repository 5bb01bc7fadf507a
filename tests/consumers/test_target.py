"""`gate target` as a user types it: who is certified, where a rollback goes, exit codes."""

from __future__ import annotations

import json
import os
import time

import pytest
from msgspec.structs import replace

from consumers import target_command
from consumers.stream import StreamError
from judged import gate, pair, side
from replay.cli import main
from replay.exact_json import dumps, loads
from replay.gate.docket import Docket
from replay.wire import encode

DAY = 86_400_000_000_000


def verdict(candidate, baseline, decision, *, days_ago, the_gate=None):
    docket = Docket(the_gate or gate())
    for number in range(60):
        for comparison in pair(number, side(escalates=decision == "roll_back")):
            docket.enter(comparison)
    docket.finish()
    found = docket.verdict(now=None if days_ago is None else time.time_ns() - int(days_ago * DAY))
    run = f"{candidate} beside {baseline}"
    return replace(found, run_id=run, candidate=candidate, baseline=baseline, decision=decision)


@pytest.fixture
def directory(tmp_path):
    def write(name, it):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_bytes(dumps({"verdict": loads(encode(it))}))
        return str(tmp_path / name)

    return write


def test_a_certified_baseline_is_gone_back_to(directory, capsys):
    old = directory("old", verdict("v2", "v1", "promote", days_ago=3))
    new = directory("new", verdict("v3", "v2", "roll_back", days_ago=1))
    assert main(["gate", "target", new, old]) == 0
    told = capsys.readouterr().out
    assert told.startswith("bundles that a verdict promotes, the newest first: 1\n  v2  ")
    assert "from v3, by the verdict on v3 beside v2:\n  go back to v2: it is the baseline, and certified" in told
    assert main(["gate", "target", new, old, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["target"], found["certified"], [it["bundle"] for it in found["certificates"]]) == ("v2", True, ["v2"])
    assert found["certified_at"] == found["certificates"][0]["at"]


def test_one_that_is_not_certified_is_exit_1_and_another_is_named(directory, capsys):
    older = directory("older", verdict("v1", "v0", "promote", days_ago=9))
    new = directory("new", verdict("v3", "v2", "roll_back", days_ago=1))
    assert main(["gate", "target", older, new]) == 1
    told = capsys.readouterr().out
    assert "go back to v2: it is the baseline, but NOT certified by any of 2 verdicts that were read" in told
    assert "certified instead: v1" in told


def test_certificates_expire_by_the_gate_of_the_verdict_or_the_one_that_is_given(directory, tmp_path, capsys):
    strict = gate(rollback_target={"require_certified_within": "2d"})
    old = directory("old", verdict("v2", "v1", "promote", days_ago=3))
    new = directory("new", verdict("v3", "v2", "roll_back", days_ago=1, the_gate=strict))
    assert main(["gate", "target", old, new]) == 1
    assert "bundles that a verdict promotes, no older than 2d, the newest first: 0" in capsys.readouterr().out
    (tmp_path / "gate.yaml").write_text("metrics: [{id: escalation, kind: paired_binary, margin: 0.05}]")
    assert main(["gate", "target", old, new, "--gate", str(tmp_path / "gate.yaml")]) == 0


def test_a_verdict_that_says_no_date_is_of_when_its_file_was_written(directory):
    strict = gate(rollback_target={"require_certified_within": "2d"})
    old = directory("old", verdict("v2", "v1", "promote", days_ago=None))
    new = directory("new", verdict("v3", "v2", "roll_back", days_ago=0.001, the_gate=strict))
    assert main(["gate", "target", old, new]) == 0
    long_ago = time.time() - 3 * 86_400
    os.utime(f"{old}/summary.json", (long_ago, long_ago))
    assert main(["gate", "target", old, new]) == 1


def on_topic(verdicts):
    async def told(_):
        for it in verdicts:
            yield it

    return told


def test_the_topic_is_asked_for_a_run_and_without_a_directory(directory, monkeypatch, capsys):
    verdicts = [verdict("v2", "v1", "promote", days_ago=3), verdict("v3", "v2", "roll_back", days_ago=2), verdict("v9", "v8", "roll_back", days_ago=1)]
    monkeypatch.setattr(target_command, "all_told", on_topic(verdicts))
    assert main(["gate", "target", "--run", "v3 beside v2"]) == 0
    assert "go back to v2" in capsys.readouterr().out
    assert main(["gate", "target"]) == 1  # the newest: nobody has promoted v8
    old = directory("old", verdict("v8", "v7", "promote", days_ago=5))
    assert main(["gate", "target", old, "--run", "v9 beside v8"]) == 0


@pytest.mark.parametrize(("arguments", "told"), [([], "there is no verdict"), (["--run", "r"], "there is no verdict on r"), (["/nowhere"], "cannot be read")])
def test_what_cannot_be_told_is_said(monkeypatch, capsys, arguments, told):
    monkeypatch.setattr(target_command, "all_told", on_topic([]))
    assert main(["gate", "target", *arguments]) == 3
    assert told in capsys.readouterr().err


def test_a_broker_that_is_away_is_no_certificate(monkeypatch, capsys):
    async def away(_):
        raise StreamError("the broker is away")
        yield

    monkeypatch.setattr(target_command, "all_told", away)
    assert main(["gate", "target"]) == 3
    assert "the broker is away" in capsys.readouterr().err
