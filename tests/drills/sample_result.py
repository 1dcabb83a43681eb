"""A result as a drill at production cadence makes it: us-east-1 killed, 20 s of stated promotion delay."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from drills.ends import End
from drills.verdict.events import Event, Kind
from drills.verdict.lease import LeaseSpan
from drills.verdict.marks import Marks
from drills.verdict.notes import Notes
from drills.verdict.result import DrillResult
from drills.verdict.throughput import Throughput

SEED = 7
CLIENTS = 8

FIRST_ACKNOWLEDGED_WRITE = 37.918
MARKS = Marks(
    first_failed_write=0.012,
    alarm=12.4,
    execution_started=12.913,
    detach_called=15.871,
    writes_possible=36.324,
    dns_switch_started=15.402,
    dns_switched=30.418,
    first_acknowledged_write=FIRST_ACKNOWLEDGED_WRITE,
    execution_ended=41.207,
)

EVENTS = [
    (-14.2, Kind.LAB, "PostgreSQL 17.5 runs in us-east-1 (writer) and us-west-2 (standby, link of 40 ms)", ""),
    (-11.0, Kind.LAB, "functions started from build/functions/*.zip", ""),
    (-10.1, Kind.CLIENT, "8 clients write through writer.db.payments.internal", ""),
    (0.0, Kind.OUTAGE, "us-east-1 is gone (kill): its databases, functions and APIs", ""),
    (0.012, Kind.CLIENT, "first failed write", "connection refused by 127.0.0.1:35411"),
    (6.1, Kind.ALARM, "heartbeat-missing-usw2-dev → ALARM", "SampleCount 0 for 1 period of 10 s"),
    (12.4, Kind.ALARM, "writer-down-usw2-dev → ALARM", "WriterDown 1 ≥ 1 in 2 of 3 periods of 10 s"),
    (12.913, Kind.WORKFLOW, "failover-usw2-dev started by writer-down-usw2-dev", "execution alarm-20251123T1004"),
    (13.2, Kind.WORKFLOW, "Claim succeeded: epoch 1, transition alarm-20251123T1004", ""),
    (14.1, Kind.WORKFLOW, "CheckHealth succeeded: writer down (2 observers)", ""),
    (14.3, Kind.WORKFLOW, "VerifyLag succeeded: 41 ms, budget 1000 ms", ""),
    (15.402, Kind.DNS, "writer switch in us-west-2 answers “engaged”", ""),
    (15.871, Kind.DATABASE, "RemoveFromGlobalCluster payments-usw2-dev", ""),
    (30.418, Kind.DNS, "writer.db.payments.internal → us-west-2", "health check PRIMARY unhealthy, TTL 5 s"),
    (36.324, Kind.DATABASE, "us-west-2 takes writes", "pg_promote took 84 ms"),
    (37.918, Kind.CLIENT, "first acknowledged write through the name", "client 3"),
    (38.9, Kind.WORKFLOW, "CommitWriter succeeded: us-west-2 is the writer, epoch 2", ""),
    (40.2, Kind.WORKFLOW, "VerifyRecovery succeeded: RTO 37.9 s", ""),
    (41.0, Kind.NOTIFICATION, "recovered: us-west-2 is the writer", "topic failover-usw2-dev"),
    (41.207, Kind.WORKFLOW, "failover-usw2-dev SUCCEEDED", ""),
    (47.9, Kind.CLIENT, "clients stopped; ledger checked", ""),
]

INVARIANTS = {
    "one_writer": "The old writer acknowledged nothing after the new one had taken over.",
    "lost_were_not_replicated": "What is lost is exactly what had not been replicated when the region died.",
    "nothing_duplicated": "No transfer was applied twice.",
    "sum_unchanged": "The accounts hold as much money as at the start.",
    "balances_match_movements": "Every balance equals its start plus its movements.",
    "one_run": "Exactly one run changed anything.",
}


def sample_result(**changes: Any) -> DrillResult:
    """Return the sample with some of its fields changed."""
    fields: dict[str, Any] = {
        "mode": "failover",
        "outage": "kill",
        "seed": SEED,
        "speed": 1.0,
        "aurora_promotion_seconds": 20.0,
        "arguments": ["--outage", "kill", "--mode", "failover", "--seed", "7", "--aurora-promotion", "20"],
        "started_at": datetime(2025, 11, 23, 10, 4, 5, tzinfo=UTC),
        "demanded": End.FAILED_OVER,
        "reached": End.FAILED_OVER,
        "execution_name": "alarm-20251123T1004",
        "execution_arn": "arn:aws:states:us-west-2:123456789012:execution:failover-usw2-dev:alarm-20251123T1004",
        "execution_status": "SUCCEEDED",
        "writer_before": "us-east-1",
        "standby": "us-west-2",
        "writer_after": "us-west-2",
        "gap_seconds": 37.93,
        "both_wrote": 0,
        "rpo_seconds": 0.034,
        "acknowledged": 15_217,
        "lost": 27,
        "duplicated": 0,
        "invariants": dict.fromkeys(INVARIANTS, True),
        "invariant_meanings": INVARIANTS,
        "marks": MARKS,
        "throughput": _throughput(),
        "lease": [
            LeaseSpan(region="us-east-1", started_s=-60.0, ended_s=9.3),
            LeaseSpan(region="us-west-2", started_s=38.95, ended_s=50.0),
        ],
        "events": [Event(at=at, kind=kind, text=text, detail=detail) for at, kind, text, detail in EVENTS],
        "settings": {
            "probe interval": "2 s",
            "failures before unreachable": 3,
            "alarm period": "10 s",
            "health check interval": "10 s",
            "DNS time to live": "5 s",
            "RPO budget": "1 s",
        },
        "run_record": {"run": "alarm-20251123T1004", "epoch_before": 1, "epoch_after": 2},
        "postgresql_version": "17.5",
        "notes": Notes(
            measured=[
                "Every write: when it was sent, when it was acknowledged, and whether it is on the new writer.",
                "The handlers and the state machine, run from the built artifacts.",
                "Promotion of the standby server, once the stated delay is over.",
            ],
            modelled=[
                "Aurora's promotion: a fixed delay of 20 s; AWS states no figure, field reports say minutes.",
                "Alarm evaluation: every 10 s, as CloudWatch documents it.",
                "Route 53: one checker every 10 s stands in for the vote of many.",
            ],
            limits=["Both regions share one machine: they compete for its processor."],
        ),
        "problems": [],
        "tolerated_errors": ["Notify could not reach us-east-1: connection refused (expected, the region is gone)"],
    }
    return DrillResult(**(fields | changes))


def _throughput() -> Throughput:
    """Return 8 clients that write all the time, fail from the outage on, and come back one after the other."""
    chance = random.Random(SEED)
    east = [chance.uniform(-10, 0) for _ in range(8300)]
    back = [FIRST_ACKNOWLEDGED_WRITE + 0.4 * client for client in range(CLIENTS)]
    west = [chance.uniform(start, 48) for start in back for _ in range(int((48 - start) * 100))]
    failures = [at for start in back for at in _attempts(chance, start)]
    return Throughput.count({"us-east-1": east, "us-west-2": west}, failures, started_s=-10.0, ended_s=48.0)


def _attempts(chance: random.Random, until: float) -> list[float]:
    at, attempts = 0.0, []
    while at < until:
        attempts.append(at)
        at += chance.uniform(0.2, 0.7)
    return attempts
