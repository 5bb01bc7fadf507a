"""What a trace says should have come of it, read into an expectation, and what each side did about it.

    {"actions": [{"name": "cancel_order", "arguments": {"id": 7}, "compare_args": null}], "outputs": ["1250"]}

`actions` null = nothing is said about actions; [] = no write may take effect. Of the actions, writes and hand-offs
count, reads are not required. All arguments must be equal by the tool's contract, left out ones included;
`compare_args` names the only ones that count; of a text that the contract calls `prose`, the figures do. An action
whose `requestor` is not "assistant" is somebody else's to make. Other keys are for other readers.

Expected calls are read through the baseline's contracts: the candidate does not write its own exam. An expectation
belongs to the whole conversation, so calls and answers of the history count on both sides. It is content like any
other, and hostile: one that cannot be read costs a score and never the trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from comparators.calls import CallEvent, Effect
from comparators.expected import Conduct, Expectation, ExpectedCall, Way, explain_expected, shortfall
from comparators.spec import Evidence, Status
from replay.contract import Tooling
from replay.errors import RecordError
from replay.exact_json import Json, dumps
from replay.execution import Taken
from replay.recorded import RecordedCall, history_batches, recorded_steps
from replay.recorded_world import outcome_of
from replay.trace import Trace

MAX_ACTIONS = 1_000
MAX_OUTPUTS = 100
MAX_OUTPUT_CHARS = 10_000
#: Longer conversations are not searched for what was to be told.
MAX_TOLD_CHARS = 1_000_000

#: The ways in which an expectation was missed; none = it was met.
Missed: TypeAlias = tuple[Way, ...]


class Unreadable(NamedTuple):
    """An expectation nobody can be held to, and why."""

    reason: str


class Examined(NamedTuple):
    """An expectation and both sides' conduct. A side's conduct is null where it cannot be told."""

    expectation: Expectation | Unreadable | None = None
    production: Conduct | None = None
    replay: Conduct | None = None
    applicable: bool = True

    @property
    def production_missed(self) -> Missed | None:
        """In which ways production missed it; null where that cannot be told, or nothing is expected."""
        return self._missed(self.production)

    @property
    def replay_missed(self) -> Missed | None:
        return self._missed(self.replay)

    @property
    def status(self) -> Status:
        """Null sides are told apart by the comparator; here it is whether there is anything to be told."""
        return Status.SCORED if self.expectation is not None and self.applicable else Status.NOT_APPLICABLE

    def lines(self) -> tuple[Evidence, ...]:
        """Why it could not be told; else what the replay failed to do, and did instead."""
        if self.expectation is None or not self.applicable:
            return ()
        if isinstance(self.expectation, Unreadable):
            return (Evidence("outcome_unknown", removed=self.expectation.reason),)
        if self.production is None or self.replay is None:
            return (Evidence("outcome_unknown", removed=NOT_IN_FULL),)
        return explain_expected(self.expectation, self.replay)

    def _missed(self, conduct: Conduct | None) -> Missed | None:
        if not isinstance(self.expectation, Expectation) or conduct is None:
            return None
        return shortfall(self.expectation, conduct).ways


#: Nothing is expected.
NOT_EXAMINED = Examined()
NOT_IN_FULL = "a side was not recorded in full, or its answers are too long to search"


def recorded_exam(production: Trace, candidate: Trace, tooling: Tooling) -> Examined:
    """Two recordings, by the expectation of production's."""
    expectation = expectation_of(production.expected, tooling)
    if not isinstance(expectation, Expectation):
        return Examined(expectation)
    return Examined(expectation, recorded_conduct(production, tooling), recorded_conduct(candidate, tooling))


def replayed_exam(
    trace: Trace, taken: Sequence[Taken], answer: str | None, tooling: Tooling, *, forced: bool
) -> Examined:
    """Production against a replay. A forced one follows production's path, so what it would have come to is unknown."""
    expectation = expectation_of(trace.expected, tooling)
    if not isinstance(expectation, Expectation):
        return Examined(expectation, applicable=not forced)
    production = recorded_conduct(trace, tooling)
    if forced:
        return Examined(expectation, production, applicable=False)
    return Examined(expectation, production, _replayed_conduct(trace, taken, answer, tooling))


def recorded_misses(trace: Trace, tooling: Tooling) -> Missed | None:
    """In which ways a recording missed its own expectation; null when there is none or it cannot be told."""
    expectation = expectation_of(trace.expected, tooling)
    if not isinstance(expectation, Expectation):
        return None
    return Examined(expectation, recorded_conduct(trace, tooling)).production_missed


# -- the expectation --------------------------------------------------------------------------------------------


def expectation_of(expected: Json, tooling: Tooling) -> Expectation | Unreadable | None:
    """Read an expectation; null when none was given, or it says nothing about actions and answers."""
    if expected is None:
        return None
    try:
        if not isinstance(expected, dict):
            raise _wrong("expected", expected, "an object")
        actions, outputs = (_listed(expected, name, most) for name, most in _LISTS.items())
        if actions is None and not outputs:
            return None
        calls = None if actions is None else tuple(_calls(actions, tooling))
        return Expectation(calls, tuple(_output(at, value) for at, value in enumerate(outputs or ())))
    except RecordError as error:
        return Unreadable(str(error)[:_LONGEST_REASON])


_LISTS = {"actions": MAX_ACTIONS, "outputs": MAX_OUTPUTS}
_LONGEST_REASON = 500


def _listed(expected: dict[str, Json], name: str, most: int) -> list[Json] | None:
    value = expected.get(name)
    if value is not None and not isinstance(value, list):
        raise _wrong(f"expected.{name}", value, "a list or null")
    if value is not None and len(value) > most:
        raise RecordError(f"expected.{name} has {len(value):,} entries; at most {most:,} are read")
    return value


def _calls(actions: Iterable[Json], tooling: Tooling) -> Iterator[ExpectedCall]:
    for number, action in enumerate(actions):
        at = f"expected.actions[{number}]"
        if not isinstance(action, dict):
            raise _wrong(at, action, "an object")
        name, arguments, counted = (action.get(key) for key in ("name", "arguments", "compare_args"))
        if not isinstance(name, str) or not name:
            raise _wrong(f"{at}.name", name, "the name of a tool")
        if not isinstance(arguments, dict | str | None):
            raise _wrong(f"{at}.arguments", arguments, "an object")
        if counted is not None and not (isinstance(counted, list) and all(isinstance(it, str) for it in counted)):
            raise _wrong(f"{at}.compare_args", counted, "a list of names or null")
        if action.get("requestor") in (None, "assistant") and tooling.effect(name) is not Effect.READ:
            text = arguments if isinstance(arguments, str) else dumps(arguments or {}).decode()
            call = tooling.read_production(name, text).call
            only = None if counted is None else frozenset(counted)
            yield ExpectedCall(call, tooling.effect(name), only, tooling.prose(name, call))


def _output(number: int, value: Json) -> str:
    at = f"expected.outputs[{number}]"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _wrong(at, value, "a text or a number")
    text = value if isinstance(value, str) else dumps(value).decode()
    if not text.strip() or len(text) > MAX_OUTPUT_CHARS:
        raise RecordError(f"{at} has {len(text):,} characters; expected 1 to {MAX_OUTPUT_CHARS:,}")
    return text


def _wrong(at: str, value: Json, wanted: str) -> RecordError:
    return RecordError(f"{at} is {type(value).__name__}; expected {wanted}")


# -- the conduct ------------------------------------------------------------------------------------------------


def recorded_conduct(trace: Trace, tooling: Tooling) -> Conduct | None:
    """What a recording did and said; null when it was not recorded in full."""
    if trace.capture.content != "full":
        return None
    steps = recorded_steps(trace)
    calls = [*_history(trace, tooling), *_recorded((call for step in steps for call in step.calls), tooling)]
    answers = [*_told_before(trace), *(step.call.output.text for step in steps if step.answered), trace.final_answer]
    return _conduct(calls, answers)


def _replayed_conduct(trace: Trace, taken: Sequence[Taken], answer: str | None, tooling: Tooling) -> Conduct | None:
    """The history, which is production's on both sides, and what the replay made of it."""
    if trace.capture.content != "full":
        return None
    replayed = (given for step in taken for given in step.answers)
    calls = [
        *_history(trace, tooling),
        *(CallEvent(given.read.call, given.effect, given.outcome) for given in replayed),
    ]
    return _conduct(calls, [*_told_before(trace), answer])


def _conduct(calls: Sequence[CallEvent], answers: Sequence[str | None]) -> Conduct | None:
    said = [answer for answer in answers if answer is not None]
    return Conduct(calls, said) if sum(map(len, said)) <= MAX_TOLD_CHARS else None


def _history(trace: Trace, tooling: Tooling) -> Iterator[CallEvent]:
    for batch in history_batches(trace):
        yield from _recorded(batch, tooling)


def _recorded(calls: Iterable[RecordedCall], tooling: Tooling) -> Iterator[CallEvent]:
    for call in calls:
        read = tooling.read_production(call.tool, call.arguments)
        yield CallEvent(read.call, tooling.effect(call.tool), outcome_of(call, tooling.stubbing(call.tool)))


def _told_before(trace: Trace) -> Iterator[str | None]:
    """Answers of earlier turns: what stands beside a tool call is not shown to everybody."""
    for message in trace.request.messages:
        if message.role == "assistant" and not message.calls:
            yield message.text
