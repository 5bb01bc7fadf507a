"""The report as a comment on a pull request: the verdict, why, each measure, and the worst pairs behind a fold.

What comes from a trace or a bundle is hostile here, too. It stands in code spans alone, whose fence is longer than any
run of backticks inside, on one line and without a bar: there no link, mention, reference, image or tag is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from replay.report.contents import Contents, MetricRow, Pair, SliceRow
from replay.report.visible import one_line

#: What a comment on GitHub may hold, less a little for the line that says what was left out.
MAX_CHARACTERS = 65_536
_ROOM = MAX_CHARACTERS - 400
#: Characters of one line of evidence, lines of a pair, and characters of anything else.
_EVIDENCE, _LINES, _SHORT = 300, 6, 160

_BACKTICKS = re.compile("`+")
#: Signs with a meaning in Markdown, HTML or references of GitHub.
_OWN = re.compile(r"([\\`*_\[\]<>|~@#&$])")


def markdown_report(contents: Contents) -> str:
    """The comment. As many worst pairs as there is room for."""
    text = "\n".join(_head(contents)) + "\n"
    left_out = 0
    for number, pair in enumerate(contents.pairs, 1):
        block = "\n".join(_pair(number, pair)) + "\n"
        if len(text) + len(block) > _ROOM:
            left_out += 1
        else:
            text += block
    return text + (f"\n{left_out} more pairs are in the HTML report.\n" if left_out else "")


def _head(contents: Contents) -> Iterator[str]:
    head = contents.headline
    yield f"## {head.sign} {head.name}"
    yield ""
    yield f"**{head.to_do}**"
    yield ""
    yield from (f"- {told(sentence)}" for sentence in head.why)
    yield ""
    yield f"{code(contents.facts.title)}: {_counted(contents)}"
    if contents.facts.not_exercised:
        surfaces = ", ".join(code(surface) for surface in contents.facts.not_exercised)
        yield f"\n**Not tried out by the replay, so that nothing here speaks for it:** {surfaces}"
    yield from (f"\n**Assumed:** {told(line)}" for line in contents.facts.assumed)
    yield from _metrics(contents.metrics)
    yield from _slices(contents.slices)
    if contents.pairs:
        yield ""
        yield "### The worst pairs"
        yield ""


def _counted(contents: Contents) -> str:
    verdict = contents.verdict
    if verdict is None:
        return f"{contents.admitted:,} requests were replayed or paired"
    against = "today's release, run a second time" if verdict.calibrated else "what was recorded: uncalibrated"
    return f"{verdict.conversations:,} conversations against {against}"


def _metrics(rows: Sequence[MetricRow]) -> Iterator[str]:
    if not rows:
        return
    yield "\n| | measure | found | tolerated | |\n|---|---|---|---|---|"
    for row in rows:
        words = row.words
        vote = "" if words.votes else " (does not decide)"
        cells = (words.sign, f"{code(words.id)}{vote}", words.found or "not measured", words.tolerated, words.standing)
        yield f"| {' | '.join(told(cell) if index > 1 else cell for index, cell in enumerate(cells))} |"


def _slices(rows: Sequence[SliceRow]) -> Iterator[str]:
    if not rows:
        return
    yield "\n**Worse than tolerated in:**\n"
    for row in rows:
        yield f"- {code(row.where)}: {code(row.metric)}, {told(row.found)} ({row.pairs:,} conversations)"


def _pair(number: int, pair: Pair) -> Iterator[str]:
    yield f"<details><summary>{number}. {told('; '.join(pair.rules))} ({pair.severity_words})</summary>"
    yield ""
    yield f"request {code(pair.trace_id)}, {pair.mode}"
    yield ""
    for line in pair.evidence[:_LINES]:
        if line.removed is not None:
            yield f"- production: {code(line.removed, _EVIDENCE)}"
        if line.added is not None:
            yield f"- candidate: {code(line.added, _EVIDENCE)}"
    yield ""
    yield "</details>"
    yield ""


def code(text: str, limit: int = _SHORT) -> str:
    """A code span on one line. A bar would end a cell even there, and stands for itself as another sign."""
    shown = one_line(text, limit).replace("|", "¦")
    longest = max((len(run) for run in _BACKTICKS.findall(shown)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {shown} {fence}" if longest or not shown else f"{fence}{shown}{fence}"


def told(text: str) -> str:
    """A sentence of ours that may hold a word of somebody else's: every sign that could mean something is escaped."""
    escaped = _OWN.sub(r"\\\1", one_line(text, 1_000))
    return escaped.replace("\\<", "&lt;").replace("\\@", "&#64;").replace("\\#", "&#35;")
