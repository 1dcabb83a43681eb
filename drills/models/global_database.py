"""RDS: an Aurora global database, its detach and its switchover, and the security groups of its clusters.

Models (RDS API reference, ``RemoveFromGlobalCluster``, ``SwitchoverGlobalCluster``, ``ModifyDBCluster`` and
``DescribeGlobalClusters``; Aurora user guide, "Removing a cluster from an Amazon Aurora global database", "Viewing DB
cluster status").

*Detach.* A secondary leaves the global database
and becomes a cluster of its own that takes writes. The request returns at once and the membership ends with it;
the cluster has the status ``promoting`` until it can be written to, then ``available``. A primary that still has
secondaries cannot be removed. The cluster is named by its ARN, and asked for in its own region.

*Switchover.* The request returns at once with the global cluster ``switching-over``. The primary stops taking writes
and hands its last ones to the target; after the delay the target takes writes, the roles in the membership change
places, and the old primary follows the new one. It needs both clusters: one that is not reached from the region that
is asked makes the request fail.

*Security groups.* A cluster admits clients as long as the group that it was created with is one of its groups; any
other admits its own region's prober only.

How long a promotion takes is not measured but assumed: the drill states it. It then promotes the real PostgreSQL.

Limits: AWS does not document when exactly the membership ends, nor the status of a cluster under promotion; the
readiness that counts is a write, not this status. Nor does it document which region has to be asked for a switchover:
here each region of the global database may be. No events of RDS; no ``FailoverGlobalCluster``; instances of the
clusters are not listed. Of ``ModifyDBCluster`` only the security groups are modelled, and they count at once.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol
from unittest import mock

from moto.core.responses import ActionResult
from moto.rds.exceptions import DBClusterNotFoundError, RDSClientError
from moto.rds.models import rds_backends
from moto.rds.responses import RDSResponse

from drills.models.happenings import Happening, Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from drills.clock import Clock
    from drills.models.happenings import Observe
    from drills.reachability import Reachability
    from orchestration.specification.model import Cluster, Specification

ENGINE = "aurora-postgresql"
# The part of the endpoints that AWS draws per account and region; fixed, so that certificates can be made for it.
ENDPOINT_HASH = "c0lab0drill0"
# moto keeps global clusters in this region's backend, whatever the region asked.
MOTO_REGION = "us-east-1"


def writer_endpoint(cluster: Cluster) -> str:
    """Return the cluster endpoint, which leads to the writer."""
    return f"{cluster.identifier}.cluster-{ENDPOINT_HASH}.{cluster.region}.rds.amazonaws.com"


def reader_endpoint(cluster: Cluster) -> str:
    """Return the reader endpoint."""
    return f"{cluster.identifier}.cluster-ro-{ENDPOINT_HASH}.{cluster.region}.rds.amazonaws.com"


def instance_endpoint(cluster: Cluster) -> str:
    """Return the endpoint of the one instance that a region has here; both cluster endpoints are CNAMEs of it."""
    return f"{cluster.identifier}-0.{ENDPOINT_HASH}.{cluster.region}.rds.amazonaws.com"


def security_group(region: str, key: str) -> str:
    """Return the id of a security group of a region; a cluster is created with the group ``database``."""
    return f"sg-{key}-{region}"


class Databases(Protocol):
    """The real databases behind the clusters, by region. Each call returns when it is done."""

    def promote(self, region: str) -> None:
        """Let a standby take writes."""

    def drain(self, region: str) -> None:
        """Stop a writer when its standby has all it wrote."""

    def follow(self, region: str, leader: str) -> None:
        """Start a drained writer again, as the standby of ``leader``."""

    def admit(self, region: str, *, clients: bool) -> None:
        """Let clients open connections to a region's database, or not."""


class GlobalDatabase:
    """The global database of a specification."""

    def __init__(
        self,
        specification: Specification,
        clock: Clock,
        reachability: Reachability,
        *,
        databases: Databases,
        promotion_seconds: float,
        observe: Observe,
    ) -> None:
        """Make nothing yet.

        Parameters
        ----------
        specification, clock, reachability
            What to make, the lab's clock, and who reaches whom.
        databases
            What happens to the real databases.
        promotion_seconds
            How long Aurora takes until a promoted cluster takes writes (virtual seconds).
        observe
            Told of detaches, promotions, switchovers and security groups.
        """
        self._specification = specification
        self._clock = clock
        self._reachability = reachability
        self._databases = databases
        self._promotion_seconds = promotion_seconds
        self._observe = observe
        self._closing = threading.Event()

    def install(self, stack: ExitStack) -> None:
        """Answer the requests that moto gets wrong, until ``stack`` is closed."""
        database = self

        def remove(response: RDSResponse) -> ActionResult:
            asked = response.params
            return ActionResult(
                {
                    "GlobalCluster": database.detach(
                        response.region, asked["GlobalClusterIdentifier"], asked["DbClusterIdentifier"]
                    )
                }
            )

        def describe(response: RDSResponse) -> ActionResult:
            wanted = response.params.get("GlobalClusterIdentifier")
            every = list(database._global_clusters().values())
            return ActionResult({"GlobalClusters": [database._find(wanted)] if wanted else every})

        def switch_over(response: RDSResponse) -> ActionResult:
            asked = response.params
            return ActionResult(
                {
                    "GlobalCluster": database.switch_over(
                        response.region, asked["GlobalClusterIdentifier"], asked["TargetDbClusterIdentifier"]
                    )
                }
            )

        def modify(response: RDSResponse) -> ActionResult:
            asked = response.params
            groups = asked.get("VpcSecurityGroupIds", [])
            return ActionResult(
                {"DBCluster": database.modify(response.region, asked["DBClusterIdentifier"], list(groups))}
            )

        stack.enter_context(mock.patch.object(RDSResponse, "remove_from_global_cluster", remove))
        stack.enter_context(mock.patch.object(RDSResponse, "switchover_global_cluster", switch_over, create=True))
        stack.enter_context(mock.patch.object(RDSResponse, "modify_db_cluster", modify))
        stack.enter_context(mock.patch.object(RDSResponse, "describe_global_clusters", describe))
        stack.callback(self._closing.set)

    def create(self, client: Callable[[str, str], Any]) -> None:
        """Create the global database, the writer region's cluster and then the other; ``client(service, region)``."""
        settings = self._specification.settings
        client("rds", settings.writer_region).create_global_cluster(
            GlobalClusterIdentifier=self._specification.global_identifier,
            Engine=ENGINE,
            EngineVersion=settings.database.engine_version,
            StorageEncrypted=True,
        )
        for region in settings.regions:
            cluster = self._specification.regions[region].cluster
            client("rds", region).create_db_cluster(
                DBClusterIdentifier=cluster.identifier,
                GlobalClusterIdentifier=self._specification.global_identifier,
                Engine=ENGINE,
                EngineVersion=settings.database.engine_version,
                Port=settings.database.port,
                StorageEncrypted=True,
                VpcSecurityGroupIds=[security_group(region, "database")],
            )
            self._cluster(region).url_identifier = ENDPOINT_HASH

    def status(self, region: str) -> str:
        """Return the status of a region's cluster, in RDS's words."""
        return str(self._cluster(region).status)

    def detach(self, region: str, identifier: str, arn: str) -> Any:
        """Detach the cluster of that ARN; returns moto's global cluster. Raises RDS's errors."""
        global_cluster = self._find(identifier)
        member = next((one for one in global_cluster.members if one.db_cluster_arn == arn), None)
        if member is None or member.region != region:
            raise DBClusterNotFoundError(arn, f"{arn} is not a cluster of {region} in the global cluster {identifier}.")
        if member.is_writer and len(global_cluster.members) > 1:
            raise _invalid_state(identifier, f"has {arn} as its primary; remove the secondary clusters first")
        global_cluster.members.remove(member)
        member.global_cluster_identifier = None
        self._observe(Happening(Kind.DETACHED, region, member.db_cluster_identifier))
        if not member.is_writer:
            member.status = "promoting"
            self._begin(member, lambda: self._promote(member))
        return global_cluster

    def switch_over(self, region: str, identifier: str, arn: str) -> Any:
        """Let the cluster of that ARN become the primary; returns moto's global cluster. Raises RDS's errors."""
        global_cluster = self._find(identifier)
        target = next((one for one in global_cluster.members if one.db_cluster_arn == arn), None)
        if target is None:
            raise DBClusterNotFoundError(arn, f"{arn} is not a cluster of the global cluster {identifier}.")
        if global_cluster.status != "available":
            raise _invalid_state(identifier, f"is {global_cluster.status}")
        if target.is_writer:
            raise _invalid_state(identifier, f"has {arn} as its primary already")
        primary = next(one for one in global_cluster.members if one.is_writer)
        unreached = [one.region for one in (primary, target) if not self._reachability.reaches(region, one.region)]
        if unreached:
            raise _invalid_state(identifier, f"cannot reach {', '.join(unreached)}")
        global_cluster.status = primary.status = target.status = "switching-over"
        self._observe(Happening(Kind.SWITCHOVER_STARTED, target.region, target.db_cluster_identifier))
        self._begin(target, lambda: self._switch(global_cluster, primary, target))
        return global_cluster

    def modify(self, region: str, identifier: str, groups: list[str]) -> Any:
        """Give a cluster its security groups; returns moto's cluster. Raises RDS's errors."""
        cluster = rds_backends[self._specification.account][region].clusters.get(identifier)
        if cluster is None:
            raise DBClusterNotFoundError(identifier)
        if groups:
            admits = security_group(region, "database") in groups
            self._databases.admit(region, clients=admits)
            cluster.vpc_security_group_ids = groups
            self._observe(Happening(Kind.SECURITY_GROUP_CHANGED, region, identifier, {"admits": admits}))
        return cluster

    def _begin(self, member: Any, work: Callable[[], None]) -> None:
        """Do the work of a promotion in a thread of its own, and tell of its failure."""

        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - whatever the lab's database raises belongs in the timeline
                problem = {"error": f"{type(error).__name__}: {error}"}
                self._observe(Happening(Kind.PROMOTION_FAILED, member.region, member.db_cluster_identifier, problem))

        threading.Thread(target=run, name=f"promotion {member.region}", daemon=True).start()

    def _promote(self, member: Any) -> None:
        """Promote after the stated delay."""
        if self._closing.wait(self._clock.to_real(self._promotion_seconds)):
            return
        self._databases.promote(member.region)
        member.is_writer = True
        member.status = "available"
        self._observe(Happening(Kind.PROMOTED, member.region, member.db_cluster_identifier))

    def _switch(self, global_cluster: Any, primary: Any, target: Any) -> None:
        """Stop the primary, promote the target after the stated delay, and let the old primary follow."""
        self._databases.drain(primary.region)
        primary.is_writer = False
        self._promote(target)
        self._databases.follow(primary.region, target.region)
        global_cluster.status = primary.status = "available"
        self._observe(Happening(Kind.FOLLOWS, primary.region, primary.db_cluster_identifier))

    def _find(self, identifier: str) -> Any:
        try:
            return self._global_clusters()[identifier]
        except KeyError:
            raise RDSClientError("GlobalClusterNotFoundFault", f"Global cluster {identifier} not found.") from None

    def _global_clusters(self) -> Any:
        return rds_backends[self._specification.account][MOTO_REGION].global_clusters

    def _cluster(self, region: str) -> Any:
        identifier = self._specification.regions[region].cluster.identifier
        return rds_backends[self._specification.account][region].clusters[identifier]


def _invalid_state(identifier: str, why: str) -> RDSClientError:
    return RDSClientError("InvalidGlobalClusterStateFault", f"The global cluster {identifier} {why}.")
