"""A function that asks for what its role does not allow is an error of the history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from simulation import history
from simulation.faults import Fault
from simulation.product import Product
from simulation.rights import action_of

WRITER, STANDBY = "us-east-1", "us-west-2"
DEAD = Fault("region dead", WRITER, 20.0, 100.0, {"refuses": True})


@contextmanager
def without(role: str, action: str) -> Iterator[None]:
    """Take a grant away, in the simulator's judgement only."""
    rights = history._product().rights
    before = rights.permissions[role]
    rights.permissions[role] = tuple(one for one in before if action not in one.actions)
    assert rights.permissions[role] != before
    rights._denied.cache_clear()
    try:
        yield
    finally:
        rights.permissions[role] = before
        rights._denied.cache_clear()


def test_a_failover_asks_for_nothing_that_its_roles_do_not_allow() -> None:
    assert history.run(1, (DEAD,)).errors == ()


@pytest.mark.parametrize(
    ("role", "action", "resource"),
    [
        ("failover-detach-secondary-usw2-test", "rds:RemoveFromGlobalCluster", "cluster:payments-usw2-test"),
        ("failover-commit-writer-usw2-test", "dynamodb:UpdateItem", "table/failover-control-test"),
        ("failover-run-hooks-usw2-test", "states:StartExecution", "stateMachine:tickets"),
        ("failover-notify-usw2-test", "events:PutEvents", "event-bus/default"),
        ("failover-notify-usw2-test", "kms:GenerateDataKey", "key/failover-usw2-test"),
    ],
)
def test_a_grant_that_is_taken_away_is_missed(role: str, action: str, resource: str) -> None:
    with without(role, action):
        errors = history.run(1, (DEAD,)).errors
    assert any(f"{role} may not " in one and action in one and resource in one for one in errors), errors


def test_the_role_that_a_function_has_taken_on_is_asked_and_not_its_own() -> None:
    """A switchover's request goes to the region of the primary, in the role there that trusts the step."""
    asks = Fault("person switches over", STANDBY, 20.0, 1.0, {"accepts loss": 0.0, "ignores cool-down": 0.0})
    assert history.run(1, (asks,)).errors == ()
    with without("failover-peer-use1-test", "rds:SwitchoverGlobalCluster"):
        errors = history.run(1, (asks,)).errors
    assert any("failover-peer-use1-test may not rds:SwitchoverGlobalCluster" in one for one in errors), errors


def test_a_role_is_taken_on_only_by_whom_it_trusts() -> None:
    rights = Product().rights

    def denied(role: str) -> str:
        asked = {"RoleArn": "arn:aws:iam::123456789012:role/failover-peer-use1-test"}
        return rights.denied(role, "sts", STANDBY, "assume_role", asked)

    assert denied("failover-fence-old-writer-usw2-test") == ""
    assert denied("failover-notify-usw2-test") == "sts:AssumeRole: failover-peer-use1-test does not trust it"


def test_a_condition_is_compared() -> None:
    rights, role = Product().rights, "failover-notify-usw2-test"

    def denied(source: str) -> str:
        return rights.denied(role, "events", STANDBY, "put_events", {"Entries": [{"Source": source}]})

    assert denied("failover.orchestrator") == ""
    assert denied("aws.rds") == f"events:PutEvents on arn:aws:events:{STANDBY}:123456789012:event-bus/default"


def test_an_operation_that_nobody_knows_is_not_allowed() -> None:
    assert action_of("rds", "remove_from_global_cluster") == "rds:RemoveFromGlobalCluster"
    assert action_of("stepfunctions", "describe_execution") == "states:DescribeExecution"
    denied = Product().rights.denied("failover-notify-usw2-test", "rds", STANDBY, "delete_everything", {})
    assert denied == "rds.delete_everything, which orchestration/authorization.py does not know"
