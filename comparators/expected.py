"""Whether a conversation came to the outcome that was expected of it: the same predicate held against both sides.

An expectation is met when

* every write and hand-off it names took effect exactly as often as it names it, with equal arguments: all of them,
  or those that it says count; a text that is prose by its contract may be worded in any way that has its figures;
* no other write took effect, and none of its hand-offs more often than named;
* everything to be told stands in an answer: figures in any spelling ("1,250" and "$1,250.00" tell 1250, "May 5th" tells
  2024-05-05 beside that year), any other text word for word, where no negation stands in front.

Reads are free, so are order and steps. A call took effect unless it failed or was stopped: a stub's assumed success
counts, or no expected write that production did not make could ever be made good. Calls are matched to expected ones
by minimum-cost assignment. What is expected is taken as it stands, on both sides: an improvement never makes good
a regression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np

from comparators.answerwords import english_answers
from comparators.assignment import assign
from comparators.calls import CallEvent, CanonicalCall, Effect, Leaf, Outcome
from comparators.explain import shown
from comparators.figure import FAINT, NAME, Figure, Key, respelled
from comparators.figurewords import english_figures
from comparators.leaves import agree, count_shared
from comparators.numbers import figures
from comparators.spec import Column, Evidence, Status, Statuses, column, overridden, statuses
from comparators.text import excerpt, normalise_all

EXCERPT = 200
MAX_LINES = 12
#: Calls of one tool are matched within tolerances while there are at most this many cells, and characters to read
#: for them; beyond, equal digests only. That may fail an expectation that was met, in bounded time.
_LARGEST_MATRIX, _MOST_CHARACTERS = 1 << 12, 1 << 24

_TOOK_EFFECT = frozenset((Outcome.SUCCEEDED, Outcome.ASSUMED))
_WORD = re.compile(r"[^\W_]+")
_DIGIT = re.compile("[0-9]")
_LAST_WORDS = re.compile(r"[\w']+")
_CLAUSE_END = re.compile(r"[.,:;!?()]")
#: Characters before a text in which it may be denied.
_BEFORE = 60


class ExpectedCall(NamedTuple):
    """A write or hand-off that is to take effect. `counted` names the arguments that must be equal; null = all.

    `prose`: paths of texts of which the figures count and not the words.
    """

    call: CanonicalCall
    effect: Effect
    counted: frozenset[str] | None = None
    prose: frozenset[str] = frozenset()


class Expectation(NamedTuple):
    """`calls` null = nothing is said about actions, () = none may take effect. `outputs` are to be told."""

    calls: tuple[ExpectedCall, ...] | None
    outputs: tuple[str, ...] = ()


class Conduct(NamedTuple):
    """What one side did and said, the whole conversation long."""

    calls: Sequence[CallEvent]
    answers: Sequence[str]


#: The ways to miss an expectation: something was left out (not done or not told), or done beyond it. A call with a
#: wrong argument is both.
Way: TypeAlias = Literal["omitted", "exceeded"]


class Shortfall(NamedTuple):
    """What keeps an expectation from being met; all empty = it is met."""

    missing: tuple[ExpectedCall, ...]
    extra: tuple[CallEvent, ...]
    untold: tuple[str, ...]

    @property
    def ways(self) -> tuple[Way, ...]:
        """In which ways it is missed, in this order; none = it is met."""
        held: tuple[tuple[Way, bool], ...] = (
            ("omitted", bool(self.missing or self.untold)),
            ("exceeded", bool(self.extra)),
        )
        return tuple(way for way, holds in held if holds)


def compare_expected(
    production: Sequence[bool | None], replay: Sequence[bool | None], *, given: Statuses | None = None
) -> tuple[Column, Column]:
    """`expected.regressed` and `expected.improved`, of whether each side met its expectation; null = `UNKNOWN`.

    Where `given` is not `SCORED` it is the status of both. Raises `ValueError` for sides of unequal length.
    """
    if len(production) != len(replay):
        raise ValueError(f"{len(production)} outcomes of production for {len(replay)} of the replay")
    known = np.array([None not in pair for pair in zip(production, replay, strict=True)], dtype=np.bool_)
    status = statuses(known, Status.UNKNOWN)
    before, after = (np.array([bool(met) for met in side], dtype=np.bool_) for side in (production, replay))
    return (
        overridden(column("expected.regressed", before & ~after, status), given),
        overridden(column("expected.improved", after & ~before, status), given),
    )


def explain_expected(expectation: Expectation, conduct: Conduct) -> tuple[Evidence, ...]:
    """What was expected (removed) and what was done instead (added), line by line."""
    missing, extra, untold = shortfall(expectation, conduct)
    instead = list(extra)
    lines = []
    for wanted in missing[:MAX_LINES]:
        other = next((event for event in instead if event.call.tool == wanted.call.tool), None)
        if other is not None:
            instead.remove(other)
        lines.append(Evidence("expected_call", shown(wanted.call), _instead(wanted, other, conduct)))
    lines += [Evidence("expected_call", added=shown(event.call)) for event in instead[:MAX_LINES]]
    answer = excerpt(conduct.answers[-1], EXCERPT) if conduct.answers else None
    lines += [Evidence("expected_output", excerpt(text, EXCERPT), answer) for text in untold[:MAX_LINES]]
    return tuple(lines)


def shortfall(expectation: Expectation, conduct: Conduct) -> Shortfall:
    """Hold an expectation against what was done and said."""
    missing, extra = _calls_apart(expectation.calls, conduct.calls) if expectation.calls is not None else ((), ())
    return Shortfall(missing, extra, tuple(_untold(expectation.outputs, conduct.answers)))


# -- calls -------------------------------------------------------------------------------------------------------------


def _calls_apart(
    expected: Sequence[ExpectedCall], made: Sequence[CallEvent]
) -> tuple[tuple[ExpectedCall, ...], tuple[CallEvent, ...]]:
    """Expected calls that did not take effect, and effects that nothing expected."""
    named = {wanted.call.tool for wanted in expected}
    effective = [event for event in made if event.outcome in _TOOK_EFFECT and event.effect is not Effect.READ]
    # A hand-off beside the expected ones changes nothing: whether one is wanted at all, an expectation has to say.
    effective = [event for event in effective if event.effect is Effect.WRITE or event.call.tool in named]
    wanted_by, made_by = _by_tool(expected), _by_tool(effective)
    missing: list[ExpectedCall] = []
    extra: list[CallEvent] = []
    for tool in dict.fromkeys((*wanted_by, *made_by)):
        wanted, events = wanted_by.get(tool, []), made_by.get(tool, [])
        partner = _partners(wanted, events)
        taken = set(partner)
        missing += [call for call, index in zip(wanted, partner, strict=True) if index < 0]
        extra += [event for index, event in enumerate(events) if index not in taken]
    return tuple(missing), tuple(extra)


_Called = TypeVar("_Called", ExpectedCall, CallEvent)


def _by_tool(calls: Sequence[_Called]) -> dict[str, list[_Called]]:
    found: dict[str, list[_Called]] = {}
    for item in calls:
        found.setdefault(item.call.tool, []).append(item)
    return found


def _partners(wanted: Sequence[ExpectedCall], events: Sequence[CallEvent]) -> list[int]:
    """The event that fulfils each expected call, -1 for none: as many are fulfilled as can be."""
    if not wanted or not events:
        return [-1] * len(wanted)
    size = _size([item.call for item in wanted]) + _size([event.call for event in events])
    if len(wanted) * len(events) > _LARGEST_MATRIX or size * max(len(wanted), len(events)) > _MOST_CHARACTERS:
        return _equal_partners(wanted, events)
    cost = [[0.0 if _fulfils(event.call, item) else 1.0 for event in events] for item in wanted]
    return [index if index >= 0 and not cost[row][index] else -1 for row, index in enumerate(assign(cost))]


def _size(calls: Sequence[CanonicalCall]) -> int:
    return sum(len(leaf.token) + 1 for call in calls for leaf in call.leaves)


def _equal_partners(wanted: Sequence[ExpectedCall], events: Sequence[CallEvent]) -> list[int]:
    places: dict[bytes, list[int]] = {}
    for index in range(len(events) - 1, -1, -1):
        places.setdefault(events[index].call.digest, []).append(index)
    found = (places.get(item.call.digest) for item in wanted)
    return [places_left.pop() if places_left else -1 for places_left in found]


def _fulfils(call: CanonicalCall, wanted: ExpectedCall) -> bool:
    if call.digest == wanted.call.digest:
        return True
    ours, theirs = _counted(wanted.call.leaves, wanted.counted), _counted(call.leaves, wanted.counted)
    if len(ours) != len(theirs):
        return False
    return len(ours) == count_shared(ours, theirs) + _reworded(ours, theirs, wanted.prose)


def _reworded(ours: Sequence[Leaf], theirs: Sequence[Leaf], prose: frozenset[str]) -> int:
    """How many texts are said in other words, with every figure of those that were expected."""
    given = {leaf.path: leaf for leaf in theirs if leaf.path in prose}
    pairs = [(leaf, given[leaf.path]) for leaf in ours if leaf.path in given]
    return sum(not agree(*pair) and _has_figures(*(leaf.token for leaf in pair)) for pair in pairs)


def _has_figures(wanted: str, text: str) -> bool:
    expected, said = figures(normalise_all([wanted, text]))
    plainly = frozenset((figure.value, figure.unit) for figure in said)
    numbers = plainly.union(*map(respelled, said))
    told = (figure for figure in expected if figure.decimals not in FAINT)
    # Words may come between a number and its unit: "two more days".
    return bool(text) and all((it.value, "") in plainly or _is_stated(it, numbers, plainly) for it in told)


def _counted(leaves: Sequence[Leaf], names: frozenset[str] | None) -> Sequence[Leaf]:
    if names is None:
        return leaves
    return [leaf for leaf in leaves if leaf.path in names or leaf.path.partition(".")[0] in names]


def _instead(wanted: ExpectedCall, other: CallEvent | None, conduct: Conduct) -> str | None:
    """The call in its place: one that took effect, else the same tool's failed one."""
    if other is not None:
        return shown(other.call)
    failed = (event for event in conduct.calls if event.call.tool == wanted.call.tool)
    tried = next((event for event in failed if event.outcome not in _TOOK_EFFECT), None)
    return None if tried is None else excerpt(f"{tried.outcome.name.lower()}: {shown(tried.call)}", EXCERPT)


# -- answers -----------------------------------------------------------------------------------------------------------


def _untold(outputs: Sequence[str], answers: Sequence[str]) -> Iterator[str]:
    if not outputs:
        return
    said = normalise_all(answers)
    stated = {figure for found in figures(said) for figure in found}
    plainly = frozenset((figure.value, figure.unit) for figure in stated)
    numbers = plainly.union(*map(respelled, stated))
    spoken: list[_Spoken] = []
    wanted = normalise_all(outputs)
    for output, text, found in zip(outputs, wanted, figures(wanted), strict=True):
        if found and _is_figures(text):
            told = all(_is_stated(figure, numbers, plainly) for figure in found)
        else:
            spoken = spoken or list(map(_Spoken.of, said))
            told = _is_said(text, spoken)
        if not told:
            yield output


def _is_figures(text: str) -> bool:
    """Whether a text holds nothing but figures: each word has a digit or is a word of figures."""
    words = english_figures().of_figures
    return all(_DIGIT.search(word) or word in words for word in _WORD.findall(text))


def _is_stated(figure: Figure, numbers: Set[Key], plainly: Set[Key]) -> bool:
    """An amount with a unit is not told by one without, but a share is; a time or a name is told in any spelling."""
    if (figure.value, figure.unit) in numbers:
        return True
    if figure.unit == "%":
        return (figure.value, "") in plainly
    return figure.decimals >= NAME and not plainly.isdisjoint(respelled(figure))


class _Spoken(NamedTuple):
    """An answer: its words, a space around each, and where each begins in it."""

    text: str
    words: str
    starts: Sequence[int]

    @classmethod
    def of(cls, text: str) -> _Spoken:
        words = list(_WORD.finditer(text))
        return cls(text, f" {' '.join(word[0] for word in words)} ", [word.start() for word in words])

    def places(self, words: Sequence[str]) -> Iterator[int]:
        """Where these words stand in this order, whatever signs are between them. Linear in both."""
        wanted = f" {' '.join(words)} "
        number, last = 0, 0
        while (at := self.words.find(wanted, last)) >= 0:
            number += self.words.count(" ", last, at)
            yield self.starts[number]
            number += len(words)
            last = at + len(wanted) - 1


def _is_said(text: str, answers: Iterable[_Spoken]) -> bool:
    """Whether the words stand somewhere in this order, whatever signs are between them, and are not denied there."""
    words = _WORD.findall(text)
    if not words:
        return any(text in answer.text for answer in answers)
    return any(
        not _is_denied(answer.text[max(start - _BEFORE, 0) : start])
        for answer in answers
        for start in answer.places(words)
    )


def _is_denied(before: str) -> bool:
    """Whether a text ends in a negation of what follows: "was not yet", "hasn't been"."""
    words = english_answers()
    for word in reversed(_LAST_WORDS.findall(_CLAUSE_END.split(before)[-1])):
        if word not in words.between_denied:
            return word in words.negations
    return False
