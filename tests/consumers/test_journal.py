"""The journal of a file run: whole lines only, one run per directory."""

from __future__ import annotations

import pytest

from consumers.journal import COMPARISONS, Journal
from consumers.line_file import write_whole
from replay.comparison import Comparison, DeadLetter, Source
from replay.errors import UsageError


def comparison(number: int) -> Comparison:
    return Comparison(
        comparison_id=f"c{number}",
        run_id="r",
        trace_id=f"t{number}",
        source=Source(topic="f"),
        baseline="a",
        candidate="b",
        mode="free",
        disposition="compared",
        comparator_set="x",
    )


def written(directory, *numbers, identity=None):
    with Journal.open(directory, identity=identity or {"run_id": "r"}) as journal:
        journal.write([comparison(number) for number in numbers])


def read(directory):
    with Journal.open(directory, identity={"run_id": "r"}) as journal:
        return [item.comparison_id for item in journal.comparisons()]


def test_what_was_written_is_there_at_the_next_start(tmp_path):
    written(tmp_path / "out", 1, 2)
    written(tmp_path / "out", 3)
    assert read(tmp_path / "out") == ["c1", "c2", "c3"]


@pytest.mark.parametrize("half", [b"{", b'{"schema":"comparison/1"', b"x" * 200_000])
def test_half_a_line_is_cut_off(tmp_path, half):
    written(tmp_path / "out", 1)
    with (tmp_path / "out" / COMPARISONS).open("ab") as file:
        file.write(half)
    written(tmp_path / "out", 2)
    assert read(tmp_path / "out") == ["c1", "c2"]


def test_a_file_that_is_half_a_line_becomes_empty(tmp_path):
    written(tmp_path / "out")
    (tmp_path / "out" / COMPARISONS).write_bytes(b'{"half')
    assert read(tmp_path / "out") == []


def test_lines_are_on_disk_before_the_journal_is_closed(tmp_path):
    with Journal.open(tmp_path / "out", identity={}) as journal:
        journal.write([comparison(1)])
        assert (tmp_path / "out" / COMPARISONS).read_bytes().endswith(b"\n")


def test_another_run_is_refused_and_says_what_differs(tmp_path):
    written(tmp_path / "out", 1)
    with pytest.raises(UsageError, match="another run .different: mode, run_id"):
        Journal.open(tmp_path / "out", identity={"run_id": "r2", "mode": "free"})


def test_results_without_a_run_are_not_added_to(tmp_path):
    (tmp_path / COMPARISONS).write_bytes(b"")
    with pytest.raises(UsageError, match="holds results but no run.json"):
        Journal.open(tmp_path, identity={})


def test_a_damaged_identity_is_a_message_not_a_traceback(tmp_path):
    (tmp_path / "run.json").write_bytes(b"{")
    with pytest.raises(UsageError, match="run.json"):
        Journal.open(tmp_path, identity={})


def test_a_place_that_cannot_be_written_is_the_users_to_mend(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="cannot be written"):
        Journal.open(tmp_path / "file" / "out", identity={})


def test_dead_letters_keep_their_line(tmp_path):
    with Journal.open(tmp_path / "out", identity={}) as journal:
        journal.bury([DeadLetter(reason="bad", stage="decode", source=Source(topic="f"), line=7)])
    with Journal.open(tmp_path / "out", identity={}) as journal:
        assert [letter.line for letter in journal.dead_lines()] == [7]


def test_a_whole_file_replaces_the_old_one(tmp_path):
    write_whole(tmp_path / "summary.json", b"1")
    write_whole(tmp_path / "summary.json", b"2")
    assert (tmp_path / "summary.json").read_bytes() == b"2\n"
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
