"""The last lines of `run` and `compare`: where the report is, and what the exit code tells a script."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from consumers.report_files import HTML

#: What a script reads out of an exit code; codes that a result cannot end with are left out.
_MEANINGS: Mapping[int, str] = {0: "done, or promote", 1: "hold", 2: "roll back", 4: "stopped by a limit"}


def ending(out: Path, code: int | None) -> list[str]:
    """For a person who has read what stands above. `code`: null where the process ends with one of its own."""
    report = ["", f"report: {out / HTML}"]
    if code is None:
        return report
    others = ", ".join(f"{other} {words}" for other, words in _MEANINGS.items() if other != code)
    return [*report, f"exit code {code}: {_MEANINGS[code]} ({others})"]
