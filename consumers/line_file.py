"""Append-only files of lines: whole lines or none, one process at a time, whatever happened to the last one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from replay.errors import UsageError


def open_whole(path: Path, *, afresh: bool = False) -> BinaryIO:
    """Open for appending, behind the last whole line or (`afresh`) at the beginning; what is behind that is cut off.

    Raises `UsageError` when another process writes here.
    """
    file = path.open("ab")
    _lock(file, path)
    with path.open("rb") as reader:
        end = 0 if afresh else _end_of_last_line(reader)
    if end != file.seek(0, os.SEEK_END):
        file.truncate(end)
        file.seek(end)
    return file


def append(file: BinaryIO, lines: Iterable[bytes]) -> None:
    """Append whole lines. They are with the operating system when this returns: a kill -9 does not lose them."""
    file.write(b"".join(line + b"\n" for line in lines))
    file.flush()


def whole_lines(path: Path, start: int = 0) -> Iterator[tuple[bytes, int]]:
    """Each finished line from byte `start`, without its newline, and where the next one begins."""
    with path.open("rb") as reader:
        reader.seek(start)
        for line in reader:
            if not line.endswith(b"\n"):
                return  # somebody is writing it
            start += len(line)
            yield line[:-1], start


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old or the new one, never half of one."""
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_bytes(data + b"\n")
    partial.replace(path)


def _lock(file: BinaryIO, path: Path) -> None:
    """One process at a time. The lock goes with the process, however it ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise UsageError(f"{path}: another process is writing here; give --out another directory") from None


def _end_of_last_line(reader: BinaryIO, block: int = 1 << 16) -> int:
    position = reader.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - block)
        reader.seek(start)
        newline = reader.read(position - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        position = start
    return 0
