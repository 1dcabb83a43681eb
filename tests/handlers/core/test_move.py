"""What a run does whose request has left no trace, and when people are told that it takes long."""

from __future__ import annotations

import itertools

import pytest

from handlers.core.move import NextMove, Sight, decide, is_time_to_tell, quiet_since
from handlers.core.request import Mode

QUIET = Sight("secondary", "available", None)


@pytest.mark.parametrize(
    ("sight", "quiet"),
    [
        (QUIET, True),
        (Sight("none", "available", None), False),
        (Sight("primary", "available", None), False),
        (Sight("secondary", "promoting", None), False),
        (Sight("secondary", "available", "pending"), False),
        (Sight("secondary", "available", "cancelling"), False),
        (Sight("secondary", "available", "switching-over"), False),
    ],
)
def test_p9_a_request_has_left_no_trace_while_the_cluster_is_what_it_was(sight: Sight, quiet: bool) -> None:
    assert sight.quiet is quiet
    assert quiet_since(100.0, sight, 120.0) == (100.0 if quiet else None)
    assert quiet_since(None, sight, 120.0) == (120.0 if quiet else None)


@pytest.mark.parametrize(
    ("mode", "requests", "quiet_for_s", "writer_is_down", "expected"),
    [
        ("failover", 1, 29.9, True, "wait"),
        ("failover", 1, 30.0, True, "ask_again"),
        ("failover", 9, 30.0, True, "ask_again"),
        ("switchover", 1, 29.9, False, "wait"),
        ("switchover", 1, 30.0, False, "ask_again"),
        ("switchover", 2, 30.0, False, "wait"),
        ("switchover", 2, 59.9, False, "wait"),
        ("switchover", 2, 60.0, False, "end_switchover"),
        ("switchover", 1, 14.9, True, "wait"),
        ("switchover", 1, 15.0, True, "leave_to_failover"),
        ("switchover", 2, 60.0, True, "leave_to_failover"),
    ],
)
def test_p9_what_becomes_of_a_request_that_has_left_no_trace(
    mode: Mode, requests: int, quiet_for_s: float, writer_is_down: bool, expected: NextMove
) -> None:
    move, why = decide(mode, requests, quiet_for_s, writer_is_down)
    assert move == expected
    assert f"RDS has shown nothing of the request for {quiet_for_s:.0f} s" in why


def test_p7_people_are_told_once_at_60_s_and_then_every_5_min() -> None:
    looks = [1000.0 + 7.0 * number for number in range(200)]
    told = [now - 1000 for before, now in itertools.pairwise(looks) if is_time_to_tell(1000.0, before, now)]
    assert told == [63, 301, 602, 903, 1204]
