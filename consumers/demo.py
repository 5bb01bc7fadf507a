"""`shadow-replay demo`: the stolen-laptop assistant, from production to a summary, without a key or a broker.

    copy      the bundles v42 (in production) and v43 (on trial), and the script
    serve     the scripted model, in a process of its own, over HTTP on loopback
    produce   production's traces: v42 works for a made-up company
    replay    them with v43, and with v42 again beside it, both modes, by the same code as `shadow-replay run`
    judge     what came of it, by a gate that comes with the demo

The model is scripted, and the demo says so: it shows what the program does, never how good a model is.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from shutil import which
from typing import TextIO, TypeAlias

import anyio

from consumers.demo_data import BUNDLES, GATE, SCRIPT, WORLD
from consumers.demo_data.company import load_company
from consumers.demo_data.production import produce
from consumers.demo_data.script import load_script
from consumers.run_command import DONE, EXIT_CODES, RunOrder, replay_file
from consumers.scripted_model import DEFAULT_PORT, spawned
from replay.bundle_loader import load_bundle
from replay.errors import UsageError
from replay.models import Endpoint
from replay.routes import open_model
from replay.settings import Settings
from replay.trace import Trace
from replay.wire import encode_trace

#: How the replay is done: `run_command.replay_file`, unless a test says otherwise.
Replay: TypeAlias = Callable[[RunOrder, Settings], int]

_CLOSE_SECONDS = 5.0
_REPLAYING = "replaying each of them with v43, and with v42 again beside it, both modes ..."
_LINE_THAT_HELPS = "Only say that something was done when the result of the tool says so."


def demo(arguments: argparse.Namespace) -> int:
    """The command. Settings of the machine are left out of it, so that it shows the same everywhere."""
    return run_demo(Path(arguments.out), as_json=arguments.json)


def run_demo(out: Path, *, as_json: bool = False, replay: Replay = replay_file) -> int:
    """Play the demo in `out`. Raises `UsageError` if `out` holds other files.

    Gives 0 whatever the verdict is, for the demo has shown it; else the exit code of the replay.

    The same `out` again replays nothing twice: what is there is summed up once more.
    """
    say = _Narrator(sys.stderr if as_json else sys.stdout)
    say(*_opening(out))
    _place(out, demo_files())
    with spawned(out / SCRIPT.name) as url:
        started = time.monotonic()
        traces = anyio.run(_produced, out, url)
        _place(out, {"traces.jsonl": b"".join(encode_trace(trace) + b"\n" for trace in traces)})
        say(_production_line(traces, time.monotonic() - started), _REPLAYING, "")
        code = replay(_order(out, as_json=as_json), _settings(out, url))
    say(*_closing(out))
    return DONE if code in EXIT_CODES.values() else code


def demo_files() -> Mapping[str, bytes]:
    """What is copied for the user: path in the directory to content."""
    bundles = sorted(path for path in BUNDLES.rglob("*") if path.is_file())
    found = {f"bundles/{path.relative_to(BUNDLES).as_posix()}": path.read_bytes() for path in bundles}
    return {**found, **{path.name: path.read_bytes() for path in (GATE, SCRIPT)}}


def _place(out: Path, files: Mapping[str, bytes]) -> None:
    """Write files that are not there. One that differs is somebody's work, so nothing is overwritten."""
    different = [name for name, data in files.items() if _differs(out / name, data)]
    if different:
        raise UsageError(
            f"{out}: {', '.join(different[:3])} {'is' if len(different) == 1 else 'are'} not the demo's, or changed; "
            "give --out another directory, or type the commands the demo printed"
        )
    try:
        for name, data in files.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(data)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written: {error.strerror or error}") from None


def _differs(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() != data
    except FileNotFoundError:
        return False
    except OSError:
        return True


# -- production and replay ----------------------------------------------------------------------------------------


async def _produced(out: Path, url: str) -> list[Trace]:
    """Production's traces, made over HTTP through the route that replays use, too."""
    baseline, script = load_bundle(out / "bundles" / "v42"), load_script(out / SCRIPT.name)
    model = open_model(baseline.route, Endpoint(url=url, concurrency=64))
    try:
        return await produce(load_company(WORLD), baseline, script, model)
    finally:
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            await model.aclose()


def _order(out: Path, *, as_json: bool) -> RunOrder:
    return RunOrder(traces=str(out / "traces.jsonl"), out=out / "results", as_json=as_json, is_shown=True)


def _settings(out: Path, url: str) -> Settings:
    bundles = out / "bundles"
    return Settings(
        baseline=str(bundles / "v42"),
        candidates=(str(bundles / "v43"),),
        route_url=url,
        lane_share=1.0,
        gate=str(out / GATE.name),
    )


# -- words --------------------------------------------------------------------------------------------------------


class _Narrator:
    """Says what happens as it happens; data goes to standard output, so words leave it where it is JSON."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, *lines: str) -> None:
        self._stream.write("".join(f"{line}\n" for line in lines))
        self._stream.flush()


def _opening(out: Path) -> Iterator[str]:
    yield "The stolen-laptop assistant: v42 is in production, v43 (a shorter prompt, a cheaper model) is on trial."
    yield ""
    yield "  THE MODEL IS SCRIPTED. Its answers, mistakes, noise and speed are drawn from a script; the company and its"
    yield "  people are made up. What follows shows what shadow-replay does, and says nothing about any real model."
    yield ""
    yield f"no key, no broker; HTTP on loopback only; everything is written to {out}"


def _production_line(traces: Iterable[Trace], seconds: float) -> str:
    found = list(traces)
    conversations = len({trace.record_key for trace in found})
    return f"v42 served {len(found)} requests of {conversations} conversations in {seconds:.1f} s; all were recorded"


def _closing(out: Path) -> Iterator[str]:
    run = f"{_command()} run traces.jsonl --gate gate.yaml --lane-share 1 --baseline bundles/v42 --candidate bundles"
    yield ""
    yield f"Everything above came from a scripted model. In {out}:"
    yield "  traces.jsonl        what production recorded (trace/1)"
    yield f"  bundles/v42, v43    both releases; by release.yaml their model listens on port {DEFAULT_PORT} here"
    yield "  gate.yaml           what must be proved of v43"
    yield "  script.yaml         what the scripted model says and does"
    yield "  results/            report.html, report.md, comparisons.jsonl, dead-letters.jsonl, summary.json"
    yield ""
    yield "To do it by hand, serve the scripted model from a second terminal:"
    yield f"  cd {shlex.quote(str(out))}; {shlex.quote(sys.executable)} -m consumers.scripted_model script.yaml"
    yield "and then"
    yield f"  cd {shlex.quote(str(out))}"
    yield f"  {_command()} bundle diff bundles/v42 bundles/v43"
    yield f"  {run}/v43 --where request.attributes.intent=stolen --out stolen"
    yield "fold the comparisons again: the same verdict"
    yield f"  {_command()} gate refold results"
    yield "two runs of one release differ, too; this is v42 against itself"
    yield f"  {run}/v42 --out noise"
    yield "mend v43: put this line of v42 back into bundles/v43/prompts/system.j2, and its false claims are gone"
    yield f"  {_LINE_THAT_HELPS}"
    yield f"  {run}/v43 --out mended"


def _command() -> str:
    """How `shadow-replay` is called from here: it need not be on the path."""
    return "shadow-replay" if which("shadow-replay") else f"{shlex.quote(sys.executable)} -m replay"
