"""Ordered pairs of the 17 AgentDojo bundles, over real HTTP: bookkeeping, and what plain scripts find.

Each bundle meets four others on either side; with REPLAY_ALL_PAIRS=1 (`make pairs`) all of them, 272 pairs.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from itertools import count
from pathlib import Path

import anyio
import pytest

from consumers.files import TraceItem, read_items
from consumers.journal import Journal
from consumers.recorded_model import recorded_model
from consumers.recording import record
from consumers.run import FileRun
from plain_script import all_writes, by_pair_key, steps, writes_by_step, writes_until_answer
from processes import CORPUS
from replay.admission import Admission
from replay.bundle_infer import infer_bundle
from replay.bundle_loader import load_bundle
from replay.comparison import MODES, Comparison
from replay.divergence import Comparer
from replay.models import Endpoint
from replay.planning import Design, Planner
from replay.routes import open_model

BANKING = CORPUS / "agentdojo-banking.jsonl.gz"
REQUESTS = 32
BUNDLES = 17
#: How far apart the bundles of a pair stand in the alphabet, round and round.
DISTANCES = range(1, BUNDLES) if os.environ.get("REPLAY_ALL_PAIRS") else (1, 3, 6, 12)


@pytest.fixture(scope="module")
def toolsets() -> dict:
    return json.loads((CORPUS / "toolsets.json").read_text())


@pytest.fixture(scope="module")
def effects(toolsets) -> dict[str, str]:
    return next(toolset["effects"] for name, toolset in toolsets.items() if name.startswith("agentdojo-banking"))


@pytest.fixture(scope="module")
def compared(tmp_path_factory, toolsets) -> dict[tuple[str, str], list[Comparison]]:
    """Comparisons by (baseline, candidate)."""
    folder = tmp_path_factory.mktemp("pairs")
    items = list(read_items(str(BANKING)))
    traces = [item.trace for item in items if isinstance(item, TraceItem)]
    by_bundle: dict[str, list[TraceItem]] = defaultdict(list)
    for item in items:
        by_bundle[item.trace.bundle.id].append(item)
    bundles = {}
    for number, bundle_id in enumerate(sorted(by_bundle.keys())):
        infer_bundle(traces, bundle_id=bundle_id, toolset=toolsets, out=folder / str(number))
        bundles[bundle_id] = load_bundle(folder / str(number))
    found: dict[tuple[str, str], list[Comparison]] = {}
    numbers = count()

    async def all_pairs() -> None:
        names = list(bundles)
        for place, candidate in enumerate(names):
            async with recorded_model(record(traces, bundle=candidate)) as url:
                for baseline in (names[(place + distance) % BUNDLES] for distance in DISTANCES):
                    planner = Planner(bundles[baseline], bundles[candidate])
                    out = folder / f"out-{next(numbers)}"
                    found[baseline, candidate] = await one_pair(planner, by_bundle[baseline], url, out)

    anyio.run(all_pairs)
    return found


async def one_pair(planner: Planner, items: list[TraceItem], url: str, out: Path) -> list[Comparison]:
    model = open_model(planner.candidate.route, Endpoint(url=url))
    with Journal.open(out, identity={}) as journal:
        run = FileRun(
            run_id="pairs",
            topic="banking",
            items=items,
            admission=Admission(planner.baseline),
            planner=planner,
            design=Design(MODES),
            comparer=Comparer(planner),
            model=model,
            journal=journal,
        )
        await run.run()
        comparisons = list(journal.comparisons())
    await model.aclose()
    return comparisons


def test_every_pair_gives_one_comparison_per_trace_and_mode(compared):
    assert len(compared) == BUNDLES * len(DISTANCES)
    for comparisons in compared.values():
        units = Counter((item.trace_id, item.mode) for item in comparisons)
        assert len(units) == len(comparisons) == REQUESTS * len(MODES)


def test_no_pair_meets_a_provider_failure_or_a_trace_it_cannot_replay(compared):
    dispositions = Counter(item.disposition for comparisons in compared.values() for item in comparisons)
    assert set(dispositions) <= {"compared", "censored", "no_recording", "over_budget"}
    assert dispositions["compared"] > dispositions.total() / 2


def test_what_was_not_scored_has_no_scores(compared):
    for comparisons in compared.values():
        for item in comparisons:
            if item.disposition not in ("compared", "censored"):
                assert (item.scores, item.flags, item.severity) == ({}, (), 0)


def key(item: Comparison) -> str:
    return item.cohort["pair_key"]


def differs(item: Comparison) -> bool:
    return (item.scores["tools.write"].value or 0.0) > 0


def test_free_replays_find_the_writes_a_plain_script_finds(compared, effects):
    for (baseline, candidate), comparisons in compared.items():
        ours, theirs = by_pair_key_of(baseline), by_pair_key_of(candidate)
        free = [item for item in comparisons if item.mode == "free" and item.disposition == "compared"]

        def parts(name: str, ours: dict = ours, theirs: dict = theirs) -> bool:
            return all_writes(ours[name], effects) != writes_until_answer(theirs[name], effects)

        expected = {key(item) for item in free if parts(key(item))}
        assert {key(item) for item in free if differs(item)} == expected, (baseline, candidate)


def test_forced_replays_find_the_writes_a_plain_script_finds_step_by_step(compared, effects):
    for (baseline, candidate), comparisons in compared.items():
        ours, theirs = by_pair_key_of(baseline), by_pair_key_of(candidate)
        forced = [item for item in comparisons if item.mode == "forced" and item.disposition == "compared"]

        def parts(name: str, ours: dict = ours, theirs: dict = theirs) -> bool:
            number = len(steps(ours[name]))
            return writes_by_step(ours[name], effects, number) != writes_by_step(theirs[name], effects, number)

        expected = {key(item) for item in forced if parts(key(item))}
        assert {key(item) for item in forced if differs(item)} == expected, (baseline, candidate)


def by_pair_key_of(bundle: str, cache: dict = {}) -> dict[str, dict]:  # noqa: B006 - read once per bundle
    if bundle not in cache:
        cache[bundle] = by_pair_key(BANKING, bundle)
    return cache[bundle]
