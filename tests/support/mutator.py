"""Records that are almost right: golden traces, changed at random where it hurts, by a seed.

Structure-aware: it knows objects, lists, texts and numbers, so that most of what it makes gets past the JSON parser
and into the code behind it. The rest is bytes: cut, flipped, doubled, or not UTF-8.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

#: What stands where something else was expected.
STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**63, -(2**63) - 1, 10**40, 1e308, -0.0, 0.1, "", " ", "x" * 5_000, "\u0000", "\u202e",
    "\ud800", "💥" * 50, "[]", "{}", "null", "NaN", "../../etc/passwd", "{{ 7*7 }}", "${jndi:x}", "<script>", [], {},
    [[[[[[]]]]]], {"": {"": {"": 1}}}, ["a", 1, None], {"schema": "trace/1"}, {"role": "system"}, {"effect": "read"},
)  # fmt: skip


def mutate(seeds: Sequence[dict[str, Any]], number: int, *, seed: int = 0) -> bytes:
    """The `number`th mutation: the same for the same seed, whatever was made before it."""
    chance = random.Random(f"{seed}/{number}")
    record = json.loads(json.dumps(chance.choice(seeds)))
    record["trace_id"] = f"mutant-{number}"
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        chance.choice(_CHANGES)(record, chance)
    data = json.dumps(record, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    return chance.choice(_BYTES)(data, chance) if chance.random() < 0.15 else data


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key or index) of a JSON value."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        found += [(holder, key) for key in keys]
        waiting += [holder[key] for key in keys if isinstance(holder[key], dict | list)]
    return found


def _place(record: Any, chance: random.Random) -> tuple[Any, Any]:
    return chance.choice(_places(record) or [({"": 0}, "")])


def _replace(record: Any, chance: random.Random) -> None:
    holder, key = _place(record, chance)
    holder[key] = _copy(chance.choice(STRANGE))


def _drop(record: Any, chance: random.Random) -> None:
    holder, key = _place(record, chance)
    del holder[key]


def _double(record: Any, chance: random.Random) -> None:
    holder, key = _place(record, chance)
    if isinstance(holder, list):
        holder.insert(key, holder[key])
    else:
        holder[f"{key}2"] = holder[key]


def _swap(record: Any, chance: random.Random) -> None:
    (one, a), (other, b) = _place(record, chance), _place(record, chance)
    one[a], other[b] = _copy(other[b]), _copy(one[a])


def _repeat(record: Any, chance: random.Random) -> None:
    lists = [holder[key] for holder, key in _places(record) if isinstance(holder[key], list) and holder[key]]
    if lists:
        found = chance.choice(lists)
        found.extend(_copy(found) * chance.choice((1, 3, 20)))


def _nest(record: Any, chance: random.Random) -> None:
    holder, key = _place(record, chance)
    value = holder[key]
    for _ in range(chance.choice((2, 20, 200))):
        value = [value] if chance.random() < 0.5 else {"arguments": value}
    holder[key] = value


def _text(record: Any, chance: random.Random) -> None:
    texts = [(holder, key) for holder, key in _places(record) if isinstance(holder[key], str)]
    if texts:
        holder, key = chance.choice(texts)
        at = chance.randrange(len(holder[key]) + 1)
        holder[key] = (
            holder[key][:at] + chance.choice(("\u0000", "\ud83d", "\n", '"', "\\", "}", "9" * 400)) + holder[key][at:]
        )


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))


_CHANGES: tuple[Callable[[Any, random.Random], None], ...] = (
    _replace,
    _replace,
    _drop,
    _double,
    _swap,
    _repeat,
    _nest,
    _text,
)


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _flip(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 5))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _join(data: bytes, chance: random.Random) -> bytes:
    return data + chance.choice((data, b",", b"\n", b"\x00", b"\xff\xfe", b"]"))


_BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (_cut, _flip, _join)
