"""What the workflows keep of a run, as the ends receive it: made of the steps' own results."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from handlers.core.claim import Claim
from handlers.core.health import Evidence, GuardianSeen, Health, Probe
from handlers.core.heartbeat import Beat
from handlers.core.lag import Lag
from handlers.core.reprotection import Order, Snapshot
from handlers.core.reprotection_results import Armed, Fenced, GlobalDatabase, OldRegion, Retired, Standby
from handlers.core.results import (
    Commit,
    Detachment,
    Lease,
    OldWriterFence,
    Promotion,
    Recovery,
    Release,
    Repointing,
    Switchover,
)
from handlers.core.salvage import Place, Salvage

STARTED = "2027-01-15T12:00:00.250Z"
BEGAN = 1_800_014_400.25

# --- of a failover

LAST_BEAT = Beat(seq=100, at=BEGAN - 20)
CLAIM = Claim(
    decision="proceed",
    reason="the lock was free",
    run="run-1",
    mode="failover",
    started_by="ada",
    incident="outage 7",
    writer_region="us-east-1",
    target_region="us-west-2",
    epoch=4,
    heartbeat=LAST_BEAT,
)
SWITCHOVER = replace(CLAIM, mode="switchover")
HEALTH = Health(
    proceed=True,
    reason="it is down",
    evidence=Evidence(
        writer=Probe("peer", None, None, "refused", 1.5),
        guardian=GuardianSeen("silent", "its guardian has given no sign of life for 6 s"),
        standby=Probe("own_reader", "reader", "us-west-2", None, 2.0, Beat(99, BEGAN - 22)),
        membership="secondary",
    ),
)
LAG = Lag(proceed=True, reason="40 ms", lag_ms=2000.0, age_s=20.0, budget_ms=5000, source="heartbeats", heartbeats=1)
LEASE = Lease(proceed=True, taken=True, reason="the lease has ended", lease_expires_at=BEGAN - 10.5)
FENCE = OldWriterFence(fenced=True, error=None)
PROMOTION = Promotion(
    next="done",
    seen="can write",
    quiet_since=None,
    looked_until=BEGAN + 35,
    tell=False,
    region="us-west-2",
    probe_ms=3.0,
    heartbeat=Beat(99, BEGAN - 22),
)
RECOVERY = Recovery(region="us-west-2", proved_at=BEGAN + 40)


def timing(after: float, lasted: float = 1.0) -> dict[str, float]:
    """When a step ran, in seconds after the start of the run."""
    return {"began": BEGAN + after, "ended": BEGAN + after + lasted}


def kept(result: Any, after: float = 0, lasted: float = 1.0) -> dict[str, Any]:
    """What a step gives back."""
    return asdict(result) | {"timing": timing(after, lasted)}


def under_result(result: Any, after: float = 0, lasted: float = 1.0) -> dict[str, Any]:
    """The same, where the workflow keeps it under ``result``."""
    return {"result": kept(result, after, lasted)}


MOVED: dict[str, Any] = {
    "fence": under_result(FENCE, 4),
    "detachment": kept(Detachment("payments-usw2-test", asked_at=BEGAN + 5, doubt=None), 4),
    "promotion": kept(PROMOTION, 5, 30),
    "dns": under_result(Repointing("writer.payments.test", "us-west-2"), 4),
}
FAILOVER: dict[str, Any] = {
    "claim": kept(CLAIM),
    "assessment": {"health": kept(HEALTH, 1), "lag": kept(LAG, 1)},
    "lease": under_result(LEASE, 3),
    "moved": MOVED,
    "commit": under_result(Commit("us-west-2", 5), 36),
    "recovery": under_result(RECOVERY, 38, 2),
}
SWITCHED_OVER: dict[str, Any] = FAILOVER | {
    "claim": kept(SWITCHOVER),
    "fence_first": under_result(FENCE, 2),
    "moved": {
        "switchover": kept(Switchover("payments-usw2-test", asked_at=BEGAN + 5, doubt=None), 4),
        "promotion": kept(PROMOTION, 5, 30),
        "dns": under_result(Repointing("writer.payments.test", "us-west-2"), 4),
    },
}
REFUSED_DETACH = {
    "rds_busy": {"Error": "RdsBusy", "Cause": '{"errorMessage": "RDS is busy", "errorType": "RdsBusy"}'},
    "error": {"Error": "DetachRejected", "Cause": '{"errorMessage": "RDS refuses", "errorType": "DetachRejected"}'},
    "release": under_result(Release(released=True), 41),
}

# --- of a re-protection

SALVAGE = Salvage(done=True, place=Place(3), part=1, missing=2, different=1, uncompared=0, kept_at="s3://kept/epoch-2/")
REPROTECTION: dict[str, Any] = {
    "order": kept(Order("proceed", "the lock was free", "run-2", "ada", "us-west-2", "us-east-1", 2)),
    "old_region": under_result(OldRegion(retiring=False, reason="the cluster is available"), 1),
    "fenced": under_result(Fenced(fenced_at=BEGAN, kept_at="s3://kept/epoch-2/"), 2),
    "snapshot": under_result(Snapshot("snapshot-1", "cluster-A", "available", 100, BEGAN + 3), 3),
    "salvage": under_result(SALVAGE, 4),
    "approval": {"approved_by": "grace"},
    "retired": under_result(Retired("cluster-A", "grace"), 6),
    "global_database": under_result(GlobalDatabase("payments-global-test", "arn:primary"), 7),
    "standby": under_result(Standby("payments-use1-test", "cluster-B", ["one", "two"]), 8),
    "replication": under_result(LAG, 9),
    "armed": under_result(Armed(automatic_failover=True), 10),
}
