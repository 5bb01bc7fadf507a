"""A verdict that was written is found again from its comparisons, and another gate can be tried on them."""

from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path

import pytest

from replay.cli import main

CORPUS = Path(__file__).parent.parent / "corpus" / "tau-bench-airline.jsonl.gz"
STRICT = "metrics: [{id: tool_mismatch, kind: paired_binary, margin: 0.05}]"
LAX = "metrics: [{id: tool_mismatch, kind: paired_binary, margin: 0.6}, {id: escalation, kind: paired_binary, margin: 0.6}]"


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Three trials of one bundle: production, its lane, and the candidate."""
    place = tmp_path_factory.mktemp("compared")
    (place / "strict.yaml").write_text(STRICT)
    (place / "lax.yaml").write_text(LAX)
    code = main([
        "compare", str(CORPUS), str(CORPUS), "--lane", str(CORPUS), "--gate", str(place / "strict.yaml"),
        "--where", "request.attributes.trial=0", "--where-b", "request.attributes.trial=1",
        "--where-lane", "request.attributes.trial=2", "--out", str(place / "out"),
    ])  # fmt: skip
    assert code == 1  # fifty conversations prove nothing about five points
    return place


def test_a_verdict_is_found_again(compared, capsys):
    assert main(["gate", "refold", str(compared / "out")]) == 0
    assert "found again from 50 conversations" in capsys.readouterr().out


def test_a_task_that_the_candidate_was_never_given_is_no_failure_of_it_there_neither(compared, tmp_path, capsys):
    with gzip.open(CORPUS) as lines:
        (tmp_path / "b.jsonl").write_bytes(b"".join(line for line in lines if json.loads(line)["task_id"] > "2"))
    code = main([
        "compare", str(CORPUS), str(tmp_path / "b.jsonl"), "--lane", str(CORPUS), "--gate", str(compared / "strict.yaml"),
        "--where", "request.attributes.trial=0", "--where-b", "request.attributes.trial=1",
        "--where-lane", "request.attributes.trial=2", "--out", str(tmp_path / "out"), "--json",
    ])  # fmt: skip
    verdict = json.loads(capsys.readouterr().out)["verdict"]
    assert (code, verdict["failed"]) == (1, 0)
    assert verdict["conversations"] < 50
    assert main(["gate", "refold", str(tmp_path / "out")]) == 0


def test_one_that_was_changed_by_hand_is_not(compared, tmp_path, capsys):
    summary = json.loads((compared / "out" / "summary.json").read_text())
    summary["verdict"]["decision"] = "promote"
    summary["verdict"]["metrics"][0]["pairs"] += 1
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "comparisons.jsonl").write_bytes((compared / "out" / "comparisons.jsonl").read_bytes())
    assert main(["gate", "refold", str(tmp_path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["differing"] == ["decision", "metrics[0].pairs"]


def test_nor_is_one_of_which_a_comparison_is_gone(compared, tmp_path, capsys):
    lines = (compared / "out" / "comparisons.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "comparisons.jsonl").write_bytes(b"".join(lines[:-1]))
    (tmp_path / "summary.json").write_bytes((compared / "out" / "summary.json").read_bytes())
    assert main(["gate", "refold", str(tmp_path)]) == 1
    assert "DIFFERS" in capsys.readouterr().out


def test_another_gate_may_decide_otherwise_and_promotes_nobody(compared, capsys):
    asked = ["gate", "what-if", str(compared / "out"), "--gate", str(compared / "lax.yaml")]
    assert main(asked) == 1
    first, second, third, *_ = capsys.readouterr().out.splitlines()
    assert first == "a gate that is chosen after the data were seen promises no error rate: this promotes nobody"
    assert (second, third[:16]) == ("it was hold; with this gate it would have been:", "VERDICT: PROMOTE")
    assert main([*asked, "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["decision"] == "promote"
    assert "promises no error rate" in told.err


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (None, "comparisons.jsonl: no such file; expected the directory that `run` or `compare` wrote"),
        (b"GOOD\n{no json\n", "comparisons.jsonl: line 2 is no comparison: "),
        (b'GOOD\nGOOD\n{"schema": "trace/1"}\n', "comparisons.jsonl: line 3 is no comparison: "),
    ],
)
def test_what_was_written_and_cannot_be_read_is_told_by_file_and_line(compared, tmp_path, capsys, lines, told):
    out, gate_file = compared / "out", str(compared / "strict.yaml")
    (tmp_path / "summary.json").write_bytes((out / "summary.json").read_bytes())
    if lines is not None:
        good = (out / "comparisons.jsonl").read_bytes().splitlines()[0]
        (tmp_path / "comparisons.jsonl").write_bytes(lines.replace(b"GOOD", good))
    for command in (["gate", "refold"], ["report"], ["gate", "plan", "--gate", gate_file, "--results"]):
        assert main([*command, str(tmp_path)]) == 3
        assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["refold"], "give DIR"),
        (["refold", "somewhere", "--run", "r"], "give DIR"),
        (["refold", "/nowhere"], "cannot be read"),
        (["what-if", "OUT"], "give --gate FILE"),
    ],
)
def test_what_cannot_be_done_is_said(compared, capsys, arguments, told):
    given = [str(compared / "out") if it == "OUT" else it for it in arguments]
    assert main(["gate", *given]) == 3
    assert told in capsys.readouterr().err


def test_a_run_without_a_gate_has_no_verdict_to_find(compared, tmp_path, capsys):
    place = tmp_path / "out"
    given = tmp_path / "one.jsonl"
    with gzip.open(CORPUS) as lines:
        given.write_bytes(b"".join(islice(lines, 3)))
    assert main(["compare", str(given), str(given), "--toolsets", str(CORPUS.parent / "toolsets.json"), "--out", str(place)]) == 0
    assert main(["gate", "refold", str(place)]) == 3
    assert "holds no verdict" in capsys.readouterr().err
