"""The failover workflow: every step in one row."""

from __future__ import annotations

from orchestration.specification.permissions import (
    ACT_ON_PEER,
    ANNOUNCE,
    CHANGE_CONTROL,
    KEEP_RECORD,
    KEEP_TOKENS,
    LOOK_AT_RUNS,
    MEMBER_VARIABLES,
    PROBE,
    READ_CONTROL,
    SEE_MEMBERSHIP,
    TELL,
)
from orchestration.specification.rows import Grant, Step, only_here

DETACH = Grant(
    ("rds:RemoveFromGlobalCluster",),
    lambda place: (place.names.global_cluster_arn, place.names.cluster_arn(place.region)),
    "detaches this region's cluster, and no other",
    tells=MEMBER_VARIABLES,
    conditions=only_here,
)
READ_STATUS = Grant(
    ("rds:DescribeDBClusters",),
    lambda place: (place.names.cluster_arn(place.region),),
    "reads the cluster's status and endpoint",
    tells=MEMBER_VARIABLES,
)
WARM_UP = Grant(
    ("lambda:InvokeFunction",),
    lambda place: tuple(place.names.function_arn(step.name, place.region) for step in STEPS),
    "has the steps started before they are needed",
    tells=("WARM_UP_FUNCTIONS",),
)

STEPS: tuple[Step, ...] = (
    Step(
        "claim",
        "Reads and validates a request and takes the lock on the control record",
        may=(CHANGE_CONTROL, LOOK_AT_RUNS),
        reads=("COOL_DOWN_S",),
        # The alarm's start and the event's, each delivered twice, the next attempt's, and a person's.
        concurrency=6,
    ),
    Step(
        "check_health",
        "Asks two independent observers whether the writer is down",
        may=(PROBE, SEE_MEMBERSHIP, READ_CONTROL, WARM_UP),
        reads=("RECOVERY_GRACE_S",),
    ),
    Step(
        "verify_lag",
        "Compares the last known replication lag with the RPO budget",
        may=(PROBE,),
        reads=("RPO_BUDGET_MS",),
    ),
    Step(
        "wait_for_lease",
        "Waits until the writer's lease has ended, then commits to move the writer",
        may=(CHANGE_CONTROL, PROBE),
    ),
    Step("ask_approval", "Asks people whether the writes that a failover would lose may be lost", may=(TELL, ANNOUNCE)),
    Step(
        "fence_old_writer",
        "Has the old writer's region keep applications from its database",
        may=(CHANGE_CONTROL, ACT_ON_PEER),
        reads=("PEER_FENCE_FUNCTION",),
    ),
    Step(
        "detach_secondary",
        "Takes this region's cluster out of the global database",
        may=(CHANGE_CONTROL, SEE_MEMBERSHIP, DETACH),
    ),
    Step(
        "switch_over",
        "Has Aurora change the roles of the two clusters",
        may=(CHANGE_CONTROL, SEE_MEMBERSHIP, READ_STATUS, ACT_ON_PEER),
    ),
    Step(
        "promote",
        "Waits until this region's cluster takes writes",
        may=(PROBE, CHANGE_CONTROL, SEE_MEMBERSHIP, READ_STATUS),
    ),
    Step(
        "repoint_dns",
        "Engages the writer switch, so that Route 53 answers with this region",
        may=(CHANGE_CONTROL, READ_STATUS),
        reads=("WRITER_DNS_NAME",),
    ),
    Step("commit_writer", "Records the new writer region and the next epoch", may=(CHANGE_CONTROL,)),
    Step(
        "verify_recovery",
        "Writes through the public name and checks where the write arrived",
        may=(PROBE,),
    ),
    Step("release_claim", "Gives the lock back when the writer has not moved", may=(CHANGE_CONTROL,)),
    Step("record_run", "Keeps the record of the run", may=(KEEP_RECORD,)),
    Step(
        "notify",
        "Tells people in both regions, and programs, that a run has begun, lasts, and how it ended",
        may=(CHANGE_CONTROL, KEEP_TOKENS, TELL, ANNOUNCE),
        reads=("PEER_STATE_MACHINE_ARN", "REPROTECTION_STATE_MACHINE_ARN", "STATE_MACHINE_ARN"),
    ),
)
