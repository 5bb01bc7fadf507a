"""How large a comparison may be: content is cut after scoring, and the record says where and what it was."""

from __future__ import annotations

from hashlib import sha256

from msgspec import structs

from replay.comparison import CallRecord, Comparison, Side, replace
from replay.wire import encode

#: Texts are not cut below this: then the record is cut as a whole.
_SHORTEST_CUT = 64


def fit(comparison: Comparison, *, content: str, max_bytes: int) -> Comparison:
    """Cut content to its limit, after scoring: the longest texts give way first, and the record says which."""
    if content == "digest":
        production, replayed = _digested(comparison.production), _digested(comparison.replay)
        comparison = replace(comparison, request=None, production=production, replay=replayed)
    size = len(encode(comparison))
    limit = max_bytes
    while size > max_bytes and limit > _SHORTEST_CUT:
        limit //= 4
        production, first = _cut(comparison.production, limit, "production")
        replayed, second = _cut(comparison.replay, limit, "replay")
        asked: list[str] = []
        request = _shortened(comparison.request, limit, "request", asked)
        cut = tuple(sorted({*comparison.truncated, *asked, *first, *second}))
        comparison = replace(comparison, request=request, production=production, replay=replayed, truncated=cut)
        size = len(encode(comparison))
    return comparison if size <= max_bytes else _without_content(comparison)


def _digested(side: Side) -> Side:
    calls = tuple(
        structs.replace(call, arguments=_sha(call.arguments), result=None if call.result is None else _sha(call.result))
        for call in side.calls
    )
    return structs.replace(side, answer=None, earlier=None, calls=calls)


def _cut(side: Side, limit: int, name: str) -> tuple[Side, list[str]]:
    cut: list[str] = []
    answer = _shortened(side.answer, limit, f"{name}.answer", cut)
    earlier = _shortened(side.earlier, limit, f"{name}.earlier", cut)
    calls = tuple(_cut_call(call, limit, f"{name}.calls.{index}", cut) for index, call in enumerate(side.calls))
    return structs.replace(side, answer=answer, earlier=earlier, calls=calls), cut


def _cut_call(call: CallRecord, limit: int, name: str, cut: list[str]) -> CallRecord:
    return structs.replace(
        call,
        arguments=_shortened(call.arguments, limit, f"{name}.arguments", cut) or "",
        result=_shortened(call.result, limit, f"{name}.result", cut),
    )


def _shortened(text: str | None, limit: int, name: str, cut: list[str]) -> str | None:
    """The text, or its beginning and the digest of all of it."""
    if text is None or len(text) <= limit:
        return text
    cut.append(name)
    return f"{text[:limit]}… [{len(text):,} characters, {_sha(text)}]"


def _without_content(comparison: Comparison) -> Comparison:
    """The last resort for a record of thousands of calls: everything but scores, flags and ids is dropped."""
    sides = {"production": comparison.production, "replay": comparison.replay}
    bare = {name: structs.replace(side, answer=None, earlier=None, calls=()) for name, side in sides.items()}
    flags = tuple(structs.replace(flag, evidence=()) for flag in comparison.flags)
    dropped = ("production", "replay", "flags.evidence", "cohort", "request")
    return replace(comparison, **bare, flags=flags, cohort={}, request=None, truncated=dropped)


def _sha(text: str) -> str:
    return f"sha256:{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
