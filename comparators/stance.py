"""What an answer does: it answers, refuses, asks back, hedges, or the request is handed over.

Records come first: a hand-over is a call or a guardrail's decision, and a block that left nothing done is a refusal.
Words come second, by phrases of a language. Refusals are looked for at the head of an answer only: further down, "I
can't" mostly tells of a detail. Phrase lists find most refusals of some models and few of others, so that their absence
proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress, product
from typing import NamedTuple, TypeAlias

import numpy as np

from comparators.answerwords import AnswerWords
from comparators.spec import Column, Evidence, Floats, Status, Statuses, column, overridden, statuses
from comparators.text import excerpt

#: A subset of `STANCES`, in order.
Stance: TypeAlias = tuple[str, ...]
#: Of production, and of the replay.
StancePair: TypeAlias = tuple[Stance, Stance]
STANCES: Stance = ("answers", "asks", "escalates", "hedges", "refuses")

#: Sentences and characters of an answer in which a refusal may stand, and characters of its end that may ask.
_HEAD_SENTENCES, _HEAD, _TAIL = 3, 600, 600
#: What may stand behind a question mark at the end.
_CLOSING = 12
_SENTENCE_END = re.compile(r"[.!?] ")
#: Every combination of `STANCES`, by which are taken.
_TAKEN: Mapping[tuple[bool, ...], Stance] = {
    taken: tuple(compress(STANCES, taken)) for taken in product((False, True), repeat=len(STANCES))
}
EXCERPT = 300


class Records(NamedTuple):
    """What is known without reading: the request was handed over, something was blocked, something was done."""

    handed_over: bool = False
    blocked: bool = False
    acted: bool = False


def stance_of(answer: str | None, said: Sequence[str], records: Records, words: AnswerWords) -> Stance:
    """What an answer in normal form does, null = there was none; `said` its telling words."""
    text = answer or ""
    refuses = (bool(said) and _refuses(text, said, words)) or (records.blocked and not records.acted)
    found = (
        bool(text) and not refuses,
        "?" in text[-_CLOSING:] and _asks(text[-_TAIL:], words),
        records.handed_over,
        bool(said) and words.hedging.stand_in(text, said),
        refuses,
    )
    return _TAKEN[found]


def compare_stances(
    production: Sequence[Stance], replay: Sequence[Stance], *, given: Statuses | None = None
) -> tuple[Column, ...]:
    """`answer.newly_refuses`, `answer.newly_answers` and `answer.stance`, the share of stances of one side only.

    The first two are never netted. Where neither side takes one there is nothing to compare.
    """
    pairs = list(zip(production, replay, strict=True))
    status = statuses(np.array([bool(one or other) for one, other in pairs], np.bool_), Status.NOT_APPLICABLE)
    columns = {
        "answer.newly_refuses": _flags("refuses" in other and "refuses" not in one for one, other in pairs),
        "answer.newly_answers": _flags(
            "refuses" in one and "refuses" not in other and "answers" in other for one, other in pairs
        ),
        "answer.stance": np.array([_changed(*pair) for pair in pairs], np.float64),
    }
    return tuple(overridden(column(name, value, status), given) for name, value in columns.items())


def explain_stances(
    production: Stance, replay: Stance, texts: tuple[str | None, str | None]
) -> tuple[Evidence, ...]:
    """Both stances in words, with the beginnings of both answers."""
    if production == replay:
        return ()
    shown = (
        f"{', '.join(stance) or 'nothing'}: {excerpt(text, EXCERPT) if text is not None else '(no answer)'}"
        for stance, text in zip((production, replay), texts, strict=True)
    )
    return (Evidence("stance", *shown),)


def _flags(found: Iterable[bool]) -> Floats:
    return np.array(list(found), np.float64)


def _changed(one: Stance, other: Stance) -> float:
    if one == other:
        return 0.0
    ours, theirs = frozenset(one), frozenset(other)
    return len(ours ^ theirs) / len(ours | theirs)


def _head(text: str) -> str:
    """The first sentences: abbreviations may cut it short, never long."""
    head = text[:_HEAD]
    ends = [end.end() for _, end in zip(range(_HEAD_SENTENCES), _SENTENCE_END.finditer(head), strict=False)]
    return head[: ends[-1]] if len(ends) == _HEAD_SENTENCES else head


def _refuses(text: str, said: Sequence[str], words: AnswerWords) -> bool:
    if not words.refusing.stand_in(text[:_HEAD], said):
        return False
    head = _head(text)
    for phrase in words.abilities:
        head = head.replace(phrase, " ")
    return any(phrase in head for phrase in words.inabilities)


def _asks(tail: str, words: AnswerWords) -> bool:
    """Whether it ends in a question to the user that is more than politeness."""
    text = tail.rstrip(" \"')]*_!.")
    if not text.endswith("?"):
        return False
    start = max(text.rfind(sign, 0, len(text) - 1) for sign in ("? ", ". ", "! ")) + 1
    question = text[start:]
    return not any(phrase in question for phrase in words.courtesies)
