"""`dead-letters list | show | replay`: what could not be used, with its bytes, and the way back once that is mended."""

from __future__ import annotations

import argparse
import base64
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import NamedTuple

import anyio

from consumers.kafka import KafkaSink
from consumers.run_command import COULD_NOT_RUN, DONE, print_json, print_lines
from consumers.service import service_settings
from consumers.stream import Outgoing, Received
from consumers.topic_reader import to_the_end
from consumers.when import milliseconds, parse_when
from replay.comparison import DeadLetter
from replay.errors import RecordError, UsageError
from replay.exact_json import Json
from replay.settings import Settings
from replay.wire import decode

#: Which letter a record comes from, on the record that `replay` puts back.
PROVENANCE = "shadow-replay-dead-letter"
_AT_A_TIME = 100
_SHOWN_BYTES = 4_096
_NAME = re.compile(r"(\d{1,9})/(\d{1,18})", re.ASCII)


class Letter(NamedTuple):
    """A letter and where it stands, named partition/offset."""

    record: Received
    letter: DeadLetter

    @property
    def name(self) -> str:
        return f"{self.record.partition.number}/{self.record.offset}"

    @property
    def written(self) -> datetime:
        return datetime.fromtimestamp(self.record.timestamp_ms / 1000, UTC)


def list_letters(arguments: argparse.Namespace) -> int:
    """`dead-letters list`: a line each, and how many there are by stage."""
    settings, wanted = service_settings(arguments), _filter(arguments)
    stages: Counter[str] = Counter()

    async def run() -> None:
        async for found in _letters(settings, arguments):
            if wanted(found):
                stages[found.letter.stage] += 1
                print_json(_as_json(found)) if arguments.json else print_lines([_line(found)])

    anyio.run(run)
    sys.stderr.write("".join(f"{count:,} {stage}\n" for stage, count in sorted(stages.items())) or "no dead letters\n")
    return DONE


def show(arguments: argparse.Namespace) -> int:
    """`dead-letters show NAME`: everything about one; `--raw` writes its bytes as they were."""
    settings, wanted = service_settings(arguments), {_checked(arguments.name)}
    found = anyio.run(_chosen, settings, arguments, lambda letter: letter.name in wanted)
    if not found:
        raise UsageError(f"there is no dead letter {arguments.name}; `shadow-replay dead-letters list` names them")
    if arguments.raw:
        sys.stdout.buffer.write(found[0].letter.value)
    else:
        print_json(_as_json(found[0]) | _contents(found[0].letter))
    return DONE


def replay(arguments: argparse.Namespace) -> int:
    """`dead-letters replay NAME... | --all`: put records back on the topic they came from, as they were."""
    settings = service_settings(arguments)
    names = {_checked(name) for name in arguments.names}
    if not names and not arguments.all:
        raise UsageError("name the letters to replay, or say --all; `shadow-replay dead-letters list` names them")
    in_filter = _filter(arguments)
    found = anyio.run(_put_back, settings, arguments, lambda letter: in_filter(letter) and _is_named(letter, names))
    missing = names - found
    print_lines([f"{len(found):,} put back on {settings.kafka.traces}"])
    if missing:
        sys.stderr.write(f"not found: {', '.join(sorted(missing))}\n")
    return COULD_NOT_RUN if missing else DONE


def _is_named(letter: Letter, names: set[str]) -> bool:
    return not names or letter.name in names


async def _put_back(settings: Settings, arguments: argparse.Namespace, wanted: Callable[[Letter], bool]) -> set[str]:
    done: set[str] = set()
    sink = await KafkaSink(settings.kafka).start()
    try:
        batch: list[Letter] = []
        async for found in _letters(settings, arguments):
            if wanted(found):
                batch.append(found)
            if len(batch) == _AT_A_TIME:
                done |= await _sent(sink, settings.kafka.traces, batch)
                batch = []
        return done | await _sent(sink, settings.kafka.traces, batch)
    finally:
        await sink.aclose()


async def _sent(sink: KafkaSink, topic: str, batch: list[Letter]) -> set[str]:
    await sink.send([_outgoing(found, topic) for found in batch])
    return {found.name for found in batch}


def _outgoing(found: Letter, topic: str) -> Outgoing:
    letter = found.letter
    key = None if letter.key_base64 is None else base64.b64decode(letter.key_base64)
    headers = tuple((name, base64.b64decode(value)) for name, value in letter.headers if name != PROVENANCE)
    return Outgoing(topic, letter.value, key, headers=(*headers, (PROVENANCE, found.name.encode())))


async def _chosen(settings: Settings, arguments: argparse.Namespace, wanted: Callable[[Letter], bool]) -> list[Letter]:
    return [found async for found in _letters(settings, arguments) if wanted(found)]


async def _letters(settings: Settings, arguments: argparse.Namespace) -> AsyncIterator[Letter]:
    since = getattr(arguments, "since", None)
    since_ms = 0 if since is None else milliseconds(parse_when(since, now=datetime.now(UTC)))
    async for record in to_the_end(settings, settings.kafka.dead_letters, since_ms=since_ms):
        try:
            yield Letter(record, decode(DeadLetter, record.value))
        except RecordError as error:
            sys.stderr.write(f"{record.partition}, offset {record.offset}: no dead letter of ours: {error}\n")


def _filter(arguments: argparse.Namespace) -> Callable[[Letter], bool]:
    return lambda found: arguments.stage is None or found.letter.stage == arguments.stage


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise UsageError(f"{name[:50]!r} names no dead letter: expected PARTITION/OFFSET, as `list` prints it")
    partition, offset = name.split("/")
    return f"{int(partition)}/{int(offset)}"


def _line(found: Letter) -> str:
    letter, source = found.letter, found.letter.source
    where = f"{source.topic}/{source.partition}@{source.offset}"
    reason = letter.reason.encode("ascii", "backslashreplace").decode()
    return f"{found.name:<10} {found.written:%Y-%m-%dT%H:%M:%SZ} {letter.stage:<8} {where} {reason}"


def _as_json(found: Letter) -> dict[str, Json]:
    letter, source = found.letter, found.letter.source
    return {
        "name": found.name,
        "written": found.written.isoformat(),
        "stage": letter.stage,
        "reason": letter.reason,
        "field": letter.field,
        "source": {"topic": source.topic, "partition": source.partition, "offset": source.offset},
        "run_id": letter.run_id,
        "bytes": letter.value_bytes,
        "sha256": letter.value_sha256,
    }


def _contents(letter: DeadLetter) -> dict[str, Json]:
    head = letter.value[:_SHOWN_BYTES]
    return {
        "key_base64": letter.key_base64,
        "headers": [[name, value] for name, value in letter.headers],
        "begins": head.decode("utf-8", "backslashreplace"),
        "cut": len(letter.value) > len(head),
    }
