"""The worst pairs, side by side: what was asked, what shows each finding, what both sides did and said."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from comparators.redline import Stretch, redline
from replay.comparison import CallRecord, Comparison, EvidenceLine, Side
from replay.errors import RecordError
from replay.exact_json import dumps, loads
from replay.report.visible import Excerpt, excerpt, pilcrows, visible
from replay.severity import RULE_WORDS
from replay.summary import Fold, Summary, Worst

#: Characters and lines of an answer, of a request, and of a failed call's result.
_ANSWER, _LINES, _REQUEST, _RESULT = 2_400, 60, 600, 240
_CALLS, _EVIDENCE_LINES = 12, 12
MODES = {"forced": "single steps (forced)", "free": "whole requests (free)", "recorded": "two recordings"}
#: What a comparison of that mode is about.
UNITS = {"forced": "requests", "free": "requests", "recorded": "conversations"}
SEVERITY_WORDS: Mapping[int, str] = {3: "stop and look", 2: "important", 1: "worth knowing", 0: "no finding"}

_CLAIMS = frozenset({"claim_refuted", "claim_without_write", "claim_unmatched"})
_TIMES = {0: "never", 1: "once", 2: "twice"}


class Span(NamedTuple):
    """A part of an answer. `changed`: the other side does not have it; `claim`: it says what was not done."""

    text: str
    changed: bool = False
    claim: bool = False

    @property
    def words(self) -> str:
        """The text without the white space at its end, which no mark should stand on."""
        return self.text.rstrip()

    @property
    def space(self) -> str:
        return self.text[len(self.words) :]


class Called(NamedTuple):
    """`result`: what a call that failed was told; null for others."""

    text: str
    result: str | None = None


class Told(NamedTuple):
    """One side of a pair: what it did, and what it said. `silence`: why there is no answer."""

    calls: tuple[Called, ...]
    more_calls: int
    silence: str | None
    answer: tuple[Span, ...]
    cut: str | None


class Line(NamedTuple):
    """What shows a finding: only on the side of today's release, only on the candidate's, and a word on it."""

    removed: str | None
    added: str | None
    note: str | None = None


class Group(NamedTuple):
    """One finding. `often`: in how many of the candidate's replays it is, and of today's release, run again."""

    rule: str
    words: str
    often: str
    lines: tuple[Line, ...]


class Pair(NamedTuple):
    """`apart`: the answers have so little in common that nothing is marked. `more`: lines of evidence not shown.

    `earlier`: the answer in which a false claim stands that is not in the last one, or else the claim alone.
    """

    number: int
    severity: int
    severity_words: str
    comparison_id: str
    trace_id: str
    turn: int | None
    mode: str
    title: str
    request: Excerpt | None
    groups: tuple[Group, ...]
    more: int
    earlier: tuple[Span, ...]
    production: Told
    replay: Told
    apart: bool


def pairs(summary: Summary, count: int) -> Iterator[Pair]:
    """The worst pairs of a summary, worst first."""
    for number, item in enumerate(summary.worst(count), 1):
        mode = item.comparison.mode
        yield _pair(number, item, summary.folds["candidate", mode], summary.beside("candidate", mode))


def severe_words(summary: Summary) -> tuple[str, ...]:
    """How many replays have a finding of the highest severity, beside those of today's release, run again."""
    told = []
    for (lane, mode), fold in summary.folds.items():
        again = summary.beside(lane, mode)
        if lane == "candidate" and again is not None:
            how = ", replayed step by step" if mode == "forced" else ""
            told.append(
                f"The candidate has something to stop and look at in {_of(fold.severities[3], fold, mode)}{how}; "
                f"today's release, run again, in {_of(again.severities[3], again, mode)}."
            )
    return tuple(told)


def _of(count: int, fold: Fold, mode: str) -> str:
    return f"{count:,} of {sum(fold.severities.values()):,} {UNITS[mode]}"


def _pair(number: int, item: Worst, fold: Fold, again: Fold | None) -> Pair:
    comparison = item.comparison
    groups, more = _groups(comparison, fold, again)
    answers = [_shown(side) for side in (comparison.production, comparison.replay)]
    marked = redline(*("" if answer is None else answer.text for answer in answers))
    claims = list(_claims(comparison))
    spans, missed = _highlighted(marked.replay, claims)
    both = None not in answers
    return Pair(
        number=number,
        severity=item.severity,
        severity_words=SEVERITY_WORDS.get(item.severity, ""),
        comparison_id=comparison.comparison_id,
        trace_id=comparison.trace_id,
        turn=comparison.turn,
        mode=MODES[comparison.mode],
        title="; ".join(RULE_WORDS.get(rule, rule) for rule in _by_severity(comparison)),
        request=None if comparison.request is None else excerpt(comparison.request, characters=_REQUEST, lines=12),
        groups=groups,
        more=more,
        earlier=tuple(_earlier(comparison.replay.earlier, missed)),
        production=_told(comparison.production, answers[0], [Span(*each) for each in marked.production]),
        replay=_told(comparison.replay, answers[1], spans),
        apart=marked.apart and both,
    )


def _by_severity(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(flag.rule for flag in sorted(comparison.flags, key=lambda flag: -flag.severity)))


# -- evidence ---------------------------------------------------------------------------------------------------------


def _groups(comparison: Comparison, fold: Fold, again: Fold | None) -> tuple[tuple[Group, ...], int]:
    """By finding, the most severe first. A line is shown once, and a finding that has no other line left is not."""
    seen: set[Line] = set()
    groups, room, more = [], _EVIDENCE_LINES, 0
    for flag in sorted(comparison.flags, key=lambda flag: -flag.severity):
        every = dict.fromkeys(_line(line, comparison) for line in flag.evidence)
        fresh = [line for line in every if line not in seen]
        seen.update(fresh)
        if fresh or not every:
            lines = tuple(fresh[:room])
            room, more = room - len(lines), more + len(fresh) - len(lines)
            often = _often(flag.rule, comparison.mode, fold, again)
            groups.append(Group(flag.rule, RULE_WORDS.get(flag.rule, flag.rule), often, lines))
    return tuple(groups), more


def _often(rule: str, mode: str, fold: Fold, again: Fold | None) -> str:
    ours = f"in {_of(fold.rules[rule], fold, mode)}"
    return ours if again is None else f"{ours}; today's release, run again: in {_of(again.rules[rule], again, mode)}"


def _line(line: EvidenceLine, comparison: Comparison) -> Line:
    removed, added = (None if text is None else pilcrows(text) for text in (line.removed, line.added))
    if line.kind == "stance":  # what an answer does stands before it, and the answer itself is shown below
        removed, added = (text and text.partition(": ")[0] for text in (removed, added))
    return Line(removed, added, _broken(line, comparison) or _times(line, comparison))


def _broken(line: EvidenceLine, comparison: Comparison) -> str | None:
    """What is wrong with an invalid call."""
    if line.kind != "invalid_call":
        return None
    side, text = (comparison.replay, line.added) if line.removed is None else (comparison.production, line.removed)
    called = [call for call in side.calls if call.tool == (text or "").partition("(")[0]]
    wrong = list(dict.fromkeys(call.violation for call in called if call.violation))
    if wrong:
        return f"wrong: {'; '.join(visible(words, 160) for words in wrong[:2])}"
    return "wrong: no such tool is offered" if called else None


def _times(line: EvidenceLine, comparison: Comparison) -> str | None:
    """Of a call that both sides made, how often each did: it is not left out, it is made fewer times."""
    text = line.removed if line.added is None else line.added if line.removed is None else None
    if text is None or not line.kind.endswith(("_missing", "_extra")):
        return None
    tool = text.partition("(")[0]
    today, candidate = (_counted(side, tool) for side in (comparison.production, comparison.replay))
    uneven = [(today[key], candidate[key]) for key in today.keys() | candidate.keys() if today[key] != candidate[key]]
    if len(uneven) != 1 or 0 in uneven[0]:
        return None
    before, after = (_TIMES.get(count, f"{count:,} times") for count in uneven[0])
    return f"called {after}, by today's release {before}"


def _counted(side: Side, tool: str) -> Counter[bytes]:
    return Counter(_same(call.arguments) for call in side.calls if call.tool == tool)


def _same(arguments: str) -> bytes:
    """Arguments without their order and white space; as they are where they are no JSON."""
    try:
        return dumps(loads(arguments.encode("utf-8", "surrogatepass")), sort_keys=True)
    except RecordError:
        return arguments.encode("utf-8", "surrogatepass")


# -- sides ------------------------------------------------------------------------------------------------------------


def _shown(side: Side) -> Excerpt | None:
    """Made visible before both are compared: a hidden character is a change that shows."""
    return None if side.answer is None else excerpt(side.answer, characters=_ANSWER, lines=_LINES)


def _told(side: Side, answer: Excerpt | None, spans: Iterable[Span]) -> Told:
    silence = None
    if answer is None:
        silence = "no answer" if side.answer_sha256 is None else "an answer whose content was not kept"
    calls = tuple(map(_call, side.calls[:_CALLS]))
    shown = () if answer is None else tuple(spans)
    return Told(calls, max(0, len(side.calls) - _CALLS), silence, shown, None if answer is None else answer.cut)


def _call(call: CallRecord) -> Called:
    ended = "" if call.outcome == "succeeded" else f" - {call.outcome}"
    text = f"{visible(call.tool, 80)}({pilcrows(visible(call.arguments, 200))}) [{call.effect}]{ended}"
    return Called(text, visible(call.result, _RESULT) if call.outcome == "failed" and call.result else None)


def _claims(comparison: Comparison) -> Iterator[str]:
    """Sentences that say what was not done: an evidence line is the sentence, and why in brackets behind it."""
    for flag in comparison.flags:
        if flag.rule in _CLAIMS:
            yield from (line.added.rpartition(" [")[0] for line in flag.evidence if line.added is not None)


def _highlighted(stretches: Sequence[Stretch], sentences: Iterable[str]) -> tuple[list[Span], list[str]]:
    """The answer with its false claims marked, changed or not; and those that stand nowhere in it."""
    text = "".join(stretch.text for stretch in stretches)
    places, missed = [], []
    for sentence in dict.fromkeys(sentences):
        found = _find(sentence, text)
        if found is None:
            missed.append(sentence)
        else:
            places.append(found.span())
    return list(_split(stretches, places)), missed


def _earlier(answer: str | None, missed: Sequence[str]) -> Iterator[Span]:
    """An earlier answer with what it claims marked. A record of an earlier version has the claims alone."""
    if answer is None:
        yield from (Span(sentence, claim=True) for sentence in missed)
    else:
        whole = Stretch(excerpt(answer, characters=_ANSWER, lines=_LINES).text, changed=False)
        yield from _highlighted([whole], missed)[0]


def _find(sentence: str, text: str) -> re.Match[str] | None:
    """Where a sentence stands, whatever the white space. One that was cut is looked for without its last word."""
    words = sentence.replace("\\n", " ").split()
    words = words[:-1] if words and words[-1].endswith("…") else words
    return re.search(r"\s+".join(map(re.escape, words)), text) if words else None


def _split(stretches: Sequence[Stretch], places: Sequence[tuple[int, int]]) -> Iterator[Span]:
    cuts, start = sorted({end for place in places for end in place}), 0
    for text, changed in stretches:
        edges = [start, *(cut for cut in cuts if start < cut < start + len(text)), start + len(text)]
        for low, high in pairwise(edges):
            claim = any(first <= low and high <= last for first, last in places)
            yield Span(text[low - start : high - start], changed, claim)
        start += len(text)
