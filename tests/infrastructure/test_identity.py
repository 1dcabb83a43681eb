"""Roles: one for each user, with exactly what the specification grants it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from orchestration.specification import describe
from tests.infrastructure.synthesized import ACCOUNT, Deployment

# Permissions on every resource, each because AWS offers nothing narrower. `only_in` limits them to a region where the
# action knows regions. Reviewed: to add one, say in the specification why it cannot be narrower.
EVERY_RESOURCE = {
    "verify-lag": {"cloudwatch:GetMetricData"},
    "monitor": {"cloudwatch:PutMetricData"},
    "prober": {
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
    },
    "workflow": {
        "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:DescribeLogGroups",
        "logs:DescribeResourcePolicies",
        "logs:GetLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:UpdateLogDelivery",
    },
}
RUNNING = {"logs:CreateLogStream", "logs:PutLogEvents", "kms:Decrypt", "kms:GenerateDataKey"}


def policies(deployment: Deployment) -> dict[str, list[dict[str, Any]]]:
    """Role name: statements of its policy."""
    return {
        policy["name"]: json.loads(policy["policy"])["Statement"]
        for policy in deployment.stacks["identity"].all("aws_iam_role_policy")
    }


def short(role: str) -> str:
    """What a role is for: ``failover-verify-lag-use1-test`` → ``verify-lag``."""
    return role.removeprefix("failover").rsplit("-", 2)[0].strip("-") or "workflow"


def statements(deployment: Deployment) -> Iterator[tuple[str, dict[str, Any]]]:
    for role, granted in policies(deployment).items():
        for statement in granted:
            yield short(role), statement


def test_every_function_has_a_role_of_its_own(development: Deployment) -> None:
    roles = {role["name"] for role in development.stacks["identity"].all("aws_iam_role")}
    for stack in development.both:
        used = [function["role"] for function in stack.all("aws_lambda_function")]
        assert len(set(used)) == len(used)
        assert {role.rsplit("/")[-1] for role in used} <= roles


def test_functions_get_what_the_specification_grants_and_what_running_takes(development: Deployment) -> None:
    granted = policies(development)
    specification = describe(development.settings, ACCOUNT)
    for region in specification.regions.values():
        for function in region.functions.values():
            actual = {(tuple(s["Action"]), tuple(s["Resource"])) for s in granted[function.name]}
            wanted = {(p.actions, p.resources) for p in function.permissions}
            assert wanted <= actual
            extra = {action for actions, _ in actual - wanted for action in actions}
            assert extra == RUNNING | (EVERY_RESOURCE["prober"] if function.in_vpc else set())


def test_workflow_may_invoke_its_steps_and_nothing_else(development: Deployment) -> None:
    for region in describe(development.settings, ACCOUNT).regions.values():
        invoke, delivery = policies(development)[region.state_machine.name]
        steps = {f.name for f in region.functions.values()} - {
            region.functions[step].name for step in ("prober", "monitor", "writer_switch")
        }
        assert invoke["Action"] == ["lambda:InvokeFunction"]
        assert {arn.rsplit(":")[-1] for arn in invoke["Resource"]} == steps
        assert set(delivery["Action"]) == EVERY_RESOURCE["workflow"]


def test_rule_may_start_its_workflow_and_nothing_else(development: Deployment) -> None:
    for region in describe(development.settings, ACCOUNT).regions.values():
        (start,) = policies(development)[region.rules[0].name]
        assert start["Action"] == ["states:StartExecution"]
        assert [arn.rsplit(":")[-1] for arn in start["Resource"]] == [region.state_machine.name]


def test_no_action_is_a_wildcard(development: Deployment) -> None:
    for role, statement in statements(development):
        assert not any("*" in action for action in statement["Action"]), role


def test_every_resource_is_named_but_for_the_reviewed_exceptions(development: Deployment) -> None:
    found: dict[str, set[str]] = {}
    for role, statement in statements(development):
        if "*" in statement["Resource"]:
            found.setdefault(role, set()).update(statement["Action"])
    assert found == EVERY_RESOURCE


def test_a_key_is_named_by_its_alias(development: Deployment) -> None:
    for role, statement in statements(development):
        if any(action.startswith("kms:") for action in statement["Action"]):
            (alias,) = statement["Condition"]["ForAnyValue:StringEquals"].values()
            region = statement["Resource"][0].split(":")[3]
            assert alias in {f"alias/failover-{r}-test" for r in ("use1", "usw2")}, role
            assert {"us-east-1": "use1", "us-west-2": "usw2"}[region] in alias


def test_services_take_a_role_on_for_this_account_only(development: Deployment) -> None:
    for role in development.stacks["identity"].all("aws_iam_role"):
        (statement,) = json.loads(role["assume_role_policy"])["Statement"]
        service = statement["Principal"]["Service"]
        if service != "lambda.amazonaws.com":  # Lambda takes a function's role on without naming a source
            assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
            assert role["name"] in statement["Condition"]["ArnLike"]["aws:SourceArn"]


def test_regions_hold_no_role_so_that_they_can_be_planned_without_iam(development: Deployment) -> None:
    for stack in development.both:
        assert not [kind for kind in stack.json["resource"] if kind.startswith("aws_iam_")]
        assert not [kind for kind in stack.json["data"] if kind.startswith("aws_iam_")]
