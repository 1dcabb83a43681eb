"""The re-protection workflow: every step in one row. Nobody waits for it, so its functions are small."""

from __future__ import annotations

from orchestration.specification.names import PARTITION
from orchestration.specification.permissions import (
    ANNOUNCE,
    CHANGE_CONTROL,
    KEEP_RECORD,
    KEEP_TOKENS,
    LOOK_THERE,
    READ_CONTROL,
    REBUILD_THERE,
    TELL,
    WRITE_CONTROL,
)
from orchestration.specification.rows import UNHURRIED_MB, Grant, Place, Step, only_here


def _bucket(place: Place) -> str:
    return f"arn:{PARTITION}:s3:::{place.names.salvage_bucket(place.region)}"


def _objects(place: Place) -> tuple[str, ...]:
    return (f"{_bucket(place)}/epoch-*/*",)


LOOK_AT_GLOBAL = Grant(
    ("rds:DescribeGlobalClusters",),
    lambda place: (place.names.global_cluster_arn,),
    "reads the members of the global database",
    tells=("GLOBAL_CLUSTER",),
    conditions=only_here,
)
# Without the permission to list, S3 answers "forbidden" for an object that does not exist.
LIST_KEPT = Grant(
    ("s3:ListBucket",),
    lambda place: (_bucket(place),),
    "tells an object that is not there from one it may not read",
    tells=("SALVAGE_BUCKET",),
)
READ_KEPT = Grant(("s3:GetObject",), _objects, "reads what is kept of the old cluster", tells=("SALVAGE_BUCKET",))
KEEP = Grant(
    ("s3:GetObject", "s3:PutObject"),
    _objects,
    "keeps what is needed of the old cluster",
    tells=("SALVAGE_BUCKET",),
)
REMOVE_GLOBAL = Grant(
    ("rds:DeleteGlobalCluster", "rds:DescribeGlobalClusters", "rds:ModifyGlobalCluster"),
    lambda place: (place.names.global_cluster_arn,),
    "removes the old global database, once it is empty",
    tells=("CLUSTER_ARN", "GLOBAL_CLUSTER"),
    conditions=only_here,
)
MAKE_GLOBAL = Grant(
    ("rds:CreateGlobalCluster",),
    lambda place: (place.names.global_cluster_arn, place.names.cluster_arn(place.region)),
    "makes the global database around this region's cluster",
    tells=("CLUSTER_ARN", "GLOBAL_CLUSTER"),
    conditions=only_here,
)
TAG_GLOBAL = Grant(
    ("rds:AddTagsToResource", "rds:DescribeGlobalClusters"),
    lambda place: (place.names.global_cluster_arn,),
    "gives the new global database the tags of the old one, and sees whether it is there",
    tells=("GLOBAL_CLUSTER",),
    conditions=only_here,
)
READ_OWN_CLUSTER = Grant(
    ("rds:DescribeDBClusters",),
    lambda place: (place.names.cluster_arn(place.region),),
    "reads the present writer's engine version",
    tells=("CLUSTER",),
)

STEPS = (
    Step(
        "begin_reprotection",
        "Reads and validates a request and takes the re-protection's lock",
        may=(CHANGE_CONTROL,),
        reads=("PEER_REGION",),
        memory_mb=UNHURRIED_MB,
    ),
    Step(
        "wait_for_old_region",
        "Waits until the old writer's region and its cluster answer",
        may=(READ_CONTROL, LOOK_THERE),
        reads=("PEER_CLUSTER", "SALVAGE_BUCKET"),
        memory_mb=UNHURRIED_MB,
    ),
    Step(
        "verify_fenced",
        "Makes sure that the old cluster is fenced, and keeps its settings",
        may=(CHANGE_CONTROL, LIST_KEPT, KEEP, LOOK_THERE, LOOK_AT_GLOBAL),
        reads=("PEER_CLUSTER", "PEER_FENCE_FUNCTION", "PEER_SALVAGE_FUNCTION"),
        memory_mb=UNHURRIED_MB,
    ),
    Step(
        "snapshot_old_cluster",
        "Makes a snapshot of the old cluster and waits until it is complete",
        may=(CHANGE_CONTROL, LIST_KEPT, READ_KEPT, LOOK_THERE),
        memory_mb=UNHURRIED_MB,
    ),
    Step(
        "export_salvage",
        "Exports what the old writer has committed and the new one lacks",
        may=(CHANGE_CONTROL, LIST_KEPT, KEEP, LOOK_THERE),
        reads=("PEER_SALVAGE_FUNCTION", "SALVAGE_REPLAY"),
        memory_mb=UNHURRIED_MB,
    ),
    Step(
        "ask_retirement",
        "Asks people whether the old cluster may be retired",
        may=(TELL,),
        memory_mb=UNHURRIED_MB,
    ),
    Step(
        "retire_old_cluster",
        "Removes the old cluster, once everything of it is kept",
        may=(CHANGE_CONTROL, LIST_KEPT, READ_KEPT, LOOK_THERE, REBUILD_THERE, REMOVE_GLOBAL),
        reads=("PEER_CLUSTER", "PEER_CLUSTER_ARN", "PEER_FENCE_FUNCTION", "PEER_SALVAGE_FUNCTION"),
        memory_mb=UNHURRIED_MB,
    ),
    Step(
        "build_global_database",
        "Makes the global database anew around the present writer",
        may=(CHANGE_CONTROL, LIST_KEPT, READ_KEPT, MAKE_GLOBAL, TAG_GLOBAL),
        memory_mb=UNHURRIED_MB,
    ),
    Step(
        "build_standby",
        "Makes the old region's cluster anew, as a standby",
        may=(CHANGE_CONTROL, LIST_KEPT, READ_KEPT, REBUILD_THERE, READ_OWN_CLUSTER),
        reads=("PEER_CLUSTER",),
        memory_mb=UNHURRIED_MB,
    ),
    Step(
        "verify_replication",
        "Waits until the new standby replicates inside the RPO budget",
        may=(CHANGE_CONTROL, LOOK_AT_GLOBAL, LOOK_THERE),
        reads=("PEER_CLUSTER", "PEER_CLUSTER_ARN", "PEER_FENCE_FUNCTION", "PEER_PROBER_FUNCTION", "RPO_BUDGET_MS"),
        memory_mb=UNHURRIED_MB,
    ),
    Step(
        "arm_failover",
        "Records that there is a standby again",
        may=(CHANGE_CONTROL,),
        memory_mb=UNHURRIED_MB,
    ),
    Step(
        "end_reprotection",
        "Gives the re-protection's lock back",
        may=(WRITE_CONTROL,),
        memory_mb=UNHURRIED_MB,
    ),
    Step(
        "notify_reprotection",
        "Tells people in both regions, and programs, how the re-protection ended, and keeps its record",
        may=(TELL, KEEP_RECORD, KEEP_TOKENS, ANNOUNCE),
        reads=("PEER_STATE_MACHINE_ARN", "REPROTECTION_STATE_MACHINE_ARN"),
        memory_mb=UNHURRIED_MB,
    ),
)
