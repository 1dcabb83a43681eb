"""RDS: the life of Aurora clusters, their instances and their snapshots, and their security groups.

Models (RDS API reference, ``CreateDBCluster``, ``DeleteDBCluster``, ``CreateDBInstance``, ``DeleteDBInstance``,
``CreateDBClusterSnapshot``, ``ModifyDBCluster`` and ``RebootDBInstance``; Aurora user guide, "Deleting Aurora DB
clusters and DB instances").
Requests are answered at once with ``creating`` or ``deleting``, and are completed some time later:

*Deletion.* A cluster goes only without deletion protection, without instances that are not being deleted, without
secondaries of its own, and, if it is a secondary, only after it has left its global database (the errors' words are
those that users quote: hashicorp/terraform#20929, hashicorp/terraform-provider-aws#26236). Its automated snapshots go
with it; snapshots that somebody created stay. The real database is ended and wiped.

*A new secondary.* It takes the master user and the database from the primary, so a request that names them is
refused. It is ``creating`` until the real database is a standby that follows the primary.

*Restart.* An instance that is available is ``rebooting`` at once, and available again when its database is; another one
is refused. The database's sessions end at once: how long Aurora takes is not documented.

*Security groups.* A cluster admits clients as long as the group with which the deployment creates it is one of its
groups; any other admits its own region's prober only. A new group counts at once.

How long each step takes is stated here, in virtual seconds, and is short: AWS documents none of it, and minutes are
usual. What is measured in a rebuild is a base backup of a small database, not a copy of Aurora's volume.

Limits: instances are names with a status, since one server stands in for a cluster; a snapshot holds no data; of
``ModifyDBCluster`` security groups, deletion protection and the bounds of the capacity are modelled, and it refuses
everything else. New bounds count at once, and nothing runs slower or faster by them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol
from unittest import mock

from moto.core.responses import ActionResult
from moto.rds.exceptions import DBClusterNotFoundError, DBInstanceNotFoundError, RDSClientError
from moto.rds.models import DBCluster, rds_backends
from moto.rds.responses import RDSResponse

from drills.aws.happenings import Happening, Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from drills.aws.happenings import Observe
    from drills.world.clock import Clock
    from orchestration.specification.model import Cluster

ENGINE = "aurora-postgresql"
# The part of the endpoints that AWS draws per account and region; fixed, so that certificates can be created for it.
ENDPOINT_HASH = "c0lab0drill0"

# How long RDS takes for each thing (virtual seconds).
SNAPSHOT_SECONDS = 10.0
INSTANCE_SECONDS = 10.0
DELETION_SECONDS = 5.0
REBUILD_SECONDS = 20.0

# What a secondary may not be given, because it has it from the primary.
OF_THE_PRIMARY = ("MasterUsername", "MasterUserPassword", "ManageMasterUserPassword", "DatabaseName")
# In the spelling in which moto lists the parameters of a request.
MODIFIABLE = {
    "db_cluster_identifier",
    "vpc_security_group_ids",
    "deletion_protection",
    "serverless_v2_scaling_configuration",
    "apply_immediately",
}


def writer_endpoint(cluster: Cluster) -> str:
    """Returns the cluster endpoint, which leads to the writer."""
    return f"{cluster.identifier}.cluster-{ENDPOINT_HASH}.{cluster.region}.rds.amazonaws.com"


def reader_endpoint(cluster: Cluster) -> str:
    """Returns the reader endpoint."""
    return f"{cluster.identifier}.cluster-ro-{ENDPOINT_HASH}.{cluster.region}.rds.amazonaws.com"


def instance_endpoint(cluster: Cluster) -> str:
    """Returns the endpoint of the one server that a region has here, that of its first instance.

    Both cluster endpoints are CNAMEs of it.
    """
    return f"{cluster.instances[0]}.{ENDPOINT_HASH}.{cluster.region}.rds.amazonaws.com"


def security_group(region: str, key: str) -> str:
    """Returns the id of a security group of a region; a cluster is created with the group ``database``."""
    return f"sg-{key}-{region}"


class Databases(Protocol):
    """The real databases behind the clusters, by region. Each call returns when it is done."""

    def promote(self, region: str) -> None:
        """Lets a standby take writes."""

    def drain(self, region: str) -> None:
        """Stops a writer when its standby has all it wrote."""

    def follow(self, region: str, leader: str) -> None:
        """Starts a drained writer again, as the standby of ``leader``."""

    def admit(self, region: str, *, clients: bool) -> None:
        """Lets clients open connections to a region's database, or not."""

    def restart(self, region: str) -> None:
        """Ends all sessions of a region's database and starts it again; one that is dead stays dead."""

    def retire(self, region: str) -> None:
        """Ends a region's database for good, and wipes its data: its cluster was deleted."""

    def rebuild(self, region: str, leader: str) -> None:
        """Rebuilds a region's database as a standby of ``leader`` that follows it: a secondary was created."""


@dataclass
class _Coming:
    due: float
    ready: Callable[[], bool]
    happen: Callable[[], None]


class Agenda:
    """What becomes of requests that RDS has accepted: each is done when somebody looks, once its time has come."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._coming: list[_Coming] = []
        self._lock = threading.RLock()

    def after(self, seconds: float, happen: Callable[[], None], ready: Callable[[], bool] = lambda: True) -> None:
        """Does something after that many virtual seconds, and not before it is ``ready``."""
        with self._lock:
            self._coming.append(_Coming(self._clock.now() + seconds, ready, happen))

    def settle(self) -> None:
        """Does everything whose time has come."""
        with self._lock:
            for one in sorted(self._coming, key=lambda each: each.due):
                if one.due <= self._clock.now() and one.ready():
                    self._coming.remove(one)
                    one.happen()


class Clusters:
    """All clusters, instances and snapshots of an account."""

    def __init__(self, account: str, agenda: Agenda, clock: Clock, databases: Databases, observe: Observe) -> None:
        self._account = account
        self._agenda = agenda
        self._clock = clock
        self._databases = databases
        self._observe = observe
        # What the deployment creates is there at once: its databases were there before it.
        self.are_deployed = False

    def install(self, stack: ExitStack) -> None:
        """Answers the requests that moto gets wrong, until ``stack`` is closed."""
        model = self

        def answer(name: str, key: str, work: Callable[[str, Any], Any]) -> None:
            def respond(response: RDSResponse) -> ActionResult:
                model._agenda.settle()
                return ActionResult({key: work(response.region, response.params)})

            stack.enter_context(mock.patch.object(RDSResponse, name, respond))

        answer("create_db_cluster", "DBCluster", self.create)
        answer("modify_db_cluster", "DBCluster", self.modify)
        answer("delete_db_cluster", "DBCluster", self.delete)
        answer("create_db_instance", "DBInstance", self.create_instance)
        answer("delete_db_instance", "DBInstance", self.delete_instance)
        answer("reboot_db_instance", "DBInstance", self.reboot_instance)
        answer("create_db_cluster_snapshot", "DBClusterSnapshot", self.create_snapshot)
        for name in ("describe_db_clusters", "describe_db_instances", "describe_db_cluster_snapshots"):
            stack.enter_context(mock.patch.object(RDSResponse, name, self._up_to_date(getattr(RDSResponse, name))))
        # moto's clusters are available once somebody has looked at them; these are when their time has come.
        status = property(lambda one: one._status, lambda one, value: setattr(one, "_status", value))
        stack.enter_context(mock.patch.object(DBCluster, "status", status))

    def find(self, region: str, identifier: str) -> Any:
        """Returns moto's cluster of that identifier or ARN."""
        cluster = rds_backends[self._account][region].clusters.get(identifier.rsplit(":", 1)[-1])
        if cluster is None:
            raise DBClusterNotFoundError(identifier)
        return cluster

    def global_cluster_of(self, cluster: Any) -> Any:
        """Returns moto's global cluster of which a cluster is a member; None when there is none."""
        every = (one for region in rds_backends[self._account].values() for one in region.global_clusters.values())
        return next((one for one in every if cluster in one.members), None)

    # --- clusters

    def create(self, region: str, asked: Any) -> Any:
        """Creates a cluster; one with a global cluster becomes its primary, or a secondary of its primary."""
        identifier = asked["DBClusterIdentifier"]
        backend = rds_backends[self._account][region]
        if identifier in backend.clusters:
            raise RDSClientError("DBClusterAlreadyExistsFault", f"DB Cluster {identifier} already exists")
        global_cluster = self._global_cluster(asked.get("GlobalClusterIdentifier"), region)
        leader = next((one for one in global_cluster.members if one.is_writer), None) if global_cluster else None
        if leader is not None:
            _refuse_settings_of_the_primary(asked)
        cluster = backend.create_db_cluster(asked)
        cluster.url_identifier = ENDPOINT_HASH
        if leader is None or not self.are_deployed:
            cluster.status = "available"
            return cluster
        self._admit(region, cluster)
        self._observe(Happening(Kind.REBUILD_STARTED, region, identifier))
        follows = self.begin(cluster, lambda: self._databases.rebuild(region, leader.region))

        def available() -> None:
            cluster.status = "available"
            self._observe(Happening(Kind.FOLLOWS, region, identifier))

        self._agenda.after(REBUILD_SECONDS, available, follows)
        return cluster

    def modify(self, region: str, asked: Any) -> Any:
        """Changes a cluster's security groups, its deletion protection or the bounds of its capacity."""
        unknown = sorted(name for name in asked if name not in MODIFIABLE)
        if unknown:
            raise RDSClientError("InvalidParameterCombination", f"The lab does not change {', '.join(unknown)}.")
        cluster = self.find(region, asked["DBClusterIdentifier"])
        if "DeletionProtection" in asked:
            cluster.deletion_protection = asked["DeletionProtection"]
        if bounds := asked.get("ServerlessV2ScalingConfiguration"):
            cluster.serverless_v2_scaling_configuration = dict(bounds)
        if groups := list(asked.get("VpcSecurityGroupIds", [])):
            cluster.vpc_security_group_ids = groups
            admits = self._admit(region, cluster)
            happened = Happening(Kind.SECURITY_GROUP_CHANGED, region, cluster.db_cluster_identifier, {"admits": admits})
            self._observe(happened)
        return cluster

    def delete(self, region: str, asked: Any) -> Any:
        """Deletes a cluster; its database is wiped at once, and the cluster is gone after its instances."""
        cluster = self.find(region, asked["DBClusterIdentifier"])
        identifier = cluster.db_cluster_identifier
        self._refuse_deletion(cluster)
        final = asked.get("FinalDBSnapshotIdentifier")
        if final:
            self.create_snapshot(
                region, {"DBClusterIdentifier": identifier, "DBClusterSnapshotIdentifier": final, "Tags": []}
            )
        elif not asked.get("SkipFinalSnapshot"):
            raise RDSClientError(
                "InvalidParameterCombination",
                "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
            )
        cluster.status = "deleting"
        wiped = self.begin(cluster, lambda: self._databases.retire(region))

        def gone() -> None:
            backend = rds_backends[self._account][region]
            for snapshot in list(backend.cluster_snapshots.values()):
                if snapshot.db_cluster_identifier == identifier and snapshot.snapshot_type == "automated":
                    backend.cluster_snapshots.pop(snapshot.db_cluster_snapshot_identifier)
            if global_cluster := self.global_cluster_of(cluster):
                global_cluster.members.remove(cluster)
            backend.clusters.pop(identifier)
            self._observe(Happening(Kind.CLUSTER_DELETED, region, identifier))

        self._agenda.after(DELETION_SECONDS, gone, lambda: wiped() and not cluster.members)
        return cluster

    def _refuse_deletion(self, cluster: Any) -> None:
        """Raises RDS's error when a cluster cannot be deleted."""
        if cluster.status == "deleting":
            raise _invalid_cluster(f"Cluster {cluster.db_cluster_identifier} is already being deleted.")
        if cluster.deletion_protection:
            raise RDSClientError(
                "InvalidParameterCombination",
                "Cannot delete protected Cluster, please disable deletion protection and try again.",
            )
        if any(instance.status != "deleting" for instance in cluster.members):
            raise _invalid_cluster("Cluster cannot be deleted, it still contains DB instances in non-deleting state.")
        global_cluster = self.global_cluster_of(cluster)
        if global_cluster is None:
            return
        if not cluster.is_writer:
            raise _invalid_cluster(
                "This cluster is a part of a global cluster, please remove it from globalcluster first"
            )
        if len(global_cluster.members) > 1:
            raise RDSClientError(
                "InvalidGlobalClusterStateFault",
                "Unable to delete cluster that is a primary member of global cluster while there are other global "
                "cluster members",
            )

    def _global_cluster(self, identifier: str | None, region: str) -> Any:
        """Returns moto's global cluster that a new cluster of a region may join."""
        if identifier is None:
            return None
        every = {
            one.global_cluster_identifier: one
            for backend in rds_backends[self._account].values()
            for one in backend.global_clusters.values()
        }
        if identifier not in every:
            raise RDSClientError("GlobalClusterNotFoundFault", f"Global cluster {identifier} not found.")
        found = every[identifier]
        if found.status != "available":
            raise RDSClientError(
                "InvalidGlobalClusterStateFault", f"The global cluster {identifier} is {found.status}."
            )
        if any(member.region == region for member in found.members):
            raise RDSClientError(
                "InvalidGlobalClusterStateFault", f"The global cluster {identifier} has a cluster in {region} already."
            )
        return found

    def _admit(self, region: str, cluster: Any) -> bool:
        """Lets clients in or not, as the cluster's groups say; returns whether it did."""
        admits = security_group(region, "database") in cluster.vpc_security_group_ids
        self._databases.admit(region, clients=admits)
        return admits

    # --- instances

    def create_instance(self, region: str, asked: Any) -> Any:
        """Creates an instance of a cluster; it is available some time after its cluster."""
        cluster = self.find(region, asked["DBClusterIdentifier"])
        if cluster.status == "deleting":
            raise _invalid_cluster(f"Cluster {cluster.db_cluster_identifier} is being deleted.")
        instance = rds_backends[self._account][region].create_db_instance(asked)
        if not self.are_deployed:
            return instance
        instance.status = "creating"

        def available() -> None:
            if instance.status == "creating":
                instance.status = "available"

        self._agenda.after(INSTANCE_SECONDS, available, lambda: cluster.status == "available")
        return instance

    def delete_instance(self, region: str, asked: Any) -> Any:
        """Deletes an instance."""
        backend, identifier = rds_backends[self._account][region], asked["DBInstanceIdentifier"]
        instance = self._instance(region, identifier)
        if instance.status == "deleting":
            raise RDSClientError("InvalidDBInstanceState", f"Instance {identifier} is already being deleted.")
        cluster = instance.cluster
        others = [one for one in cluster.members if one is not instance and one.status != "deleting"]
        global_cluster = self.global_cluster_of(cluster)
        if not others and cluster.is_writer and global_cluster and len(global_cluster.members) > 1:
            raise _invalid_cluster(
                "Cannot delete the last instance of the master cluster. Delete the replica cluster before deleting "
                "the last master cluster instance."
            )
        instance.status = "deleting"

        def gone() -> None:
            backend.delete_db_instance(identifier)

        self._agenda.after(DELETION_SECONDS, gone)
        return instance

    def reboot_instance(self, region: str, asked: Any) -> Any:
        """Restarts an instance; one server stands in for all of a cluster, so the writer's restart is the server's."""
        instance = self._instance(region, asked["DBInstanceIdentifier"])
        if instance.status != "available":
            raise RDSClientError(
                "InvalidDBInstanceState", f"Instance {instance.db_instance_identifier} is not available."
            )
        instance.status = "rebooting"
        is_writer = instance is instance.cluster.members[0]
        restarted = self.begin(instance.cluster, lambda: self._databases.restart(region)) if is_writer else lambda: True
        happened = Happening(Kind.INSTANCE_RESTARTED, region, instance.db_instance_identifier)
        self._observe(happened)

        def available() -> None:
            if instance.status == "rebooting":
                instance.status = "available"

        self._agenda.after(0.0, available, restarted)
        return instance

    def _instance(self, region: str, identifier: str) -> Any:
        instance = rds_backends[self._account][region].databases.get(identifier)
        if instance is None:
            raise DBInstanceNotFoundError(identifier)
        return instance

    # --- snapshots

    def create_snapshot(self, region: str, asked: Any) -> Any:
        """Begins a snapshot of a cluster."""
        cluster = self.find(region, asked["DBClusterIdentifier"])
        if cluster.status != "available":
            raise _invalid_cluster(f"Cluster {cluster.db_cluster_identifier} is {cluster.status}, not available.")
        name = asked["DBClusterSnapshotIdentifier"]
        backend = rds_backends[self._account][region]
        snapshot: Any = backend.create_db_cluster_snapshot(cluster.db_cluster_identifier, name, tags=asked.get("Tags"))
        snapshot.created = datetime.fromtimestamp(self._clock.now(), UTC)
        snapshot.db_cluster_resource_id = cluster.db_cluster_resource_id
        snapshot.status, snapshot.percent_progress = "creating", 0
        self._observe(Happening(Kind.SNAPSHOT_STARTED, region, name))

        def available() -> None:
            snapshot.status, snapshot.percent_progress = "available", 100

        self._agenda.after(SNAPSHOT_SECONDS, available)
        return snapshot

    # --- details

    def begin(self, cluster: Any, work: Callable[[], None]) -> Callable[[], bool]:
        """Does something to a real database in a thread of its own; returns a function that says whether it is done."""
        done = threading.Event()

        def run() -> None:
            try:
                work()
                done.set()
            except Exception as error:  # noqa: BLE001 - whatever the lab's database raises belongs in the timeline
                problem = {"error": f"{type(error).__name__}: {error}"}
                self._observe(Happening(Kind.DATABASE_FAILED, cluster.region, cluster.db_cluster_identifier, problem))

        threading.Thread(target=run, name=f"database {cluster.region}", daemon=True).start()
        return done.is_set

    def _up_to_date(self, describe: Callable[[RDSResponse], ActionResult]) -> Callable[[RDSResponse], ActionResult]:
        def respond(response: RDSResponse) -> ActionResult:
            self._agenda.settle()
            return describe(response)

        return respond


def _refuse_settings_of_the_primary(asked: Any) -> None:
    given = [name for name in OF_THE_PRIMARY if asked.get(name)]
    if given:
        raise RDSClientError(
            "InvalidParameterCombination", f"Cannot specify {', '.join(given)} for cross region replication cluster"
        )


def _invalid_cluster(why: str) -> RDSClientError:
    return RDSClientError("InvalidDBClusterStateFault", why)
