"""Comparisons of one run in, a verdict out: the whole gate without I/O.

Per source partition, comparisons wait until a watermark says that everything before them is there; then they are
taken in source order, trace by trace. Of comparisons with one id the first in the order of the partition counts; a
trace belongs to one partition, and in two it is two. What stands behind the watermark, however bad it looks, has no
say yet.

The watermark itself depends on outcomes: it stops before the first record that has not ended, and how soon one ends
may depend on how it ends. A prefix that stops short of the slow ones is no sample, and over many partitions it misleads
many times. With that record it is one. Whether the first n - 1 records have ended by now is known from themselves, so
the number of records up to and including the first unfinished one is a stopping time of the partition's sequence, and
what is bet on them has the guarantee of optional stopping, at every look: an expected value of at most 1, and so has
the product over partitions, as long as the time that a replay takes tells nothing of the records behind it. What the
unfinished record came to is not known. It is taken at that end which proves least: a difference of -1 where harm is to
be proved and of +1 where safety is, for every metric and partition, whether or not a record waits there; less would
claim an outcome that nobody has seen. It has no part in counts, means and slices. A run that is complete has none.
Said is this of traces that stand alone. A conversation of several turns votes when its partition has gone on by `idle`,
far behind the watermark, whose place then tells next to nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from comparators.spec import COMPARATOR_SET
from replay.comparison import Comparison
from replay.gate.amounts import seconds_of
from replay.gate.ballot import Ballot, ballot_of
from replay.gate.config import Gate
from replay.gate.conversations import Closing, Conversations
from replay.gate.decision import Facts, decide
from replay.gate.evidence import Evidence
from replay.gate.target import target_of
from replay.gate.vote import Ballotbox
from replay.planning import Planner
from replay.verdict import Prefix, Target, Verdict, verdict_id


class Run(NamedTuple):
    """Who is judged. `not_exercised` and the rest are the same on every comparison of a run."""

    run_id: str
    baseline: str
    candidate: str
    comparator_set: str
    not_exercised: tuple[str, ...]

    @classmethod
    def planned(cls, run_id: str, planner: Planner) -> Run:
        """Known before anything is replayed, so that a run in which nothing counts has a verdict, too."""
        return cls(
            run_id, planner.baseline.digest, planner.candidate.digest, COMPARATOR_SET, planner.not_exercised
        )

    @classmethod
    def of(cls, comparison: Comparison) -> Run:
        return cls(
            comparison.run_id,
            comparison.baseline,
            comparison.candidate.partition("#")[0],  # of a recording the whole, not its single conversation
            comparison.comparator_set,
            comparison.not_exercised,
        )

    @classmethod
    def judged(cls, verdict: Verdict) -> Run:
        """Whom a verdict is about."""
        return cls(
            verdict.run_id, verdict.baseline, verdict.candidate, verdict.comparator_set, verdict.not_exercised
        )

    def has(self, comparison: Comparison) -> bool:
        """Whether a comparison is of this run. Recordings that name several bundles are compared as one release."""
        other = Run.of(comparison)
        if comparison.mode == "recorded":
            return (other.run_id, other.comparator_set) == (self.run_id, self.comparator_set)
        return other._replace(not_exercised=self.not_exercised) == self


@dataclass(slots=True)
class PartitionDocket:
    """One source partition of one run. `first`: the offset of the first comparison whose turn has come."""

    box: Ballotbox
    conversations: Conversations
    evidence: Evidence
    position: int = 0
    first: int | None = None
    duplicates: int = 0
    _waiting: dict[int, dict[str, Ballot]] = field(default_factory=dict)

    @classmethod
    def empty(cls, box: Ballotbox) -> PartitionDocket:
        gate = box.gate
        closing = Closing(seconds_of(gate.idle), seconds_of(gate.max_age))
        return cls(box, Conversations(closing), Evidence(gate))

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def enter(self, ballot: Ballot) -> None:
        """Keep a ballot until its turn. One that comes again, or behind the watermark, changes nothing."""
        if ballot.offset < self.position or ballot.comparison_id in self._waiting.get(ballot.offset, ()):
            self.duplicates += 1
        else:
            self._waiting.setdefault(ballot.offset, {})[ballot.comparison_id] = ballot
            if self.conversations.changes is not None:
                self.conversations.changes.entered.append(ballot)

    def advance(self, offset: int) -> None:
        """Everything below `offset` is there. Offsets never go back."""
        if offset <= self.position:
            return
        self.position = offset
        due = sorted(number for number in self._waiting if number < offset)
        if self.first is None and due:
            self.first = due[0]
        self._fold(over for number in due for turn in _turns(self._waiting.pop(number)) for over in self._enter(turn))

    def finish(self) -> None:
        """The source is at its end: whatever is open is over."""
        self.advance(max(self._waiting, default=self.position - 1) + 1)
        self._fold(self.conversations.close_all())

    def _enter(self, turn: list[Ballot]) -> Iterator[list[Ballot]]:
        return self.conversations.enter(turn)

    def _fold(self, conversations: Iterable[list[Ballot]]) -> None:
        self.evidence.fold(self.box.count_all(list(conversations)))


def _turns(ballots: Mapping[str, Ballot]) -> Iterable[list[Ballot]]:
    """The ballots of one offset by conversation: a line of a file may hold several traces, in an order of their own."""
    turns: dict[str, list[Ballot]] = {}
    for _, ballot in sorted(ballots.items()):
        turns.setdefault(ballot.key, []).append(ballot)
    return turns.values()


@dataclass(slots=True)
class Docket:
    """All partitions of one run. `run` is null until the first comparison, where nobody says who is judged."""

    gate: Gate
    run: Run | None = None
    #: Traces of other bundles, of the other mode, of other runs, and of other releases under this one's name are none.
    ignored: int = 0
    complete: bool = False
    _box: Ballotbox = field(init=False)
    _partitions: dict[tuple[str, int], PartitionDocket] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._box = Ballotbox(self.gate)

    def enter(self, comparison: Comparison) -> None:
        """Take a comparison, in whatever order it comes."""
        if not self.counts(comparison):
            self.ignored += 1
            return
        self.run = self.run or Run.of(comparison)
        source = comparison.source
        ballot = ballot_of(comparison, self._box.signals, self.gate.timeout_ns)
        self.partition(source.topic, source.partition).enter(ballot)

    def counts(self, comparison: Comparison) -> bool:
        """Whether a comparison can be evidence in this run."""
        ours = self.run is None or self.run.has(comparison)
        return ours and comparison.admitted_as == "baseline" and comparison.mode in (self.gate.mode, "recorded")

    def advance(self, topic: str, partition: int, offset: int) -> None:
        """A watermark: everything of that partition below `offset` has been entered."""
        self.partition(topic, partition).advance(offset)

    def finish(self) -> None:
        """The run is complete: nothing more will come."""
        self.complete = True
        for partition in self._partitions.values():
            partition.finish()

    def evidence(self) -> Evidence:
        """The sum over all partitions, beside what nobody has seen: the record at the position of each."""
        total = Evidence(self.gate, unseen=0 if self.complete else len(self._partitions))
        for _, partition in sorted(self._partitions.items()):
            total.merge(partition.evidence)
        return total

    def verdict(self, *, now: int | None) -> Verdict | None:
        """What the votes so far allow; null while nobody knows who is judged. `now` only dates the record."""
        if self.run is None:
            return None
        evidence, gate = self.evidence(), self.gate
        still_open = sum(partition.conversations.open for partition in self._partitions.values())
        facts = _facts(gate, self.run, evidence, still_open, complete=self.complete)
        decision, reasons = decide(facts)
        prefixes = self._prefixes()
        uncalibrated = [evidence.is_uncalibrated(row) for row in range(len(gate.metrics))]
        slices, examined = evidence.slices.findings(gate, uncalibrated)
        return Verdict(
            verdict_id=verdict_id(self.run.run_id, gate.digest, prefixes, complete=self.complete),
            **self.run._asdict(),
            decision=decision,
            reasons=reasons,
            rollback_target=_target(gate, self.run) if decision == "roll_back" else None,
            gate_sha256=gate.digest,
            gate=gate.model_dump(mode="json"),
            prefixes=prefixes,
            complete=self.complete,
            conversations=evidence.conversations,
            turns=evidence.turns,
            unseen=evidence.unseen,
            failed=evidence.failed,
            failed_alike=evidence.failed_alike,
            excused=evidence.excused,
            guessed=evidence.guessed,
            calibrated=evidence.laned > 0,
            log_e_rollback=facts.log_e_rollback,
            rollback_metric=facts.rollback_metric,
            metrics=tuple(facts.metrics),
            placebo=tuple(facts.placebo),
            slices=slices,
            slices_examined=examined,
            first_at=evidence.times.first,
            last_at=evidence.times.last,
            seconds_to_decision=_seconds_left(facts),
            emitted_at=now,
            late_turns=sum(partition.conversations.late for partition in self._partitions.values()),
            open_conversations=still_open,
        )

    def _prefixes(self) -> tuple[Prefix, ...]:
        each = sorted(self._partitions.items())
        return tuple(
            Prefix(topic=topic, partition=number, first=it.first, offset=it.position) for (topic, number), it in each
        )

    def partition(self, topic: str, number: int) -> PartitionDocket:
        """The docket of one source partition, made when it is first asked for."""
        key = (topic, number)
        if key not in self._partitions:
            self._partitions[key] = PartitionDocket.empty(self._box)
        return self._partitions[key]


def _target(gate: Gate, run: Run) -> Target:
    return target_of(gate, baseline=run.baseline, candidate=run.candidate)


def _facts(gate: Gate, run: Run, evidence: Evidence, still_open: int, *, complete: bool) -> Facts:
    log_e, heaviest = evidence.log_e_rollback()
    return Facts(
        gate=gate,
        metrics=evidence.metrics(),
        placebo=evidence.placebo_metrics(),
        log_e_rollback=log_e,
        log_e_placebo=evidence.log_e_placebo(),
        rollback_metric=heaviest,
        conversations=evidence.conversations,
        pairs=evidence.laned or evidence.conversations,
        laned=evidence.laned,
        still_open=still_open,
        failed_alike=evidence.failed_alike,
        excused=evidence.excused,
        missing=evidence.missing,
        guessed=evidence.guessed,
        complete=complete,
        not_exercised=run.not_exercised,
        seconds=evidence.times.seconds,
    )


def _seconds_left(facts: Facts) -> float | None:
    """At the traffic seen so far; null when it cannot be said."""
    open_yet = [metric for metric in facts.metrics if metric.votes and metric.standing != "within_margin"]
    known = [metric.more_pairs / metric.pairs for metric in open_yet if metric.more_pairs is not None]
    if not facts.seconds or not open_yet or len(known) < len(open_yet):
        return None
    return max(known) * facts.seconds
