"""How long `--help` takes, beside an interpreter that does nothing.

    python -m bench.startup
"""

from __future__ import annotations

import subprocess
import sys
import time

RUNS = 7
GOAL_SECONDS = 0.3
COMMANDS = (
    (),
    ("run",),
    ("compare",),
    ("demo",),
    ("recorded-model",),
    ("config",),
    *(("bundle", name) for name in ("infer", "check", "show", "digest", "diff")),
    ("traces", "convert"),
)


def main() -> None:
    """Print the best and the worst of several runs of each command's help."""
    bare = _seconds("-c", "pass")
    print(f"startup: best and worst of {RUNS} runs, a bare interpreter takes {min(bare):.3f} s")
    for command in COMMANDS:
        taken = _seconds("-m", "replay", *command, "--help")
        name = " ".join(("shadow-replay", *command, "--help"))
        print(f"  {name:<40} {min(taken):.3f} s, {max(taken):.3f} s (goal < {GOAL_SECONDS} s)")


def _seconds(*arguments: str) -> list[float]:
    taken = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - started)
    return taken


if __name__ == "__main__":
    main()
