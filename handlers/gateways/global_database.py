"""This region's view of the Aurora global database: membership, status, detach and security groups.

Everything is asked of this region's own RDS endpoint, which still answers when the other region is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from handlers.core.environment import Variables
from handlers.core.errors import DetachRejected, FailoverError, SwitchoverRejected, TransientFailure
from handlers.core.health import Membership
from handlers.gateways.aws import client, code_of, is_definite, named_errors

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient
    from types_boto3_rds.type_defs import DBClusterTypeDef, GlobalClusterTypeDef

# The global cluster's status while the roles change (Aurora user guide, "Performing switchovers").
SWITCHING_OVER = "switching-over"
BUSY = "InvalidDBClusterStateFault"  # the cluster is failing over or being modified
INSTANCE_BUSY = frozenset({"InvalidDBInstanceState", "InvalidDBInstanceStateFault"})  # restarting, or being modified


@dataclass(frozen=True)
class GlobalDatabaseVariables(Variables):
    """The global database and this region's cluster, by their RDS identifiers."""

    global_cluster: str
    cluster: str
    cluster_arn: str


class GlobalDatabase:
    """The global database ``identifier`` and this region's cluster in it."""

    def __init__(self, client: RDSClient, identifier: str, cluster: str, cluster_arn: str) -> None:
        self._client = client
        self._identifier = identifier
        self._cluster = cluster
        self._arn = cluster_arn

    @classmethod
    def of(cls, environment: GlobalDatabaseVariables) -> GlobalDatabase:
        """Returns the database as a function's environment names it, through this region's endpoint.

        One attempt: a detach whose answer was lost must be seen as such, and the workflow asks again by itself.
        """
        return cls(
            client("rds", environment.aws_region, attempts=1),
            environment.global_cluster,
            environment.cluster,
            environment.cluster_arn,
        )

    def membership(self) -> Membership:
        """Returns what this region's cluster is in the global database; ``none`` also when there is no database."""
        return self._membership_in(self._global_cluster())

    def _membership_in(self, found: GlobalClusterTypeDef) -> Membership:
        for member in found.get("GlobalClusterMembers", []):
            if member.get("DBClusterArn") == self._arn:
                return "primary" if member.get("IsWriter", False) else "secondary"
        return "none"

    def _global_cluster(self) -> GlobalClusterTypeDef:
        """Returns the global database; empty when there is none (or no longer one)."""
        with named_errors(f"reading the members of {self._identifier}"):
            try:
                answer = self._client.describe_global_clusters(GlobalClusterIdentifier=self._identifier)
            except ClientError as error:
                if code_of(error) == "GlobalClusterNotFoundFault":
                    return {}
                raise
        return answer["GlobalClusters"][0]

    def is_switching(self) -> bool:
        """Returns whether a switchover to this region's cluster is under way or done."""
        found = self._global_cluster()
        return self._membership_in(found) == "primary" or found.get("Status") == SWITCHING_OVER

    def switch_over(self, primary: RDSClient) -> None:
        """Asks RDS, through ``primary`` of the writer's region, to make this region's cluster the primary.

        Raises
        ------
        SwitchoverRejected
            RDS refused; nothing has changed.
        TransientFailure
            the request may or may not have arrived; `is_switching` tells.
        """
        with named_errors(f"switching {self._identifier} over to {self._cluster}"):
            try:
                primary.switchover_global_cluster(
                    GlobalClusterIdentifier=self._identifier, TargetDbClusterIdentifier=self._arn
                )
            except ClientError as error:
                if is_definite(error):
                    raise SwitchoverRejected(
                        f"RDS refuses to switch {self._identifier} over to {self._cluster}: {error}; look at the "
                        "status of both clusters in the RDS console, then start the workflow again"
                    ) from error
                raise

    def detach(self) -> None:
        """Asks RDS to take this region's cluster out of the global database, which promotes it.

        Raises
        ------
        DetachRejected
            RDS refused; nothing has changed.
        TransientFailure
            the request may or may not have arrived; `membership` tells.
        """
        with named_errors(f"detaching {self._cluster} from {self._identifier}"):
            try:
                self._client.remove_from_global_cluster(
                    GlobalClusterIdentifier=self._identifier, DbClusterIdentifier=self._arn
                )
            except ClientError as error:
                if is_definite(error):
                    raise DetachRejected(
                        f"RDS refuses to detach {self._cluster} from {self._identifier}: {error}; look at "
                        "the cluster's status in the RDS console, then start the workflow again"
                    ) from error
                raise

    def status(self) -> str:
        """Returns the status of this region's cluster in RDS's words, such as ``available``."""
        return str(self._cluster_now().get("Status", "unknown"))

    def security_groups(self) -> set[str]:
        """Returns the ids of the security groups of this region's cluster."""
        return {group.get("VpcSecurityGroupId", "") for group in self._cluster_now().get("VpcSecurityGroups", [])}

    def set_security_group(self, group: str) -> None:
        """Gives this region's cluster one security group in place of those it has; new connections meet it at once."""
        with named_errors(f"changing the security group of {self._cluster}"):
            try:
                self._client.modify_db_cluster(DBClusterIdentifier=self._cluster, VpcSecurityGroupIds=[group])
            except ClientError as error:
                if code_of(error) == BUSY:
                    raise TransientFailure(f"{self._cluster} is being changed by RDS: {error}") from error
                raise

    def restart(self) -> None:
        """Has RDS restart every instance of this region's cluster, the writer first; one that is restarting is left.

        Raises
        ------
        TransientFailure
            RDS did not answer, or does not restart one of them now.
        """
        members = self._cluster_now().get("DBClusterMembers", [])
        refused = []
        for member in sorted(members, key=lambda one: not one.get("IsClusterWriter", False)):
            try:
                self._restart_instance(member.get("DBInstanceIdentifier", ""))
            except FailoverError as error:
                refused.append(str(error))
        if refused:
            raise TransientFailure("; ".join(refused))

    def _restart_instance(self, instance: str) -> None:
        with named_errors(f"restarting {instance}"):
            try:
                self._client.reboot_db_instance(DBInstanceIdentifier=instance)
            except ClientError as error:
                if code_of(error) not in INSTANCE_BUSY:
                    raise
                found = self._client.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"][0]
                if found.get("DBInstanceStatus") != "rebooting":
                    raise TransientFailure(f"RDS does not restart {instance} now: {error}") from error

    def _cluster_now(self) -> DBClusterTypeDef:
        with named_errors(f"reading the cluster {self._cluster}"):
            return self._client.describe_db_clusters(DBClusterIdentifier=self._cluster)["DBClusters"][0]
