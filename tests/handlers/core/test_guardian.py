"""What a region's guardian does in a tick: the table of rules, and what holds in every situation there is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from handlers.core.control import PHASES, ControlRecord, Phase, Transition
from handlers.core.guardian import (
    FIRST_EPOCH,
    NO_LEASE,
    Own,
    Situation,
    decide,
    known_lease_end,
    lift_until,
    must_fence_first,
)
from handlers.core.lease import CLOCK_MARGIN_S, FENCE_BEFORE_S, LEASE_S, TICK_S
from handlers.core.request import Mode

EAST, WEST = "us-east-1", "us-west-2"
NOW = 1_800_000_000.0

OWN: tuple[Own, ...] = ("writer", "reader", "down", "unknown")
MOVING: tuple[Mode, ...] = ("failover", "switchover")
HERE = ControlRecord(writer_region=EAST, epoch=4, automatic_failover=True, lease_expires_at=NOW + 8)
THERE = replace(HERE, writer_region=WEST)
LEASELESS = replace(HERE, lease_expires_at=None)
DEPLOYED = replace(LEASELESS, epoch=FIRST_EPOCH)


def run(phase: Phase, mode: Mode = "failover", target: str = WEST, began: float = NOW - 5) -> Transition:
    until = began + 10 if phase == "stopping" else None
    return Transition("run-1", mode, phase, "outage 7", target, began, began + 1860, stopping_until=until)


STOPPED = replace(HERE, transition=run("stopping", "switchover"))
STOPPED_TOO_LONG = replace(HERE, transition=run("stopping", "switchover", began=NOW - 10 - CLOCK_MARGIN_S - 0.1))
STOPPED_THERE = replace(THERE, transition=run("stopping", "switchover", target=EAST))
LOOKED_AT = replace(HERE, transition=run("checking"))
MOVED = replace(HERE, transition=run("moving"))
SWITCHED = replace(HERE, transition=run("moving", "switchover"))
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
    ("moved here, and is down", LEASELESS, "down", ENDING, True, "fence", "the lease ends and cannot be renewed"),
    ("nobody could ask", HERE, "unknown", ENDING, True, "rest", "nothing is known of the database"),
    ("down, and the lease alive", HERE, "down", ALIVE, True, "wait", "the lease cannot be renewed now, but is alive"),
    ("down, and just enough lease left", HERE, "down", AT_THE_LIMIT, True, "wait", "but is alive"),
    ("down, and the lease ends", HERE, "down", ENDING, True, "fence", "the lease ends and cannot be renewed"),
    ("no quorum, and the lease alive", HERE, "writer", ALIVE, False, "wait", "but is alive"),
    ("no quorum, and the lease ends", HERE, "writer", ENDING, False, "fence", "the lease ends"),
    ("no record, and the lease alive", None, "writer", ALIVE, True, "wait", "but is alive"),
    ("no record, and the lease ends", None, "writer", ENDING, True, "fence", "the lease ends"),
    ("no record, down, lease over", None, "down", NOW - 60, True, "fence", "the lease ends"),
    ("no record, nobody could ask", None, "unknown", ENDING, True, "fence", "the lease ends"),
]


@pytest.mark.parametrize(
    ("record", "own", "lease", "can_renew", "action", "why"), [row[1:] for row in RULES], ids=[row[0] for row in RULES]
)
def test_p1_rule(record: ControlRecord | None, own: Own, lease: float, can_renew: bool, action: str, why: str) -> None:
    decision = decide(Situation(EAST, NOW, record, own, lease, can_renew))
    assert decision.action == action
    assert why in decision.why


RECORDS = [
    None,
    *(
        ControlRecord(writer, epoch, automatic_failover=True, transition=transition, lease_expires_at=lease)
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
    for record, own, lease, can_renew in itertools.product(
        RECORDS, OWN, (0.0, NOW - 60, NOW, ENDING, AT_THE_LIMIT, ALIVE), (True, False)
    ):
        yield Situation(EAST, NOW, record, own, lease, can_renew)


def test_p1_every_row_of_the_table_decides_somewhere() -> None:
    kinds = {(decision.action, decision.why.replace(EAST, WEST)) for decision in map(decide, situations())}
    assert len(kinds) == 13  # two epochs of another writer make one row into two sentences


def test_p1_only_the_writer_of_the_record_renews_and_only_a_healthy_one_that_no_run_moves() -> None:
    for now in situations():
        may = (
            now.record is not None
            and now.record.writer_region == EAST
            and (now.record.transition is None or now.record.transition.phase == "checking")
            and now.own == "writer"
            and now.can_renew
        )
        assert (decide(now).action == "renew") is may, now


def test_p1_no_database_may_take_writes_unguarded() -> None:
    """A writer that does not renew, and is not about to be the writer, is fenced unless its lease is safe."""
    for now in situations():
        if now.own != "writer" or decide(now).action not in ("rest", "wait"):
            continue
        comes = now.record is not None and now.record.moving is not None and now.record.moving.target_region == EAST
        deployed = now.record is not None and now.record.lease_expires_at is None and now.record.epoch == FIRST_EPOCH
        safe = now.lease_ends_at - NOW >= FENCE_BEFORE_S
        assert comes or deployed or (safe and decide(now).action == "wait"), now
        if now.record is not None and not comes:
            assert now.record.writer_region == EAST, now
            assert now.record.transition is None or now.record.transition.phase == "checking", now


def test_p1_a_run_that_moves_the_writer_away_is_obeyed_whatever_the_lease_says() -> None:
    for now in situations():
        moving = now.record.moving if now.record else None
        if moving and moving.target_region == WEST and now.own != "reader":
            assert decide(now).action == ("fence by sql" if moving.mode == "switchover" else "fence"), now


def test_p6_a_prober_that_says_nothing_fences_no_writer_of_the_record() -> None:
    for now in situations():
        locked = now.record and now.record.transition and now.record.transition.phase != "checking"
        if now.own == "unknown" and now.record and now.record.writer_region == EAST and not locked:
            assert decide(now).action in ("rest", "wait"), now


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


def test_p1_no_record_gives_a_guardian_more_than_one_lease() -> None:
    for record in RECORDS:
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
    assert not must_fence_first(is_writer=True, lease_ends_at=lease, now=lift_until(lease) + CLOCK_MARGIN_S)
    assert lift_until(lease) > NOW + TICK_S, "a lift has the time of a tick to arrive"
