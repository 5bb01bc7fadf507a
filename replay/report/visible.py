"""Text of a trace made fit to be shown: what hides, reorders or has no bytes becomes a mark that can be read.

Escaping for a format (HTML, Markdown) comes after it, and is not done here.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

#: Controls, formats (bidi overrides, tags), surrogates, private use, unassigned, line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
#: Line breaks lay a text out; the joiners are letters' neighbours in Persian and Hindi, and in emoji.
_KEPT = frozenset("\n\t\u200c\u200d")
#: Fillers and joiners that count as letters or marks, and show nothing.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_LINE_END = re.compile("\r\n?|\x85|\u2028|\u2029")
#: More empty lines in a row than this say no more than these.
_EMPTY_LINES = re.compile(r"\n(?:[ \t]*\n){3,}")
#: A line break as JSON and excerpts write it, but for a backslash that is itself written so.
_ESCAPED_LINE_END = re.compile(r"(?<!\\)((?:\\\\)*)(?:\\r)?\\n")
#: Marks on one letter. More are a tower that runs over its neighbours.
_MARKS_IN_A_ROW = 4


def visible(text: str, limit: int) -> str:
    """At most `limit` characters of a text, "…" where it was cut; unseen ones as `⟨U+202E⟩`. Keeps line breaks."""
    head = _LINE_END.sub("\n", text[:limit])
    marks, shown = 0, []
    for character in head:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks <= _MARKS_IN_A_ROW:
            shown.append(f"⟨U+{ord(character):04X}⟩" if _is_unseen(character, category) else character)
    return "".join(shown) + ("…" if len(text) > limit else "")


def one_line(text: str, limit: int) -> str:
    """The same without line breaks."""
    return " ".join(visible(text, limit).split())


class Excerpt(NamedTuple):
    """`cut`: what is left out, in words; null when all of it is there."""

    text: str
    cut: str | None


def excerpt(text: str, *, characters: int, lines: int) -> Excerpt:
    """The beginning of a text to be read: unseen characters spelt out, empty lines folded, and what was cut said."""
    shown = _EMPTY_LINES.sub("\n\n\n", visible(text[:characters], characters))
    rows = shown.split("\n")
    said = [f"first {characters:,} of {len(text):,} characters"] if len(text) > characters else []
    if len(rows) > lines:
        said = [f"first {lines} lines of {len(text):,} characters"]
    return Excerpt("\n".join(rows[:lines]), "; ".join(said) or None)


def pilcrows(text: str) -> str:
    """Line breaks that are written as a backslash and an n, as the sign for one."""
    return _ESCAPED_LINE_END.sub(r"\1¶ ", text)


def _is_unseen(character: str, category: str) -> bool:
    return (category in _UNSEEN and character not in _KEPT) or character in _FILLERS
