"""Spans of the lease, from what the control record said."""

from __future__ import annotations

from drills.verdict.lease import LeaseSpan, lease_spans
from drills.verdict.seen import LeaseSeen

EAST, WEST = "us-east-1", "us-west-2"


def test_renewals_in_time_are_one_span_and_it_ends_with_the_last_of_them() -> None:
    seen = [LeaseSeen(at, EAST, at + 10) for at in (-20.0, -18.0, -16.0)]
    assert lease_spans(seen) == [LeaseSpan(region=EAST, started_s=-20, ended_s=-6)]


def test_a_lease_that_ran_out_before_it_was_renewed_leaves_a_gap() -> None:
    seen = [LeaseSeen(0.0, EAST, 10.0), LeaseSeen(14.0, EAST, 24.0)]
    assert [(span.started_s, span.ended_s) for span in lease_spans(seen)] == [(0, 10), (14, 24)]


def test_a_lease_that_was_given_up_ends_there_and_the_next_one_is_the_other_regions() -> None:
    seen = [
        LeaseSeen(0.0, EAST, 10.0),
        LeaseSeen(4.0, EAST, None),
        LeaseSeen(9.0, WEST, None),
        LeaseSeen(9.5, WEST, 19.5),
    ]
    assert lease_spans(seen) == [
        LeaseSpan(region=EAST, started_s=0, ended_s=4),
        LeaseSpan(region=WEST, started_s=9.5, ended_s=19.5),
    ]


def test_without_a_lease_there_is_no_span() -> None:
    assert lease_spans([]) == lease_spans([LeaseSeen(0.0, EAST, None), LeaseSeen(5.0, EAST, 4.0)]) == []
