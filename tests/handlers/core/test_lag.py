"""Would a promotion now lose more than the budget allows?"""

from __future__ import annotations

import pytest

from handlers.core.lag import OLDEST_USABLE_AGE_S, Lag, Measurement, judge

RULES = [
    ("detached already", None, True, True, "its lag is history"),
    ("detached already, and far behind", Measurement(9e9, 9e9), True, True, "its lag is history"),
    ("never published", None, False, False, "replication lag is unknown: the metric has no value"),
    ("stale", Measurement(1.0, OLDEST_USABLE_AGE_S + 1), False, False, "is 181 s old, more than 180 s"),
    ("stale and large", Measurement(5000.0, OLDEST_USABLE_AGE_S + 1), False, False, "replication lag is unknown"),
    ("as old as may be", Measurement(1.0, OLDEST_USABLE_AGE_S), False, True, "inside the RPO budget"),
    ("just over the budget", Measurement(1000.5, 10.0), False, False, "more than the RPO budget of 1000 ms"),
    (
        "exactly the budget",
        Measurement(1000.0, 10.0),
        False,
        True,
        "replication lag was 1000 ms, inside the RPO budget of 1000 ms",
    ),
    ("none at all", Measurement(0.0, 0.0), False, True, "replication lag was 0 ms, inside"),
]


@pytest.mark.parametrize(
    ("measured", "detached", "proceed", "reason"), [row[1:] for row in RULES], ids=[row[0] for row in RULES]
)
def test_p5_rule(measured: Measurement | None, detached: bool, proceed: bool, reason: str) -> None:
    lag = judge(measured, 1000, "the metric", detached)
    assert lag.proceed is proceed
    assert reason in lag.reason


def test_p7_the_verdict_carries_what_was_measured() -> None:
    lag = judge(Measurement(40.0, 30.0), 1000, "the metric", detached=False)
    assert lag == Lag(True, lag.reason, lag_ms=40.0, age_s=30.0, budget_ms=1000, source="the metric")


def test_p7_an_unknown_lag_stays_unknown() -> None:
    assert judge(None, 1000, "the metric", detached=False).lag_ms is None
