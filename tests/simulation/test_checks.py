"""Each check meets a history that keeps its promise, one that breaks it, and one near the limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from simulation.checks import CHECKS, violations
from simulation.checks.facts import (
    CLOSED_WITHIN_S,
    ENDED_WITHIN_S,
    LONGEST_LEASE_S,
    LOOKED_WITHIN_S,
)
from simulation.checks.gated import CLOCK_S, GRACE_S, LEASE_S, NO_SIGN_S, REST_S
from simulation.checks.harmless import (
    GIVEN_BACK_S,
    GIVEN_UP_S,
    NAME_FOLLOWS_S,
    OPEN_AGAIN_LATER_S,
    OPEN_AGAIN_S,
    OPEN_AGAIN_SLOWLY_S,
    REPAIRED_S,
    SWITCH_REPEATS_S,
    WELL_FOR_S,
)
from simulation.checks.honest import COMMAND_ENDS_WITHIN_S, LONGEST_HOOK_S, PROVED_WITHIN_S, TOLD_WITHIN_S
from simulation.checks.loss import OLDEST_BEAT_S, RPO_BUDGET_S
from simulation.checks.one_writer import LET_IN_WITHIN_S, LIMIT_LASTS_S, SIGNED_WITHIN_S
from simulation.checks.persistent import ENDS_WITHIN_S, KNOWN_WITHIN_S, MONITOR_AGAIN_S, MOVED_WITHIN_S, NEXT_ATTEMPT_S
from simulation.checks.way_back import ARMED_WITHIN_S, ROW_EVERY_S, STANDS_STILL_S
from simulation.faults import Fault
from simulation.happened import (
    Answers,
    Approved,
    Asked,
    CapacityAsked,
    Ended,
    Fact,
    FaultBegan,
    FaultEnded,
    Fenced,
    Fit,
    Guarded,
    History,
    HookBegan,
    HookEnd,
    Kept,
    Lifted,
    Means,
    Mute,
    NameLeadsTo,
    Promoted,
    RdsBegan,
    RdsEnded,
    Replicated,
    Retired,
    RoleChanged,
    RunEnded,
    RunStarted,
    SessionClosed,
    SessionOpened,
    SnapshotTaken,
    StartedOpen,
    StateEntered,
    Told,
    Whose,
    Works,
    Written,
)
from simulation.virtual_time import STARTS_AT

EAST, WEST = "us-east-1", "us-west-2"
RECORD = {"writer_region": EAST, "epoch": 2, "automatic_failover": True}
END_S = 400.0
LITTLE = 0.1


def lock(phase: str = "moving", requests: int = 1, run: str = "run-1", mode: str = "failover") -> dict[str, Any]:
    return {"run": run, "phase": phase, "move_requests": requests, "target_region": WEST, "mode": mode}


def held(**how: Any) -> dict[str, Any]:
    return RECORD | {"transition": lock(**how)}


def engaged(phase: str = "moving") -> dict[str, Any]:
    """The record with a lock for which the writer switches are to lead clients to its target."""
    return RECORD | {"transition": lock(phase) | {"dns_engaged": True}}


MOVED = RECORD | {"writer_region": WEST, "epoch": 3}
PROMOTED = RoleChanged(9.0, WEST, "writer")


def written(at: float, before: dict[str, Any], after: dict[str, Any], row: str = "take") -> Written:
    return Written(at, row, "somebody", before, after, True)


def session(
    number: int, region: str, start: float, end: float | None = None, whose: Whose = "application"
) -> list[Fact]:
    opened: list[Fact] = [SessionOpened(start, region, number, "a client", 2, whose)]
    return opened if end is None else [*opened, SessionClosed(end, region, number, "fenced")]


def fault(kind: str, where: str, start: float, end: float) -> list[Fact]:
    row = Fault(kind, where, start, end - start)
    return [FaultBegan(start, row), FaultEnded(end, row)]


def fails(means: Means, start: float, end: float, region: str = EAST) -> list[Fact]:
    return [Works(start, region, means, False), Works(end, region, means, True)]


def started(at: float, run: str = "run-1", region: str = WEST, **asked: Any) -> RunStarted:
    return RunStarted(at, run, region, "failover", asked)


def ended(record: dict[str, Any], **otherwise: Any) -> Ended:
    """The end of a history in which the record's writer serves everybody, but for what is ``otherwise``."""
    writer = record["writer_region"]
    serves = {"roles": {writer: "writer"}, "open_to": (writer,), "used": (writer,), "name_leads_to": writer}
    return Ended(END_S, record, **(serves | otherwise))


def broken(*facts: Fact | list[Fact], errors: tuple[str, ...] = ()) -> set[str]:
    """The promises that a history with these facts breaks.

    Where they do not say where the name leads, it follows the record. How the world stands at the end is judged where
    they say so.
    """
    happened: list[Fact] = []
    for fact in facts:
        happened += fact if isinstance(fact, list) else [fact]
    happened.sort(key=lambda one: one.at)
    writes = [one for one in happened if isinstance(one, Written)]
    if not any(isinstance(one, NameLeadsTo) for one in happened):
        happened += [NameLeadsTo(one.at + LITTLE, one.after["writer_region"]) for one in writes]
        happened.sort(key=lambda one: one.at)
    not_judged = set[str]()
    if not any(isinstance(one, Ended) for one in happened):
        happened.append(ended(dict(writes[-1].after) if writes else RECORD))
        not_judged.add("P10 served")
    return {one.promise for one in violations(History(1, (EAST, WEST), (), tuple(happened), errors))} - not_judged


def test_a_history_in_which_nothing_happens_breaks_nothing() -> None:
    assert broken(session(1, EAST, 0.0)) == set()


def test_a_region_of_which_nothing_is_told_is_checked_too() -> None:
    """The standby's switch works, as at first, and is to lead the name; the writer's does not."""
    assert "P10 name" in broken(fails("switch", 0.0, END_S), ENGAGED, NameLeadsTo(END_S, WEST))


def test_promises_have_names_of_their_own() -> None:
    assert len({check.promise for check in CHECKS}) == len(CHECKS)


# --- P1


@pytest.mark.parametrize(("opened", "breaks"), [(40.0 + LITTLE, False), (40.0, False), (40.0 - LITTLE, True)])
def test_one_writer(opened: float, breaks: bool) -> None:
    found = broken(session(1, EAST, 0.0, 40.0), session(2, WEST, opened))
    assert found == ({"P1 one writer"} if breaks else set())


NEAR_S = 40.0 - LIMIT_LASTS_S


@pytest.mark.parametrize(
    ("excuse", "breaks"),
    [
        ([*fails("sql", 5.0, NEAR_S + LITTLE), *fails("restart", 5.0, 20.0)], True),
        ([*fails("sql", 5.0, NEAR_S + LITTLE), *fails("restart", 5.0, NEAR_S + LITTLE)], False),
        ([*fails("sql", 5.0, NEAR_S - LITTLE), *fails("restart", 5.0, 40.0)], True),
        ([*fails("sql", 5.0, 40.0, WEST), *fails("restart", 5.0, 40.0, WEST)], True),
        (fails("sql", 5.0, 40.0), True),
        (fails("restart", 5.0, 40.0), True),
        ([Guarded(5.0, EAST, False), Guarded(NEAR_S + LITTLE, EAST, True)], False),
        ([Guarded(5.0, EAST, False), Guarded(NEAR_S - LITTLE, EAST, True)], True),
        ([Guarded(5.0, WEST, False)], True),
    ],
)
def test_one_writer_is_not_promised_without_a_guardian_that_can_fence(excuse: list[Fact], breaks: bool) -> None:
    found = broken(session(1, EAST, 0.0, 50.0), session(2, WEST, 40.0), excuse)
    assert found == ({"P1 one writer"} if breaks else set())


def test_a_group_behind_which_somebody_writes_is_no_fence() -> None:
    late = [
        Fenced(12.0, EAST, "group"),
        *fault("group change late", EAST, 3.0, 9.0),
        *fault("database full", EAST, 15.0, 30.0),
    ]
    inside, moved = session(1, EAST, 10.0, 31.0), [PROMOTED, Promoted(9.0, WEST, 8.0, False), *session(2, WEST, 22.0)]
    asked = [signed(20.0, fenced=True), Asked(21.0, "detach", WEST, "run-1", True), *moved]
    assert {"P1 sign is true", "P1 fenced first", "P1 one writer"} <= broken(*late, *inside, *asked)


OTHERS: tuple[Whose, ...] = ("owner", "second database", "somebody else's database")


@pytest.mark.parametrize("whose", OTHERS)
def test_one_writer_is_promised_of_every_session_that_a_fence_has_to_end(whose: Whose) -> None:
    assert broken(session(1, EAST, 0.0, 40.0, whose), session(2, WEST, 40.0)) == set()
    assert broken(session(1, EAST, 0.0, 40.0 + LITTLE, whose), session(2, WEST, 40.0)) == {"P1 one writer"}


def test_the_owner_may_write_behind_the_fence_that_stood_when_he_came_and_no_longer() -> None:
    moved = [PROMOTED, Promoted(9.0, WEST, 8.0, False), *session(2, WEST, 40.0, 50.0)]
    fence, behind = Fenced(8.0, EAST, "sql"), session(1, EAST, 8.0 + LITTLE, 60.0, "owner")
    assert broken(moved, fence, behind) == set()
    assert broken(moved, Fenced(4.0, EAST, "sql"), Lifted(5.0, EAST, "sql"), fence, behind) == set()
    assert "P1 one writer" in broken(moved, fence, session(1, EAST, 8.0 - LITTLE, 60.0, "owner"))
    assert "P1 one writer" in broken(moved, behind)
    assert "P1 one writer" in broken(moved, fence, session(1, EAST, 8.0 + LITTLE, 60.0, "second database"))
    for lifted, found in ((50.0 - LITTLE, True), (50.0 + LITTLE, False), (8.0, True)):
        assert ("P1 one writer" in broken(moved, fence, Lifted(lifted, EAST, "sql"), behind)) is found


def promoted(region: str, *, fenced: bool) -> list[Fact]:
    """The region's database becomes a writer at 9 s, with the fence of the old one or without any."""
    return [RoleChanged(9.0, region, "writer"), Promoted(9.0, region, 8.0, fenced)]


def test_the_fence_that_comes_with_a_promotion_is_one_as_any_other() -> None:
    writes, owner = session(1, EAST, 0.0, 20.0), session(2, WEST, 10.0, 30.0, "owner")
    assert broken(writes, owner, promoted(WEST, fenced=True)) == set()
    assert broken(writes, owner, promoted(WEST, fenced=False)) == {"P1 one writer"}
    earlier = Fenced(5.0, WEST, "sql")
    assert broken(writes, owner, earlier, promoted(WEST, fenced=False)) == {"P1 one writer"}, "that one is gone"


def starts(at: float) -> list[Fact]:
    return [RoleChanged(at - 5.0, EAST, "down"), RoleChanged(at, EAST, "writer")]


@pytest.mark.parametrize("whose", OTHERS[1:])
def test_a_server_that_starts_keeps_nobody_out_of_another_database_before_its_guardian_has_fenced(
    whose: Whose,
) -> None:
    moved = [PROMOTED, Promoted(9.0, WEST, 8.0, False), *session(2, WEST, 10.0)]
    in_time = session(1, EAST, 30.0, 30.0 + CLOSED_WITHIN_S, whose)
    assert broken(moved, in_time, starts(30.0)) == set()
    assert broken(moved, in_time) == {"P1 one writer"}
    assert broken(moved, in_time, starts(30.0 + LITTLE)) == {"P1 one writer"}
    too_long = session(1, EAST, 30.0, 30.0 + CLOSED_WITHIN_S + LITTLE, whose)
    assert broken(moved, too_long, starts(30.0)) == {"P1 one writer"}
    assert broken(moved, session(1, EAST, 30.0, 31.0), starts(30.0)) == {"P1 one writer"}
    assert broken(moved, too_long, starts(30.0), fails("sql", 29.0, 30.0 + LITTLE)) == set(), "since SQL ends sessions"


@pytest.mark.parametrize("lasts", [ENDED_WITHIN_S, ENDED_WITHIN_S + LITTLE])
def test_what_is_opened_behind_a_fence_in_somebody_elses_database_has_to_end_soon(lasts: float) -> None:
    moved = [PROMOTED, Promoted(9.0, WEST, 8.0, False), *session(2, WEST, 10.0)]
    behind = session(1, EAST, 30.0, 30.0 + lasts, OTHERS[2])
    assert broken(moved, behind, Fenced(8.0, EAST, "sql")) == ({"P1 one writer"} if lasts > ENDED_WITHIN_S else set())
    assert broken(moved, behind, Fenced(30.0 + LITTLE, EAST, "sql")) == {"P1 one writer"}
    assert broken(moved, session(1, EAST, 30.0, 31.0, OTHERS[1]), Fenced(8.0, EAST, "sql")) == {"P1 one writer"}


def test_who_comes_to_an_old_writer_without_a_guardian_late_is_within_the_limit_too() -> None:
    late = [*session(2, WEST, 41.0, 60.0), *session(3, EAST, 42.0, 45.0), Promoted(40.0, WEST, 39.0, False)]
    assert broken(late, Guarded(5.0, EAST, False)) == set()
    assert broken(late, Guarded(5.0, WEST, False)) == {"P1 one writer"}


@pytest.mark.parametrize(
    ("ended", "breaks"), [(30.0 + CLOSED_WITHIN_S, False), (30.0 + CLOSED_WITHIN_S + LITTLE, True)]
)
def test_before_postgresql_17_an_old_writer_that_starts_is_closed_by_its_guardian(ended: float, breaks: bool) -> None:
    promoted = Promoted(9.0, WEST, 8.0, False)
    moved: list[Fact] = [PROMOTED, promoted, written(10.0, held(), MOVED), *session(2, WEST, 11.0)]
    opens: list[Fact] = [StartedOpen(30.0, EAST), *session(1, EAST, 30.0, ended)]
    assert broken(*moved, opens) == ({"P1 one writer", "P1 closed"} if breaks else set())
    assert "P1 one writer" in broken(*moved, StartedOpen(30.0, WEST), opens[1:])
    assert "P1 one writer" not in broken(*moved, opens, fails("sql", 29.0, 30.0 + LITTLE)), "since SQL ends sessions"


def test_an_open_start_excuses_a_request_that_comes_soon_after_and_no_other() -> None:
    asks = written(10.0, RECORD, held()), session(1, EAST, 12.0, 15.0), StartedOpen(12.0, EAST)
    assert broken(*asks, Asked(12.5, "detach", WEST, "run-1", True)) == set()
    assert broken(*asks[:2], Asked(12.5, "detach", WEST, "run-1", True)) == {"P1 fenced first"}


@pytest.mark.parametrize(
    ("excuse", "breaks"),
    [
        ([], True),
        ([Guarded(15.0, EAST, False)], False),
        ([Guarded(15.0, EAST, False), Guarded(40.0 - CLOSED_WITHIN_S - LITTLE, EAST, True)], True),
        ([Guarded(15.0, EAST, False), Guarded(40.0 - CLOSED_WITHIN_S + LITTLE, EAST, True)], False),
        (fault("prober away", EAST, 15.0, 39.0), False),
        (fault("hook hangs", WEST, 15.0, 39.0), True),
    ],
)
def test_nobody_goes_on_writing_where_the_record_has_no_open_writer(excuse: list[Fact], breaks: bool) -> None:
    found = broken(PROMOTED, written(10.0, held(), MOVED), session(1, EAST, 0.0, 40.0), excuse)
    assert found == ({"P1 closed"} if breaks else set())


def test_a_lock_is_not_given_back_while_rds_is_at_work() -> None:
    taken = [Asked(20.0, "detach", WEST, "run-1", True), RdsBegan(21.0, "detach", WEST)]
    before = [written(10.0, RECORD, held()), *taken, RdsEnded(30.0, "switchover", WEST, "cancelled")]
    assert broken(*before, written(30.0 + LITTLE, held(), RECORD, "end_move")) == set()
    assert broken(*before, written(30.0 - LITTLE, held(), RECORD, "end_move")) == {"P1 only forward"}
    assert broken(*before, written(25.0, held(), held(phase="checking", requests=0))) == {"P1 only forward"}
    assert broken(*before, written(25.0, held(), held(requests=2))) == set()
    assert broken(*before, PROMOTED, written(25.0, held(), MOVED, "commit_failover")) == set()


def test_nor_once_rds_has_moved_the_writer_until_the_record_says_so() -> None:
    moved = [written(10.0, RECORD, held()), RdsBegan(21.0, "detach", WEST), RdsEnded(30.0, "detach", WEST, "done")]
    assert broken(*moved, written(40.0, held(), held(phase="checking", requests=0))) == {"P1 only forward"}
    commits = written(50.0, held(), MOVED)
    assert broken(*moved, PROMOTED, RoleChanged(45.0, WEST, "writer"), commits, written(60.0, MOVED, MOVED)) == set()


def test_a_request_that_rds_has_taken_and_not_begun_keeps_the_lock_too() -> None:
    facts = [written(10.0, RECORD, held()), Asked(20.0, "detach", WEST, "run-1", True)]
    assert broken(*facts, written(25.0, held(), RECORD)) == {"P1 only forward"}


@pytest.mark.parametrize(("left_s", "breaks"), [(-LITTLE, False), (LITTLE, True), (LONGEST_LEASE_S + LITTLE, False)])
def test_a_lease_that_lives_vetoes_a_failover(left_s: float, breaks: bool) -> None:
    lease = {"lease_expires_at": STARTS_AT + 20.0 + left_s}
    begun = written(20.0, held(phase="checking", requests=0) | lease, held(requests=0) | lease, "begin_move")
    given_back = written(30.0, held(requests=0) | lease, RECORD)
    assert broken(begun, given_back) == ({"P1 lease vetoes"} if breaks else set())
    switched = written(20.0, held(phase="stopping", requests=0), held(requests=0, mode="switchover") | lease)
    assert broken(switched, given_back) == set()


@pytest.mark.parametrize(
    ("record", "breaks"),
    [
        (RECORD, False),
        (held(phase="checking"), False),
        (held(phase="stopping"), True),
        (held(), True),
        (held(requests=0) | {"transition": lock() | {"target_region": EAST}}, False),
    ],
)
def test_applications_are_let_in_where_the_writer_is(record: dict[str, Any], breaks: bool) -> None:
    begins = [PROMOTED, written(20.0, RECORD, record)]
    lifts = Lifted(20.0 + LET_IN_WITHIN_S + LITTLE, EAST, "sql")
    assert broken(*begins, lifts) == ({"P1 let in"} if breaks else set())
    assert broken(*begins, Lifted(lifts.at, EAST, "group")) == set()
    in_time = Lifted(20.0 + LET_IN_WITHIN_S - LITTLE, EAST, "sql")
    assert broken(*begins, in_time) == set()


@pytest.mark.parametrize(
    ("excuse", "breaks"),
    [
        ([], True),
        ([Guarded(5.0, EAST, False)], False),
        ([*fails("sql", 5.0, 30.0), *fails("restart", 5.0, 30.0)], False),
        (fails("sql", 5.0, 30.0), True),
    ],
)
def test_rds_is_asked_when_no_application_writes_to_the_old_writer(excuse: list[Fact], breaks: bool) -> None:
    asked = [written(10.0, RECORD, held()), Asked(20.0, "detach", WEST, "run-1", True)]
    assert broken(*asked, session(1, EAST, 0.0, 20.0 + LITTLE), excuse) == ({"P1 fenced first"} if breaks else set())
    assert broken(*asked, session(1, EAST, 0.0, 20.0 - LITTLE)) == set()
    assert broken(*asked, session(1, WEST, 0.0)) == set()
    assert broken(asked[0], Asked(20.0, "detach", WEST, "run-1", False), session(1, EAST, 0.0, 25.0)) == set()


def signed(at: float, *, fenced: bool) -> Written:
    sign = {"at": STARTS_AT + at, "says": "up", "fenced": fenced}
    return written(at, held(requests=0), RECORD | {"transition": lock(requests=0) | {"writer_sign": sign}})


@pytest.mark.parametrize(
    ("before", "breaks"),
    [
        ([], True),
        ([Fenced(19.0, EAST, "sql")], False),
        ([Fenced(19.0, EAST, "group"), *session(1, EAST, 5.0, 25.0)], True),
        ([Fenced(19.0, EAST, "group"), *session(1, EAST, 5.0, 19.5), *session(2, WEST, 5.0)], False),
        ([Fenced(19.0, WEST, "sql")], True),
        ([Fenced(10.0, EAST, "sql"), Lifted(20.0 - SIGNED_WITHIN_S - LITTLE, EAST, "sql")], True),
        ([Fenced(10.0, EAST, "sql"), Lifted(20.0 - SIGNED_WITHIN_S + LITTLE, EAST, "sql")], False),
        ([RoleChanged(18.0, EAST, "down")], False),
        ([RoleChanged(5.0, EAST, "reader"), *promoted(EAST, fenced=True)], False),
        ([Fenced(4.0, EAST, "sql"), RoleChanged(5.0, EAST, "reader"), *promoted(EAST, fenced=False)], True),
    ],
)
def test_a_guardian_that_signs_that_it_has_fenced_has(before: list[Fact], breaks: bool) -> None:
    assert ("P1 sign is true" in broken(before, signed(20.0, fenced=True))) == breaks
    assert "P1 sign is true" not in broken(before, signed(20.0, fenced=False))


def test_before_17_a_server_may_start_open_behind_a_guardian_that_had_it_restarted() -> None:
    """Its security group was to be closed by then; RDS closes it later, or the guardian does, once SQL works."""
    until = 19.0 + CLOSED_WITHIN_S
    for at, breaks in ((until - LITTLE, False), (until + LITTLE, True)):
        opens = [RoleChanged(5.0, EAST, "down"), RoleChanged(19.0, EAST, "writer"), StartedOpen(19.0, EAST)]
        assert ("P1 sign is true" in broken(opens, signed(at, fenced=True))) == breaks


# --- P2


def test_an_epoch_moves_the_writer_once() -> None:
    assert broken(PROMOTED, written(10.0, held(), MOVED)) == set()
    assert broken(PROMOTED, written(10.0, held(), RECORD | {"writer_region": WEST})) == {"P2 one move"}
    assert broken(written(10.0, held(), RECORD | {"epoch": 3})) == {"P2 one move"}


def test_rds_moves_the_writer_once_in_an_epoch() -> None:
    noted = written(5.0, RECORD, held())
    first, again = RdsEnded(10.0, "detach", WEST, "done"), RdsEnded(50.0, "detach", EAST, "done")
    assert broken(noted, first, again) == {"P2 one move"}
    assert broken(noted, PROMOTED, first, written(20.0, held(), MOVED), again) == set()
    assert broken(noted, first, RdsEnded(50.0, "switchover", EAST, "cancelled")) == set()


@pytest.mark.parametrize(
    ("record", "accepted", "breaks"),
    [
        (held(), True, False),
        (held(requests=0), True, True),
        (held(phase="checking"), True, True),
        (RECORD, True, True),
        (RECORD, False, False),
    ],
)
def test_rds_is_asked_under_a_lock_that_says_so(record: dict[str, Any], accepted: bool, breaks: bool) -> None:
    facts = [written(10.0, RECORD, record), Asked(20.0, "detach", WEST, "run-1", accepted)]
    assert ("P2 one run" in broken(*facts)) == breaks


# --- P7


def recovered(at: float, **output: Any) -> RunEnded:
    found = {"outcome": "recovered", "old_writer_region": EAST, "rpo_at_most_ms": None} | output
    return RunEnded(at, "run-1", "SUCCEEDED", found, None)


@pytest.mark.parametrize(("bound_ms", "breaks"), [(None, False), (2001.0, False), (2000.0, False), (1999.0, True)])
def test_no_more_is_lost_than_the_record_says(bound_ms: float | None, breaks: bool) -> None:
    promoted, says = Promoted(40.0, WEST, 18.0, True), recovered(60.0, rpo_at_most_ms=bound_ms)
    assert broken(session(1, EAST, 0.0, 20.0), promoted, says) == ({"P7 loss bounded"} if breaks else set())


def declared() -> list[Fact]:
    """A run that ends as recovered, and everything that is true then."""
    return [
        started(10.0),
        written(44.0, held(), engaged(), "engage_dns"),
        RoleChanged(45.0, WEST, "writer"),
        NameLeadsTo(48.0, WEST),
        written(50.0, engaged(), MOVED, "commit_failover"),
        StateEntered(55.0, "run-1", "OutcomeRecovered", "VerifyRecovery", "Next"),
        RunEnded(56.0, "run-1", "SUCCEEDED", None, None),
    ]


def test_a_run_that_has_recovered_is_right() -> None:
    assert broken(*declared()) == set()


def declared_without(missing: type[Fact]) -> list[Fact]:
    """As `declared`, without the commit, the promotion, or what the name did."""
    gone = [one for one in declared() if isinstance(one, missing) and getattr(one, "row", "") != "engage_dns"]
    return [one for one in declared() if one not in gone]


@pytest.mark.parametrize(("missing", "also"), [(Written, set()), (RoleChanged, {"P7 committed"})])
def test_record_and_database_have_to_agree(missing: type[Fact], also: set[str]) -> None:
    assert broken(*declared_without(missing)) == {"P7 recovered"} | also


def test_so_has_the_name_and_what_changes_after_the_proof_says_nothing_of_it() -> None:
    follows = NameLeadsTo(44.0 + NAME_FOLLOWS_S, WEST)
    assert broken(*declared(), NameLeadsTo(54.0, EAST), follows) == set()
    gone = declared_without(NameLeadsTo)
    assert broken(*gone, NameLeadsTo(44.0 + LITTLE, WEST), NameLeadsTo(44.0 + 2 * LITTLE, EAST), follows) == {
        "P7 recovered"
    }


def test_who_becomes_the_writer_of_the_record_has_become_one() -> None:
    begins, commits = written(9.0, RECORD, held()), written(30.0, held(), MOVED, "commit_failover")
    assert broken(begins, RoleChanged(29.0, WEST, "writer"), commits) == set()
    assert broken(begins, commits) == {"P7 committed"}
    gone = RoleChanged(30.0 - PROVED_WITHIN_S + LITTLE, WEST, "down")
    assert broken(begins, PROMOTED, gone, commits) == set()
    earlier = RoleChanged(gone.at - 2 * LITTLE, WEST, "down")
    assert broken(begins, PROMOTED, earlier, commits) == {"P7 committed"}
    for where, breaks in ((WEST, set()), (EAST, {"P7 committed"})):
        dead = fault("region dead", where, earlier.at, 29.0)
        assert broken(begins, PROMOTED, earlier, commits, dead) == breaks, "a run that stands still forgets nothing"


def badly(at: float, status: Any = "ABORTED", error: str | None = None) -> list[Fact]:
    return [started(10.0), RunEnded(at, "run-1", status, None, error)]


def test_people_are_told_of_a_run_that_ends_badly() -> None:
    told = Told(60.0 + TOLD_WITHIN_S - LITTLE, WEST, "stopped", "Run run-1 has ended")
    assert broken(badly(60.0), told) == set()
    assert broken(badly(60.0, "FAILED", "NeedsPerson")) == {"P7 people told"}
    assert broken(badly(60.0)) == {"P7 people told"}
    assert broken(badly(60.0), Told(61.0, WEST, "stopped", "Run run-2 has ended")) == {"P7 people told"}
    reprotects = RunStarted(10.0, "run-1", WEST, "reprotect", {})
    assert broken(reprotects, RunEnded(60.0, "run-1", "FAILED", None, "NeedsPerson")) == {"P7 people told"}
    assert broken(badly(60.0), Told(60.0 + TOLD_WITHIN_S + LITTLE, WEST, "", "run-1")) == {"P7 people told"}
    assert broken(badly(60.0), fault("throttled", WEST, 59.0, 70.0)) == set()
    assert broken(badly(60.0), fault("throttled", EAST, 59.0, 70.0)) == {"P7 people told"}
    assert broken(badly(60.0), fault("database down", WEST, 59.0, 70.0)) == {"P7 people told"}


def test_the_command_of_a_message_ends() -> None:
    latest = END_S - COMMAND_ENDS_WITHIN_S
    assert broken(started(latest, "ada-obeys")) == set()
    assert broken(started(latest - LITTLE, "ada-obeys")) == {"P7 command works"}
    assert broken(started(latest - LITTLE, "another")) == set()
    assert broken(started(latest - LITTLE, "ada-obeys"), fault("rds busy", WEST, END_S - 1.0, END_S)) == set()
    question = Told(END_S - 1.0, WEST, "FAILOVER WAITS FOR APPROVAL: writes may be lost", "Run ada-obeys waits")
    assert broken(started(latest - LITTLE, "ada-obeys"), question) == set()
    assert broken(RunStarted(latest - LITTLE, "ada-obeys", EAST, "reprotect", {})) == set()


def test_the_command_of_a_message_ends_well_in_a_repaired_world() -> None:
    def obeys(status: Any, error: str | None = None) -> list[Fact]:
        told = Told(121.0, WEST, "", "run ada-obeys")
        person = fault("person obeys", "", 99.0, 100.0 + LITTLE)
        return [*person, started(100.0, "ada-obeys"), RunEnded(120.0, "ada-obeys", status, None, error), told]

    assert broken(obeys("SUCCEEDED")) == set()
    assert broken(obeys("FAILED", "NeedsPerson")) == {"P7 command works"}
    mine, theirs = ({"transition": lock() | {"run": run}} for run in ("ada-obeys", "break-glass-1"))
    took_over = written(110.0, RECORD | mine, RECORD | theirs)
    assert "P7 command works" not in broken(obeys("FAILED", "NeedsPerson"), took_over)
    assert broken(obeys("FAILED", "Aborted"), fault("rds busy", WEST, 90.0, 100.0 - LITTLE)) == {"P7 command works"}
    assert broken(obeys("FAILED", "Aborted"), fault("rds busy", WEST, 90.0, 100.0 + LITTLE)) == set()


# --- P9

DEAD = RoleChanged(20.0, EAST, "down")


def attempts(*times: float, last: float = 5.0) -> list[Fact]:
    return [
        fact
        for number, at in enumerate(times)
        for fact in (started(at, f"run-{number}"), RunEnded(at + last, f"run-{number}", "SUCCEEDED", None, None))
    ]


EVERY_MINUTE = [25.0 + 60 * minute for minute in range(7)]


@pytest.mark.parametrize("how", ["fails", "hangs"])
def test_people_are_told_of_a_hook_that_does_not_work(how: HookEnd) -> None:
    begins, until = HookBegan(50.0, WEST, "scale", how), 50.0 + LONGEST_HOOK_S + TOLD_WITHIN_S
    assert broken(HookBegan(50.0, WEST, "scale", "works")) == set()
    assert broken(begins) == {"P7 hook told"}
    assert broken(begins, Told(until, WEST, "REQUIRED HOOK FAILED after WriterMoved: scale", "")) == set()
    assert broken(begins, Told(until + LITTLE, WEST, "HOOK FAILED after WriterMoved: scale", "")) == {"P7 hook told"}
    assert broken(begins, Told(60.0, WEST, "HOOK FAILED after WriterMoved: ticket", "")) == {"P7 hook told"}
    assert broken(begins, fault("throttled", WEST, 60.0, 70.0)) == set()


# --- P9: what is beside a run


def moves_and_ends(lasts: float) -> list[Fact]:
    moved = [PROMOTED, written(10.0, held(), MOVED)]
    return [started(5.0), *moved, RunEnded(10.0 + lasts, "run-1", "SUCCEEDED", None, None)]


def test_a_run_that_has_moved_the_writer_is_held_up_by_nothing_beside_it() -> None:
    assert broken(*moves_and_ends(ENDS_WITHIN_S)) == set()
    assert broken(*moves_and_ends(ENDS_WITHIN_S + LITTLE)) == {"P9 not held up"}
    for beside in ("hook hangs", "hook fails", "capacity refused", "capacity takes", "starts open"):
        held_up = fault(beside, WEST, 20.0, 20.0 + ENDS_WITHIN_S)
        assert broken(*moves_and_ends(ENDS_WITHIN_S + LITTLE), held_up) == {"P9 not held up"}
    lost, longest = fault("region dead", WEST, 20.0, 21.0), 11.0 + ENDS_WITHIN_S + MONITOR_AGAIN_S
    assert broken(*moves_and_ends(longest), lost) == set(), "until there is a monitor again"
    assert broken(*moves_and_ends(longest + LITTLE), lost) == {"P9 not held up"}


def test_rds_is_asked_for_capacity_of_the_writer_only() -> None:
    moved = [PROMOTED, written(10.0, held(), MOVED)]
    assert broken(*moved, CapacityAsked(10.0 + LITTLE, WEST, True)) == set()
    assert broken(*moved, CapacityAsked(20.0, EAST, True)) == {"P9 capacity"}
    assert broken(CapacityAsked(20.0, WEST, False)) == {"P9 capacity"}
    assert broken(*moved, RoleChanged(15.0, WEST, "reader"), CapacityAsked(20.0, WEST, True)) == {"P9 capacity"}


@pytest.mark.parametrize(("after", "breaks"), [(KNOWN_WITHIN_S - LITTLE, False), (KNOWN_WITHIN_S, True)])
def test_rds_is_not_asked_for_capacity_while_a_run_has_the_lock(after: float, breaks: bool) -> None:
    taken = MOVED | {"transition": lock(phase="checking", requests=0, run="run-2")}
    moved = [PROMOTED, written(10.0, held(), MOVED), written(20.0, MOVED, taken), written(30.0, taken, MOVED)]
    assert broken(*moved, CapacityAsked(20.0 + after, WEST, True)) == ({"P9 capacity"} if breaks else set())
    assert broken(*moved, CapacityAsked(30.0, WEST, True)) == set()


def no_attempt_comes(*facts: Fact | list[Fact]) -> bool:
    """Whether that is what the history breaks, whatever else."""
    return "P9 next attempt" in broken(*facts)


def test_another_attempt_always_comes_while_the_writer_is_dead() -> None:
    assert not no_attempt_comes(DEAD, attempts(*EVERY_MINUTE))
    assert no_attempt_comes(DEAD, attempts())
    assert no_attempt_comes(DEAD, attempts(*EVERY_MINUTE[:3]))
    near = 20.0 + NEXT_ATTEMPT_S
    assert not no_attempt_comes(DEAD, attempts(near - LITTLE, last=END_S))
    assert no_attempt_comes(DEAD, attempts(near + LITTLE, last=END_S))


@pytest.mark.parametrize(
    "excuse",
    [
        written(21.0, RECORD, RECORD | {"automatic_failover": False}),
        written(21.0, RECORD, RECORD | {"ended_by_person": {"by": "ada"}}),
        written(21.0, RECORD, RECORD | {"paused": {"until": STARTS_AT + END_S}}),
        written(21.0, RECORD, RECORD | {"lease_expires_at": STARTS_AT + END_S}),
        written(21.0, RECORD, RECORD | {"protected": False}),
        written(21.0, held(), MOVED),
        written(21.0, RECORD, held(run="break-glass-1")),
    ],
    ids=["turned off", "a person's no", "paused", "a lease of a wrong clock", "no standby", "moved", "held outside"],
)
def test_no_attempt_is_promised_then(excuse: Fact) -> None:
    assert broken(PROMOTED, DEAD, excuse) == set()


def test_what_fails_in_the_dead_writers_region_excuses_nothing_and_elsewhere_it_does() -> None:
    assert no_attempt_comes(DEAD, fault("throttled", EAST, 20.0, END_S))
    assert not no_attempt_comes(DEAD, fault("throttled", WEST, 20.0, END_S))
    near = END_S - NEXT_ATTEMPT_S - MONITOR_AGAIN_S
    assert not no_attempt_comes(DEAD, fault("throttled", WEST, 20.0, near + LITTLE))
    assert no_attempt_comes(DEAD, fault("throttled", WEST, 20.0, near - LITTLE))


TRIES = attempts(*EVERY_MINUTE)


def beats(at: float, until: float) -> list[Fact]:
    """The record's last heartbeat is of that moment, and what the writer committed until another one is in the standby.

    Both moments are written down when the writer dies.
    """
    record = RECORD | {"heartbeat": {"seq": 1, "at": STARTS_AT + at}}
    return [written(0.0, record, record), Replicated(20.0, WEST, until)]


def asks(at: float, run: str, answered: float = END_S) -> list[Fact]:
    """A run asks whether writes may be lost, and ends when it is answered."""
    question = Told(at, WEST, "FAILOVER WAITS FOR APPROVAL: writes may be lost", f"Run {run} would make it the writer")
    return [started(at - 1.0, run), question, RunEnded(answered, run, "SUCCEEDED", {"outcome": "refused"}, None)]


def test_a_dead_writer_is_moved() -> None:
    assert broken(DEAD, TRIES) == {"P9 moved"}
    assert broken(PROMOTED, DEAD, TRIES, written(20.0 + MOVED_WITHIN_S, held(), MOVED)) == set()
    assert broken(PROMOTED, DEAD, TRIES, written(20.0 + MOVED_WITHIN_S + LITTLE, held(), MOVED)) == {"P9 moved"}


def test_a_writer_that_answers_nobody_is_as_good_as_dead() -> None:
    mute = Mute(20.0, EAST, True)
    assert broken(mute) == {"P9 next attempt", "P9 moved"}
    assert broken(mute, TRIES) == {"P9 moved"}
    assert broken(mute, TRIES, Mute(20.0 + MOVED_WITHIN_S, EAST, False)) == set()
    assert broken(Mute(20.0, WEST, True)) == set()


def test_an_outage_is_one_while_its_reason_changes() -> None:
    back, half = RoleChanged(30.0 + MOVED_WITHIN_S, EAST, "writer"), Mute(30.0, EAST, True)
    assert broken(DEAD, TRIES, half, Mute(40.0, EAST, False), back) == {"P9 moved"}
    assert broken(Mute(20.0, EAST, True), RoleChanged(30.0, EAST, "down"), TRIES, Mute(40.0, EAST, False), back) == {
        "P9 moved"
    }


def test_no_message_but_a_question_about_loss_takes_the_place_of_a_move() -> None:
    for subject in ("Failover refused: nothing was changed", "FAILOVER STOPPED HALF WAY: a person is needed"):
        assert broken(DEAD, TRIES, Told(30.0, WEST, subject, "run-0")) == {"P9 moved"}
    assert broken(DEAD, TRIES, asks(30.0, "run-asks")) == set()


def test_a_question_counts_as_long_as_its_run_waits() -> None:
    latest = 20.0 + MOVED_WITHIN_S
    assert broken(DEAD, TRIES, asks(latest, "run-asks")) == set()
    assert broken(DEAD, TRIES, asks(latest + LITTLE, "run-asks")) == {"P9 moved"}
    left = END_S - MOVED_WITHIN_S
    assert broken(DEAD, TRIES, asks(30.0, "run-asks", answered=left)) == set()
    assert broken(DEAD, TRIES, asks(30.0, "run-asks", answered=left - LITTLE)) == {"P9 moved"}


@pytest.mark.parametrize(
    ("beat", "until", "breaks"),
    [
        (19.0, 19.0 - RPO_BUDGET_S, True),
        (19.0, 19.0 - RPO_BUDGET_S - LITTLE, False),
        (30.0 - OLDEST_BEAT_S, 19.9, True),
        (30.0 - OLDEST_BEAT_S - LITTLE, 19.9, False),
    ],
    ids=["little is lost", "more than the budget", "the beat is old", "it is too old to say anything"],
)
def test_people_are_not_asked_about_a_loss_inside_the_budget(beat: float, until: float, breaks: bool) -> None:
    assert broken(DEAD, TRIES, beats(beat, until), asks(30.0, "run-asks")) == ({"P9 moved"} if breaks else set())


@pytest.mark.parametrize(("missing", "breaks"), [(1, True), (2, False)])
def test_of_more_than_one_heartbeat_that_is_missing_people_may_be_asked(missing: int, breaks: bool) -> None:
    """Seed 5195: two guardians wrote one each, in half a second."""
    there = RECORD | {"heartbeat": {"seq": 1, "at": STARTS_AT + 18.0}}
    last = RECORD | {"heartbeat": {"seq": 1 + missing, "at": STARTS_AT + 19.0}}
    happened = [written(18.0, there, there), written(19.0, there, last), Replicated(20.0, WEST, 18.5)]
    assert broken(DEAD, TRIES, happened, asks(30.0, "run-asks")) == ({"P9 moved"} if breaks else set())


def test_what_fails_elsewhere_may_keep_a_run_from_knowing_the_loss() -> None:
    little_is_lost, question = beats(19.0, 19.0), asks(50.0, "run-asks")
    looked = 50.0 - LOOKED_WITHIN_S
    assert broken(DEAD, TRIES, little_is_lost, question, fault("prober away", WEST, 30.0, looked + LITTLE)) == set()
    assert broken(DEAD, TRIES, little_is_lost, question, fault("prober away", WEST, 30.0, looked)) == {"P9 moved"}
    assert broken(DEAD, TRIES, little_is_lost, question, fault("throttled", EAST, 30.0, 50.0)) == {"P9 moved"}


@pytest.mark.parametrize(("asked", "breaks"), [({"automatic": True}, False), ({}, True)])
def test_a_move_of_its_own_rests_automation(asked: dict[str, Any], breaks: bool) -> None:
    """The other way round: the writer has come to EAST by a run that nobody, or somebody, had started."""
    before = RECORD | {"writer_region": WEST, "epoch": 1, "transition": lock(run="earlier")}
    begun = [RunStarted(1.0, "earlier", EAST, "failover", asked), RoleChanged(4.0, EAST, "writer")]
    ended = RunEnded(6.0, "earlier", "SUCCEEDED", None, None)
    assert broken(*begun, written(5.0, before, RECORD), ended, DEAD, TRIES) == ({"P9 moved"} if breaks else set())


# --- P5


@pytest.mark.parametrize(
    ("word", "breaks"),
    [
        ({}, False),
        ({"automatic_failover": False}, True),
        ({"ended_by_person": {"by": "ada"}}, True),
        ({"paused": {"until": STARTS_AT + 20.0 + LITTLE}}, True),
        ({"paused": {"until": STARTS_AT + 20.0 - LITTLE}}, False),
    ],
)
def test_nothing_begins_by_itself_against_a_persons_no(word: dict[str, Any], breaks: bool) -> None:
    before = RECORD | word
    takes = written(20.0, before, before | {"transition": lock("checking", 0)})
    by_itself = started(19.0, automatic=True)
    assert broken(by_itself, takes) == ({"P5 person's no"} if breaks else set())
    assert broken(started(19.0), takes) == set()


def test_what_rds_was_asked_for_is_finished_in_spite_of_a_no() -> None:
    before = held(run="run-0") | {"automatic_failover": False}
    takes_over = written(20.0, before, before | {"transition": lock()})
    by_itself = started(19.0, automatic=True)
    assert broken(by_itself, takes_over) == set()


def test_no_run_moves_the_writer_by_itself_in_a_maintenance() -> None:
    by_itself = started(19.0, automatic=True, accept_data_loss=True)
    for until, maintenance, breaks in ((LITTLE, True, True), (-LITTLE, True, False), (LITTLE, False, False)):
        paused = {"paused": {"by": "ada", "until": STARTS_AT + 20.0 + until, "maintenance": maintenance}}
        asks = written(20.0, held(requests=0) | paused, held() | paused, "begin_request")
        assert broken(by_itself, asks) == ({"P5 maintenance"} if breaks else set())
        assert broken(started(19.0, accept_data_loss=True), asks) == set()
        assert broken(by_itself, written(20.0, held(run="run-0") | paused, held() | paused, "take_over")) == set()


COMMITS = written(30.0, held(phase="checking", requests=0), held(requests=0), "begin_move")


@pytest.mark.parametrize(
    ("seen", "breaks"),
    [
        ([], True),
        ([Answers(19.0, EAST, False)], False),
        ([Answers(10.0, EAST, False), Answers(20.0 - LITTLE, EAST, True)], True),
        ([Answers(10.0, EAST, False), Answers(20.0 + LITTLE, EAST, True)], False),
        ([Answers(30.0 - LITTLE, EAST, False)], False),
        ([Fenced(29.0, EAST, "sql")], False),
        ([Fenced(10.0, EAST, "sql"), Lifted(19.0, EAST, "sql")], True),
        ([Fenced(10.0, EAST, "group")], True),
        ([RoleChanged(25.0, EAST, "down"), RoleChanged(26.0, EAST, "writer")], False),
        ([Answers(10.0, WEST, False), Fenced(10.0, WEST, "sql")], True),
    ],
    ids=[
        "well all the time",
        "does not answer",
        "well again when the run begins",
        "well again a little later",
        "well until a little before the end",
        "fenced in time",
        "open again",
        "no observer sees a group",
        "restarts",
        "what is in the standby's region is not the writer",
    ],
)
def test_no_run_moves_by_itself_a_writer_that_is_well_whenever_it_looks(seen: list[Fact], breaks: bool) -> None:
    by_itself = started(20.0, automatic=True)
    assert broken(by_itself, *seen, COMMITS) == ({"P5 two observers"} if breaks else set())
    assert broken(started(20.0), *seen, COMMITS) == set()


def gives_word(*, last: float, since: float, phase: str = "checking", sign: float | None = None) -> list[Fact]:
    """A guardian gives its word every two seconds from 18 s on, ``last`` at that moment; the run commits at 30 s.

    ``since``: since when its database is down, as it says; ``sign``: when it says that it gave the last word.
    """
    facts: list[Fact] = []
    before = RECORD | {"transition": lock(phase, 0)}
    for at in (18.0, 20.0, 22.0, 24.0, last):
        signed = STARTS_AT + (sign if at == last and sign is not None else at)
        word = {"says": "down", "since": STARTS_AT + since, "rests_until": signed + REST_S}
        facts.append(written(at, before, before | {"word": word}, "give_word"))
        before = before | {"word": word}
    return [*facts, written(30.0, before, before | {"transition": lock(requests=0)}, "begin_move")]


NO_SIGN_SINCE = 30.0 - (NO_SIGN_S - CLOCK_S)
SINCE_LONG = 30.0 - (GRACE_S - CLOCK_S)


@pytest.mark.parametrize(
    ("happened", "breaks"),
    [
        (gives_word(last=NO_SIGN_SINCE + LITTLE, since=17.0), True),
        (gives_word(last=NO_SIGN_SINCE - LITTLE, since=17.0), False),
        (gives_word(last=26.0, since=SINCE_LONG + LITTLE), True),
        (gives_word(last=26.0, since=SINCE_LONG - LITTLE), False),
        (gives_word(last=26.0, since=17.0, sign=26.0 + LITTLE), False),
        (gives_word(last=26.0, since=17.0, phase="stopping"), False),
    ],
    ids=["it lives", "it is silent", "it says so since lately", "and for long", "a clock is wrong", "the writer stops"],
)
def test_no_run_moves_by_itself_a_writer_whose_guardian_lives(happened: list[Fact], breaks: bool) -> None:
    down = Answers(17.0, EAST, False)
    assert broken(started(19.0, automatic=True), down, happened) == ({"P5 two observers"} if breaks else set())
    assert broken(started(19.0), down, happened) == set()


def test_a_lease_is_a_sign_of_a_guardian_too() -> None:
    """As one that was renewed and took the word back, before the run began."""
    for renewed, breaks in ((NO_SIGN_SINCE + LITTLE, True), (NO_SIGN_SINCE - LITTLE, False)):
        before = RECORD | {"lease_expires_at": STARTS_AT + renewed + LEASE_S, "transition": lock("checking", 0)}
        commits = written(30.0, before, before | {"transition": lock(requests=0)}, "begin_move")
        happened = [Answers(17.0, EAST, False), written(renewed, RECORD, before), commits]
        by_itself = started(renewed, automatic=True)
        assert ("P5 two observers" in broken(by_itself, happened)) == breaks  # the lease vetoes, too


def test_a_run_that_goes_on_with_a_move_has_nothing_to_look_at() -> None:
    goes_on = written(30.0, held(requests=0, run="run-0"), held(requests=0), "take_over")
    assert broken(started(20.0, automatic=True), goes_on) == set()


def test_a_new_writer_is_fenced_until_applications_are_let_in() -> None:
    west = RECORD | {"writer_region": WEST}
    committed = written(30.0, west | {"transition": lock("checking", 0)}, west | {"transition": lock("moving", 0)})
    moved = [RoleChanged(5.0, WEST, "writer"), Promoted(5.0, WEST, 4.0, True), started(20.0, automatic=True)]
    assert broken(*moved, committed) == set()
    assert broken(*moved, Lifted(19.0, WEST, "sql"), committed) == {"P5 two observers"}


def asks_rds(beat: float | None = 29.0, at: float = 30.0, run: str = "run-1", before: str = "run-1") -> list[Fact]:
    """A failover commits, a run notes its first request; the writer's last heartbeat that the record has is that."""
    record = RECORD if beat is None else RECORD | {"heartbeat": {"seq": 1, "at": STARTS_AT + beat}}
    checks, moves = lock("checking", 0, before), lock("moving", 0, before)
    return [
        written(at - 2.0, record | {"transition": checks}, record | {"transition": moves}, "begin_move"),
        written(at - 1.0, record | {"transition": moves}, record | {"transition": lock("moving", 0, run)}),
        written(at, record | {"transition": lock("moving", 0, run)}, record | {"transition": lock("moving", 1, run)}),
    ]


def has_until(until: float | None, at: float = 5.0) -> Replicated:
    return Replicated(at, WEST, until)


@pytest.mark.parametrize(
    ("happened", "breaks"),
    [
        ([*asks_rds(29.0), has_until(29.0 - RPO_BUDGET_S)], False),
        ([*asks_rds(29.0), has_until(29.0 - RPO_BUDGET_S - LITTLE)], True),
        ([*asks_rds(29.0)], False),
        ([*asks_rds(29.0), has_until(20.0), has_until(None, 25.0)], False),
        ([*asks_rds(29.0), has_until(20.0), has_until(29.0, 30.0 - LITTLE)], False),
        ([*asks_rds(29.0), has_until(20.0), has_until(29.0, 30.0 + LITTLE)], True),
        ([*asks_rds(None)], True),
        ([*asks_rds(20.0 - OLDEST_BEAT_S)], False),
        ([*asks_rds(20.0 - OLDEST_BEAT_S - LITTLE)], True),
    ],
    ids=[
        "inside the budget",
        "outside it",
        "the standby follows",
        "it follows again",
        "it has caught up in time",
        "and too late",
        "no heartbeat",
        "the heartbeat was old enough to count when the run began",
        "and too old",
    ],
)
def test_no_failover_loses_more_than_the_budget_unless_a_person_accepts_it(happened: list[Fact], breaks: bool) -> None:
    assert broken(started(20.0), *happened) == ({"P5 lag gate"} if breaks else set())
    assert broken(started(20.0, accept_data_loss=True), *happened) == set()
    assert broken(started(20.0), Approved(27.0, "run-1"), *happened) == set()
    assert broken(*happened) == set()  # a run that is none of Step Functions is one of break-glass


@pytest.mark.parametrize(
    ("answer", "breaks"),
    [(Approved(30.0, "run-1"), False), (Approved(30.0 + LITTLE, "run-1"), True), (Approved(27.0, "run-2"), True)],
    ids=["in time", "too late", "to another run"],
)
def test_the_answer_has_to_be_of_that_run_and_before_it_asks_rds(answer: Approved, breaks: bool) -> None:
    happened = [started(20.0), *asks_rds(29.0), has_until(20.0), answer]
    assert broken(*happened) == ({"P5 lag gate"} if breaks else set())


@pytest.mark.parametrize(
    ("decides", "goes_on", "breaks"),
    [({}, {}, True), ({"accept_data_loss": True}, {}, False), ({}, {"accept_data_loss": True}, False)],
)
def test_who_goes_on_with_a_move_does_so_on_what_was_accepted_before_too(
    decides: dict[str, Any], goes_on: dict[str, Any], breaks: bool
) -> None:
    runs = [started(20.0, "run-0", **decides), started(28.5, "run-1", **goes_on)]
    happened = [*asks_rds(29.0, before="run-0"), has_until(20.0)]
    assert broken(*runs, *happened) == ({"P5 lag gate"} if breaks else set())
    old = [*asks_rds(20.0 - OLDEST_BEAT_S, before="run-0")]  # the run that decided had begun when it was not too old
    assert broken(*runs, *old) == set()


def test_a_switchover_that_becomes_a_failover_passes_the_gate_too() -> None:
    record = RECORD | {"heartbeat": {"seq": 1, "at": STARTS_AT + 29.0}}
    switches = record | {"transition": lock(requests=0, run="run-0", mode="switchover")}
    takes_over = written(29.5, switches, record | {"transition": lock(requests=0)})
    noted = written(30.0, record | {"transition": lock(requests=0)}, record | {"transition": lock()})
    runs = [started(5.0, "run-0", accept_data_loss=True), started(29.2)]
    assert broken(*runs, takes_over, noted, has_until(20.0)) == {"P5 lag gate"}
    assert broken(*runs, takes_over, noted, has_until(28.5)) == set()
    asked = written(29.5, record | {"transition": lock(mode="switchover")}, record | {"transition": lock()})
    assert broken(*runs, asked, has_until(20.0)) == set()  # RDS was asked before, and there is only the way forward
    switchover = written(30.0, switches, record | {"transition": lock(run="run-0", mode="switchover")})
    assert broken(started(5.0, "run-0"), switchover, has_until(20.0)) == set()


@pytest.mark.parametrize(
    ("phase", "after", "breaks"),
    [
        ("checking", lock("moving", 0), True),
        ("checking", lock("stopping", 0), True),
        ("moving", lock("moving", 1), True),
        ("moving", lock("checking", 0), False),
        ("checking", None, False),
    ],
)
def test_a_run_goes_no_step_further_against_a_wish(phase: str, after: dict[str, Any] | None, breaks: bool) -> None:
    wanted = RECORD | {"transition": lock(phase, 0) | {"wanted": "abort"}}
    assert broken(written(20.0, wanted, RECORD | {"transition": after})) == ({"P5 hold and abort"} if breaks else set())


# --- P10


@pytest.mark.parametrize(("lasts", "breaks"), [(OPEN_AGAIN_S - LITTLE, False), (OPEN_AGAIN_S + LITTLE, True)])
def test_a_healthy_writer_is_open(lasts: float, breaks: bool) -> None:
    closed = [Fit(0.0, EAST, True), Fenced(20.0, EAST, "group"), Lifted(20.0 + lasts, EAST, "group")]
    assert broken(*closed) == ({"P10 open"} if breaks else set())


def test_one_way_of_closing_is_enough_and_an_excuse_begins_anew() -> None:
    half_open = [Fit(0.0, EAST, True), Fenced(20.0, EAST, "group"), Fenced(20.0, EAST, "sql")]
    assert broken(*half_open, Lifted(21.0, EAST, "sql")) == {"P10 open"}
    assert broken(*half_open, Fit(20.0 + OPEN_AGAIN_S - LITTLE, EAST, False)) == set()


def test_a_new_writer_is_opened_whether_its_fence_came_with_the_promotion_or_its_group_was_closed_before() -> None:
    moved = [*promoted(WEST, fenced=True), written(15.0, held(), MOVED), Fit(20.0, WEST, True)]
    by_sql = Lifted(20.0 + OPEN_AGAIN_S, WEST, "sql")
    assert broken(*moved, by_sql) == set()
    assert broken(*moved, Lifted(by_sql.at + LITTLE, WEST, "sql")) == {"P10 open"}
    for opened, breaks in ((by_sql.at, set()), (by_sql.at + LITTLE, {"P10 open"})):
        assert broken(Fenced(1.0, WEST, "group"), *moved, by_sql, Lifted(opened, WEST, "group")) == breaks


def test_what_cannot_be_opened_is_excused_for_that_time() -> None:
    for_long = [Fit(0.0, EAST, True), Fenced(20.0, EAST, "group"), Lifted(90.0, EAST, "group")]
    assert broken(*for_long, *fails("group", 10.0, 90.0 - OPEN_AGAIN_S + LITTLE)) == set()
    assert broken(*for_long, *fails("group", 10.0, 90.0 - OPEN_AGAIN_S - LITTLE)) == {"P10 open"}
    assert broken(*for_long, *fails("lift", 10.0, 90.0)) == set()
    assert broken(*for_long, *fails("lift", 10.0, 90.0 - OPEN_AGAIN_S - LITTLE)) == {"P10 open"}
    assert broken(*for_long, *fails("restart", 10.0, 90.0)) == {"P10 open"}


def test_a_group_that_a_slow_prober_has_to_open_may_take_longer() -> None:
    def closed_for(seconds: float) -> list[Fact]:
        return [Fit(0.0, EAST, True), Fenced(20.0, EAST, "group"), Lifted(20.0 + seconds, EAST, "group")]

    slow = fails("reopen", 10.0, 90.0)
    assert broken(*closed_for(OPEN_AGAIN_SLOWLY_S), *slow) == set()
    assert broken(*closed_for(OPEN_AGAIN_SLOWLY_S + LITTLE), *slow) == {"P10 open"}
    assert broken(*closed_for(OPEN_AGAIN_S + LITTLE), *fails("reopen", 10.0, 19.0)) == {"P10 open"}
    by_sql = [Fit(0.0, EAST, True), Fenced(20.0, EAST, "sql"), Lifted(20.0 + OPEN_AGAIN_S + LITTLE, EAST, "sql")]
    assert broken(*by_sql, *slow) == {"P10 open"}


@pytest.mark.parametrize(("well_for", "breaks"), [(WELL_FOR_S - LITTLE, False), (WELL_FOR_S + LITTLE, True)])
def test_a_fence_by_sql_that_goes_up_while_the_writer_is_well_is_never_excused(well_for: float, breaks: bool) -> None:
    closed = [Fit(20.0 - well_for, EAST, True), Fenced(20.0, EAST, "sql"), Lifted(90.0, EAST, "sql")]
    assert broken(*closed, *fails("lift", 10.0, 90.0)) == ({"P10 open"} if breaks else set())
    assert broken(*closed, *fails("sql", 10.0, 90.0)) == {"P10 open"}


def test_before_postgresql_17_a_group_without_a_fence_behind_it_is_opened_a_minute_later() -> None:
    """A restart took the place of the fence by SQL, and the server started open."""
    restarts = [Fenced(50.0, EAST, "restart"), Fenced(50.0, EAST, "group"), Lifted(56.0, EAST, "restart")]
    closed = [Fit(0.0, EAST, True), *restarts]
    assert broken(*closed, StartedOpen(56.0, EAST), Lifted(56.0 + OPEN_AGAIN_LATER_S, EAST, "group")) == set()
    late = Lifted(56.0 + OPEN_AGAIN_LATER_S + LITTLE, EAST, "group")
    assert broken(*closed, StartedOpen(56.0, EAST), late) == {"P10 open"}
    assert broken(*closed, StartedOpen(56.0, EAST), Fenced(57.0, EAST, "sql"), late) == {"P10 open"}
    assert broken(*closed, StartedOpen(56.0, WEST), late) == {"P10 open"}


@pytest.mark.parametrize(("left", "breaks"), [(5.4, False), (5.6, True), (8.7, True), (8.9, False)])
def test_a_writer_whose_lease_was_renewed_since_its_fence_was_ordered_is_not_restarted(
    left: float, breaks: bool
) -> None:
    renewed = RECORD | {"lease_expires_at": STARTS_AT + 20.0 + left}
    restart = [Fenced(20.0, EAST, "restart"), Lifted(24.0, EAST, "restart")]

    def shown(*facts: Fact, of: dict[str, Any] = renewed) -> set[str]:
        return broken(Fit(0.0, EAST, True), written(12.0, RECORD, of), *facts, *restart)

    assert shown() == ({"P10 not restarted"} if breaks else set())
    assert shown(Fit(19.0, EAST, False)) == set()
    assert "P10 not restarted" not in shown(of=renewed | {"writer_region": WEST})
    assert "P10 not restarted" not in shown(written(19.0, renewed, renewed | {"transition": lock("stopping", 0)}))


@pytest.mark.parametrize("phase", ["stopping", "moving"])
def test_a_lock_that_does_not_go_on_is_given_back(phase: str) -> None:
    fit, taken = Fit(0.0, EAST, True), written(20.0, RECORD, held(phase=phase, requests=0))
    limit = GIVEN_BACK_S[phase]
    assert broken(fit, taken, written(20.0 + limit - LITTLE, held(phase=phase, requests=0), RECORD)) == set()
    late = written(20.0 + limit + LITTLE, held(phase=phase, requests=0), RECORD)
    assert broken(fit, taken, late) == {"P10 given back"}
    assert broken(fit, taken, Fit(25.0, EAST, False), Fit(25.0 + LITTLE + LITTLE, EAST, True), late) == set()
    assert broken(fit, written(20.0, RECORD, held(phase="checking", requests=0))) == set()


def test_while_a_run_closes_the_writer_only_its_limit_counts() -> None:
    asked = written(20.0, RECORD, held(requests=1))
    assert broken(Fit(0.0, EAST, True), asked, Fenced(21.0, EAST, "sql")) == set()
    given_back = written(60.0, held(requests=1), RECORD)
    assert broken(Fit(0.0, EAST, True), asked, Fenced(21.0, EAST, "sql"), given_back) == {"P10 open"}


# --- P10: the name, and how everything ends

ENGAGED = written(20.0, RECORD, engaged())
SWITCHES = [*fails("switch", 0.0, END_S), *fails("switch", 0.0, END_S, WEST)]


def to_west(at: float) -> list[Fact]:
    """A lock for which clients belong in WEST from 20 s on, and the name that leads there from that moment on."""
    return [ENGAGED, NameLeadsTo(at, WEST)]


def back_to_east(at: float) -> list[Fact]:
    """The same until 60 s, when the lock is given back; then the name leads to EAST from that moment on."""
    return [*to_west(21.0), written(60.0, engaged(), RECORD), NameLeadsTo(at, EAST)]


def name_is_wrong(*facts: Fact | list[Fact]) -> bool:
    """Whether that is what the history breaks, whatever else."""
    return "P10 name" in broken(*facts)


@pytest.mark.parametrize(("led", "since"), [(to_west, 20.0), (back_to_east, 60.0)])
def test_the_name_leads_soon_where_clients_belong(led: Callable[[float], list[Fact]], since: float) -> None:
    assert not name_is_wrong(led(since + NAME_FOLLOWS_S))
    assert name_is_wrong(led(since + NAME_FOLLOWS_S + LITTLE))


@pytest.mark.parametrize("stays", [RECORD, MOVED])
def test_the_name_stays_where_clients_belong(stays: dict[str, Any]) -> None:
    moved = [] if stays is RECORD else [written(20.0, RECORD, MOVED), NameLeadsTo(21.0, WEST)]
    here, there = (EAST, WEST) if stays is RECORD else (WEST, EAST)
    assert not name_is_wrong(*moved)
    assert name_is_wrong(*moved, NameLeadsTo(100.0, there), NameLeadsTo(100.0 + LITTLE, here))


def test_the_name_is_not_led_to_the_target_of_a_lock_before_that_engages_dns() -> None:
    for phase in ("checking", "stopping", "moving"):
        taken = written(20.0, RECORD, held(phase=phase, requests=0))
        assert name_is_wrong(taken, NameLeadsTo(21.0, WEST), NameLeadsTo(22.0, EAST))


def test_a_switch_repeats_for_a_while_what_it_has_read() -> None:
    briefly: list[Fact] = [ENGAGED, written(21.0, engaged(), RECORD)]
    latest = 21.0 + SWITCH_REPEATS_S
    assert not name_is_wrong(SWITCHES, briefly, NameLeadsTo(latest - LITTLE, WEST), NameLeadsTo(latest, EAST))
    assert name_is_wrong(SWITCHES, briefly, NameLeadsTo(latest + LITTLE, WEST), NameLeadsTo(latest + 1.0, EAST))


def test_either_switch_leads_the_name_to_secondary_and_without_both_nobody_does() -> None:
    for region in (EAST, WEST):
        assert name_is_wrong(to_west(END_S), fails("switch", 0.0, END_S, region))
    assert not name_is_wrong(to_west(END_S), SWITCHES)
    again = [*fails("switch", 0.0, 100.0), *fails("switch", 0.0, END_S, WEST)]
    assert not name_is_wrong(to_west(100.0 + NAME_FOLLOWS_S), again)
    assert name_is_wrong(to_west(100.0 + NAME_FOLLOWS_S + LITTLE), again)
    # For less than a checker needs one of them, and then the other one, does nothing.
    by_turns = [*fails("switch", 35.0, END_S), *fails("switch", 0.0, 35.0, WEST)]
    assert not name_is_wrong(to_west(35.0 + NAME_FOLLOWS_S), by_turns)


def test_to_primary_the_name_goes_without_any_switch_when_no_answer_is_repeated_any_more() -> None:
    one_fails, latest = fails("switch", 50.0, END_S, WEST), 60.0 + SWITCH_REPEATS_S + NAME_FOLLOWS_S
    for fails_so in (one_fails, SWITCHES):
        assert not name_is_wrong(back_to_east(latest), fails_so)
        assert name_is_wrong(back_to_east(latest + LITTLE), fails_so)


def test_without_both_switches_the_name_goes_to_primary_wherever_the_writer_is() -> None:
    neither = [*fails("switch", 50.0, END_S), *fails("switch", 50.0, END_S, WEST)]
    assert not name_is_wrong(to_west(21.0), neither, NameLeadsTo(60.0, EAST))
    assert name_is_wrong(to_west(21.0), fails("switch", 50.0, END_S), NameLeadsTo(60.0, EAST))


WELL = ended(RECORD)


def test_at_the_end_applications_are_served_by_the_records_writer_only() -> None:
    assert broken(WELL) == set()
    for wrong in (
        {"roles": {EAST: "down", WEST: "writer"}},
        {"open_to": ()},
        {"open_to": (EAST, WEST)},
        {"used": ()},
        {"used": (WEST,)},
        {"name_leads_to": WEST},
    ):
        assert broken(ended(RECORD, **wrong)) == {"P10 served"}
    moved = written(10.0, held(), MOVED)
    assert broken(PROMOTED, moved, ended(MOVED)) == set()
    assert broken(PROMOTED, moved, ended(MOVED, open_to=(EAST, WEST))) == {"P10 served"}


def test_the_name_has_time_to_follow_at_the_end_too() -> None:
    near = END_S - SWITCH_REPEATS_S - NAME_FOLLOWS_S
    for since, breaks in ((near + LITTLE, False), (near, True)):
        engages = written(since, RECORD, engaged("checking"))
        assert ("P10 served" in broken(engages, ended(engaged("checking")))) == breaks


@pytest.mark.parametrize("wrong", [{"open_to": ()}, {"name_leads_to": WEST}])
@pytest.mark.parametrize("where", [EAST, "", f"{WEST}->{EAST}"])
def test_what_failed_lately_excuses_the_end_but_not_in_the_other_region(wrong: dict[str, Any], where: str) -> None:
    left = END_S - REPAIRED_S
    assert broken(ended(RECORD, **wrong), fault("table away", where, 100.0, left + LITTLE)) == set()
    assert broken(ended(RECORD, **wrong), fault("table away", where, 100.0, left)) == {"P10 served"}
    assert broken(ended(RECORD, **wrong), fault("table away", WEST, 100.0, left + LITTLE)) == {"P10 served"}


def test_the_other_region_may_be_open_when_it_failed_lately_or_a_run_has_moved_the_writer_there() -> None:
    both, left = {"open_to": (EAST, WEST)}, END_S - REPAIRED_S
    assert broken(ended(RECORD, **both), fault("table away", WEST, 100.0, left + LITTLE)) == set()
    assert broken(ended(RECORD, **both), fault("table away", WEST, 100.0, left)) == {"P10 served"}
    moved = END_S - CLOSED_WITHIN_S
    assert "P10 served" not in broken(written(moved + LITTLE, RECORD, MOVED), ended(MOVED, **both))
    assert "P10 served" in broken(written(moved, RECORD, MOVED), ended(MOVED, **both))
    opens, asked = written(100.0, RECORD, held()), Asked(END_S - 30.0, "detach", WEST, "run-1", True)
    assert "P10 served" not in broken(opens, asked, ended(held(), open_to=(WEST,)))


@pytest.mark.parametrize("phase", ["stopping", "moving"])
def test_a_lock_may_keep_the_writer_closed_at_the_end_for_as_long_as_it_may_at_all(phase: str) -> None:
    record = held(phase=phase, requests=0)
    closed, taken = ended(record, open_to=(), used=()), END_S - GIVEN_BACK_S[phase]
    assert "P10 served" not in broken(written(taken, RECORD, record), closed)
    assert "P10 served" in broken(written(taken - LITTLE, RECORD, record), closed)


def test_a_move_may_keep_the_writer_closed_at_the_end_until_rds_has_shown_nothing_for_a_while() -> None:
    asked, closed = [started(90.0), written(100.0, RECORD, held())], ended(held(), open_to=(), used=())
    near = END_S - GIVEN_UP_S
    for last in (Asked(near, "detach", WEST, "run-1", False), RdsEnded(near, "switchover", WEST, "cancelled")):
        assert "P10 served" not in broken(asked, last, closed)
        assert "P10 served" in broken(asked, replace(last, at=near - LITTLE), closed)
    assert "P10 served" not in broken(asked, RdsBegan(110.0, "switchover", WEST), closed)
    assert "P10 served" in broken(asked, closed)


@pytest.mark.parametrize(("after", "breaks"), [(0.0, False), (-LITTLE, True)])
def test_a_request_that_never_reached_rds_counts_as_one(after: float, breaks: bool) -> None:
    noted_at = END_S - GIVEN_UP_S + after
    noted = RECORD | {"transition": lock() | {"asked_at": STARTS_AT + noted_at}}
    found = broken(started(90.0), written(100.0, RECORD, noted), ended(noted, open_to=(), used=()))
    assert ("P10 served" in found) == breaks


@pytest.mark.parametrize(
    ("also", "run", "breaks"),
    [
        ({}, "run-1", True),
        ({}, "break-glass-1", False),
        ({"paused": {"until": STARTS_AT + END_S + LITTLE}}, "run-1", False),
        ({"paused": {"until": STARTS_AT + END_S}}, "run-1", True),
        ({"ended_by_person": {"by": "ada"}}, "run-1", False),
        ({"automatic_failover": False}, "run-1", False),
    ],
)
@pytest.mark.parametrize("requests", [0, 1])
def test_a_lock_may_close_the_writer_that_only_a_person_takes_over_once_rds_was_asked(
    also: dict[str, Any], run: str, requests: int, breaks: bool
) -> None:
    record = held(run=run, requests=requests) | also
    run_died = [started(10.0), RunEnded(30.0, "run-1", "ABORTED", None, None), written(20.0, RECORD, record)]
    found = broken(run_died, ended(record, open_to=(), used=()))
    assert ("P10 served" in found) == (breaks or requests == 0)


# --- the way back


def way_back(*, read_until: float = 30.0, snapshot: float = 60.0, cluster: str = "cluster-1") -> list[Fact]:
    """A session writes in the east until 25 s, of which the west has what was there at 20 s; then it is deleted."""
    rows = [f"1.{row}" for row in range(int(25 / ROW_EVERY_S) + 1) if 20.0 < row * ROW_EVERY_S <= read_until]
    return [
        RoleChanged(0.0, EAST, "writer"),
        *session(1, EAST, 0.0, 25.0),
        Promoted(30.0, WEST, 20.0, True),
        SnapshotTaken(70.0, EAST, cluster, snapshot),
        *(Kept(75.0, WEST, f"epoch-3/{row}", f'-- missing in public.t: {{"id": "{row}"}}') for row in rows),
        Retired(80.0, EAST, "cluster-1"),
    ]


def test_a_cluster_is_deleted_when_everything_in_it_is_kept() -> None:
    assert broken(*way_back()) == set()


def test_every_row_that_was_not_replicated_is_in_the_export() -> None:
    assert broken(*way_back(read_until=25.0 - LITTLE)) == {"P7 kept"}
    assert broken(*[fact for fact in way_back() if not isinstance(fact, Kept)]) == {"P7 kept"}
    assert broken(*session(2, EAST, 76.0, 76.0), way_back()) == {"P7 kept", "P7 snapshot"}
    assert broken(*session(2, EAST, 76.0, 76.0, "owner"), way_back()) == {"P7 kept", "P7 snapshot"}
    overwritten = Kept(76.0, WEST, "epoch-3/1.50", "")
    assert broken(*way_back()[:-1], overwritten, way_back()[-1]) == {"P7 kept"}
    assert broken(*way_back(), Kept(81.0, WEST, "epoch-3/1.50", "")) == set()


def test_the_snapshot_is_of_that_cluster_and_has_all_of_it() -> None:
    assert broken(*way_back(cluster="cluster-2")) == {"P7 snapshot"}
    assert broken(*way_back(snapshot=25.0)) == set()
    assert broken(*way_back(snapshot=25.0 - LITTLE)) == {"P7 snapshot"}


@pytest.mark.parametrize("whose", OTHERS[1:])
def test_what_is_in_another_database_only_the_snapshot_has(whose: Whose) -> None:
    assert broken(*session(2, EAST, 50.0, 55.0, whose), way_back()) == set()
    assert broken(*session(2, EAST, 76.0, 76.0, whose), way_back()) == {"P7 snapshot"}


def test_a_record_that_says_protected_has_a_standby() -> None:
    unprotected = MOVED | {"protected": False}
    arms = written(20.0 + ARMED_WITHIN_S, unprotected, MOVED | {"protected": True}, "arm")
    follows = [RoleChanged(1.0, EAST, "down"), RoleChanged(15.0, EAST, "reader")]
    assert broken(PROMOTED, *follows, arms) == set()
    assert broken(PROMOTED, *follows, RoleChanged(20.0 + LITTLE, EAST, "down"), arms) == set()
    assert broken(PROMOTED, *follows, RoleChanged(20.0 - LITTLE, EAST, "down"), arms) == {"P7 protected"}
    assert broken(PROMOTED, follows[0], arms) == {"P7 protected"}


def reprotects(state: str, lasts: float) -> list[Fact]:
    """A re-protection that is in one state for so long."""
    return [
        RunStarted(10.0, "run-1", WEST, "reprotect", {}),
        StateEntered(10.0, "run-1", "BeginReprotection", "", "StartAt"),
        StateEntered(20.0, "run-1", state, "MayBegin", "Choice 0"),
        StateEntered(20.0 + lasts, "run-1", "Reprotected", state, "Next"),
        RunEnded(20.0 + lasts, "run-1", "SUCCEEDED", None, None),
    ]


def test_a_re_protection_that_nothing_disturbs_goes_on() -> None:
    assert broken(*reprotects("BuildStandby", STANDS_STILL_S - LITTLE)) == set()
    assert broken(*reprotects("BuildStandby", STANDS_STILL_S + LITTLE)) == {"P9 way back"}
    assert broken(*reprotects("AskRetirement", STANDS_STILL_S + LITTLE)) == set()
    late, answers = fault("rds busy", EAST, 60.0, 61.0), fault("person approves", "", 60.0, 61.0)
    assert broken(*reprotects("BuildStandby", STANDS_STILL_S + 40.0), late) == set()
    assert broken(*reprotects("BuildStandby", STANDS_STILL_S + 42.0), late) == {"P9 way back"}
    assert broken(*reprotects("BuildStandby", STANDS_STILL_S + 40.0), answers) == {"P9 way back"}


def test_an_error_that_nobody_expects_is_told() -> None:
    assert broken(errors=("12 s: claim in us-west-2 ended in KeyError: 'epoch'",)) == {"no surprise"}
