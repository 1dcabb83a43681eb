"""Judging a writer that moves away and comes back under its old name."""

from __future__ import annotations

from typing import Literal

import pytest

from drills.verdict.moves import Move, judge_moves, unexplained
from drills.world.bank import Event
from drills.world.clock import Clock

EAST, WEST = "payments-use1", "payments-usw2"
CLOCK = Clock(epoch=0.0, speed=1.0)


def event(t: float, name: str, cluster: str = "", client: int = 1) -> Event:
    kind: Literal["ack", "fail"] = "ack" if cluster else "fail"
    return Event(t, t - 0.1, client, "us-west-2", name, kind, cluster)


# East writes until 10 and loses its last two, West writes from 20, East again from 40.
EVENTS = [
    event(8, "a", EAST),
    event(9, "b", EAST),
    event(9.5, "c", EAST),
    event(11, "d"),
    event(20, "d", WEST),
    event(30, "e", WEST),
    event(36, "f"),
    event(40, "f", EAST),
    event(41, "g", EAST),
]
MOVES = [Move(10, EAST, WEST, frozenset({"b", "c"})), Move(35, WEST, EAST)]
PRESENT = {"a", "d", "e", "f", "g"}


def test_each_move_is_judged_by_its_own_time() -> None:
    first, back = judge_moves(EVENTS, MOVES, PRESENT, CLOCK)
    assert (first.lost, back.lost) == (frozenset({"b", "c"}), frozenset())
    assert (first.rpo_seconds, back.rpo_seconds) == (0.5, 0)
    assert (first.rto_seconds, back.rto_seconds) == pytest.approx((9.1, 4.1))
    assert (first.gap_seconds, back.gap_seconds) == (10.5, 10)
    assert (first.both_wrote, back.both_wrote) == (0, 0)


def test_what_was_lost_belongs_to_the_move_that_lost_it() -> None:
    """A region that dies lost what it acknowledged a moment before."""
    moves = [MOVES[0], Move(35, WEST, EAST, frozenset({"e"}))]
    first, second = judge_moves(EVENTS, moves, PRESENT - {"e"}, CLOCK)
    assert (first.lost, second.lost) == (frozenset({"b", "c"}), frozenset({"e"}))


@pytest.mark.parametrize(("late", "expected"), [(event(25, "late", EAST), [1, 0]), (event(42, "late", WEST), [0, 1])])
def test_an_old_writer_that_acknowledges_is_found_in_the_move_where_it_did(late: Event, expected: list[int]) -> None:
    events = sorted([*EVENTS, late], key=lambda each: each.t)
    assert [each.both_wrote for each in judge_moves(events, MOVES, PRESENT | {"late"}, CLOCK)] == expected


def test_what_was_lost_is_what_was_never_replicated() -> None:
    assert unexplained(EVENTS, MOVES, PRESENT) == set()
    assert unexplained(EVENTS, MOVES, PRESENT - {"a"}) == {"a"}  # replicated, and lost
    assert unexplained(EVENTS, MOVES, PRESENT | {"b"}) == {"b"}  # never replicated, and there


def test_what_the_old_writer_did_not_answer_and_the_new_one_did_is_not_lost() -> None:
    moves = [Move(10, EAST, WEST, frozenset({"b", "c", "d"})), MOVES[1]]
    assert unexplained(EVENTS, moves, PRESENT) == set()
