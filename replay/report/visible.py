"""Text of a trace made fit to be shown: what hides, reorders or has no bytes becomes a mark that can be read.

Escaping for a format (HTML, Markdown) comes after it, and is not done here.
"""

from __future__ import annotations

import re
import unicodedata

#: Controls, formats (bidi overrides, tags), surrogates, private use, unassigned, line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
#: Line breaks lay a text out; the joiners are letters' neighbours in Persian and Hindi, and in emoji.
_KEPT = frozenset("\n\t\u200c\u200d")
#: Fillers and joiners that count as letters or marks, and show nothing.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_LINE_END = re.compile("\r\n?|\x85|\u2028|\u2029")
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


def _is_unseen(character: str, category: str) -> bool:
    return (category in _UNSEEN and character not in _KEPT) or character in _FILLERS
