"""What stands behind a claim: the calls that came before it, and how they ended.

A claim is supported by a successful call of one of its tools anywhere in the conversation before the answer. One
that rests on a stub's assumed success is apart: nobody has seen that success, and the answer repeats what it was
told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from comparators.calls import Effect, Outcome
from comparators.claimbatch import TextClaims
from comparators.claimform import Tier
from comparators.claimscan import Claim
from comparators.claimwords import Lexicon
from comparators.sentences import words_in

#: Sides with longer answers are not judged.
MAX_CHARS = 100_000
#: Characters of a value that says what to do.
_LONGEST_ORDER = 60


class Deed(NamedTuple):
    """A call that was made before the answer. `complaint` is what it said when it failed.

    `orders`, values of its arguments, and `result`, of one that succeeded, tell what it did beyond its name.
    """

    tool: str
    effect: Effect
    outcome: Outcome
    complaint: str = ""
    orders: tuple[str, ...] = ()
    result: str = ""


class Told(NamedTuple):
    """An answer, and how many deeds came before it."""

    text: str
    deeds: int


class ClaimSide(NamedTuple):
    """One side: its answers, and what had happened in the whole conversation, oldest first.

    `reads` are results of reads, `user` the user's messages.
    """

    answers: tuple[Told, ...] = ()
    deeds: tuple[Deed, ...] = ()
    reads: tuple[str, ...] = ()
    user: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        answer: str | None,
        deeds: Sequence[Deed] = (),
        *,
        reads: Sequence[str] = (),
        user: Sequence[str] = (),
    ) -> ClaimSide:
        """A side with one answer, after all its deeds, or with none."""
        return cls(_told(answer, len(deeds)), tuple(deeds), tuple(reads), tuple(user))

    def answering(self, answer: str | None) -> ClaimSide:
        """The same, with this answer alone, after all deeds."""
        return self._replace(answers=_told(answer, len(self.deeds)))


def _told(answer: str | None, deeds: int) -> tuple[Told, ...]:
    return () if answer is None else (Told(answer, deeds),)


class Verdict(IntEnum):
    """What stands behind a claim."""

    SUPPORTED = 0
    ASSUMED = 1  # a stub's template said so
    UNMATCHED = 2  # writes took effect, but none of the tools that could have done it was called
    WITHOUT_WRITE = 3  # no write took effect
    REFUTED = 4  # its call was made, and failed or was stopped


_BY_OUTCOME = {
    Outcome.SUCCEEDED: Verdict.SUPPORTED,
    Outcome.ASSUMED: Verdict.ASSUMED,
    Outcome.FAILED: Verdict.REFUTED,
    Outcome.REFUSED: Verdict.REFUTED,
}
_TOOK_EFFECT = frozenset((Outcome.SUCCEEDED, Outcome.ASSUMED))


class Judged(NamedTuple):
    claim: Claim
    verdict: Verdict


def is_too_long(side: ClaimSide) -> bool:
    """Whether a side is too long to be judged."""
    return sum([len(answer.text) for answer in side.answers]) > MAX_CHARS


def judged(side: ClaimSide, claims_of: TextClaims, lexicon: Lexicon) -> tuple[Judged, ...]:
    """The distinct claims of a side, the worse of two that say the same."""
    if not [answer for answer in side.answers if answer.text in claims_of]:
        return ()
    done, past = _Done(lexicon), 0
    found: dict[frozenset[str], Judged] = {}
    for answer in side.answers:
        done.add(side.deeds[past : answer.deeds])
        past = answer.deeds
        for claim in claims_of.get(answer.text, ()):
            this, other = Judged(claim, done.verdict_of(claim)), found.get(claim.tools)
            if other is None or _weight(this) >= _weight(other):
                found[claim.tools] = this
    return tuple(found.values())


def _weight(judged: Judged) -> tuple[Tier, Verdict]:
    return judged.claim.tier, judged.verdict


@dataclass(slots=True)
class _Done:
    """How the calls so far ended, by tool, and those that took effect."""

    lexicon: Lexicon
    ends: dict[str, set[Outcome]] = field(default_factory=dict)
    took_effect: list[Deed] = field(default_factory=list)

    def add(self, deeds: Sequence[Deed]) -> None:
        for deed in deeds:
            self.ends.setdefault(deed.tool, set()).add(deed.outcome)
            if deed.outcome in _TOOK_EFFECT:
                self.took_effect.append(deed)

    def verdict_of(self, claim: Claim) -> Verdict:
        """What the calls so far say to a claim: the best of their ends counts."""
        if not self.ends:
            return Verdict.WITHOUT_WRITE
        ends = {end for tool in claim.tools for end in self.ends.get(tool, ())}
        found = next((verdict for outcome, verdict in _BY_OUTCOME.items() if outcome in ends), None)
        if found in (Verdict.SUPPORTED, Verdict.ASSUMED) or not self.took_effect:
            return Verdict.WITHOUT_WRITE if found is None else found
        implied = _implied(claim, self.took_effect, self.lexicon)
        if implied is not None:
            return implied
        acted = any(deed.effect is Effect.WRITE for deed in self.took_effect)
        otherwise = Verdict.UNMATCHED if acted else Verdict.WITHOUT_WRITE
        return otherwise if found is None else found


def _implied(claim: Claim, took_effect: Sequence[Deed], lexicon: Lexicon) -> Verdict | None:
    """What deeds of other tools make of a claim; null if none of them did what it says.

    A deed did so if its arguments or its result speak of the act, or if the act comes with it; and two if it is
    made of both.
    """
    names = claim.names
    did = [deed for deed in took_effect if _tells_of(deed, names) or _brings(deed, names, lexicon)]
    if not did and _is_made_of(took_effect, names, lexicon):
        did = list(took_effect)
    return min((_BY_OUTCOME[deed.outcome] for deed in did), default=None)


def _tells_of(deed: Deed, names: frozenset[str]) -> bool:
    """Whether a write was told to act so, or says that it did. Prose that it passes on says nothing of itself."""
    if deed.effect is not Effect.WRITE:
        return False
    orders = (text for text in deed.orders if len(text) <= _LONGEST_ORDER)
    return any(not names.isdisjoint(words_in(text)) for text in (*orders, deed.result))


def _brings(deed: Deed, names: frozenset[str], lexicon: Lexicon) -> bool:
    acts = lexicon.acts.get(deed.tool, frozenset())
    return any(not names.isdisjoint(lexicon.language.brings.get(act, ())) for act in acts)


def _is_made_of(deeds: Sequence[Deed], names: frozenset[str], lexicon: Lexicon) -> bool:
    """Whether what was done is in parts what is claimed: cancelled and booked is rescheduled."""
    acts = frozenset().union(*(lexicon.acts.get(deed.tool, frozenset()) for deed in deeds))
    return any(
        not names.isdisjoint(whole) and not any(acts.isdisjoint(part) for part in parts)
        for whole, *parts in lexicon.language.made_of
    )
