"""Would a promotion now lose more than the budget allows?"""

from __future__ import annotations

import pytest

from handlers.core.heartbeat import Beat
from handlers.core.lag import HEARTBEATS, OLDEST_USABLE_AGE_S, Lag, Measurement, by_heartbeats, judge

NOW = 1_800_000_000.0


def measured(lag_ms: float, age_s: float) -> Measurement:
    return Measurement(lag_ms, age_s, "the metric")


RULES = [
    ("begun already", None, True, True, "the lag is history"),
    ("begun already, and far behind", measured(9e9, 9e9), True, True, "the lag is history"),
    ("never published", None, False, False, "replication lag is unknown: the metric has no value"),
    ("stale", measured(1.0, OLDEST_USABLE_AGE_S + 1), False, False, "is 181 s old, more than 180 s"),
    ("stale and large", measured(5000.0, OLDEST_USABLE_AGE_S + 1), False, False, "replication lag is unknown"),
    ("as old as may be", measured(1.0, OLDEST_USABLE_AGE_S), False, True, "inside the RPO budget"),
    ("just over the budget", measured(1000.5, 10.0), False, False, "more than the RPO budget of 1000 ms"),
    (
        "exactly the budget",
        measured(1000.0, 10.0),
        False,
        True,
        "replication lag was 1000 ms by the metric, inside the RPO budget of 1000 ms",
    ),
    ("none at all", measured(0.0, 0.0), False, True, "replication lag was 0 ms by the metric, inside"),
]


@pytest.mark.parametrize(
    ("found", "only_forward", "proceed", "reason"), [row[1:] for row in RULES], ids=[row[0] for row in RULES]
)
def test_p5_rule(found: Measurement | None, only_forward: bool, proceed: bool, reason: str) -> None:
    lag = judge(found, 1000, "the metric", only_forward=only_forward)
    assert lag.proceed is proceed
    assert reason in lag.reason


def test_p7_the_verdict_carries_what_was_measured() -> None:
    lag = judge(measured(40.0, 30.0), 1000, "the metric", only_forward=False)
    assert lag == Lag(True, lag.reason, lag_ms=40.0, age_s=30.0, budget_ms=1000, source="the metric")
    lag = judge(Measurement(40.0, 3.0, HEARTBEATS, 1), 1000, "the metric", only_forward=False)
    assert (lag.source, lag.heartbeats) == (HEARTBEATS, 1)
    assert "40 ms by heartbeats" in lag.reason


def test_p7_an_unknown_lag_stays_unknown() -> None:
    assert judge(None, 1000, "the metric", only_forward=False).lag_ms is None


LAST = Beat(100, NOW - 3)

HEARTBEAT_ROWS = [
    ("the writer has none", None, LAST, None),
    ("the standby has none", LAST, None, None),
    ("nobody has one", None, None, None),
    ("the standby has the last", LAST, LAST, Measurement(0.0, 3.0, HEARTBEATS, 0)),
    ("one is missing", LAST, Beat(99, NOW - 5), Measurement(2000.0, 3.0, HEARTBEATS, 1)),
    ("many are missing", LAST, Beat(10, NOW - 183), Measurement(180_000.0, 3.0, HEARTBEATS, 90)),
    # The record is written after the row, so that the standby may know of a later one.
    ("the standby knows more than the record", LAST, Beat(101, NOW - 1), Measurement(0.0, 3.0, HEARTBEATS, 0)),
    ("a clock was set back between the two", LAST, Beat(99, NOW + 5), Measurement(0.0, 3.0, HEARTBEATS, 1)),
    ("the writer's clock is ahead", Beat(100, NOW + 1), Beat(100, NOW + 1), Measurement(0.0, 0.0, HEARTBEATS, 0)),
    (
        "as old as may be",
        Beat(100, NOW - OLDEST_USABLE_AGE_S),
        Beat(100, NOW - OLDEST_USABLE_AGE_S),
        Measurement(0.0, float(OLDEST_USABLE_AGE_S), HEARTBEATS, 0),
    ),
    ("older than that", Beat(100, NOW - OLDEST_USABLE_AGE_S - 1), Beat(100, NOW - OLDEST_USABLE_AGE_S - 1), None),
]


@pytest.mark.parametrize(
    ("committed", "replicated", "found"), [row[1:] for row in HEARTBEAT_ROWS], ids=[row[0] for row in HEARTBEAT_ROWS]
)
def test_p5_lag_by_heartbeats(committed: Beat | None, replicated: Beat | None, found: Measurement | None) -> None:
    assert by_heartbeats(committed, replicated, NOW) == found
