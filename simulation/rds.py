"""RDS: the global database, its clusters, and how a detach or a switchover goes.

What is modelled, its sources and the ways in which AWS is reported to behave are those of `drills.aws.global_database`
and `drills.aws.rds_behaviour`; here each is a fault that acts for a time.

How clusters come and go is in `simulation.clusters`.

Limits: as there. Times are stated, not measured.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from simulation.clusters import Clusters
from simulation.happened import Asked, CapacityAsked, Fenced, Lifted, RdsBegan, RdsEnded
from simulation.network import Reply
from simulation.stand_ins import Client, refusal

if TYPE_CHECKING:
    from simulation.world import World

ANSWERS_S = 0.05
NEVER_S = 1e9
# From the acceptance of a detach until the cluster takes writes, and the same of a switchover, where no fault says
# otherwise: mostly quick, which is the most dangerous.
QUICKEST_S, SLOWEST_S = 0.05, 20.0
DRAINED_S = 1.0  # from a switchover's beginning until the primary takes no more writes
REBOOT_S = 6.0
CANCELLING_S = 3.0
# A cluster's states in which RDS changes nothing else of it.
MODIFYING = "modifying"
NO_CHANGES_WHILE = ("backing-up", "creating", "deleting", MODIFYING)
CAPACITY_S = (1.0, 8.0)  # for how long the change of a bound keeps the cluster at work
# How RDS refuses it: for now, because of too many requests, or for good.
CAPACITY_REFUSALS = ("InvalidDBClusterStateFault", "Throttling", "InvalidParameterCombination")
OPERATIONS: dict[str, Literal["detach", "switchover"]] = {
    "remove_from_global_cluster": "detach",
    "switchover_global_cluster": "switchover",
}


class Rds:
    """The control plane of both regions."""

    def __init__(self, world: World, writer: str, standby: str) -> None:
        self._world = world
        self.members = {writer: True, standby: False}  # by region, and whether it is the primary
        self.status = {writer: "available", standby: "available"}
        self.global_status: str | None = "available"  # None where there is no global database
        self.global_protected = True
        self.at_work: str | None = None  # the failover state, in RDS's word
        self.rebooting: set[str] = set()
        self._group_due = {writer: 0.0, standby: 0.0}
        self.groups_in_work = {writer: 0, standby: 0}  # changes of a security group that have not come about yet
        self.clusters = Clusters(world, self)

    def serve(self, here: str, client: Client, operation: str, request: dict[str, Any]) -> Reply:
        """Answers a request."""
        del here
        takes = ANSWERS_S * self._world.chance.uniform(0.5, 3)
        if operation in OPERATIONS:
            return self._move(client.region, operation, request)
        if operation == "describe_global_clusters":
            return Reply({"GlobalClusters": [self._global()]}, takes)
        if operation == "describe_db_clusters":
            return Reply({"DBClusters": [self.clusters.described(client.region)]}, takes)
        if operation == "describe_db_instances":
            name = request["DBInstanceIdentifier"]
            return Reply({"DBInstances": [self.clusters.instance(client.region, name)]}, takes)
        if operation == "describe_db_cluster_snapshots":
            found = self.clusters.snapshot(request["DBClusterSnapshotIdentifier"])
            return Reply({"DBClusterSnapshots": [dict(found)]}, takes)
        if operation == "modify_db_cluster":
            return self._modify(client.region, request, takes)
        if operation == "reboot_db_instance":
            return self._reboot(client.region, takes)
        return self.clusters.change(client.region, operation, request)

    # --- looking

    def arn(self, region: str) -> str:
        """Returns the ARN of a region's cluster."""
        return self._world.product.specification.names.cluster_arn(region)

    def _global(self) -> dict[str, Any]:
        self.require_global("describe_global_clusters")
        members = [{"DBClusterArn": self.arn(region), "IsWriter": first} for region, first in self.members.items()]
        found: dict[str, Any] = {
            "GlobalClusterIdentifier": self._world.product.specification.global_identifier,
            "GlobalClusterMembers": members,
            "Status": self.global_status,
            "DeletionProtection": self.global_protected,
        }
        return found | ({"FailoverState": {"Status": self.at_work}} if self.at_work else {})

    def require_global(self, operation: str) -> None:
        """Raises RDS's error where there is no global database."""
        if self.global_status is None:
            raise refusal("GlobalClusterNotFoundFault", operation, status=404)

    # --- the fence's part

    def _modify(self, region: str, request: dict[str, Any], takes: float) -> Reply:
        self.clusters.find(region, "modify_db_cluster")
        if self._world.faults.acting("rds busy", region) or self.status[region] in NO_CHANGES_WHILE:
            raise refusal("InvalidDBClusterStateFault", "modify_db_cluster")
        if "ServerlessV2ScalingConfiguration" in request:
            return self._change_capacity(region, request["ServerlessV2ScalingConfiguration"]["MinCapacity"], takes)
        if "VpcSecurityGroupIds" in request:
            return self._change_group(region, request["VpcSecurityGroupIds"][0], takes)
        self.clusters.unprotect(region)
        return Reply({}, takes)

    def _change_group(self, region: str, group: str, takes: float) -> Reply:
        world = self._world
        late = world.faults.acting("group change late", region)
        closed = group != f"sg-database-{region}"
        self.groups_in_work[region] += 1
        # What RDS has accepted it does in that order.
        due = max(world.time.now + (late.how["takes"] if late else 0.0), self._group_due[region])
        self._group_due[region] = due

        def done() -> None:
            self.groups_in_work[region] -= 1
            world.databases.of[region].set_group(closed=closed)
            world.judge_fit()

        world.time.at(due, done)
        world.judge_fit()
        return Reply({}, takes)

    def _change_capacity(self, region: str, least_acu: float, takes: float) -> Reply:
        """Changes a bound; the cluster is at work meanwhile, and RDS changes nothing else of it."""
        world, refused = self._world, self._world.faults.acting("capacity refused", region)
        if self.status[region] != "available" or refused is not None:
            world.tell(CapacityAsked(world.at, region, accepted=False))
            code = CAPACITY_REFUSALS[int(refused.how["as"])] if refused else CAPACITY_REFUSALS[0]
            raise refusal(code, "modify_db_cluster")
        world.tell(CapacityAsked(world.at, region, accepted=True))
        self.clusters.set_least_acu(region, least_acu)
        self.status[region] = MODIFYING
        world.judge_fit()
        slow = world.faults.acting("capacity takes", region)
        lasts = slow.how["takes"] if slow else world.chance.uniform(*CAPACITY_S)

        def done() -> None:
            if self.status[region] == MODIFYING:
                self.status[region] = "available"
            world.judge_fit()

        world.time.after(lasts, done)
        return Reply({}, takes)

    def _reboot(self, region: str, takes: float) -> Reply:
        world, database = self._world, self._world.databases.of[region]
        instances = self.clusters.find(region, "reboot_db_instance").instances
        is_whole = set(instances.values()) == {"available"}
        if region in self.rebooting or world.faults.acting("rds busy", region) or not is_whole:
            raise refusal("InvalidDBInstanceState", "reboot_db_instance")
        self.rebooting.add(region)
        was_up = database.runs
        if was_up:
            world.tell(Fenced(world.at, region, "restart"))
            database.stop("restarted")

        def done() -> None:
            self.rebooting.discard(region)
            if was_up:
                world.tell(Lifted(world.at, region, "restart"))
            if was_up and not world.keeps_down(region):
                database.start()
            world.judge_fit()

        world.time.after(REBOOT_S * world.chance.uniform(0.7, 2), done)
        return Reply({}, takes)

    # --- requests that move the writer

    def _move(self, region: str, operation: str, request: dict[str, Any]) -> Reply:
        """Lets a request meet what RDS does with it; see `drills.aws.rds_behaviour`."""
        world, faults, what = self._world, self._world.faults, OPERATIONS[operation]
        arn = request.get("DbClusterIdentifier") or request["TargetDbClusterIdentifier"]
        target = next(one for one in world.regions if self.arn(one) == arn)
        if faults.acting("rds lost", "") and world.chance.random() < 0.7:
            return Reply(None, NEVER_S)
        if what == "detach" and self.members.get(target) is True:
            return self._leave(target, operation)
        accept = self._accept_detach if what == "detach" else self._accept_switchover
        accepted = False
        try:
            if faults.acting("rds busy", region):
                raise refusal("InvalidDBClusterStateFault", operation)
            if faults.acting("rds throttles", region):
                raise refusal("Throttling", operation)
            accept(target, operation)
            accepted = True
        finally:
            world.tell(Asked(world.at, what, target, world.caller, accepted))
        (self._detach if what == "detach" else self._switch_over)(target)
        if faults.acting("rds unanswered", "") and world.chance.random() < 0.7:
            return Reply(None, NEVER_S)
        late = faults.acting("rds late", "")
        return Reply({}, late.how["takes"] if late else ANSWERS_S)

    def _leave(self, primary: str, operation: str) -> Reply:
        """Takes a primary out of the global database, which moves nothing."""
        if self._world.faults.acting("rds busy", primary) or self.status[primary] != "available":
            raise refusal("InvalidDBClusterStateFault", operation)
        self.clusters.leave(primary)
        unanswered = self._world.faults.acting("rds unanswered", "") and self._world.chance.random() < 0.7
        return Reply(None, NEVER_S) if unanswered else Reply({}, ANSWERS_S)

    def _takes(self) -> float:
        """Returns how long a promotion takes."""
        return QUICKEST_S * math.exp(math.log(SLOWEST_S / QUICKEST_S) * self._world.chance.random())

    def _accept_detach(self, region: str, operation: str) -> None:
        if self.members.get(region) is not False:
            raise refusal("DBClusterNotFoundFault", operation, "it is no secondary of the global cluster")
        if self.status[region] != "available":
            raise refusal("InvalidDBClusterStateFault", operation)
        if self.global_status != "available":
            raise refusal("InvalidGlobalClusterStateFault", operation)

    def _detach(self, region: str) -> None:
        world = self._world
        world.tell(RdsBegan(world.at, "detach", region))
        lists = world.faults.acting("rds lists", "") is not None
        if not lists:
            del self.members[region]
        shows_available = world.faults.acting("rds shows available", "")
        slow = world.faults.acting("promotion takes", "")
        takes = slow.how["takes"] if slow else self._takes()
        self.status[region] = "available" if shows_available else "promoting"
        if shows_available:
            world.time.after(
                min(shows_available.how["takes"], takes), lambda: self.status.update({region: "promoting"})
            )

        def done() -> None:
            if not world.databases.of[region].runs:
                world.time.after(2.0, done)  # Aurora goes on when it can
                return
            self.members.pop(region, None)
            self.status[region] = "available"
            world.databases.promote(region)
            world.tell(RdsEnded(world.at, "detach", region, "done"))

        world.time.after(takes + 0.001, done)

    def _accept_switchover(self, target: str, operation: str) -> None:
        world = self._world
        if self.global_status != "available" or self.at_work:
            raise refusal("InvalidGlobalClusterStateFault", operation)
        if self.members.get(target) is not False or len(self.members) < len(world.regions):
            raise refusal("InvalidGlobalClusterStateFault", operation, "it is the primary, or no member")
        primary = world.databases.other(target).region
        reached = world.network.reaches(primary, target) == "open"
        if not reached or not all(world.databases.of[one].runs for one in (primary, target)):
            raise refusal("InvalidGlobalClusterStateFault", operation, "not all clusters are available")

    def _switch_over(self, target: str) -> None:
        world = self._world
        primary = world.databases.other(target).region
        pending = world.faults.acting("rds pending", "")
        cancels = world.faults.acting("rds cancels", "")
        self.at_work = "pending"
        world.time.after(
            pending.how["takes"] if pending else 0.2,
            lambda: self._cancel(target) if cancels else self._begin_switchover(primary, target),
        )

    def _cancel(self, target: str) -> None:
        self.at_work = "cancelling"

        def over() -> None:
            self.at_work = None
            self._world.tell(RdsEnded(self._world.at, "switchover", target, "cancelled"))

        self._world.time.after(CANCELLING_S, over)

    def _begin_switchover(self, primary: str, target: str) -> None:
        world = self._world
        detached = self.members.get(target) is not False  # by a request that came while this one was pending
        if detached or not world.databases.of[primary].runs or not world.databases.of[target].runs:
            self._cancel(target)
            return
        self.at_work = self.global_status = "switching-over"
        self.status[primary] = self.status[target] = "switching-over"
        world.tell(RdsBegan(world.at, "switchover", target))
        slow = world.faults.acting("promotion takes", "")
        takes = slow.how["takes"] if slow else self._takes()
        world.time.after(DRAINED_S, lambda: world.databases.drain(primary))

        def done() -> None:
            if not world.databases.of[target].runs:
                world.time.after(2.0, done)
                return
            world.databases.promote(target)
            world.databases.follow(primary)
            self.members = {primary: False, target: True}
            self.global_status = self.status[primary] = self.status[target] = "available"
            self.at_work = None
            world.tell(RdsEnded(world.at, "switchover", target, "done"))

        world.time.after(DRAINED_S + takes, done)
