"""Dead letters can be listed, looked at, and put back; what comes back is what was buried, byte for byte."""

from __future__ import annotations

import json
import subprocess

import pytest

import many_traces
from kafka_service import eventually
from processes import COMMAND

BAD = [
    b'{"schema":"trace/1","trace_id":',
    b"\xff\x00\xfe",
    b'{"schema":"trace/9","trace_id":"later"}',
    b"\x1b[2J\xe2\x80\xae",
]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory, model_of, bundle_of):
    corpus = many_traces.write(tmp_path_factory.mktemp("c") / "corpus.jsonl", 20, "production", "candidate")
    url = model_of(corpus, "candidate")
    return "--baseline", bundle_of(corpus, "production"), "--candidate", bundle_of(corpus, "candidate", url)


@pytest.fixture
def buried(stand, bundles, tmp_path):
    """A topic with four bad records among good ones, worked through."""
    stand.create(partitions=1)
    path = tmp_path / "traces.jsonl"
    many_traces.write(path, 5)
    path.write_bytes(path.read_bytes() + b"".join(value + b"\n" for value in BAD))
    stand.run("traces", "produce", path, "--raw")
    with stand.member(tmp_path / "worker.log", *bundles) as worker:
        eventually(lambda: stand.lag(*bundles)["lag"] == 0, 60, alive=worker)
        worker.terminate()
    return stand


def listed(stand, *arguments):
    return [json.loads(line) for line in stand.run("dead-letters", "list", "--json", *arguments).stdout.splitlines()]


def raw(stand, name):
    command = [*COMMAND, "dead-letters", "show", "--raw", name]
    return subprocess.run(command, capture_output=True, check=True, timeout=60, env=stand.environment).stdout


def test_every_letter_is_listed_with_its_reason_and_shown_whole(buried):
    letters = listed(buried)
    assert [letter["source"]["offset"] for letter in letters] == [5, 6, 7, 8]
    assert "newer than this program" in letters[2]["reason"]
    assert [raw(buried, letter["name"]) for letter in letters] == BAD
    shown = json.loads(buried.run("dead-letters", "show", letters[2]["name"]).stdout)
    assert shown["begins"] == BAD[2].decode()
    assert len(listed(buried, "--since", "1h ago", "--stage", "decode")) == 4
    assert listed(buried, "--stage", "other") == []
    text = buried.run("dead-letters", "list").stdout
    assert "\x1b" not in text
    assert len(text.splitlines()) == 4


def test_what_is_replayed_comes_back_byte_for_byte_and_says_where_from(buried):
    letters = listed(buried)
    assert "2 put back" in buried.run("dead-letters", "replay", letters[0]["name"], letters[2]["name"]).stdout
    back = buried.records(buried.traces)[-2:]
    assert [record.value for record in back] == [BAD[0], BAD[2]]
    assert [dict(record.headers)["shadow-replay-dead-letter"].decode() for record in back] == [
        letters[0]["name"],
        letters[2]["name"],
    ]
    assert "4 put back" in buried.run("dead-letters", "replay", "--all").stdout
    assert len(buried.records(buried.traces)) == 9 + 2 + 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "nowhere"], "names no dead letter: expected PARTITION/OFFSET"),
        (["show", "0/99"], "there is no dead letter 0/99"),
        (["replay"], "name the letters to replay, or say --all"),
        (["replay", "0/99"], "not found: 0/99"),
        (["list", "--since", "soon"], "is no time"),
    ],
)
def test_what_cannot_be_done_is_said(stand, arguments, words):
    stand.create(partitions=1)
    assert words in stand.run("dead-letters", *arguments, check=3).stderr
