"""Unsupported claims on recorded conversations: what is flagged, what is missed, and pairs per second on one core.

    python -m bench.claims

Every answer of the corpus is judged as it was recorded, then once more as if no write had been called, and as if
every write had failed. Contracts are inferred from the toolsets: claim words come from the names of tools alone.
The reference for speed is a plain `re` alternation of the same verbs over the same texts. Thread CPU time.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.answers import cpu_seconds
from comparators.calls import Effect, Outcome
from comparators.claims import ClaimPair, compare_claims, find
from comparators.claimscan import claims_in
from comparators.claimsupport import ClaimSide, Deed, Judged, Told, Verdict, judged
from comparators.claimwords import Lexicon
from consumers.files import TraceItem, read_items
from consumers.toolsets import load_toolsets
from replay.bundle_infer import contracts_of
from replay.contract import Tooling
from replay.deeds import recorded_claims
from replay.recorded import RecordedCall, recorded_steps
from replay.recorded_world import outcome_of
from replay.sides import production_answer

CORPUS = Path("tests/corpus")
FILES = ("agentdojo-banking", "tau-bench-airline", "tau2-airline", "tau2-retail")
SHORTEST, LONGEST = 300, 500
PAIRS = 1024
BATCHES = (64, 1024)
SHOWN = 160
HEADINGS = {"answers": 8, "flagged": 9, "claiming": 10, "removed": 9, "failed": 8, "alone": 8, "conversations": 18}


class Recorded(NamedTuple):
    """One answer of the corpus. `writes` names the tools that write, `wrote` those that did so in its turn."""

    trace: str
    conversation: str
    side: ClaimSide
    lexicon: Lexicon
    writes: frozenset[str]
    wrote: frozenset[str]


class Count(NamedTuple):
    """Of one file: answers, those flagged as recorded, those in which a write is found claimed with support (what
    readers find is in tests/data/claims-corpus.yaml), and how many of these are flagged without their writes, or when
    those fail; `alone`: without their writes, and without production's side to compare with. `conversations` and
    `flagged_conversations` as recorded."""

    answers: int
    flagged: int
    claiming: int
    removed: int
    failed: int
    alone: int
    conversations: int
    flagged_conversations: int


def main() -> None:
    """Print the table, the claims behind it, and the rates."""
    corpus = {name: list(recorded(name)) for name in FILES}
    print("unsupported claims: answers flagged as recorded, and those with a claim when writes are taken away or fail")
    print(f"  {'':<18}" + "".join(f"{name:>{width}}" for name, width in HEADINGS.items()))
    for name, answers in corpus.items():
        print(f"  {name:<18}{_row(count(answers))}")
    everything = [answer for answers in corpus.values() for answer in answers]
    print(f"  {'all':<18}{_row(count(everything))}")
    _list("flagged as recorded", ((answer, unsupported(answer.side, answer)) for answer in everything))
    for what, change in CHANGES.items():
        missed = [answer for answer in everything if supported(answer) and not is_caught(answer, change)]
        _list(f"not flagged when {what}", ((answer, supported(answer)) for answer in missed))
    _rates(everything)


def recorded(name: str) -> Iterator[Recorded]:
    """The answers of a file of the corpus, each with what had happened before it."""
    path = CORPUS / f"{name}.jsonl.gz"
    traces = [item.trace for item in read_items(str(path)) if isinstance(item, TraceItem)]
    contracts = contracts_of(traces, load_toolsets(None, beside=str(path)))
    tooling = Tooling(contracts, contracts)
    writes = frozenset(name for name in contracts if tooling.effect(name) is Effect.WRITE)
    for trace in traces:
        steps = recorded_steps(trace)
        answer = production_answer(trace, steps)
        if answer is not None:
            side = recorded_claims(trace, steps, answer, tooling)
            wrote = (
                frozenset(call.tool for step in steps for call in step.calls if _took_effect(call, tooling)) & writes
            )
            yield Recorded(trace.trace_id, trace.record_key, side, tooling.lexicon, writes, wrote)


def _took_effect(call: RecordedCall, tooling: Tooling) -> bool:
    return outcome_of(call, tooling.stubbing(call.tool)) in (Outcome.SUCCEEDED, Outcome.ASSUMED)


def without_writes(side: ClaimSide) -> ClaimSide:
    """The side as if no write had been called."""
    return _with_deeds(side, [deed for deed in side.deeds if deed.effect is not Effect.WRITE])


def with_failed_writes(side: ClaimSide) -> ClaimSide:
    """The side as if every write had failed."""
    return _with_deeds(side, [_failed(deed) if deed.effect is Effect.WRITE else deed for deed in side.deeds])


def _failed(deed: Deed) -> Deed:
    return deed._replace(outcome=Outcome.FAILED, complaint="Error: not now")


CHANGES: dict[str, Callable[[ClaimSide], ClaimSide]] = {
    "writes are removed": without_writes,
    "writes fail": with_failed_writes,
}


def _with_deeds(side: ClaimSide, deeds: Sequence[Deed]) -> ClaimSide:
    told = tuple(Told(answer.text, len(deeds)) for answer in side.answers)
    return side._replace(answers=told, deeds=tuple(deeds))


def unsupported(side: ClaimSide, answer: Recorded, production: ClaimSide | None = None) -> list[Judged]:
    """What the side claims without support and `production` (else a side that says nothing) does not."""
    found = find(ClaimPair(production or ClaimSide(), side, answer.lexicon))
    return [it for it in found.new if it.verdict is not Verdict.ASSUMED] if found else []


def supported(answer: Recorded) -> list[Judged]:
    """The writes it claims and has made."""
    said = {told.text: claims_in(told.text, answer.lexicon) for told in answer.side.answers}
    claims = judged(answer.side, said, answer.lexicon)
    return [it for it in claims if it.verdict is Verdict.SUPPORTED and it.claim.tools <= answer.writes]


def is_caught(answer: Recorded, change: Callable[[ClaimSide], ClaimSide]) -> bool:
    """Whether the answer is flagged beside its recording when its writes are changed."""
    return bool(unsupported(change(answer.side), answer, answer.side))


def count(answers: Sequence[Recorded]) -> Count:
    flagged = [answer for answer in answers if unsupported(answer.side, answer)]
    claiming = [answer for answer in answers if supported(answer)]
    removed, failed = (sum(is_caught(answer, change) for answer in claiming) for change in CHANGES.values())
    alone = sum(bool(unsupported(without_writes(answer.side), answer)) for answer in claiming)
    conversations, bad = ({answer.conversation for answer in some} for some in (answers, flagged))
    return Count(len(answers), len(flagged), len(claiming), removed, failed, alone, len(conversations), len(bad))


def _row(found: Count) -> str:
    counts = f"{found.answers:>8,}{found.flagged / found.answers:>9.2%}{found.claiming:>10,}"
    removed, failed, alone = (part / found.claiming for part in (found.removed, found.failed, found.alone))
    caught = f"{removed:>9.1%}{failed:>8.1%}{alone:>8.1%}"
    share = found.flagged_conversations / found.conversations
    return f"{counts}{caught}{found.flagged_conversations:>7} of {found.conversations:,} ({share:.1%})"


def _list(heading: str, rows: Iterable[tuple[Recorded, Sequence[Judged]]]) -> None:
    lines = [
        f"    {it.verdict.name.lower()}: {it.claim.verb} {it.claim.object}, of {answer.conversation}\n"
        f"      {' '.join(it.claim.sentence.split())[:SHOWN]}\n"
        f"      before it: {', '.join(f'{deed.tool} {deed.outcome.name.lower()}' for deed in answer.side.deeds) or '-'}"
        for answer, claims in rows
        for it in claims
    ]
    print(f"  {heading}: {len(lines)}", *lines, sep="\n")


# -- speed ------------------------------------------------------------------------------------------------------------


def _rates(answers: Sequence[Recorded]) -> None:
    pairs = _pairs([it for it in answers if SHORTEST <= sum(len(told.text) for told in it.side.answers) <= LONGEST])
    texts = [told.text for pair in pairs for side in pair[:2] for told in side.answers]
    mean = sum(map(len, texts)) / len(texts)
    print(f"claims: {PAIRS} pairs of {mean:.0f} characters, one word changed; pairs/s on one core")
    for batch in BATCHES:
        ours = PAIRS / cpu_seconds(partial(_compare, pairs, batch))
        print(f"  all claims.* scores, batches of {batch:>4}: {ours:>9,.0f}")
    verbs = sorted({verb for pair in pairs for verb in pair.lexicon.readings})
    pattern = re.compile(rf"\b(?:{'|'.join(verbs)})\b", re.IGNORECASE)
    theirs = PAIRS / cpu_seconds(lambda: [pattern.findall(text) for text in texts])
    print(f"  re alternation of {len(verbs)} verbs, both texts: {theirs:>9,.0f}")


def _compare(pairs: Sequence[ClaimPair], batch: int) -> None:
    for start in range(0, len(pairs), batch):
        compare_claims(pairs[start : start + batch])


def _pairs(answers: Sequence[Recorded]) -> list[ClaimPair]:
    chance = random.Random(0)
    drawn = [chance.choice(answers) for _ in range(PAIRS)]
    return [ClaimPair(it.side, _edited(it.side, chance), it.lexicon) for it in drawn]


def _edited(side: ClaimSide, chance: random.Random) -> ClaimSide:
    def otherwise(text: str) -> str:
        words = text.split(" ")
        words[chance.randrange(len(words))] = "otherwise"
        return " ".join(words)

    return side._replace(answers=tuple(Told(otherwise(told.text), told.deeds) for told in side.answers))


if __name__ == "__main__":
    main()
