"""One normal form of texts, so that comparing wordings starts from what a reader would call the same.

NFKC, case folded, typographic quotes and dashes in ASCII, decimal digits of every script in ASCII, invisible and
control characters dropped, white space collapsed; a text that is a JSON object or array is written with sorted
keys first. All of it works character by character with bounded context, so a text has the same normal form in
any batch. Texts are hostile: lone surrogates, NUL and megabytes of combining marks all pass in linear time.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import chain
from string import ascii_lowercase, ascii_uppercase

import numpy as np

#: Longer texts are never parsed as JSON: parsed, "[[],[],..." takes twenty times its size.
MAX_JSON_CHARS = 1_000_000

#: Texts up to this length may hold any run of combining marks: sorting them is quadratic, but small.
_SHORT = 1_000
#: Longest run of combining marks left alone in a long text, as in Unicode's stream-safe format (UAX #15).
_MARKS_IN_A_ROW = 30

_JSON_START = re.compile(r"\s*[\[{]")
_WHITE = b"\t\n\x0b\x0c\r "
_CONTROL = bytes(code for code in (*range(32), 127) if code not in _WHITE)
#: Between joined ASCII texts: no ASCII text holds the first, and none the second once control characters are dropped.
_BETWEEN, _END = "\xff", "\0"
_FOLDED = bytes.maketrans(
    _WHITE + ascii_uppercase.encode() + _BETWEEN.encode("latin-1"),
    b" " * len(_WHITE) + ascii_lowercase.encode() + _END.encode(),
)
#: Texts folded at once: some 50 KB, which stay in the cache and in memory that the process keeps.
_TOGETHER = 128

# One set each, neither repeated nor looked ahead of: so the search for its first character runs without the matcher.
# C0 and C1 controls but white space, soft hyphen, joiners, fillers, bidi marks, variation selectors, tags.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_FOREIGN_DIGIT = re.compile(r"[^\D0-9]")
_TYPOGRAPHY = (
    *((quote, "'") for quote in "\u2018\u2019\u201a\u201b\u2032\u02bc"),
    *((quote, '"') for quote in "\u201c\u201d\u201e\u201f\u00ab\u00bb"),
    *((dash, "-") for dash in "\u2010\u2012\u2013\u2014\u2015\u2212"),
)
#: What may not stand in a line of evidence as it is: it could move the cursor, hide, or have no UTF-8 form.
_UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")


def normalise(text: str) -> str:
    """The normal form of one text."""
    return normalise_all((text,))[0]


def normalise_all(texts: Sequence[str]) -> list[str]:
    """The normal form of each text. ASCII texts, and those that become ASCII, share one pass over their bytes."""
    plain = [_canonical_json(text) if _JSON_START.match(text) else text for text in texts]
    plain = [text if text.isascii() else _compatible(text) for text in plain]
    ascii_texts = [text for text in plain if text.isascii()]
    parts = (ascii_texts[start : start + _TOGETHER] for start in range(0, len(ascii_texts), _TOGETHER))
    folded = chain.from_iterable(map(_fold_ascii, parts))
    return [next(folded) if text.isascii() else _fold_unicode(text) for text in plain]


def excerpt(text: str, limit: int) -> str:
    """The text cut to `limit` characters and made safe to print: what could not be seen is escaped."""
    cut = text if len(text) <= limit else f"{text[: limit - 1]}…"
    shown = _UNSHOWABLE.sub(lambda match: _escape(match[0]), cut)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def _escape(character: str) -> str:
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    return short if short is not None else f"\\u{ord(character):04x}"


def _fold_ascii(texts: Sequence[str]) -> list[str]:
    joined = (_BETWEEN.join(texts) + _BETWEEN).encode("latin-1").translate(_FOLDED, _CONTROL)
    codes = np.frombuffer(joined, dtype=np.uint8)
    # A space goes if a space or the end follows it: runs shrink to one, and at the end to none.
    space, end = codes == ord(" "), codes == ord(_END)
    loose = space[:-1] & (space | end)[1:]
    tight = codes[:-1][~loose].tobytes().decode("ascii")
    return [text.lstrip(" ") for text in tight.split(_END)]


def _compatible(text: str) -> str:
    """NFKC without what cannot be seen, and with plain quotes and dashes: most English text is ASCII then."""
    visible = _INVISIBLE.sub("", text)
    if len(visible) > _SHORT:
        visible = _long_run_of_marks().sub("\\g<0>\u034f", visible)
    normal = unicodedata.normalize("NFKC", visible)
    if normal != visible or len(visible) > _SHORT:
        normal = _INVISIBLE.sub("", normal)  # NFKC makes some of its own, and the joiner above has done its work
    for found, replacement in _TYPOGRAPHY:
        normal = normal.replace(found, replacement)
    return normal


def _fold_unicode(text: str) -> str:
    folded = _FOREIGN_DIGIT.sub(lambda match: str(unicodedata.decimal(match[0])), text.casefold())
    return " ".join(folded.split())


@cache
def _long_run_of_marks() -> re.Pattern[str]:
    """Matches runs that CPython's canonical ordering, an insertion sort, would take quadratic time for."""
    marks = "".join(char for char in map(chr, range(sys.maxunicode + 1)) if unicodedata.combining(char))
    return re.compile(f"[{re.escape(marks)}]{{{_MARKS_IN_A_ROW}}}")


def _canonical_json(text: str) -> str:
    """The text with sorted keys if it is one JSON object or array, else the text itself."""
    if len(text) > MAX_JSON_CHARS or not text.rstrip().endswith(("}", "]")):
        return text
    try:
        value = json.loads(text, object_pairs_hook=_object)
        return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    except (ValueError, RecursionError):  # also integers of more digits than CPython converts
        return text


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(members := dict(pairs)) != len(pairs):
        raise ValueError("an object names a key twice: which value counts depends on the reader")
    return members
