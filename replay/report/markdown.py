"""The report as a comment on a pull request: the verdict, why, each measure, and the worst pairs behind a fold.

What comes from a trace or a bundle is hostile here, too. It stands in code spans alone, whose fence is longer than any
run of backticks inside, on one line and without a bar: there no link, mention, reference, image or tag is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from replay.report.contents import Contents, MetricRow, SliceRow, SurfaceChange
from replay.report.lanes import Lane
from replay.report.pairs import Group, Pair
from replay.report.reasons import Why
from replay.report.visible import one_line

#: What a comment on GitHub may hold, less a little for the line that says what was left out.
MAX_CHARACTERS = 65_536
_ROOM = MAX_CHARACTERS - 400
#: Pairs behind a fold each.
FOLDS = 10
#: Characters of one line of evidence, lines of a pair, and characters of anything else.
_EVIDENCE, _LINES, _SHORT = 300, 6, 160
_CHANGES = 12

_BACKTICKS = re.compile("`+")
#: Signs with a meaning in Markdown, HTML or references of GitHub.
_OWN = re.compile(r"([\\`*_\[\]<>|~@#&$])")


def markdown_report(contents: Contents) -> str:
    """The comment. As many worst pairs as there is room for."""
    text = "\n".join(_head(contents)) + "\n"
    shown = 0
    for pair in contents.pairs[:FOLDS]:
        block = "\n".join(_pair(pair)) + "\n"
        if len(text) + len(block) > _ROOM:
            break
        text, shown = text + block, shown + 1
    left_out = len(contents.pairs) - shown
    more = f"{left_out:,} more pairs, the" if left_out else "The"
    return f"{text}\n{more} charts and how this was found are in `report.html`, beside this file.\n"


def _head(contents: Contents) -> Iterator[str]:
    head, who = contents.headline, contents.compared
    yield f"## {head.sign} {head.name}\n"
    yield f"**{head.to_do}**\n"
    yield (
        f"{code(who.candidate)} (the candidate) compared with {code(who.today)} (today's release, in production), "
        f"{who.amount}. {who.plain}\n"
    )
    for why in head.why:
        yield from _why(why, "")
    yield from (f"- ‼ The candidate loosens what holds it back: {code(finding)}" for finding in contents.loosened)
    yield from (
        f"- ‼ Not tried out: {code(surface)} has changed, and a replay does not execute it. Nothing here speaks for it."
        for surface in contents.untried
    )
    yield from (f"- ‼ Assumed: {told(line)}" for line in contents.facts.assumed)
    yield from _metrics(contents.metrics)
    yield from _slices(contents.slices)
    yield from _changes(contents.changes)
    yield from _looked_at(contents)
    if contents.pairs:
        yield "\n### The worst pairs\n"
        yield from (f"{line}\n" for line in contents.severe)


def _why(why: Why, indent: str) -> Iterator[str]:
    ids = "".join(f" {code(name)}" for name in why.ids)
    following = f" **Next:** {told(why.next)}" if why.next else ""
    yield f"{indent}- {told(why.text)}{following}{ids}"
    for each in why.under:
        yield from _why(each, f"{indent}  ")


def _metrics(rows: Sequence[MetricRow]) -> Iterator[str]:
    if not rows:
        return
    yield "\n| | measure | seen | surely | tolerated | |\n|---|---|---|---|---|---|"
    for row in rows:
        words = row.words
        vote = "" if words.votes else " (does not decide)"
        sure = (words.sure or "").removeprefix("Surely ")
        cells = (words.seen or "not measured", sure, words.tolerated, words.standing)
        yield f"| {words.sign} | {told(words.what)} {code(words.id)}{vote} | {' | '.join(map(told, cells))} |"


def _slices(rows: Sequence[SliceRow]) -> Iterator[str]:
    if not rows:
        return
    yield "\n**Worse than tolerated in:**\n"
    for row in rows:
        such = ", ".join(
            f"pair {it.number}" if it.number and it.number <= FOLDS else code(it.trace_id) for it in row.exemplars
        )
        yield f"- {code(row.where)}: {code(row.metric)}, {told(row.seen)} ({row.pairs:,} conversations, such as {such})"


def _changes(changes: Sequence[SurfaceChange] | None) -> Iterator[str]:
    if changes is None:
        return
    yield "\n**What changed:**\n" if changes else "\nBoth releases have the same content."
    for change in changes[:_CHANGES]:
        finding = "‼ " if change.severity == 3 else ""
        yield f"- {finding}{told(change.surface.replace('_', ' '))}: {code(change.text)}"
    if len(changes) > _CHANGES:
        yield f"- … {len(changes) - _CHANGES} more"


def _looked_at(contents: Contents) -> Iterator[str]:
    yield f"\n**What was looked at:** {contents.looked_at}"
    for lane in contents.lanes:
        said = "; ".join(_of_lane(lane))
        if said:
            yield f"- {lane.name}: {said}"


def _of_lane(lane: Lane) -> Iterator[str]:
    if lane.coverage is not None:
        recorded, assumed, guessed = (f"{share:.1%}" for share in lane.coverage)
        yield f"{recorded} of the tools' answers recorded or decided by a rule, {assumed} assumed, {guessed} guessed"
    if lane.outcomes is not None:
        (_, lost), (won, _) = lane.outcomes
        yield f"expected outcomes: {lost:,} lost, {won:,} won"
    if lane.burden:
        asked = (f"{row.words} {row.today:.1%} → {row.candidate:.1%}" for row in lane.burden)
        yield f"asked of people: {', '.join(asked)}"
    if lane.spent:
        yield f"spent: {lane.spent}"


def _pair(pair: Pair) -> Iterator[str]:
    yield f"<details><summary>{pair.number}. {told(pair.title)} ({pair.severity_words})</summary>\n"
    if pair.request is not None:
        yield f"User: {code(pair.request.text, _EVIDENCE)}\n"
    room = _LINES
    for group in pair.groups:
        yield f"- {told(group.words)}, {group.often}"
        yield from _evidence(group, room)
        room = max(0, room - len(group.lines))
    yield f"\nrequest {code(pair.trace_id, 80)}, {pair.mode}"
    yield "\n</details>\n"


def _evidence(group: Group, room: int) -> Iterator[str]:
    for line in group.lines[:room]:
        note = f" ({code(line.note, _SHORT)})" if line.note else ""
        if line.removed is not None:
            yield f"  - today's release: {code(line.removed, _EVIDENCE)}{note if line.added is None else ''}"
        if line.added is not None:
            yield f"  - candidate: {code(line.added, _EVIDENCE)}{note}"


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
