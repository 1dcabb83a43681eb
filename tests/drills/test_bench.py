"""What a benchmark makes of the results of its drills."""

from __future__ import annotations

from typing import Any

import pytest

from drills.bench.rto import Spread, figures, summary


def result(rto: float, alarm: float, promoted: float, delay: float = 0.0, **more: Any) -> dict[str, Any]:
    return {
        "status": "passed",
        "lost": 1,
        "duplicated": 0,
        "both_wrote": 0,
        "rto_seconds": rto,
        "marks": {"alarm": alarm, "execution_started": alarm + 0.5, "writes_possible": promoted},
        "phases": [
            {"name": "Detection", "seconds": alarm, "modelled": False},
            {"name": "Aurora's delay", "seconds": delay, "modelled": True},
        ],
        **more,
    }


def test_the_sums_leave_the_stated_delay_out() -> None:
    assert figures(result(rto=60.0, alarm=15.0, promoted=50.0, delay=30.0)) == {
        "Detection": 15.0,
        "Aurora's delay": 30.0,
        "RTO without Aurora's delay": 30.0,
        "Orchestration": 4.5,
        "Detection to promotion": 5.0,
    }


def test_a_failover_that_did_not_wait_for_the_alarm_is_measured_from_the_monitors_verdict() -> None:
    drill = result(rto=18.0, alarm=20.0, promoted=12.0, rto_by_name_seconds=18.0, rto_by_hosts_seconds=13.0)
    drill["marks"] |= {"verdict": 8.0, "detach_called": 10.5, "execution_started": 8.2}
    found = figures(drill)
    assert (found["Detection to promotion"], found["Outage to detach asked"]) == (4.0, 10.5)
    assert (found["RTO by name"], found["RTO by hosts"]) == (18.0, 13.0)


def test_a_figure_that_not_every_drill_has_is_spread_over_those_that_have_it() -> None:
    drills = [result(30.0, 10.0, 14.0), result(30.0, 10.0, 14.0, rto_by_hosts_seconds=12.0)]
    assert summary({"kill": drills})["outages"]["kill"]["seconds"]["RTO by hosts"] == Spread(12.0, 12.0, 12.0)


def test_a_hanging_region_is_compared_with_one_that_refuses_by_the_medians() -> None:
    kill = [result(30.0, 10.0, promoted) for promoted in (13.0, 14.0, 30.0)]
    hang = [result(30.0, 10.0, promoted) for promoted in (14.5, 14.0, 15.5)]
    measured = summary({"kill": kill, "hang": hang})
    assert measured["compared"] == {"hanging_minus_refusing_s": 0.5, "hanging_over_refusing": 1.125}
    assert measured["outages"]["kill"]["seconds"]["Detection to promotion"] == Spread(3.0, 4.0, 20.0)


@pytest.mark.parametrize("outages", [("kill",), ("isolate", "kill")])
def test_nothing_is_compared_that_was_not_run(outages: tuple[str, ...]) -> None:
    assert summary({outage: [result(30.0, 10.0, 14.0)] for outage in outages})["compared"] == {}


def test_what_was_lost_and_what_failed_is_kept_for_every_run() -> None:
    drills = [result(30.0, 10.0, 14.0), result(30.0, 10.0, 14.0, status="failed", lost=7)]
    found = summary({"kill": drills})["outages"]["kill"]
    assert (found["runs"], found["passed"], found["lost"]) == (2, 1, [1, 7])
