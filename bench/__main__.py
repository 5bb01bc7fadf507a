"""`python -m bench`: all benchmarks, one after the other."""

from __future__ import annotations

from bench import answers, engine, routes, startup, toolcalls, worker

for benchmark in (startup, routes, toolcalls, answers, engine, worker):
    benchmark.main()
