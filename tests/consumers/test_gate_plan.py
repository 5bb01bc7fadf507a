"""`gate plan` and `gate test` as a user types them: exit codes, words, JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from judged import pair, side
from replay.cli import main
from replay.wire import encode

README = (Path(__file__).parent.parent.parent / "README.md").read_text()
#: Certifiable within its plan, and stands every drill it covers.
SOUND = 'gate: {metrics: [{id: escalation, kind: paired_binary, margin: 0.02}], max_pairs: 8000}'
BLIND = 'gate: {metrics: [{id: escalation, kind: paired_binary, margin: 0.01}], max_pairs: 1000}'
LAX = 'gate: {metrics: [{id: escalation, kind: paired_binary, margin: 0.10}]}'


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "gate.yaml"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def results(tmp_path):
    """What an earlier run wrote: a lane that escalates in one of ten conversations where production did not."""
    late, calm = side(escalates=True), side()
    lines = [encode(it) for number in range(100) for it in pair(number, calm, late if number % 10 == 0 else calm)]
    (tmp_path / "comparisons.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return str(tmp_path)


def test_a_plan_says_pairs_days_and_money(written, capsys):
    assert main(["gate", "plan", "--gate", written(SOUND), "--pairs-per-day", "1000", "--usd-per-conversation", "0.05", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["refused"] == []
    assert 0 < plan["metrics"][0]["expected_pairs"] < plan["metrics"][0]["likely_pairs"] == plan["pairs"] <= 8000
    assert (plan["days"], plan["usd"]) == (pytest.approx(plan["pairs"] / 1000), pytest.approx(plan["pairs"] * 0.05))
    assert main(["gate", "plan", "--gate", written(SOUND)]) == 0
    assert "money not known" in capsys.readouterr().out


def test_a_verdict_while_records_are_under_way_needs_more_pairs(written, capsys):
    found = []
    for partitions in ((), ("--partitions", "1"), ("--partitions", "24")):
        assert main(["gate", "plan", "--gate", written(SOUND), *partitions, "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out)["pairs"])
    assert found == sorted(set(found))
    assert main(["gate", "plan", "--gate", written(SOUND), "--partitions", "24"]) == 0
    assert "of 24 partitions the next conversation is under way" in capsys.readouterr().out
    assert main(["gate", "plan", "--gate", written(SOUND), "--partitions", "400"]) == 3


def test_a_blind_gate_is_refused_in_words(written, capsys):
    assert main(["gate", "plan", "--gate", written(BLIND)]) == 3
    assert "blind_metric [escalation]: with 1,000 pairs its margin of 0.01 can not be certified" in capsys.readouterr().out


def test_an_earlier_run_says_how_much_noise_there_is_and_what_it_costs(written, results, capsys):
    assert main(["gate", "plan", "--gate", written(SOUND), "--results", results, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    metric = plan["metrics"][0]
    assert metric["assumed"] == "the baseline lane against itself, 100 pairs"
    assert metric["usd"] == pytest.approx(metric["likely_pairs"] * 0.02)  # both lanes cost a cent


def test_one_pair_is_one_pair_and_a_margin_that_proves_nothing_is_noted(written, capsys):
    everything = SOUND.replace("0.02", "1")
    assert main(["gate", "plan", "--gate", written(everything)]) == 0
    told = capsys.readouterr().out
    assert "  1 pair is likely to do, money not known" in told
    assert "note: escalation: a margin of 1 lets 99.9 of 100 conversations get worse" in told
    assert main(["gate", "test", "--gate", written(everything)]) == 1  # the control: nothing is stopped by it


def test_a_metric_without_a_margin_is_planned_for_nothing(written, capsys):
    told = SOUND.replace("margin: 0.02}", "margin: 0.02}, {id: verbosity, kind: paired_bounded, dry_run: true}")
    assert main(["gate", "plan", "--gate", written(told)]) == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if "verbosity" in line)
    assert row.split()[1] == "-"
    assert "never" not in row


def test_guesses_of_an_earlier_run_are_named_and_no_wider_margin_is_advised(written, results, tmp_path, capsys):
    path = tmp_path / "comparisons.jsonl"
    lines = path.read_bytes().splitlines()
    halted = [line.replace(b'"disposition":"compared"', b'"disposition":"censored"') if number % 12 == 0 else line for number, line in enumerate(lines)]
    path.write_bytes(b"\n".join(halted) + b"\n")
    assert main(["gate", "plan", "--gate", written(SOUND), "--results", results]) == 3
    told = capsys.readouterr().out
    assert "! stub_gap [escalation]: stubs guessed in 17.0% of the earlier run's conversations" in told
    assert "refused: no run could be promoted by this gate\n" in told
    assert "widen a margin" not in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["plan"], "no gate"),
        (["test"], "no gate"),
        (["plan", "--gate", "/nowhere"], "cannot be read"),
        (["plan", "--gate", "GATE", "--results", "/nowhere"], "no such file"),
        (["plan", "--gate", "GATE", "--results", "LANELESS"], "no conversation has a baseline lane"),
    ],
)
def test_what_cannot_be_planned_is_said(written, tmp_path, capsys, arguments, told):
    (tmp_path / "comparisons.jsonl").write_bytes(encode(pair(1, lane_probability=0.0)[0]) + b"\n")
    given = [{"GATE": written(SOUND), "LANELESS": str(tmp_path)}.get(it, it) for it in arguments]
    assert main(["gate", *given]) == 3
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("amount", ["0", "-1", "nan", "inf", "much"])
def test_amounts_are_numbers_above_nothing(written, amount):
    with pytest.raises(SystemExit):
        main(["gate", "plan", "--gate", written(SOUND), "--pairs-per-day", amount])


def test_a_gate_that_lets_a_regression_through_is_exit_1_and_words(written, capsys):
    assert main(["gate", "test", "--gate", written(LAX)]) == 1
    told = capsys.readouterr().out
    assert "! escalation: this gate lets it through: it tolerates as much (escalation 0.1)" in told
    assert "not covered: 5 % of requests take three times as long" in told


def test_the_gate_of_the_readme_stands_every_drill(written, capsys):
    example = "gate:" + README.split("```yaml\ngate:")[1].split("```")[0]
    assert main(["gate", "test", "--gate", written(example), "--json"]) == 0
    results = {report["drill"]: report["result"] for report in json.loads(capsys.readouterr().out)}
    assert results["escalation"] == results["equal"] == "passed"
    assert "failed" not in results.values()


