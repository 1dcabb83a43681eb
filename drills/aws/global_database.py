"""RDS: an Aurora global database, how it is created, detached, switched over and deleted.

Models (RDS API reference, ``CreateGlobalCluster``, ``RemoveFromGlobalCluster``, ``SwitchoverGlobalCluster``,
``ModifyGlobalCluster``, ``DeleteGlobalCluster`` and ``DescribeGlobalClusters``; Aurora user guide, "Removing a cluster
from an Amazon Aurora global database", "Viewing DB cluster status"). The clusters themselves: `drills.aws.clusters`.

*Detach.* A secondary leaves the global database
and becomes a cluster of its own that takes writes. The request returns at once and the membership ends with it;
the cluster has the status ``promoting`` until it can be written to, then ``available``. A primary that still has
secondaries cannot be removed; the last member can, and stays what it is. Its membership ends some time after the
request, while the global database is ``available`` all along (as a user of the API found: ekristen/aws-nuke#1018).
The cluster is named by its ARN, and asked for in its own region.

*Switchover.* The request returns at once with the global cluster ``switching-over``. The primary stops taking writes
and hands its last ones to the target; after the delay the target takes writes, the roles in the membership change
places, and the old primary follows the new one. It needs both clusters: if the region that is asked cannot reach one of
them, the request fails.

*Creation and deletion.* A global database may be created around a cluster that is in none, which becomes its primary
and gives it its engine, version and encryption. It is deleted only without members and without deletion protection.

How long a promotion takes is not measured but assumed: the drill states it. It then promotes the real PostgreSQL.

Where AWS does not say how a move of the writer looks from outside, `drills.aws.rds_behaviour` has every way that has
been reported; the attribute ``behaviour`` chooses.

Limits: AWS does not document when exactly the membership of a secondary ends, nor the status of a cluster under
promotion; the readiness that counts is a write, not this status. Nor does it document which region has to be asked for
a switchover: here each region of the global database may be. No events of RDS; no ``FailoverGlobalCluster``. Of
``ModifyGlobalCluster`` only the deletion protection is modelled, and it refuses everything else.
"""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

from moto.core.responses import ActionResult
from moto.rds.exceptions import DBClusterNotFoundError, RDSClientError
from moto.rds.models import rds_backends
from moto.rds.responses import RDSResponse

from drills.aws.clusters import ENGINE, Agenda, Clusters, security_group
from drills.aws.happenings import Happening, Kind
from drills.aws.rds_behaviour import Behaviour
from orchestration.specification import INSTANCES

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from drills.aws.clusters import Databases
    from drills.aws.happenings import Observe
    from drills.world.clock import Clock
    from drills.world.reachability import Reachability
    from orchestration.specification.model import Specification

# moto keeps global clusters in this region's backend, whatever the region asked.
MOTO_REGION = "us-east-1"
# How long RDS takes until the last member has left, and until a global database is created (virtual seconds): stated,
# not measured.
REMOVAL_SECONDS = 5.0
MAKING_SECONDS = 5.0
# How long a switchover that RDS gives up is shown as that.
CANCELLING_SECONDS = 3.0
# Longer than any client waits.
NO_ANSWER_SECONDS = 120.0
UNAVAILABLE = (
    "<ErrorResponse><Error><Type>Receiver</Type><Code>ServiceUnavailable</Code>"
    "<Message>The lab made RDS unavailable</Message></Error><RequestId>0</RequestId></ErrorResponse>"
)
# In the spelling in which moto lists the parameters of a request.
MODIFIABLE = {"global_cluster_identifier", "deletion_protection"}


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
        """Creates nothing yet.

        Parameters
        ----------
        specification, clock, reachability
            What to create, the lab's clock, and who reaches whom.
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
        self.behaviour = Behaviour()
        self._closing = threading.Event()
        self._agenda = Agenda(clock)
        self.clusters = Clusters(specification.account, self._agenda, clock, databases, observe)

    def install(self, stack: ExitStack) -> None:
        """Answers the requests that moto gets wrong, until ``stack`` is closed."""
        database = self

        def answer(name: str, work: Callable[[str, Any], Any]) -> None:
            def respond(response: RDSResponse) -> ActionResult:
                database._agenda.settle()
                return ActionResult({"GlobalCluster": work(response.region, response.params)})

            stack.enter_context(mock.patch.object(RDSResponse, name, respond, create=True))

        def describe(response: RDSResponse) -> ActionResult:
            database._agenda.settle()
            wanted = response.params.get("GlobalClusterIdentifier")
            every = list(database._global_clusters().values())
            return ActionResult({"GlobalClusters": [database._find(wanted)] if wanted else every})

        answer("create_global_cluster", self.make)
        answer("modify_global_cluster", self.modify)
        answer("delete_global_cluster", self.delete)
        answer("remove_from_global_cluster", self._as_rds_behaves(self.detach))
        answer("switchover_global_cluster", self._as_rds_behaves(self.switch_over))
        stack.enter_context(mock.patch.object(RDSResponse, "describe_global_clusters", describe))
        call = RDSResponse.call_action

        def call_or_fail(response: RDSResponse) -> Any:
            if database._clock.now() < database.behaviour.down_until.get(response.region, 0.0):
                return 503, response.response_headers, UNAVAILABLE
            return call(response)

        stack.enter_context(mock.patch.object(RDSResponse, "call_action", call_or_fail))
        self.clusters.install(stack)
        stack.callback(self._closing.set)

    def _as_rds_behaves(self, work: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
        """Returns a request that moves the writer, with the answer that ``behaviour`` gives it."""

        def answer(region: str, asked: Any) -> Any:
            behaviour = self.behaviour
            global_cluster = self._find(asked["GlobalClusterIdentifier"])
            wait, has_effect = behaviour.answers_after_s, True
            if behaviour.unanswered > 0:
                behaviour.unanswered -= 1
                wait = NO_ANSWER_SECONDS
            elif behaviour.lost > 0:
                behaviour.lost -= 1
                wait, has_effect = NO_ANSWER_SECONDS, False
            elif self._clock.now() < behaviour.busy_until:
                raise RDSClientError("InvalidDBClusterStateFault", "The cluster is being modified.")
            result = work(region, asked) if has_effect else global_cluster
            self._closing.wait(self._clock.to_real(wait))
            return result

        return answer

    def create(self, client: Callable[[str, str], Any]) -> None:
        """Creates what a deployment creates, the writer region's cluster first; ``client(service, region)``."""
        settings = self._specification.settings
        client("rds", settings.writer_region).create_global_cluster(
            GlobalClusterIdentifier=self._specification.global_identifier,
            Engine=ENGINE,
            EngineVersion=settings.database.engine_version,
            StorageEncrypted=True,
            DeletionProtection=settings.protected,
        )
        for region in settings.regions:
            self._create_cluster(region, client("rds", region))
        self.clusters.are_deployed = True

    def _create_cluster(self, region: str, rds: Any) -> None:
        """Creates a region's cluster with the settings that the deployment gives it."""
        settings = self._specification.settings
        cluster = self._specification.regions[region].cluster
        # moto wants subnets to exist, which nothing else here needs.
        subnets = [
            SimpleNamespace(id=f"subnet-{number}-{region}", vpc_id=f"vpc-{region}", availability_zone=f"{region}{zone}")
            for number, zone in enumerate("abc")
        ]
        rds_backends[self._specification.account][region].create_subnet_group(
            cluster.identifier, "Private subnets in three zones", subnets, []
        )
        rds.create_db_cluster(
            DBClusterIdentifier=cluster.identifier,
            GlobalClusterIdentifier=self._specification.global_identifier,
            Engine=ENGINE,
            EngineMode="provisioned",
            EngineVersion=settings.database.engine_version,
            Port=settings.database.port,
            ServerlessV2ScalingConfiguration={
                "MinCapacity": settings.min_capacity(region),
                "MaxCapacity": settings.database.max_capacity,
            },
            DBSubnetGroupName=cluster.identifier,
            DBClusterParameterGroupName=f"{cluster.identifier}-pg{settings.database.engine_version.split('.')[0]}",
            VpcSecurityGroupIds=[security_group(region, "database")],
            StorageEncrypted=True,
            KmsKeyId=f"arn:aws:kms:{region}:{self._specification.account}:key/lab",
            EnableIAMDatabaseAuthentication=True,
            EnableCloudwatchLogsExports=["postgresql"],
            BackupRetentionPeriod=settings.database.backup_retention_days,
            CopyTagsToSnapshot=True,
            DeletionProtection=settings.protected,
        )
        for index in range(INSTANCES):
            rds.create_db_instance(
                DBInstanceIdentifier=self._specification.names.instance(index, region),
                DBClusterIdentifier=cluster.identifier,
                DBInstanceClass="db.serverless",
                Engine=ENGINE,
                AvailabilityZone=f"{region}{'abc'[index]}",
                DBSubnetGroupName=cluster.identifier,
                PromotionTier=1,
                PubliclyAccessible=False,
                AutoMinorVersionUpgrade=False,
                CopyTagsToSnapshot=True,
            )

    def status(self, region: str) -> str:
        """Returns the status of a region's cluster, in RDS's words."""
        return str(self._cluster(region).status)

    def make(self, region: str, asked: Any) -> Any:
        """Creates a global database, empty or around a cluster of ``region``; returns moto's. Raises RDS's errors."""
        identifier = asked["GlobalClusterIdentifier"]
        if identifier in self._global_clusters():
            raise RDSClientError("GlobalClusterAlreadyExistsFault", f"Global cluster {identifier} already exists.")
        source = self._source(region, asked) if asked.get("SourceDBClusterIdentifier") else None
        global_cluster = rds_backends[self._specification.account][MOTO_REGION].create_global_cluster(
            identifier,
            None,
            source.engine if source else asked.get("Engine"),
            source.engine_version if source else asked.get("EngineVersion"),
            source.storage_encrypted if source else asked.get("StorageEncrypted"),
            asked.get("DeletionProtection"),
        )
        global_cluster.tags = asked.get("Tags")
        if source:
            source.is_writer = True
            source.global_cluster_identifier = identifier
            global_cluster.members.append(source)
            global_cluster.status = "creating"
            self._agenda.after(MAKING_SECONDS, lambda: setattr(global_cluster, "status", "available"))
            self._observe(Happening(Kind.GLOBAL_DATABASE_MADE, region, identifier))
        return global_cluster

    def _source(self, region: str, asked: Any) -> Any:
        """Returns the cluster around which a global database is to be created."""
        arn = asked["SourceDBClusterIdentifier"]
        inherited = [name for name in ("Engine", "EngineVersion", "StorageEncrypted") if name in asked]
        if inherited:
            raise RDSClientError(
                "InvalidParameterCombination",
                f"When creating global cluster from existing db cluster, {', '.join(inherited)} should not be "
                "specified since it will be inherited from source cluster",
            )
        source = self.clusters.find(region, arn)
        if self.clusters.global_cluster_of(source) or source.status != "available":
            raise RDSClientError(
                "InvalidDBClusterStateFault", f"{arn} is {source.status}, or a member of a global database already."
            )
        return source

    def modify(self, _region: str, asked: Any) -> Any:
        """Changes the deletion protection; returns moto's global cluster. Raises RDS's errors."""
        unknown = sorted(name for name in asked if name not in MODIFIABLE)
        if unknown:
            raise RDSClientError("InvalidParameterCombination", f"The lab does not change {', '.join(unknown)}.")
        global_cluster = self._find(asked["GlobalClusterIdentifier"])
        if "DeletionProtection" in asked:
            global_cluster.deletion_protection = asked["DeletionProtection"]
        return global_cluster

    def delete(self, region: str, asked: Any) -> Any:
        """Deletes the global database; returns moto's. Raises RDS's errors."""
        identifier = asked["GlobalClusterIdentifier"]
        global_cluster = self._find(identifier)
        if global_cluster.members:
            raise _invalid_state(identifier, "is not empty")
        if global_cluster.deletion_protection:
            raise RDSClientError(
                "InvalidParameterCombination",
                "Cannot delete protected Global Cluster, please disable deletion protection and try again.",
            )
        self._observe(Happening(Kind.GLOBAL_DATABASE_DELETED, region, identifier))
        return self._global_clusters().pop(identifier)

    def detach(self, region: str, asked: Any) -> Any:
        """Lets a cluster leave the global database; returns moto's global cluster. Raises RDS's errors."""
        identifier, arn = asked["GlobalClusterIdentifier"], asked["DbClusterIdentifier"]
        global_cluster = self._find(identifier)
        member = next((one for one in global_cluster.members if one.db_cluster_arn == arn), None)
        if member is None or member.region != region:
            raise DBClusterNotFoundError(arn, f"{arn} is not a cluster of {region} in the global cluster {identifier}.")
        if member.is_writer:
            self._remove_primary(global_cluster, member)
            return global_cluster
        if member.status != "available":
            raise RDSClientError("InvalidDBClusterStateFault", f"The cluster {arn} is {member.status}.")
        if global_cluster.status != "available":
            raise _invalid_state(identifier, f"is {global_cluster.status}")
        self._observe(Happening(Kind.DETACHED, region, member.db_cluster_identifier))
        self._leave(global_cluster, member)
        return global_cluster

    def _leave(self, global_cluster: Any, member: Any) -> None:
        """Lets a secondary leave the global database, and promotes it."""
        promoted = threading.Event()

        def unlist() -> None:
            global_cluster.members.remove(member)
            member.global_cluster_identifier = None

        def show() -> None:
            if not promoted.is_set():
                member.status = "promoting"

        def promote(listed: bool) -> None:
            self._promote(member)
            promoted.set()
            member.status = "available"
            if listed:
                unlist()

        listed = self.behaviour.lists_until_promoted
        if not listed:
            unlist()
        self._soon(self.behaviour.available_for_s, show)
        self.clusters.begin(member, lambda: promote(listed))

    def _soon(self, seconds: float, happen: Callable[[], None]) -> None:
        """Does something now, or when somebody looks after that many virtual seconds."""
        if seconds > 0:
            self._agenda.after(seconds, happen)
        else:
            happen()

    def _remove_primary(self, global_cluster: Any, member: Any) -> None:
        if len(global_cluster.members) > 1:
            raise _invalid_state(
                global_cluster.global_cluster_identifier,
                f"has {member.db_cluster_arn} as its primary; remove the secondary clusters first",
            )

        def gone() -> None:
            if member in global_cluster.members:
                global_cluster.members.remove(member)
                member.global_cluster_identifier = None
                self._observe(Happening(Kind.DETACHED, member.region, member.db_cluster_identifier))

        self._agenda.after(REMOVAL_SECONDS, gone)

    def switch_over(self, region: str, asked: Any) -> Any:
        """Lets a cluster become the primary; returns moto's global cluster. Raises RDS's errors."""
        identifier, arn = asked["GlobalClusterIdentifier"], asked["TargetDbClusterIdentifier"]
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
        if getattr(global_cluster, "failover_state", None):
            raise _invalid_state(identifier, f"has a switchover that is {global_cluster.failover_state['Status']}")
        self._begin_switchover(global_cluster, primary, target)
        return global_cluster

    def _begin_switchover(self, global_cluster: Any, primary: Any, target: Any) -> None:
        """Begins what is pending for a while, and may be cancelled then."""

        def show(status: str | None) -> None:
            arns = {"FromDbClusterArn": primary.db_cluster_arn, "ToDbClusterArn": target.db_cluster_arn}
            state = {"Status": status, "IsDataLossAllowed": False, **arns}
            global_cluster.failover_state = state if status else None

        def begin() -> None:
            show("switching-over")
            global_cluster.status = primary.status = target.status = "switching-over"
            self._observe(Happening(Kind.SWITCHOVER_STARTED, target.region, target.db_cluster_identifier))

            def switch() -> None:
                self._switch(global_cluster, primary, target)
                show(None)

            self.clusters.begin(target, switch)

        def cancel() -> None:
            show("cancelling")
            self._agenda.after(CANCELLING_SECONDS, lambda: show(None))

        show("pending")
        cancelled = self.behaviour.cancels > 0
        self.behaviour.cancels -= cancelled
        self._soon(self.behaviour.pending_for_s, cancel if cancelled else begin)

    def _promote(self, member: Any) -> None:
        """Promotes after the stated delay."""
        if self._closing.wait(self._clock.to_real(self._promotion_seconds)):
            return
        self._databases.promote(member.region)
        member.is_writer = True
        member.status = "available"
        self._observe(Happening(Kind.PROMOTED, member.region, member.db_cluster_identifier))

    def _switch(self, global_cluster: Any, primary: Any, target: Any) -> None:
        """Stops the primary, promotes the target after the stated delay, and lets the old primary follow."""
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
