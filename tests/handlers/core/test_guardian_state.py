"""What a guardian remembers, and what follows from each thing that it learns."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import pytest

from handlers.core.claim import LATE_REQUEST_S
from handlers.core.control import ControlRecord, PersonsNo, Phase, Says, Transition, Word, WriterSign
from handlers.core.fence import UNSEEN, FenceState, Lift
from handlers.core.guardian import END_MOVE_S, NO_LEASE, Own, lift_until
from handlers.core.guardian_state import (
    FENCE_AGAIN_S,
    FIRST_TICK_S,
    LATE_FENCE_S,
    OUTAGE_IS_OVER_S,
    Act,
    Change,
    ClockSeen,
    DatabaseProbed,
    EndMove,
    EndStop,
    EndSwitchover,
    FenceSeen,
    GiveWord,
    GuardianState,
    Learnt,
    LeaseRenewed,
    LiftFence,
    LookAtFence,
    LookAtRds,
    LookedAround,
    PutFenceUp,
    RdsSeen,
    RecordRead,
    Renew,
    SignLife,
    TakeNoBack,
    WordGiven,
    step,
)
from handlers.core.health import Probe
from handlers.core.heartbeat import Beat
from handlers.core.lease import CLOCK_MARGIN_S, FENCE_BEFORE_S, LEASE_S, NO_SIGN_S, REST_S, TICK_S
from handlers.core.request import Mode

Changed = TypeVar("Changed")


def replace(one: Changed, **changes: Any) -> Changed:
    """As `dataclasses.replace`, of a guardian's state as well."""
    return one._replace(**changes) if isinstance(one, GuardianState) else dataclasses.replace(one, **changes)  # type: ignore[type-var]


EAST, WEST = "us-east-1", "us-west-2"
NOW = 1_800_000_000.0
BEAT = Beat(7, NOW - 1)

GRACE_S = 23.0
HERE = ControlRecord(EAST, 4, automatic_failover=True, lease_expires_at=NOW + 8, heartbeat=BEAT)
THERE = replace(HERE, writer_region=WEST)
OPEN = FenceState(by_sql=False, by_group=False, secondary=False, error=None)
CLOSED = FenceState(by_sql=True, by_group=True, secondary=False, error=None)
BY_GROUP_ALONE = FenceState(by_sql=False, by_group=True, secondary=False, error=None)
EMPTIED = replace(BY_GROUP_ALONE, restarted=True, restarted_at=NOW - 2)
SECONDARY = FenceState(by_sql=None, by_group=False, secondary=True, error=None)

WATCHES = GuardianState(
    EAST, GRACE_S, HERE, lease_ends_at=NOW + 8, fence=OPEN, sql_seen_at=NOW - 1, group_seen_at=NOW - 1
)
BEGINS = GuardianState(EAST, GRACE_S)
HEALTHY = Probe("own", "writer", EAST, None, 20.0, BEAT, fenced=False, fence_number=3, open_sessions=5)
FENCED = replace(HEALTHY, fenced=True, open_sessions=0)
SILENT = Probe("own", None, EAST, "TimeoutError: timed out", 1000.0)


def moved(mode: Mode = "failover", phase: Phase = "moving", stopping_until: float | None = None) -> ControlRecord:
    lock = Transition("run-1", mode, phase, "outage 7", WEST, NOW - 5, NOW + 1855, stopping_until=stopping_until)
    return replace(HERE, transition=replace(lock, moving_since=NOW - 5 if phase == "moving" else None))


def around(
    record: ControlRecord | None, own: Own, reached: Probe | None = None, *, now: float = NOW, can_write: bool = True
) -> LookedAround:
    return LookedAround(now, record, own, reached, can_write)


def after(state: GuardianState, *learnt: Learnt) -> GuardianState:
    for each in learnt:
        state, _ = step(state, each)
    return state


def ordered(state: GuardianState, learnt: Learnt) -> Change | Act | None:
    """The one order that follows, besides a sign of life."""
    orders = [order for order in step(state, learnt)[1] if not isinstance(order, SignLife)]
    assert len(orders) < 2
    return orders[0] if orders else None


# --- the record


def test_a_guardian_begins_without_knowing_its_role() -> None:
    begins = BEGINS
    assert (begins.is_writer, begins.is_standby, begins.lease_ends_at, begins.fence) == (False, False, 0.0, UNSEEN)


def test_its_first_look_at_the_record_tells_the_role_and_the_lease_and_asks_for_the_fence() -> None:
    state, orders = step(BEGINS, RecordRead(HERE, NOW))
    assert (state.is_writer, state.is_standby, state.lease_ends_at) == (True, False, NOW + 8)
    assert orders == (LookAtFence(),)


def test_a_fence_that_was_seen_is_not_looked_at_again() -> None:
    assert ordered(WATCHES, RecordRead(HERE, NOW)) is None


@pytest.mark.parametrize(
    "record",
    [replace(HERE, epoch=5), THERE, moved(), moved("switchover", "stopping", NOW)],
    ids=["another epoch", "another writer", "moving", "stopping"],
)
def test_p1_what_was_seen_of_the_fence_counts_only_while_the_record_says_the_same(record: ControlRecord) -> None:
    state, orders = step(WATCHES, RecordRead(record, NOW))
    assert (state.fence, orders) == (UNSEEN, (LookAtFence(),))
    assert after(state, FenceSeen(CLOSED, NOW - 0.1)).fence == UNSEEN
    assert after(state, FenceSeen(CLOSED, NOW)).fence == CLOSED
    assert after(state, DatabaseProbed(replace(FENCED, elapsed_ms=100.0), True, NOW + 0.05)).fence == UNSEEN


def test_a_lease_that_is_not_in_the_record_is_none() -> None:
    assert after(WATCHES, RecordRead(moved(), NOW)).lease_ends_at == NO_LEASE


# --- the database


@pytest.mark.parametrize(
    ("reached", "by_sql"), [(HEALTHY, False), (FENCED, True), (replace(FENCED, open_sessions=1), False)]
)
def test_a_writer_that_answers_says_whether_it_is_closed_by_sql(reached: Probe, by_sql: bool) -> None:
    state = after(replace(WATCHES, fence=UNSEEN), DatabaseProbed(reached, record_is_known=True, now=NOW))
    assert (state.fence, state.sql_seen_at) == (replace(UNSEEN, by_sql=by_sql), NOW - 0.02)


@pytest.mark.parametrize("reached", [SILENT, replace(HEALTHY, role="reader", fenced=True)], ids=["silent", "reader"])
def test_a_database_that_is_no_writer_says_nothing_of_the_fence(reached: Probe) -> None:
    assert after(WATCHES, DatabaseProbed(reached, record_is_known=True, now=NOW)) == WATCHES


NOTED = replace(HEALTHY, noted_lease=NOW + 6)


@pytest.mark.parametrize(
    ("state", "reached", "record_is_known", "ends_at"),
    [
        (BEGINS, NOTED, False, NOW + 6),
        (replace(WATCHES, lease_ends_at=NOW + 2), NOTED, False, NOW + 6),
        (WATCHES, NOTED, False, NOW + 8),
        (BEGINS, replace(NOTED, noted_lease=NOW + 3600), False, NOW + LEASE_S),
        (BEGINS, NOTED, True, NO_LEASE),
        (GuardianState(EAST, GRACE_S, THERE), NOTED, False, NO_LEASE),
    ],
    ids=["begins", "knew less", "knew more", "longer than any lease", "the record is there", "a standby"],
)
def test_without_the_record_a_lease_that_is_noted_beside_the_heartbeat_counts(
    state: GuardianState, reached: Probe, record_is_known: bool, ends_at: float
) -> None:
    assert after(state, DatabaseProbed(reached, record_is_known, NOW)).lease_ends_at == ends_at


# --- the decision


def test_a_healthy_writer_renews() -> None:
    state, orders = step(WATCHES, around(HERE, "writer", HEALTHY))
    assert orders == (Renew(4, NOW + LEASE_S, BEAT, renewing_since=NOW),)
    assert not state.rests


NO = PersonsNo("ada", NOW - OUTAGE_IS_OVER_S, "a false alarm")


@pytest.mark.parametrize(
    ("change", "is_over"),
    [
        ({}, True),
        ({"renewing_since": NOW - OUTAGE_IS_OVER_S + 1}, False),
        ({"renewing_since": None}, False),
        ({"lease_expires_at": NOW - 1}, False),
        ({"word": Word("down", NOW - 5)}, False),
        ({"ended_by_person": replace(NO, at=NO.at + 1)}, False),
    ],
)
def test_p9_a_no_holds_until_the_writer_has_renewed_for_five_minutes_in_a_row(
    change: dict[str, Any], is_over: bool
) -> None:
    recovered = replace(HERE, lease_expires_at=NOW + 8, renewing_since=NO.at, ended_by_person=NO)
    _, (renewal, *more) = step(WATCHES, around(replace(recovered, **change), "writer", HEALTHY))
    assert isinstance(renewal, Renew)
    assert more == ([TakeNoBack(4, NO)] if is_over else [])


def test_renewals_begin_anew_after_a_gap_only() -> None:
    goes_on = replace(HERE, lease_expires_at=NOW + 8, renewing_since=NOW - 100)
    assert renewed(goes_on).renewing_since is None, "the record keeps what it says"
    assert renewed(replace(goes_on, lease_expires_at=NOW - 1)).renewing_since == NOW
    assert renewed(goes_on, FENCED).renewing_since == NOW, "and with one that lifts a fence"


def renewed(record: ControlRecord, reached: Probe = HEALTHY) -> Renew:
    order = ordered(WATCHES, around(record, "writer", reached))
    assert isinstance(order, Renew)
    return order


def test_a_switchover_that_stops_the_writer_for_too_long_loses_its_lock() -> None:
    record = moved("switchover", "stopping", NOW - CLOCK_MARGIN_S - 1)
    assert ordered(WATCHES, around(record, "writer", HEALTHY)) == EndStop("run-1")


def test_a_guardian_that_rests_remembers_it_until_it_decides_otherwise() -> None:
    deployed = replace(HERE, epoch=1, lease_expires_at=None)
    resting = after(WATCHES, around(deployed, "down"))
    assert resting.rests
    assert not after(resting, around(HERE, "writer", HEALTHY)).rests


@pytest.mark.parametrize(
    ("fence", "record", "own", "with_group"),
    [
        (OPEN, moved(), "writer", True),
        (UNSEEN, moved(), "writer", True),
        (replace(OPEN, by_sql=True), moved(), "writer", True),
        (BY_GROUP_ALONE, moved(), "writer", True),
        (CLOSED, moved(), "writer", None),
        (replace(SECONDARY, by_sql=True), moved(), "writer", None),
        (OPEN, moved(), "down", True),
        (EMPTIED, moved(), "down", None),
        (EMPTIED, moved(), "unknown", None),
        (BY_GROUP_ALONE, moved(), "down", True),
        (BY_GROUP_ALONE, moved(), "unknown", True),
        # Of another region's writer nobody knows when its fence was last lifted.
        (BY_GROUP_ALONE, THERE, "down", None),
        (SECONDARY, moved(), "down", None),
        # RDS has not restarted the instances: who is in is still in.
        (replace(BY_GROUP_ALONE, restarted=False), moved(), "down", True),
        (replace(BY_GROUP_ALONE, restarted=False), moved(), "unknown", True),
        (OPEN, moved("switchover"), "writer", False),
        (replace(OPEN, by_sql=True), moved("switchover"), "writer", None),
        (BY_GROUP_ALONE, moved("switchover"), "writer", False),
        (OPEN, moved("switchover"), "down", None),
    ],
)
def test_a_fence_is_put_up_as_far_as_it_does_not_stand(
    fence: FenceState, record: ControlRecord, own: Own, with_group: bool | None
) -> None:
    """``with_group``: None when nothing is to be done."""
    why = "run run-1 is moving the writer to us-west-2"
    state = after(replace(WATCHES, record=record), FenceSeen(fence, NOW - 1))
    expected = None if with_group is None else PutFenceUp(why, with_group, lifted_at=0.0)
    assert ordered(state, around(record, own)) == expected


@pytest.mark.parametrize(("restarted_at", "is_fence"), [(NOW - 21, False), (NOW - 19, True), (None, False)])
def test_p1_a_group_that_rds_may_have_closed_after_the_lift_is_no_fence(
    restarted_at: float | None, is_fence: bool
) -> None:
    """Seeds 915 and 2380: it was told to before, and sessions are behind it of which a restart has to be asked."""
    lifted = replace(moved(), renewing_since=NOW - 20)
    seen = replace(BY_GROUP_ALONE, restarted=True if restarted_at else None, restarted_at=restarted_at)
    state = after(replace(WATCHES, record=lifted), FenceSeen(seen, NOW - 2), FenceSeen(BY_GROUP_ALONE, NOW - 1))
    assert SignLife(lifted, WriterSign(NOW, "down", is_fence)) in step(state, around(lifted, "down"))[1]
    again = PutFenceUp("run run-1 is moving the writer to us-west-2", with_group=True, lifted_at=NOW - 20)
    assert ordered(state, around(lifted, "down")) == (None if is_fence else again)


# --- the renewal, and what it lifts


def test_a_renewal_counts_from_then_on() -> None:
    state, orders = step(WATCHES, LeaseRenewed(NOW + LEASE_S, HEALTHY))
    assert (state.lease_ends_at, orders) == (NOW + LEASE_S, ())


def test_a_renewal_lifts_the_very_fence_that_was_seen_before_it() -> None:
    lift = Lift(3, lift_until(NOW + LEASE_S))
    assert ordered(WATCHES, LeaseRenewed(NOW + LEASE_S, FENCED)) == LiftFence(lift)


def test_p10_the_security_group_may_close_for_a_minute_after_the_lift_and_is_looked_at() -> None:
    """RDS carries out when it likes what it has accepted, and the fence that asked may have been another guardian's."""
    record = replace(HERE, renewing_since=NOW)
    looked = after(WATCHES, FenceSeen(OPEN, NOW))
    assert ordered(looked, RecordRead(record, NOW + TICK_S)) is None
    assert ordered(looked, RecordRead(record, NOW + 2 * TICK_S - 0.1)) == LookAtFence()
    assert ordered(looked, RecordRead(record, NOW + LATE_FENCE_S)) == LookAtFence()
    assert ordered(looked, RecordRead(record, NOW + LATE_FENCE_S + 0.1)) is None


def test_p10_a_clock_that_is_set_back_does_not_keep_a_guardian_from_seeing_the_fence() -> None:
    ahead = step(BEGINS, RecordRead(HERE, NOW + 3600))[0]
    right = after(ahead, RecordRead(HERE, NOW), FenceSeen(BY_GROUP_ALONE, NOW + 1))
    assert right.fence == BY_GROUP_ALONE
    assert ordered(right, LeaseRenewed(NOW + LEASE_S, HEALTHY)) == LookAtFence(to_open=True)


def test_a_group_that_is_closed_alone_is_looked_at_before_it_is_opened() -> None:
    closed = replace(WATCHES, fence=BY_GROUP_ALONE)
    assert ordered(closed, LeaseRenewed(NOW + LEASE_S, HEALTHY)) == LookAtFence(to_open=True)


def test_a_group_that_is_still_closed_gets_a_fence_by_sql_whose_lift_opens_both() -> None:
    state, orders = step(WATCHES, FenceSeen(BY_GROUP_ALONE, NOW, to_open=True))
    assert orders == (PutFenceUp("the security group is about to be opened", with_group=False),)
    assert state.fence == BY_GROUP_ALONE


def test_what_a_look_sees_is_kept() -> None:
    """Another run of the monitor has opened the group meanwhile: nobody looks again at the next renewal."""
    state, order = step(replace(WATCHES, fence=BY_GROUP_ALONE), FenceSeen(OPEN, NOW, to_open=True))
    assert (state.fence, order) == (OPEN, ())
    assert ordered(state, LeaseRenewed(NOW + LEASE_S, HEALTHY)) is None


def test_a_look_for_another_reason_changes_nothing_there() -> None:
    state, order = step(WATCHES, FenceSeen(BY_GROUP_ALONE, NOW))
    assert (state.fence, order) == (BY_GROUP_ALONE, ())


# --- the clock

ENDS = NOW + 8


@pytest.mark.parametrize(
    ("state", "now", "fences"),
    [
        (WATCHES, ENDS - FENCE_BEFORE_S, False),
        (WATCHES, ENDS - FENCE_BEFORE_S + 0.01, True),
        (replace(WATCHES, rests=True), ENDS, False),
        (replace(WATCHES, record=THERE), ENDS, False),
        (replace(WATCHES, lease_ends_at=NO_LEASE), ENDS, False),
        (replace(WATCHES, fence=CLOSED, sql_seen_at=ENDS, group_seen_at=ENDS), ENDS, False),
        (replace(WATCHES, fence=EMPTIED, restarted_at=NOW, group_seen_at=ENDS), ENDS, False),
        (replace(WATCHES, fence=BY_GROUP_ALONE, group_seen_at=ENDS), ENDS, True),
        (BEGINS, ENDS, False),
    ],
    ids=["in time", "late", "rests", "a standby", "without a lease", "closed", "emptied", "closed by group", "begins"],
)
def test_a_lease_that_ends_is_seen_by_the_clock_alone(state: GuardianState, now: float, fences: bool) -> None:
    why = "the lease ends and has not been renewed"
    expected = PutFenceUp(why, with_group=True, lease=state.lease_ends_at, lifted_at=0.0) if fences else None
    assert ordered(state, ClockSeen(now)) == expected
    assert after(state, ClockSeen(now)) == state


@pytest.mark.parametrize(
    ("state", "record", "lease"), [(BEGINS, None, NO_LEASE), (WATCHES, None, NOW + 8), (WATCHES, THERE, None)]
)
def test_p10_a_fence_says_which_lease_is_over_where_nothing_else_is_its_reason(
    state: GuardianState, record: ControlRecord | None, lease: float | None
) -> None:
    """Who has just started, and reads nothing, knows none: one that lives in the record is news to him (seed 22328)."""
    order = ordered(state, around(record, "unknown", now=NOW + 6))
    assert isinstance(order, PutFenceUp)
    assert order.lease == lease


def test_p10_the_clock_leaves_the_first_decision_of_a_run_to_its_first_tick() -> None:
    """The run before it may rest by a word, or take the grace, which the clock alone cannot know."""
    ended = replace(HERE, lease_expires_at=NOW - 5)
    begins = after(BEGINS, RecordRead(ended, NOW))
    assert ordered(begins, ClockSeen(NOW + 0.25)) is None
    assert isinstance(ordered(begins, around(ended, "unknown")), Renew)
    rests = after(begins, around(ended, "down"), WordGiven(NOW + REST_S))
    assert ordered(rests, ClockSeen(NOW + REST_S - FENCE_BEFORE_S)) is None
    assert isinstance(ordered(rests, ClockSeen(NOW + REST_S - FENCE_BEFORE_S + 0.1)), PutFenceUp)


def test_p1_a_first_tick_that_does_not_decide_in_time_is_not_waited_for() -> None:
    begins = after(BEGINS, RecordRead(replace(HERE, lease_expires_at=NOW - 5), NOW))
    assert ordered(begins, ClockSeen(NOW + FIRST_TICK_S)) is None
    assert isinstance(ordered(begins, ClockSeen(NOW + FIRST_TICK_S + 0.01)), PutFenceUp)


def test_p1_once_a_run_has_decided_its_clock_counts_at_once() -> None:
    decided = after(BEGINS, RecordRead(HERE, NOW), around(HERE, "down"))
    assert isinstance(ordered(decided, ClockSeen(ENDS)), PutFenceUp)
    assert isinstance(ordered(after(decided, RecordRead(HERE, ENDS)), ClockSeen(ENDS)), PutFenceUp)


# --- a fence that was seen, and who may have lifted it since


def test_p1_a_fence_that_stood_a_while_ago_lets_no_expired_lease_go() -> None:
    """Another guardian of the region may have renewed, lifted and died (8)."""
    closed = replace(WATCHES, fence=EMPTIED, restarted_at=NOW, group_seen_at=ENDS)
    assert ordered(closed, ClockSeen(ENDS + FENCE_AGAIN_S)) is None
    assert isinstance(ordered(closed, ClockSeen(ENDS + FENCE_AGAIN_S + 0.1)), PutFenceUp)
    late = around(None, "unknown", now=ENDS + FENCE_AGAIN_S + 0.1)
    assert isinstance(ordered(closed, late), PutFenceUp)


def test_a_fence_that_nobody_may_lift_is_not_looked_at_again() -> None:
    gone = after(replace(WATCHES, fence=UNSEEN), RecordRead(THERE, NOW), FenceSeen(BY_GROUP_ALONE, NOW))
    assert ordered(gone, around(THERE, "down", now=NOW + 3600)) is None


# --- the word


@pytest.mark.parametrize(("own", "says"), [("down", "down"), ("unknown", "unknown")])
def test_p10_a_guardian_that_cannot_renew_says_since_when_and_rests_until_its_word_ends(own: Own, says: Says) -> None:
    record = replace(HERE, word=Word("down", NOW - 60))
    word = Word(says, NOW - 60, rests_until=NOW + REST_S)
    state, orders = step(WATCHES, around(record, own))
    assert orders == (GiveWord(4, NOW + 8, word),)
    assert after(state, WordGiven(NOW + REST_S)).rests_until == NOW + 8
    assert after(state, WordGiven(NOW + 9)).rests_until == NOW + 9


def test_p10_within_the_grace_a_lease_is_renewed_in_the_dark_and_earns_no_lift() -> None:
    state, orders = step(replace(WATCHES, fence=CLOSED), around(HERE, "unknown"))
    assert orders == (Renew(4, NOW + LEASE_S, BEAT, Word("unknown", NOW)),)
    assert step(state, LeaseRenewed(NOW + LEASE_S, None))[1] == ()


def test_p1_a_word_ends_when_a_run_stops_or_moves_the_writer() -> None:
    rests = after(WATCHES, RecordRead(replace(HERE, word=Word("down", NOW, NOW + 7)), NOW))
    assert rests.word_ends_at == NOW + 7
    assert after(rests, RecordRead(moved(), NOW)).rests_until == NO_LEASE


# --- signs of life, and locks that end


@pytest.mark.parametrize(
    ("fence", "own", "says", "fenced"),
    [
        (OPEN, "writer", "up", False),
        (replace(OPEN, by_sql=True), "writer", "up", True),
        (BY_GROUP_ALONE, "writer", "up", False),
        (BY_GROUP_ALONE, "unknown", "unknown", False),
        (BY_GROUP_ALONE, "down", "down", False),
        (EMPTIED, "down", "down", True),
        (UNSEEN, "down", "down", False),
        (replace(BY_GROUP_ALONE, restarted=False), "down", "down", False),
    ],
)
def test_p1_the_guardian_of_a_writer_that_is_moved_signs_the_lock_in_every_tick(
    fence: FenceState, own: Own, says: Says, fenced: bool
) -> None:
    """Sessions that are in go on behind a group that is closed, unless the database was restarted."""
    state = after(WATCHES, FenceSeen(fence, NOW - 1))
    for record in (moved(), moved("switchover", "stopping", NOW + 60)):
        assert SignLife(record, WriterSign(NOW, says, fenced)) in step(state, around(record, own))[1]
    assert not any(isinstance(order, SignLife) for order in step(state, around(HERE, own))[1])
    assert not any(isinstance(order, SignLife) for order in step(state, around(THERE, own))[1])


def test_p10_a_move_that_asks_rds_for_nothing_loses_its_lock() -> None:
    late = NOW - 5 + END_MOVE_S + CLOCK_MARGIN_S + 0.1
    assert ordered(WATCHES, around(moved(), "writer", HEALTHY, now=late)) == EndMove("run-1")


def switching(requests: int, asked_at: float = NOW) -> ControlRecord:
    record = moved("switchover")
    assert record.transition
    return replace(record, transition=replace(record.transition, move_requests=requests, asked_at=asked_at))


def test_p10_a_switchover_loses_its_lock_when_rds_shows_nothing_and_no_request_is_on_its_way() -> None:
    state, orders = step(after(WATCHES, RecordRead(switching(1), NOW)), RecordRead(switching(1), NOW))
    assert LookAtRds("run-1", 1) in orders
    state = after(state, RdsSeen("run-1", 1, silent=True, now=NOW), RdsSeen("run-1", 1, silent=True, now=NOW + 58))
    state = replace(state, fence=CLOSED)
    enough = NOW + LATE_REQUEST_S + CLOCK_MARGIN_S
    assert ordered(state, around(switching(1), "writer", FENCED, now=enough - 1)) is None
    assert ordered(state, around(switching(1), "writer", FENCED, now=enough)) == EndSwitchover("run-1", 1)
    assert ordered(state, around(switching(2), "writer", FENCED, now=enough)) is None
    seen = after(state, RdsSeen("run-1", 1, silent=False, now=enough))
    assert ordered(seen, around(switching(1), "writer", FENCED, now=enough)) is None
    again = after(state, RdsSeen("run-1", 2, silent=True, now=enough))
    second = switching(2, asked_at=NOW + 30)
    assert ordered(again, around(second, "writer", FENCED, now=enough + 29)) is None
    assert ordered(again, around(second, "writer", FENCED, now=enough + 30)) == EndSwitchover("run-1", 2)


def test_p10_a_guardian_that_starts_late_need_not_see_the_whole_minute_of_silence() -> None:
    """A run of the monitor lives little longer than that minute: the next one would begin it anew."""
    begins = replace(after(BEGINS, RecordRead(switching(1), NOW + 70)), fence=CLOSED)
    begins = after(begins, RdsSeen("run-1", 1, silent=True, now=NOW + 70))
    assert ordered(begins, around(switching(1), "writer", FENCED, now=NOW + 70 + NO_SIGN_S - 0.1)) is None
    assert ordered(begins, around(switching(1), "writer", FENCED, now=NOW + 70 + NO_SIGN_S)) == EndSwitchover(
        "run-1", 1
    )


def test_p10_a_lock_that_ends_after_the_lease_leaves_the_fence_to_the_next_tick() -> None:
    """The clock would close the security group, which the tick opens again: on AWS that takes many seconds."""
    closed = after(replace(WATCHES, decides_by=None), RecordRead(switching(1), NOW))
    given_back = after(closed, RecordRead(replace(HERE, lease_expires_at=NOW - 5), NOW + 70))
    assert ordered(given_back, ClockSeen(NOW + 70.25)) is None
    assert isinstance(ordered(given_back, around(given_back.record, "writer", FENCED, now=NOW + 71)), Renew)
    assert isinstance(ordered(given_back, ClockSeen(NOW + 70 + FIRST_TICK_S + 0.01)), PutFenceUp)


def test_p10_a_lock_that_ends_with_the_fence_seen_leaves_it_to_the_next_tick_though_the_lease_is_about_to_end() -> None:
    stopped = after(replace(WATCHES, decides_by=None), RecordRead(moved(phase="stopping"), NOW))
    closed = after(stopped, FenceSeen(CLOSED, NOW + 1))
    given_back = after(closed, RecordRead(replace(HERE, lease_expires_at=NOW + 8), NOW + 7))
    assert ordered(given_back, ClockSeen(NOW + 7.25)) is None
    assert isinstance(ordered(given_back, ClockSeen(NOW + 7 + FIRST_TICK_S + 0.01)), PutFenceUp)


def test_p10_the_clock_does_not_close_while_the_first_renewal_after_a_lock_is_being_written() -> None:
    closed = after(replace(WATCHES, decides_by=None), RecordRead(switching(1), NOW))
    ended = replace(HERE, lease_expires_at=NOW - 5)
    writes = after(closed, RecordRead(ended, NOW + 70), around(ended, "writer", FENCED, now=NOW + 70.2))
    assert ordered(writes, ClockSeen(NOW + 70.25)) is None
    renewed = after(writes, LeaseRenewed(NOW + 80.2, FENCED))
    assert isinstance(ordered(renewed, ClockSeen(NOW + 80.2)), PutFenceUp)
    lost = after(writes, around(None, "writer", FENCED, now=NOW + 70.3))
    assert isinstance(ordered(lost, ClockSeen(NOW + 70.5)), PutFenceUp)


def test_p1_p10_a_lock_that_ends_before_the_lease_leaves_the_tick_what_a_fence_needs_not() -> None:
    """Seed 100129: the clock had a slow database restarted beside the renewal that was on its way."""
    closed = after(replace(WATCHES, decides_by=None), RecordRead(moved(phase="stopping"), NOW))
    given_back = after(closed, RecordRead(replace(HERE, lease_expires_at=NOW + 3.5), NOW + 0.5))
    fence_takes = FENCE_BEFORE_S - TICK_S
    assert ordered(given_back, ClockSeen(NOW + 0.75)) is None
    assert ordered(given_back, ClockSeen(NOW + 3.5 - fence_takes)) is None
    assert isinstance(ordered(given_back, ClockSeen(NOW + 3.5 - fence_takes + 0.01)), PutFenceUp)
    late = after(closed, RecordRead(replace(HERE, lease_expires_at=NOW + 1.4), NOW + 0.5))
    assert isinstance(ordered(late, ClockSeen(NOW + 0.5)), PutFenceUp)
