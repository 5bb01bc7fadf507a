"""Pieces of a bundle as checked records. What is wrong with one is reported in words, with its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from replay.bundle_files import BundleFiles, Piece
from replay.bundle_yaml import short
from replay.errors import BundleIssue

ModelT = TypeVar("ModelT", bound=BaseModel)

#: Stands for a required surface that is not there, which is reported once and for all.
ABSENT = object()


class Pieces:
    """Reads pieces, and adds to `issues` what cannot be used. Every method then returns null, or leaves it out."""

    def __init__(self, files: BundleFiles) -> None:
        self._files = files
        self.issues: list[BundleIssue] = files.issues

    def entries(self, piece: Piece) -> list[Piece]:
        """The members of a list whose texts name files, each with one member or a list of them."""
        found: list[Piece] = []
        for item in self.listed(piece):
            if not isinstance(item.value, str):
                found.append(item)
                continue
            documents = (self._files.document(name, item) for name in self._files.expand(item))
            for document in documents:
                if document is not None:
                    found += document.items() if isinstance(document.value, list) else [document]
        return found

    def in_file(self, piece: Piece) -> Piece | None:
        return self._files.document(piece.value, piece) if isinstance(piece.value, str) else piece

    def listed(self, piece: Piece) -> list[Piece]:
        if isinstance(piece.value, list):
            return list(piece.items())
        if piece.value is not ABSENT:
            self.issues.append(piece.issue(f"found {short(piece.value)}; expected a list"))
        return []

    def mapping(self, piece: Piece | None) -> Piece | None:
        if piece is not None and not isinstance(piece.value, dict):
            self.issues.append(piece.issue(f"found {short(piece.value)}; expected a mapping"))
            return None
        return piece

    def optional(self, model: type[ModelT], piece: Piece | None) -> ModelT | None:
        return None if piece is None or piece.value is None else self.valid(model, piece)

    def valid(self, model: type[ModelT], piece: Piece | None) -> ModelT | None:
        if self.mapping(piece) is None or piece is None:
            return None
        try:
            return model.model_validate(piece.value)
        except ValidationError as error:
            self.issues += [piece.issue(in_words(detail, model), *detail["loc"]) for detail in error.errors()]
            return None

    def refuse_twins(self, entries: Iterable[Piece], key: str, words: str) -> None:
        seen: dict[str, Piece] = {}
        for entry in entries:
            name = entry.value.get(key) if isinstance(entry.value, dict) else None
            if isinstance(name, str) and name in seen:
                first = seen[name]
                self.issues.append(entry.issue(f"{words} {short(name)}; the other is in {first.file.name}", key))
            elif isinstance(name, str):
                seen[name] = entry


def in_words(detail: Mapping[str, Any], model: type[BaseModel] | None) -> str:
    """One pydantic error in our words: what was expected, then what was found."""
    kind, where = detail["type"], detail["loc"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return unknown_key(str(where[-1]), tuple(model.model_fields) if model is not None and len(where) == 1 else ())
    expected = str(detail["msg"]).removeprefix("Value error, ").replace("Input should be", "expected", 1)
    return expected if kind == "value_error" else f"{expected}; found {short(detail['input'])}"


def unknown_key(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; expected one of {', '.join(known)}" if known else ""
    return f"unknown key{hint}"
