import gzip
import io
import sys
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from consumers.files import (
    KEPT_BYTES,
    BadLine,
    Item,
    TraceItem,
    Unanswered,
    count_lines,
    read_items,
    read_stream,
    write_traces,
)
from consumers.where import all_match, parse_where
from replay.errors import RecordError, UsageError
from replay.exact_json import dumps
from replay.trace import BundleRef, Capture, Message, ModelCall, Request, Trace, Usage
from replay.wire import encode_trace

CORPUS = Path(__file__).parents[1] / "corpus"
MIB = 1024 * 1024


def trace(trace_id: str = "t-1", **changes: object) -> Trace:
    fields = {"trace_id": trace_id, "request": Request(messages=(Message(role="user", content="hi"),))}
    return Trace(**{**fields, **changes})


GOOD = encode_trace(trace())
CONVERSATION = dumps(
    {
        "schema": "agent-trajectory/1",
        "id": "rec-1",
        "mode": "conversation",
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "hello"},
            {"role": "user", "content": "and?"},
            {"role": "assistant", "content": "well"},
            {"role": "user", "content": "bye"},
        ],
    }
)


def read(data: bytes, **options: int) -> list[Item]:
    return list(read_stream(io.BytesIO(data), name="lines", **options))


def bad(data: bytes, **options: int) -> BadLine:
    (item,) = read(data, **options)
    assert isinstance(item, BadLine)
    return item


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], str]:
    def write_file(name: str, data: bytes) -> str:
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    return write_file


# -- good lines


def test_items_come_in_file_order_with_line_and_ordinal() -> None:
    items = read(GOOD + b"\n" + CONVERSATION + b"\n{\n" + GOOD + b"\n")
    found = [(type(item), item.line, getattr(item, "ordinal", None)) for item in items]
    assert found == [
        (TraceItem, 1, 0),
        (TraceItem, 2, 0),
        (TraceItem, 2, 1),
        (Unanswered, 2, None),
        (BadLine, 3, None),
        (TraceItem, 4, 0),
    ]
    assert items[3] == Unanswered(line=2, count=1)


def test_blank_lines_count_and_are_skipped() -> None:
    (item,) = read(b"\n  \t\r\n" + GOOD)
    assert (item.line, type(item)) == (3, TraceItem)


def test_the_last_line_needs_no_newline_and_lines_may_end_as_on_windows() -> None:
    assert [type(item) for item in read(GOOD + b"\r\n" + GOOD)] == [TraceItem, TraceItem]


def test_a_byte_order_mark_at_the_start_is_no_part_of_the_record() -> None:
    assert isinstance(read(b"\xef\xbb\xbf" + GOOD)[0], TraceItem)


def test_a_byte_order_mark_elsewhere_is_an_error_and_kept() -> None:
    item = read(GOOD + b"\n\xef\xbb\xbf" + GOOD)[1]
    assert isinstance(item, BadLine)
    assert item.raw == b"\xef\xbb\xbf" + GOOD


def test_an_integer_of_any_length_survives() -> None:
    long = 123456789012345678901234567890
    (item,) = read(encode_trace(trace(labels={"account": long})))
    assert isinstance(item, TraceItem)
    assert item.trace.labels == {"account": long}


# -- bad lines

NEWER = GOOD.replace(b"trace/1", b"trace/2")
NOT_OURS = b'{"schema":"span/1"}'
BAD_LINES = {
    "truncated JSON": (GOOD[:-9], "decode", ""),
    "not JSON": (b"hello", "decode", ""),
    "NaN": (GOOD.replace(b'"labels":{}', b'"labels":{"x":NaN}'), "decode", ""),
    "infinity": (GOOD.replace(b'"labels":{}', b'"labels":{"x":Infinity}'), "decode", ""),
    "lone surrogate": (GOOD.replace(b'"hi"', b'"\\ud800"'), "decode", ""),
    "invalid UTF-8": (GOOD.replace(b'"hi"', b'"\xff\xfe"'), "decode", ""),
    "deep nesting": (b"[" * 100_000 + b"]" * 100_000, "decode", ""),
    "too long a number": (GOOD.replace(b'"labels":{}', b'"labels":{"x":' + b"9" * 5000 + b"}"), "decode", ""),
    "wrong type": (GOOD.replace(b'"trace_id":"t-1"', b'"trace_id":7'), "decode", "$.trace_id"),
    "wrong type, trajectory": (CONVERSATION.replace(b'"rec-1"', b"[]"), "decode", "$.id"),
    "a list": (b"[1,2]", "decode", "$.schema"),
    "a string": (b'"trace/1"', "decode", "$.schema"),
    "no schema": (b"{}", "decode", "$.schema"),
    "schema of a wrong type": (b'{"schema":1}', "decode", "$.schema"),
    "unknown schema": (NOT_OURS, "decode", "$.schema"),
    "newer version": (NEWER, "decode", "$.schema"),
    "newer version, trajectory": (CONVERSATION.replace(b"trajectory/1", b"trajectory/9"), "decode", "$.schema"),
    "two records on a line": (GOOD + GOOD, "decode", ""),
    "zero bytes": (b"\0\0\0", "decode", ""),
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_a_bad_line_is_an_item_with_number_reason_and_bytes(kind: str) -> None:
    raw, stage, field = BAD_LINES[kind]
    good, item, after = read(GOOD + b"\n" + raw + b"\n" + GOOD)
    assert isinstance(good, TraceItem)
    assert isinstance(after, TraceItem)
    assert isinstance(item, BadLine)
    assert (item.line, item.raw, item.stage, item.field) == (2, raw, stage, field)
    assert item.reason
    assert (item.size, item.sha256, item.truncated) == (len(raw), sha256(raw).hexdigest(), False)


def test_nesting_that_can_be_written_back_is_no_fault() -> None:
    (item,) = read(GOOD.replace(b'"labels":{}', b'"labels":{"x":' + b"[" * 50 + b"]" * 50 + b"}"))
    assert isinstance(item, TraceItem)


def test_nesting_near_the_limit_is_read_or_refused_but_never_an_error() -> None:
    for depth in range(100, 1100, 50):
        raw = GOOD.replace(b'"labels":{}', b'"labels":{"x":' + b"[" * depth + b"]" * depth + b"}")
        assert len(read(raw)) == 1


def test_a_newer_version_says_what_to_do() -> None:
    assert "upgrade" in bad(NEWER).reason


def test_an_unknown_schema_says_what_was_expected() -> None:
    assert bad(NOT_OURS).reason == '"schema" is "span/1"; expected "trace/1" or "agent-trajectory/1"'


# -- the limit of a line


def test_a_line_beyond_the_limit_keeps_its_beginning_size_and_digest() -> None:
    raw = b"x" * (3 * KEPT_BYTES + 5)
    item, after = read(raw + b"\n" + GOOD, max_line_bytes=2 * KEPT_BYTES)
    assert isinstance(item, BadLine)
    assert (item.stage, item.raw, item.truncated) == ("read", raw[:KEPT_BYTES], True)
    assert (item.size, item.sha256) == (len(raw), sha256(raw).hexdigest())
    assert (after.line, type(after)) == (2, TraceItem)


@pytest.mark.parametrize("extra", [0, 1, 2, KEPT_BYTES - 1, KEPT_BYTES, KEPT_BYTES + 1])
@pytest.mark.parametrize("newline", [b"", b"\n"])
def test_the_limit_is_exact_wherever_the_newline_falls(extra: int, newline: bytes) -> None:
    limit = 1000
    raw = b" " * (limit - len(GOOD) + extra) + GOOD
    first, *rest = read(raw + (newline + GOOD if newline else b""), max_line_bytes=limit)
    assert isinstance(first, TraceItem if extra == 0 else BadLine)
    assert [type(item) for item in rest] == ([TraceItem] if newline else [])
    if isinstance(first, BadLine):
        assert (first.size, first.sha256) == (len(raw), sha256(raw).hexdigest())


def peak_while(read_all: Callable[[], int]) -> tuple[int, int]:
    tracemalloc.start()
    try:
        return read_all(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_long_bad_lines(tmp_path: Path) -> None:
    member = gzip.compress(b'{"schema":"trace/1","trace_id":"' + b"x" * (5 * MIB) + b"\n", compresslevel=1)
    few, many = tmp_path / "few.jsonl.gz", tmp_path / "many.jsonl.gz"
    few.write_bytes(member * 3)
    many.write_bytes(member * 60)
    count, peak_of_few = peak_while(lambda: sum(isinstance(item, BadLine) for item in read_items(str(few))))
    assert count == 3
    count, peak_of_many = peak_while(lambda: sum(isinstance(item, BadLine) for item in read_items(str(many))))
    assert count == 60
    assert peak_of_many < peak_of_few + MIB < 16 * 5 * MIB


def test_an_endless_line_is_never_held(tmp_path: Path) -> None:
    path = tmp_path / "endless.jsonl.gz"
    path.write_bytes(gzip.compress(b"x" * MIB, compresslevel=1) * 100)
    found: list[Item] = []
    _, peak = peak_while(lambda: found.extend(read_items(str(path), max_line_bytes=MIB)) or 0)
    assert isinstance(found[0], BadLine)
    assert (len(found), found[0].size) == (1, 100 * MIB)
    assert peak < 8 * MIB


# -- files


def test_gzip_is_told_by_its_name_or_its_first_bytes(write: Callable[[str, bytes], str]) -> None:
    packed = gzip.compress(GOOD + b"\n")
    for name in ("traces.jsonl.gz", "traces.jsonl"):
        assert [type(item) for item in read_items(write(name, packed))] == [TraceItem]


def test_gzip_members_one_after_another_are_one_file(write: Callable[[str, bytes], str]) -> None:
    path = write("two.jsonl.gz", gzip.compress(GOOD + b"\n") + gzip.compress(GOOD + b"\n"))
    assert [item.line for item in read_items(path)] == [1, 2]


def damaged(kind: str) -> bytes:
    lines = b"".join(encode_trace(trace(sha256(b"%d" % n).hexdigest())) + b"\n" for n in range(2000))
    packed = bytearray(gzip.compress(lines))
    if kind == "cut":
        return bytes(packed[: len(packed) // 2])
    if kind == "checksum":
        packed[-8] ^= 0xFF
    elif kind == "garbage behind":
        packed += b"not gzip"
    else:
        packed[len(packed) // 2 : len(packed) // 2 + 64] = b"\xff" * 64
    return bytes(packed)


@pytest.mark.parametrize("kind", ["cut", "checksum", "garbage behind", "flipped"])
def test_damaged_gzip_names_file_and_line_and_says_what_to_do(kind: str, write: Callable[[str, bytes], str]) -> None:
    path = write("damaged.jsonl.gz", damaged(kind))
    lines = []
    with pytest.raises(RecordError) as caught:
        lines.extend(item.line for item in read_items(path))
    last = lines[-1] if lines else 0
    assert f"{path}: the gzip data is damaged after line {last} " in str(caught.value)
    assert "Fetch the file again" in str(caught.value)
    assert caught.value.stage == "read"


def test_a_file_that_is_no_gzip_in_spite_of_its_name_is_damaged(write: Callable[[str, bytes], str]) -> None:
    with pytest.raises(RecordError, match="after line 0"):
        list(read_items(write("plain.jsonl.gz", GOOD)))


@pytest.mark.parametrize("name", ["nothing.jsonl", "."])
def test_what_cannot_be_opened_is_the_users_mistake(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be opened"):
        list(read_items(str(tmp_path / name)))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_is_read_packed_or_not(pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    given = io.TextIOWrapper(io.BufferedReader(io.BytesIO(pack(GOOD + b"\n" + GOOD))))
    monkeypatch.setattr(sys, "stdin", given)
    assert [item.line for item in read_items("-")] == [1, 2]
    assert not given.buffer.closed


def test_reading_stops_where_the_caller_stops(write: Callable[[str, bytes], str]) -> None:
    items = read_items(write("traces.jsonl", GOOD + b"\n" + GOOD))
    next(items)
    items.close()


@pytest.mark.parametrize(
    ("name", "traces", "unanswered"),
    [
        ("agentdojo-banking", 544, 0),
        ("tau-bench-airline", 1341, 149),
        ("tau2-airline", 1224, 180),
        ("tau2-retail", 526, 80),
    ],
)
def test_the_corpus_is_read_whole(name: str, traces: int, unanswered: int) -> None:
    items = list(read_items(str(CORPUS / f"{name}.jsonl.gz")))
    assert sum(isinstance(item, TraceItem) for item in items) == traces
    assert sum(item.count for item in items if isinstance(item, Unanswered)) == unanswered
    assert not any(isinstance(item, BadLine) for item in items)


@pytest.mark.parametrize("name", ["traces.jsonl", "traces.jsonl.gz"])
def test_what_is_written_reads_the_same(name: str, tmp_path: Path) -> None:
    path = str(tmp_path / name)
    assert write_traces(path, [trace("a"), trace("b")]) == 2
    assert [item.trace for item in read_items(path) if isinstance(item, TraceItem)] == [trace("a"), trace("b")]
    assert count_lines(path) == 2


def test_a_packed_file_depends_on_its_traces_only(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl.gz", tmp_path / "two.jsonl.gz"
    write_traces(str(one), [trace()])
    write_traces(str(two), [trace()])
    assert one.read_bytes() == two.read_bytes()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    def failing() -> object:
        yield trace()
        raise RecordError("stop")

    with pytest.raises(RecordError):
        write_traces(str(tmp_path / "out.jsonl"), failing())
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_traces(str(tmp_path / "nowhere" / "out.jsonl"), [trace()])


@pytest.mark.parametrize(("data", "lines"), [(b"", 0), (b"a", 1), (b"a\n", 1), (b"a\n\nb", 3)])
def test_lines_are_counted(data: bytes, lines: int, write: Callable[[str, bytes], str]) -> None:
    assert count_lines(write("traces.jsonl", data)) == lines


def test_lines_that_cannot_be_counted_are_unknown(write: Callable[[str, bytes], str]) -> None:
    assert count_lines("-") is None
    assert count_lines("nothing.jsonl") is None
    assert count_lines(write("damaged.jsonl.gz", damaged("cut"))) is None


# -- where

SAMPLE = trace(
    turn=0,
    bundle=BundleRef(id="shop/v1"),
    request=Request(
        messages=(Message(role="user", content="a=b"),),
        attributes={"domain": "shop", "trial": 1, "task_id": "1", "vip": True, "k8s.pod": "p", "k8s": {"node": "n"}},
    ),
    steps=(ModelCall(output=Message(role="assistant", content="x")),),
    capture=Capture(mixed_bundle=False),
    usage=Usage(input_tokens=10),
)


@pytest.mark.parametrize(
    "text",
    [
        "bundle.id=shop/v1",
        "bundle.source=null",
        "turn=0",
        "turn=0.0",
        "request.attributes.domain=shop",
        'request.attributes.domain="shop"',
        "request.attributes.trial=1",
        "request.attributes.task_id=1",
        "request.attributes.vip=true",
        "request.attributes.absent=null",
        "request.attributes.k8s.pod=p",
        "request.attributes.k8s.node=n",
        "request.messages.0.role=user",
        "request.messages.0.content=a=b",
        "steps.0.kind=model_call",
        "capture.mixed_bundle=false",
        "usage.input_tokens=10",
        "final_answer=null",
    ],
)
def test_where_matches(text: str) -> None:
    assert parse_where(text).matches(SAMPLE)


@pytest.mark.parametrize(
    "text",
    [
        "bundle.id=shop/v2",
        "bundle.id=",
        "turn=1",
        "turn=false",
        "request.attributes.vip=1",
        "request.attributes.trial=true",
        "request.attributes.trial=one",
        "request.attributes.domain=null",
        "request.messages.1.role=user",
        "request.messages.x.role=user",
        "request.attributes=shop",
        "steps.0.kind=tool_call",
    ],
)
def test_where_does_not_match(text: str) -> None:
    assert not parse_where(text).matches(SAMPLE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bundle.id", "expected PATH=VALUE"),
        ("=x", "expected PATH=VALUE"),
        ("bundle..id=x", "expected PATH=VALUE"),
        ("bundel.id=x", "a trace has no 'bundel'; it has bundle"),
        ("bundle.name=x", "bundle has no 'name'; it has fingerprint, id, source"),
    ],
)
def test_a_condition_that_could_never_match_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_where(text)


def test_all_conditions_must_hold() -> None:
    assert all_match([], SAMPLE)
    assert all_match([parse_where("turn=0"), parse_where("bundle.id=shop/v1")], SAMPLE)
    assert not all_match([parse_where("turn=0"), parse_where("bundle.id=other")], SAMPLE)
