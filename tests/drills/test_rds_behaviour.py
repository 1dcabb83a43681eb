"""RDS as it is reported to behave when it moves a writer: each behaviour by what a caller sees."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from drills.aws.global_database import CANCELLING_SECONDS
from tests.drills.test_clusters import ARNS, EAST, GLOBAL, WEST, Rds, WaitUntil, rds

__all__ = ["rds"]


def detach(rds: Rds) -> None:
    rds.west.remove_from_global_cluster(GlobalClusterIdentifier=GLOBAL, DbClusterIdentifier=ARNS[WEST])


def switch_over(rds: Rds) -> None:
    rds.east.switchover_global_cluster(GlobalClusterIdentifier=GLOBAL, TargetDbClusterIdentifier=ARNS[WEST])


def members(rds: Rds) -> set[str]:
    return {member["DBClusterArn"] for member in rds.global_cluster()["GlobalClusterMembers"]}


def code_of(error: pytest.ExceptionInfo[ClientError]) -> Any:
    return error.value.response["Error"]["Code"]


def test_a_busy_cluster_refuses_until_it_is_not(rds: Rds) -> None:
    rds.model.behaviour.busy_until = rds.clock.now() + 15
    with pytest.raises(ClientError) as error:
        detach(rds)
    assert code_of(error) == "InvalidDBClusterStateFault"
    rds.later(15)
    detach(rds)
    assert members(rds) == {ARNS[EAST]}


def test_a_detached_cluster_is_listed_and_available_before_it_is_promoted(rds: Rds, wait_until: WaitUntil) -> None:
    rds.model.behaviour.lists_until_promoted = True
    rds.model.behaviour.available_for_s = 5
    rds.databases.gate.clear()
    detach(rds)
    assert (members(rds), rds.cluster(WEST)["Status"]) == ({ARNS[EAST], ARNS[WEST]}, "available")
    rds.later(5)
    assert (members(rds), rds.cluster(WEST)["Status"]) == ({ARNS[EAST], ARNS[WEST]}, "promoting")
    with pytest.raises(ClientError) as error:
        detach(rds)
    assert code_of(error) == "InvalidDBClusterStateFault"
    rds.databases.gate.set()
    wait_until(lambda: members(rds) == {ARNS[EAST]})
    assert rds.cluster(WEST)["Status"] == "available"


def test_a_lost_request_changes_nothing_and_an_unanswered_one_does(rds: Rds, wait_until: WaitUntil) -> None:
    rds.model.behaviour.unanswered, rds.model.behaviour.lost = 0, 1
    detach(rds)
    assert members(rds) == {ARNS[EAST], ARNS[WEST]}
    rds.model.behaviour.unanswered = 1
    detach(rds)
    wait_until(lambda: ("promote", WEST) in rds.databases.done)


def test_a_switchover_is_pending_and_may_be_cancelled(rds: Rds, wait_until: WaitUntil) -> None:
    rds.model.behaviour.pending_for_s, rds.model.behaviour.cancels = 10, 1
    switch_over(rds)
    assert rds.global_cluster()["FailoverState"]["Status"] == "pending"
    rds.later(10)
    assert rds.global_cluster()["FailoverState"]["Status"] == "cancelling"
    rds.later(CANCELLING_SECONDS)
    assert "FailoverState" not in rds.global_cluster()
    assert ("drain", EAST) not in rds.databases.done
    switch_over(rds)
    rds.later(10)
    rds.databases.gate.clear()
    assert rds.global_cluster()["FailoverState"]["Status"] == "switching-over"
    rds.databases.gate.set()
    wait_until(lambda: ("follow", EAST, WEST) in rds.databases.done)


def test_an_rds_that_is_down_answers_503_in_its_region_only(rds: Rds) -> None:
    rds.model.behaviour.down_until[WEST] = rds.clock.now() + 60
    with pytest.raises(ClientError) as error:
        rds.cluster(WEST)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert rds.cluster(EAST)["Status"] == "available"
    rds.later(60)
    assert rds.cluster(WEST)["Status"] == "available"
