"""When a re-protection may begin, when the old cluster may be retired, and what is kept of it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from handlers.core.control import ControlRecord, ReprotectionLock, Transition
from handlers.core.errors import InvalidRequest, Misconfigured
from handlers.core.old_cluster import OldCluster
from handlers.core.reprotection import (
    Order,
    ReprotectionRequest,
    Retirement,
    Snapshot,
    decide_begin,
    objections,
)

EAST, WEST = "us-east-1", "us-west-2"
FENCED_AT = 1_800_000_000.0
MARK = "fence 7, 0cc175b9"
ASKED = ReprotectionRequest("ada")

UNPROTECTED = ControlRecord(writer_region=WEST, epoch=2, automatic_failover=True, last_run="run-1", protected=False)
MOVING = Transition("run-2", "switchover", "checking", "x", EAST, started_at=1, deadline=2)
HELD = ReprotectionLock("reprotect-0", "grace", 1.0)

BEGIN = [
    ("after a failover", UNPROTECTED, ASKED, "proceed", "the lock was free"),
    ("in the wrong region", replace(UNPROTECTED, writer_region=EAST), ASKED, "refused", "us-east-1 is the writer; "),
    ("with a standby", replace(UNPROTECTED, protected=True), ASKED, "refused", "us-east-1 is already the standby"),
    ("while the writer moves", replace(UNPROTECTED, transition=MOVING), ASKED, "refused", "run run-2 is moving"),
    ("beside another", replace(UNPROTECTED, reprotection=HELD), ASKED, "refused", '"resumes": "reprotect-0"'),
    (
        "after another",
        replace(UNPROTECTED, reprotection=HELD),
        replace(ASKED, resumes="reprotect-0"),
        "proceed",
        "takes over from run reprotect-0, as ada asked",
    ),
    (
        "after a third",
        replace(UNPROTECTED, reprotection=HELD),
        replace(ASKED, resumes="reprotect-9"),
        "refused",
        "run reprotect-0 is re-protecting",
    ),
    (
        "by its own lock",
        replace(UNPROTECTED, reprotection=replace(HELD, run="reprotect-1")),
        ASKED,
        "proceed",
        "already",
    ),
]


@pytest.mark.parametrize(
    ("record", "request_", "decision", "reason"), [row[1:] for row in BEGIN], ids=[row[0] for row in BEGIN]
)
def test_begin(record: ControlRecord, request_: ReprotectionRequest, decision: str, reason: str) -> None:
    order = decide_begin(record, request_, "reprotect-1", WEST, EAST)
    assert order.decision == decision
    assert reason in order.reason
    assert (order.run, order.writer_region, order.old_region, order.epoch) == ("reprotect-1", WEST, EAST, 2)


def test_an_order_travels_through_the_workflow_unchanged() -> None:
    order = decide_begin(UNPROTECTED, replace(ASKED, retire_without_asking=True), "reprotect-1", WEST, EAST)
    assert Order.read({"order": asdict(order) | {"timing": {}}}) == order


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (7, "the execution's input is 7; it must be a JSON object"),
        ({}, "field 'started_by' is missing"),
        ({"started_by": "ada", "retire_without_asking": "yes"}, "give true or false"),
        ({"started_by": "ada", "mode": "failover"}, "unknown field 'mode'; remove it"),
    ],
)
def test_a_request_that_is_none_names_the_field_and_the_remedy(data: object, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        ReprotectionRequest.read(data)


# --- retiring

COMPLETE = Snapshot("payments-epoch-2", "cluster-OLD", "available", 100, FENCED_AT + 60)
READY = Retirement(
    resource_id="cluster-OLD",
    fenced_resource_id="cluster-OLD",
    fenced_at=FENCED_AT,
    fenced_by_sql=True,
    fenced_by_group=True,
    fenced_mark=MARK,
    mark=MARK,
    is_member_beside=(),
    snapshot=COMPLETE,
    salvaged_resource_id="cluster-OLD",
    salvaged_at=FENCED_AT + 120,
    unread="",
    approved_by="ada",
    approved_unseen=True,
)
OBJECTIONS: list[tuple[dict[str, Any], str, bool]] = [
    # what is wrong, what is said, whether it counts even when the retirement has begun
    ({"fenced_resource_id": "cluster-X"}, "is not the one that was fenced", True),
    ({"is_member_beside": ("us-west-2",)}, "in a global database with us-west-2", True),
    ({"fenced_by_sql": False}, "fenced by SQL", False),
    ({"fenced_by_sql": None}, "fenced by SQL", False),
    ({"fenced_by_group": None}, "fenced by its security group", False),
    ({"snapshot": None}, "no snapshot", True),
    ({"snapshot": replace(COMPLETE, status="creating")}, "is not complete", True),
    ({"snapshot": replace(COMPLETE, percent=99)}, "is not complete", True),
    ({"snapshot": replace(COMPLETE, resource_id="cluster-X")}, "is of another cluster", True),
    ({"snapshot": replace(COMPLETE, made_at=FENCED_AT - 2)}, "older than the fence", True),
    ({"salvaged_resource_id": None}, "have not been exported", True),
    ({"salvaged_resource_id": "cluster-X"}, "have not been exported", True),
    ({"salvaged_at": FENCED_AT - 2}, "exported before it was fenced", True),
    ({"approved_by": None}, "nobody has approved it", False),
    ({"mark": "fence 8, 0cc175b9"}, "lifted, or it was written, since it was fenced (fence 7", False),
    ({"mark": "fence 7, 92eb5ffe"}, "start the workflow again, which keeps and exports it anew", False),
    ({"mark": None}, "None now", False),
    ({"unread": "payroll (permission denied)"}, "nobody who knew of it has approved", False),
]


@pytest.mark.parametrize("begun", [False, True])
def test_what_is_fenced_kept_exported_and_approved_may_be_retired(begun: bool) -> None:
    assert objections(READY, begun=begun) == []


@pytest.mark.parametrize(("wrong", "says", "always"), OBJECTIONS)
def test_whatever_is_missing_is_an_objection_of_its_own(wrong: dict[str, Any], says: str, always: bool) -> None:
    (reason,) = objections(replace(READY, **wrong), begun=False)
    assert says in reason
    assert bool(objections(replace(READY, **wrong), begun=True)) is always


# --- what is kept

CLUSTER = {
    "DBClusterIdentifier": "payments-use1-test",
    "DbClusterResourceId": "cluster-OLD",
    "Engine": "aurora-postgresql",
    "EngineVersion": "17.4",
    "MasterUsername": "postgres",
    "DatabaseName": "payments",
    "Port": 5432,
    "DBSubnetGroup": "payments-use1-test",
    "KmsKeyId": "arn:aws:kms:us-east-1:1:key/k",
    "HttpEndpointEnabled": True,
    "EnabledCloudwatchLogsExports": [],
    "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-fence", "Status": "active"}],
    "TagList": [{"Key": "team", "Value": "payments"}, {"Key": "aws:cloudformation:stack", "Value": "x"}],
}
INSTANCE = {
    "DBInstanceIdentifier": "payments-0-use1-test",
    "DBInstanceClass": "db.serverless",
    "PromotionTier": 0,
    "DBSubnetGroup": {"DBSubnetGroupName": "payments-use1-test", "Subnets": []},
}
GLOBAL = {"GlobalClusterIdentifier": "payments-global-test", "DeletionProtection": True, "Engine": "aurora-postgresql"}


def test_what_is_kept_makes_the_like_of_it_and_nothing_that_a_secondary_must_not_have() -> None:
    kept = OldCluster.described(CLUSTER, [INSTANCE], GLOBAL, FENCED_AT, MARK)
    assert kept.cluster == {
        "DBClusterIdentifier": "payments-use1-test",
        "Engine": "aurora-postgresql",
        "Port": 5432,
        "DBSubnetGroupName": "payments-use1-test",
        "KmsKeyId": "arn:aws:kms:us-east-1:1:key/k",
        "EnableHttpEndpoint": True,
        "VpcSecurityGroupIds": ["sg-fence"],
        "Tags": [{"Key": "team", "Value": "payments"}],
    }
    (instance,) = kept.instances
    assert instance == {
        "DBInstanceIdentifier": "payments-0-use1-test",
        "DBInstanceClass": "db.serverless",
        "PromotionTier": 0,  # a setting, too
        "DBSubnetGroupName": "payments-use1-test",
    }
    assert kept.global_database == {"GlobalClusterIdentifier": "payments-global-test", "DeletionProtection": True}
    assert OldCluster.read(kept.kept()) == kept


def test_an_adopted_cluster_gets_back_its_instance_classes_its_parameters_and_its_storage() -> None:
    """A cluster that somebody else made may be provisioned, with parameters of its own, on I/O-optimized storage."""
    provisioned = INSTANCE | {
        "DBInstanceClass": "db.r7g.4xlarge",
        "DBParameterGroups": [{"DBParameterGroupName": "orders-tuned", "ParameterApplyStatus": "in-sync"}],
    }
    kept = OldCluster.described(CLUSTER | {"StorageType": "aurora-iopt1"}, [provisioned], GLOBAL, FENCED_AT, MARK)
    assert kept.cluster["StorageType"] == "aurora-iopt1"
    assert "ServerlessV2ScalingConfiguration" not in kept.cluster
    (instance,) = kept.instances
    assert (instance["DBInstanceClass"], instance["DBParameterGroupName"]) == ("db.r7g.4xlarge", "orders-tuned")


def test_a_later_fence_has_a_snapshot_of_its_own() -> None:
    first = OldCluster.described(CLUSTER, [INSTANCE], GLOBAL, FENCED_AT, MARK)
    assert first.snapshot_name(2) == "payments-use1-test-epoch-2-1800000000"
    assert replace(first, fenced_at=FENCED_AT + 5).snapshot_name(2) != first.snapshot_name(2)


def test_a_cluster_without_instances_is_not_kept() -> None:
    with pytest.raises(Misconfigured, match="has no instance"):
        OldCluster.described(CLUSTER, [], GLOBAL, FENCED_AT, MARK)


@pytest.mark.parametrize(
    "damage", [{"resource_id": 7}, {"fenced_at": "today"}, {"instances": "none"}, {"cluster": None}]
)
def test_what_was_kept_and_is_damaged_is_an_error_that_names_it(damage: dict[str, Any]) -> None:
    kept = OldCluster.described(CLUSTER, [INSTANCE], GLOBAL, FENCED_AT, MARK).kept()
    with pytest.raises(Misconfigured, match=next(iter(damage))):
        OldCluster.read(kept | damage)
