"""RDS: an Aurora global database, and what detaching a secondary cluster does to it.

Models (RDS API reference, ``RemoveFromGlobalCluster`` and ``DescribeGlobalClusters``; Aurora user guide, "Removing a
cluster from an Amazon Aurora global database", "Viewing DB cluster status"): a secondary leaves the global database
and becomes a cluster of its own that takes writes. The request returns at once and the membership ends with it;
the cluster has the status ``promoting`` until it can be written to, then ``available``. A primary that still has
secondaries cannot be removed. The cluster is named by its ARN, and asked for in its own region.

How long a promotion takes is not measured but assumed: the drill states it. It then promotes the real PostgreSQL.

Limits: AWS does not document when exactly the membership ends, nor the status of a cluster under promotion; the
readiness that counts is a write, not this status. No events of RDS; no ``FailoverGlobalCluster`` and no
``SwitchoverGlobalCluster``; instances of the clusters are not listed.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
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


class GlobalDatabase:
    """The global database of a specification."""

    def __init__(
        self,
        specification: Specification,
        clock: Clock,
        *,
        promote: Callable[[str], None],
        promotion_seconds: float,
        observe: Observe,
    ) -> None:
        """Make nothing yet.

        Parameters
        ----------
        specification, clock
            What to make, and the lab's clock.
        promote
            Called with a region when Aurora would let its cluster take writes; returns when PostgreSQL does.
        promotion_seconds
            How long Aurora takes until then (virtual seconds).
        observe
            Told of detaches and promotions.
        """
        self._specification = specification
        self._clock = clock
        self._promote = promote
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

        stack.enter_context(mock.patch.object(RDSResponse, "remove_from_global_cluster", remove))
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
            raise RDSClientError(
                "InvalidGlobalClusterStateFault",
                f"{arn} is the primary of {identifier}; remove the secondary clusters first.",
            )
        global_cluster.members.remove(member)
        member.global_cluster_identifier = None
        self._observe(Happening(Kind.DETACHED, region, member.db_cluster_identifier))
        if not member.is_writer:
            member.status = "promoting"
            threading.Thread(
                target=self._finish, args=(region, member), name=f"promotion {region}", daemon=True
            ).start()
        return global_cluster

    def _finish(self, region: str, member: Any) -> None:
        """Promote after the stated delay."""
        if self._closing.wait(self._clock.to_real(self._promotion_seconds)):
            return
        try:
            self._promote(region)
        except Exception as error:  # noqa: BLE001 - whatever the lab's database raises belongs in the timeline
            problem = {"error": f"{type(error).__name__}: {error}"}
            self._observe(Happening(Kind.PROMOTION_FAILED, region, member.db_cluster_identifier, problem))
            return
        member.is_writer = True
        member.status = "available"
        self._observe(Happening(Kind.PROMOTED, region, member.db_cluster_identifier))

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
