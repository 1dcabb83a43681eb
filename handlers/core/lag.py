"""Would a promotion now lose more than the RPO budget allows? Unknown lag is not small lag.

Heartbeats decide: the record says which one the writer has committed, the standby which one it has. They come every 2
s, against a budget of 1 s, so one missing heartbeat alone says too little: a writer that dies between "noted" and
"replicated" has lost some milliseconds only. When exactly one is missing, the standby itself is asked up to which
moment it has the writer's commits.

It is asked at VerifyLag, not in each tick: what it says then is the last that it has heard of the writer, and no
table is needed in which it would have been noted before. Two answers are not believed: a moment before the heartbeat
that it has, which says more, and one after the heartbeat that it lacks. Such an answer contradicts itself; it would
come of a clock that goes on during the outage.

Where heartbeats say nothing, nothing else decides. Aurora's metric in CloudWatch is shown, and may be two minutes
old.
"""

from __future__ import annotations

from dataclasses import dataclass

from handlers.core.heartbeat import Beat
from handlers.core.lease import CLOCK_MARGIN_S, TICK_S

HEARTBEATS = "heartbeats"
STANDBY = "the standby's own account"

# A guardian that has been silent for this long says nothing about what was replicated since.
OLDEST_USABLE_AGE_S = 180


@dataclass(frozen=True)
class Measurement:
    """One replication lag: ``lag_ms``, how old the value is, and where it comes from.

    ``heartbeats`` counts those that the writer had committed and the standby does not have.
    """

    lag_ms: float
    age_s: float
    source: str
    heartbeats: int


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


def measure(
    committed: Beat | None, replicated: Beat | None, replicated_until: float | None, now: float
) -> Measurement | None:
    """Returns the lag between the last heartbeat that the record knows of and what the standby has.

    ``replicated_until``: up to when the standby says that it has the writer's commits (seconds since 1970), where it
    says so. None when a heartbeat is missing, or the record's is too old to say anything.
    """
    if committed is None or replicated is None or now - committed.at > OLDEST_USABLE_AGE_S:
        return None
    behind, age_s = max(0, committed.seq - replicated.seq), max(0.0, now - committed.at)
    believable = replicated_until is not None and replicated.at <= replicated_until <= committed.at + CLOCK_MARGIN_S
    if behind == 1 and replicated_until is not None and believable:
        return Measurement(max(0.0, committed.at - replicated_until) * 1000, age_s, STANDBY, behind)
    lag_ms = max(0.0, committed.at - replicated.at) * 1000 if behind else 0.0
    return Measurement(lag_ms, age_s, HEARTBEATS, behind)


def judge(measured: Measurement | None, budget_ms: int, *, only_forward: bool) -> Lag:
    """Compares the last known lag with the budget; ``only_forward``: see `handlers.core.health.judge`."""
    lag_ms = measured.lag_ms if measured else None
    age_s = measured.age_s if measured else None
    source = measured.source if measured else HEARTBEATS
    missing = f"{measured.heartbeats if measured else 0} heartbeats, of one every {TICK_S * 1000:.0f} ms, are missing"
    known = f"replication lag was {lag_ms or 0:.0f} ms by {source} ({missing} in the standby)"
    rows = (
        (only_forward, True, "RDS has been asked to move the writer already; the lag is history"),
        (
            measured is None,
            False,
            "replication lag is unknown: there are no heartbeats of the writer and of the standby to compare, or the "
            f"writer's last is more than {OLDEST_USABLE_AGE_S} s old",
        ),
        (
            measured is not None and measured.lag_ms > budget_ms,
            False,
            f"{known}, more than the RPO budget of {budget_ms} ms",
        ),
        (True, True, f"{known}, inside the RPO budget of {budget_ms} ms"),
    )
    proceed, reason = next((proceed, reason) for fits, proceed, reason in rows if fits)
    return Lag(proceed, reason, lag_ms, age_s, budget_ms, source, measured.heartbeats if measured else None)
