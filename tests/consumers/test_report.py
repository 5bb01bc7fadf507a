"""Reports are written where a run ends, and can be made again from its directory."""

from __future__ import annotations

import gzip
import json
import re

import pytest

from processes import CORPUS
from replay.cli import main

AIRLINE = CORPUS / "tau-bench-airline.jsonl.gz"
GATE = CORPUS.parent / "data" / "assistant.gate.yaml"


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Ten tasks, three trials of one release: production, its lane, and the candidate."""
    place = tmp_path_factory.mktemp("trials")
    with gzip.open(AIRLINE, "rt") as lines:
        records = [json.loads(line) for line in lines]
    for trial in range(3):
        chosen = [record for record in records if record["trial"] == trial][:10]
        (place / f"{trial}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in chosen))
    paths = [str(place / f"{trial}.jsonl") for trial in range(3)]
    main(["compare", *paths[:2], "--lane", paths[2], "--gate", str(GATE), "--out", str(place / "out")])
    return place / "out"


def test_a_comparison_ends_with_both_forms(compared):
    page, comment = (compared / "report.html").read_text(), (compared / "report.md").read_text()
    assert "<h1>" in page
    assert comment.startswith("## ")
    verdict = json.loads((compared / "summary.json").read_text())["verdict"]["decision"]
    assert {"hold": "HOLD", "roll_back": "ROLL BACK", "promote": "PROMOTE"}[verdict] in comment.splitlines()[0]
    assert "the verdict is not the same" not in page


def test_made_again_they_are_the_same_bytes(compared, capsys):
    before = [(compared / name).read_bytes() for name in ("report.html", "report.md")]
    assert main(["report", str(compared)]) == 0
    assert [(compared / name).read_bytes() for name in ("report.html", "report.md")] == before
    assert capsys.readouterr().out.splitlines() == [str(compared / "report.html"), str(compared / "report.md")]


def test_where_there_is_no_run_it_says_so(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 3
    assert "give the --out of a run that has ended" in capsys.readouterr().err
    (tmp_path / "summary.json").write_text("[]")
    assert main(["report", str(tmp_path)]) == 3
    assert main(["report"]) == 3
    assert re.search(r"give DIR.*or --run RUN", capsys.readouterr().err)
