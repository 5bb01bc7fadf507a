"""An embedding function of the operator's: found, tried, and used by `compare`; a bad one is refused before the start."""

from __future__ import annotations

import json

import pytest

from consumers.embedding import meanings_of
from replay.cli import main
from replay.errors import UsageError

GOOD = """
def vectors(texts):
    return [[len(text), 1.0] for text in texts]

def short(texts):
    return [[1.0]]

def broken(texts):
    raise RuntimeError("no model here")

number = 7
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = f"embedding_of_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(GOOD)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_without_one_there_are_no_meanings():
    assert meanings_of(None) is None


def test_a_function_beside_the_settings_is_found(place):
    assert set(meanings_of(f"{place}:vectors").of(["ab"])) == {"ab"}


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("short", "expected one finite vector each"),
        ("broken", "no model here"),
        ("number", "is no function"),
        ("absent", "cannot be imported"),
    ],
)
def test_one_that_does_not_embed_is_refused(place, what, words):
    with pytest.raises(UsageError, match=words):
        meanings_of(f"{place}:{what}")


@pytest.mark.parametrize("name", ["vectors", "no.such.module:vectors", ":x"])
def test_a_name_that_leads_nowhere_is_refused(name):
    with pytest.raises(UsageError, match="embed: "):
        meanings_of(name)


def test_compare_scores_meanings_where_it_is_set_and_only_there(place, tmp_path):
    for name, answer in (("a", "The laptop is locked."), ("b", "The laptop was wiped, I am sorry.")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(conversation(answer)) + "\n")
    (tmp_path / "shadow-replay.toml").write_text(f'embed = "{place}:vectors"\n')
    assert main(["compare", "a.jsonl", "b.jsonl", "--out", "with"]) == 0
    (tmp_path / "shadow-replay.toml").unlink()
    assert main(["compare", "a.jsonl", "b.jsonl", "--out", "without"]) == 0
    scores = [json.loads((tmp_path / out / "comparisons.jsonl").read_text().splitlines()[0])["scores"] for out in ("with", "without")]
    assert scores[0]["answer.semantic"]["status"] == "scored"
    assert "answer.semantic" not in scores[1]


def conversation(answer):
    return {
        "schema": "agent-trajectory/1", "id": "t", "mode": "single_request", "source": "made", "task_id": "0", "trial": 0, "pair_key": "k", "bundle": {"id": "b"}, "request": {"text": "hi"},
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": answer}], "final_answer": answer,
    }  # fmt: skip
