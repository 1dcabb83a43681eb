"""What a region's guardian does in a tick: the table of rules, and what holds in every situation there is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from handlers.core.control import FIRST_EPOCH, PHASES, ControlRecord, Pause, Phase, Transition, Word
from handlers.core.guardian import (
    END_MOVE_S,
    NO_LEASE,
    Own,
    Situation,
    decide,
    known_lease_end,
    known_word_end,
    lift_until,
    must_fence_first,
)
from handlers.core.heartbeat import Beat
from handlers.core.lease import CLOCK_MARGIN_S, FENCE_BEFORE_S, LEASE_S, REST_S, TICK_S
from handlers.core.request import Mode

EAST, WEST = "us-east-1", "us-west-2"
NOW = 1_800_000_000.0

OWN: tuple[Own, ...] = ("writer", "reader", "down", "unknown")
MOVING: tuple[Mode, ...] = ("failover", "switchover")
GRACE_S = 23.0
HERE = ControlRecord(EAST, 4, automatic_failover=True, lease_expires_at=NOW + 8, heartbeat=Beat(7, NOW - 3))
THERE = replace(HERE, writer_region=WEST)
LEASELESS = replace(HERE, lease_expires_at=None)
DEPLOYED = replace(LEASELESS, epoch=FIRST_EPOCH)


def run(phase: Phase, mode: Mode = "failover", target: str = WEST, began: float = NOW - 5) -> Transition:
    until = began + 10 if phase == "stopping" else None
    since = began if phase == "moving" else None
    return Transition(
        "run-1", mode, phase, "outage 7", target, began, began + 1860, stopping_until=until, moving_since=since
    )


STOPPED = replace(HERE, transition=run("stopping", "switchover"))
STOPPED_TOO_LONG = replace(HERE, transition=run("stopping", "switchover", began=NOW - 10 - CLOCK_MARGIN_S - 0.1))
STOPPED_THERE = replace(THERE, transition=run("stopping", "switchover", target=EAST))
LOOKED_AT = replace(HERE, transition=run("checking"))
MOVED = replace(HERE, transition=run("moving"))
SWITCHED = replace(HERE, transition=run("moving", "switchover"))
MOVED_TOO_LONG = replace(HERE, transition=run("moving", began=NOW - END_MOVE_S - CLOCK_MARGIN_S - 0.1))
# The run has waited for the lease, or for a person's answer, before it committed to move.
MOVED_AFTER_A_WAIT = replace(HERE, transition=replace(run("moving"), started_at=NOW - 900))
ASKED = replace(MOVED_TOO_LONG, transition=replace(MOVED_TOO_LONG.transition, move_requests=1))  # type: ignore[type-var]
SWITCHES = replace(SWITCHED, transition=replace(SWITCHED.transition, move_requests=1))  # type: ignore[type-var]
ILL = replace(HERE, word=Word("unknown", since=NOW - GRACE_S))
ILL_TOO_LONG = replace(HERE, word=Word("unknown", since=NOW - GRACE_S - 0.1))
COMES = replace(THERE, transition=run("moving", target=EAST))
COMES_BY_SWITCHOVER = replace(THERE, transition=run("moving", "switchover", target=EAST))
ALIVE, AT_THE_LIMIT, ENDING = NOW + 8, NOW + FENCE_BEFORE_S, NOW + FENCE_BEFORE_S - 0.1

# What the guardian of us-east-1 knows, what it does, and a part of why. Rows stand in the order of the rules.
RULES: list[tuple[str, ControlRecord | None, Own, float, bool, str, str]] = [
    ("a reader", HERE, "reader", ALIVE, True, "rest", "a reader takes no writes"),
    ("a reader and no record", None, "reader", ENDING, True, "rest", "a reader takes no writes"),
    ("a reader whose writer moves", MOVED, "reader", ENDING, True, "rest", "a reader takes no writes"),
    ("the writer comes here", COMES, "down", 0, True, "rest", "run run-1 is moving the writer here"),
    ("the writer has come here", COMES, "writer", 0, True, "rest", "run run-1 is moving the writer here"),
    ("it comes by switchover", COMES_BY_SWITCHOVER, "writer", 0, True, "rest", "is moving the writer here"),
    ("a run moves the writer away", MOVED, "writer", ALIVE, True, "fence", "is moving the writer to us-west-2"),
    ("it moves away and is down", MOVED, "down", ALIVE, True, "fence", "run run-1 is moving the writer to us-west-2"),
    ("it moves away by switchover", SWITCHED, "writer", ALIVE, True, "fence by sql", "is moving the writer to"),
    ("a switchover stops it", STOPPED, "writer", ALIVE, True, "fence by sql", "run run-1 stops the writer to move it"),
    ("it is stopped and down", STOPPED, "down", ALIVE, True, "fence by sql", "stops the writer to move it"),
    ("it is stopped too long", STOPPED_TOO_LONG, "writer", 0, True, "end stop", "stopped the writer for too long"),
    ("the other's writer is stopped", STOPPED_THERE, "writer", 0, True, "fence", "us-west-2 is the writer (epoch 4)"),
    ("the writer is elsewhere", THERE, "writer", 0, True, "fence", "us-west-2 is the writer (epoch 4)"),
    ("the writer is elsewhere, own down", THERE, "down", 0, True, "fence", "us-west-2 is the writer (epoch 4)"),
    ("all is well", HERE, "writer", ALIVE, True, "renew", "this region is the writer"),
    ("the lease is over", HERE, "writer", NOW - 60, True, "renew", "this region is the writer"),
    ("there was no lease yet", LEASELESS, "writer", ALIVE, True, "renew", "this region is the writer"),
    ("a run only looks", LOOKED_AT, "writer", ALIVE, True, "renew", "this region is the writer"),
    ("just deployed, and is down", DEPLOYED, "down", ENDING, True, "rest", "its first healthy answer takes one"),
    ("just deployed, nor renews", DEPLOYED, "writer", ENDING, False, "rest", "has had no lease yet"),
    ("it moves for too long", MOVED_TOO_LONG, "writer", ALIVE, True, "end move", "kept the writer closed for too long"),
    ("it moves after a long wait", MOVED_AFTER_A_WAIT, "writer", ALIVE, True, "fence", "is moving the writer to"),
    (
        "it moves for long, but RDS was asked",
        ASKED,
        "writer",
        ALIVE,
        True,
        "fence",
        "is moving the writer to us-west-2",
    ),
    ("moved here, and is down", LEASELESS, "down", ENDING, True, "give word", "the lease cannot be renewed now"),
    ("nobody could ask", HERE, "unknown", ENDING, True, "renew unknown", "it is given the time that a recovery takes"),
    ("nobody can ask any more", ILL, "unknown", ENDING, True, "renew unknown", "nothing is known of the database"),
    ("nobody could ask for too long", ILL_TOO_LONG, "unknown", ALIVE, True, "give word", "will be seen in the record"),
    ("nobody could ask, no quorum", HERE, "unknown", ALIVE, False, "wait", "but is alive"),
    ("down, and the lease alive", HERE, "down", ALIVE, True, "give word", "the lease cannot be renewed now"),
    ("down, and the lease ends", HERE, "down", ENDING, True, "give word", "will be seen in the record"),
    ("down, no quorum, just enough lease", HERE, "down", AT_THE_LIMIT, False, "wait", "but is alive"),
    ("down, no quorum, and the lease ends", HERE, "down", ENDING, False, "fence", "the lease ends and cannot be"),
    ("no quorum, and the lease alive", HERE, "writer", ALIVE, False, "wait", "but is alive"),
    ("no quorum, and the lease ends", HERE, "writer", ENDING, False, "fence", "the lease ends"),
    ("no record, and the lease alive", None, "writer", ALIVE, True, "wait", "but is alive"),
    ("no record, and the lease ends", None, "writer", ENDING, True, "fence", "the lease ends"),
    ("no record, down, lease over", None, "down", NOW - 60, True, "fence", "the lease ends"),
    ("no record, nobody could ask", None, "unknown", ENDING, True, "fence", "the lease ends"),
]


@pytest.mark.parametrize(
    ("record", "own", "rests_until", "can_write", "action", "why"),
    [row[1:] for row in RULES],
    ids=[row[0] for row in RULES],
)
def test_p1_p10_rule(
    record: ControlRecord | None, own: Own, rests_until: float, can_write: bool, action: str, why: str
) -> None:
    decision = decide(Situation(EAST, NOW, record, own, rests_until, GRACE_S, can_write))
    assert decision.action == action
    assert why in decision.why


def test_p10_without_a_record_anywhere_nobody_is_fenced() -> None:
    """As while the stacks are applied, and destroyed, around a database that others use."""
    for own in OWN:
        assert decide(Situation(EAST, NOW, None, own, 0.0, GRACE_S, nowhere=True)).action == "rest"


@pytest.mark.parametrize(
    ("record", "silent", "action"),
    [(SWITCHES, True, "end switchover"), (SWITCHES, False, "fence by sql"), (ASKED, True, "fence")],
    ids=["silent", "at work", "a failover"],
)
def test_p10_a_switchover_of_which_rds_shows_nothing_is_ended_and_a_failover_never(
    record: ControlRecord, silent: bool, action: str
) -> None:
    assert decide(Situation(EAST, NOW, record, "writer", 0.0, GRACE_S, rds_silent=silent)).action == action


RECORDS = [
    None,
    *(
        ControlRecord(
            writer,
            epoch,
            automatic_failover=True,
            transition=transition,
            lease_expires_at=lease,
            heartbeat=Beat(7, NOW - 3),
        )
        for writer, epoch, lease, transition in itertools.product(
            (EAST, WEST),
            (FIRST_EPOCH, 4),
            (None, 0.0, NOW - 60, NOW + 8),
            (
                None,
                *(
                    run(phase, mode, target, began)
                    for phase, mode, target, began in itertools.product(
                        PHASES, MOVING, (EAST, WEST), (NOW - 5, NOW - 20)
                    )
                ),
            ),
        )
    ),
]


def situations() -> Iterator[Situation]:
    """Every situation that a guardian of us-east-1 may be in, each side of each limit."""
    for record, own, rests_until, can_write in itertools.product(
        RECORDS, OWN, (0.0, NOW - 60, NOW, ENDING, AT_THE_LIMIT, ALIVE), (True, False)
    ):
        yield Situation(EAST, NOW, record, own, rests_until, GRACE_S, can_write)
    for own in OWN:
        yield Situation(EAST, NOW, None, own, 0.0, GRACE_S, nowhere=True)


def test_p1_every_row_of_the_table_decides_somewhere() -> None:
    kinds = {(decision.action, decision.why.replace(EAST, WEST)) for decision in map(decide, situations())}
    assert len(kinds) == 16  # two epochs of another writer make one row into two sentences


def test_p1_a_maintenance_is_nothing_to_rest_by() -> None:
    """A person may start a failover in it, and that run waits for the lease and the word alone."""
    maintained = Pause("ada", NOW - 60, NOW + 3600, "an upgrade", maintenance=True)
    for each in situations():
        if each.record is not None:
            assert decide(each._replace(record=replace(each.record, paused=maintained))) == decide(each)


def test_p1_only_the_writer_of_the_record_renews_and_only_a_healthy_one_that_no_run_moves() -> None:
    for now in situations():
        may = (
            now.record is not None
            and now.record.writer_region == EAST
            and (now.record.transition is None or now.record.transition.phase == "checking")
            and now.own == "writer"
            and now.can_write
        )
        assert (decide(now).action == "renew") is may, now


def test_p1_no_database_may_take_writes_unguarded() -> None:
    """A writer that does not renew, and is not about to be the writer, is fenced unless its lease is safe."""
    for now in situations():
        if now.own != "writer" or decide(now).action not in ("rest", "wait"):
            continue
        comes = now.record is not None and now.record.moving is not None and now.record.moving.target_region == EAST
        deployed = now.record is not None and now.record.lease_expires_at is None and now.record.epoch == FIRST_EPOCH
        safe = now.rests_until - NOW >= FENCE_BEFORE_S
        assert comes or deployed or now.nowhere or (safe and decide(now).action == "wait"), now
        if now.record is not None and not comes:
            assert now.record.writer_region == EAST, now
            assert now.record.transition is None or now.record.transition.phase == "checking", now


def test_p1_a_run_that_moves_the_writer_away_is_obeyed_whatever_the_lease_says() -> None:
    for now in situations():
        moving = now.record.moving if now.record else None
        if moving and moving.target_region == WEST and now.own != "reader":
            too_long = now.record is not None and now.record.writer_region == EAST and moving.moving_since == NOW - 20
            fences = "fence by sql" if moving.mode == "switchover" else "fence"
            assert decide(now).action == ("end move" if too_long else fences), now


def test_p10_a_guardian_that_reads_and_writes_the_record_fences_no_writer_of_it() -> None:
    """Whatever its database does, and however long ago its lease and its word ended."""
    for now in situations():
        locked = now.record and now.record.transition and now.record.transition.phase != "checking"
        if now.record and now.record.writer_region == EAST and not locked and now.can_write:
            assert decide(now).action in ("rest", "renew", "renew unknown", "give word"), now


def test_p1_only_a_writer_that_no_run_stops_or_moves_gets_a_word() -> None:
    for now in situations():
        if decide(now).action in ("give word", "renew unknown"):
            assert now.record is not None, now
            assert now.can_write, now
            assert now.record.writer_region == EAST, now
            assert now.record.transition is None or now.record.transition.phase == "checking", now


def test_a_reader_is_left_alone() -> None:
    assert {decide(now).action for now in situations() if now.own == "reader"} == {"rest"}


def test_a_healthy_writer_does_not_lose_its_lease_to_a_few_missed_ticks() -> None:
    """The constants hang together: a renewal that is missed twice is still in time for the fence's margin."""
    assert LEASE_S - FENCE_BEFORE_S >= 3 * TICK_S
    assert FENCE_BEFORE_S > TICK_S


# --- until when the writer may write, as far as the guardian knows


@pytest.mark.parametrize(
    ("record", "known", "end"),
    [
        (HERE, 0.0, NOW + 8),
        (replace(HERE, lease_expires_at=NOW - 60), NOW + 8, NOW - 60),
        (replace(HERE, lease_expires_at=0.0), NOW + 8, 0.0),
        (replace(HERE, lease_expires_at=NOW + 500), 0.0, NOW + LEASE_S),
        (LEASELESS, NOW + 5, NOW + 5),
        (THERE, NOW + 8, NO_LEASE),
        (MOVED, NOW + 8, NO_LEASE),
        (SWITCHED, NOW + 8, NO_LEASE),
        (STOPPED, NOW + 8, NO_LEASE),
        (LOOKED_AT, 0.0, NOW + 8),
        (COMES, 0.0, NOW + LEASE_S - CLOCK_MARGIN_S),
    ],
    ids=[
        "as recorded",
        "recorded as over",
        "given up",
        "longer than any may be",
        "never had one",
        "elsewhere",
        "moving away",
        "switching over",
        "stopped",
        "looked at",
        "comes here",
    ],
)
def test_p1_the_record_says_how_long_a_writer_may_write(record: ControlRecord, known: float, end: float) -> None:
    assert known_lease_end(record, EAST, NOW, known) == end


WORD = Word("down", NOW - 2, rests_until=NOW + 5)


@pytest.mark.parametrize(
    ("record", "end"),
    [
        (replace(HERE, word=WORD), NOW + 5),
        (replace(HERE, word=replace(WORD, rests_until=NOW + 500)), NOW + REST_S),
        (ILL, NO_LEASE),
        (HERE, NO_LEASE),
        (replace(THERE, word=WORD), NO_LEASE),
        (replace(MOVED, word=WORD), NO_LEASE),
        (replace(STOPPED, word=WORD), NO_LEASE),
        (replace(LOOKED_AT, word=WORD), NOW + 5),
    ],
    ids=["as recorded", "too long", "beside a lease", "none", "elsewhere", "moving away", "stopped", "looked at"],
)
def test_p1_a_word_in_the_record_lets_every_guardian_rest(record: ControlRecord, end: float) -> None:
    assert known_word_end(record, EAST, NOW) == end


def test_p1_no_record_gives_a_guardian_more_than_one_lease() -> None:
    by_a_wrong_clock = replace(HERE, lease_expires_at=NOW + 3600)
    for record in (*RECORDS, by_a_wrong_clock):
        if record is not None:
            assert known_lease_end(record, EAST, NOW, NOW + LEASE_S) <= NOW + LEASE_S


# --- the clock, before anything that could hang, and the end of a right to lift


@pytest.mark.parametrize(
    ("is_writer", "lease", "must"),
    [
        (True, ALIVE, False),
        (True, AT_THE_LIMIT, False),
        (True, ENDING, True),
        (True, NOW - 60, True),
        (True, NO_LEASE, False),
        (False, ENDING, False),
    ],
    ids=["alive", "just enough left", "ends", "over long ago", "none known yet", "not the writer"],
)
def test_p1_a_guardian_that_has_slept_fences_before_it_asks_anybody(is_writer: bool, lease: float, must: bool) -> None:
    assert must_fence_first(is_writer, lease, NOW) is must


def test_p1_a_lift_counts_only_while_no_guardian_would_fence_by_any_clock() -> None:
    lease = NOW + LEASE_S
    assert not must_fence_first(is_writer=True, rests_until=lease, now=lift_until(lease) + CLOCK_MARGIN_S)
    assert lift_until(lease) > NOW + TICK_S, "a lift has the time of a tick to arrive"
