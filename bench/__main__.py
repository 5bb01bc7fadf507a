"""`python -m bench`: all benchmarks, one after the other."""

from __future__ import annotations

from bench import answers, claims, engine, evidence, routes, startup, toolcalls, transactions, worker

for benchmark in (startup, routes, toolcalls, answers, claims, evidence, engine, transactions, worker):
    benchmark.main()
