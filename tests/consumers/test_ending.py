"""What stands last on a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from consumers.ending import ending
from consumers.progress import Progress
from consumers.run_command import EXIT_CODES, STOPPED_BY_A_LIMIT
from replay.summary import Summary


@pytest.mark.parametrize("code", [*EXIT_CODES.values(), STOPPED_BY_A_LIMIT])
def test_every_exit_code_of_a_result_has_words(code):
    report, meaning = ending(Path("out"), code)[-2:]
    assert report == "report: out/report.html"
    assert meaning.startswith(f"exit code {code}: ")
    assert meaning.count(str(code)) == 1  # it is not among the others


def test_a_process_with_a_code_of_its_own_says_where_the_report_is():
    assert ending(Path("out"), None) == ["", "report: out/report.html"]


@pytest.mark.parametrize(("events", "written"), [(True, 1), (False, 0)])
def test_where_no_machine_listens_there_are_no_events(events, written):
    stream, time = io.StringIO(), iter(range(0, 100, 10))
    with Progress(3, stream, events, clock=lambda: float(next(time))) as progress:
        progress.advance(1, line=1, summary=Summary())
    assert len(stream.getvalue().splitlines()) == written
