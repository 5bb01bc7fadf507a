"""The feed as a process, and a count of a topic that knows nothing of it."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from pathlib import Path

from kafka_service import Stand, eventually


class Feed:
    """A feed process, and what it answers."""

    def __init__(self, stand: Stand, directory: Path, *arguments: object) -> None:
        self._member = stand.start(
            directory / "feed.log", "--port", 0, "--state", directory / "feed.sqlite", *arguments, command="feed"
        )
        eventually(lambda: self.starts > 0, 30, alive=self._member)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._member.kill()

    @property
    def starts(self):
        """How often the process with this log has said that it serves; only the last address counts."""
        events = self._member.events("serving")
        return len(events) if events and self._answers(events[-1]["url"]) else 0

    def _answers(self, url):
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5) as response:
                return response.status == 200
        except OSError:
            return False

    def get(self, path):
        url = self._member.events("serving")[-1]["url"]
        with urllib.request.urlopen(url + path, timeout=30) as response:
            return json.load(response)

    @property
    def folded(self):
        return sum(self.get("/api/summary")["records"].values())

    @property
    def caught_up(self):
        """As far as the feed knows: every partition is folded to the end it has seen."""
        positions = self.get("/api/summary")["positions"]
        return bool(positions) and all(found["offset"] == found["end"] for found in positions)

    def kill(self):
        self._member.kill()

    def terminate(self):
        return self._member.terminate(within=15)


def plain_count(stand):
    """What the topic holds, by run: dispositions, flags and tools of every comparison once."""
    found = {}
    for record in stand.records(stand.comparisons):
        if b'"comparison/1"' in record.value[:40]:
            item = json.loads(record.value)
            found[item["run_id"], item["comparison_id"]] = item
    counts = Counter()
    for (run, _), item in found.items():
        counts[run, item["mode"], "disposition", item["disposition"]] += 1
        if item["disposition"] in ("compared", "censored"):
            for rule in {flag["rule"] for flag in item["flags"]}:
                counts[run, item["mode"], "rule", rule] += 1
        for call in item["replay"]["calls"]:
            counts[run, item["mode"], "tool", call["tool"]] += 1
    return counts


def feed_count(summary):
    counts = Counter()
    for run in summary["runs"]:
        for lane in run["lanes"]:
            for kind, name in (("disposition", "dispositions"), ("rule", "rules")):
                for value, number in lane[name].items():
                    counts[run["run_id"], lane["mode"], kind, value] += number
            for tool, sums in lane["tools"].items():
                counts[run["run_id"], lane["mode"], "tool", tool] += sums["replay"]
    return +counts
