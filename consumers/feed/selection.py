"""Which comparisons somebody wants to see: one meaning, as a condition on lines and as one in SQL.

The parameters are a table: what is parsed, what is documented and what is filtered cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, get_args

from consumers.feed.line import Line
from consumers.when import milliseconds, parse_when
from replay.comparison import DISPOSITIONS, Lane, Mode
from replay.errors import UsageError

MOST_PER_PAGE = 200
_LARGEST = 2**53


class Filter(NamedTuple):
    """A condition on one property. `sql` is over the tables of the store, with one place for the value."""

    sql: str
    matches: Callable[[Line, Any], bool]


class Parameter(NamedTuple):
    """A query parameter: how it is read and documented (`schema` is JSON Schema), and what it filters, if anything."""

    name: str
    parse: Callable[[str], object]
    schema: Mapping[str, object]
    words: str
    filter: Filter | None = None


def _text(value: str) -> str:
    if not value or len(value) > 200:
        raise ValueError("1 to 200 characters")
    return value


def _one_of(*names: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return value

    return parse


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not (value.isascii() and value.isdigit() and len(value) < 17 and least <= int(value) <= most):
            raise ValueError(f"a whole number from {least} to {most:,}")
        return int(value)

    return parse


_TEXT = {"type": "string", "maxLength": 200}
_WORD = "EXISTS (SELECT 1 FROM words w WHERE w.seq = c.seq AND w.kind = '{}' AND w.text = ?)"


def _choice(name: str, names: Sequence[str], words: str, found: Filter) -> Parameter:
    return Parameter(name, _one_of(*names), {"type": "string", "enum": list(names)}, words, found)


RUN = Parameter("run", _text, _TEXT, "only this run", Filter("s.run_id = ?", lambda line, v: line.run_id == v))
CANDIDATE = Parameter(
    "candidate",
    _text,
    _TEXT,
    "only this candidate: its digest, or the beginning of it",
    Filter("instr(s.candidate, ?) = 1", lambda line, v: line.candidate.startswith(v)),
)
LANE = _choice("lane", get_args(Lane), "only this lane", Filter("s.lane = ?", lambda line, v: line.lane == v))
MODE = _choice("mode", get_args(Mode), "only this mode", Filter("s.mode = ?", lambda line, v: line.mode == v))
SEVERITY = Parameter(
    "severity",
    _whole(0, 3),
    {"type": "integer", "minimum": 0, "maximum": 3},
    "only this bad or worse",
    Filter("c.severity >= ?", lambda line, v: line.severity >= v),
)
TOOL = Parameter(
    "tool",
    _text,
    _TEXT,
    "only where either side called this tool",
    Filter(_WORD.format("tool"), lambda line, v: v in line.tools),
)
FLAG = Parameter(
    "flag", _text, _TEXT, "only where this rule fired", Filter(_WORD.format("flag"), lambda line, v: v in line.flags)
)
DISPOSITION = _choice(
    "disposition",
    tuple(DISPOSITIONS),
    "only what ended so",
    Filter("c.disposition = ?", lambda line, v: line.disposition == v),
)
TRACE = Parameter(
    "trace", _text, _TEXT, "only this trace", Filter("c.trace_id = ?", lambda line, v: line.trace_id == v)
)
SINCE = Parameter("since", str, {"type": "string"}, 'from this time on: ISO-8601, or "2h ago"')
UNTIL = Parameter("until", str, {"type": "string"}, "before this time")
LIMIT = Parameter(
    "limit",
    _whole(1, MOST_PER_PAGE),
    {"type": "integer", "minimum": 1, "maximum": MOST_PER_PAGE, "default": 20},
    "so many at most",
)
BEFORE = Parameter(
    "before",
    _whole(1, _LARGEST),
    {"type": "integer", "minimum": 1},
    "only older ones than this `seq`: the `next` of the page before",
)

FOR_SUMMARY = (RUN, CANDIDATE, LANE, MODE, SINCE, UNTIL)
FOR_EVENTS = (RUN, CANDIDATE, LANE, MODE, DISPOSITION, SEVERITY, TOOL, FLAG, TRACE)
FOR_VERDICTS = (RUN, LIMIT)
FOR_COMPARISONS = (*FOR_EVENTS, SINCE, UNTIL, LIMIT, BEFORE)


class Selection(NamedTuple):
    """Parsed parameters. `since` and `until` are ms since the epoch, UTC; null = unbounded."""

    filters: tuple[tuple[Filter, object], ...] = ()
    since: int | None = None
    until: int | None = None
    limit: int = 20
    before: int | None = None

    def matches(self, line: Line) -> bool:
        return all(found.matches(line, value) for found, value in self.filters)


def parse_selection(given: Sequence[tuple[str, str]], known: Sequence[Parameter], *, now: datetime) -> Selection:
    """Raises `UsageError` naming the parameter and what it takes."""
    by_name = {parameter.name: parameter for parameter in known}
    values: dict[str, object] = {}
    for name, text in given:
        if name not in by_name:
            raise UsageError(f"there is no parameter {name[:50]!r} here; there are {', '.join(by_name)}")
        if name in values:
            raise UsageError(f"{name}: given more than once")
        values[name] = _parsed(by_name[name], text, now)
    filters = tuple((found, values[name]) for name, p in by_name.items() if name in values and (found := p.filter))
    rest: Any = {name: value for name, value in values.items() if by_name[name].filter is None}
    return Selection(filters, **rest)


def _parsed(parameter: Parameter, text: str, now: datetime) -> object:
    try:
        if parameter in (SINCE, UNTIL):
            return milliseconds(parse_when(text, now=now))
        return parameter.parse(text)
    except (UsageError, ValueError) as error:
        found = f" is {text[:50]!r}, expected" if not isinstance(error, UsageError) else ":"
        raise UsageError(f"{parameter.name}{found} {error}") from None
