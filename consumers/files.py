"""Traces from a file or standard input, in file order and in bounded memory.

A line holds one record of `trace/1` or `agent-trajectory/1`; the record says which. A line that cannot be read
is an item too, with its number, reason and bytes, so that a caller can count it, keep it and go on. Only a source
that cannot be read at all, or a damaged gzip file, ends the reading with an error.

At most one line and its traces are held at a time; the parser takes up to some 14 times the line for a moment. A
line beyond the limit is never held: its first bytes are kept, the rest is only counted and hashed, so that it can
be found again in the source.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

from replay.errors import RecordError, UsageError
from replay.exact_json import Json, loads
from replay.trace import Trace
from replay.trajectory import Conversation, read_trajectory
from replay.wire import encode_trace, schema_of, trace_from

#: Longest line that is read as a record.
MAX_LINE_BYTES = 64 * 1024 * 1024
#: How much is kept of a line that is longer.
KEPT_BYTES = 64 * 1024
STANDARD_INPUT = "-"

_BOM = b"\xef\xbb\xbf"
_GZIP_MAGIC = b"\x1f\x8b"
#: What a blank line holds.
_NOTHING = Conversation((), unanswered=0)


@dataclass(frozen=True, slots=True)
class TraceItem:
    """A trace, the line it stands on (from 1), and which of that line's traces it is (from 0)."""

    trace: Trace
    line: int
    ordinal: int


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that holds no usable record.

    `raw` is the line as it was read, without its newline. Of a line beyond the limit it is only the beginning:
    `size` and `sha256` describe the whole line either way.
    """

    line: int
    reason: str
    stage: str
    field: str
    raw: bytes
    size: int
    sha256: str

    @property
    def truncated(self) -> bool:
        return len(self.raw) < self.size


@dataclass(frozen=True, slots=True)
class Unanswered:
    """User messages of a record that no model answered: nothing to compare (`no_response`)."""

    line: int
    count: int


Item: TypeAlias = TraceItem | BadLine | Unanswered


def read_items(path: str, *, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Item]:
    """Read a `.jsonl` or `.jsonl.gz` file, or standard input for `-`.

    Raises `UsageError` if there is nothing to read, `RecordError` (stage "read") when gzip data is damaged.
    """
    with _opened(path) as stream:
        yield from read_stream(stream, name=path, max_line_bytes=max_line_bytes)


def read_stream(stream: BinaryIO, *, name: str, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Item]:
    """Read an open stream of plain lines; `name` is for messages."""
    number = 0
    try:
        for number, line in enumerate(_lines(stream, max_line_bytes), start=1):
            yield from _items(number, line, max_line_bytes)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(name, number, error) from None
    except OSError as error:
        raise UsageError(f"{name}: cannot be read after line {number}: {error.strerror or error}") from None


def read_lines(path: str) -> Iterator[bytes]:
    """The lines of a file or of standard input as they are, without their newlines. Raises as `read_items` does."""
    with _opened(path) as stream:
        for line in stream:
            yield line.removesuffix(b"\n")


def count_lines(path: str) -> int | None:
    """Count the lines of a file, for a progress bar; null where counting would use up or cannot reach the end."""
    if not Path(path).is_file():
        return None
    count, block = 0, b"\n"
    try:
        with _opened(path) as stream:
            for block in iter(lambda: stream.read(KEPT_BYTES), b""):
                count += block.count(b"\n")
        return count + (not block.endswith(b"\n"))
    except (UsageError, OSError, EOFError, zlib.error):  # the reading itself will say what is wrong
        return None


def write_traces(path: str, traces: Iterable[Trace]) -> int:
    """Write traces as lines of `trace/1`, packed if the name ends in `.gz`, and say how many.

    The file appears whole or not at all, and its bytes depend on the traces only. Raises `UsageError`.
    """
    part, count = Path(f"{path}.part"), 0
    try:
        with part.open("wb") as raw, _packed(raw, path) as stream:
            for trace in traces:
                stream.write(encode_trace(trace) + b"\n")
                count += 1
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
    return count


def _packed(raw: BinaryIO, path: str) -> BinaryIO:
    if not path.endswith(".gz"):
        return raw
    return cast("BinaryIO", gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0))


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == STANDARD_INPUT:
        yield _unpacked(cast("io.BufferedReader", sys.stdin.buffer), forced=False)
        return
    with ExitStack() as stack:
        try:
            raw = stack.enter_context(Path(path).open("rb"))
        except OSError as error:
            hint = "give a .jsonl or .jsonl.gz file, or -"
            raise UsageError(f"{path}: cannot be opened: {error.strerror}; {hint}") from None
        yield _unpacked(raw, forced=path.endswith(".gz"))


def _unpacked(raw: io.BufferedReader, *, forced: bool) -> BinaryIO:
    """Undo gzip, which is told by its first bytes too: standard input has no name."""
    return cast("BinaryIO", gzip.open(raw)) if forced or raw.peek(2).startswith(_GZIP_MAGIC) else raw


def _damaged(name: str, number: int, error: Exception) -> RecordError:
    return RecordError(
        f"{name}: the gzip data is damaged after line {number} ({error}); every line up to there was read. "
        f"Fetch the file again, or keep what is left with `gzip -dc {name} > rest.jsonl`",
        stage="read",
    )


@dataclass(frozen=True, slots=True)
class _Line:
    raw: bytes
    size: int
    sha256: str | None = None


def _lines(stream: BinaryIO, limit: int) -> Iterator[_Line]:
    while (line := _next_line(stream, limit)) is not None:
        yield line
        del line  # or it would be held while the next one is read


def _next_line(stream: BinaryIO, limit: int) -> _Line | None:
    chunk = stream.readline(limit + 1)
    if not chunk:
        return None
    if len(chunk) > limit and not chunk.endswith(b"\n"):
        return _overlong(stream, chunk)
    raw = chunk.removesuffix(b"\n")
    return _Line(raw, len(raw))


def _overlong(stream: BinaryIO, start: bytes) -> _Line:
    """Read to the end of the line without holding it."""
    digest, size, kept = sha256(start), len(start), start[:KEPT_BYTES]
    while chunk := stream.readline(KEPT_BYTES):
        rest = chunk.removesuffix(b"\n")
        digest.update(rest)
        size += len(rest)
        if chunk.endswith(b"\n"):
            break
    return _Line(kept, size, digest.hexdigest())


def _items(number: int, line: _Line, limit: int) -> Iterator[Item]:
    found = _read(number, line, limit)
    if isinstance(found, BadLine):
        yield found
        return
    for ordinal, trace in enumerate(found.traces):
        yield TraceItem(trace, number, ordinal)
    if found.unanswered:
        yield Unanswered(number, found.unanswered)


def _read(number: int, line: _Line, limit: int) -> Conversation | BadLine:
    if line.sha256 is not None:
        reason = f"the line has {line.size} bytes; at most {limit} are read as a record"
        return BadLine(number, reason, "read", "", line.raw, line.size, line.sha256)
    text = line.raw.removeprefix(_BOM) if number == 1 else line.raw
    try:
        return _record(text) if text.strip() else _NOTHING
    except RecordError as error:
        digest = sha256(line.raw).hexdigest()
        return BadLine(number, str(error), error.stage, error.field, line.raw, line.size, digest)


def _record(text: bytes) -> Conversation:
    value = loads(text)
    name = (schema_of(value) or "").partition("/")[0]
    reader = _READERS.get(name)
    if reader is None:
        expected = '"trace/1" or "agent-trajectory/1"'
        raise RecordError(f'"schema" is {_shown(value)}; expected {expected}', field="$.schema")
    return reader(value)


def _shown(value: Json) -> str:
    schema = schema_of(value)
    return "missing" if schema is None else f'"{schema[:80]}"'


_READERS: Mapping[str, Callable[[Json], Conversation]] = {
    "trace": lambda value: Conversation((trace_from(value),), unanswered=0),
    "agent-trajectory": read_trajectory,
}
