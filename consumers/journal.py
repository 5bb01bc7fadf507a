"""The results of a file run on disk: append-only JSON lines that a killed run can be continued from.

A line that was not finished when the process died is cut off at the next start; every finished one is work
that is never done, or paid for, again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from consumers.line_file import append, open_whole, whole_lines, write_whole
from replay.comparison import Comparison, DeadLetter
from replay.errors import RecordError, UsageError
from replay.exact_json import Json, dumps, loads
from replay.wire import decode, encode

COMPARISONS = "comparisons.jsonl"
DEAD_LETTERS = "dead-letters.jsonl"
SUMMARY = "summary.json"
RUN = "run.json"


class Journal:
    """The output directory of one run, held by one process at a time."""

    def __init__(self, directory: Path, comparisons: BinaryIO, dead_letters: BinaryIO) -> None:
        self._directory = directory
        self._comparisons = comparisons
        self._dead_letters = dead_letters

    @classmethod
    def open(cls, directory: Path, *, identity: dict[str, Json], afresh: bool = False) -> Self:
        """Start a run in `directory`, or go on with the one that is there; `afresh` drops what that one has written.

        Raises `UsageError` when the directory holds another run: its files would no longer say what they are.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            _check_identity(directory, identity)
            files = [open_whole(directory / name, afresh=afresh) for name in (COMPARISONS, DEAD_LETTERS)]
        except OSError as error:
            raise UsageError(f"{directory}: cannot be written: {error.strerror}") from None
        return cls(directory, *files)

    def comparisons(self) -> Iterator[Comparison]:
        """What earlier starts of this run have finished."""
        return read_comparisons(self._directory)

    def dead_lines(self) -> Iterator[DeadLetter]:
        for line, _ in whole_lines(self._directory / DEAD_LETTERS):
            yield decode(DeadLetter, line)

    def write(self, comparisons: list[Comparison]) -> None:
        append(self._comparisons, map(encode, comparisons))

    def bury(self, letters: list[DeadLetter]) -> None:
        append(self._dead_letters, map(encode, letters))

    def summarise(self, summary: dict[str, Json]) -> Path:
        path = self._directory / SUMMARY
        write_whole(path, dumps(summary))
        return path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._comparisons.close()
        self._dead_letters.close()


def read_comparisons(directory: Path) -> Iterator[Comparison]:
    """What `run` or `compare` has written there. Raises `UsageError` for no such file, and for a line that is none."""
    path = directory / COMPARISONS
    if not path.is_file():
        raise UsageError(f"{path}: no such file; expected the directory that `run` or `compare` wrote (--out)")
    for number, (line, _) in enumerate(whole_lines(path), 1):
        try:
            yield decode(Comparison, line)
        except RecordError as error:
            advice = "put back the file that was written, or make it again into another directory"
            raise UsageError(f"{path}: line {number:,} is no comparison: {error}; {advice}") from None


def _check_identity(directory: Path, identity: dict[str, Json]) -> None:
    path = directory / RUN
    if not path.exists():
        if any((directory / name).exists() for name in (COMPARISONS, DEAD_LETTERS)):
            raise UsageError(f"{directory}: holds results but no {RUN}; give --out another directory")
        write_whole(path, dumps(identity))
        return
    try:
        found = loads(path.read_bytes())
    except RecordError as error:
        raise UsageError(f"{path}: {error}; give --out another directory") from None
    differing = sorted(key for key in {*identity, *found} if identity.get(key) != found.get(key))
    if differing:
        raise UsageError(
            f"{directory}: holds another run (different: {', '.join(differing)}); "
            "give --out another directory, or the same arguments to go on"
        )
