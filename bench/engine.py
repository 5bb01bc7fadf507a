"""The engine as a whole: achieved against ideal rate with many replays in flight, and CPU per trace by stage.

    python -m bench.engine

The ideal is arithmetic: in flight / latency of the model. The model is the recorded-model server in a process of
its own, on the same machine, so its CPU competes with ours; both are reported.
"""

from __future__ import annotations

import cProfile
import json
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import anyio

from consumers.files import TraceItem, read_items
from consumers.journal import Journal
from consumers.run import FileRun
from replay.admission import Admission
from replay.bundle_infer import infer_bundle
from replay.bundle_loader import load_bundle
from replay.comparison import Source
from replay.divergence import Comparer, Finished, Job
from replay.driver import drive
from replay.exact_json import loads
from replay.execution import Attempt, Plan, replay
from replay.models import Endpoint, ModelReply, ModelRequest
from replay.planning import Design, Planner
from replay.routes import open_model
from replay.trace import Message, Trace
from replay.wire import encode, encode_trace, trace_from

T = TypeVar("T")

IN_FLIGHT = 500
MODEL_SECONDS = 1.0
#: Replays per place in flight: the ideal run takes this many times the model's latency.
ROUNDS = 16
RETAIL = Path("tests/corpus/tau2-retail.jsonl.gz")
RETAIL_BUNDLE = "tau2/retail/llm_agent/gpt-4.1"
STAGE_TRACES = 400


def main() -> None:
    """Print both measurements."""
    with tempfile.TemporaryDirectory() as folder:
        _rate(Path(folder))
    _stages()


# -- rate -------------------------------------------------------------------------------------------------------


def _rate(folder: Path) -> None:
    corpus = folder / "corpus.jsonl"
    count = IN_FLIGHT * ROUNDS
    corpus.write_bytes(b"".join(_simple_lines(count)))
    with _model(corpus) as (url, process):
        planner = _planner(corpus, folder, url)
        before = resource.getrusage(resource.RUSAGE_SELF)
        profile = cProfile.Profile()
        seconds = _timed_run(corpus, folder / "out", planner)
        used = resource.getrusage(resource.RUSAGE_SELF)
        ours = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
        theirs = _cpu_seconds(process.pid)
        ideal = IN_FLIGHT / MODEL_SECONDS
        achieved, overall = _steady_rate(folder / "out"), count / seconds
        print(f"engine rate: {IN_FLIGHT} in flight, a model of {MODEL_SECONDS:g} s, {count} one-step replays")
        print(f"  ideal {ideal:.0f}/s, achieved {achieved:.0f}/s, ratio {achieved / ideal:.3f} (goal >= 0.95)")
        print(f"  from the first byte read to the last one written, filling and draining included: {overall:.0f}/s")
        print(f"  CPU per replay: engine {ours / count * 1e3:.2f} ms, model server {theirs / count * 1e3:.2f} ms")
        print(f"  busy: engine {ours / seconds:.0%} of a core, model server {theirs / seconds:.0%}")
        if achieved / ideal < 0.95:
            profile.runcall(_timed_run, corpus, folder / "again", planner)
            pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(20)


def _steady_rate(out: Path) -> float:
    """Replays per second while the pipe is full: whole rounds of the model, without the first and the last two."""
    lines = (out / "comparisons.jsonl").read_bytes().splitlines()
    finished = sorted(loads(line)["replayed_at"] for line in lines)
    first, last = 2 * IN_FLIGHT, len(finished) - 2 * IN_FLIGHT
    return float((last - first) / ((finished[last] - finished[first]) / 1e9))


def _timed_run(corpus: Path, out: Path, planner: Planner) -> float:
    endpoint = Endpoint(url=planner.candidate.release.endpoint.url, concurrency=IN_FLIGHT)

    async def run() -> float:
        model = open_model(planner.candidate.route, endpoint)
        with Journal.open(out, identity={}) as journal:
            started = time.perf_counter()
            await FileRun(
                run_id="bench",
                topic=corpus.name,
                items=read_items(str(corpus)),
                admission=Admission(planner.baseline),
                planner=planner,
                design=Design(("free",)),
                comparer=Comparer(planner),
                model=model,
                journal=journal,
                concurrency=IN_FLIGHT,
            ).run()
            seconds = time.perf_counter() - started
        await model.aclose()
        return seconds

    return anyio.run(run)


def _simple_lines(count: int) -> Iterator[bytes]:
    for number in range(count):
        for bundle, answer in (("production", "It is on your desk."), ("candidate", "On your desk.")):
            step = {"kind": "model_call", "output": {"role": "assistant", "content": answer}}
            trace = {
                "schema": "trace/1",
                "trace_id": f"{bundle}-{number}",
                "bundle": {"id": bundle},
                "request": {
                    "messages": [{"role": "user", "content": "Where is my laptop? " * 20}],
                    "attributes": {"pair_key": str(number)},
                },
                "steps": [step],
                "final_answer": answer,
            }
            yield json.dumps(trace).encode() + b"\n"


@contextmanager
def _model(corpus: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    options = ["--corpus", str(corpus), "--bundle", "candidate", "--latency", str(MODEL_SECONDS)]
    command = [sys.executable, "-m", "replay", "recorded-model", *options, "--log", "/dev/null"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["listening"], process
    finally:
        process.terminate()
        process.wait(timeout=20)


def _planner(corpus: Path, folder: Path, url: str, ids: Sequence[str] = ("production", "candidate")) -> Planner:
    toolsets = loads((RETAIL.parent / "toolsets.json").read_bytes())
    bundles = []
    for bundle_id in ids:
        out = folder / bundle_id.replace("/", "_").replace(":", "_")
        infer_bundle(_traces(corpus), bundle_id=bundle_id, toolset=toolsets, route_url=url, out=out)
        bundles.append(load_bundle(out))
    return Planner(bundles[0], bundles[-1])


def _traces(path: Path) -> Iterator[Trace]:
    return (item.trace for item in read_items(str(path)) if isinstance(item, TraceItem))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


# -- stages -----------------------------------------------------------------------------------------------------


class _Echo:
    """A model in this process that answers what production answered: the engine alone is measured."""

    def __init__(self, trace: Trace) -> None:
        self._outputs = iter(call.output for call in trace.model_calls)

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:  # noqa: ARG002
        return ModelReply(message=next(self._outputs, Message(role="assistant", content="")), latency_ns=1)

    async def aclose(self) -> None:
        return None


def _stages() -> None:
    with tempfile.TemporaryDirectory() as folder:
        planner = _planner(RETAIL, Path(folder), "http://127.0.0.1:9/v1", (RETAIL_BUNDLE,))
    traces = [trace for trace in _traces(RETAIL) if trace.bundle.id == RETAIL_BUNDLE][:STAGE_TRACES]
    lines = [encode_trace(trace) for trace in traces]
    comparer = Comparer(planner)
    per_trace: dict[str, float] = {}
    parsed = _clocked(per_trace, "decode", lambda: [trace_from(loads(line)) for line in lines])
    plans = _clocked(per_trace, "plan", lambda: [planner.plan(trace, "free") for trace in parsed])
    attempts = _clocked(per_trace, "replay on stubs", lambda: anyio.run(_drive_all, plans))
    both = zip(plans, attempts, strict=True)
    finished = [Finished(Job(plan, Source(topic="bench")), attempt) for plan, attempt in both]
    batches = [finished[start : start + 64] for start in range(0, len(finished), 64)]
    scored = _clocked(
        per_trace, "compare", lambda: [c for batch in batches for c in comparer.compare(batch, run_id="b", now=0)]
    )
    _clocked(per_trace, "encode", lambda: [encode(comparison) for comparison in scored])
    size = sum(map(len, lines)) / len(lines)
    print(f"engine stages: CPU per trace, free mode, {len(traces)} tau2-retail turns of {size:,.0f} bytes")
    for stage, seconds in per_trace.items():
        print(f"  {stage:<16} {seconds / len(traces) * 1e3:7.3f} ms")
    print(f"  {'all':<16} {sum(per_trace.values()) / len(traces) * 1e3:7.3f} ms")


async def _drive_all(plans: Sequence[Plan]) -> list[Attempt]:
    return [await drive(replay(plan), _Echo(plan.trace)) for plan in plans]


def _clocked(table: dict[str, float], stage: str, work: Callable[[], T]) -> T:
    started = time.process_time()
    result = work()
    table[stage] = time.process_time() - started
    return result


if __name__ == "__main__":
    main()
