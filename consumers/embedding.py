"""The operator's embedding function: named in the settings, tried once before anything is replayed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from comparators.semantic import Embed, Meanings
from replay.errors import UsageError

_PROBE = ["a text", "another text"]


def meanings_of(name: str | None) -> Meanings | None:
    """What `embed` names, as "package.module:function"; null without one.

    The function takes a list of texts and gives one vector of numbers for each. It runs in this process with all its
    rights. Raises `UsageError` when it cannot be found, or does not do that.
    """
    if name is None:
        return None
    embed = _imported(name)
    try:
        vectors = np.asarray(embed(list(_PROBE)), dtype=np.float32)
    except Exception as error:
        raise UsageError(f"embed: {name} fails on a short text: {type(error).__name__}: {error}") from error
    if vectors.ndim != 2 or len(vectors) != len(_PROBE) or not np.isfinite(vectors).all():
        raise UsageError(f"embed: {name} gives {vectors.shape} for 2 texts; expected one finite vector each")
    return Meanings(embed)


def _imported(name: str) -> Embed:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise UsageError(f'embed: found {name!r}; expected "package.module:function"')
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # as `python -m` has it: a function beside the settings file is found
    try:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"embed: {name} cannot be imported: {error}") from error
    if not isinstance(found, Callable):  # type: ignore[arg-type]  # a protocol of one method, checked at run time
        raise UsageError(f"embed: {name} is no function")
    return found  # type: ignore[no-any-return]  # tried by the caller
