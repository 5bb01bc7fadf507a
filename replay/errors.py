"""Errors, named after whose fault they are.

    ReplayError
    ├── UsageError            the person at the keyboard: a flag, a path, a setting
    ├── BundleError           the author of a release bundle
    ├── RecordError           whoever produced a record: a trace, a line of a file
    │   └── UnsupportedVersionError   a record newer than this program
    ├── RouteError            the model route, while a replay was running
    │   ├── ProviderError     the provider failed or stayed silent: `infra_error`
    │   └── NoRecordingError  a recorded model has nothing for this step: `no_recording`
    └── LimitReachedError     a limit the operator set stopped the intake

Every message says what was found, what was expected and what to try.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class ReplayError(Exception):
    """Base of every error this product raises on purpose; its text is fit to be shown to a user."""


class UsageError(ReplayError):
    """The command line or the settings ask for something that cannot be done."""


@dataclass(frozen=True, slots=True)
class BundleIssue:
    """One thing wrong with a bundle: the file, the path inside it, and what was expected."""

    file: Path
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}: {self.path}" if self.path else str(self.file)
        return f"{where}: {self.message}"


class BundleError(ReplayError):
    """A bundle, or a gate, is not usable; `issues` lists all that is wrong with it, not the first thing only."""

    def __init__(self, issues: tuple[BundleIssue, ...], *, what: str = "bundle") -> None:
        self.issues = issues
        noun = "error" if len(issues) == 1 else "errors"
        super().__init__("\n".join([f"the {what} has {len(issues)} {noun}:", *(f"  {issue}" for issue in issues)]))


class RecordError(ReplayError):
    """A record cannot be used. `stage` says where it was refused, `field` which part of it (JSON path)."""

    def __init__(self, message: str, *, stage: str = "decode", field: str = "") -> None:
        self.stage = stage
        self.field = field
        super().__init__(message)


class UnsupportedVersionError(RecordError):
    """A record was written by a newer major version than this program reads."""


class RouteError(ReplayError):
    """A model call of a replay gave no answer."""


class ProviderError(RouteError):
    """The provider failed. `kind` is one of `PROVIDER_FAILURES`; the unit ends as `infra_error`.

    `retry_after_seconds` is the pause that the provider asked for, if it did. `out_of_time`: nothing else went wrong
    than that the caller's own time budget ended.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        attempts: int = 1,
        retry_after_seconds: float | None = None,
        out_of_time: bool = False,
    ) -> None:
        self.kind = kind
        self.out_of_time = out_of_time
        self.attempts = attempts
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)


#: Classes of provider failure, in the words of a report. `replay.retry.RETRIES` says which are worth asking again.
PROVIDER_FAILURES = (
    "rate_limited",  # 429
    "unavailable",  # 5xx
    "refused_request",  # 4xx: the route does not accept what the bundle asks for
    "timeout",  # no connection in time, 408, or no complete answer inside the time budget
    "connection",  # could not connect, or the answer was cut
    "bad_response",  # an answer that is not what the protocol promises
)


class NoRecordingError(RouteError):
    """A recorded model has no such turn or step. The unit ends as `no_recording` and is never scored."""


class LimitReachedError(ReplayError):
    """A limit set by the operator stopped the intake; what was left is in the message."""
