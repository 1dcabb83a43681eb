"""Would a promotion now lose more than the RPO budget allows? Unknown lag is not small lag."""

from __future__ import annotations

from dataclasses import dataclass

# Aurora publishes the metric once a minute and CloudWatch may take another minute to show it; a value older than
# three minutes was already stale when the writer went down.
OLDEST_USABLE_AGE_S = 180


@dataclass(frozen=True)
class Measurement:
    """One replication lag: ``lag_ms``, and how old the value is."""

    lag_ms: float
    age_s: float


@dataclass(frozen=True)
class Lag:
    """The verdict; ``reason`` is a sentence for people, ``lag_ms`` None when it is not known."""

    proceed: bool
    reason: str
    lag_ms: float | None
    age_s: float | None
    budget_ms: int
    source: str


def judge(measured: Measurement | None, budget_ms: int, source: str, detached: bool) -> Lag:
    """Compares the last known lag with the budget. ``detached``: see `handlers.core.health.judge`."""
    lag_ms = measured.lag_ms if measured else None
    age_s = measured.age_s if measured else None
    rows = (
        (detached, True, "this region's cluster is detached already; its lag is history"),
        (measured is None, False, f"replication lag is unknown: {source} has no value"),
        (
            measured is not None and measured.age_s > OLDEST_USABLE_AGE_S,
            False,
            f"replication lag is unknown: the last value of {source} is {age_s or 0:.0f} s old, more than "
            f"{OLDEST_USABLE_AGE_S} s",
        ),
        (
            measured is not None and measured.lag_ms > budget_ms,
            False,
            f"replication lag was {lag_ms or 0:.0f} ms, more than the RPO budget of {budget_ms} ms",
        ),
        (True, True, f"replication lag was {lag_ms or 0:.0f} ms, inside the RPO budget of {budget_ms} ms"),
    )
    proceed, reason = next((proceed, reason) for fits, proceed, reason in rows if fits)
    return Lag(proceed, reason, lag_ms, age_s, budget_ms, source)
