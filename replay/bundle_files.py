"""The files of a bundle directory, and the values that were read from them.

A bundle may come from a stranger, so no path or link leads out of the directory, and no file is large.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from replay.bundle_yaml import KeyPath, YamlDocument, dotted
from replay.errors import BundleIssue
from replay.exact_json import Json

MANIFEST = "bundle.yaml"
RELEASE = "release.yaml"

MAX_FILE_BYTES = 1 << 20
MAX_FILES = 1000
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A value of a bundle, and the file, path and line it was read from."""

    file: Path
    value: Json
    path: KeyPath = ()
    lines: Mapping[KeyPath, int] = field(default_factory=dict)

    def at(self, key: str | int) -> Piece:
        return Piece(self.file, self.value[key], (*self.path, key), self.lines)

    def items(self) -> Iterator[Piece]:
        return (self.at(index) for index in range(len(self.value)))

    def issue(self, message: str, *more: str | int) -> BundleIssue:
        """An issue at this value, or at a path below it. The line is the nearest one that is known."""
        path = (*self.path, *more)
        known = (self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines)
        line = next(known, None)
        return BundleIssue(self.file, dotted(path), message if line is None else f"line {line}: {message}")


class BundleFiles:
    """The files of a bundle. Every method reports what is wrong and returns null, or nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.issues: list[BundleIssue] = []
        self._documents: dict[str, Piece | None] = {}

    def has(self, name: str) -> bool:
        return (self.root / name).exists() or (self.root / name).is_symlink()

    def text(self, name: str, asked: Piece) -> str | None:
        """A file as text: UTF-8, a byte order mark dropped, CRLF as LF."""
        found = self._locate(name)
        if isinstance(found, str):
            self.issues.append(asked.issue(f"{name}: {found}"))
            return None
        try:
            text = found.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.issues.append(BundleIssue(self.root / name, "", f"not UTF-8: {error.reason} at byte {error.start}"))
            return None
        except OSError as error:
            self.issues.append(asked.issue(f"{name}: cannot be read: {error.strerror}"))
            return None
        return text.replace("\r\n", "\n")

    def document(self, name: str, asked: Piece) -> Piece | None:
        """A YAML file."""
        if name not in self._documents:
            text = self.text(name, asked)
            self._documents[name] = None if text is None else self._parsed(name, text)
        return self._documents[name]

    def expand(self, asked: Piece) -> list[str]:
        """The file, or the files that match a pattern, in the order of their names."""
        name = str(asked.value)
        if not _PATTERN.search(name):
            return [name]
        folder, _, pattern = name.rpartition("/")
        entries = self._entries_of(name, folder)
        if isinstance(entries, str):
            self.issues.append(asked.issue(f"{name}: {entries}"))
            return []
        found = [f"{folder}/{entry}" if folder else entry for entry in entries if fnmatchcase(entry, pattern)]
        if not found or len(found) > MAX_FILES:
            self.issues.append(asked.issue(f"{name}: {len(found)} files match; expected 1 to {MAX_FILES}"))
            return []
        return found

    def _entries_of(self, name: str, folder: str) -> list[str] | str:
        """The names in a folder, sorted, hidden ones left out; or why there are none."""
        if _not_inside(name) is not None or _PATTERN.search(folder):
            return _not_inside(name) or "only a file name may be a pattern, not a folder's"
        try:
            real = (self.root / folder).resolve(strict=True)
            if not real.is_relative_to(self.root.resolve(strict=True)):
                return "leads out of the bundle directory"
            return sorted(entry.name for entry in real.iterdir() if not entry.name.startswith("."))
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            return f"cannot be listed: {getattr(error, 'strerror', None) or error}"

    def _parsed(self, name: str, text: str) -> Piece | None:
        document = YamlDocument(text)
        for line, path, message in document.problems:
            where = f"line {line}: " if line else ""
            self.issues.append(BundleIssue(self.root / name, dotted(path), where + message))
        return None if document.problems else Piece(self.root / name, document.value, (), document.lines)

    def _locate(self, name: str) -> Path | str:
        """Where a file is, or why it is not to be read."""
        problem = _not_inside(name)
        if problem is not None:
            return problem
        try:
            real = (self.root / name).resolve(strict=True)
            if not real.is_relative_to(self.root.resolve(strict=True)):
                return "leads out of the bundle directory"
            if not real.is_file():
                return "not a regular file"
            size = real.stat().st_size
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            return f"cannot be found: {getattr(error, 'strerror', None) or error}"
        return real if size <= MAX_FILE_BYTES else f"has {size:,} bytes; expected at most {MAX_FILE_BYTES:,}"


def _not_inside(name: str) -> str | None:
    path = PurePosixPath(name)
    odd = not name or "\\" in name or "\0" in name or path.is_absolute() or ".." in path.parts
    return "expected a relative path inside the bundle directory, such as prompts/system.j2" if odd else None
