"""`python -m bench`: all benchmarks, one after the other."""

from __future__ import annotations

from bench import answers, claims, engine, routes, startup, toolcalls, transactions, worker

for benchmark in (startup, routes, toolcalls, answers, claims, engine, transactions, worker):
    benchmark.main()
