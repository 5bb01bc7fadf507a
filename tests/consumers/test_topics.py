"""The topics as they are made: sizes, partitions and retention as asked for, with room for dead letters."""

from __future__ import annotations

import base64

from consumers.topics_command import streams
from replay.cli import _parser
from replay.settings import KafkaSettings


def made(*flags):
    arguments = _parser().parse_args(["topics", "create", *flags])
    return {stream.name.rpartition(".")[2]: stream for stream in streams(KafkaSettings(), arguments)}


def test_there_are_four_with_retention_and_no_compaction():
    topics = made("--partitions", "6", "--replication", "3", "--retention-hours", "2")
    assert set(topics) == {"traces", "comparisons", "dead-letters", "verdicts"}
    assert {name: topic.partitions for name, topic in topics.items()} == {
        "traces": 6, "comparisons": 6, "dead-letters": 1, "verdicts": 1,
    }  # fmt: skip
    for topic in topics.values():
        assert topic.replication == 3
        assert topic.configs["retention.ms"] == str(2 * 3_600_000)
        assert topic.configs["cleanup.policy"] == "delete"


def test_comparisons_may_have_partitions_of_their_own():
    assert made("--partitions", "6", "--comparison-partitions", "2")["comparisons"].partitions == 2


def test_a_dead_letter_of_the_largest_trace_fits():
    size = 12 << 20
    topics = made("--max-message-bytes", str(size))
    assert topics["traces"].configs["max.message.bytes"] == str(size)
    assert int(topics["dead-letters"].configs["max.message.bytes"]) > len(base64.b64encode(bytes(size))) + 60_000
