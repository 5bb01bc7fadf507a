"""Comparing answers: pairs per second on one core, against sacrebleu's chrF on the same pairs.

    python -m bench.answers

Texts are answers of about 400 characters from the corpus. Half of the pairs are an answer and itself with one
word changed, half are two answers that have nothing to do with each other. Thread CPU time, best of many.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from comparators.answerbatch import AnswerBatch
from comparators.answers import compare_answers
from comparators.answerwords import english_answers
from comparators.claims import ClaimPair, compare_claims
from comparators.claimsupport import ClaimSide
from comparators.claimwords import Lexicon, ToolWords
from comparators.grounding import compare_grounding
from comparators.language import english
from comparators.numbers import unmatched
from comparators.polarity import may_turn
from comparators.stance import Records, compare_stances, stance_of
from comparators.text import normalise_all
from comparators.trigrams import distances

CORPUS = Path("tests/corpus")
FILES = ("tau-bench-airline", "tau2-airline", "tau2-retail")
SHORTEST, LONGEST = 300, 500
PAIRS = 1024
BATCHES = (64, 1024)
#: The reference gets fewer pairs: it is slower by a factor.
REFERENCE_PAIRS = 128
SECONDS = 4.0
GOAL = 15_000
#: Tools whose deeds an answer may claim.
TOOLS = (
    ToolWords("cancel_reservation", objects=("reservation", "booking", "flight")),
    ToolWords("book_reservation", objects=("reservation", "booking", "flight")),
    ToolWords("update_order_address", objects=("address", "order")),
    ToolWords("send_certificate", objects=("certificate", "voucher")),
)


def main() -> None:
    """Print pairs per second of all scores, of wording alone, and of the reference."""
    production, replay = _pairs()
    mean = sum(map(len, production)) / len(production)
    print(f"answers: {PAIRS} pairs of {mean:.0f} characters, half edited, half unrelated; pairs/s on one core")
    for batch in BATCHES:
        everything = _rate(_texts_alone, production, replay, batch)
        print(f"  texts alone,                 batches of {batch:>4}: {everything:>9,.0f}")
    for batch in BATCHES:
        scan = _rate(_scan(), production, replay, batch)
        print(f"  wording, numbers, cues, claims, batches of {batch:>4}: {scan:>6,.0f}  (goal {GOAL:,})")
    for batch in BATCHES:
        block = _rate(_block(), production, replay, batch)
        print(f"  and sentences, stance, grounding, batches of {batch:>4}: {block:>4,.0f}")
    identical = [one if row % 4 < 2 else other for row, (one, other) in enumerate(zip(production, replay, strict=True))]
    rate = _rate(_block(), production, identical, BATCHES[-1])
    print(f"  the same, half of them identical,         {BATCHES[-1]:>4}: {rate:>9,.0f}")
    for batch in BATCHES:
        wording = _rate(lambda one, other: distances(*map(normalise_all, (one, other))), production, replay, batch)
        print(f"  lexical alone,               batches of {batch:>4}: {wording:>9,.0f}")
    _reference(production, replay, everything, wording)


def cpu_seconds(work: Callable[[], object], *, seconds: float = SECONDS) -> float:
    """The least thread CPU time of one round, of as many as fit into `seconds` of CPU, three at least."""
    best, spent, rounds = float("inf"), 0.0, 0
    while rounds < 3 or spent < seconds:
        before = time.thread_time()
        work()
        took = time.thread_time() - before
        best, spent, rounds = min(best, took), spent + took, rounds + 1
    return best


def _scan() -> Callable[[list[str], list[str]], object]:
    """What has to look at every pair: wording, figures, the words that could matter, claims."""
    language, lexicon = english_answers(), Lexicon.of(TOOLS, english())

    def scan(production: list[str], replay: list[str]) -> object:
        batch = AnswerBatch(production, replay, language)
        left, right = batch.figures
        return (
            distances(batch.left, batch.right),
            [unmatched(*sides) for sides in zip(left, right, strict=True)],
            may_turn(batch),
            compare_claims(_claims(production, replay, lexicon)),
        )

    return scan


def _claims(production: list[str], replay: list[str], lexicon: Lexicon) -> list[ClaimPair]:
    pairs = zip(production, replay, strict=True)
    return [ClaimPair(ClaimSide.of(one), ClaimSide.of(other), lexicon) for one, other in pairs]


def _block() -> Callable[[list[str], list[str]], object]:
    """Everything that is said of two answers: texts, grounding, stance, claims."""
    language, lexicon = english_answers(), Lexicon.of(TOOLS, english())
    known = ('{"total": 1250, "due": "2024-05-20"}',)

    def block(production: list[str], replay: list[str]) -> object:
        batch = AnswerBatch(production, replay, language)
        stances = [
            [stance_of(text, said, Records(), language) for text, said in zip(*side, strict=True)]
            for side in zip(batch.normal, batch.telling, strict=True)
        ]
        claims = _claims(production, replay, lexicon)
        return (
            compare_answers(batch),
            compare_grounding(batch, [lambda: known] * len(production)),
            compare_stances(*stances),
            compare_claims(claims),
        )

    return block


def _texts_alone(production: list[str], replay: list[str]) -> object:
    """Wording, length, figures, substitutions and polarity."""
    return compare_answers(AnswerBatch(production, replay, english_answers()))


def _rate(
    compare: Callable[[list[str], list[str]], object], production: list[str], replay: list[str], batch: int
) -> float:
    def work() -> None:
        for start in range(0, len(production), batch):
            compare(production[start : start + batch], replay[start : start + batch])

    return len(production) / cpu_seconds(work)


def _reference(production: list[str], replay: list[str], everything: float, wording: float) -> None:
    if importlib.util.find_spec("sacrebleu") is None:
        print("  sacrebleu is not installed: no reference")
        return
    from sacrebleu.metrics.chrf import CHRF

    chrf = CHRF()
    pairs = list(zip(production, replay, strict=True))[:REFERENCE_PAIRS]
    theirs = len(pairs) / cpu_seconds(lambda: [chrf.sentence_score(other, [one]) for one, other in pairs])
    faster = f"lexical {wording / theirs:.0f} times as fast, all three {everything / theirs:.0f} times"
    print(f"  sacrebleu chrF, sentence by sentence:        {theirs:>9,.0f}  ({faster})")


def _pairs() -> tuple[list[str], list[str]]:
    texts = sorted(set(_texts()))
    chance = random.Random(0)
    production = [chance.choice(texts) for _ in range(PAIRS)]
    replay = [_edited(text, chance) if row % 2 else chance.choice(texts) for row, text in enumerate(production)]
    return production, replay


def _edited(text: str, chance: random.Random) -> str:
    words = text.split(" ")
    words[chance.randrange(len(words))] = "otherwise"
    return " ".join(words)


def _texts() -> Iterator[str]:
    for name in FILES:
        with gzip.open(CORPUS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                for message in json.loads(line)["messages"]:
                    text = message["content"]
                    if message["role"] == "assistant" and text and SHORTEST <= len(text) <= LONGEST:
                        yield text


if __name__ == "__main__":
    main()
