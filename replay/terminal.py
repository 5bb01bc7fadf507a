"""Trace content on a terminal."""

from __future__ import annotations


def clean(text: str, limit: int) -> str:
    """One line, no control characters that could move a cursor, cut to `limit`."""
    flat = " ".join(text[: limit * 4].split())
    safe = "".join(character if character.isprintable() else "\ufffd" for character in flat)
    return safe if len(safe) <= limit and len(text) <= limit * 4 else f"{safe[:limit]}…"
