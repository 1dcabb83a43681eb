"""What re-protection adds to a region: its steps, what each may do, and the roles that act on the other region."""

from __future__ import annotations

import json

from orchestration.settings import Settings
from orchestration.specification import permissions as shared
from orchestration.specification.model import Permission, Role
from orchestration.specification.names import PARTITION, Names

# A page of the old writer's tables, read from storage that is cold and compared across the peering.
SALVAGE_TIMEOUT_SECONDS = 60

# Every step of the re-protection workflow.
STEPS = {
    "begin_reprotection": "Reads and validates a request and takes the re-protection's lock",
    "wait_for_old_region": "Waits until the old writer's region and its cluster answer",
    "verify_fenced": "Makes sure that the old cluster is fenced, and keeps its settings",
    "snapshot_old_cluster": "Makes a snapshot of the old cluster and waits until it is complete",
    "export_salvage": "Exports what the old writer has committed and the new one lacks",
    "ask_retirement": "Asks people whether the old cluster may be retired",
    "retire_old_cluster": "Removes the old cluster, once everything of it is kept",
    "build_global_database": "Makes the global database anew around the present writer",
    "build_standby": "Makes the old region's cluster anew, as a standby",
    "verify_replication": "Waits until the new standby replicates inside the RPO budget",
    "arm_failover": "Records that there is a standby again",
    "end_reprotection": "Gives the re-protection's lock back",
    "notify_reprotection": "Tells people in both regions how the re-protection ended, and keeps its record",
}
# Those that act on the other region in order to look, fence and keep, and those that remove and make there.
STEPS_THAT_KEEP = (
    "wait_for_old_region",
    "verify_fenced",
    "snapshot_old_cluster",
    "export_salvage",
    "retire_old_cluster",
    "verify_replication",
)
STEPS_THAT_REBUILD = ("retire_old_cluster", "build_standby")


def environment(settings: Settings, step: str) -> dict[str, str]:
    """What one step alone is told."""
    return {"SALVAGE_REPLAY": json.dumps(settings.salvage.replay)} if step == "export_salvage" else {}


def permissions(names: Names, region: str, peer: str) -> dict[str, tuple[Permission, ...]]:
    """What each step of the re-protection may do in its own region."""
    change_control, tell = shared.change_control(names, region), shared.tell(names, region, peer)
    here = {"StringEquals": {"aws:RequestedRegion": region}}
    look_at_global = Permission(
        ("rds:DescribeGlobalClusters",), (names.global_cluster_arn,), "reads the members of the global database", here
    )
    bucket = f"arn:{PARTITION}:s3:::{names.salvage_bucket(region)}"
    objects = (f"{bucket}/epoch-*/*",)
    # Without the right to list, S3 calls an object that is not there forbidden.
    listing = Permission(("s3:ListBucket",), (bucket,), "tells an object that is not there from one it may not read")
    read_kept = Permission(("s3:GetObject",), objects, "reads what is kept of the old cluster")
    keep = Permission(("s3:GetObject", "s3:PutObject"), objects, "keeps what is needed of the old cluster")
    look_there = Permission(
        ("sts:AssumeRole",),
        (names.role_arn(names.role_for_reprotection(peer)),),
        "looks at the old cluster, fences and keeps it, in the role that is made for that",
    )
    rebuild_there = Permission(
        ("sts:AssumeRole",),
        (names.role_arn(names.role_for_rebuild(peer)),),
        "removes the old cluster or makes the new one, in the role that is made for that",
    )
    own_cluster = Permission(
        ("rds:DescribeDBClusters",), (names.cluster_arn(region),), "reads the present writer's engine version"
    )
    return {
        "begin_reprotection": (change_control,),
        "wait_for_old_region": (shared.read_control(names, region), look_there),
        "verify_fenced": (change_control, listing, keep, look_there, look_at_global),
        "snapshot_old_cluster": (change_control, listing, read_kept, look_there),
        "export_salvage": (change_control, listing, keep, look_there),
        "ask_retirement": (tell,),
        "retire_old_cluster": (
            change_control,
            listing,
            read_kept,
            look_there,
            rebuild_there,
            Permission(
                ("rds:DeleteGlobalCluster", "rds:DescribeGlobalClusters", "rds:ModifyGlobalCluster"),
                (names.global_cluster_arn,),
                "removes the old global database, once it is empty",
                here,
            ),
        ),
        "build_global_database": (
            change_control,
            listing,
            read_kept,
            Permission(
                ("rds:AddTagsToResource", "rds:CreateGlobalCluster", "rds:DescribeGlobalClusters"),
                (names.global_cluster_arn, names.cluster_arn(region)),
                "makes the global database around this region's cluster",
                here,
            ),
        ),
        "build_standby": (change_control, listing, read_kept, rebuild_there, own_cluster),
        "verify_replication": (change_control, look_at_global, look_there),
        "arm_failover": (change_control,),
        "end_reprotection": (change_control,),
        "notify_reprotection": (
            tell,
            shared.keep_record(names, region),
            shared.keep_tokens(names, region),
        ),
    }


def role_for_reprotection(names: Names, region: str, peer: str, instances: int) -> Role:
    """The role in which the re-protection of ``peer`` looks at the old cluster in ``region``, fences and keeps it."""
    cluster, snapshots = (
        names.cluster_arn(region),
        names.arn("rds", region, f"cluster-snapshot:{names.cluster(region)}-*"),
    )
    there = {"StringEquals": {"aws:RequestedRegion": region}}
    return Role(
        name=names.role_for_reprotection(region),
        description=f"The re-protection of {peer} fences and keeps the old cluster in {region}",
        trusted=tuple(names.role_arn(names.function(step, peer)) for step in STEPS_THAT_KEEP),
        permissions=(
            Permission(
                ("lambda:InvokeFunction",),
                tuple(names.function_arn(step, region) for step in ("fence", "prober", "salvage")),
                "has the old cluster fenced, looked at and read",
            ),
            Permission(
                ("rds:DescribeDBClusters", "rds:DescribeDBInstances"),
                (cluster, *_instances(names, region, instances)),
                "reads the settings of the cluster and its instances",
                there,
            ),
            Permission(
                ("rds:AddTagsToResource", "rds:CreateDBClusterSnapshot", "rds:DescribeDBClusterSnapshots"),
                (cluster, snapshots),
                "keeps a snapshot of the old cluster",
                there,
            ),
        ),
    )


def role_for_rebuild(names: Names, region: str, peer: str, instances: int) -> Role:
    """The role in which the re-protection of ``peer`` removes the old cluster in ``region`` and makes the new one."""
    cluster, members = names.cluster_arn(region), _instances(names, region, instances)
    there = {"StringEquals": {"aws:RequestedRegion": region}}
    return Role(
        name=names.role_for_rebuild(region),
        description=f"The re-protection of {peer} removes the old cluster in {region} and makes a standby there",
        trusted=tuple(names.role_arn(names.function(step, peer)) for step in STEPS_THAT_REBUILD),
        permissions=(
            Permission(
                (
                    "rds:AddTagsToResource",
                    "rds:CreateDBCluster",
                    "rds:CreateDBInstance",
                    "rds:DeleteDBCluster",
                    "rds:DeleteDBInstance",
                    "rds:DescribeDBClusters",
                    "rds:DescribeDBInstances",
                    "rds:ModifyDBCluster",
                    "rds:RemoveFromGlobalCluster",
                ),
                (
                    cluster,
                    *members,
                    names.global_cluster_arn,
                    *(
                        names.arn("rds", region, f"{kind}:{names.cluster(region)}{ending}")
                        for kind, ending in (("cluster-pg", "-pg*"), ("subgrp", ""))
                    ),
                    *(names.arn("rds", region, f"{kind}:default*") for kind in ("og", "pg")),  # RDS's own
                ),
                "removes the old cluster with its instances, and makes it anew as a secondary",
                there,
            ),
            Permission(
                ("rds:CreateDBCluster",),
                (
                    names.global_cluster_arn,
                    names.cluster_arn(peer),
                    names.arn("rds", peer, f"cluster:{names.cluster(region)}"),
                ),
                "the request for a copy of an encrypted cluster carries another one, signed for the writer's region "
                "(RDS API reference, CreateDBCluster, PreSignedUrl)",
                {"StringEquals": {"aws:RequestedRegion": peer}},
            ),
            Permission(
                ("kms:CreateGrant", "kms:DescribeKey"),
                (names.arn("kms", region, "key/*"),),
                "the new cluster is encrypted with its region's key; the alias limits it to that key",
                {"ForAnyValue:StringEquals": {"kms:ResourceAliases": names.key_alias(region)}},
            ),
        ),
    )


def _instances(names: Names, region: str, instances: int) -> tuple[str, ...]:
    return tuple(names.arn("rds", region, f"db:{names.instance(index, region)}") for index in range(instances))
