"""Strict YAML: JSON with comments, and nothing that two readers could take for two things.

What YAML readers disagree about (`yes`, 2024-01-01, 012, 1:30) is refused unless it is in quotes, and so are
anchors, tags, merge keys and keys that appear twice. What `dump_yaml` writes is read back as the same value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import yaml

from replay.exact_json import MAX_INTEGER_DIGITS, Json

#: Nothing a person writes is nested deeper; readers recurse.
MAX_YAML_DEPTH = 64

KeyPath: TypeAlias = tuple[str | int, ...]

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
#: Numbers to some readers, or to some eyes, and text to others.
_NUMERIC = re.compile(r"[-+]?[0-9][0-9_]*|0[xob][0-9a-fA-F_]+|[-+]?(\.[0-9]+|[0-9]+\.)([eE][-+]?[0-9]+)?|[+][0-9].*")
_YAML_1_1: Mapping[str | None, Sequence[tuple[str, re.Pattern[str]]]] = yaml.SafeLoader.yaml_implicit_resolvers


class Problem(NamedTuple):
    line: int
    path: KeyPath
    message: str


class YamlDocument:
    """One YAML text, read. `problems` is empty, or `value` is not to be used."""

    def __init__(self, text: str) -> None:
        self.value: Json = None
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []
        # The pure Python reader, which gives the same result on every machine; libyaml is not everywhere.
        self._events = yaml.parse(text, Loader=yaml.SafeLoader)
        try:
            self._read()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._refuse(mark, (), f"not valid YAML: {error.problem or error.context}")
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            self._refuse(None, (), f"not valid YAML: {str(error).splitlines()[0]}")

    def _read(self) -> None:
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return
        self.value = self._value(next(self._events), ())
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._refuse(after.start_mark, (), "holds a second document; expected one")

    def _value(self, event: Any, path: KeyPath) -> Json:
        self.lines[path] = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            return self._refuse(event.start_mark, path, "an alias; write the value out")
        if event.anchor is not None or event.tag is not None:
            self._refuse(event.start_mark, path, "an anchor or a tag; expected a plain value")
        if len(path) > MAX_YAML_DEPTH:
            raise ValueError(f"nested deeper than {MAX_YAML_DEPTH}")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        text = self._text(event, path)
        return self._plain(event, text, path) if event.style is None else text

    def _mapping(self, path: KeyPath) -> dict[str, Json]:
        found: dict[str, Json] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path)
            value = self._value(next(self._events), (*path, key))
            if key in found:
                self._refuse(event.start_mark, (*path, key), "the key appears twice")
            found[key] = value
        return found

    def _key(self, event: Any, path: KeyPath) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.anchor is not None or event.tag is not None:
            raise ValueError(f"line {event.start_mark.line + 1}: a key that is not plain text")
        if event.value == "<<" and event.style is None:
            self._refuse(event.start_mark, path, "a merge key; write the values out")
        return self._text(event, path)

    def _sequence(self, path: KeyPath) -> list[Json]:
        found: list[Json] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event, (*path, len(found))))
        return found

    def _text(self, event: Any, path: KeyPath) -> str:
        text: str = event.value
        try:
            # JSON in YAML writes characters beyond 16 bits as two escapes.
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._refuse(event.start_mark, path, "half of a surrogate pair, which no text can hold")
            return ""

    def _plain(self, event: Any, text: str, path: KeyPath) -> Json:
        if text in _NULLS:
            return None
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        if _NUMBER.fullmatch(text):
            return self._number(event, text, path)
        if reads_as_text(text):
            return text
        message = f"YAML readers disagree about {short(text)}; put it in quotes, or write a plain JSON value"
        return self._refuse(event.start_mark, path, message)

    def _number(self, event: Any, text: str, path: KeyPath) -> Json:
        if len(text) > MAX_INTEGER_DIGITS:
            return self._refuse(event.start_mark, path, f"a number of more than {MAX_INTEGER_DIGITS} digits")
        if text.lstrip("-").isdigit():
            return int(text)
        value = float(text)
        return value if math.isfinite(value) else self._refuse(event.start_mark, path, f"{text} is too large a number")

    def _refuse(self, mark: Any, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(mark.line + 1 if mark is not None else 0, path, message))


def reads_as_text(text: str) -> bool:
    """Whether a scalar without quotes is text to every reader of YAML."""
    if text in _NULLS or text in _BOOLEANS or _NUMBER.fullmatch(text) or _NUMERIC.fullmatch(text):
        return False
    return not any(pattern.match(text) for _, pattern in (*_YAML_1_1.get(text[0], ()), *_YAML_1_1.get(None, ())))


def dotted(path: KeyPath) -> str:
    """("tools", 0, "name") as `tools[0].name`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def short(value: Json) -> str:
    text = repr(value) if isinstance(value, str) else _JSON_WORDS.get(type(value)) or repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


_JSON_WORDS = {dict: "a mapping", list: "a list", type(None): "null"}


# -- writing ----------------------------------------------------------------------------------------------------------


def dump_yaml(value: Json) -> str:
    """YAML that the strict reader reads back as the same value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    """Block style, no aliases, and quotes wherever some reader might see something else than text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - as in the base
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    block = "\n" in text
    quoted = not text.replace("\n", "").isprintable() or not (block or reads_as_text(text))
    style = '"' if quoted else "|" if block else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
