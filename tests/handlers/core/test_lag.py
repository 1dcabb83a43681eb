"""Would a promotion now lose more than the budget allows?"""

from __future__ import annotations

import pytest

from handlers.core.heartbeat import Beat
from handlers.core.lag import HEARTBEATS, OLDEST_USABLE_AGE_S, STANDBY, Lag, Measurement, judge, measure
from handlers.core.lease import CLOCK_MARGIN_S

NOW = 1_800_000_000.0


def measured(lag_ms: float, heartbeats: int = 1) -> Measurement:
    return Measurement(lag_ms, 3.0, STANDBY, heartbeats)


RULES = [
    ("begun already", None, True, True, "the lag is history"),
    ("begun already, and far behind", measured(9e9), True, True, "the lag is history"),
    ("never measured", None, False, False, "replication lag is unknown: there are no heartbeats"),
    ("just over the budget", measured(1000.5), False, False, "more than the RPO budget of 1000 ms"),
    ("exactly the budget", measured(1000.0), False, True, "inside the RPO budget of 1000 ms"),
    ("none at all", measured(0.0, 0), False, True, "replication lag was 0 ms by the standby's own account (0 heart"),
]


@pytest.mark.parametrize(
    ("found", "only_forward", "proceed", "reason"), [row[1:] for row in RULES], ids=[row[0] for row in RULES]
)
def test_p5_rule(found: Measurement | None, only_forward: bool, proceed: bool, reason: str) -> None:
    lag = judge(found, 1000, only_forward=only_forward)
    assert lag.proceed is proceed
    assert reason in lag.reason


def test_p7_the_verdict_carries_what_was_measured_and_how_finely() -> None:
    lag = judge(Measurement(0.0, 3.0, HEARTBEATS, 0), 1000, only_forward=False)
    assert lag == Lag(True, lag.reason, 0.0, 3.0, 1000, HEARTBEATS, 0)
    assert "0 ms by heartbeats (0 heartbeats, of one every 2000 ms, are missing in the standby)" in lag.reason


def test_p7_an_unknown_lag_stays_unknown() -> None:
    assert judge(None, 1000, only_forward=False).lag_ms is None


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
    assert measure(committed, replicated, None, NOW) == found


# The last of the writer is from 3 s ago, that of the standby from 5 s ago.
ACCOUNTS = [
    ("just before the last", -3.04, 40.0, STANDBY),
    ("right after the one that it has", -5.0, 2000.0, STANDBY),
    ("with the last, by a clock that is a little ahead", -3.0 + CLOCK_MARGIN_S, 0.0, STANDBY),
    ("before the one that it has", -5.1, 2000.0, HEARTBEATS),
    ("after the one that it lacks", -3.0 + CLOCK_MARGIN_S + 0.1, 2000.0, HEARTBEATS),
    ("now, as if nothing had happened", 0.0, 2000.0, HEARTBEATS),
    ("nothing", None, 2000.0, HEARTBEATS),
]


@pytest.mark.parametrize(("until", "lag_ms", "source"), [row[1:] for row in ACCOUNTS], ids=[row[0] for row in ACCOUNTS])
def test_p5_one_missing_heartbeat_is_measured_by_the_standbys_own_account(
    until: float | None, lag_ms: float, source: str
) -> None:
    found = measure(LAST, Beat(99, NOW - 5), None if until is None else NOW + until, NOW)
    assert found is not None
    assert (found.source, found.heartbeats) == (source, 1)
    assert found.lag_ms == pytest.approx(lag_ms, abs=0.01)


@pytest.mark.parametrize("behind", [0, 2, 3])
def test_p5_with_any_other_number_the_heartbeats_decide(behind: int) -> None:
    found = measure(LAST, Beat(100 - behind, LAST.at - 2 * behind), LAST.at - 0.04, NOW)
    assert found == Measurement(2000.0 * behind, 3.0, HEARTBEATS, behind)
