"""`--where PATH=VALUE`: conditions that choose among traces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import msgspec

from replay.errors import RecordError, UsageError
from replay.exact_json import Json, loads
from replay.trace import Trace


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on a trace: the value at a dotted path equals `text`, read as a JSON scalar or as a string."""

    path: tuple[str, ...]
    text: str
    value: Json

    def matches(self, trace: Trace) -> bool:
        return any(self._equals(found) for found in _values(trace, self.path))

    def _equals(self, found: Json) -> bool:
        if isinstance(found, str):
            return found in (self.text, self.value)
        return type(found) in _COMPARABLE[type(self.value)] and bool(found == self.value)


#: What may equal a value of a type: `true` is no 1, though Python says so.
_COMPARABLE: Mapping[type, tuple[type, ...]] = {
    bool: (bool,),
    int: (int, float),
    float: (int, float),
    type(None): (type(None),),
    str: (),
}


def parse_where(text: str) -> Where:
    """Parse `PATH=VALUE`. Raises `UsageError`, also when a trace has no such field."""
    path, equals, value = text.partition("=")
    parts = tuple(path.strip().split("."))
    if not equals or not all(parts):
        raise UsageError(f"--where {text!r}: expected PATH=VALUE, such as request.attributes.domain=banking")
    _check_path(text, parts)
    return Where(parts, value, _scalar(value))


def all_match(conditions: Iterable[Where], trace: Trace) -> bool:
    return all(condition.matches(trace) for condition in conditions)


def _scalar(text: str) -> Json:
    try:
        value = loads(text)
    except RecordError:
        return text
    return text if isinstance(value, list | dict) else value


def _values(found: object, path: tuple[str, ...]) -> Iterator[Json]:
    """Everything a path can mean: keys of an object may hold dots themselves. An absent value is null."""
    if not path:
        yield found
    elif isinstance(found, dict):
        keys = [".".join(path[:count]) for count in range(1, len(path) + 1)]
        present = [(count, key) for count, key in enumerate(keys, start=1) if key in found]
        for count, key in present:
            yield from _values(found[key], path[count:])
        if not present:
            yield None
    else:
        yield from _values(_member(found, path[0]), path[1:])


def _member(found: object, name: str) -> object:
    if isinstance(found, msgspec.Struct):
        config = found.__struct_config__
        return config.tag if name == config.tag_field else getattr(found, name, None)
    if isinstance(found, list | tuple) and name.isascii() and name.isdigit() and int(name[:9]) < len(found):
        return cast("object", found[int(name[:9])])
    return None


def _check_path(text: str, parts: tuple[str, ...]) -> None:
    """Refuse a misspelt field, which would match nothing and say nothing."""
    kind: type[msgspec.Struct] = Trace
    for depth, name in enumerate(parts):
        fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
        if name not in fields:
            where = ".".join(parts[:depth]) or "a trace"
            raise UsageError(f"--where {text!r}: {where} has no {name!r}; it has {', '.join(sorted(fields))}")
        inner = fields[name]
        if not (isinstance(inner, type) and issubclass(inner, msgspec.Struct)):
            return
        kind = inner
