"""Offsets end in any order and are committed in order; a slow twin keeps every offset it ever saw."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.offsets import REMEMBERED, Lease, Leases, Tracker
from consumers.stream import Committed, Partition

P, Q = Partition("t", 0), Partition("t", 1)


class SlowTracker:
    """Remembers everything, and looks through all of it every time."""

    def __init__(self):
        self.begun, self.finished, self.position = [], [], None

    def begin(self, offset):
        if self.position is not None and offset < self.position:
            return False
        self.begun.append(offset)
        self.position = offset + 1
        return True

    @property
    def watermark(self):
        return min((o for o in self.begun if o not in self.finished), default=self.position)


@given(st.lists(st.tuples(st.sampled_from(["begin", "finish", "pass", "again"]), st.integers(0, 7))))
def test_the_watermark_is_the_first_unfinished_offset(steps):
    tracker, slow = Tracker(), SlowTracker()
    for step, number in steps:
        next_offset = (slow.position or 0) + number  # gaps are offsets without records
        unfinished = [o for o in slow.begun if o not in slow.finished]
        if step == "begin":
            assert tracker.begin(next_offset) is slow.begin(next_offset) is True
        elif step == "again" and slow.begun:
            assert tracker.begin(slow.begun[0]) is slow.begin(slow.begun[0]) is False
        elif step == "pass":
            tracker.pass_to(next_offset)
            slow.position = max(slow.position or 0, next_offset)
        elif step == "finish" and unfinished:
            offset = unfinished[number % len(unfinished)]
            tracker.finish(offset)
            slow.finished.append(offset)
        unfinished = [o for o in slow.begun if o not in slow.finished]
        assert tracker.watermark == slow.watermark
        assert tracker.position == slow.position
        assert tracker.open == len(unfinished)
        assert tracker.span == (slow.position - unfinished[0] if unfinished else 0)


@pytest.mark.parametrize("offset", [4, 6, 7, 8])
def test_finishing_what_is_not_open_is_our_own_mistake(offset):
    tracker = Tracker()
    tracker.begin(5)
    tracker.begin(7)  # 6 is a gap
    tracker.finish(7)
    with pytest.raises(ValueError, match=f"offset {offset} is not open"):
        tracker.finish(offset)


def test_what_an_earlier_owner_has_finished_is_passed_over_and_not_forgotten():
    tracker = Tracker([6, 8])
    assert [tracker.begin(offset) for offset in (5, 6, 7)] == [True, False, True]
    assert tracker.done_beyond == [6, 8]  # the one that was not reached yet, too
    assert tracker.begin(8) is False
    tracker.finish(7)
    assert (tracker.watermark, tracker.done_beyond, tracker.open) == (5, [6, 7, 8], 1)
    tracker.finish(5)
    assert (tracker.watermark, tracker.done_beyond) == (9, [])


def test_only_progress_is_committed():
    lease = Lease(P, 1, Committed(10))
    assert lease.to_commit is None
    lease.tracker.begin(10)
    lease.tracker.begin(11)
    lease.tracker.finish(11)
    assert lease.to_commit is None
    lease.tracker.finish(10)
    assert lease.to_commit == 12


def test_a_copy_of_a_trace_is_known_for_as_long_as_it_is_remembered():
    lease = Lease(P, 1)
    assert not lease.repeats("a", 0)
    assert lease.repeats("a", 0)
    assert not lease.repeats("a", 1)
    for number in range(REMEMBERED):
        lease.repeats(f"t{number}", 0)
    assert not lease.repeats("a", 0)


class Scope:
    cancelled = 0

    def cancel(self):
        self.cancelled += 1


def test_kept_leases_go_on_and_the_others_are_cancelled():
    leases, scope, other = Leases(), Scope(), Scope()
    leases.renew([], [Lease(P, 1, Committed(3)), Lease(Q, 1)])
    kept, lost = leases.of(P), leases.of(Q)
    kept.hold(scope)
    lost.hold(other)
    leases.renew([kept], [])
    assert leases.of(P) is kept
    assert leases.of(Q) is None
    assert (scope.cancelled, other.cancelled) == (0, 1)
    assert (kept.lost, lost.lost, leases.epoch) == (False, True, 2)
    leases.renew([], [Lease(P, 3, Committed(3))])
    assert leases.of(P) is not kept
    assert scope.cancelled == 1
