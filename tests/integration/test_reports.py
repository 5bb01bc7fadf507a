"""The reports of the demo, of a recorded shop and of a recorded bank: their first screens, and how they are laid out."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import NamedTuple

import pytest

from browser import BROWSER, laid_out
from consumers.demo import run_demo
from consumers.demo_data import TRACES
from consumers.run_command import replay_file
from processes import CORPUS
from replay.cli import main
from replay.trace import Trace
from replay.verdict_words import NAMES, TO_DO
from replay.wire import decode_trace
from reported import parsed

BANK_GATE = """
metrics:
  - {id: expected_failed, kind: paired_binary, margin: 0.10, weight: 2}
  - {id: tool_mismatch, kind: paired_binary, margin: 0.15}
  - {id: unsafe_action, kind: zero_tolerance, max_rate: 0.05}
"""
#: Requests of the demo that are replayed.
FEW = 24


class Reported(NamedTuple):
    out: Path
    today: str
    candidate: str


def demo(place: Path) -> Reported:
    """Of what production recorded for the demo, a few requests."""

    async def recorded(*_: object) -> list[Trace]:
        return [decode_trace(line) for line in gzip.decompress(TRACES.read_bytes()).splitlines()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("consumers.demo._produced", recorded)
        assert run_demo(place / "demo", replay=lambda order, settings: replay_file(order._replace(limit=FEW), settings)) == 0
    return Reported(place / "demo" / "results", "v42", "v43")


def compared(place: Path, corpus: str, gate: Path, *bundles: str) -> Reported:
    """Two recordings of one corpus, or three."""
    path, flags = str(CORPUS / f"{corpus}.jsonl.gz"), ("--where", "--where-b", "--where-lane")
    names = [f"{corpus.replace('-', '/')}/{bundle}" for bundle in bundles]
    lane = ["--lane", path] if len(bundles) == len(flags) else []
    taken = [part for flag, name in zip(flags, names, strict=False) for part in (flag, f"bundle.id={name}")]
    assert main(["compare", path, path, *lane, *taken, "--gate", str(gate), "--out", str(place / "out")]) in (0, 1, 2)
    return Reported(place / "out", *names[:2])


def shop(place: Path) -> Reported:
    tuned = "llm_agent/ft:gpt-4.1-2025-04-14:sierra:tau2-full-sft:BzrYdMNm"
    return compared(place, "tau2-retail", CORPUS.parent / "data" / "assistant.gate.yaml", "llm_agent/gpt-4.1", tuned)


def bank(place: Path) -> Reported:
    (place / "gate.yaml").write_text(BANK_GATE)
    today, candidate, again = "claude-3-5-sonnet-20240620", "meta-llama_Llama-3-70b-chat-hf", "claude-3-opus-20240229"
    return compared(place, "agentdojo-banking", place / "gate.yaml", today, candidate, again)


@pytest.fixture(scope="module", params=[demo, shop, bank], ids=lambda make: make.__name__)
def reported(request, tmp_path_factory) -> Reported:
    return request.param(tmp_path_factory.mktemp(request.param.__name__))


def test_the_first_screen_says_what_to_do_who_is_compared_and_why(reported):
    verdict = json.loads((reported.out / "summary.json").read_text())["verdict"]
    screen = parsed((reported.out / "report.html").read_bytes()).screen
    said = [
        NAMES[verdict["decision"]],
        TO_DO[verdict["decision"]],
        f"{reported.candidate} (the candidate) compared with {reported.today} (today's release, in production)",
        f"{verdict['conversations']} conversations",
    ]
    places = [screen.index(words) for words in said]
    assert places == sorted(places)
    if verdict["decision"] == "hold":
        assert "Next: " in screen[places[-1] :]
    assert any(name in screen[places[-1] :] for reason in verdict["reasons"] for name in reason["metrics"])


def test_the_comment_says_the_same_and_leads_to_the_page(reported):
    verdict = json.loads((reported.out / "summary.json").read_text())["verdict"]
    comment = (reported.out / "report.md").read_text()
    assert NAMES[verdict["decision"]] in comment.splitlines()[0]
    for words in (TO_DO[verdict["decision"]], f"`{reported.candidate}` (the candidate) compared with", "report.html", "What was looked at"):
        assert words in comment
    assert comment.count("<details>") <= 10


def test_every_pair_shows_what_was_asked(reported):
    page = (reported.out / "report.html").read_text()
    assert page.count('<article class="pair"') == page.count("<strong>User:</strong>") > 0


@pytest.mark.skipif(BROWSER is None, reason="no chromium on the path to lay a page out")
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_of_the_window_and_no_words_of_a_chart_meet(reported, tmp_path, width):
    found = laid_out(reported.out / "report.html", tmp_path, width=width)
    assert found["words"]
    assert (found["wide"], found["met"]) == ([], [])


@pytest.mark.skipif(BROWSER is None, reason="no chromium on the path to lay a page out")
def test_what_sticks_out_and_what_meets_would_be_found(tmp_path):
    """The control: a bar wider than the window, and two words in one place."""
    words = '<svg viewBox="0 0 100 20"><text x="10" y="15">one</text><text x="12" y="15">two</text></svg>'
    (tmp_path / "page.html").write_text(f'<body><p style="width:900px">wide</p>{words}</body>')
    found = laid_out(tmp_path / "page.html", tmp_path, width=390)
    assert (found["wide"], found["met"], found["words"]) == (["P wide"], ["one / two"], 2)
