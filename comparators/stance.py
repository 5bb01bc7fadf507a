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
from comparators.language import english
from comparators.spec import Column, Evidence, Floats, Status, Statuses, column, overridden, statuses
from comparators.text import excerpt

#: A subset of `STANCES`, in order.
Stance: TypeAlias = tuple[str, ...]
#: Of production, and of the replay.
StancePair: TypeAlias = tuple[Stance, Stance]
STANCES: Stance = ("answers", "asks", "escalates", "hedges", "refuses")

#: Sentences and characters of an answer in which a refusal may stand, and characters of its end that may ask.
_HEAD_SENTENCES, _HEAD, _TAIL = 3, 600, 600
_SENTENCE_END = re.compile(r"[.!?] ")
_CLAUSE_ENDS = (". ", "! ", "? ", "; ", ": ", ", ", "(", ") ", "- ")
_QUOTED = re.compile(r'"[^"]{1,300}"|`[^`]{1,300}`')
_WORD = re.compile(r"[\w']+")
#: What may stand behind a question: an offer of answers, closing signs.
_WITHOUT_CHOICE = re.compile(r"\([^()]{1,40}\)")
_CLOSERS = " \"')]*_!."
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
        _asks(text[-_TAIL:], said, words),
        records.handed_over,
        not words.hedging.signs.isdisjoint(said) and _hedges(text, said, words),
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
    """Whether the head declines: what is quoted or drafted there, or stands beside a deed, refuses nothing."""
    if words.refusing.signs.isdisjoint(said) or not words.refusing.stand_in(text[:_HEAD], said):
        return False
    head = _QUOTED.sub(" ", _head(text))
    for phrase in filter(head.__contains__, words.abilities):
        head = head.replace(phrase, " ")
    found = [phrase for phrase in words.refusing.possible(said) if phrase in head]
    if not found or head.startswith(words.drafts) or _tells_of_deed(head, words):
        return False
    return any((_regrets if phrase in words.apologetic else _declines)(head, phrase, words) for phrase in found)


def _tells_of_deed(head: str, words: AnswerWords) -> bool:
    """Whether something was done: "I've cancelled it. I can't undo that." """
    if head.startswith(words.openings):
        return True
    if "'ve " not in head and " have " not in head:
        return False
    irregular = english().irregular_forms
    deeds = frozenset(words.perfect.findall(head)) - words.no_deeds
    return any(done.endswith("ed") or done in irregular for done in deeds)


def _declines(head: str, phrase: str, words: AnswerWords) -> bool:
    """Whether a phrase stands in the head in a clause of its own, of no limited time, and of more than perception."""
    at = head.find(phrase)
    while at >= 0:
        end = _SENTENCE_END.search(head, at + len(phrase))
        before, after = head[_clause(head, at) : at], head[at + len(phrase) : end.start() if end else len(head)]
        front, verb = _WORD.findall(before), _WORD.search(after)
        # In front of a phrase without a subject, "that" is its subject: "that is beyond my scope".
        near = front[-2:] if phrase.startswith(words.with_subject) else [word for word in front[-2:] if word != "that"]
        subordinate = not words.subordinators.isdisjoint(near) and words.apologies.isdisjoint(front)
        perceived = verb is not None and verb[0] in words.perceiving
        if not (subordinate or perceived or any(f" {limit}" in after for limit in words.limits)):
            return True
        at = head.find(phrase, at + 1)
    return False


def _clause(head: str, at: int) -> int:
    """Where the clause begins that holds this place."""
    return max(head.rfind(sign, 0, at) for sign in _CLAUSE_ENDS) + 1


def _regrets(head: str, phrase: str, words: AnswerWords) -> bool:
    """Whether a phrase stands behind an apology in one sentence."""
    return any(
        phrase in sentence and not words.apologies.isdisjoint(_WORD.findall(sentence[: sentence.find(phrase)]))
        for sentence in _SENTENCE_END.split(head)
    )


def _hedges(text: str, said: Sequence[str], words: AnswerWords) -> bool:
    if not words.hedging.stand_in(text, said):
        return False
    for phrase in words.certain:
        text = text.replace(phrase, " ")
    return words.hedging.stand_in(text, said)


def _asks(tail: str, said: Sequence[str], words: AnswerWords) -> bool:
    """Whether it ends in a question or a request to the user that is more than politeness."""
    mark = tail.rfind("?")
    if mark >= 0 and _is_asked(tail, mark, words):
        return True
    if words.asking.signs.isdisjoint(said):
        return False
    for phrase in words.asking.possible(said):
        at = tail.rfind(phrase)
        if at >= 0 and not _is_polite(_SENTENCE_END.split(tail[at:])[0], words):
            return True
    return False


def _is_asked(tail: str, mark: int, words: AnswerWords) -> bool:
    """Whether the question before this mark is for the user: behind it there is one sentence more at most."""
    start = max(tail.rfind(sign, 0, mark) for sign in ("? ", ". ", "! ")) + 1
    question, rest = tail[start:mark], tail[mark + 1 :].strip(_CLOSERS)
    if rest:
        rest = _WITHOUT_CHOICE.sub("", rest).strip(_CLOSERS)
    if _SENTENCE_END.search(rest) or _is_polite(question, words):
        return False
    return not _WORD.search(rest) or not words.addressing.isdisjoint(_WORD.findall(question))


def _is_polite(sentence: str, words: AnswerWords) -> bool:
    return any(map(sentence.__contains__, words.courtesies))
