"""Fixtures of the tests that run the command line: models that end with their module, bundles made of recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from processes import recorded_model, shadow_replay

#: Nothing listens there: for baselines, which a run only reads.
NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture(scope="module")
def model_of() -> Iterator[Callable[..., str]]:
    """Start a recorded model; gives its URL."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(recorded_model(*arguments))


@pytest.fixture(scope="module")
def bundle_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a bundle of recorded traces, as a user would."""
    folder, numbers = tmp_path_factory.mktemp("bundles"), count()

    def inferred(corpus: Path, bundle: str, url: str = NOWHERE) -> Path:
        out = folder / str(next(numbers))
        shadow_replay("bundle", "infer", corpus, "--bundle", bundle, "--route", url, "--out", out)
        return out

    return inferred
