"""Moves the writer of an emulated global database round the whole circle, as the workflows do.

Retirement and rebuilding are the product's own requests, and the control record is left as the workflows leave it.
Where the emulator's answers are not RDS's, a step says what RDS would tell instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3

from handlers.core.control import ControlRecord
from handlers.core.old_cluster import OldCluster
from handlers.gateways import items
from handlers.gateways.clusters import Clusters, members
from orchestration.safe_to_apply import read_record
from orchestration.settings import Settings
from orchestration.specification import CONTROL_KEY, Names

PATIENCE_S = 60  # for the emulator to remove an instance


class NotThere(Exception):
    """The emulator has not done what a step asked of it; the message says what."""


@dataclass(frozen=True)
class Step:
    """A place on the circle.

    ``told`` is what RDS would say in place of what the emulator says. ``at_work``: a run is in the middle of it, so
    that an apply has to be refused. ``applied``: the plans are applied, and the global database must stay as it is.
    """

    name: str
    stacks: tuple[str, ...]
    told: Mapping[str, str] = field(default_factory=dict)
    at_work: bool = False
    applied: bool = False


class Circle:
    """The global database of a deployment that an emulator at ``url`` holds, with ``home`` as its first writer."""

    def __init__(self, settings: Settings, account: str, url: str) -> None:
        self._settings = settings
        self._names = Names(settings, account)
        self._url = url
        self._home, self._away = settings.regions
        self._rds = {region: self._client("rds", region) for region in settings.regions}
        self._clusters = {region: Clusters(rds, region) for region, rds in self._rds.items()}

    def steps(self) -> Iterator[Step]:
        """Takes one step after the other, each when the next is asked for."""
        regions = self._settings.regions
        home, away = self._home, self._away

        self._switch_over(away)
        yield Step(f"switchover to {away}", regions, self._secondary(home))
        self._switch_over(home)  # as the failback at the end, where it is planned

        self._fail_over()
        yield Step(f"failover to {away}", regions)

        kept = self._retire()
        yield Step("while re-protecting", regions, at_work=True)
        self._rebuild(kept)
        yield Step("re-protection", (*regions, "global"), self._secondary(home))

        self._switch_over(home)
        yield Step(f"failback to {home}", ("identity", *regions, "global"), self._secondary(away), applied=True)
        self._expect_members({self._names.cluster_arn(region): region == home for region in regions})

    def record(self) -> ControlRecord | None:
        """The control record, as the product reads it."""
        replicas = [self._client("dynamodb", region) for region in self._settings.regions]
        return read_record(replicas, self._names.control_table, self._names.global_cluster)

    def _switch_over(self, target: str) -> None:
        """The emulator exchanges the roles of PostgreSQL clusters only when it is told that data may be lost."""
        self._rds[target].failover_global_cluster(
            GlobalClusterIdentifier=self._names.global_cluster,
            TargetDbClusterIdentifier=self._names.cluster_arn(target),
            AllowDataLoss=True,
        )
        self._expect_members({self._names.cluster_arn(region): region == target for region in self._settings.regions})
        self._note(writer_region=target)

    def _fail_over(self) -> None:
        """Detaches the standby, and fences the old writer by its security group."""
        self._clusters[self._away].leave_global(self._names.global_cluster, self._names.cluster_arn(self._away))
        self._expect_members({self._names.cluster_arn(self._home): True})
        self._set_group("fence")
        self._note(writer_region=self._away, protected=False)

    def _retire(self) -> OldCluster:
        """Removes the old cluster and the global database; returns what is kept of them."""
        old, own = self._clusters[self._home], self._clusters[self._away]
        name, global_name = self._names.cluster(self._home), self._names.global_cluster
        cluster, global_database = old.find(name), own.find_global(global_name)
        assert cluster is not None
        assert global_database is not None
        kept = OldCluster.described(cluster, old.instances_of(cluster), global_database, time.time(), "not looked at")
        self._note(reprotection={"run": "rebuild-1", "started_by": "the check", "started_at": int(time.time())})
        old.leave_global(global_name, self._names.cluster_arn(self._home))
        old.unprotect(cluster)
        for instance in kept.instances:
            old.delete_instance(instance["DBInstanceIdentifier"])
        wait_until(lambda: not any(old.find_instance(one["DBInstanceIdentifier"]) for one in kept.instances))
        old.delete(name)
        wait_until(lambda: old.find(name) is None)
        own.delete_global(global_database)
        return kept

    def _rebuild(self, kept: OldCluster) -> None:
        """Makes the global database and the old region's cluster anew."""
        old, own = self._clusters[self._home], self._clusters[self._away]
        global_name = self._names.global_cluster
        own.make_global(kept.global_database, self._names.cluster_arn(self._away))
        made = own.find_global(global_name)
        assert made is not None
        old.make_secondary(kept.cluster, global_name, made["EngineVersion"], self._away)
        for instance in kept.instances:
            old.make_instance(instance)
        self._expect_members(
            {self._names.cluster_arn(region): region == self._away for region in self._settings.regions}
        )
        self._set_group("database")
        self._note(reprotection=None, protected=True)

    def _secondary(self, region: str) -> dict[str, str]:
        """What RDS tells of a secondary in ``region``: that it replicates, and not what it was once made with.

        A provider that heeds the first promotes a cluster or fails (terraform-provider-aws#40921); the rest has the
        cluster replaced.
        """
        (primary,) = set(self._settings.regions) - {region}
        known = f"<DBClusterIdentifier>{self._names.cluster(region)}</DBClusterIdentifier>"
        source = f"<ReplicationSourceIdentifier>{self._names.cluster_arn(primary)}</ReplicationSourceIdentifier>"
        database = self._settings.database
        return {
            known: known + source,
            f"<DatabaseName>{database.name}</DatabaseName>": "",
            f"<MasterUsername>{database.master_username}</MasterUsername>": "",
        }

    def _set_group(self, purpose: str) -> None:
        """Gives the first cluster the security group of a purpose, ``database`` or ``fence``, alone."""
        name = self._names.security_group(purpose, self._home)
        found = self._client("ec2", self._home).describe_security_groups(
            Filters=[{"Name": "group-name", "Values": [name]}]
        )
        (group,) = found["SecurityGroups"]
        self._rds[self._home].modify_db_cluster(
            DBClusterIdentifier=self._names.cluster(self._home), VpcSecurityGroupIds=[group["GroupId"]]
        )

    def _expect_members(self, expected: Mapping[str, bool]) -> None:
        found = self._clusters[self._away].find_global(self._names.global_cluster)
        if found is None or members(found) != expected:
            raise NotThere(f"the global database has the clusters {expected}, but the emulator says {found}")

    def _note(self, **attributes: Any) -> None:
        """Changes attributes of the control record; None takes one away."""
        self._client("dynamodb", self._home).update_item(
            TableName=self._names.control_table,
            Key={CONTROL_KEY: {"S": self._names.global_cluster}},
            AttributeUpdates={
                name: {"Action": "DELETE"} if value is None else {"Action": "PUT", "Value": items.typed(value)}
                for name, value in attributes.items()
            },
        )

    def _client(self, service: Any, region: str) -> Any:
        return boto3.client(service, region, endpoint_url=self._url)


def wait_until(holds: Callable[[], bool]) -> None:
    """Returns once ``holds()``; raises `NotThere` when the emulator takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise NotThere(f"the emulator has removed what it was told to, but not within {PATIENCE_S} s")
        time.sleep(0.5)
