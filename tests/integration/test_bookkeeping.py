"""Multi-turn recordings through `run` and `compare`: every trace, message and conversation is accounted for."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from plain_script import records
from processes import CORPUS, comparisons, shadow_replay

RETAIL, AIRLINE = CORPUS / "tau2-retail.jsonl.gz", CORPUS / "tau2-airline.jsonl.gz"
TAU_BENCH = CORPUS / "tau-bench-airline.jsonl.gz"
TUNED = "llm_agent/ft:gpt-4.1-2025-04-14:sierra:tau2-full-sft:BzrYdMNm"
CASES = {
    "retail": (RETAIL, f"tau2/retail/{TUNED}", "tau2/retail/llm_agent/gpt-4.1", 526),
    "airline": (AIRLINE, f"tau2/airline/{TUNED}", "tau2/airline/llm_agent/gpt-4.1", 1224),
}


def answered_turns(corpus, bundle) -> int:
    """User messages with an assistant message behind them, counted by hand."""
    total = 0
    for record in records(corpus):
        if record["bundle"]["id"] == bundle:
            roles = [message["role"] for message in record["messages"]]
            total += sum(this == "user" and "assistant" in after_user(roles, i) for i, this in enumerate(roles))
    return total


def after_user(roles: list[str], index: int) -> list[str]:
    rest = roles[index + 1 :]
    return rest[: rest.index("user")] if "user" in rest else rest


@pytest.mark.parametrize("case", CASES)
def test_every_turn_gets_its_comparisons(case, model_of, bundle_of, tmp_path):
    corpus, production, candidate, read = CASES[case]
    url = model_of(corpus, candidate)
    bundles = ["--baseline", bundle_of(corpus, production), "--candidate", bundle_of(corpus, candidate, url)]
    shadow_replay("run", corpus, *bundles, "--out", tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    admitted = answered_turns(corpus, production)
    assert (summary["traces"], summary["admitted"]) == (read, admitted)
    assert summary["refused"] == {"other_bundle": read - admitted}
    units = Counter((item["trace_id"], item["mode"]) for item in comparisons(tmp_path / "out"))
    assert len(units) == 2 * admitted
    assert set(units.values()) == {1}
    dispositions = Counter(item["disposition"] for item in comparisons(tmp_path / "out"))
    assert set(dispositions) <= {"compared", "censored", "no_recording"}


def test_trials_of_one_release_pair_task_by_task(tmp_path):
    shadow_replay(
        *("compare", TAU_BENCH, TAU_BENCH, "--where", "request.attributes.trial=0"),
        *("--where-b", "request.attributes.trial=1", "--lane", TAU_BENCH, "--where-lane", "request.attributes.trial=2"),
        *("--out", tmp_path / "out"),
    )
    found = comparisons(tmp_path / "out")
    assert Counter(item["lane"] for item in found) == {"candidate": 50, "baseline": 50}
    assert len({item["comparison_id"] for item in found}) == 100
    assert {item["cohort"]["trial"] for item in found} == {0}


@pytest.mark.parametrize(("corpus", "tasks"), [(RETAIL, 40), (AIRLINE, 20)], ids=["retail", "airline"])
def test_two_releases_pair_on_their_tasks(corpus, tasks, tmp_path):
    domain = "retail" if corpus is RETAIL else "airline"
    shadow_replay(
        *("compare", corpus, corpus, "--where", f"bundle.id=tau2/{domain}/llm_agent/gpt-4.1"),
        *("--where-b", f"bundle.id=tau2/{domain}/{TUNED}", "--out", tmp_path / "out"),
    )
    assert len(comparisons(tmp_path / "out")) == tasks


def test_a_recording_compared_with_itself_differs_nowhere(tmp_path):
    shadow_replay("compare", RETAIL, RETAIL, "--out", tmp_path / "out")
    found = comparisons(tmp_path / "out")
    assert len(found) == 80
    assert {item["severity"] for item in found} == {0}
    assert not any(score["value"] for item in found for score in item["scores"].values())


def test_tools_that_nobody_describes_are_taken_for_writes_and_that_is_said(tmp_path):
    alone = Path(shutil.copy(RETAIL, tmp_path))
    done = shadow_replay("compare", alone, alone, "--out", tmp_path / "out")
    (assumed,) = json.loads((tmp_path / "out" / "summary.json").read_bytes())["assumed"]
    for words in ("taken for writes", "get_order_details"):
        assert words in assumed
    assert "ASSUMED, because the recordings do not say" in done.stdout
    assert all("Assumed:" in (tmp_path / "out" / name).read_text("utf-8") for name in ("report.html", "report.md"))
    described = shadow_replay("compare", RETAIL, RETAIL, "--out", tmp_path / "described")
    assert "ASSUMED" not in described.stdout
    assert "Assumed:" not in (tmp_path / "described" / "report.html").read_text("utf-8")


def test_recordings_without_a_common_task_are_refused(tmp_path):
    done = shadow_replay("compare", RETAIL, TAU_BENCH, "--out", tmp_path / "out", check=3)
    assert "see --key" in done.stderr


def test_comparing_again_starts_afresh_and_never_into_another_runs_results(tmp_path):
    for _ in range(2):
        shadow_replay("compare", RETAIL, RETAIL, "--out", tmp_path / "out")
        assert len(comparisons(tmp_path / "out")) == 80
    shadow_replay("compare", RETAIL, AIRLINE, "--out", tmp_path / "out", check=3)
    assert len(comparisons(tmp_path / "out")) == 80


def test_conversations_pair_by_any_path(tmp_path):
    shadow_replay("compare", RETAIL, RETAIL, "--key", "conversation_id", "--out", tmp_path / "out")
    assert len(comparisons(tmp_path / "out")) == 80
