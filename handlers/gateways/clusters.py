"""The clusters of one region and the global database, as re-protection looks at, removes and creates them.

Every request may be sent again: what is already gone, or already there, is not an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from handlers.core.capacity import Bounds
from handlers.core.environment import PeerVariables, Variables
from handlers.core.errors import TransientFailure
from handlers.core.reprotection import Snapshot
from handlers.gateways.acting import OtherRegion
from handlers.gateways.aws import client, code_of, named_errors

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

# RDS answers with these while it is still working on the same thing.
BUSY = frozenset(
    {
        "InvalidDBClusterStateFault",
        "InvalidDBInstanceState",
        "InvalidDBInstanceStateFault",
        "InvalidGlobalClusterStateFault",
    }
)
GONE = frozenset(
    {"DBClusterNotFoundFault", "DBInstanceNotFound", "DBInstanceNotFoundFault", "GlobalClusterNotFoundFault"}
)
# What RDS says, with the code InvalidParameterValue, of a cluster that is no member (hashicorp/terraform-provider-aws,
# resource aws_rds_global_cluster).
NO_MEMBER = "is not found in global cluster"
THERE = frozenset(
    {
        "DBClusterAlreadyExistsFault",
        "DBClusterSnapshotAlreadyExistsFault",
        "DBInstanceAlreadyExists",
        "GlobalClusterAlreadyExistsFault",
    }
)
# Requests that create or remove a cluster take RDS some seconds, and nobody is in a hurry.
READ_TIMEOUT_S = 20.0

Description = dict[str, Any]


class Clusters:
    """RDS of one region."""

    def __init__(self, client: RDSClient, region: str) -> None:
        self._client = client
        self._region = region

    @classmethod
    def here(cls, environment: Variables) -> Clusters:
        """Returns this region's clusters, with the function's own permissions."""
        return cls(
            client("rds", environment.aws_region, read_timeout_s=READ_TIMEOUT_S, attempts=1), environment.aws_region
        )

    @classmethod
    def there(cls, other_region: OtherRegion, environment: PeerVariables, run: str) -> Clusters:
        """Returns the other region's clusters, in the role for it."""
        return cls(other_region.client("rds", run, read_timeout_s=READ_TIMEOUT_S), environment.peer_region)

    # --- looking

    def find(self, identifier: str) -> Description | None:
        """Returns the cluster as RDS describes it; None when there is none."""
        return self._find(
            f"reading the cluster {identifier} in {self._region}",
            lambda: self._client.describe_db_clusters(DBClusterIdentifier=identifier)["DBClusters"],
        )

    def find_instance(self, identifier: str) -> Description | None:
        """Returns the instance as RDS describes it; None when there is none."""
        return self._find(
            f"reading the instance {identifier} in {self._region}",
            lambda: self._client.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"],
        )

    def capacity(self, identifier: str) -> Bounds | None:
        """Returns the bounds of a cluster's capacity; None where there is no such cluster, or none that has them."""
        found = (self.find(identifier) or {}).get("ServerlessV2ScalingConfiguration")
        return Bounds(float(found["MinCapacity"]), float(found["MaxCapacity"])) if found else None

    def set_capacity(self, identifier: str, bounds: Bounds) -> None:
        """Changes the bounds of a cluster's capacity, at once; raises `TransientFailure` while RDS is busy with it."""
        self._change(
            f"changing the capacity of {identifier}",
            lambda: self._client.modify_db_cluster(
                DBClusterIdentifier=identifier,
                ServerlessV2ScalingConfiguration={"MinCapacity": bounds.least, "MaxCapacity": bounds.most},
                ApplyImmediately=True,
            ),
        )

    def instances_of(self, cluster: Description) -> list[Description]:
        """Returns the instances of a cluster that was found, in the order of their names."""
        names = sorted(member["DBInstanceIdentifier"] for member in cluster.get("DBClusterMembers", []))
        return [found for name in names if (found := self.find_instance(name)) is not None]

    def find_global(self, identifier: str) -> Description | None:
        """Returns the global database as RDS describes it; None when there is none."""
        return self._find(
            f"reading the global database {identifier}",
            lambda: self._client.describe_global_clusters(GlobalClusterIdentifier=identifier)["GlobalClusters"],
        )

    def find_snapshot(self, name: str) -> Snapshot | None:
        """Returns the snapshot of a cluster; None when there is none."""
        with named_errors(f"reading the snapshot {name} in {self._region}"):
            try:
                answer = self._client.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name)
            except ClientError as error:
                if code_of(error) == "DBClusterSnapshotNotFoundFault":
                    return None
                raise
        found = answer["DBClusterSnapshots"][0]
        made_at = found.get("SnapshotCreateTime")
        return Snapshot(
            name=found["DBClusterSnapshotIdentifier"],
            resource_id=found.get("DbClusterResourceId", ""),
            status=found["Status"],
            percent=found.get("PercentProgress", 0),
            made_at=made_at.timestamp() if made_at else 0.0,
        )

    # --- removing

    def leave_global(self, global_identifier: str, cluster_arn: str) -> None:
        """Takes a cluster out of its global database."""

        def leave() -> None:
            try:
                self._client.remove_from_global_cluster(
                    GlobalClusterIdentifier=global_identifier, DbClusterIdentifier=cluster_arn
                )
            except ClientError as error:
                if NO_MEMBER not in str(error):
                    raise

        self._change(f"taking {cluster_arn} out of {global_identifier}", leave, GONE)

    def unprotect(self, cluster: Description) -> None:
        """Lifts a cluster's deletion protection, where it is on."""
        if cluster.get("DeletionProtection"):
            name = cluster["DBClusterIdentifier"]
            self._change(
                f"lifting the deletion protection of {name}",
                lambda: self._client.modify_db_cluster(
                    DBClusterIdentifier=name, DeletionProtection=False, ApplyImmediately=True
                ),
            )

    def delete_instance(self, identifier: str) -> None:
        """Removes an instance; the cluster keeps the data."""
        self._change(
            f"removing the instance {identifier}",
            lambda: self._client.delete_db_instance(DBInstanceIdentifier=identifier),
            GONE,
        )

    def delete(self, identifier: str) -> None:
        """Removes a cluster and its data, of which there is a snapshot."""
        self._change(
            f"removing the cluster {identifier}",
            lambda: self._client.delete_db_cluster(DBClusterIdentifier=identifier, SkipFinalSnapshot=True),
            GONE,
        )

    def delete_global(self, found: Description) -> None:
        """Removes an empty global database, with its deletion protection."""
        identifier = found["GlobalClusterIdentifier"]
        if found.get("DeletionProtection"):
            self._change(
                f"lifting the deletion protection of {identifier}",
                lambda: self._client.modify_global_cluster(
                    GlobalClusterIdentifier=identifier, DeletionProtection=False
                ),
            )
        self._change(
            f"removing the global database {identifier}",
            lambda: self._client.delete_global_cluster(GlobalClusterIdentifier=identifier),
            GONE,
        )

    # --- creating

    def make_snapshot(self, cluster: str, name: str, tags: list[dict[str, str]]) -> None:
        """Starts a snapshot of a cluster, with its tags."""
        self._change(
            f"creating the snapshot {name}",
            lambda: self._client.create_db_cluster_snapshot(
                DBClusterIdentifier=cluster,
                DBClusterSnapshotIdentifier=name,
                Tags=tags,  # type: ignore[arg-type]  # as RDS described them
            ),
            THERE,
        )

    def make_global(self, settings: Description, around: str) -> None:
        """Creates a global database with the cluster ``around`` (its ARN) as the primary."""
        self._change(
            f"creating the global database {settings['GlobalClusterIdentifier']}",
            lambda: self._client.create_global_cluster(SourceDBClusterIdentifier=around, **settings),
            THERE,
        )

    def make_secondary(self, settings: Description, global_identifier: str, engine_version: str, source: str) -> None:
        """Creates a cluster that replicates the primary in the region ``source``."""
        self._change(
            f"creating the cluster {settings['DBClusterIdentifier']}",
            lambda: self._client.create_db_cluster(
                GlobalClusterIdentifier=global_identifier,
                EngineVersion=engine_version,
                SourceRegion=source,
                **settings,
            ),
            THERE,
        )

    def make_instance(self, settings: Description) -> None:
        """Creates an instance of a cluster."""
        self._change(
            f"creating the instance {settings['DBInstanceIdentifier']}",
            lambda: self._client.create_db_instance(**settings),
            THERE,
        )

    # --- details

    @staticmethod
    def _find(doing: str, ask: Callable[[], Any]) -> Description | None:
        with named_errors(doing):
            try:
                found = ask()
            except ClientError as error:
                if code_of(error) in GONE:
                    return None
                raise
        return found[0] if found else None

    @staticmethod
    def _change(doing: str, ask: Callable[[], object], done: frozenset[str] = frozenset()) -> None:
        with named_errors(doing):
            try:
                ask()
            except ClientError as error:
                if code_of(error) in done:
                    return
                if code_of(error) in BUSY:
                    raise TransientFailure(f"{doing}: RDS is still working on it: {error}") from error
                raise


def members(found: Description) -> dict[str, bool]:
    """Returns the clusters of a global database by ARN, and whether each is the primary."""
    return {one["DBClusterArn"]: bool(one.get("IsWriter")) for one in found.get("GlobalClusterMembers", [])}
