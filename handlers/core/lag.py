"""Would a promotion now lose more than the RPO budget allows? Unknown lag is not small lag.

Heartbeats come first: the record says which one the writer has committed, the standby which one it has. Aurora's metric
comes second; it may be two minutes old while the heartbeats are from the last tick.
"""

from __future__ import annotations

from dataclasses import dataclass

from handlers.core.heartbeat import Beat

HEARTBEATS = "heartbeats"

# Aurora publishes the metric once a minute and CloudWatch may take another minute to show it; a value older than three
# minutes was already stale when the writer went down. The same holds for the record's heartbeat: a guardian that has
# been silent that long says nothing about what was replicated since.
OLDEST_USABLE_AGE_S = 180


@dataclass(frozen=True)
class Measurement:
    """One replication lag: ``lag_ms``, how old the value is, and where it comes from.

    ``heartbeats`` counts those that the writer had committed and the standby does not have.
    """

    lag_ms: float
    age_s: float
    source: str
    heartbeats: int | None = None


@dataclass(frozen=True)
class Lag:
    """The verdict; ``reason`` is a sentence for people, ``lag_ms`` None when it is not known.

    ``replicated_xid``: every transaction of the writer with a lower id had ended and was in the standby.
    """

    proceed: bool
    reason: str
    lag_ms: float | None
    age_s: float | None
    budget_ms: int
    source: str
    heartbeats: int | None = None
    replicated_xid: int | None = None


def by_heartbeats(committed: Beat | None, replicated: Beat | None, now: float) -> Measurement | None:
    """Returns the lag between the last heartbeat that the record knows of and the newest in the standby.

    None when either is missing, or the record's is too old to say anything.
    """
    if committed is None or replicated is None or now - committed.at > OLDEST_USABLE_AGE_S:
        return None
    behind = max(0, committed.seq - replicated.seq)
    lag_ms = max(0.0, committed.at - replicated.at) * 1000 if behind else 0.0
    return Measurement(lag_ms, max(0.0, now - committed.at), HEARTBEATS, behind)


def judge(measured: Measurement | None, budget_ms: int, source: str, *, only_forward: bool) -> Lag:
    """Compares the last known lag with the budget.

    ``source`` names what was asked last when nothing is known; ``only_forward``: see `handlers.core.health.judge`.
    """
    lag_ms = measured.lag_ms if measured else None
    age_s = measured.age_s if measured else None
    source = measured.source if measured else source
    rows = (
        (only_forward, True, "RDS has been asked to move the writer already; the lag is history"),
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
            f"replication lag was {lag_ms or 0:.0f} ms by {source}, more than the RPO budget of {budget_ms} ms",
        ),
        (True, True, f"replication lag was {lag_ms or 0:.0f} ms by {source}, inside the RPO budget of {budget_ms} ms"),
    )
    proceed, reason = next((proceed, reason) for fits, proceed, reason in rows if fits)
    return Lag(proceed, reason, lag_ms, age_s, budget_ms, source, measured.heartbeats if measured else None)
