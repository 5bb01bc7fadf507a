"""Meaning, as far as an embedding tells it: the cosine distance of two answers under any function that makes vectors.

Optional, and for display and routing: embeddings hardly see a negation (Anschuetz, Lozano, Kluge, "This is not correct!
Negation-aware Evaluation of Language Generation Systems", INLG 2023, arXiv:2307.13989), so this never gates alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from comparators.spec import Column, Floats, Status, Statuses, column

#: Texts in, float[texts, d] out, one row per text. What it raises is no score, and costs no other pair its own.
Embed: TypeAlias = Callable[[list[str]], NDArray[np.floating]]
_Vector: TypeAlias = NDArray[np.float32]

#: Longer answers are not embedded: models read a few thousand words and drop the rest in silence.
MAX_CHARACTERS = 32_768
#: Places that are kept: the same text has slightly other vectors in another batch.
_PLACES = 5


@dataclass(slots=True)
class Meanings:
    """Vectors by text, kept for the `capacity` texts that were used last. Not for use from two threads."""

    embed: Embed
    capacity: int = 20_000
    _kept: OrderedDict[bytes, _Vector] = field(default_factory=OrderedDict)

    def of(self, texts: Sequence[str]) -> Mapping[str, _Vector]:
        """Unit vectors of the texts that have one: not those on which the function fails, or that have no direction."""
        wanted = {text: _digest(text) for text in texts}
        fresh = [text for text, digest in wanted.items() if digest not in self._kept]
        made = dict(self._embedded(fresh))
        found = {text: made[text] if text in made else self._kept.get(digest) for text, digest in wanted.items()}
        for text, vector in found.items():
            if vector is not None:
                self._keep(wanted[text], vector)
        return {text: vector for text, vector in found.items() if vector is not None}

    def _embedded(self, texts: list[str]) -> Iterator[tuple[str, _Vector]]:
        """All at once; where that fails, one at a time, so that a text that breaks the function breaks its own pair."""
        vectors = self._asked(texts) if texts else None
        if vectors is None:
            if len(texts) > 1:
                for text in texts:
                    yield from self._embedded([text])
            return
        for text, vector in zip(texts, vectors, strict=True):
            size = float(np.linalg.norm(vector.astype(np.float64)))
            if np.isfinite(size) and size > 0:
                yield text, (vector / size).astype(np.float32)

    def _asked(self, texts: list[str]) -> _Vector | None:
        """float32[texts, d]; null when the function fails or gives something else."""
        try:
            vectors = np.asarray(self.embed(texts), dtype=np.float32)
        except Exception:  # noqa: BLE001 - it is not our function, and its failure is a status
            return None
        return vectors if vectors.ndim == 2 and len(vectors) == len(texts) else None

    def _keep(self, digest: bytes, vector: _Vector) -> None:
        self._kept[digest] = vector
        self._kept.move_to_end(digest)
        if len(self._kept) > self.capacity:
            self._kept.popitem(last=False)


def compare_meanings(
    production: Sequence[str | None], replay: Sequence[str | None], wording: Column, meanings: Meanings
) -> Column:
    """`answer.semantic`: 1 - cosine, in [0, 1], where both answered and `wording` (`answer.lexical`) differs at all.

    Equal wordings are 0 and cost nothing. Where the function has no vector the status is `UNKNOWN`, where a text is too
    long `TOO_LARGE`; elsewhere it is that of the wording.
    """
    pairs = list(zip(production, replay, strict=True))
    asked = [_is_asked(pair, score) for pair, score in zip(pairs, wording.value.tolist(), strict=True)]
    rows = np.flatnonzero(np.array(asked, np.bool_) & (wording.status == Status.SCORED)).tolist()
    small = [row for row in rows if max(len(text or "") for text in pairs[row]) <= MAX_CHARACTERS]
    vectors = meanings.of([text for row in small for text in pairs[row] if text is not None])
    value: Floats = np.zeros(len(pairs))
    status = _statuses(pairs, wording)
    status[rows] = Status.TOO_LARGE
    for row in small:
        one, other = (vectors.get(text or "") for text in pairs[row])
        both = one is not None and other is not None and one.shape == other.shape
        status[row] = Status.SCORED if both else Status.UNKNOWN
        value[row] = _distance(one, other) if one is not None and other is not None and both else 0.0
    return column("answer.semantic", value, status)


def _is_asked(pair: tuple[str | None, str | None], wording: float) -> bool:
    return wording > 0 and pair[0] is not None and pair[1] is not None


def _statuses(pairs: Sequence[tuple[str | None, str | None]], wording: Column) -> Statuses:
    """Of one missing answer nothing can be said but that it is missing."""
    missing = np.array([(one is None) != (other is None) for one, other in pairs], np.bool_)
    alone = missing & (wording.status == Status.SCORED)
    return np.where(alone, np.uint8(Status.NOT_APPLICABLE), wording.status).astype(np.uint8)


def _distance(one: _Vector, other: _Vector) -> float:
    cosine = float(one.astype(np.float64) @ other.astype(np.float64))
    return round(min(max(1.0 - cosine, 0.0), 1.0), _PLACES)


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
