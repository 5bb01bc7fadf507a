"""The verdict topic, and the verdicts that files hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from msgspec.structs import replace

from consumers.journal import SUMMARY
from consumers.kafka import KafkaSink
from consumers.stream import Outgoing
from consumers.topic_reader import to_the_end
from replay.errors import RecordError, UsageError
from replay.exact_json import loads
from replay.settings import KafkaSettings, Settings
from replay.verdict import Verdict
from replay.wire import decode, encode, from_json


async def publish(kafka: KafkaSettings, verdict: Verdict) -> None:
    """Write a verdict; one that is written twice has one id. Raises `StreamError`."""
    sink = await KafkaSink(kafka).start()
    try:
        await sink.send([Outgoing(kafka.verdicts, encode(verdict), verdict.run_id.encode("utf-8", "backslashreplace"))])
    finally:
        await sink.aclose()


async def all_told(settings: Settings) -> AsyncIterator[Verdict]:
    """Every verdict on the topic, those on one run in the order in which they were told. Raises `StreamError`."""
    async for record in to_the_end(settings, settings.kafka.verdicts):
        try:
            yield decode(Verdict, record.value)
        except RecordError:
            continue  # whoever wrote that, it is no verdict


async def told_of(settings: Settings, run_id: str) -> AsyncIterator[Verdict]:
    """The verdicts on a run, in the order in which they were told. Raises `StreamError`."""
    async for verdict in all_told(settings):
        if verdict.run_id == run_id:
            yield verdict


def dated_verdict_in(directory: Path) -> Verdict:
    """The same as `verdict_in`; one that says no date, as `compare` writes it, is of when its file was written."""
    verdict = verdict_in(directory)
    if verdict.emitted_at is not None:
        return verdict
    return replace(verdict, emitted_at=(directory / SUMMARY).stat().st_mtime_ns)


def verdict_in(directory: Path) -> Verdict:
    """What `run` or `compare` has found. Raises `UsageError` when there is no verdict."""
    path = directory / SUMMARY
    try:
        found = loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except RecordError as error:
        raise UsageError(f"{path}: {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("verdict"), dict):
        raise UsageError(f"{path}: holds no verdict; give --gate FILE, or put one in the baseline's rollout policy")
    return from_json(Verdict, found["verdict"])
