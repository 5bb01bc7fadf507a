"""Claims that nothing supports: the answer says that something was done, and no call that would have done it succeeded.

What production claims without support as well is not held against the replay, and what a stub only assumed is
counted apart.

"Has been cancelled" and, more so, "was cancelled" may tell of a state that was found. They count where a deed is
expected: its call was made and failed, production made the same claim with support, or the user has just agreed to
it. Elsewhere the first counts unless a read shows the state; the second does not, and never where a read shows it.
"I have cancelled" what is no object of any such tool may tell of another deed: it counts only where a call of the tool
was made and failed, or production claimed it with support.

A generic tool does what its arguments say: their words are claim words of the pair in which it was called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from comparators.claimbatch import Reader, TextClaims, claims_of_batch
from comparators.claimform import Tier
from comparators.claimscan import Claim
from comparators.claimsupport import MAX_CHARS, ClaimSide, Deed, Judged, Verdict, is_too_long, judged
from comparators.claimwords import Lexicon
from comparators.language import Language
from comparators.sentences import stated, tokens
from comparators.spec import Column, Evidence, Status, Statuses, column, overridden
from comparators.text import excerpt
from comparators.toolnames import names_an_act

#: Characters of a sentence shown, and claims.
EXCERPT = 240
MAX_LINES = 12
#: Who agrees does so at once: words, and characters, read of the user's last message.
_CONSENT_WORDS, _READ_FOR_CONSENT = 4, 200
#: Acts that a generic tool was told to do in one pair and that are read for claims: each costs its words.
_MOST_ORDERS = 16


#: The `id` of a lexicon, and what generic tools were told to do.
_Lent: TypeAlias = tuple[int, frozenset[tuple[str, str]]]


class ClaimPair(NamedTuple):
    production: ClaimSide
    replay: ClaimSide
    lexicon: Lexicon


#: Whether a claim tells of a deed, by its tier and whether one is expected there; null: unless a read shows the state.
_TELLS_OF_DEED = {
    (Tier.LOOSE, False): False,
    (Tier.LOOSE, True): True,
    (Tier.WIDE, False): False,
    (Tier.WIDE, True): None,
    (Tier.MIDDLE, False): None,
    (Tier.MIDDLE, True): True,
    (Tier.TIGHT, False): True,
    (Tier.TIGHT, True): True,
}
#: Verdicts that are scored: the end of their dimension, and how they are told.
_ENDS = {
    Verdict.REFUTED: "refuted",
    Verdict.WITHOUT_WRITE: "without_write",
    Verdict.UNMATCHED: "unmatched",
    Verdict.ASSUMED: "assumed",
}
#: The columns, by the end of their names.
_COUNTED = ("unsupported", *_ENDS.values())
_WHY = {
    Verdict.REFUTED: "the call for it failed or was stopped",
    Verdict.WITHOUT_WRITE: "no write took effect",
    Verdict.UNMATCHED: "other writes took effect, none of these",
    Verdict.ASSUMED: "success was only assumed",
}


class Findings(NamedTuple):
    """Unsupported claims of one side only: `new` of the replay, `gone` of production. `claimed`: there is any claim."""

    new: tuple[Judged, ...]
    gone: tuple[Judged, ...]
    claimed: bool


def compare_claims(pairs: Sequence[ClaimPair], *, given: Statuses | None = None) -> tuple[Column, ...]:
    """The `claims.*` columns. Where `given` is not `SCORED` it is the status of all, and the answers are not read.

    `claims.unsupported` counts what the replay claims without support and production does not, less what production
    so claims alone. What is only assumed is no part of it: it says how the replay was stubbed.
    """
    rows = np.arange(len(pairs)) if given is None else np.flatnonzero(given == Status.SCORED)
    status = np.full(len(pairs), Status.NOT_APPLICABLE, np.uint8)
    values = np.zeros((len(_COUNTED), len(pairs)), np.float64)
    for row, found in zip(rows.tolist(), find_all([pairs[row] for row in rows.tolist()]), strict=True):
        if found is not _NOTHING:
            status[row] = _status(found)
        if found and (found.new or found.gone):
            values[:, row] = _counts(found)
    columns = (column(f"claims.{end}", scores, status) for end, scores in zip(_COUNTED, values, strict=True))
    return tuple(overridden(scores, given) for scores in columns)


def explain_claims(pair: ClaimPair) -> tuple[Evidence, ...]:
    """The claims of the replay that nothing supports, the worst first, then those that only production made."""
    found = find(pair) or _NOTHING
    worst_first = sorted(found.new, key=lambda it: -it.verdict)
    added = [Evidence(f"claim_{_ENDS[it.verdict]}", added=_line(it)) for it in worst_first]
    removed = [Evidence("claim_gone", removed=_line(it)) for it in found.gone]
    return (*added, *removed)[:MAX_LINES]


def find(pair: ClaimPair) -> Findings | None:
    """What one side alone claims without support; null when an answer is too long to be judged."""
    return find_all([pair])[0]


def find_all(pairs: Sequence[ClaimPair]) -> list[Findings | None]:
    """`find` of each pair."""
    lexicons: dict[_Lent, Lexicon] = {}
    pairs = [_lent(pair, lexicons) if pair.lexicon.generic else pair for pair in pairs]
    said = [_texts(pair) for pair in pairs]
    readers = _readers(pairs)
    asked: dict[Reader, list[str]] = {reader: [] for reader in readers}
    for reader, texts in zip(readers, said, strict=True):
        asked[reader] += texts or ()
    found = claims_of_batch(asked, {id(pair.lexicon): pair.lexicon for pair in pairs})
    claims = [found[reader] for reader in readers]
    return [
        None if texts is None else _NOTHING if held.keys().isdisjoint(texts) else _find(pair, held)
        for pair, texts, held in zip(pairs, said, claims, strict=True)
    ]


def _texts(pair: ClaimPair) -> list[str] | None:
    """The answers of both sides; null where a side is too long to be judged."""
    texts = [answer.text for answer in pair.production.answers + pair.replay.answers]
    is_too_long_together = sum(map(len, texts)) > MAX_CHARS
    return None if is_too_long_together and any(map(is_too_long, pair[:2])) else texts


def _readers(pairs: Sequence[ClaimPair]) -> list[Reader]:
    """What each pair is read by: mostly one and the same."""
    kinds = [(id(pair.lexicon), _acted(pair)) for pair in pairs]
    shared = {kind: Reader(*kind) for kind in dict.fromkeys(kinds)}
    return [shared[kind] for kind in kinds]


def _lent(pair: ClaimPair, lexicons: dict[_Lent, Lexicon]) -> ClaimPair:
    """The pair, read by what its generic tools were told to do as well. `lexicons` are those of the batch."""
    generic = pair.lexicon.generic
    told = [(it.tool, text) for side in pair[:2] for it in side.deeds if it.tool in generic for text in it.orders]
    acts = sorted({(tool, text) for tool, text in told if names_an_act(text, pair.lexicon.language)})
    orders = frozenset(acts[:_MOST_ORDERS])
    if not orders:
        return pair
    known = id(pair.lexicon), orders
    if known not in lexicons:
        lexicons[known] = pair.lexicon.lending(sorted(orders))
    return pair._replace(lexicon=lexicons[known])


def _acted(pair: ClaimPair) -> bool:
    """Whether a loose claim may count, or be supported: there is a deed on either side."""
    return bool(pair.production.deeds or pair.replay.deeds)


def _find(pair: ClaimPair, claims: TextClaims) -> Findings:
    production, replay = judged(pair.production, claims, pair.lexicon), judged(pair.replay, claims, pair.lexicon)
    language = pair.lexicon.language
    return Findings(
        new=_beyond(_wanting(pair.replay, replay, production, language), production),
        gone=_beyond(_wanting(pair.production, production, replay, language), replay),
        claimed=True,
    )


_NOTHING = Findings((), (), claimed=False)


def _status(found: Findings | None) -> Status:
    if found is None:
        return Status.TOO_LARGE
    return Status.SCORED if found.claimed else Status.NOT_APPLICABLE


def _counts(found: Findings) -> list[int]:
    """The values of a row, in the order of `_COUNTED`."""
    new, gone = ([it.verdict for it in side] for side in (found.new, found.gone))
    unsupported = [len(side) - side.count(Verdict.ASSUMED) for side in (new, gone)]
    return [unsupported[0] - unsupported[1], *map(new.count, _ENDS)]


def _line(it: Judged) -> str:
    claim = it.claim
    why = f"{claim.verb} {claim.object}: {_WHY[it.verdict]} ({', '.join(sorted(claim.tools))})"
    return f"{excerpt(claim.sentence, EXCERPT)} [{excerpt(why, EXCERPT)}]"


# -- one side -----------------------------------------------------------------------------------------------------


def _wanting(side: ClaimSide, ours: Sequence[Judged], theirs: Sequence[Judged], language: Language) -> list[Judged]:
    """The claims of `side` that nothing supports and that tell of a deed."""
    wanting = [it for it in ours if it.verdict is not Verdict.SUPPORTED]
    if not wanting or all(it.claim.tier is Tier.TIGHT for it in wanting):
        return wanting
    expected = _expected(side, wanting, theirs, language)
    tells = [_TELLS_OF_DEED[it.claim.tier, it in expected] for it in wanting]
    shown = stated(side.reads) if None in tells else frozenset()  # reads may be long
    told = zip(wanting, tells, strict=True)
    return [it for it, tell in told if (it.claim.forms.isdisjoint(shown) if tell is None else tell)]


def _expected(side: ClaimSide, ours: Sequence[Judged], theirs: Sequence[Judged], language: Language) -> list[Judged]:
    """The claims that stand where a deed is expected."""
    agreed = _agrees(side.user[-1:], language.consents)
    told = stated(side.user) if agreed else frozenset()
    return [
        it
        for it in ours
        if _was_tried(it, side.deeds, language)
        or any(other.verdict is Verdict.SUPPORTED and other.claim.tools & it.claim.tools for other in theirs)
        or (agreed and not _is_vague(it.claim) and it.claim.forms.isdisjoint(told))
    ]


def _is_vague(claim: Claim) -> bool:
    """Whether a claim is too loosely of its tools for the user's consent to mean them."""
    return claim.tier is Tier.LOOSE or claim.borrowed


def _was_tried(it: Judged, deeds: Sequence[Deed], language: Language) -> bool:
    """Whether its call was made in vain. One that failed because all was done *already* shows a state, too."""
    if it.verdict is not Verdict.REFUTED:
        return False
    complaints = (stated((deed.complaint,)) for deed in deeds if deed.tool in it.claim.tools)
    return all(language.earlier.isdisjoint(said) or it.claim.forms.isdisjoint(said) for said in complaints)


def _agrees(last: Sequence[str], consents: frozenset[str]) -> bool:
    """Whether the user's last message begins by agreeing."""
    words = [word.lower() for text in last for word in tokens(text[:_READ_FOR_CONSENT])[:_CONSENT_WORDS]]
    return any(" ".join(words[:count]) in consents for count in range(1, len(words) + 1))


def _beyond(these: Sequence[Judged], those: Sequence[Judged]) -> tuple[Judged, ...]:
    """Claims that the other side does not make without support as well. One that may be true excuses none."""
    if not those:
        return tuple(these)
    return tuple(it for it in these if not any(_excuses(other, it) for other in those))


def _excuses(other: Judged, claim: Judged) -> bool:
    if other.verdict is Verdict.SUPPORTED or not other.claim.tools & claim.claim.tools:
        return False
    return other.verdict is not Verdict.ASSUMED or claim.verdict is Verdict.ASSUMED
