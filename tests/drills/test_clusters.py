"""RDS's part of a re-protection: the old cluster goes, a new global database and a new secondary are made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from moto import mock_aws

from drills.aws import clusters
from drills.aws.clusters import security_group
from drills.aws.global_database import MAKING_SECONDS, REMOVAL_SECONDS, GlobalDatabase
from drills.aws.happenings import Happening, Kind
from drills.world.reachability import Reachability
from orchestration.settings import load
from orchestration.specification import describe

ACCOUNT = "123456789012"
EAST, WEST = "us-east-1", "us-west-2"
SPECIFICATION = describe(load(environment_suffix="test"), ACCOUNT)
GLOBAL = SPECIFICATION.global_identifier
CLUSTERS = {region: SPECIFICATION.regions[region].cluster.identifier for region in (EAST, WEST)}
ARNS = {region: f"arn:aws:rds:{region}:{ACCOUNT}:cluster:{CLUSTERS[region]}" for region in CLUSTERS}
INSTANCES = {region: [SPECIFICATION.names.instance(n, region) for n in (0, 1)] for region in CLUSTERS}

WaitUntil = Callable[[Callable[[], object]], None]


class HandClock:
    """Stands still until it is moved; nothing waits in real time."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def now(self) -> float:
        return self.time

    def to_real(self, seconds: float) -> float:
        return 0.0


class RecordedDatabases:
    """Notes what is done to the real databases; what a region's gate holds up waits for it."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []
        self.admits: dict[str, bool] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.problem: Exception | None = None

    def _do(self, *what: str) -> None:
        self.gate.wait(10)
        if self.problem:
            raise self.problem
        self.done.append(what)

    def promote(self, region: str) -> None:
        self._do("promote", region)

    def drain(self, region: str) -> None:
        self._do("drain", region)

    def follow(self, region: str, leader: str) -> None:
        self._do("follow", region, leader)

    def admit(self, region: str, *, clients: bool) -> None:
        self.admits[region] = clients

    def restart(self, region: str) -> None:
        self._do("restart", region)

    def retire(self, region: str) -> None:
        self._do("retire", region)

    def rebuild(self, region: str, leader: str) -> None:
        self._do("rebuild", region, leader)


class Rds:
    """A deployment's database in moto, as it is after a failover from the first region to the second."""

    def __init__(self, wait_until: WaitUntil) -> None:
        self.clock = HandClock()
        self.databases = RecordedDatabases()
        self.told: list[Happening] = []
        self.wait_until = wait_until
        self._clients: dict[tuple[str, str], Any] = {}
        self.model = GlobalDatabase(
            SPECIFICATION,
            self.clock,  # type: ignore[arg-type]
            Reachability([EAST, WEST]),
            databases=self.databases,
            promotion_seconds=0,
            observe=self.told.append,
        )

    def client(self, service: str, region: str) -> Any:
        if (service, region) not in self._clients:
            keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
            self._clients[service, region] = boto3.client(service, region_name=region, **keys)  # type: ignore[call-overload]
        return self._clients[service, region]

    @property
    def east(self) -> Any:
        return self.client("rds", EAST)

    @property
    def west(self) -> Any:
        return self.client("rds", WEST)

    def fail_over(self) -> None:
        self.west.remove_from_global_cluster(GlobalClusterIdentifier=GLOBAL, DbClusterIdentifier=ARNS[WEST])
        self.wait_until(lambda: self.model.status(WEST) == "available")

    def later(self, seconds: float) -> None:
        self.clock.time += seconds

    def cluster(self, region: str) -> dict[str, Any]:
        found = self.client("rds", region).describe_db_clusters(DBClusterIdentifier=CLUSTERS[region])
        cluster: dict[str, Any] = found["DBClusters"][0]
        return cluster

    def instances(self, region: str) -> dict[str, str]:
        found = self.client("rds", region).describe_db_instances(
            Filters=[{"Name": "db-cluster-id", "Values": [CLUSTERS[region]]}]
        )
        return {one["DBInstanceIdentifier"]: one["DBInstanceStatus"] for one in found["DBInstances"]}

    def global_cluster(self) -> dict[str, Any]:
        found = self.west.describe_global_clusters(GlobalClusterIdentifier=GLOBAL)
        cluster: dict[str, Any] = found["GlobalClusters"][0]
        return cluster

    def delete_instances(self, region: str = EAST) -> None:
        for name in INSTANCES[region]:
            self.client("rds", region).delete_db_instance(DBInstanceIdentifier=name)

    def delete_cluster(self, region: str = EAST) -> None:
        self.client("rds", region).delete_db_cluster(DBClusterIdentifier=CLUSTERS[region], SkipFinalSnapshot=True)

    def retire(self) -> None:
        """All that takes the old cluster and the old global database away."""
        self.east.remove_from_global_cluster(GlobalClusterIdentifier=GLOBAL, DbClusterIdentifier=ARNS[EAST])
        self.later(REMOVAL_SECONDS)
        self.delete_instances()
        self.delete_cluster()
        self.later(clusters.DELETION_SECONDS)
        self.wait_until(self.old_cluster_is_gone)
        assert not self.instances(EAST)
        self.west.delete_global_cluster(GlobalClusterIdentifier=GLOBAL)

    def old_cluster_is_gone(self) -> bool:
        found = self.east.describe_db_clusters()["DBClusters"]
        return CLUSTERS[EAST] not in {one["DBClusterIdentifier"] for one in found}

    def make_global(self) -> None:
        self.west.create_global_cluster(GlobalClusterIdentifier=GLOBAL, SourceDBClusterIdentifier=ARNS[WEST])
        self.later(MAKING_SECONDS)

    def create_secondary(self, **changed: Any) -> None:
        asked: dict[str, Any] = {
            "DBClusterIdentifier": CLUSTERS[EAST],
            "Engine": "aurora-postgresql",
            "GlobalClusterIdentifier": GLOBAL,
            "SourceRegion": WEST,
            "VpcSecurityGroupIds": [security_group(EAST, "fence")],
        }
        self.east.create_db_cluster(**asked | changed)


@pytest.fixture
def rds(wait_until: WaitUntil) -> Iterator[Rds]:
    made = Rds(wait_until)
    with mock_aws(), ExitStack() as stack:
        made.model.install(stack)
        made.model.create(made.client)
        yield made


@pytest.fixture
def after_failover(rds: Rds) -> Rds:
    rds.fail_over()
    return rds


# --- what a deployment has


def test_each_cluster_has_the_instances_that_the_deployment_makes(rds: Rds) -> None:
    for region in (EAST, WEST):
        assert rds.instances(region) == dict.fromkeys(INSTANCES[region], "available")
        assert rds.cluster(region)["Status"] == "available"
    assert rds.databases.done == []


def test_a_cluster_is_described_with_the_settings_from_which_it_can_be_made_again(rds: Rds) -> None:
    found = rds.cluster(EAST)
    assert found["DbClusterResourceId"].startswith("cluster-")
    assert found["DbClusterResourceId"] != rds.cluster(WEST)["DbClusterResourceId"]
    assert found["ServerlessV2ScalingConfiguration"]["MaxCapacity"] == SPECIFICATION.settings.database.max_capacity
    assert found["DBSubnetGroup"] == CLUSTERS[EAST]
    assert found["DBClusterParameterGroup"].startswith(f"{CLUSTERS[EAST]}-pg")
    assert found["EnabledCloudwatchLogsExports"] == ["postgresql"]
    assert found["IAMDatabaseAuthenticationEnabled"]


# --- snapshots


def test_a_snapshot_is_made_some_time_after_it_was_asked_for(after_failover: Rds) -> None:
    rds = after_failover
    rds.east.create_db_cluster_snapshot(
        DBClusterIdentifier=CLUSTERS[EAST], DBClusterSnapshotIdentifier="kept", Tags=[{"Key": "epoch", "Value": "2"}]
    )

    def snapshot() -> dict[str, Any]:
        found = rds.east.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier="kept")
        kept: dict[str, Any] = found["DBClusterSnapshots"][0]
        return kept

    assert (snapshot()["Status"], snapshot()["PercentProgress"]) == ("creating", 0)
    assert snapshot()["DbClusterResourceId"] == rds.cluster(EAST)["DbClusterResourceId"]
    assert snapshot()["SnapshotCreateTime"].timestamp() == rds.clock.now()
    assert snapshot()["TagList"] == [{"Key": "epoch", "Value": "2"}]
    rds.later(clusters.SNAPSHOT_SECONDS)
    assert (snapshot()["Status"], snapshot()["PercentProgress"]) == ("available", 100)
    rds.retire()
    assert snapshot()["Status"] == "available"


def test_a_cluster_that_is_not_available_is_not_copied(after_failover: Rds) -> None:
    after_failover.east.remove_from_global_cluster(GlobalClusterIdentifier=GLOBAL, DbClusterIdentifier=ARNS[EAST])
    after_failover.later(REMOVAL_SECONDS)
    after_failover.delete_instances()
    after_failover.delete_cluster()
    with pytest.raises(after_failover.east.exceptions.InvalidDBClusterStateFault):
        after_failover.east.create_db_cluster_snapshot(
            DBClusterIdentifier=CLUSTERS[EAST], DBClusterSnapshotIdentifier="late"
        )


# --- retirement


def test_the_last_member_leaves_some_time_after_it_was_asked_to(after_failover: Rds) -> None:
    rds = after_failover
    rds.east.remove_from_global_cluster(GlobalClusterIdentifier=GLOBAL, DbClusterIdentifier=ARNS[EAST])
    assert [member["DBClusterArn"] for member in rds.global_cluster()["GlobalClusterMembers"]] == [ARNS[EAST]]
    assert rds.global_cluster()["Status"] == "available"
    with pytest.raises(rds.west.exceptions.InvalidGlobalClusterStateFault):
        rds.west.delete_global_cluster(GlobalClusterIdentifier=GLOBAL)
    rds.later(REMOVAL_SECONDS)
    assert rds.global_cluster()["GlobalClusterMembers"] == []
    assert rds.cluster(EAST)["Status"] == "available"


def test_instances_go_some_time_after_they_were_deleted(after_failover: Rds) -> None:
    rds = after_failover
    rds.delete_instances()
    assert rds.instances(EAST) == dict.fromkeys(INSTANCES[EAST], "deleting")
    with pytest.raises(rds.east.exceptions.InvalidDBInstanceStateFault):
        rds.delete_instances()
    rds.later(clusters.DELETION_SECONDS)
    assert rds.instances(EAST) == {}
    with pytest.raises(rds.east.exceptions.DBInstanceNotFoundFault):
        rds.delete_instances()


def test_the_last_instance_of_a_primary_with_a_secondary_stays(rds: Rds) -> None:
    rds.east.delete_db_instance(DBInstanceIdentifier=INSTANCES[EAST][0])
    with pytest.raises(rds.east.exceptions.InvalidDBClusterStateFault, match="last instance of the master"):
        rds.east.delete_db_instance(DBInstanceIdentifier=INSTANCES[EAST][1])


def test_a_cluster_with_an_instance_is_not_deleted(after_failover: Rds) -> None:
    rds = after_failover
    rds.east.delete_db_instance(DBInstanceIdentifier=INSTANCES[EAST][0])
    with pytest.raises(rds.east.exceptions.InvalidDBClusterStateFault, match="non-deleting state"):
        rds.delete_cluster()
    rds.east.delete_db_instance(DBInstanceIdentifier=INSTANCES[EAST][1])
    rds.delete_cluster()
    assert rds.cluster(EAST)["Status"] == "deleting"


def test_a_protected_cluster_is_not_deleted(after_failover: Rds) -> None:
    rds = after_failover
    change = {"DBClusterIdentifier": CLUSTERS[EAST], "ApplyImmediately": True}
    rds.east.modify_db_cluster(**change, DeletionProtection=True)
    assert rds.cluster(EAST)["DeletionProtection"]
    rds.delete_instances()
    with pytest.raises(rds.east.exceptions.ClientError, match="Cannot delete protected Cluster"):
        rds.delete_cluster()
    rds.east.modify_db_cluster(**change, DeletionProtection=False)
    assert not rds.cluster(EAST)["DeletionProtection"]
    rds.delete_cluster()


def test_an_instance_is_restarted_with_its_database(rds: Rds) -> None:
    name = INSTANCES[EAST][0]
    rds.databases.gate.clear()
    for instance in INSTANCES[EAST]:
        rds.east.reboot_db_instance(DBInstanceIdentifier=instance)
    assert rds.instances(EAST)[name] == "rebooting"
    with pytest.raises(rds.east.exceptions.ClientError, match="is not available"):
        rds.east.reboot_db_instance(DBInstanceIdentifier=name)
    rds.databases.gate.set()
    rds.wait_until(lambda: set(rds.instances(EAST).values()) == {"available"})
    assert rds.databases.done == [("restart", EAST)]


@pytest.mark.parametrize(
    ("region", "error"), [(EAST, "primary member of global cluster"), (WEST, "remove it from globalcluster first")]
)
def test_a_member_of_a_global_database_with_others_is_not_deleted(
    rds: Rds, monkeypatch: pytest.MonkeyPatch, region: str, error: str
) -> None:
    monkeypatch.setattr("moto.rds.models.DBCluster.members", [])
    with pytest.raises(rds.east.exceptions.ClientError, match=error):
        rds.delete_cluster(region)
    assert rds.cluster(region)["Status"] == "available"


def test_a_cluster_is_not_deleted_without_a_word_on_its_last_snapshot(after_failover: Rds) -> None:
    rds = after_failover
    rds.delete_instances()
    with pytest.raises(rds.east.exceptions.ClientError, match="FinalDBSnapshotIdentifier is required"):
        rds.east.delete_db_cluster(DBClusterIdentifier=CLUSTERS[EAST])
    rds.east.delete_db_cluster(DBClusterIdentifier=CLUSTERS[EAST], FinalDBSnapshotIdentifier="last")
    assert rds.east.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier="last")["DBClusterSnapshots"]


def test_a_deleted_cluster_is_gone_after_its_database_was_wiped(after_failover: Rds) -> None:
    rds = after_failover
    rds.delete_instances()
    rds.databases.gate.clear()
    rds.delete_cluster()
    rds.later(clusters.DELETION_SECONDS)
    assert not rds.instances(EAST)
    assert rds.cluster(EAST)["Status"] == "deleting"
    rds.databases.gate.set()
    rds.wait_until(lambda: rds.databases.done[-1] == ("retire", EAST))
    rds.wait_until(rds.old_cluster_is_gone)
    with pytest.raises(rds.east.exceptions.DBClusterNotFoundFault):
        rds.cluster(EAST)
    assert [one.subject for one in rds.told if one.kind is Kind.CLUSTER_DELETED] == [CLUSTERS[EAST]]


def test_a_protected_global_database_is_not_deleted(after_failover: Rds) -> None:
    rds = after_failover
    rds.west.modify_global_cluster(GlobalClusterIdentifier=GLOBAL, DeletionProtection=True)
    with pytest.raises(rds.west.exceptions.ClientError, match="Cannot delete protected Global Cluster"):
        rds.retire()
    rds.west.modify_global_cluster(GlobalClusterIdentifier=GLOBAL, DeletionProtection=False)
    rds.west.delete_global_cluster(GlobalClusterIdentifier=GLOBAL)
    with pytest.raises(rds.west.exceptions.GlobalClusterNotFoundFault):
        rds.global_cluster()


# --- the new global database and its secondary


def test_a_global_database_is_made_around_the_promoted_cluster(after_failover: Rds) -> None:
    rds = after_failover
    rds.retire()
    rds.west.create_global_cluster(
        GlobalClusterIdentifier=GLOBAL,
        SourceDBClusterIdentifier=ARNS[WEST],
        DeletionProtection=True,
        Tags=[{"Key": "application", "Value": "payments"}],
    )
    made = rds.global_cluster()
    assert made["Status"] == "creating"
    assert [(one["DBClusterArn"], one["IsWriter"]) for one in made["GlobalClusterMembers"]] == [(ARNS[WEST], True)]
    assert (made["DeletionProtection"], made["StorageEncrypted"]) == (True, True)
    assert made["TagList"] == [{"Key": "application", "Value": "payments"}]
    rds.later(MAKING_SECONDS)
    assert rds.global_cluster()["Status"] == "available"


def test_a_cluster_that_was_never_in_one_becomes_the_primary_of_a_new_global_database(rds: Rds) -> None:
    plain = {"DBClusterIdentifier": "plain", "Engine": "aurora-postgresql"}
    made = rds.west.create_db_cluster(**plain, MasterUsername="somebody", MasterUserPassword="something")
    rds.west.create_global_cluster(
        GlobalClusterIdentifier="other", SourceDBClusterIdentifier=made["DBCluster"]["DBClusterArn"]
    )
    found = rds.west.describe_global_clusters(GlobalClusterIdentifier="other")["GlobalClusters"][0]
    assert [member["IsWriter"] for member in found["GlobalClusterMembers"]] == [True]


def test_a_global_database_is_not_made_where_it_cannot_be(after_failover: Rds) -> None:
    rds = after_failover
    around = {"SourceDBClusterIdentifier": ARNS[WEST]}
    with pytest.raises(rds.west.exceptions.GlobalClusterAlreadyExistsFault):
        rds.west.create_global_cluster(GlobalClusterIdentifier=GLOBAL, **around)
    with pytest.raises(rds.west.exceptions.ClientError, match="inherited from source cluster"):
        rds.west.create_global_cluster(GlobalClusterIdentifier="other", Engine="aurora-postgresql", **around)
    with pytest.raises(rds.east.exceptions.InvalidDBClusterStateFault):
        rds.east.create_global_cluster(GlobalClusterIdentifier="other", SourceDBClusterIdentifier=ARNS[EAST])
    with pytest.raises(rds.east.exceptions.DBClusterNotFoundFault):
        rds.east.create_global_cluster(GlobalClusterIdentifier="other", SourceDBClusterIdentifier=f"{ARNS[WEST]}-x")


def test_a_new_secondary_is_available_when_the_real_database_follows(after_failover: Rds) -> None:
    rds = after_failover
    before = rds.cluster(EAST)["DbClusterResourceId"]
    rds.retire()
    rds.make_global()
    rds.databases.gate.clear()
    rds.create_secondary()
    for name in INSTANCES[EAST]:
        rds.east.create_db_instance(
            DBInstanceIdentifier=name,
            DBClusterIdentifier=CLUSTERS[EAST],
            DBInstanceClass="db.serverless",
            Engine="aurora-postgresql",
            DBSubnetGroupName=CLUSTERS[EAST],
        )
    rds.later(clusters.REBUILD_SECONDS + clusters.INSTANCE_SECONDS)
    assert rds.cluster(EAST)["Status"] == "creating"
    assert rds.instances(EAST) == dict.fromkeys(INSTANCES[EAST], "creating")
    rds.databases.gate.set()
    rds.wait_until(lambda: rds.cluster(EAST)["Status"] == "available")
    assert rds.databases.done[-1] == ("rebuild", EAST, WEST)
    assert rds.databases.admits[EAST] is False
    assert rds.instances(EAST) == dict.fromkeys(INSTANCES[EAST], "available")
    assert rds.cluster(EAST)["DbClusterResourceId"] != before
    assert rds.cluster(EAST)["Endpoint"].startswith(f"{CLUSTERS[EAST]}.cluster-{clusters.ENDPOINT_HASH}.")
    roles = {one["DBClusterArn"]: one["IsWriter"] for one in rds.global_cluster()["GlobalClusterMembers"]}
    assert roles == {ARNS[WEST]: True, ARNS[EAST]: False}
    told = [one.kind for one in rds.told]
    assert told.index(Kind.REBUILD_STARTED) < told.index(Kind.FOLLOWS)


def test_a_rebuild_takes_its_stated_time(after_failover: Rds) -> None:
    rds = after_failover
    rds.retire()
    rds.make_global()
    rds.create_secondary()
    rds.wait_until(lambda: ("rebuild", EAST, WEST) in rds.databases.done)
    assert rds.cluster(EAST)["Status"] == "creating"
    rds.later(clusters.REBUILD_SECONDS)
    rds.wait_until(lambda: rds.cluster(EAST)["Status"] == "available")


def test_a_rebuild_that_fails_leaves_the_cluster_unavailable_and_is_told(after_failover: Rds) -> None:
    rds = after_failover
    rds.retire()
    rds.make_global()
    rds.databases.problem = ConnectionError("cut")
    rds.create_secondary()
    rds.wait_until(lambda: any(one.kind is Kind.DATABASE_FAILED for one in rds.told))
    rds.later(clusters.REBUILD_SECONDS)
    assert rds.cluster(EAST)["Status"] == "creating"


@pytest.mark.parametrize("setting", [{"MasterUsername": "payments"}, {"DatabaseName": "payments"}])
def test_a_secondary_takes_its_user_and_database_from_the_primary(after_failover: Rds, setting: dict[str, str]) -> None:
    rds = after_failover
    rds.retire()
    rds.make_global()
    with pytest.raises(rds.east.exceptions.ClientError, match="Cannot specify"):
        rds.create_secondary(**setting)


def test_a_secondary_is_not_made_where_it_cannot_be(after_failover: Rds) -> None:
    rds = after_failover
    with pytest.raises(rds.east.exceptions.DBClusterAlreadyExistsFault):
        rds.create_secondary()
    with pytest.raises(rds.east.exceptions.InvalidGlobalClusterStateFault):
        rds.create_secondary(DBClusterIdentifier="second-in-east")  # the old one is a member still
    with pytest.raises(rds.east.exceptions.GlobalClusterNotFoundFault):
        rds.create_secondary(DBClusterIdentifier="second-in-east", GlobalClusterIdentifier="another")
    rds.retire()
    rds.west.create_global_cluster(GlobalClusterIdentifier=GLOBAL, SourceDBClusterIdentifier=ARNS[WEST])
    with pytest.raises(rds.east.exceptions.InvalidGlobalClusterStateFault):
        rds.create_secondary()  # the global database is being made


def test_what_the_model_does_not_change_is_refused(rds: Rds) -> None:
    with pytest.raises(rds.east.exceptions.ClientError, match="does not change backup_retention_period"):
        rds.east.modify_db_cluster(DBClusterIdentifier=CLUSTERS[EAST], BackupRetentionPeriod=7)
    with pytest.raises(rds.east.exceptions.ClientError, match="does not change new_global_cluster_identifier"):
        rds.east.modify_global_cluster(GlobalClusterIdentifier=GLOBAL, NewGlobalClusterIdentifier="another")


def test_the_whole_circle_ends_where_it_began(after_failover: Rds) -> None:
    rds = after_failover
    rds.retire()
    rds.make_global()
    rds.create_secondary()
    rds.later(clusters.REBUILD_SECONDS)
    rds.wait_until(lambda: rds.cluster(EAST)["Status"] == "available")
    rds.east.switchover_global_cluster(GlobalClusterIdentifier=GLOBAL, TargetDbClusterIdentifier=ARNS[EAST])
    rds.wait_until(lambda: rds.global_cluster()["Status"] == "available")
    roles = {one["DBClusterArn"]: one["IsWriter"] for one in rds.global_cluster()["GlobalClusterMembers"]}
    assert roles == {ARNS[EAST]: True, ARNS[WEST]: False}
    assert rds.databases.done[-3:] == [("drain", WEST), ("promote", EAST), ("follow", WEST, EAST)]
