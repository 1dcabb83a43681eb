"""The roles in which one region's functions act on the other region, and all that each may do there."""

from __future__ import annotations

from orchestration.specification.functions import ROWS
from orchestration.specification.model import Permission, Role
from orchestration.specification.names import Names
from orchestration.specification.permissions import ACT_ON_PEER, LOOK_THERE, REBUILD_THERE, having_it_encrypted
from orchestration.specification.rows import Grant, Place, only_here


def role_for_peer(place: Place) -> Role:
    """Returns the role in which the orchestrator of the peer acts on this region.

    It is assumed through the regional STS endpoint of the peer, so it works while this region is dark.
    """
    names, region, peer = place.names, place.region, place.peer
    return Role(
        name=names.role_for_peer(region),
        description=f"The orchestrator of {peer} fences the old writer in {region} and switches over",
        trusted=_who_has(ACT_ON_PEER, place),
        permissions=(
            Permission(
                ("lambda:InvokeFunction",),
                (names.function_arn("fence", region),),
                "has the database of this region fenced, whose writer has moved away",
            ),
            Permission(
                ("rds:SwitchoverGlobalCluster",),
                (names.global_cluster_arn, names.cluster_arn(region), names.cluster_arn(peer)),
                "a switchover is asked of the region of the primary",
                only_here(place),
            ),
        ),
    )


def role_for_reprotection(place: Place) -> Role:
    """Returns the role in which the peer's re-protection looks at, fences and keeps the old cluster of this region."""
    names, region, peer = place.names, place.region, place.peer
    cluster, snapshots = (
        names.cluster_arn(region),
        names.arn("rds", region, f"cluster-snapshot:{names.cluster(region)}-*"),
    )
    return Role(
        name=names.role_for_reprotection(region),
        description=f"The re-protection of {peer} fences and keeps the old cluster in {region}",
        trusted=_who_has(LOOK_THERE, place),
        permissions=(
            Permission(
                ("lambda:InvokeFunction",),
                tuple(names.function_arn(step, region) for step in ("fence", "prober", "salvage")),
                "has the old cluster fenced, looked at and read",
            ),
            Permission(
                ("rds:DescribeDBClusters",),
                (cluster,),
                "reads the settings of the cluster",
                only_here(place),
            ),
            Permission(
                ("rds:DescribeDBInstances",),
                names.instance_arns(region),
                "reads the settings of its instances",
                only_here(place),
            ),
            Permission(
                ("rds:CreateDBClusterSnapshot",),
                (cluster, snapshots),
                "keeps a snapshot of the old cluster",
                only_here(place),
            ),
            Permission(
                ("rds:AddTagsToResource", "rds:DescribeDBClusterSnapshots"),
                (snapshots,),
                "gives the snapshot the cluster's tags, and sees how far RDS is",
                only_here(place),
            ),
        ),
    )


def role_for_rebuild(place: Place) -> Role:
    """Returns the role in which the peer's re-protection removes this region's old cluster and creates the new one."""
    names, region, peer = place.names, place.region, place.peer
    cluster, members = names.cluster_arn(region), names.instance_arns(region)
    existing = names.settings.existing_in(region)
    return Role(
        name=names.role_for_rebuild(region),
        description=f"The re-protection of {peer} removes the old cluster in {region} and makes a standby there",
        trusted=_who_has(REBUILD_THERE, place),
        permissions=(
            Permission(
                ("rds:DescribeDBClusters", "rds:ModifyDBCluster", "rds:DeleteDBCluster"),
                (cluster,),
                "removes the old cluster, and sees how far RDS is",
                only_here(place),
            ),
            Permission(
                ("rds:RemoveFromGlobalCluster",),
                (names.global_cluster_arn, cluster),
                "takes the old cluster out of the global database",
                only_here(place),
            ),
            Permission(
                ("rds:DescribeDBInstances", "rds:DeleteDBInstance"),
                members,
                "removes the old cluster's instances, and sees how far RDS is",
                only_here(place),
            ),
            Permission(
                ("rds:CreateDBCluster",),
                (names.global_cluster_arn, *_what_a_cluster_is_made_of(names, region, region)),
                "makes the cluster anew as a secondary",
                only_here(place),
            ),
            Permission(
                ("rds:CreateDBInstance",),
                (
                    cluster,
                    *members,
                    names.arn("rds", region, f"subgrp:{names.subnet_group(region)}"),
                    *(names.arn("rds", region, f"{kind}:default*") for kind in ("og", "pg")),  # RDS's own
                    *(names.arn("rds", region, f"pg:{group}") for group in existing.instance_parameter_groups),
                ),
                "makes its instances anew",
                only_here(place),
            ),
            Permission(
                ("rds:AddTagsToResource",),
                (cluster, *members),
                "gives the new cluster and its instances the tags of the old ones",
                only_here(place),
            ),
            Permission(
                ("rds:CreateDBCluster",),
                (names.global_cluster_arn, *_what_a_cluster_is_made_of(names, region, peer)),
                "the request for a copy of an encrypted cluster carries the same one signed for the writer's region "
                "(RDS API reference, CreateDBCluster, PreSignedUrl); nothing there has these names",
                {"StringEquals": {"aws:RequestedRegion": peer}},
            ),
            *having_it_encrypted(names, region, "the new cluster is encrypted with its region's key"),
        ),
    )


def _what_a_cluster_is_made_of(names: Names, region: str, where: str) -> tuple[str, ...]:
    """Returns what a request for ``region``'s cluster names, as a request in the region ``where`` would."""
    cluster = names.cluster(region)
    parameters = names.parameter_group(region) if names.settings.adopts else f"{cluster}-pg*"  # of any version
    return tuple(
        names.arn("rds", where, resource)
        for resource in (
            f"cluster:{cluster}",
            f"cluster-pg:{parameters}",
            f"subgrp:{names.subnet_group(region)}",
            "og:default*",
        )
    )


def _who_has(grant: Grant, place: Place) -> tuple[str, ...]:
    """Returns the roles of the peer's functions whose rows have the grant to assume this one."""
    return tuple(place.names.role_arn(place.names.function(row.name, place.peer)) for row in ROWS if grant in row.may)
