"""RDS: how clusters, their instances and snapshots come and go, and the global database around them.

Sources and rules are those of `drills.aws.clusters` and `drills.aws.global_database`: a cluster goes without its
instances, without deletion protection and without secondaries only; a snapshot keeps a cluster busy; what was accepted
is done some time later.

Limits: times are stated, and short; of settings nothing is kept but what the re-protection reads again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from simulation.happened import Retired, SnapshotTaken
from simulation.network import Reply
from simulation.stand_ins import refusal

if TYPE_CHECKING:
    from simulation.rds import Rds
    from simulation.world import World

NEVER_S = 1e9
ANSWERS_S = (0.1, 1.0)
SNAPSHOT_S, INSTANCE_S, DELETION_S, REBUILD_S, GLOBAL_S = 10.0, 10.0, 5.0, 20.0, 5.0
LOOKS_AGAIN_S = 2.0

Request = dict[str, Any]


@dataclass
class Cluster:
    """A cluster of ``region``; ``resource_id`` is RDS's own, which no other one ever has. Its status is in `Rds`."""

    region: str
    resource_id: str
    protected: bool = True
    least_acu: float = 0.5
    instances: dict[str, str] = field(default_factory=dict)  # by name, the status of each


class Clusters:
    """Those of both regions, their snapshots, and what is asked of them beside a move of the writer."""

    def __init__(self, world: World, rds: Rds) -> None:
        self._world, self._rds = world, rds
        self._names = world.product.specification.names
        self._made = 0
        self.of = {region: self._cluster(region) for region in world.regions}
        for cluster in self.of.values():
            cluster.instances[self._names.instance(0, cluster.region)] = "available"
        self._snapshots: dict[str, Request] = {}
        self._operations: dict[str, Callable[[str, Request], None]] = {
            "create_db_cluster_snapshot": self._take_snapshot,
            "delete_db_instance": self._delete_instance,
            "delete_db_cluster": self._delete,
            "delete_global_cluster": self._delete_global,
            "modify_global_cluster": self._unprotect_global,
            "create_global_cluster": self._make_global,
            "create_db_cluster": self._make_secondary,
            "create_db_instance": self._make_instance,
        }

    def _cluster(self, region: str) -> Cluster:
        self._made += 1
        return Cluster(region, f"cluster-{self._made}")

    # --- looking

    def described(self, region: str) -> Request:
        """Returns what RDS says of a region's cluster."""
        cluster = self.find(region, "describe_db_clusters")
        group = "fence" if self._world.databases.of[region].group_closed else "database"
        return {
            "DBClusterIdentifier": self._names.cluster(region),
            "DbClusterResourceId": cluster.resource_id,
            "Status": self._rds.status[region],
            "Endpoint": f"{self._names.cluster(region)}.cluster-abc.{region}.rds.amazonaws.com",
            "EngineVersion": "17.4",
            "DeletionProtection": cluster.protected,
            "ServerlessV2ScalingConfiguration": {"MinCapacity": cluster.least_acu, "MaxCapacity": 16.0},
            "VpcSecurityGroups": [{"VpcSecurityGroupId": f"sg-{group}-{region}"}],
            "DBClusterMembers": [{"DBInstanceIdentifier": name, "IsClusterWriter": True} for name in cluster.instances],
        }

    def instance(self, region: str, name: str) -> Request:
        """Returns what it says of an instance."""
        found = self.of.get(region)
        if found is None or name not in found.instances:
            raise refusal("DBInstanceNotFound", "describe_db_instances", status=404)
        return {
            "DBInstanceIdentifier": name,
            "DBClusterIdentifier": self._names.cluster(region),
            "DBInstanceStatus": "rebooting" if region in self._rds.rebooting else found.instances[name],
            "DBSubnetGroup": {"DBSubnetGroupName": self._names.cluster(region)},
        }

    def snapshot(self, name: str) -> Request:
        """Returns what it says of a snapshot."""
        if name not in self._snapshots:
            raise refusal("DBClusterSnapshotNotFoundFault", "describe_db_cluster_snapshots", status=404)
        return self._snapshots[name]

    def find(self, region: str, operation: str) -> Cluster:
        """Returns a region's cluster; raises RDS's error where there is none."""
        found = self.of.get(region)
        if found is None:
            raise refusal("DBClusterNotFoundFault", operation, status=404)
        return found

    # --- requests that change something

    def change(self, region: str, operation: str, request: Request) -> Reply:
        """Lets a request meet what RDS does with it: busy, throttled, lost, done and never answered, late."""
        world, faults = self._world, self._world.faults
        if faults.acting("rds lost", "") and world.chance.random() < 0.7:
            return Reply(None, NEVER_S)
        if faults.acting("rds busy", region):
            raise refusal("InvalidDBClusterStateFault", operation)
        if faults.acting("rds throttles", region):
            raise refusal("Throttling", operation)
        self._operations[operation](region, request)
        if faults.acting("rds unanswered", "") and world.chance.random() < 0.7:
            return Reply(None, NEVER_S)
        late = faults.acting("rds late", "")
        return Reply({}, late.how["takes"] if late else world.chance.uniform(*ANSWERS_S))

    def unprotect(self, region: str) -> None:
        """Lifts the deletion protection."""
        self.find(region, "modify_db_cluster").protected = False

    def set_least_acu(self, region: str, acu: float) -> None:
        """Changes the lower bound of the capacity."""
        self.find(region, "modify_db_cluster").least_acu = acu

    def leave(self, region: str) -> None:
        """Takes the primary out of its global database, in which it has to be the last one."""
        members = self._rds.members
        if len(members) > 1:
            raise refusal("InvalidGlobalClusterStateFault", "remove_from_global_cluster")

        def gone() -> None:
            members.pop(region, None)

        self._world.time.after(GLOBAL_S, gone)

    def _take_snapshot(self, region: str, request: Request) -> None:
        world, rds, name = self._world, self._rds, request["DBClusterSnapshotIdentifier"]
        cluster = self.find(region, "create_db_cluster_snapshot")
        if name in self._snapshots:
            raise refusal("DBClusterSnapshotAlreadyExistsFault", "create_db_cluster_snapshot")
        if rds.status[region] != "available":
            raise refusal("InvalidDBClusterStateFault", "create_db_cluster_snapshot")
        rds.status[region] = "backing-up"
        snapshot = self._snapshots[name] = {
            "DBClusterSnapshotIdentifier": name,
            "DbClusterResourceId": cluster.resource_id,
            "Status": "creating",
            "PercentProgress": 0,
            "SnapshotCreateTime": datetime.fromtimestamp(world.time.now, UTC),
        }
        began = world.at

        def done() -> None:
            snapshot.update(Status="available", PercentProgress=100)
            rds.status[region] = "available"
            world.tell(SnapshotTaken(world.at, region, cluster.resource_id, began))

        world.time.after(SNAPSHOT_S, done)

    def _delete_instance(self, region: str, request: Request) -> None:
        cluster, name = self.of.get(region), request["DBInstanceIdentifier"]
        if cluster is None or name not in cluster.instances:
            raise refusal("DBInstanceNotFound", "delete_db_instance", status=404)
        if cluster.instances[name] == "deleting":
            raise refusal("InvalidDBInstanceState", "delete_db_instance")
        cluster.instances[name] = "deleting"
        self._world.databases.of[region].stop("deleted", for_good=True)

        def gone() -> None:
            del cluster.instances[name]

        self._world.time.after(DELETION_S, gone)

    def _delete(self, region: str, request: Request) -> None:
        world, rds, members = self._world, self._rds, self._rds.members
        cluster = self.find(region, "delete_db_cluster")
        if cluster.protected or not request["SkipFinalSnapshot"]:
            raise refusal("InvalidParameterCombination", "delete_db_cluster")
        has_instances = any(status != "deleting" for status in cluster.instances.values())
        if rds.status[region] != "available" or has_instances or members.get(region) is False:
            raise refusal("InvalidDBClusterStateFault", "delete_db_cluster")
        if region in members and len(members) > 1:
            raise refusal("InvalidGlobalClusterStateFault", "delete_db_cluster")
        rds.status[region] = "deleting"
        world.tell(Retired(world.at, region, cluster.resource_id))

        def gone() -> None:
            if cluster.instances:
                world.time.after(LOOKS_AGAIN_S, gone)
                return
            members.pop(region, None)
            del self.of[region], rds.status[region]

        world.time.after(DELETION_S, gone)

    def _delete_global(self, region: str, request: Request) -> None:
        del region, request
        rds = self._rds
        rds.require_global("delete_global_cluster")
        if rds.members:
            raise refusal("InvalidGlobalClusterStateFault", "delete_global_cluster")
        if rds.global_protected:
            raise refusal("InvalidParameterCombination", "delete_global_cluster")
        rds.global_status = None

    def _unprotect_global(self, region: str, request: Request) -> None:
        del region
        self._rds.require_global("modify_global_cluster")
        self._rds.global_protected = request["DeletionProtection"]

    def _make_global(self, region: str, request: Request) -> None:
        rds = self._rds
        if rds.global_status is not None:
            raise refusal("GlobalClusterAlreadyExistsFault", "create_global_cluster")
        if rds.status.get(region) != "available" or request["SourceDBClusterIdentifier"] != rds.arn(region):
            raise refusal("InvalidDBClusterStateFault", "create_global_cluster")
        rds.global_status, rds.global_protected, rds.members = "creating", True, {region: True}

        def made() -> None:
            rds.global_status = "available"

        self._world.time.after(GLOBAL_S, made)

    def _make_secondary(self, region: str, request: Request) -> None:
        rds, world = self._rds, self._world
        if region in self.of:
            raise refusal("DBClusterAlreadyExistsFault", "create_db_cluster")
        rds.require_global("create_db_cluster")
        if rds.global_status != "available" or rds.members.get(request["SourceRegion"]) is not True:
            raise refusal("InvalidGlobalClusterStateFault", "create_db_cluster")
        cluster = self.of[region] = self._cluster(region)
        cluster.protected = bool(request.get("DeletionProtection"))
        rds.members[region], rds.status[region] = False, "creating"
        closed = request["VpcSecurityGroupIds"] != [f"sg-database-{region}"]

        def made() -> None:
            if not world.databases.of[request["SourceRegion"]].runs:
                world.time.after(LOOKS_AGAIN_S, made)
                return
            rds.status[region] = "available"
            world.databases.rebuild(region, request["SourceRegion"], group_closed=closed)

        world.time.after(REBUILD_S, made)

    def _make_instance(self, region: str, request: Request) -> None:
        cluster, name = self.find(region, "create_db_instance"), request["DBInstanceIdentifier"]
        if name in cluster.instances:
            raise refusal("DBInstanceAlreadyExists", "create_db_instance")
        if self._rds.status[region] == "deleting":
            raise refusal("InvalidDBClusterStateFault", "create_db_instance")
        cluster.instances[name] = "creating"

        def made() -> None:
            if self._rds.status[region] == "creating":
                self._world.time.after(LOOKS_AGAIN_S, made)
                return
            cluster.instances[name] = "available"
            database = self._world.databases.of[region]
            database.exists = True
            if not self._world.keeps_down(region):
                database.start()

        self._world.time.after(INSTANCE_S, made)
