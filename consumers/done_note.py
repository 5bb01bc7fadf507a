"""What is kept beside a committed offset: which records beyond it are finished, in at most 4,096 characters.

    d1.<nonce>.r<base64 of a bitmap>     bit i: offset + i is finished; bit 0 is the first that is not
    d1.<nonce>.z<base64 of it, deflated>

The shorter form is taken. The nonce makes every commit a different one, so that a writer which does not know how its
transaction ended finds out by reading. A line of other text may follow (the plan of a window).
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from replay.errors import UsageError

#: The broker's default for offset.metadata.max.bytes.
MOST_BYTES = 4_096
NONCE_CHARS = 16
_HEAD = len("d1..r") + NONCE_CHARS
_NOTE = re.compile(r"d1\.([0-9a-f]{16})\.([rz])([A-Za-z0-9+/=]*)(?:\n(.*))?", re.DOTALL)


class Note(NamedTuple):
    """`done`: offsets beyond the committed one that are finished, in order. `rest`: the text that follows."""

    nonce: str
    done: tuple[int, ...] = ()
    rest: str = ""


def longest_span(rest: str = "") -> int:
    """How far beyond the committed offset a finished record may be, so that its bit certainly fits."""
    room = MOST_BYTES - _HEAD - (len(rest.encode()) + 1 if rest else 0)
    return room // 4 * 3 * 8


def write_note(note: Note, offset: int) -> str:
    """Raises `ValueError` when it does not fit: a span that was let grow too far is our own mistake."""
    raw = _bitmap(note.done, offset)
    deflated = zlib.compress(raw, 9)
    kind, held = ("z", deflated) if len(deflated) < len(raw) else ("r", raw)
    text = f"d1.{note.nonce}.{kind}{base64.b64encode(held).decode()}" + (f"\n{note.rest}" if note.rest else "")
    if len(text.encode()) > MOST_BYTES:
        raise ValueError(f"a note of {len(text)} characters is kept by no broker")
    return text


def read_note(text: str, offset: int, *, whose: str) -> Note:
    """Text without a bitmap (an operator's, or of delivery at least once) says that nothing beyond is done.

    Raises `UsageError` for a bitmap of a newer version, or a broken one: to go on would replay what is paid for.
    """
    if not re.match(r"d\d+\.", text):
        return Note("", rest=text)
    found = _NOTE.fullmatch(text)
    bits = None if found is None else _bits(found[2], found[3])
    if found is None or bits is None:
        raise UsageError(
            f"{whose}: its offsets carry notes this version cannot read; go on with the version that wrote them, or "
            "reset the group's offsets"
        )
    ones = np.flatnonzero(np.unpackbits(np.frombuffer(bits, dtype=np.uint8), bitorder="little"))
    return Note(found[1], tuple((ones + offset).tolist()), found[4] or "")


def _bits(kind: str, text: str) -> bytes | None:
    """Null for what no writer of this version has written."""
    try:
        held = base64.b64decode(text, validate=True)
        return zlib.decompress(held) if kind == "z" else held
    except (binascii.Error, zlib.error):
        return None


def _bitmap(done: Iterable[int], offset: int) -> bytes:
    relative = np.array(sorted(done), dtype=np.int64) - offset
    if not relative.size:
        return b""
    bits = np.zeros(int(relative[-1]) + 1, dtype=np.uint8)
    bits[relative] = 1
    return np.packbits(bits, bitorder="little").tobytes()
