"""This region's view of the Aurora global database: membership, status, detach and security groups.

Everything is asked of this region's own RDS endpoint, which still answers when the other region is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
)

from handlers.core.environment import Variables
from handlers.core.errors import (
    DetachRejected,
    FailoverError,
    RdsBusy,
    SwitchoverRejected,
    TransientFailure,
    Unanswered,
)
from handlers.core.health import GlobalSeen, Membership
from handlers.core.move import Sight
from handlers.gateways.aws import READ_TIMEOUT_S, client, code_of, is_definite, named_errors

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient
    from types_boto3_rds.type_defs import DBClusterTypeDef, GlobalClusterTypeDef

# RDS answers with these while it modifies, backs up, promotes or switches over a cluster (RDS API reference).
BUSY = frozenset({"InvalidDBClusterStateFault", "InvalidGlobalClusterStateFault"})
# A request that moves the writer is answered late at times (4 s were seen). One that is given up too soon leaves the
# run without knowing whether it will be promoted; nothing else waits for this answer.
MOVE_READ_TIMEOUT_S = 15.0
# RDS has not looked at a request that it answers with one of these.
THROTTLED = frozenset({"RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException"})
INSTANCE_BUSY = frozenset({"InvalidDBInstanceState", "InvalidDBInstanceStateFault"})  # restarting, or being modified


class GlobalDatabaseVariables(Variables):
    """The global database and this region's cluster, by their RDS identifiers."""

    global_cluster: str
    cluster: str
    cluster_arn: str


class GlobalDatabase:
    """The global database ``identifier`` and this region's cluster in it."""

    def __init__(
        self, client: RDSClient, identifier: str, cluster: str, cluster_arn: str, mover: RDSClient | None = None
    ) -> None:
        """Takes ``mover``, a client with the patience that a request needs which moves the writer."""
        self._client = client
        self._mover = mover or client
        self._identifier = identifier
        self._cluster = cluster
        self._arn = cluster_arn

    @classmethod
    def of(
        cls, environment: GlobalDatabaseVariables, *, moves: bool = False, read_timeout_s: float = READ_TIMEOUT_S
    ) -> GlobalDatabase:
        """Returns the database as a function's environment names it, through this region's endpoint.

        With ``moves`` it can be asked to `detach`. One attempt each: the workflow asks again by itself.
        """
        region = environment.aws_region
        return cls(
            client("rds", region, read_timeout_s=read_timeout_s, attempts=1),
            environment.global_cluster,
            environment.cluster,
            environment.cluster_arn,
            client("rds", region, read_timeout_s=MOVE_READ_TIMEOUT_S, attempts=1) if moves else None,
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

    def look(self) -> Sight:
        """Returns what RDS shows of a move of the writer to this region."""
        found = self._global_cluster()
        return Sight(self._membership_in(found), str(self._cluster_now().get("Status", "unknown")), _at_work(found))

    def at_work(self) -> str | None:
        """Returns what RDS does with the global database, in its word; None while it does nothing."""
        return _at_work(self._global_cluster())

    def whole(self) -> GlobalSeen:
        """Returns what readiness looks at: this cluster's place in it, what RDS does with it, and its version."""
        found = self._global_cluster()
        return GlobalSeen(self._membership_in(found), _at_work(found), found.get("EngineVersion", "no version"))

    def endpoint(self) -> str | None:
        """Returns the name of this cluster's endpoint; None where RDS publishes none, as it may before a promotion."""
        return self._cluster_now().get("Endpoint") or None

    def switch_over(self, primary: RDSClient) -> None:
        """Asks RDS, through ``primary`` of the writer's region, to make this region's cluster the primary.

        Raises
        ------
        RdsBusy, SwitchoverRejected
            RDS refused; nothing has changed.
        TransientFailure
            RDS has not taken the request, and may do so later.
        Unanswered
            RDS may have taken the request.
        """
        with _asking(f"switch {self._identifier} over to {self._cluster}", SwitchoverRejected):
            primary.switchover_global_cluster(
                GlobalClusterIdentifier=self._identifier, TargetDbClusterIdentifier=self._arn
            )

    def detach(self) -> None:
        """Asks RDS to take this region's cluster out of the global database, which promotes it.

        Raises
        ------
        RdsBusy, DetachRejected
            RDS refused; nothing has changed.
        TransientFailure
            RDS has not taken the request, and may do so later.
        Unanswered
            RDS may have taken the request.
        """
        with _asking(f"detach {self._cluster} from {self._identifier}", DetachRejected):
            self._mover.remove_from_global_cluster(
                GlobalClusterIdentifier=self._identifier, DbClusterIdentifier=self._arn
            )

    def security_groups(self) -> set[str]:
        """Returns the ids of the security groups of this region's cluster."""
        return {group.get("VpcSecurityGroupId", "") for group in self._cluster_now().get("VpcSecurityGroups", [])}

    def set_security_groups(self, groups: list[str]) -> None:
        """Gives this region's cluster these security groups in place of those it has; new connections meet them."""
        with named_errors(f"changing the security group of {self._cluster}"):
            try:
                self._client.modify_db_cluster(DBClusterIdentifier=self._cluster, VpcSecurityGroupIds=groups)
            except ClientError as error:
                if code_of(error) in BUSY:
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


def _at_work(found: GlobalClusterTypeDef) -> str | None:
    """Returns what RDS does with a global database, in the word of its failover state, else of its status."""
    state = found.get("FailoverState", {}).get("Status")
    status = found.get("Status", "available")
    return state or (None if status == "available" else status)


@contextmanager
def _asking(what: str, refused: type[DetachRejected | SwitchoverRejected]) -> Iterator[None]:
    """Names what became of a request that moves the writer: it matters whether RDS may have taken it."""
    doing = f"asking RDS to {what}"
    try:
        yield
    except ClientError as error:
        if code_of(error) in BUSY:
            raise RdsBusy(f"{doing}: it is at work: {error}") from error
        if is_definite(error):
            raise refused(
                f"RDS refuses to {what}: {error}; look at the status of both clusters in the RDS console, then start "
                "the workflow again"
            ) from error
        if code_of(error) in THROTTLED:
            raise TransientFailure(f"{doing}: {error}") from error
        raise Unanswered(f"{doing}: {error}") from error
    except (EndpointConnectionError, ConnectTimeoutError) as error:
        raise TransientFailure(f"{doing}: {type(error).__name__}: {error}") from error
    except BotoCoreError as error:
        raise Unanswered(f"{doing}: {type(error).__name__}: {error}") from error
